/* What the admin port asks for. */
#include "daemon/admin_host.h"

#include "daemon/drain.h"
#include "daemon/fleet.h"
#include "daemon/health.h"
#include "daemon/history.h"
#include "daemon/reload.h"
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

static void history(void *ctx, uint64_t after, struct sf_strbuf *to)
{
    sf_history_json(ctx, after, to);
}

static void drain(void *ctx)
{
    sf_drain_ask(ctx);
}

static int reload(void *ctx, struct sf_strbuf *to)
{
    return sf_reload_ask(ctx, to);
}

static bool is_fleet_admin(void *ctx, const char *address)
{
    return sf_fleet_has_admin(ctx, address);
}

static int connect_data(void *ctx, const struct sockaddr *peer, int *ret_fd)
{
    const struct sf_daemon *d = ctx;
    return sf_server_connect(d->server, peer, ret_fd);
}

void sf_admin_host_fill(struct sf_daemon *d, struct sf_admin_host *ret)
{
    *ret = (struct sf_admin_host){.ctx = d,
                                  .readiness = readiness,
                                  .live = live,
                                  .started = started,
                                  .status = status,
                                  .fleet = fleet,
                                  .history = history,
                                  .connect = connect_data,
                                  .drain = drain,
                                  .reload = reload,
                                  .is_fleet_admin = is_fleet_admin};
}
