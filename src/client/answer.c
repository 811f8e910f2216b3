/* client/answer.c - what becomes of each answer: IDs are checked and kept, a refusal says when to ask
 * again, INFO tells who the server is. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine_inner.h"

static bool keep_runs(struct sf_call *call, const uint8_t *body, size_t runs, uint32_t ids)
{
    struct sf_client_reply *reply = &call->reply;
    const size_t need = reply->run_count + runs;
    if (need > call->run_capacity) {
        struct sf_client_run *bigger = realloc(reply->runs, need * sizeof *bigger);
        if (bigger == NULL)
            return false;
        reply->runs = bigger;
        call->run_capacity = (uint32_t)need;
    }
    for (size_t i = 0; i < runs; i++) {
        const struct sf_wire_run run = sf_wire_run_at(body, i);
        reply->runs[reply->run_count++] =
            (struct sf_client_run){.first = run.first, .count = run.count};
    }
    reply->count += ids;
    return true;
}

/* Do these IDs go on from what the connection and the server gave before? Remembers the last one.
 */
static bool in_order(struct sf_engine *engine, struct sf_conn *conn,
                     const struct sf_pending *pending, uint64_t first, uint64_t last, bool keep)
{
    struct sf_shared *shared = engine->shared;
    bool fine = (conn->last_id == 0 || first > conn->last_id) &&
                (pending->after == 0 || first > pending->after);
    pthread_mutex_lock(&shared->mutex);
    if (pending->floor != 0 && shared->has_layout && first <= pending->floor &&
        sf_id_same_slot(&shared->layout, first, pending->floor))
        fine = false;
    struct sf_server *server = &shared->servers[conn->server];
    if (fine && shared->policy.servers[conn->server].generation == conn->generation &&
        (server->last_id < last || !shared->has_layout ||
         !sf_id_same_slot(&shared->layout, server->last_id, last)))
        server->last_id = last;
    if (fine && keep && shared->options.causal && last > shared->causal_id)
        shared->causal_id = last;
    pthread_mutex_unlock(&shared->mutex);
    conn->last_id = last;
    return fine;
}

/* Says what is wrong with an ID that repeats, goes back, or is not above what was asked for. */
static void note_order(struct sf_call *call, const struct sf_pending *pending, uint64_t first,
                       uint64_t before)
{
    char *to = call->reply.detail;
    const size_t size = sizeof call->reply.detail;
    if (pending->after != 0 && first <= pending->after)
        (void)snprintf(to, size, "ID %" PRIu64 " is not above ID %" PRIu64 ", as was asked for",
                       first, pending->after);
    else
        (void)snprintf(to, size, "ID %" PRIu64 " came after ID %" PRIu64, first,
                       before > pending->floor ? before : pending->floor);
}

/* What came for the call (may be NULL) cannot be used: another server, and `why` for the
 * connection. */
static const char *nonsense(struct sf_engine *engine, const struct sf_conn *conn,
                            struct sf_call *call, const char *why)
{
    if (call != NULL) {
        call->in_flight--;
        sf_call_note_failure(call, SF_CLIENT_PROTOCOL, call->reply.server, why);
        sf_client_policy_tried_add(&call->tried, conn->server);
        sf_engine_retry(engine, call);
    }
    return why;
}

/* IDs of a worker that learned its fleet after it had answered INFO. Whose they are is not known, so
 * they are left; it is asked again, INFO first. */
static const char *too_early(struct sf_engine *engine, struct sf_conn *conn, struct sf_call *call)
{
    conn->ids_came = true;
    if (call == NULL)
        return NULL;
    call->in_flight--;
    if (call->state != SF_CALL_QUEUED && call->in_flight == 0)
        sf_engine_enqueue(engine, call);
    return NULL;
}

static const char *on_ids(struct sf_engine *engine, struct sf_conn *conn,
                          const struct sf_pending *pending, const uint8_t *body, size_t size)
{
    size_t runs;
    uint32_t ids;
    struct sf_call *call = pending->owner;
    if (sf_wire_get_runs(body, size, &runs, &ids) != 0 || ids != pending->count)
        return nonsense(engine, conn, call, "an answer to NEXT is malformed");
    if (conn->nameless)
        return too_early(engine, conn, call);
    const struct sf_wire_run end = sf_wire_run_at(body, runs - 1);
    const uint64_t before = conn->last_id;
    if (!in_order(engine, conn, pending, sf_wire_run_at(body, 0).first, end.first + end.count - 1,
                  call != NULL)) {
        sf_count(engine->shared, SF_COUNT_ORDER_ERRORS, 1);
        if (call != NULL) {
            call->in_flight--;
            note_order(call, pending, sf_wire_run_at(body, 0).first, before);
            sf_engine_finish(engine, call, SF_CLIENT_ORDER);
        }
        return "IDs repeated or went back";
    }
    if (call == NULL)
        return NULL;
    call->in_flight--;
    if (!keep_runs(call, body, runs, ids)) {
        sf_engine_finish(engine, call, SF_CLIENT_MEMORY);
        return NULL;
    }
    if (call->reply.count == call->request.count) {
        sf_engine_finish(engine, call, SF_CLIENT_OK);
        return NULL;
    }
    if (call->in_flight > 0) /* an answer to a repeated request would be counted twice */
        sf_engine_detach(engine, call);
    memset(&call->tried, 0, sizeof call->tried);
    if (call->state != SF_CALL_QUEUED)
        sf_engine_enqueue(engine, call);
    return NULL;
}

struct verdict {
    enum sf_outcome outcome;
    enum sf_client_error error;
    bool another; /* another worker may do better */
};

static const struct verdict verdicts[SF_WIRE_STATUSES] = {
    [SF_WIRE_BAD_REQUEST] = {SF_OUTCOME_OK, SF_CLIENT_REFUSED, false},
    [SF_WIRE_UNSUPPORTED] = {SF_OUTCOME_OK, SF_CLIENT_REFUSED, false},
    [SF_WIRE_TOO_LARGE] = {SF_OUTCOME_OK, SF_CLIENT_REFUSED, false},
    [SF_WIRE_NOT_READY] = {SF_OUTCOME_UNUSABLE, SF_CLIENT_NOT_READY, true},
    [SF_WIRE_CLOCK] = {SF_OUTCOME_UNUSABLE, SF_CLIENT_CLOCK, true},
    [SF_WIRE_OVERLOADED] = {SF_OUTCOME_OVERLOADED, SF_CLIENT_OVERLOADED, true},
    [SF_WIRE_RATE_LIMITED] = {SF_OUTCOME_OK, SF_CLIENT_RATE_LIMITED, false},
    [SF_WIRE_DRAINING] = {SF_OUTCOME_UNUSABLE, SF_CLIENT_DRAINING, true},
    [SF_WIRE_DENIED] = {SF_OUTCOME_OK, SF_CLIENT_DENIED, false},
    [SF_WIRE_CAUSALITY] = {SF_OUTCOME_OK, SF_CLIENT_CAUSALITY, false},
    [SF_WIRE_INTERNAL] = {SF_OUTCOME_FAULT, SF_CLIENT_INTERNAL, true},
};

/* The call waits as long as the worker asked, if it may last that long. */
static void wait_as_told(struct sf_engine *engine, struct sf_call *call, enum sf_client_error error,
                         uint32_t retry_after_ms)
{
    const int64_t at = engine->now_ns + sf_ms(retry_after_ms > 0 ? retry_after_ms : 1);
    if (at >= call->deadline_ns) {
        sf_engine_finish(engine, call, error);
        return;
    }
    memset(&call->tried, 0, sizeof call->tried);
    call->state = SF_CALL_WAITING;
    call->timer_ns = at;
    sf_engine_want_timer(engine, at);
}

/* UINT32_MAX while INFO has not told. */
static uint32_t known_max_batch(struct sf_engine *engine, const struct sf_conn *conn)
{
    struct sf_shared *shared = engine->shared;
    pthread_mutex_lock(&shared->mutex);
    const uint32_t most = shared->servers[conn->server].max_batch;
    pthread_mutex_unlock(&shared->mutex);
    return most > 0 ? most : UINT32_MAX;
}

static const char *on_refusal(struct sf_engine *engine, struct sf_conn *conn,
                              const struct sf_pending *pending, uint16_t status,
                              const uint8_t *body, size_t size)
{
    struct sf_wire_error told;
    if (sf_wire_get_error(body, size, &told) != 0)
        return nonsense(engine, conn, pending->owner, "an error answer is malformed");
    const struct verdict verdict =
        status < SF_WIRE_STATUSES ? verdicts[status] : verdicts[SF_WIRE_INTERNAL];
    sf_engine_report(engine, conn->server, conn->generation, verdict.outcome,
                     sf_ms(told.retry_after_ms));
    conn->denied = conn->denied || status == SF_WIRE_DENIED;
    struct sf_call *call = pending->owner;
    if (call == NULL)
        return NULL;
    call->in_flight--;
    call->reply.retry_after_ms = told.retry_after_ms;
    call->last_error = verdict.error;
    (void)snprintf(call->reply.detail, sizeof call->reply.detail, "%s says %s%s%.*s",
                   call->reply.server, sf_wire_status_name(status),
                   told.reason_size > 0 ? ": " : "",
                   told.reason_size > 150 ? 150 : (int)told.reason_size,
                   told.reason_size > 0 ? told.reason : "");
    if (call->state == SF_CALL_QUEUED)
        return NULL; /* already on its way to another worker */
    if (verdict.error == SF_CLIENT_RATE_LIMITED || verdict.error == SF_CLIENT_CAUSALITY) {
        if (call->in_flight > 0)
            sf_engine_detach(engine, call);
        wait_as_told(engine, call, verdict.error, told.retry_after_ms);
        return NULL;
    }
    if (status == SF_WIRE_TOO_LARGE && pending->count > known_max_batch(engine, conn)) {
        sf_engine_enqueue(engine,
                          call); /* INFO has told us meanwhile how much it gives at a time */
        return NULL;
    }
    if (!verdict.another) {
        sf_engine_finish(engine, call, verdict.error);
        return NULL;
    }
    sf_client_policy_tried_add(&call->tried, conn->server);
    sf_engine_retry(engine, call);
    return NULL;
}

static const char *on_info(struct sf_engine *engine, struct sf_conn *conn, uint16_t status,
                           const uint8_t *body, size_t size)
{
    struct sf_info info;
    conn->info_asked = false;
    if (status != SF_WIRE_OK)
        return NULL; /* an AUTH that failed shows in NEXT too; an older worker may lack INFO */
    if (sf_info_parse(body, size, &info) != 0)
        return "an answer to INFO is malformed";
    struct sf_shared *shared = engine->shared;
    bool same = true;
    conn->nameless = info.fleet_id[0] == '\0';
    if (conn->nameless && conn->ids_came)
        return "IDs came from a worker whose fleet is not known";
    conn->ids_came = false;
    pthread_mutex_lock(&shared->mutex);
    if (shared->policy.servers[conn->server].generation == conn->generation)
        shared->servers[conn->server].max_batch = info.max_batch;
    if (info.fleet_id[0] != '\0') {
        if (!shared->has_layout) {
            memcpy(shared->fleet_id, info.fleet_id, sizeof shared->fleet_id);
            shared->layout = info.layout;
            shared->epoch_ms = info.epoch_ms;
            shared->has_layout = true;
        }
        same = strcmp(shared->fleet_id, info.fleet_id) == 0;
        if (same)
            sf_discover_take(shared, &info, engine->now_ns);
    }
    pthread_mutex_unlock(&shared->mutex);
    if (same)
        return NULL;
    sf_count(shared, SF_COUNT_WRONG_FLEET, 1);
    return "the worker belongs to another fleet than the first one that answered";
}

static const char *on_answer(void *ctx, struct sf_conn *conn, const struct sf_pending *pending,
                             const struct sf_wire_header *header, const uint8_t *body)
{
    struct sf_engine *engine = ctx;
    struct sf_shared *shared = engine->shared;
    const size_t size = header->length - 8;
    if (pending->kind == SF_PENDING_INFO)
        return on_info(engine, conn, header->code, body, size);
    if (pending->kind == SF_PENDING_AUTH)
        return NULL;
    struct sf_call *call = pending->owner;
    pthread_mutex_lock(&shared->mutex);
    if (call != NULL)
        memcpy(call->reply.server, shared->servers[conn->server].text, sizeof call->reply.server);
    if (shared->policy.servers[conn->server].generation == conn->generation) {
        if (pending->kind == SF_PENDING_CALL)
            sf_client_policy_end(&shared->policy, conn->server);
        if (header->code == SF_WIRE_OK && pending->kind == SF_PENDING_CALL)
            sf_client_policy_answered(&shared->policy, engine->now_ns - pending->sent_ns);
        if (header->code == SF_WIRE_OK)
            sf_client_policy_report(&shared->policy, conn->server, SF_OUTCOME_OK, 0, engine->now_ns,
                                    sf_prng_next(&shared->prng));
    }
    pthread_mutex_unlock(&shared->mutex);
    if (pending->kind == SF_PENDING_PROBE)
        engine->probes--;
    else if (call == NULL)
        sf_count(shared, SF_COUNT_LATE_ANSWERS, 1);
    return header->code == SF_WIRE_OK ? on_ids(engine, conn, pending, body, size)
                                      : on_refusal(engine, conn, pending, header->code, body, size);
}

static void on_up(void *ctx, struct sf_conn *conn)
{
    struct sf_engine *engine = ctx;
    (void)conn;
    sf_count(engine->shared, SF_COUNT_CONNECTS, 1);
}

static void on_goaway(void *ctx, struct sf_conn *conn, const struct sf_wire_goaway *goaway)
{
    struct sf_engine *engine = ctx;
    (void)goaway;
    sf_count(engine->shared, SF_COUNT_GOAWAYS, 1);
    sf_engine_look_soon(engine);
    if (engine->current[conn->server] == conn)
        engine->current[conn->server] = NULL;
}

const struct sf_conn_handler sf_engine_handler = {
    .on_answer = on_answer, .on_up = on_up, .on_goaway = on_goaway};
