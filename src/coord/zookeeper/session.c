/* coord/zookeeper/session.c - see session.h. */
#include "coord/zookeeper/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "coord/zookeeper/link.h"
#include "coord/zookeeper/watch.h"

#define RESOLVE_PATIENCE_MS 3000 /* then the addresses that we had before are used again */
#define FIRST_COMPLAINT_MS  1000 /* without a connection: say so */
#define RESOLVE_AGAIN_MS    3000 /* while there is no connection: addresses may have changed */
#define BACKOFF_MIN_MS      50
#define BACKOFF_DOUBLINGS   4    /* 800 ms, and with jitter up to 1200 */
#define GOOD_CONNECTION_MS  2000 /* one that lasted so long makes what failed before it forgotten */
#define POLL_MS             3000 /* looks at watched claims even when no watch fires */
#define POLL_FLEET_MS       900000 /* where no claims are watched: what is missed, renewals meet */
#define CHANGED_PAUSE_MS    50     /* between such notices */
#define CLOSE_PATIENCE_MS   1000
#define WATCHDOG_MS         200 /* the watchdogs need no better */

/* Notices. */

static void notify(struct sf_zk *z, enum sf_coord_event_kind kind, const char *text)
{
    z->coord.sink(z->coord.sink_ctx, sf_coord_event_notice(kind, "%s", text));
}

static void tell_down(struct sf_zk *z, const char *text)
{
    struct sf_zk_session *session = z->session;
    if (session->told_down)
        return;
    session->told_down = true;
    snprintf(session->down_why, sizeof session->down_why, "%s", text);
    notify(z, SF_COORD_DISCONNECTED, text);
}

/* The connection. */

static int64_t timeout_ns(const struct sf_zk *z)
{
    return (int64_t)z->options.session_timeout_ms * SF_NS_PER_MS;
}

static const struct sf_zk_address *next_address(struct sf_zk *z)
{
    struct sf_zk_session *session = z->session;
    SF_ASSERT(session->addresses != NULL && session->addresses->count > 0);
    return &session->addresses->at[session->next_address++ % session->addresses->count];
}

/* Each server once, then later each time, and never all workers at once. */
static int64_t pause_ns(struct sf_zk_session *session)
{
    const unsigned servers = session->addresses != NULL ? (unsigned)session->addresses->count : 1;
    if (session->failures < servers)
        return (int64_t)sf_prng_below(&session->prng, BACKOFF_MIN_MS) * SF_NS_PER_MS;
    const unsigned more = session->failures - servers;
    const uint64_t backoff_ms = (uint64_t)BACKOFF_MIN_MS
                                << (more < BACKOFF_DOUBLINGS ? more : BACKOFF_DOUBLINGS);
    return (int64_t)(backoff_ms / 2 + sf_prng_below(&session->prng, backoff_ms)) * SF_NS_PER_MS;
}

static int64_t next_ns(struct sf_zk *z, int64_t was_up_ns)
{
    struct sf_zk_session *session = z->session;
    if (was_up_ns > GOOD_CONNECTION_MS * SF_NS_PER_MS)
        session->failures = 0;
    const int64_t due_ns = sf_zk_now_ns(z) + pause_ns(session);
    session->failures++;
    return due_ns;
}

static void resolve(struct sf_zk *z)
{
    struct sf_zk_session *session = z->session;
    session->resolver = sf_zk_resolver_start(&z->options.url, z->inbox);
    session->resolve_started_ns = sf_zk_now_ns(z);
}

/* Not while a connection stands: where the servers are is of no concern then. */
static void resolve_again(struct sf_zk *z, int64_t now_ns)
{
    struct sf_zk_session *session = z->session;
    if (session->resolver == NULL && sf_zk_url_has_names(&z->options.url) &&
        now_ns - session->resolve_started_ns > RESOLVE_AGAIN_MS * SF_NS_PER_MS)
        resolve(z);
}

static void drop_link(struct sf_zk *z, bool pause, const char *text)
{
    struct sf_zk_session *session = z->session;
    struct sf_zk_link *link = z->link;
    char why[SF_COORD_TEXT_MAX];
    snprintf(why, sizeof why, "%s", text);
    tell_down(z, why);
    for (struct sf_zk_job *job = z->jobs; job != NULL; job = job->next)
        if (!job->finished)
            sf_zk_finish_unanswered(
                z, job, link->had_session ? SF_COORD_SESSION : SF_COORD_UNREACHABLE, why);
    if (link->had_session)
        notify(z, SF_COORD_SESSION_LOST, why);
    z->link = NULL;
    sf_zk_link_close(link, 0);
    session->next_link_ns = sf_zk_now_ns(z);
    if (pause)
        session->next_link_ns = next_ns(z, 0);
}

static void connected(struct sf_zk *z)
{
    z->session->told_down = false;
    z->session->down_why[0] = '\0';
    char text[SF_COORD_TEXT_MAX];
    snprintf(text, sizeof text, "session 0x%" PRIx64, (uint64_t)z->link->session_id);
    notify(z, SF_COORD_CONNECTED, text);
    sf_zk_watch_arm_all(z);
}

static void broken(struct sf_zk *z, const char *why)
{
    char text[SF_COORD_TEXT_MAX];
    snprintf(text, sizeof text, "the connection to ZooKeeper has broken (%.200s)", why);
    tell_down(z, text);
}

void sf_zk_session_resolved(struct sf_zk *z, struct sf_zk_addresses *addresses)
{
    struct sf_zk_session *session = z->session;
    sf_zk_resolver_abandon(session->resolver);
    session->resolver = NULL;
    if (addresses->failure[0] != '\0')
        sf_log_limited(z->log, &session->resolve_limiter, 10000, SF_LOG_WARN, "coordinator.resolve",
                       "%s", addresses->failure);
    if (addresses->count > 0) {
        free(session->addresses);
        session->addresses = addresses;
        return;
    }
    if (session->addresses == NULL) {
        tell_down(z, addresses->failure);
        session->next_link_ns = next_ns(z, 0);
    }
    free(addresses);
}

/* There is no link: resolve, or make one from what is resolved. */
static void update_no_link(struct sf_zk *z, int64_t now_ns)
{
    struct sf_zk_session *session = z->session;
    if (now_ns < session->next_link_ns)
        return;
    if (session->addresses == NULL && !sf_zk_url_has_names(&z->options.url)) {
        session->addresses = calloc(1, sizeof *session->addresses);
        SF_ASSERT(session->addresses != NULL);
        sf_zk_resolve(&z->options.url, session->addresses); /* literals: at once */
    }
    bool waiting = session->resolver != NULL &&
                   now_ns - session->resolve_started_ns < RESOLVE_PATIENCE_MS * SF_NS_PER_MS;
    if (session->addresses == NULL && session->resolver == NULL) {
        resolve(z);
        waiting = true;
    }
    if (session->addresses == NULL && !waiting)
        tell_down(z, "the names of the coordinator are not resolved yet");
    if (session->addresses == NULL || waiting)
        return;
    static const struct sf_zk_link_owner owner = {.connected = connected,
                                                  .broken = broken,
                                                  .watched = sf_zk_watch_event,
                                                  .answered = sf_zk_call_answered,
                                                  .next_address = next_address,
                                                  .next_ns = next_ns};
    z->link = sf_zk_link_open(z, &owner);
}

static void ignore_answer(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    (void)z;
    (void)job;
    (void)call;
}

static void update_unconnected(struct sf_zk *z, int64_t now_ns)
{
    struct sf_zk_link *link = z->link;
    const int64_t age_ns = now_ns - link->since_ns;
    char text[SF_COORD_TEXT_MAX];
    if (link->stage == SF_ZK_REFUSED)
        sf_log_limited(z->log, &z->auth_limiter, 10000, SF_LOG_ERROR, "coordinator.auth", "%s",
                       link->why);
    if (link->stage == SF_ZK_REFUSED || link->stage == SF_ZK_EXPIRED) {
        drop_link(z, link->stage == SF_ZK_REFUSED, link->why);
        return;
    }
    snprintf(text, sizeof text, "no server of the coordinator answers%s%.200s",
             link->why[0] != '\0' ? ": " : "", link->why);
    if (!link->had_session && age_ns > FIRST_COMPLAINT_MS * SF_NS_PER_MS)
        tell_down(z, text);
    if (link->had_session && age_ns > timeout_ns(z))
        drop_link(z, false, text);
    else
        resolve_again(z, now_ns);
}

/* Was nothing answered since, although something was asked? One that waits behind many others is
 * none the worse for it. */
static bool is_stuck(const struct sf_zk_link *link, int64_t since_ns)
{
    return link->oldest != NULL && link->oldest->sent_ns < since_ns && link->answered_ns < since_ns;
}

/* Never all workers at once. */
static int64_t poll_ms(struct sf_zk *z)
{
    const bool fleet_only = z->watches->on && z->watches->datacenters == 0;
    const int64_t least_ms = fleet_only ? POLL_FLEET_MS : POLL_MS / 2;
    return least_ms + (int64_t)sf_prng_below(&z->session->prng, (uint64_t)least_ms + 1);
}

static void update_link(struct sf_zk *z, int64_t now_ns)
{
    struct sf_zk_link *link = z->link;
    if (link == NULL) {
        update_no_link(z, now_ns);
        return;
    }
    if (!link->connected) {
        update_unconnected(z, now_ns);
        return;
    }
    if (is_stuck(link, now_ns - timeout_ns(z))) {
        drop_link(z, true,
                  "the coordinator has left a request unanswered for a whole session timeout");
        return;
    }
    if (now_ns < z->session->next_poll_ns)
        return;
    z->session->next_poll_ns = now_ns + poll_ms(z) * SF_NS_PER_MS;
    sf_zk_watch_arm_all(z);
    if (!z->watches->on && link->oldest == NULL) /* is anybody there? */
        sf_zk_exists(z, NULL, 0, z->options.root, false, ignore_answer);
}

static bool has_news(const struct sf_zk *z)
{
    return z->watches->changed || z->watches->fleet_changed;
}

static void tell_changed(struct sf_zk *z, int64_t now_ns)
{
    if (!has_news(z) || now_ns < z->session->next_changed_ns)
        return;
    z->session->next_changed_ns = now_ns + CHANGED_PAUSE_MS * SF_NS_PER_MS;
    if (z->watches->fleet_changed)
        notify(z, SF_COORD_FLEET_CHANGED, "");
    if (z->watches->changed)
        notify(z, SF_COORD_CHANGED, "");
    z->watches->changed = z->watches->fleet_changed = false;
}

/* The whole. */

void sf_zk_session_init(struct sf_zk *z)
{
    z->session->prng.state = sf_random_u64();
    z->session->next_address = (size_t)sf_prng_below(&z->session->prng, SF_ZK_ADDRESSES_MAX);
    z->session->next_link_ns = sf_zk_now_ns(z);
}

void sf_zk_session_turn(struct sf_zk *z)
{
    const int64_t now_ns = sf_zk_now_ns(z);
    update_link(z, now_ns);
    tell_changed(z, now_ns);
}

int64_t sf_zk_session_due_ns(const struct sf_zk *z)
{
    const struct sf_zk_session *session = z->session;
    int64_t due_ns = sf_zk_now_ns(z) + WATCHDOG_MS * SF_NS_PER_MS;
    if (has_news(z) && session->next_changed_ns < due_ns)
        due_ns = session->next_changed_ns;
    if (z->link == NULL && session->resolver == NULL && session->next_link_ns < due_ns)
        due_ns = session->next_link_ns;
    if (z->link != NULL && sf_zk_link_due_ns(z->link) < due_ns)
        due_ns = sf_zk_link_due_ns(z->link);
    return due_ns;
}

void sf_zk_session_end(struct sf_zk *z)
{
    struct sf_zk_session *session = z->session;
    if (z->link != NULL)
        sf_zk_link_close(z->link, CLOSE_PATIENCE_MS);
    z->link = NULL;
    sf_zk_resolver_abandon(session->resolver);
    session->resolver = NULL;
    free(session->addresses);
    session->addresses = NULL;
}
