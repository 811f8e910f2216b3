package io.snowfleet.spring;

import io.snowfleet.client.SnowfleetClient;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.context.annotation.Bean;
import org.springframework.core.env.Environment;

/** A client of the fleet that {@code snowfleet.servers} names. */
@AutoConfiguration
public class SnowfleetAutoConfiguration {
    /** Options by {@code snowfleet.*}; the names are those of {@link io.snowfleet.client.Options}, as in snowfleet.timeout-ms. */
    @Bean(destroyMethod = "close")
    @ConditionalOnMissingBean
    @ConditionalOnProperty("snowfleet.servers")
    public SnowfleetClient snowfleetClient(Environment environment) {
        return new SnowfleetClient(SnowfleetOptions.of(environment));
    }
}
