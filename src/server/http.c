/* Requests over HTTP. One for IDs becomes the session's partial NEXT at once, so that queue, limits
 * and minting are those of frames; only what comes in and what goes out is written otherwise. */
#include "server/http.h"

#include "http/ask.h"
#include "http/hosts.h"
#include "server/answer.h"
#include "server/answer_http.h"
#include "server/auth.h"
#include "server/internal.h"
#include "server/next.h"
#include "server/partial.h"
#include "server/work.h"

/* What a status of HTTP is counted as, where none of the protocol's was before it. */
static enum sf_wire_status counted_as(unsigned status)
{
    switch (status) {
    case 401:
    case 403:
        return SF_WIRE_DENIED;
    case 404:
    case 405:
    case 501:
    case 505:
        return SF_WIRE_UNSUPPORTED;
    case 413:
    case 414:
    case 431:
        return SF_WIRE_TOO_LARGE;
    case 429:
        return SF_WIRE_RATE_LIMITED;
    case 503:
        return SF_WIRE_NOT_READY;
    default:
        return SF_WIRE_BAD_REQUEST;
    }
}

static bool refuse(struct sf_session *session, unsigned status, uint32_t retry_after_ms,
                   const char *why)
{
    if (!sf_answer_http(session, status, retry_after_ms, why))
        return false;
    sf_answer_count(session, SF_REQUEST_OTHER, counted_as(status), 1);
    return true;
}

/* An answer is over. */
static void settle_answer(struct sf_session *session)
{
    if (session->closes)
        sf_session_end(session, SF_CONN_CLOSED_PEER);
}

/* --- who asks --- */

enum admission { ADMITTED, REFUSED, STALLED };

static enum admission refuse_stranger(struct sf_session *session, bool guessed, int64_t wait_ns)
{
    if ((guessed || wait_ns > 0) && session->auth_tries + 1 >= SF_AUTH_TRIES_MAX)
        session->closes = true;
    const bool answered = wait_ns > 0
                              ? refuse(session, 429, sf_clip_ns(wait_ns), SF_AUTH_TOO_MANY)
                              : refuse(session, 401, 0,
                                       guessed ? "the token is not known here"
                                               : "a token is needed: Authorization: Bearer TOKEN");
    if (!answered) {
        if (guessed)
            sf_auth_forget(session);
        return STALLED;
    }
    if (guessed || wait_ns > 0)
        sf_auth_refuse(session, guessed);
    return REFUSED;
}

/* Each request shows its token: behind a proxy a connection has requests of many. Where none is asked
 * for, a stranger's page could ask in the name of whoever has it open (http/hosts.h). */
static enum admission admit(struct sf_session *session, const struct sf_http_request *request)
{
    struct sf_settings *settings = &session->shard->settings;
    if (session->inside && settings->wants_certificate)
        return refuse(session, 403, 0,
                      "the data port asks for client certificates, which cannot be shown here: use "
                      "listen.http_address")
                   ? REFUSED
                   : STALLED;
    if (settings->tokens == NULL && !session->inside && !settings->wants_certificate &&
        !sf_http_host_allowed(session->shard->server->hosts, request->host))
        return refuse(session, 403, 0,
                      "this worker does not go by the name in the field Host: ask by its address, "
                      "or name it in admin.allowed_hosts")
                   ? REFUSED
                   : STALLED;
    if (settings->tokens == NULL)
        return ADMITTED;
    const struct sf_http_text given = sf_http_bearer(request);
    if (given.at == NULL)
        return refuse_stranger(session, false, 0);
    if (sf_auth_is_valid(session) && sf_token_is(session->token, given.at, given.size))
        return ADMITTED;
    int64_t wait_ns = 0;
    struct sf_token *token = sf_auth_look(session, given.at, given.size, &wait_ns);
    if (token == NULL)
        return refuse_stranger(session, wait_ns == 0, wait_ns);
    sf_auth_accept(session, token);
    return ADMITTED;
}

/* --- what is asked --- */

static bool decode(struct sf_session *session, uint64_t id)
{
    const struct sf_server_host *host = &session->shard->server->options.host;
    char text[SF_SERVER_DECODED_MAX];
    const size_t size = host->decode(host->ctx, id, text, sizeof text);
    if (size == 0)
        return refuse(
            session, 503, 1000,
            "the fleet's layout is not known yet, or the time of this ID is out of range");
    if (!sf_answer_http_json(session, text, size))
        return false;
    sf_answer_count(session, SF_REQUEST_OTHER, SF_WIRE_OK, 1);
    return true;
}

/* Whether the request was answered or taken; false when the session is stalled. */
static bool serve_request(struct sf_session *session, const struct sf_http_request *request,
                          uint64_t id_budget)
{
    struct sf_http_ask ask = {0};
    char why[SF_HTTP_WHY_MAX];
    session->is_1_0 = request->is_1_0;
    /* A body would be taken for the next request. */
    session->closes =
        request->closes || request->has_body || session->goaway_sent || session->goaway_due;
    const enum admission admission = admit(session, request);
    if (admission != ADMITTED)
        return admission == REFUSED;
    const unsigned status = sf_http_ask_read(request, &ask, why);
    if (status != 0)
        return refuse(session, status, 0, why);
    return ask.what == SF_HTTP_IDS ? sf_next_one(session, ask.count, id_budget)
                                   : decode(session, ask.id);
}

/* What is at the front; returns the bytes used, 0 when more are needed or the session cannot go on now. */
static size_t serve_front(struct sf_session *session, const uint8_t *bytes, size_t size,
                          uint64_t id_budget)
{
    struct sf_http_request request;
    struct sf_http_problem problem;
    size_t used = 0;
    session->shard->work++;
    switch (sf_http_parse(bytes, size, &request, &used, &problem)) {
    case SF_HTTP_PARTIAL:
        return 0;
    case SF_HTTP_COMPLETE:
        if (!serve_request(session, &request, id_budget))
            return 0;
        if (session->partial.frame == NULL)
            settle_answer(session);
        return used;
    default:
        session->is_1_0 = false;
        session->closes = true;
        if (!refuse(session, problem.status, 0, problem.text))
            return 0;
        sf_metrics_add(session->shard->metrics, SF_METRIC_BAD_FRAMES, SF_BAD_FRAME_HTTP, 1);
        sf_session_end(session, SF_CONN_CLOSED_PROTOCOL);
        return size;
    }
}

/* Goes on with the answer that was begun; false when its turn is over. */
static bool go_on(struct sf_session *session, uint64_t *id_budget)
{
    if (!session->partial.sending)
        (void)sf_next_resume(session, NULL, 0, id_budget);
    if (session->partial.sending) {
        if (!sf_answer_http_continue(session)) {
            session->unfinished = session->state == SF_SERVING;
            return false;
        }
        sf_partial_drop(session);
    }
    if (session->partial.frame == NULL)
        settle_answer(session);
    return true;
}

size_t sf_http_serve(struct sf_session *session, const uint8_t *bytes, size_t size,
                     uint64_t id_budget)
{
    size_t at = 0;
    while (session->state == SF_SERVING && !session->ending) {
        if (session->partial.frame != NULL) {
            if (!go_on(session, &id_budget))
                break;
        } else {
            const size_t used =
                at < size ? serve_front(session, bytes + at, size - at, id_budget) : 0;
            if (used == 0)
                break;
            at += used;
        }
        if (session->state == SF_SERVING && sf_work_is_spent(session->shard)) {
            session->unfinished = at < size || session->partial.frame != NULL;
            break;
        }
    }
    return at;
}
