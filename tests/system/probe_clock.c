/* Runs a clock and writes what it sees, one JSON object per line and 50 ms, until standard input
 * ends. probe_clock POLL_MS WARN_MS MAX_MS REQUIRE_SYNC(0|1) COORDINATOR_OFFSET_MS(or -)
 * SOURCE... */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "base/ticks.h"
#include "clock/clock.h"

static void add_servers(struct sf_strbuf *buf, const struct sf_clock_snapshot *s)
{
    for (size_t i = 0; i < s->server_count; i++) {
        const struct sf_clock_server *v = &s->servers[i];
        sf_strbuf_addf(buf, "%s{\"name\":", i ? "," : "");
        sf_strbuf_add_json(buf, v->name);
        sf_strbuf_addf(buf, ",\"address\":");
        sf_strbuf_add_json(buf, v->address);
        sf_strbuf_addf(buf, ",\"state\":");
        sf_strbuf_add_json(buf, v->state);
        sf_strbuf_addf(buf, ",\"last_refusal\":");
        sf_strbuf_add_json(buf, v->last_refusal);
        sf_strbuf_addf(buf,
                       ",\"has_time\":%s,\"offset_ns\":%" PRId64 ",\"error_ns\":%" PRId64
                       ",\"delay_ns\":%" PRId64 ",\"age_ns\":%" PRId64 ",\"stratum\":%" PRIu32
                       ",\"polls\":%" PRIu64 ",\"answers\":%" PRIu64 ",\"timeouts\":%" PRIu64
                       ",\"refused\":%" PRIu64 ",\"kisses\":%" PRIu64 "}",
                       v->has_time ? "true" : "false", v->offset_ns, v->error_ns, v->delay_ns,
                       v->age_ns, v->stratum, v->polls, v->answers, v->timeouts, v->refused,
                       v->kisses);
    }
}

static void add_sources(struct sf_strbuf *buf, const struct sf_clock_snapshot *s)
{
    for (size_t i = 0; i < s->source_count; i++) {
        const struct sf_clock_source *v = &s->sources[i];
        sf_strbuf_addf(buf, "%s{\"name\":", i ? "," : "");
        sf_strbuf_add_json(buf, v->name);
        sf_strbuf_addf(buf, ",\"text\":");
        sf_strbuf_add_json(buf, v->text);
        sf_strbuf_addf(buf,
                       ",\"status\":\"%s\",\"up\":%s,\"has_time\":%s,\"offset_ns\":%" PRId64
                       ",\"error_ns\":%" PRId64 "}",
                       sf_reading_status_name(v->status), v->up ? "true" : "false",
                       v->has_time ? "true" : "false", v->offset_ns, v->error_ns);
    }
}

static void print(struct sf_clock *clock, int64_t started_ns)
{
    struct sf_clock_snapshot s;
    struct sf_clock_interval interval;
    struct sf_strbuf buf;
    sf_clock_snapshot(clock, &s);
    sf_clock_interval(clock, &interval);
    const struct sf_minttime mint = sf_minttime_read(sf_clock_cell(clock));
    const int64_t mono_ns = sf_mono_ns();
    sf_strbuf_init(&buf, 1 << 20);
    sf_strbuf_addf(&buf, "{\"at_ms\":%" PRId64 ",\"state\":\"%s\",\"text\":",
                   (mono_ns - started_ns) / SF_NS_PER_MS, sf_clock_state_name(s.verdict.state));
    sf_strbuf_add_json(&buf, s.verdict.text);
    sf_strbuf_addf(
        &buf,
        ",\"may_mint\":%s,\"synchronized\":%s,\"source\":\"%s\",\"offset_ns\":%" PRId64
        ",\"error_ns\":%" PRId64 ",\"mint_minus_real_ns\":%" PRId64 ",\"mint_ns\":%" PRId64
        ",\"earliest_ns\":%" PRId64 ",\"latest_ns\":%" PRId64
        ",\"interval_source\":\"%s\",\"steps_forward\":%" PRIu64 ",\"steps_backward\":%" PRIu64
        ",\"slewing\":%s,\"stall_ms\":%" PRId64 ",\"sources\":[",
        s.verdict.may_mint ? "true" : "false", s.verdict.synchronized ? "true" : "false",
        sf_clock_kind_name(s.verdict.source), s.verdict.offset_ns, s.verdict.error_ns,
        sf_minttime_at(&mint, mono_ns) - sf_real_ns(), sf_minttime_at(&mint, mono_ns),
        interval.earliest_ns, interval.latest_ns, sf_clock_kind_name(interval.source),
        s.steps_forward, s.steps_backward, s.slewing ? "true" : "false", sf_clock_stall_ms(clock));
    add_sources(&buf, &s);
    sf_strbuf_addf(&buf, "],\"servers\":[");
    add_servers(&buf, &s);
    sf_strbuf_addf(&buf, "]}\n");
    fwrite(buf.text, 1, buf.length, stdout);
    fflush(stdout);
    sf_strbuf_free(&buf);
}

/* The arguments up to NULL, as the list that they are in the option. */
static int parse_sources(char *const *arguments, struct sf_clock_specs *ret_sources,
                         struct sf_error *err)
{
    struct sf_strbuf list;
    sf_strbuf_init(&list, 1 << 16);
    for (size_t i = 0; arguments[i] != NULL; i++)
        sf_strbuf_addf(&list, "%s%s", i > 0 ? "," : "", arguments[i]);
    const int rc = sf_clock_specs_parse(list.text, ret_sources, err);
    sf_strbuf_free(&list);
    return rc;
}

int main(int argc, char **argv)
{
    struct sf_clock *clock = NULL;
    struct sf_error err = {0};
    struct sf_clock_specs sources = {.count = 0};
    if (argc < 6)
        return 64;
    if (argc > 6 && parse_sources(argv + 6, &sources, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 78;
    }
    struct sf_log *log = sf_log_create(2, SF_LOG_DEBUG, SF_LOG_TEXT);
    const struct sf_clock_options options = {.sources = &sources,
                                             .poll_ms = (uint32_t)atoi(argv[1]),
                                             .warn_offset_ms = (uint32_t)atoi(argv[2]),
                                             .max_offset_ms = (uint32_t)atoi(argv[3]),
                                             .require_sync = atoi(argv[4]) != 0,
                                             .log = log};
    const int64_t started_ns = sf_mono_ns();
    if (sf_clock_create(&options, &clock, &err) < 0 || sf_clock_start(clock, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        sf_clock_destroy(clock);
        sf_log_destroy(log);
        return 78;
    }
    print(clock, started_ns);
    for (;;) {
        struct pollfd in = {.fd = 0, .events = POLLIN};
        if (strcmp(argv[5], "-") !=
            0) /* a coordinator whose clock runs by the kernel's, plus this */
            sf_clock_coordinator_time(clock, sf_real_ns() / SF_NS_PER_MS + atoll(argv[5]), 2,
                                      sf_mono_ns());
        if (poll(&in, 1, 50) > 0)
            break;
        print(clock, started_ns);
    }
    sf_clock_destroy(clock);
    sf_log_destroy(log);
    return 0;
}
