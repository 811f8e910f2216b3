/* May this process be sent requests, and does it live. */
#include "daemon/health.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/ticks.h"

enum sf_worker_state sf_health_state(const struct sf_daemon *d,
                                     const struct sf_member_snapshot *member)
{
    return atomic_load(&d->phase) == SF_PHASE_RUNNING ? member->state : SF_WORKER_DRAINING;
}

/* Returns true when it stands still. */
static bool stalled(struct sf_strbuf *to, const char *name, int64_t since_ms)
{
    if (since_ms <= SF_DAEMON_STALL_MS)
        return false;
    sf_strbuf_addf(to, "%s: has not turned for %" PRId64 " ms\n", name, since_ms);
    return true;
}

bool sf_health_live(struct sf_daemon *d, struct sf_strbuf *to)
{
    struct sf_member_snapshot member;
    sf_member_snapshot(d->member, &member);
    const int64_t now_ms = sf_mono_ns() / SF_NS_PER_MS;
    bool stands = stalled(to, "main", now_ms - atomic_load(&d->turned_mono_ms));
    if (!member.ended)
        stands |= stalled(to, "member", now_ms - member.turned_mono_ms);
    /* As the member saw it: a process that was stopped as a whole has stalled no clock. */
    stands |= stalled(to, "clock", member.clock_stalled_ms);
    uint32_t stalls_ms[SF_SERVER_THREADS_MAX];
    const size_t shards = sf_server_stalls_ms(d->server, stalls_ms);
    for (size_t i = 0; i < shards; i++) {
        char name[32];
        snprintf(name, sizeof name, "shard %zu", i);
        stands |= stalled(to, name, stalls_ms[i]);
    }
    return !stands;
}

/* The slot whose reservation lasts longest. */
static void slot_facts(const struct sf_member_snapshot *member, struct sf_readiness_facts *facts)
{
    for (unsigned i = 0; i < member->slot_count; i++) {
        const struct sf_member_slot *slot = &member->slots[i];
        if (!slot->held || (facts->slot_held && slot->left_ms <= facts->reservation_left_ms))
            continue;
        facts->slot_held = true;
        facts->worker = slot->worker;
        facts->fence = slot->fence;
        facts->reservation_left_ms = slot->left_ms;
    }
}

void sf_health_readiness(struct sf_daemon *d, struct sf_readiness *ret)
{
    struct sf_member_snapshot member;
    struct sf_clock_verdict verdict;
    uint32_t stalls_ms[SF_SERVER_THREADS_MAX];
    sf_member_snapshot(d->member, &member);
    sf_member_clock_verdict(d->member, &verdict);
    struct sf_readiness_facts facts = {
        .datacenter = d->config->fleet_datacenter,
        .slot_text = member.why,
        .reservation_needed_ms = (int64_t)d->config->drain_delay_ms + d->config->drain_timeout_ms,
        .coordinator_connected = member.connected,
        .clock_ok = verdict.may_mint,
        .clock_text = verdict.text,
        .draining = atomic_load(&d->phase) != SF_PHASE_RUNNING,
        .drain_text = "shutting down",
        .shards = (uint32_t)sf_server_stalls_ms(d->server, stalls_ms),
    };
    for (uint32_t i = 0; i < facts.shards; i++)
        facts.shards_stalled += stalls_ms[i] > SF_DAEMON_STALL_MS;
    if (member.state != SF_WORKER_EXHAUSTED) /* a slot without timestamps is none */
        slot_facts(&member, &facts);
    if (facts.reservation_needed_ms > member.slots[0].window_ms / 2)
        facts.reservation_needed_ms = member.slots[0].window_ms / 2;
    if (!member.connected && member.disconnected_mono_ms != 0)
        facts.coordinator_silent_ms = sf_mono_ns() / SF_NS_PER_MS - member.disconnected_mono_ms;
    sf_readiness_judge(&facts, ret);
}
