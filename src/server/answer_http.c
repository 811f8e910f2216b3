/* Answers over HTTP. One with many IDs is written in pieces: it may be longer than what is collected
 * for a connection. */
#include "server/answer_http.h"

#include <string.h>

#include "server/output.h"
#include "server/work.h"

#define PIECE 8192 /* bytes of a body that are written before the clock is looked at */

static struct sf_http_answer answer_of(const struct sf_session *session, unsigned status)
{
    return (struct sf_http_answer){.status = status,
                                   .type = "application/json",
                                   .is_1_0 = session->is_1_0,
                                   .closes = session->closes};
}

static void wrote(struct sf_session *session, size_t size)
{
    session->shard->output_size += (uint32_t)size;
    session->shard->work += 1 + (unsigned)size / SF_WORK_BYTES;
}

bool sf_answer_http(struct sf_session *session, unsigned status, uint32_t retry_after_ms,
                    const char *why)
{
    uint8_t *to = sf_output_room(session, SF_HTTP_ERROR_MAX);
    if (to == NULL)
        return false;
    struct sf_http_answer answer = answer_of(session, status);
    answer.retry_after_ms = retry_after_ms;
    wrote(session, sf_http_put_error((char *)to, answer, why));
    return true;
}

bool sf_answer_http_json(struct sf_session *session, const char *text, size_t size)
{
    uint8_t *to = sf_output_room(session, SF_HTTP_ANSWER_HEAD_MAX + SF_SERVER_DECODED_MAX);
    if (to == NULL)
        return false;
    struct sf_http_answer answer = answer_of(session, 200);
    answer.length = size;
    const size_t head = sf_http_put_head((char *)to, &answer);
    memcpy(to + head, text, size);
    wrote(session, head + size);
    return true;
}

static size_t runs_of(const struct sf_partial *partial)
{
    return (partial->size - SF_WIRE_HEADER_SIZE) / SF_WIRE_RUN_SIZE;
}

bool sf_answer_http_begin(struct sf_session *session)
{
    struct sf_partial *partial = &session->partial;
    uint8_t *to = sf_output_room(session, SF_HTTP_ANSWER_HEAD_MAX);
    if (to == NULL)
        return false;
    struct sf_http_answer answer = answer_of(session, 200);
    answer.length = sf_http_ids_length(partial->frame + SF_WIRE_HEADER_SIZE, runs_of(partial));
    wrote(session, sf_http_put_head((char *)to, &answer));
    partial->sending = true;
    return true;
}

bool sf_answer_http_continue(struct sf_session *session)
{
    struct sf_partial *partial = &session->partial;
    while (!partial->ids.done) {
        uint8_t *to = sf_output_room(session, PIECE);
        if (to == NULL)
            return false;
        wrote(session, sf_http_ids_put(&partial->ids, partial->frame + SF_WIRE_HEADER_SIZE,
                                       runs_of(partial), (char *)to, PIECE));
        if (!partial->ids.done && sf_work_is_spent(session->shard))
            return false;
    }
    return true;
}
