package io.snowfleet.spring;

import io.micrometer.core.instrument.binder.MeterBinder;
import io.snowfleet.client.SnowfleetClient;
import io.snowfleet.hibernate.SnowfleetIdGenerator;
import org.springframework.boot.actuate.autoconfigure.health.ConditionalOnEnabledHealthIndicator;
import org.springframework.boot.actuate.health.HealthIndicator;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.orm.jpa.HibernatePropertiesCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** What Boot's other parts make of the client, be it ours or the program's own. */
@AutoConfiguration(after = SnowfleetAutoConfiguration.class, beforeName = "org.springframework.boot.autoconfigure.orm.jpa.HibernateJpaAutoConfiguration")
public class SnowfleetPartsAutoConfiguration {
    /** /actuator/health: does the fleet give an ID? */
    @Configuration(proxyBeanMethods = false)
    @ConditionalOnClass({HealthIndicator.class, ConditionalOnEnabledHealthIndicator.class})
    static class Health {
        @Bean
        @ConditionalOnBean(SnowfleetClient.class)
        @ConditionalOnEnabledHealthIndicator("snowfleet")
        @ConditionalOnMissingBean(name = "snowfleetHealthIndicator")
        HealthIndicator snowfleetHealthIndicator(SnowfleetClient client) {
            return new SnowfleetHealth(client);
        }
    }

    /** The client's counters as meters. */
    @Configuration(proxyBeanMethods = false)
    @ConditionalOnClass(MeterBinder.class)
    static class Meters {
        @Bean
        @ConditionalOnBean(SnowfleetClient.class)
        @ConditionalOnMissingBean(name = "snowfleetMeters")
        MeterBinder snowfleetMeters(SnowfleetClient client) {
            return new SnowfleetMeters(client);
        }
    }

    /** Entities with {@code @SnowfleetGenerated} take their identifiers from the bean. */
    @Configuration(proxyBeanMethods = false)
    @ConditionalOnClass({SnowfleetIdGenerator.class, HibernatePropertiesCustomizer.class})
    static class Identifiers {
        @Bean
        @ConditionalOnBean(SnowfleetClient.class)
        HibernatePropertiesCustomizer snowfleetIdentifiers(SnowfleetClient client) {
            return settings -> settings.put(SnowfleetIdGenerator.CLIENT, client);
        }
    }
}
