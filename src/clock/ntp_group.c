/* clock/ntp_group.c - the majority of the NTP servers, and their driver. */
#include "clock/ntp_group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "clock/drivers.h"
#include "clock/select.h"

/* Fills an interval for every server that counts; false while some have not had time to answer
 * since the start. */
static bool collect(struct sf_ntp_server *servers, size_t count, const struct sf_source_env *env,
                    int64_t mono_ns, struct sf_select_interval *intervals)
{
    bool settled = true;
    for (size_t i = 0; i < count; i++) {
        struct sf_ntp_server *server = &servers[i];
        const struct sf_ntp_sample *best = sf_ntp_filter_best(&server->filter, mono_ns);
        settled = settled && (server->heard || server->tried);
        server->counted =
            best != NULL && mono_ns - server->good_mono_ns <= sf_ntp_server_stale_ns(server, env);
        intervals[i].answered = server->counted;
        if (server->counted) {
            const int64_t error_ns = sf_ntp_sample_error_ns(best, mono_ns);
            intervals[i].low = sf_clock_sub_ns(best->base_ns, error_ns);
            intervals[i].high = sf_clock_add_ns(best->base_ns, error_ns);
        }
    }
    return settled;
}

/* "2 of 3 servers agree, falseticker ntp:10.0.0.4" and how many agree. */
static void tell(struct sf_ntp_server *servers, size_t count,
                 const struct sf_select_interval *intervals, struct sf_reading *reading)
{
    size_t answered = 0, liars = 0;
    const char *liar = "";
    for (size_t i = 0; i < count; i++) {
        servers[i].falseticker = intervals[i].falseticker;
        answered += intervals[i].answered;
        liars += intervals[i].falseticker;
        if (intervals[i].falseticker)
            liar = servers[i].peer.spec.text;
    }
    reading->sources = (uint32_t)(answered - liars);
    if (reading->status == SF_READING_NO_MAJORITY)
        snprintf(reading->text, sizeof reading->text, "%zu of %zu servers answer, and disagree",
                 answered, count);
    else if (reading->status == SF_READING_SYNCED && liars > 0)
        snprintf(reading->text, sizeof reading->text,
                 "%" PRIu32 " of %zu servers agree, falseticker %.*s", reading->sources, count, 100,
                 liar);
    else if (reading->status == SF_READING_SYNCED)
        snprintf(reading->text, sizeof reading->text, "%" PRIu32 " of %zu servers agree",
                 reading->sources, count);
    else
        snprintf(reading->text, sizeof reading->text, "%zu of %zu servers answer", answered, count);
}

static int64_t newest_good_ns(const struct sf_ntp_server *servers, size_t count,
                              const struct sf_select_interval *intervals)
{
    int64_t newest = INT64_MIN;
    for (size_t i = 0; i < count; i++)
        if (intervals[i].answered && !intervals[i].falseticker && servers[i].good_mono_ns > newest)
            newest = servers[i].good_mono_ns;
    return newest;
}

void sf_ntp_group_read(struct sf_ntp_server *servers, size_t count, const struct sf_source_env *env,
                       int64_t mono_ns, const struct sf_reading *last,
                       struct sf_reading *ret_reading)
{
    struct sf_select_interval intervals[SF_SELECT_MAX] = {0};
    int64_t low = 0, high = 0;
    SF_ASSERT(count <= SF_SELECT_MAX);
    const bool settled = collect(servers, count, env, mono_ns, intervals);
    const enum sf_select_verdict verdict = sf_select(intervals, count, &low, &high);
    struct sf_reading reading = *last;
    reading.kind = SF_CLOCK_NTP;
    reading.stale_after_ns = SF_SOURCE_STALE_POLLS * env->poll_ns + SF_SOURCE_TIMEOUT_NS;
    reading.expired_after_ns = SF_SOURCE_HOLDOVER_POLLS * env->poll_ns;
    if (verdict == SF_SELECT_MAJORITY && (settled || last->status != SF_READING_NONE)) {
        reading.status = SF_READING_SYNCED;
        reading.has_time = true;
        reading.as_of_mono_ns = mono_ns;
        reading.base_ns = low + (high - low) / 2;
        reading.error_ns = (high - low + 1) / 2;
        reading.good_mono_ns = newest_good_ns(servers, count, intervals);
        for (size_t i = 0; i < count; i++)
            if (servers[i].counted &&
                sf_ntp_server_stale_ns(&servers[i], env) > reading.stale_after_ns)
                reading.stale_after_ns = sf_ntp_server_stale_ns(&servers[i], env);
    } else if (verdict == SF_SELECT_NO_MAJORITY && settled) {
        reading.status = SF_READING_NO_MAJORITY;
        reading.has_time = false;
    } else if (last->has_time) {
        reading.status = SF_READING_HOLDOVER;
    } else if (settled) {
        reading.status =
            last->status == SF_READING_NO_MAJORITY ? SF_READING_UNSYNCED : last->status;
    }
    tell(servers, count, intervals, &reading);
    *ret_reading = reading;
}

/* --- the driver --- */

struct group {
    struct sf_reading last;
    size_t count;
    struct sf_ntp_server servers[];
};

static void *group_open(const struct sf_clock_spec *const *specs, size_t count)
{
    struct group *group = calloc(1, sizeof *group + count * sizeof *group->servers);
    if (group == NULL)
        return NULL;
    group->last.kind = SF_CLOCK_NTP;
    group->count = count;
    for (size_t i = 0; i < count; i++)
        sf_ntp_server_init(&group->servers[i], specs[i]);
    return group;
}

static void group_close(void *source)
{
    struct group *group = source;
    for (size_t i = 0; i < group->count; i++)
        sf_ntp_server_end(&group->servers[i]);
    free(group);
}

static void group_poll(void *source, struct sf_source_env *env)
{
    struct group *group = source;
    /* Answers first: what is asked meanwhile would count as time on their way. */
    for (size_t i = 0; i < group->count; i++)
        sf_ntp_server_readable(&group->servers[i], env);
    for (size_t i = 0; i < group->count; i++)
        sf_ntp_server_turn(&group->servers[i], env);
}

static size_t group_fds(const void *source, struct pollfd *fds)
{
    const struct group *group = source;
    size_t n = 0;
    for (size_t i = 0; i < group->count; i++)
        if (group->servers[i].fd >= 0)
            fds[n++] = (struct pollfd){.fd = group->servers[i].fd, .events = POLLIN};
    return n;
}

static int64_t group_due_mono_ns(const void *source)
{
    const struct group *group = source;
    int64_t first_ns = INT64_MAX;
    for (size_t i = 0; i < group->count; i++) {
        const int64_t due_ns = sf_ntp_server_due_mono_ns(&group->servers[i]);
        first_ns = due_ns < first_ns ? due_ns : first_ns;
    }
    return first_ns;
}

static void group_read(void *source, struct sf_source_env *env, struct sf_reading *ret_reading)
{
    struct group *group = source;
    const struct sf_reading last = group->last;
    sf_ntp_group_read(group->servers, group->count, env, env->ticks->mono_ns(env->ticks->ctx),
                      &last, &group->last);
    *ret_reading = group->last;
}

static size_t group_describe(const void *source, struct sf_clock_now now,
                             struct sf_clock_server *ret_servers, size_t max)
{
    const struct group *group = source;
    const size_t count = group->count < max ? group->count : max;
    for (size_t i = 0; i < count; i++)
        sf_ntp_server_describe(&group->servers[i], now, &ret_servers[i]);
    return count;
}

const struct sf_clock_driver sf_ntp_driver = {
    .kind = SF_CLOCK_NTP,
    .joint = true,
    .open = group_open,
    .close = group_close,
    .poll = group_poll,
    .fds = group_fds,
    .due_mono_ns = group_due_mono_ns,
    .read = group_read,
    .describe = group_describe,
};
