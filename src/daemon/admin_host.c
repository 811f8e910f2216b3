/* What the admin port asks for. */
#include "daemon/admin_host.h"

#include <errno.h>
#include <stdio.h>

#include "base/ticks.h"
#include "daemon/drain.h"
#include "daemon/fleet.h"
#include "daemon/health.h"
#include "daemon/server_host.h"
#include "daemon/status.h"

static void readiness(void *ctx, struct sf_readiness *ret)
{
    sf_health_readiness(ctx, ret);
}

static bool live(void *ctx, struct sf_strbuf *to)
{
    return sf_health_live(ctx, to);
}

static bool started(void *ctx)
{
    struct sf_daemon *d = ctx;
    struct sf_member_snapshot member;
    sf_member_snapshot(d->member, &member);
    return member.was_ready;
}

static void status(void *ctx, struct sf_strbuf *to)
{
    sf_status(ctx, to);
}

static void fleet(void *ctx, struct sf_strbuf *to)
{
    sf_fleet(ctx, to);
}

static void drain(void *ctx)
{
    sf_drain_ask(ctx);
}

static bool is_fleet_admin(void *ctx, const char *address)
{
    return sf_fleet_has_admin(ctx, address);
}

/* All n from one generator, or none: the rest of a short mint is not handed out, since an answer is
 * whole or not at all. */
static enum sf_mint_result mint_from(struct sf_generator *gen, uint64_t now_ms, uint32_t n,
                                     uint64_t *ids)
{
    struct sf_mint minted;
    struct sf_run run;
    uint32_t have = 0;
    const enum sf_mint_result result = sf_generator_mint(gen, now_ms, 0, 0, n, &minted);
    if (result != SF_MINT_OK)
        return result;
    if (minted.count < n)
        return SF_MINT_WAIT;
    while (sf_run_take(gen, &minted, n - have, &run))
        for (uint32_t i = 0; i < run.count; i++)
            ids[have++] = run.first + i;
    return SF_MINT_OK;
}

static int mint(void *ctx, uint32_t n, uint64_t *ids, char *reason, size_t reason_size)
{
    struct sf_daemon *d = ctx;
    enum sf_mint_result result = SF_MINT_CLOSED;
    for (unsigned i = 0; i < d->generator_count; i++) {
        const uint64_t now_ms = sf_member_time_ms(d->time, sf_mono_ns());
        if (now_ms == 0)
            break;
        result = mint_from(d->generators[i], now_ms, n, ids);
        if (result == SF_MINT_OK)
            return 0;
    }
    if (result == SF_MINT_WAIT) {
        snprintf(reason, reason_size, "every ID of this millisecond is used: ask again");
        return -EAGAIN;
    }
    struct sf_server_refusal refusal;
    sf_server_host_refusal(d, result == SF_MINT_EXHAUSTED, &refusal);
    snprintf(reason, reason_size, "%s", refusal.reason);
    return -EAGAIN;
}

void sf_admin_host_fill(struct sf_daemon *d, struct sf_admin_host *ret)
{
    *ret = (struct sf_admin_host){.ctx = d,
                                  .readiness = readiness,
                                  .live = live,
                                  .started = started,
                                  .status = status,
                                  .fleet = fleet,
                                  .mint = mint,
                                  .drain = drain,
                                  .is_fleet_admin = is_fleet_admin};
}
