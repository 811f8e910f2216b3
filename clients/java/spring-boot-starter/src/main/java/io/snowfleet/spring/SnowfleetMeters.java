package io.snowfleet.spring;

import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.MeterBinder;
import io.snowfleet.client.SnowfleetClient;
import io.snowfleet.client.SnowfleetException;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** snowfleet.client.calls by result, and every other number of the client's statistics. */
final class SnowfleetMeters implements MeterBinder {
    private static final Set<String> NOW = Set.of("servers", "servers_usable", "servers_discovered");
    private final SnowfleetClient client;

    SnowfleetMeters(SnowfleetClient client) {
        this.client = client;
    }

    private static double number(Object value) {
        return value instanceof Number number ? number.doubleValue() : 0;
    }

    @Override
    public void bindTo(MeterRegistry registry) {
        Stream.concat(Stream.of("OK"), Stream.of(SnowfleetException.Code.values()).map(Enum::name)).forEach(
            result -> FunctionCounter.builder("snowfleet.client.calls", client, each -> number(((Map<?, ?>) each.stats().get("calls_by_error")).get(result)))
                .tag("result", result).description("calls that ended").register(registry));
        client.stats().forEach((name, value) -> {
            if (!(value instanceof Number) || name.equals("calls")) {
                return;
            }
            String meter = "snowfleet.client." + name.replace('_', '.');
            if (NOW.contains(name)) {
                Gauge.builder(meter, client, each -> number(each.stats().get(name))).register(registry);
            } else {
                FunctionCounter.builder(meter, client, each -> number(each.stats().get(name))).register(registry);
            }
        });
    }
}
