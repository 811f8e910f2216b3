/* Frames: finding them, refusing the bad ones, answering all but NEXT. */
#include "server/request.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "server/answer.h"
#include "server/auth.h"
#include "server/info.h"
#include "server/internal.h"
#include "server/next.h"
#include "server/quota.h"
#include "server/work.h"

static void bad_frame(struct sf_session *session, unsigned part)
{
    sf_metrics_add(session->shard->metrics, SF_METRIC_BAD_FRAMES, part, 1);
}

/* What each request does. NEXT is minted in groups (mint.c); each of the others answers for itself.
 */
struct request {
    struct sf_wire_header header;
    const uint8_t *bytes; /* the frame's first byte; the frame is whole, */
    size_t size;          /* and what else was read stands behind it */
    uint64_t *id_budget;
};

/* Returns the bytes used; 0 when the session cannot go on now: it is served again later. */
typedef size_t serve(struct sf_session *session, const struct request *request);

static size_t used(const struct request *request, bool answered)
{
    return answered ? 4 + (size_t)request->header.length : 0;
}

static size_t serve_next(struct sf_session *session, const struct request *request)
{
    return sf_next_serve(session, request->bytes, request->size, request->id_budget);
}

static size_t serve_ping(struct sf_session *session, const struct request *request)
{
    return used(request,
                sf_answer_ok(session, &request->header, request->bytes + SF_WIRE_HEADER_SIZE,
                             request->header.length - SF_WIRE_LENGTH_MIN));
}

static size_t serve_info(struct sf_session *session, const struct request *request)
{
    const struct sf_info *info = sf_info_get(session->shard);
    const uint32_t max_batch = sf_quota_max_batch(session);
    if (max_batch >= info->max_batch)
        return used(request, sf_answer_ok(session, &request->header, info->text, info->size));
    char text[SF_INFO_MAX];
    const size_t size = sf_info_lower(info, max_batch, text);
    return used(request, sf_answer_ok(session, &request->header, text, size));
}

static size_t serve_time(struct sf_session *session, const struct request *request)
{
    const struct sf_server_host *host = &session->shard->server->options.host;
    struct sf_wire_time time;
    uint8_t body[SF_WIRE_TIME_SIZE];
    if (!host->time(host->ctx, &time))
        return used(request, sf_answer_error(session, SF_WIRE_TIME, SF_WIRE_UNSUPPORTED,
                                             request->header.request_id, 0,
                                             "this worker has no bound for its clock"));
    sf_wire_put_time_body(body, &time);
    return used(request, sf_answer_ok(session, &request->header, body, sizeof body));
}

/* Refused: its token is not known, or (wait_ns) too many from its address were not. */
static size_t refuse_auth(struct sf_session *session, const struct request *request,
                          int64_t wait_ns)
{
    const bool answered =
        wait_ns > 0
            ? sf_answer_error(session, SF_WIRE_AUTH, SF_WIRE_RATE_LIMITED,
                              request->header.request_id, sf_clip_ns(wait_ns), SF_AUTH_TOO_MANY)
            : sf_answer_error(session, SF_WIRE_AUTH, SF_WIRE_DENIED, request->header.request_id, 0,
                              "the token is not known here");
    if (!answered) {
        if (wait_ns == 0) /* it will be compared again */
            sf_auth_forget(session);
        return 0;
    }
    sf_auth_refuse(session, wait_ns == 0);
    return used(request, true);
}

static size_t serve_auth(struct sf_session *session, const struct request *request)
{
    _Static_assert(SF_TOKEN_MAX == SF_WIRE_TOKEN_MAX, "a token of the file fits AUTH");
    struct sf_token *token = NULL;
    int64_t wait_ns = 0;
    /* Without a token file there is nothing to prove: clients may send tokens before workers ask
     * for them. */
    if (session->shard->settings.tokens != NULL) {
        token = sf_auth_look(session, request->bytes + SF_WIRE_HEADER_SIZE,
                             request->header.length - SF_WIRE_LENGTH_MIN, &wait_ns);
        if (token == NULL)
            return refuse_auth(session, request, wait_ns);
    }
    if (!sf_answer_ok(session, &request->header, NULL, 0))
        return 0;
    if (token != NULL)
        sf_auth_accept(session, token);
    return used(request, true);
}

/* --- the rows of SF_WIRE_REQUESTS --- */

static serve *const serves[] = {
#define SF_X(NAME, name, number, flags, flag_names, least, most, auth) [number] = serve_##name,
    SF_WIRE_REQUESTS(SF_X)
#undef SF_X
};
/* A whole request is kept, and its label among the metrics follows from its number. */
#define SF_X(NAME, name, number, flags, flag_names, least, most, auth)                             \
    _Static_assert((most) <= SF_BODY_KEPT_MAX, #NAME " is kept until it is whole");                \
    _Static_assert((int)SF_REQUEST_##NAME == (number)-1, #NAME " has its label");
SF_WIRE_REQUESTS(SF_X)
#undef SF_X
_Static_assert((int)SF_REQUEST_OTHER == (int)SF_WIRE_REQUEST_TYPES, "every label is a request's");
#define SF_X(NAME, number)                                                                         \
    _Static_assert((int)SF_STATUS_##NAME == (number), #NAME " has its label");
SF_WIRE_STATUS_LIST(SF_X)
#undef SF_X
_Static_assert((int)SF_STATUSES == (int)SF_WIRE_STATUSES, "every label is a status'");

static bool refuse_type(struct sf_session *session, const struct sf_wire_header *header)
{
    bad_frame(session, SF_BAD_FRAME_TYPE);
    return sf_answer_error(session, header->type, SF_WIRE_UNSUPPORTED, header->request_id, 0,
                           "no such request type");
}

/* A whole frame of the right version. */
static size_t serve_whole(struct sf_session *session, const struct request *request)
{
    const struct sf_wire_header *header = &request->header;
    const char *reason;
    /* NEXT looks at itself when its turn comes: those before it may have to be refused first. */
    if (header->type == SF_WIRE_NEXT)
        return serves[SF_WIRE_NEXT](session, request);
    if (sf_wire_request(header->type) == NULL)
        return used(request, refuse_type(session, header));
    if (sf_wire_check_request(header, &reason) != 0) {
        const bool flags = header->code & ~sf_wire_request(header->type)->flags;
        bad_frame(session, flags ? SF_BAD_FRAME_FLAGS : SF_BAD_FRAME_BODY);
        return used(request, sf_answer_error(session, header->type, SF_WIRE_BAD_REQUEST,
                                             header->request_id, 0, reason));
    }
    return serves[header->type](session, request);
}

static bool needs_auth(const struct sf_session *session, uint8_t type)
{
    const struct sf_wire_request *row = sf_wire_request(type);
    return session->shard->settings.tokens != NULL && !sf_auth_is_valid(session) && row != NULL &&
           row->needs_auth;
}

/* What can be said from the header alone. Returns 1 when the frame is fine so far, 0 when it was
 * answered, -1 when stalled. */
static int check_header(struct sf_session *session, const struct sf_wire_header *header)
{
    if (header->version != SF_WIRE_VERSION) {
        if (!sf_answer_error(session, header->type, SF_WIRE_UNSUPPORTED, header->request_id, 0,
                             "this worker speaks version 1"))
            return -1;
        bad_frame(session, SF_BAD_FRAME_VERSION);
        sf_session_end(session, SF_CONN_CLOSED_PROTOCOL);
        return 0;
    }
    if (needs_auth(session, header->type))
        return sf_answer_error(session, header->type, SF_WIRE_DENIED, header->request_id, 0,
                               "AUTH with a token must come first")
                   ? 0
                   : -1;
    return 1;
}

/* A frame that is longer than any request: its bytes are thrown away as they come. */
static bool refuse_long(struct sf_session *session, const struct sf_wire_header *header)
{
    if (sf_wire_request(header->type) == NULL)
        return refuse_type(session, header);
    bad_frame(session, SF_BAD_FRAME_BODY);
    return sf_answer_error(session, header->type, SF_WIRE_BAD_REQUEST, header->request_id, 0,
                           "the body is longer than this request allows");
}

static bool refuse_length(struct sf_session *session, uint32_t length)
{
    char text[96];
    snprintf(text, sizeof text, "a frame's length is %u; allowed are %d to %d", length,
             SF_WIRE_LENGTH_MIN, SF_WIRE_LENGTH_MAX);
    if (!sf_answer_error(session, SF_WIRE_ERROR, SF_WIRE_BAD_REQUEST, 0, 0, text))
        return false;
    bad_frame(session, SF_BAD_FRAME_LENGTH);
    sf_session_end(session, SF_CONN_CLOSED_PROTOCOL);
    return true;
}

/* Serves what is at the front; returns the bytes used, 0 when more are needed or the session cannot
 * go on now. */
static size_t serve_front(struct sf_session *session, const uint8_t *bytes, size_t size,
                          uint64_t *id_budget)
{
    if (session->skip > 0) {
        const uint32_t used = size < session->skip ? (uint32_t)size : session->skip;
        session->skip -= used;
        return used;
    }
    if (size < 4)
        return 0;
    const uint32_t length = sf_load_be32(bytes);
    if (length < SF_WIRE_LENGTH_MIN || length > SF_WIRE_LENGTH_MAX)
        return refuse_length(session, length) ? size : 0;
    if (size < SF_WIRE_HEADER_SIZE)
        return 0;
    const struct request request = {sf_wire_header_at(bytes), bytes, size, id_budget};
    const bool is_long = length - SF_WIRE_LENGTH_MIN > SF_BODY_KEPT_MAX;
    if (!is_long && size < 4 + (size_t)length)
        return 0;
    const int checked = check_header(session, &request.header);
    if (checked < 0)
        return 0;
    if (!is_long)
        return checked > 0 ? serve_whole(session, &request) : used(&request, true);
    if (checked > 0 && !refuse_long(session, &request.header))
        return 0;
    session->skip = 4 + length - SF_WIRE_HEADER_SIZE;
    return SF_WIRE_HEADER_SIZE;
}

size_t sf_requests_serve(struct sf_session *session, const uint8_t *bytes, size_t size,
                         uint64_t id_budget)
{
    size_t at = 0;
    while (session->state == SF_SERVING && !session->ending) {
        if (session->partial.frame != NULL) {
            sf_next_resume(session, bytes + at, size - at, &id_budget);
            continue;
        }
        if (at == size)
            break;
        const uint32_t refuse_before = session->refuse_next;
        const size_t used = serve_front(session, bytes + at, size - at, &id_budget);
        /* Nothing used and nothing changed: the rest of the frame is not there yet. */
        if (used == 0 && session->refuse_next == refuse_before)
            break;
        at += used;
        if (sf_work_is_spent(session->shard)) {
            session->unfinished = at < size;
            break;
        }
    }
    return at;
}
