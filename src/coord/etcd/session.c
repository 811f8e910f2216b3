/* coord/etcd/session.c - see session.h. */
#include "coord/etcd/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "coord/etcd/belief.h"
#include "coord/etcd/body.h"

#define RETRY_MAX_MS       1000
#define LOGIN_RETRY_MIN_MS 1000
#define LOGIN_MS           3000 /* bcrypt: 120 ms on an idle machine */
#define LOG_CHANGE_MS      1000
#define FAREWELL_MS        900

static void send_login(struct sf_etcd *etcd);
static void send_open(struct sf_etcd *etcd);

static void move(struct sf_etcd_session *session, enum sf_etcd_state to)
{
    static const bool allowed[4][4] = {
        [SF_ETCD_DOWN] = {[SF_ETCD_LOGIN] = true, [SF_ETCD_OPEN] = true},
        [SF_ETCD_LOGIN] = {[SF_ETCD_DOWN] = true, [SF_ETCD_OPEN] = true},
        [SF_ETCD_OPEN] = {[SF_ETCD_DOWN] = true, [SF_ETCD_UP] = true},
        [SF_ETCD_UP] = {[SF_ETCD_DOWN] = true, [SF_ETCD_OPEN] = true},
    };
    SF_ASSERT(session->state == to || allowed[session->state][to]);
    session->state = to;
}

static void announce_down(struct sf_etcd *etcd, const char *text)
{
    struct sf_etcd_session *session = etcd->session;
    if (session->announced || strcmp(session->told, text) != 0) {
        snprintf(session->told, sizeof session->told, "%s", text);
        session->announced = false;
        sf_etcd_notice(etcd, SF_COORD_DISCONNECTED, text);
    }
    /* What is wrong now is told soon, that it is still the same more rarely. */
    const bool same = strcmp(session->logged, text) == 0;
    if (sf_log_limited(etcd->log, &session->limit_down, same ? SF_ETCD_LOG_EVERY_MS : LOG_CHANGE_MS,
                       SF_LOG_WARN, "coordinator.unreachable", "%s", text))
        snprintf(session->logged, sizeof session->logged, "%s", text);
}

/* login, grant or keepalive did not work out at this endpoint. A whole round of that is a lost
 * connection. */
static void failed(struct sf_etcd *etcd, unsigned endpoint, enum sf_coord_reason reason,
                   const char *text)
{
    struct sf_etcd_session *session = etcd->session;
    const unsigned count = etcd->options.endpoint_count;
    const bool auth = reason == SF_COORD_AUTH;
    session->failures++;
    if (etcd->belief->current == endpoint)
        etcd->belief->current = (endpoint + 1) % count;
    if (session->failures % count != 0 && !(auth && session->state == SF_ETCD_LOGIN)) {
        if (session->state == SF_ETCD_UP) {
            session->keepalive_ns = sf_etcd_now_ns(etcd);
            return;
        }
        move(session, SF_ETCD_DOWN);
        session->retry_ns = sf_etcd_now_ns(etcd);
        return;
    }
    const unsigned rounds = (session->failures - 1) / count;
    int64_t wait_ms = SF_ETCD_RETRY_MIN_MS << (rounds < 5 ? rounds : 5);
    if (wait_ms > RETRY_MAX_MS)
        wait_ms = RETRY_MAX_MS;
    if (auth && wait_ms < LOGIN_RETRY_MIN_MS)
        wait_ms = LOGIN_RETRY_MIN_MS;
    session->retry_ns = sf_etcd_after_ms(etcd, wait_ms);
    move(session, SF_ETCD_DOWN);
    announce_down(etcd, text);
}

static void failed_result(struct sf_etcd *etcd, const struct sf_etcd_result *result)
{
    char text[SF_COORD_TEXT_MAX];
    memcpy(text, result->answer.text, sizeof text);
    if (result->answer.verdict == SF_ETCD_OK)
        sf_etcd_tell(etcd, result->endpoint, "an answer without its content", text);
    if (result->fate != SF_ETCD_ANSWERED)
        failed(etcd, result->endpoint, result->reason, result->text);
    else
        failed(etcd, result->endpoint,
               result->answer.verdict == SF_ETCD_DENIED ||
                       result->answer.verdict == SF_ETCD_BAD_TOKEN
                   ? SF_COORD_AUTH
                   : SF_COORD_UNREACHABLE,
               text);
}

/* Where there is no other member to turn to, one that is slow is not given up before the lease is in
 * danger: a fleet that starts at once would take it for gone. */
static int64_t patience_ms(const struct sf_etcd *etcd, int64_t timeout_ms)
{
    const int64_t ttl_ms = (int64_t)etcd->options.ttl_s * 1000;
    const int64_t alone_ms = etcd->session->lease != 0 ? ttl_ms / 2 : ttl_ms;
    const int64_t patient_ms = sf_etcd_patient_ms(etcd, timeout_ms);
    return etcd->options.endpoint_count == 1 && patient_ms < alone_ms ? alone_ms : patient_ms;
}

static void transfer_send(struct sf_etcd *etcd, const char *path, char *body, bool write,
                          int64_t timeout_ms, sf_etcd_done *done)
{
    const struct sf_etcd_send send = {.path = path,
                                      .body = body,
                                      .write = write,
                                      .with_token = strcmp(path, "/v3/auth/authenticate") != 0,
                                      .timeout_ms = patience_ms(etcd, timeout_ms),
                                      .endpoint = etcd->belief->current,
                                      .done = done};
    SF_ASSERT(etcd->session->transfer == NULL);
    etcd->session->transfer = sf_etcd_http_send(etcd, &send);
}

/* Login. */

/* Goes into a header: only visible ASCII. */
static bool token_ok(const char *token)
{
    size_t length = 0;
    for (; token != NULL && token[length] != '\0'; length++)
        if (token[length] <= ' ' || token[length] > '~' || length >= 8192)
            return false;
    return length > 0;
}

static void login_done(struct sf_etcd *etcd, void *ctx, const struct sf_etcd_result *result)
{
    (void)ctx;
    struct sf_etcd_session *session = etcd->session;
    session->transfer = NULL;
    const char *token = NULL;
    if (result->fate == SF_ETCD_ANSWERED && result->answer.verdict == SF_ETCD_OK)
        token = json_string_value(json_object_get(result->answer.root, "token"));
    if (result->fate == SF_ETCD_ANSWERED && result->answer.verdict == SF_ETCD_NO_AUTH) {
        sf_log_limited(etcd->log, &etcd->session->limit_login, SF_ETCD_LOG_EVERY_MS, SF_LOG_WARN,
                       "coordinator.no_auth",
                       "%s; coordinator.username is set, but everybody may write there",
                       result->answer.text);
        sf_etcd_set_token(etcd, NULL);
    } else if (token_ok(token)) {
        sf_etcd_set_token(etcd, token);
    } else {
        failed_result(etcd, result);
        return;
    }
    if (session->state == SF_ETCD_LOGIN) {
        move(session, SF_ETCD_OPEN);
        send_open(etcd);
    }
}

static void send_login(struct sf_etcd *etcd)
{
    struct sf_error err = {0};
    if (sf_etcd_options_password(&etcd->options, &err) < 0)
        sf_log_limited(etcd->log, &etcd->session->limit_login, SF_ETCD_LOG_EVERY_MS, SF_LOG_WARN,
                       "coordinator.password", "%s; the one read before is used", err.text);
    transfer_send(etcd, "/v3/auth/authenticate",
                  sf_etcd_body_login(etcd->options.username, etcd->options.password), false,
                  LOGIN_MS, login_done);
}

/* Lease. */

static void up(struct sf_etcd *etcd, uint64_t ttl_s)
{
    struct sf_etcd_session *session = etcd->session;
    session->ttl_s = ttl_s;
    session->failures = 0;
    etcd->belief->doubt = false;
    session->keepalive_ns = sf_etcd_now_ns(etcd) + (int64_t)(ttl_s * (SF_NS_PER_S / 3));
    if (session->state == SF_ETCD_UP)
        return;
    move(session, SF_ETCD_UP);
    session->announced = true;
    session->told[0] = '\0';
    char text[SF_COORD_TEXT_MAX];
    snprintf(text, sizeof text, "lease %" PRIu64 " of %" PRIu64 " s", session->lease, ttl_s);
    sf_etcd_tell(etcd, etcd->belief->current, text, text);
    sf_etcd_notice(etcd, SF_COORD_CONNECTED, text);
}

/* The lease is gone: say so, and make another one. */
static void lease_lost(struct sf_etcd *etcd)
{
    struct sf_etcd_session *session = etcd->session;
    char text[SF_COORD_TEXT_MAX];
    snprintf(text, sizeof text, "lease %" PRIu64 " has ended", session->lease);
    session->lease = 0;
    sf_etcd_notice(etcd, SF_COORD_SESSION_LOST, text);
    if (session->state == SF_ETCD_UP)
        move(session, SF_ETCD_OPEN);
    send_open(etcd);
}

static void grant_done(struct sf_etcd *etcd, void *ctx, const struct sf_etcd_result *result)
{
    (void)ctx;
    struct sf_etcd_session *session = etcd->session;
    session->transfer = NULL;
    uint64_t lease = 0, ttl_s = 0;
    if (result->fate == SF_ETCD_ANSWERED && result->answer.verdict == SF_ETCD_OK &&
        sf_etcd_get_u64(result->answer.root, "ID", &lease) == 0 && lease > 0 &&
        lease <= INT64_MAX && sf_etcd_get_u64(result->answer.root, "TTL", &ttl_s) == 0 &&
        ttl_s > 0 && ttl_s < 1000000) {
        session->lease = lease;
        up(etcd, ttl_s);
        return;
    }
    failed_result(etcd, result);
}

static void keepalive_done(struct sf_etcd *etcd, void *ctx, const struct sf_etcd_result *result)
{
    (void)ctx;
    struct sf_etcd_session *session = etcd->session;
    session->transfer = NULL;
    uint64_t ttl_s = 0, lease = 0;
    const bool answered = result->fate == SF_ETCD_ANSWERED && result->answer.verdict == SF_ETCD_OK;
    const bool told = answered && sf_etcd_get_u64(result->answer.root, "ID", &lease) == 0 &&
                      lease == session->lease &&
                      sf_etcd_get_u64(result->answer.root, "TTL", &ttl_s) == 0;
    if (answered && !told)
        sf_etcd_http_distrust(result); /* it is of another request */
    if (told && ttl_s > 0 && ttl_s < 1000000)
        up(etcd, ttl_s);
    else if (told ||
             (result->fate == SF_ETCD_ANSWERED && result->answer.verdict == SF_ETCD_NO_LEASE))
        lease_lost(etcd);
    else if (session->state == SF_ETCD_UP && etcd->belief->relogin)
        return; /* the token: log in first, then again */
    else
        failed_result(etcd, result);
}

static void send_keepalive(struct sf_etcd *etcd)
{
    transfer_send(etcd, "/v3/lease/keepalive", sf_etcd_body_lease(etcd->session->lease), false,
                  SF_ETCD_REQUEST_MS, keepalive_done);
}

static void send_open(struct sf_etcd *etcd)
{
    if (etcd->session->lease != 0)
        send_keepalive(etcd);
    else
        transfer_send(etcd, "/v3/lease/grant", sf_etcd_body_grant(etcd->options.ttl_s), true,
                      SF_ETCD_REQUEST_MS, grant_done);
}

/* Turning. */

/* What is there now is not what was there before: a session that goes on across that must not hide
 * it. Whoever reads again after DISCONNECTED reads from the new one. */
static void begin_again(struct sf_etcd *etcd)
{
    etcd->belief->went_back = false;
    if (etcd->session->state != SF_ETCD_UP)
        return; /* it was told already, and what comes is a connection */
    move(etcd->session, SF_ETCD_DOWN);
    etcd->session->retry_ns = sf_etcd_now_ns(etcd);
    announce_down(etcd, "the cluster was made anew or restored");
}

void sf_etcd_session_turn(struct sf_etcd *etcd)
{
    struct sf_etcd_session *session = etcd->session;
    const int64_t now_ns = sf_etcd_now_ns(etcd);
    if (session->transfer != NULL)
        return;
    if (etcd->belief->went_back)
        begin_again(etcd);
    if (session->state == SF_ETCD_DOWN && now_ns >= session->retry_ns) {
        const bool login = etcd->options.username != NULL &&
                           (etcd->belief->token == NULL || etcd->belief->relogin);
        move(session, login ? SF_ETCD_LOGIN : SF_ETCD_OPEN);
        if (login)
            send_login(etcd);
        else
            send_open(etcd);
    } else if (session->state == SF_ETCD_UP && etcd->belief->relogin) {
        send_login(etcd);
    } else if (session->state == SF_ETCD_UP &&
               (etcd->belief->doubt || now_ns >= session->keepalive_ns)) {
        send_keepalive(etcd);
    }
}

bool sf_etcd_session_ready(const struct sf_etcd *etcd)
{
    return etcd->session->state == SF_ETCD_UP && !etcd->belief->relogin;
}

int64_t sf_etcd_session_due_ns(const struct sf_etcd *etcd)
{
    const struct sf_etcd_session *session = etcd->session;
    if (session->transfer != NULL)
        return INT64_MAX;
    if (etcd->belief->went_back)
        return 0;
    if (session->state == SF_ETCD_UP)
        return etcd->belief->relogin || etcd->belief->doubt ? 0 : session->keepalive_ns;
    return session->retry_ns;
}

/* The end. */

struct farewell {
    bool ended, again;
};

static void revoke_done(struct sf_etcd *etcd, void *ctx, const struct sf_etcd_result *result)
{
    struct farewell *farewell = ctx;
    etcd->session->transfer = NULL;
    farewell->ended = true;
    farewell->again =
        result->fate != SF_ETCD_ANSWERED || result->answer.verdict == SF_ETCD_UNAVAILABLE;
    if (farewell->again)
        etcd->belief->current = (result->endpoint + 1) % etcd->options.endpoint_count;
}

void sf_etcd_session_farewell(struct sf_etcd *etcd)
{
    struct sf_etcd_session *session = etcd->session;
    const int64_t end_ns = sf_etcd_now_ns(etcd) + FAREWELL_MS * SF_NS_PER_MS;
    sf_etcd_http_cancel(etcd, session->transfer);
    session->transfer = NULL;
    if (session->lease == 0)
        return;
    for (unsigned i = 0; i < etcd->options.endpoint_count; i++) {
        const int64_t left_ms = (end_ns - sf_etcd_now_ns(etcd)) / SF_NS_PER_MS;
        if (left_ms <= 0)
            return;
        struct farewell farewell = {false, false};
        struct sf_etcd_send send = {.path = "/v3/lease/revoke",
                                    .body = sf_etcd_body_lease(session->lease),
                                    .write = true,
                                    .with_token = true,
                                    .timeout_ms =
                                        left_ms < SF_ETCD_REQUEST_MS ? left_ms : SF_ETCD_REQUEST_MS,
                                    .endpoint = etcd->belief->current,
                                    .done = revoke_done,
                                    .ctx = &farewell};
        session->transfer = sf_etcd_http_send(etcd, &send);
        while (!farewell.ended) {
            sf_etcd_http_turn(etcd);
            if (!farewell.ended)
                curl_multi_poll(etcd->http->multi, NULL, 0, 20, NULL);
        }
        if (!farewell.again)
            return;
    }
}
