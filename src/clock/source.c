/* clock/source.c - the pace of questions, and the peer's address. */
#include "clock/source.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define PAIR_TRIES       4
#define PAIR_SPAN_MAX_NS INT64_C(50000)
#define FAILURES_ADDRESS 2 /* in a row, until another address is tried */
#define FAILURES_LOOKUP  8 /* in a row, until the name is looked up again */

struct sf_clock_now sf_clock_read_now(const struct sf_ticks *ticks)
{
    struct sf_clock_now now = {0, 0};
    for (int i = 0; i < PAIR_TRIES; i++) {
        const int64_t before_ns = ticks->mono_ns(ticks->ctx);
        now.real_ns = ticks->real_ns(ticks->ctx);
        const int64_t span_ns = ticks->mono_ns(ticks->ctx) - before_ns;
        now.mono_ns = before_ns + span_ns / 2;
        if (span_ns <= PAIR_SPAN_MAX_NS)
            break; /* not interrupted in between */
    }
    return now;
}

/* +-10 %. */
static int64_t jittered(struct sf_source_env *env, int64_t interval_ns)
{
    const int64_t tenth = interval_ns / 10;
    return interval_ns - tenth + (int64_t)sf_prng_below(&env->prng, 2 * (uint64_t)tenth + 1);
}

void sf_source_next(struct sf_source_pace *pace, struct sf_source_env *env, int64_t mono_ns,
                    bool failed)
{
    int64_t interval_ns = env->poll_ns;
    pace->failures = failed ? pace->failures + 1 : 0;
    for (unsigned i = 0; i < pace->failures && interval_ns < SF_SOURCE_BACKOFF_MAX * env->poll_ns;
         i++)
        interval_ns *= 2;
    if (env->fast && interval_ns > SF_SOURCE_FAST_NS)
        interval_ns = SF_SOURCE_FAST_NS;
    if (pace->burst_left > 0) {
        pace->burst_left--;
        if (interval_ns > SF_SOURCE_BURST_NS)
            interval_ns = SF_SOURCE_BURST_NS;
    }
    /* What a server has asked for goes before all haste. */
    if (pace->slower > 0 && interval_ns < env->poll_ns << pace->slower)
        interval_ns = env->poll_ns << pace->slower;
    pace->due_mono_ns = mono_ns + jittered(env, interval_ns);
}

static void take_lookup(struct sf_source_peer *peer, struct sf_source_pace *pace,
                        struct sf_source_env *env, int64_t mono_ns)
{
    struct sf_net_addresses found = {.count = 0};
    int error = 0;
    if (peer->lookup == NULL || !sf_net_lookup_take(peer->lookup, &found, &error))
        return;
    peer->lookup = NULL;
    if (error != 0) { /* keep the addresses that we have */
        snprintf(peer->trouble, sizeof peer->trouble, "name: %s", gai_strerror(error));
        if (peer->addresses.count == 0)
            sf_source_next(pace, env, mono_ns, true);
        return;
    }
    peer->addresses = found;
    peer->address = 0;
    pace->due_mono_ns = mono_ns;
}

static void start_lookup(struct sf_source_peer *peer, struct sf_source_env *env)
{
    peer->look_again = false;
    if (sf_net_numeric(&peer->spec.address, &peer->addresses))
        return;
    peer->lookup = sf_net_lookup_start(&peer->spec.address, env->wake_fd);
    if (peer->lookup == NULL)
        snprintf(peer->trouble, sizeof peer->trouble, "name: no thread for the lookup");
    else if (peer->trouble[0] == '\0')
        snprintf(peer->trouble, sizeof peer->trouble, "looking up the name");
}

const struct sf_net_address *sf_source_address(struct sf_source_peer *peer,
                                               struct sf_source_pace *pace,
                                               struct sf_source_env *env, int64_t mono_ns)
{
    take_lookup(peer, pace, env, mono_ns);
    /* When it is due, and not before: a name that fails at once would be asked for without end. */
    if (peer->lookup == NULL && mono_ns >= pace->due_mono_ns &&
        (peer->addresses.count == 0 || peer->look_again)) {
        start_lookup(peer, env);
        if (peer->addresses.count == 0)
            pace->due_mono_ns = mono_ns + SF_SOURCE_TIMEOUT_NS;
    }
    if (peer->addresses.count > 0)
        return &peer->addresses.list[peer->address];
    /* A lookup that is done wakes the thread; one that takes too long is a failure like no
     * answer. */
    if (mono_ns >= pace->due_mono_ns)
        sf_source_next(pace, env, mono_ns, true);
    return NULL;
}

void sf_source_failed(struct sf_source_peer *peer, const struct sf_source_pace *pace)
{
    const unsigned failures = pace->failures;
    if (failures > 0 && failures % FAILURES_ADDRESS == 0 && peer->addresses.count > 0)
        peer->address = (peer->address + 1) % peer->addresses.count;
    if (failures > 0 && failures % FAILURES_LOOKUP == 0)
        peer->look_again = true;
}

void sf_source_refused(struct sf_source_counters *counters, const char *why)
{
    counters->refused++;
    snprintf(counters->last_refusal, sizeof counters->last_refusal, "%s", why);
}

void sf_source_leave(struct sf_source_peer *peer)
{
    sf_net_lookup_abandon(peer->lookup);
    peer->lookup = NULL;
}
