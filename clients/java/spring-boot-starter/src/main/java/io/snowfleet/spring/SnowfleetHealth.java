package io.snowfleet.spring;

import io.snowfleet.client.SnowfleetClient;
import io.snowfleet.client.SnowfleetException;
import java.util.Map;
import org.springframework.boot.actuate.health.AbstractHealthIndicator;
import org.springframework.boot.actuate.health.Health;

/** UP when the fleet gives an ID within a second. */
final class SnowfleetHealth extends AbstractHealthIndicator {
    private static final long PATIENCE_MS = 1000;
    private final SnowfleetClient client;

    SnowfleetHealth(SnowfleetClient client) {
        super("the fleet gives no IDs");
        this.client = client;
    }

    @Override
    protected void doHealthCheck(Health.Builder builder) {
        Map<String, Object> stats = client.stats();
        builder.withDetail("servers", stats.get("servers")).withDetail("servers_usable", stats.get("servers_usable"));
        try {
            client.next(1, PATIENCE_MS);
            builder.up();
        } catch (SnowfleetException e) {
            builder.down().withDetail("error", e.code().name()).withDetail("detail", e.detail());
        }
    }
}
