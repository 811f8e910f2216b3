/* coord/zookeeper/session.c - see session.h. */
#include "coord/zookeeper/session.h"

#include <stdlib.h>

#include "base/assert.h"
#include "coord/zookeeper/link.h"
#include "coord/zookeeper/watch.h"

#define RESOLVE_PATIENCE_MS 3000 /* then the addresses that we had before are used again */
#define FIRST_COMPLAINT_MS  1000 /* without a connection: say so */
#define BACKOFF_MIN_MS      50
#define BACKOFF_MAX_MS      5000
#define POLL_MS             3000 /* looks at watched claims even when no watch fires */
#define CHANGED_PAUSE_MS    50   /* between such notices */
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
    notify(z, SF_COORD_DISCONNECTED, text);
}

/* The connection. */

static int64_t timeout_ns(const struct sf_zk *z)
{
    return (int64_t)z->options.session_timeout_ms * SF_NS_PER_MS;
}

/* The next try after a failure: later each time, and never all workers at once. */
static void pause_after_failure(struct sf_zk *z)
{
    struct sf_zk_session *session = z->session;
    const int64_t pause_ms = session->backoff_ms / 2 +
                             (int64_t)sf_prng_below(&session->prng, (uint64_t)session->backoff_ms);
    session->backoff_ms =
        session->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : session->backoff_ms * 2;
    session->next_link_ns = sf_zk_now_ns(z) + pause_ms * SF_NS_PER_MS;
}

static void drop_link(struct sf_zk *z, bool pause, const char *text)
{
    struct sf_zk_session *session = z->session;
    struct sf_zk_link *link = z->link;
    tell_down(z, text);
    for (struct sf_zk_job *job = z->jobs; job != NULL; job = job->next)
        if (!job->finished)
            sf_zk_finish_unanswered(
                z, job, link->had_session ? SF_COORD_SESSION : SF_COORD_UNREACHABLE, text);
    if (link->had_session)
        notify(z, SF_COORD_SESSION_LOST, text);
    z->link = NULL;
    sf_zk_link_close(link, 0);
    session->next_link_ns = sf_zk_now_ns(z);
    if (pause)
        pause_after_failure(z);
    if (sf_zk_url_has_names(&z->options.url) &&
        session->resolver == NULL) { /* addresses may have changed */
        session->resolver = sf_zk_resolver_start(&z->options.url, z->inbox);
        session->resolve_started_ns = sf_zk_now_ns(z);
    }
}

void sf_zk_session_note(struct sf_zk *z, const struct sf_zk_note *note)
{
    struct sf_zk_link *link = z->link;
    const int state = note->value;
    if (link == NULL || link->number != note->link_number)
        return;
    if (note->head.kind == SF_ZK_WATCHED) {
        if (link->connected)
            sf_zk_watch_arm(z, note->value);
    } else if (state == ZOO_CONNECTED_STATE) {
        if (link->connected)
            return;
        link->connected = true;
        link->had_session = true;
        link->since_ns = sf_zk_now_ns(z);
        z->session->backoff_ms = BACKOFF_MIN_MS;
        z->session->told_down = false;
        notify(z, SF_COORD_CONNECTED, "");
        sf_zk_watch_arm_all(z);
    } else if (state == ZOO_EXPIRED_SESSION_STATE) {
        drop_link(z, false, "the ZooKeeper session has expired");
    } else if (state == ZOO_AUTH_FAILED_STATE) {
        sf_log_limited(z->log, &z->auth_limiter, 10000, SF_LOG_ERROR, "coordinator.auth",
                       "ZooKeeper refuses the credentials");
        drop_link(z, true, "ZooKeeper refuses the credentials");
    } else if (link->connected) {
        link->connected = false;
        link->losses++;
        link->since_ns = sf_zk_now_ns(z);
        tell_down(z, "the connection to ZooKeeper has broken");
    }
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
        pause_after_failure(z);
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
        session->resolver = sf_zk_resolver_start(&z->options.url, z->inbox);
        session->resolve_started_ns = now_ns;
        waiting = true;
    }
    if (session->addresses == NULL && !waiting)
        tell_down(z, "the names of the coordinator are not resolved yet");
    if (session->addresses == NULL || waiting)
        return;
    struct sf_error err = {0};
    z->link = sf_zk_link_open(z, session->addresses, ++session->link_count, &err);
    if (z->link == NULL) {
        tell_down(z, err.text);
        pause_after_failure(z);
    }
}

static void ignore_answer(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    (void)z;
    (void)job;
    (void)call;
}

static void update_link(struct sf_zk *z, int64_t now_ns)
{
    struct sf_zk_link *link = z->link;
    if (link == NULL) {
        update_no_link(z, now_ns);
        return;
    }
    const int64_t age_ns = now_ns - link->since_ns;
    if (!link->connected) {
        if (!link->had_session && age_ns > FIRST_COMPLAINT_MS * SF_NS_PER_MS)
            tell_down(z, "no server of the coordinator answers");
        if (age_ns > timeout_ns(z))
            drop_link(z, !link->had_session,
                      "no server of the coordinator has answered for a whole session timeout");
        return;
    }
    if (link->oldest != NULL && now_ns - link->oldest->sent_ns > timeout_ns(z)) {
        drop_link(z, true,
                  "the coordinator has left a request unanswered for a whole session timeout");
        return;
    }
    if (now_ns < z->session->next_poll_ns)
        return;
    z->session->next_poll_ns = now_ns + POLL_MS * SF_NS_PER_MS;
    sf_zk_watch_arm_all(z);
    if (z->watches->datacenters == 0 && link->oldest == NULL) /* is anybody there? */
        sf_zk_exists(z, NULL, 0, z->options.root, NULL, ignore_answer);
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
    z->session->backoff_ms = BACKOFF_MIN_MS;
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
