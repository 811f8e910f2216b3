package io.snowfleet.spring;

import io.snowfleet.client.Options;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.Collectors;
import org.springframework.boot.context.properties.bind.Bindable;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.boot.convert.ApplicationConversionService;
import org.springframework.core.convert.ConversionException;
import org.springframework.core.env.Environment;

/** {@link Options} by the properties {@code snowfleet.*}. */
final class SnowfleetOptions {
    private SnowfleetOptions() {}

    static Options of(Environment environment) {
        Map<String, Field> known = Arrays.stream(Options.class.getFields()).filter(each -> !Modifier.isStatic(each.getModifiers()))
            .collect(Collectors.toMap(each -> plain(each.getName()), each -> each));
        Options options = new Options();
        Map<String, String> given = Binder.get(environment).bind("snowfleet", Bindable.mapOf(String.class, String.class)).orElse(Map.of());
        given.forEach((name, value) -> {
            Field field = known.get(plain(name));
            if (field == null) {
                throw new IllegalArgumentException("snowfleet." + name + ": there is no such option; those of io.snowfleet.client.Options are");
            }
            try {
                field.set(options, ApplicationConversionService.getSharedInstance().convert(value, field.getType()));
            } catch (ConversionException e) {
                throw new IllegalArgumentException("snowfleet." + name + ": \"" + value + "\" is no " + field.getType().getSimpleName(), e);
            } catch (IllegalAccessException e) {
                throw new AssertionError(e); // it is public
            }
        });
        return options;
    }

    /** timeout-ms, timeout_ms and timeoutMs are one. */
    private static String plain(String name) {
        return name.replace("-", "").replace("_", "").toLowerCase(java.util.Locale.ROOT);
    }
}
