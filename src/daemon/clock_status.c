/* The clock's part of /status. */
#include "daemon/clock_status.h"

#include "base/ticks.h"
#include "daemon/json.h"

/* One NTP server, or one source of a chronyd; offset, error and age are null without a time. */
static json_t *server_json(const struct sf_clock_server *server)
{
    json_t *to = json_object();
    sf_json_set(to, "kind", json_string(sf_clock_kind_name(server->kind)));
    sf_json_set(to, "name", json_string(server->name));
    sf_json_set(to, "address", json_string(server->address));
    sf_json_set(to, "state", json_string(server->state));
    sf_json_set(to, "stratum", sf_json_integer(server->stratum));
    sf_json_set(to, "offset_ns", sf_json_integer_if(server->has_time, server->offset_ns));
    sf_json_set(to, "error_ns", sf_json_integer_if(server->has_time, server->error_ns));
    sf_json_set(to, "age_ms", sf_json_integer_if(server->has_time, server->age_ns / SF_NS_PER_MS));
    sf_json_set(to, "delay_ns", sf_json_integer(server->delay_ns));
    sf_json_set(to, "polls", sf_json_integer((int64_t)server->polls));
    sf_json_set(to, "answers", sf_json_integer((int64_t)server->answers));
    sf_json_set(to, "timeouts", sf_json_integer((int64_t)server->timeouts));
    sf_json_set(to, "refused", sf_json_integer((int64_t)server->refused));
    sf_json_set(to, "kisses", sf_json_integer((int64_t)server->kisses));
    sf_json_set(to, "last_refusal", json_string(server->last_refusal));
    return to;
}

json_t *sf_clock_status_json(struct sf_daemon *d)
{
    struct sf_clock_snapshot snapshot;
    sf_member_clock(d->member, &snapshot);
    const struct sf_clock_verdict *verdict = &snapshot.verdict;
    json_t *clock = json_object(), *sources = json_array(), *servers = json_array();
    sf_json_set(clock, "verdict",
                json_string(verdict->state == SF_CLOCK_OK     ? "ok"
                            : verdict->state == SF_CLOCK_WARN ? "warn"
                                                              : "bad"));
    sf_json_set(clock, "state", json_string(sf_clock_state_name(verdict->state)));
    sf_json_set(clock, "text", json_string(verdict->text));
    sf_json_set(clock, "source", json_string(sf_clock_kind_name(verdict->source)));
    sf_json_set(clock, "offset_ns", sf_json_integer(verdict->offset_ns));
    sf_json_set(clock, "error_ns", sf_json_integer(verdict->error_ns));
    sf_json_set(clock, "synchronized", json_boolean(verdict->synchronized));
    sf_json_set(clock, "warn_offset_ms", sf_json_integer(d->config->clock_warn_offset_ms));
    sf_json_set(clock, "max_offset_ms", sf_json_integer(d->config->clock_max_offset_ms));
    sf_json_set(clock, "steps",
                sf_json_integer((int64_t)(snapshot.steps_forward + snapshot.steps_backward)));
    sf_json_set(clock, "slewing", json_boolean(snapshot.slewing));
    if (snapshot.coordinator_known) {
        sf_json_set(clock, "coordinator_offset_ns",
                    sf_json_integer(snapshot.coordinator_offset_ns));
        sf_json_set(clock, "coordinator_error_ns", sf_json_integer(snapshot.coordinator_error_ns));
    }
    for (size_t i = 0; i < snapshot.source_count; i++) {
        const struct sf_clock_source *source = &snapshot.sources[i];
        json_array_append_new(
            sources,
            json_pack("{s:s,s:b,s:b,s:I,s:I,s:I,s:s,s:s}", "name", source->name, "up",
                      source->has_time, "synchronized", source->up, "offset_ns",
                      (json_int_t)source->offset_ns, "error_ns", (json_int_t)source->error_ns,
                      "age_ms", (json_int_t)(source->age_ns / SF_NS_PER_MS), "status",
                      sf_reading_status_name(source->status), "text", source->text));
    }
    for (size_t i = 0; i < snapshot.server_count; i++)
        json_array_append_new(servers, server_json(&snapshot.servers[i]));
    sf_json_set(clock, "sources", sources);
    sf_json_set(clock, "servers", servers);
    return clock;
}
