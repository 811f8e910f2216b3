/* NEXT. The requests found together are minted together: one compare-and-swap for all of them. A
 * request that cannot be filled yet keeps what it has got in its partial response, and its session
 * queues until the next millisecond of minting time. */
#include "server/next.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/ticks.h"
#include "server/answer.h"
#include "server/answer_http.h"
#include "server/internal.h"
#include "server/mint.h"
#include "server/output.h"
#include "server/partial.h"
#include "server/plain_next.h"
#include "server/queue.h"
#include "server/quota.h"

#define NEXT_ONE_SIZE 24 /* its response for one ID */
#define GROUP_IDS_MAX (1U << 20)
/* Under a rate limit a group may be refused and found again request by request. */
#define LIMITED_GROUP_MAX 64

/* First eight bytes of a response with one run. */
#define NEXT_ONE_HEAD                                                                              \
    ((UINT64_C(20) << 32) | ((uint64_t)SF_WIRE_VERSION << 24) |                                    \
     ((uint64_t)(SF_WIRE_NEXT | SF_WIRE_RESPONSE) << 16))

/* Most bytes that the response to this count can take. */
static inline size_t response_bound(const struct sf_shard *shard, uint32_t count)
{
    return SF_WIRE_HEADER_SIZE +
           SF_WIRE_RUN_SIZE * (((size_t)count >> shard->server->sequence_bits) + 2);
}

static void count_ok(struct sf_session *session, uint32_t requests)
{
    if (session->token != NULL)
        atomic_fetch_add_explicit(&session->token->requests, requests, memory_order_relaxed);
    sf_answer_count(session, SF_REQUEST_NEXT, SF_WIRE_OK, requests);
}

static bool finish_partial(struct sf_session *session)
{
    struct sf_partial *partial = &session->partial;
    struct sf_shard *shard = session->shard;
    if (session->http) {
        if (!sf_answer_http_begin(session))
            return false;
        count_ok(session, 1);
        return true; /* the body is written by who serves HTTP */
    }
    uint8_t *to = sf_output_room(session, partial->size);
    if (to == NULL)
        return false;
    sf_wire_put_header(partial->frame, SF_WIRE_NEXT | SF_WIRE_RESPONSE, SF_WIRE_OK,
                       partial->request_id, partial->size - SF_WIRE_HEADER_SIZE);
    memcpy(to, partial->frame, partial->size);
    shard->output_size += partial->size;
    count_ok(session, 1);
    sf_partial_drop(session);
    return true;
}

/* --- refusing --- */

static bool refuse(struct sf_session *session, uint32_t request_id, enum sf_mint_result result)
{
    struct sf_server *server = session->shard->server;
    struct sf_server_refusal refusal = {.status = SF_WIRE_NOT_READY};
    server->options.host.refusal(server->options.host.ctx, result == SF_MINT_EXHAUSTED, &refusal);
    return sf_answer_error(session, SF_WIRE_NEXT, refusal.status, request_id,
                           refusal.retry_after_ms, refusal.reason);
}

static size_t refuse_group(struct sf_session *session, const uint8_t *bytes, uint32_t requests,
                           enum sf_mint_result result)
{
    size_t used = 0;
    struct sf_server *server = session->shard->server;
    struct sf_server_refusal refusal = {.status = SF_WIRE_NOT_READY};
    server->options.host.refusal(server->options.host.ctx, result == SF_MINT_EXHAUSTED, &refusal);
    while (requests-- > 0 &&
           sf_answer_error(session, SF_WIRE_NEXT, refusal.status, sf_load_be32(bytes + used + 8),
                           refusal.retry_after_ms, refusal.reason))
        used += SF_NEXT_FRAME;
    return used;
}

static bool refuse_overloaded(struct sf_session *session, uint32_t request_id, uint32_t count)
{
    struct sf_shard *shard = session->shard;
    const uint32_t max_batch = shard->settings.limits.max_batch;
    sf_metrics_add(shard->metrics, SF_METRIC_IDS_REFUSED, 0, count < max_batch ? count : max_batch);
    sf_metrics_add(
        shard->metrics, SF_METRIC_OVERLOADED,
        session->wait_ns != 0 || session->shedding ? SF_OVERLOAD_WAIT : SF_OVERLOAD_QUEUE, 1);
    return sf_answer_error(
        session, SF_WIRE_NEXT, SF_WIRE_OVERLOADED, request_id,
        sf_clip_ms(sf_queue_ms(shard->server)),
        "more IDs are asked for than a millisecond holds, and the queue is full");
}

/* It is refused, whatever part of its IDs it has: those that are missing are not paid for. */
static void give_up_partial(struct sf_session *session)
{
    if (sf_quota_applies(session))
        sf_quota_give_back(session, session->partial.remaining);
    sf_partial_drop(session);
}

static bool continue_partial(struct sf_session *session, uint64_t *id_budget)
{
    struct sf_partial *partial = &session->partial;
    const uint32_t request_id = partial->request_id;
    if (session->refuse_next > 0) {
        if (!refuse_overloaded(session, request_id, partial->remaining))
            return false;
        session->refuse_next--;
        give_up_partial(session);
        return true;
    }
    while (partial->remaining > 0) {
        const uint32_t want =
            partial->remaining < *id_budget ? partial->remaining : (uint32_t)*id_budget;
        struct sf_mint minted;
        if (want == 0)
            return false;
        const enum sf_mint_result result = sf_mint_ids(session, partial->after, want, &minted);
        if (result == SF_MINT_WAIT)
            return false;
        if (result != SF_MINT_OK) {
            if (!refuse(session, request_id, result))
                return false;
            give_up_partial(session);
            return true;
        }
        *id_budget -= minted.count;
        if (!sf_partial_add(session, sf_mint_generator(session), &minted)) {
            if (!refuse_overloaded(session, request_id, partial->remaining))
                return false;
            sf_partial_drop(session);
            return true;
        }
    }
    return finish_partial(session);
}

/* --- the groups --- */

struct group {
    uint32_t requests;
    uint64_t ids;
    size_t bound; /* bytes of all responses */
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The plain NEXT requests at the front that can be minted in one go. */
static struct group find_group(struct sf_session *session, const uint8_t *bytes, size_t size,
                               uint64_t id_budget)
{
    struct sf_shard *shard = session->shard;
    const uint32_t max_batch = sf_quota_max_batch(session);
    struct group group = {0};
    uint64_t most = id_budget < GROUP_IDS_MAX ? id_budget : GROUP_IDS_MAX;
    uint32_t requests_max = UINT32_MAX;
    if (sf_quota_applies(session)) {
        most = smaller(most, sf_quota_burst(session));
        requests_max = LIMITED_GROUP_MAX;
    }
    while (size >= SF_NEXT_FRAME && group.requests < requests_max &&
           sf_load_be64(bytes) == SF_NEXT_HEAD) {
        const uint32_t count = sf_load_be32(bytes + 12);
        const size_t bound = count == 1 ? NEXT_ONE_SIZE : response_bound(shard, count);
        if (count == 0 || count > max_batch || group.bound + bound > SF_OUTPUT_LIMIT / 2 ||
            (group.requests > 0 && group.ids + count > most))
            break;
        group.requests++;
        group.ids += count;
        group.bound += bound;
        bytes += SF_NEXT_FRAME;
        size -= SF_NEXT_FRAME;
    }
    return group;
}

/* Takes the IDs of the group from the buckets. Where they do not have so many, the group shrinks to
 * its first request; false when that was refused too (and answered). */
static bool pay(struct sf_session *session, const uint8_t *bytes, struct group *group,
                bool *ret_stalled)
{
    struct sf_shard *shard = session->shard;
    unsigned scope = 0;
    int64_t wait_ns = 0;
    if (!sf_quota_applies(session) ||
        (wait_ns = sf_quota_take(session, (uint32_t)group->ids, &scope)) == 0)
        return true;
    if (group->requests > 1) {
        group->requests = 1;
        group->ids = sf_load_be32(bytes + 12);
        wait_ns = sf_quota_take(session, (uint32_t)group->ids, &scope);
        if (wait_ns == 0)
            return true;
    }
    sf_metrics_add(shard->metrics, SF_METRIC_RATE_LIMITED, scope, 1);
    if (scope == SF_RATE_SCOPE_NAME)
        atomic_fetch_add_explicit(&session->token->limited, 1, memory_order_relaxed);
    *ret_stalled = !sf_answer_error(
        session, SF_WIRE_NEXT, SF_WIRE_RATE_LIMITED, sf_load_be32(bytes + 8),
        sf_clip_ms((uint64_t)(wait_ns + 999999) / 1000000), sf_quota_reason(session, scope));
    return false;
}

/* Hands the minted IDs to the requests at the front; returns how many got all of theirs. */
static uint32_t hand_out(struct sf_shard *shard, const struct sf_generator *gen,
                         const uint8_t *bytes, uint32_t requests, struct sf_mint *minted,
                         uint8_t *to)
{
    uint8_t *at = to;
    uint32_t done = 0;
    for (; done < requests; done++, bytes += SF_NEXT_FRAME) {
        const uint32_t count = sf_load_be32(bytes + 12);
        if (count > minted->count)
            break;
        if (count == 1) {
            sf_store_be64(at, NEXT_ONE_HEAD);
            memcpy(at + 8, bytes + 8, 4);
            sf_store_be64(at + 12, sf_generator_id(gen, minted->first_word, minted->slot_bits));
            sf_store_be32(at + 20, 1);
            at += NEXT_ONE_SIZE;
            minted->first_word++;
            minted->count--;
            continue;
        }
        size_t body = 0;
        struct sf_run run;
        for (uint32_t left = count; left > 0; left -= run.count) {
            SF_ASSERT(sf_run_take(gen, minted, left, &run));
            sf_wire_put_run(at + SF_WIRE_HEADER_SIZE + body, run.first, run.count);
            body += SF_WIRE_RUN_SIZE;
        }
        sf_wire_put_header(at, SF_WIRE_NEXT | SF_WIRE_RESPONSE, SF_WIRE_OK, sf_load_be32(bytes + 8),
                           body);
        at += SF_WIRE_HEADER_SIZE + body;
    }
    shard->output_size += (uint32_t)(at - to);
    return done;
}

static size_t serve_group(struct sf_session *session, const uint8_t *bytes, size_t size,
                          struct group *group, uint64_t *id_budget)
{
    struct sf_shard *shard = session->shard;
    bool stalled = false;
    uint8_t *to = sf_output_room(session, group->bound);
    if (to == NULL)
        return 0;
    if (!pay(session, bytes, group, &stalled))
        return stalled ? 0 : SF_NEXT_FRAME;
    struct sf_mint minted;
    const uint32_t want = (uint32_t)(group->ids < *id_budget ? group->ids : *id_budget);
    const enum sf_mint_result result = sf_mint_ids(session, 0, want, &minted);
    if (result != SF_MINT_OK) {
        sf_quota_give_back(session, (uint32_t)group->ids);
        if (result == SF_MINT_WAIT) {
            sf_metrics_add(shard->metrics, SF_METRIC_SEQUENCE_EXHAUSTED, 0, 1);
            sf_queue_park(session, bytes, size);
            return 0;
        }
        return refuse_group(session, bytes, group->requests, result);
    }
    *id_budget = *id_budget > minted.count ? *id_budget - minted.count : 0;
    const uint32_t done =
        hand_out(shard, sf_mint_generator(session), bytes, group->requests, &minted, to);
    if (done > 0)
        count_ok(session, done);
    size_t used = (size_t)done * SF_NEXT_FRAME;
    if (done == group->requests)
        return used;
    /* The next one gets what is left and waits for the rest; what lies behind it has its money
     * back. */
    const uint32_t count = sf_load_be32(bytes + used + 12);
    uint64_t unused = 0;
    for (uint32_t i = minted.count > 0 ? done + 1 : done; i < group->requests; i++)
        unused += sf_load_be32(bytes + (size_t)i * SF_NEXT_FRAME + 12);
    sf_quota_give_back(session, (uint32_t)unused);
    if (minted.count == 0)
        return used;
    const uint32_t request_id = sf_load_be32(bytes + used + 8);
    used += SF_NEXT_FRAME;
    if (!sf_partial_start(session, request_id, count, 0) ||
        !sf_partial_add(session, sf_mint_generator(session), &minted)) {
        sf_partial_drop(session);
        return sf_answer_error(session, SF_WIRE_NEXT, SF_WIRE_INTERNAL, request_id, 0,
                               "out of memory")
                   ? used
                   : 0;
    }
    return used;
}

/* Without an open generator, how far AFTER lies ahead says nothing: another worker may serve it. */
static bool any_open(const struct sf_shard *shard)
{
    const struct sf_server_options *options = &shard->server->options;
    if (shard->mint_ms == 0)
        return false;
    for (size_t i = 0; i < options->generator_count; i++)
        if (!sf_generator_is_closed(options->generators[i]))
            return true;
    return false;
}

static bool refuse_count(struct sf_session *session, uint32_t request_id, uint32_t count)
{
    char text[96];
    const uint32_t max_batch = sf_quota_max_batch(session);
    snprintf(text, sizeof text, "count is %u%s; allowed are 1 to %u%s", count,
             count == UINT32_MAX ? " or more" : "", max_batch, /* HTTP's are cut there */
             max_batch < session->shard->settings.limits.max_batch
                 ? ", the burst of this token's name"
                 : "");
    return sf_answer_error(session, SF_WIRE_NEXT, SF_WIRE_TOO_LARGE, request_id, 0, text);
}

/* Pays for one request and makes it the partial one, or refuses it; false when it is stalled. */
static bool begin_one(struct sf_session *session, uint32_t request_id, uint32_t count,
                      uint64_t after)
{
    struct group group = {.requests = 1, .ids = count};
    bool stalled = false;
    uint8_t plain[SF_NEXT_FRAME] = {0};
    sf_store_be32(plain + 8, request_id);
    sf_store_be32(plain + 12, count);
    if (!pay(session, plain, &group, &stalled))
        return !stalled;
    return sf_partial_start(session, request_id, count, after) ||
           sf_answer_error(session, SF_WIRE_NEXT, SF_WIRE_INTERNAL, request_id, 0, "out of memory");
}

/* One NEXT that is not plain: AFTER, or wrong. */
static size_t serve_special(struct sf_session *session, const uint8_t *bytes, size_t size)
{
    struct sf_shard *shard = session->shard;
    struct sf_server *server = shard->server;
    const struct sf_server_limits *limits = &shard->settings.limits;
    struct sf_wire_header header;
    struct sf_wire_next next;
    const char *reason;
    SF_ASSERT(sf_wire_scan(bytes, size, &header) == SF_WIRE_COMPLETE);
    shard->work++;
    const size_t used = 4 + (size_t)header.length;
    if (sf_wire_get_next(&header, bytes + SF_WIRE_HEADER_SIZE, &next, &reason) != 0) {
        sf_metrics_add(shard->metrics, SF_METRIC_BAD_FRAMES,
                       header.code & ~SF_WIRE_AFTER ? SF_BAD_FRAME_FLAGS : SF_BAD_FRAME_BODY, 1);
        return sf_answer_error(session, SF_WIRE_NEXT, SF_WIRE_BAD_REQUEST, header.request_id, 0,
                               reason)
                   ? used
                   : 0;
    }
    if (next.count == 0 || next.count > sf_quota_max_batch(session))
        return refuse_count(session, header.request_id, next.count) ? used : 0;
    if (next.has_after) {
        if (next.after >> SF_ID_BITS)
            return sf_answer_error(session, SF_WIRE_NEXT, SF_WIRE_BAD_REQUEST, header.request_id, 0,
                                   "after is no ID: its sign bit is set")
                       ? used
                       : 0;
        if (!any_open(shard))
            return refuse(session, header.request_id, SF_MINT_CLOSED) ? used : 0;
        const uint64_t ms = sf_generator_above(sf_mint_generator(session), next.after) >>
                            server->sequence_bits,
                       horizon = shard->mint_ms + server->max_ahead_ms;
        if (ms > horizon + limits->max_wait_ms)
            return sf_answer_error(session, SF_WIRE_NEXT, SF_WIRE_CAUSALITY, header.request_id,
                                   sf_clip_ms(ms - horizon),
                                   "after lies too far ahead of this worker's clock")
                       ? used
                       : 0;
    }
    return begin_one(session, header.request_id, next.count, next.has_after ? next.after : 0) ? used
                                                                                              : 0;
}

/* Even an answer at once would come too late. */
static bool is_too_old(const struct sf_session *session)
{
    const struct sf_shard *shard = session->shard;
    return shard->now_ns - session->read_ns > shard->settings.limits.max_wait_ms * SF_NS_PER_MS;
}

size_t sf_next_serve(struct sf_session *session, const uint8_t *bytes, size_t size,
                     uint64_t *id_budget)
{
    if (session->refuse_next > 0 || (session->shedding && is_too_old(session))) {
        if (!refuse_overloaded(session, sf_load_be32(bytes + 8), sf_load_be32(bytes + 12)))
            return 0;
        if (session->refuse_next > 0)
            session->refuse_next--;
        return 4 + (size_t)sf_load_be32(bytes);
    }
    /* Nobody overtakes those who wait; who had a turn and has more goes to the end. */
    if (*id_budget == 0 || (session->wait_ns == 0 && sf_queue_others_wait(session))) {
        sf_queue_park(session, bytes, size);
        return 0;
    }
    struct group group = find_group(session, bytes, size, *id_budget);
    return group.requests > 0 ? serve_group(session, bytes, size, &group, id_budget)
                              : serve_special(session, bytes, size);
}

bool sf_next_one(struct sf_session *session, uint32_t count, uint64_t id_budget)
{
    if (session->refuse_next > 0 || (session->shedding && is_too_old(session))) {
        if (!refuse_overloaded(session, 0, count))
            return false;
        if (session->refuse_next > 0)
            session->refuse_next--;
        return true;
    }
    if (count > sf_quota_max_batch(session))
        return refuse_count(session, 0, count);
    if (!begin_one(session, 0, count, 0))
        return false;
    /* Nobody overtakes those who wait. */
    if (session->partial.frame != NULL &&
        (id_budget == 0 || (session->wait_ns == 0 && sf_queue_others_wait(session))))
        sf_queue_park(session, NULL, 0);
    return true;
}

bool sf_next_resume(struct sf_session *session, const uint8_t *bytes, size_t size,
                    uint64_t *id_budget)
{
    if (continue_partial(session, id_budget))
        return true;
    if (session->state == SF_SERVING) {
        if (*id_budget > 0)
            sf_metrics_add(session->shard->metrics, SF_METRIC_SEQUENCE_EXHAUSTED, 0, 1);
        sf_queue_park(session, bytes, size);
    }
    return false;
}
