package io.snowfleet.spring;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.snowfleet.client.SnowfleetClient;
import io.snowfleet.client.SnowfleetException;
import io.snowfleet.client.TestWorker;
import io.snowfleet.hibernate.SnowfleetGenerated;
import jakarta.persistence.Entity;
import jakarta.persistence.EntityManagerFactory;
import jakarta.persistence.Id;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.springframework.boot.actuate.health.HealthIndicator;
import org.springframework.boot.actuate.health.Status;
import org.springframework.boot.autoconfigure.AutoConfigurationPackage;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.autoconfigure.jdbc.DataSourceAutoConfiguration;
import org.springframework.boot.autoconfigure.orm.jpa.HibernateJpaAutoConfiguration;
import org.springframework.boot.test.context.FilteredClassLoader;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;

/** Against the real Spring Boot, Hibernate and Micrometer. */
class SnowfleetAutoConfigurationTest {
    private TestWorker worker;
    private ApplicationContextRunner runner;

    @BeforeEach
    void start() throws Exception {
        worker = new TestWorker();
        runner = new ApplicationContextRunner().withConfiguration(AutoConfigurations.of(SnowfleetAutoConfiguration.class, SnowfleetPartsAutoConfiguration.class))
            .withPropertyValues("snowfleet.servers=" + worker.address());
    }

    @AfterEach
    void stop() throws Exception {
        worker.close();
    }

    @Test
    void theClientIsABeanAndEndsWithTheContext() {
        SnowfleetClient[] kept = new SnowfleetClient[1];
        runner.run(context -> {
            kept[0] = context.getBean(SnowfleetClient.class);
            assertThat(kept[0].next()).isPositive();
        });
        assertThat(org.assertj.core.api.Assertions.catchThrowableOfType(SnowfleetException.class, () -> kept[0].next()).code())
            .isEqualTo(SnowfleetException.Code.CANCELLED);
    }

    @Test
    void withoutServersThereIsNone() {
        new ApplicationContextRunner().withConfiguration(AutoConfigurations.of(SnowfleetAutoConfiguration.class, SnowfleetPartsAutoConfiguration.class))
            .run(context -> assertThat(context).hasNotFailed().doesNotHaveBean(SnowfleetClient.class).doesNotHaveBean(HealthIndicator.class));
    }

    @Test
    void optionsHaveTheirOwnNames() {
        worker.silent = true;
        runner.withPropertyValues("snowfleet.timeout-ms=120", "snowfleet.attemptTimeoutMs=50", "snowfleet.discover=false").run(context -> {
            long begin = System.nanoTime();
            SnowfleetException told = org.assertj.core.api.Assertions.catchThrowableOfType(SnowfleetException.class,
                () -> context.getBean(SnowfleetClient.class).next());
            assertThat(told.code()).isEqualTo(SnowfleetException.Code.TIMEOUT);
            assertThat((System.nanoTime() - begin) / 1000000).isBetween(100L, 1900L);
        });
        runner.withPropertyValues("snowfleet.colour=red").run(context -> assertThat(context.getStartupFailure()).hasStackTraceContaining("snowfleet.colour"));
        runner.withPropertyValues("snowfleet.discover=perhaps").run(context -> assertThat(context.getStartupFailure()).hasStackTraceContaining("\"perhaps\" is no"));
        runner.withPropertyValues("snowfleet.prefetch=70000").run(context -> assertThat(context.getStartupFailure()).hasStackTraceContaining("prefetch: 70000"));
    }

    @Test
    void aClientOfTheProgramsIsUsed() {
        new ApplicationContextRunner().withConfiguration(AutoConfigurations.of(SnowfleetAutoConfiguration.class, SnowfleetPartsAutoConfiguration.class))
            .withBean("own", SnowfleetClient.class, () -> new SnowfleetClient(worker.address()))
            .run(context -> assertThat(context).hasSingleBean(SnowfleetClient.class).hasBean("own").hasSingleBean(HealthIndicator.class));
    }

    @Test
    void health() {
        runner.run(context -> {
            HealthIndicator indicator = context.getBean("snowfleetHealthIndicator", HealthIndicator.class);
            assertThat(indicator.health().getStatus()).isEqualTo(Status.UP);
            worker.silent = true;
            assertThat(indicator.health().getStatus()).isEqualTo(Status.DOWN);
            assertThat(indicator.health().getDetails()).containsEntry("error", "TIMEOUT").containsKey("servers_usable");
        });
        runner.withPropertyValues("management.health.snowfleet.enabled=false").run(context -> assertThat(context).doesNotHaveBean(HealthIndicator.class));
        runner.withClassLoader(new FilteredClassLoader("org.springframework.boot.actuate", "io.micrometer", "org.hibernate"))
            .run(context -> assertThat(context).hasNotFailed().hasSingleBean(SnowfleetClient.class));
    }

    @Test
    void meters() {
        runner.withBean(MeterRegistry.class, SimpleMeterRegistry::new).run(context -> {
            MeterRegistry registry = context.getBean(MeterRegistry.class);
            context.getBean("snowfleetMeters", io.micrometer.core.instrument.binder.MeterBinder.class).bindTo(registry);
            context.getBean(SnowfleetClient.class).next(7);
            assertThat(registry.get("snowfleet.client.calls").tag("result", "OK").functionCounter().count()).isEqualTo(1);
            assertThat(registry.get("snowfleet.client.ids").functionCounter().count()).isEqualTo(7);
            assertThat(registry.get("snowfleet.client.servers").gauge().value()).isEqualTo(1);
        });
    }

    @Entity(name = "Purchase")
    static class Purchase {
        @Id
        @SnowfleetGenerated
        Long id;
    }

    @AutoConfigurationPackage
    static class Application {}

    @Test
    void entities() {
        runner.withUserConfiguration(Application.class)
            .withConfiguration(AutoConfigurations.of(DataSourceAutoConfiguration.class, HibernateJpaAutoConfiguration.class))
            .withPropertyValues("spring.jpa.hibernate.ddl-auto=create", "spring.datasource.url=jdbc:h2:mem:purchases").run(context -> {
                EntityManagerFactory factory = context.getBean(EntityManagerFactory.class);
                try (var manager = factory.createEntityManager()) {
                    manager.getTransaction().begin();
                    Purchase each = new Purchase();
                    manager.persist(each);
                    manager.getTransaction().commit();
                    assertThat(each.id).isGreaterThan(5L << 40);
                }
            });
    }
}
