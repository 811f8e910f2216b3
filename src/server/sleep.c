/* How long the loop of a shard may sleep, and sleeping. */
#include "server/sleep.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "server/internal.h"
#include "server/queue.h"
#include "server/wheel.h"

#define WAIT_FOR_EVENT INT64_MAX
/* Waiting for a millisecond: at least this long, for two at once only when minting may run so far
 * ahead, and never for more at once. */
#define SLEEP_MIN_NS        20000
#define LONG_SLEEP_AHEAD_MS 4
#define LONG_SLEEP_MAX_MS   5
#define AFTER_SLEEP_MAX_MS  100

/* Until that many milliseconds of minting time have begun from the present one on. */
static int64_t steps_wait_ns(const struct sf_shard *shard, uint64_t steps)
{
    const int64_t most = (int64_t)steps * SF_NS_PER_MS;
    const int64_t wait =
        (int64_t)(shard->mint_ms + steps) * SF_NS_PER_MS - shard->phase_ns - shard->now_ns;
    return wait < SLEEP_MIN_NS ? SLEEP_MIN_NS : wait > most ? most : wait;
}

static uint64_t fewer(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When all that wait here need several turns anyway: most of the time that the queue needs, up to
 * half of what minting may run ahead (the rest is for waking up late), in milliseconds. The shards
 * share it evenly. 0: some need no more than one turn. */
static uint64_t long_sleep_ms(const struct sf_shard *shard)
{
    const struct sf_server *server = shard->server;
    if (shard->waiting_few > 0)
        return 0;
    const uint64_t most = fewer(sf_queue_ms(server) * 3 / 4, server->max_ahead_ms / 2);
    const uint64_t period = fewer(most, LONG_SLEEP_MAX_MS);
    return period > server->shard_count ? period - period % server->shard_count : period;
}

/* Until the next millisecond of minting time has begun. When more waits than one millisecond holds,
 * until the second next: as long as minting may run ahead no ID is lost by that, and it costs half
 * the wake-ups. A long sleep ends at this shard's own part of its period: who always woke right
 * behind another one would find no IDs. */
static int64_t next_ms_wait_ns(const struct sf_shard *shard)
{
    const struct sf_server *server = shard->server;
    const uint64_t ids = atomic_load_explicit(&server->waiting_ids, memory_order_relaxed);
    const bool much = 2 * ids >> server->sequence_bits >= 3 * server->options.generator_count;
    uint64_t steps = much && server->max_ahead_ms >= LONG_SLEEP_AHEAD_MS ? 2 : 1;
    const uint64_t period = long_sleep_ms(shard);
    if (period > steps) {
        const uint64_t part = period * shard->number / server->shard_count;
        steps = period - (shard->mint_ms + period - part) % period;
    }
    return steps_wait_ns(shard, steps);
}

/* In a long sleep all that happens on sessions that wait themselves is more of what is not served
 * yet; it need not wake anybody. Who has many requests on the way and just got the answers to all
 * of them will ask for more, and be read before the next ones are served. */
static bool may_sleep_blind(const struct sf_shard *shard)
{
    return shard->waiting_sessions > 0 && sf_queue_ids_wanted(shard) && long_sleep_ms(shard) > 0 &&
           shard->waiting_sessions + shard->coming_back ==
               atomic_load_explicit(&shard->connections, memory_order_relaxed);
}

/* Until the first that waits for its AFTER can be served; minting time may be stepped meanwhile, so
 * not for long at once. */
static int64_t after_wait_ns(const struct sf_shard *shard)
{
    const uint64_t now_ms = shard->mint_ms + shard->server->max_ahead_ms;
    const uint64_t steps = shard->after_ms > now_ms ? shard->after_ms - now_ms : 1;
    return steps_wait_ns(shard, steps < AFTER_SLEEP_MAX_MS ? steps : AFTER_SLEEP_MAX_MS);
}

static int64_t shorter(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long the loop may sleep; WAIT_FOR_EVENT when nothing is due before the next beat, which a
 * timer in the epoll set brings: a timeout would cost each turn the setting of a timer. */
static int64_t wait_ns(struct sf_shard *shard)
{
    if (shard->ready.next != &shard->ready)
        return 0;
    if (shard->waiting_sessions > 0 && sf_queue_ids_wanted(shard))
        return next_ms_wait_ns(shard);
    const int64_t ms = sf_wheel_wait_ms(shard, SF_HEARTBEAT_MS);
    int64_t ns = ms < SF_HEARTBEAT_MS ? ms * SF_NS_PER_MS : WAIT_FOR_EVENT;
    if (shard->waiting_sessions > 0)
        ns = shorter(ns, after_wait_ns(shard));
    if (shard->accept_again_ms != 0)
        ns = shorter(ns, SF_ACCEPT_PAUSE_MS * SF_NS_PER_MS / 4);
    return ns;
}

static int count_events(int count)
{
    SF_ASSERT(count >= 0 || errno == EINTR);
    return count < 0 ? 0 : count;
}

int sf_sleep(struct sf_shard *shard, struct epoll_event *events)
{
    const int64_t ns = wait_ns(shard);
    const struct timespec timeout = {.tv_sec = ns / SF_NS_PER_S, .tv_nsec = ns % SF_NS_PER_S};
    shard->slept_blind = false;
    if (ns == 0 || ns == WAIT_FOR_EVENT)
        return count_events(epoll_wait(shard->epoll, events, SF_EVENTS_MAX, ns == 0 ? 0 : -1));
    if (may_sleep_blind(shard)) {
        shard->slept_blind = true;
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &timeout, NULL); /* early after a signal */
        return count_events(epoll_wait(shard->epoll, events, SF_EVENTS_MAX, 0));
    }
    int count = epoll_pwait2(shard->epoll, events, SF_EVENTS_MAX, &timeout, NULL);
    if (count < 0 && errno == ENOSYS)
        count = epoll_wait(shard->epoll, events, SF_EVENTS_MAX,
                           (int)((ns + SF_NS_PER_MS - 1) / SF_NS_PER_MS));
    return count_events(count);
}
