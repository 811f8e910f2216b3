/* Answers and their counting, whatever was asked. */
#include "server/answer.h"

#include <string.h>

#include "server/answer_http.h"
#include "server/internal.h"
#include "server/output.h"

void sf_answer_count(struct sf_session *session, enum sf_request_label type, unsigned status,
                     uint32_t requests)
{
    struct sf_shard *shard = session->shard;
    sf_metrics_add(shard->metrics, SF_METRIC_REQUESTS, sf_series_request(type, status), requests);
    const bool refused = type == SF_REQUEST_NEXT && status != SF_WIRE_OK;
    if (session->wait_ns != 0) {
        const int64_t took_ns = shard->now_ns - session->wait_ns;
        sf_metrics_observe(shard->metrics, SF_METRIC_REQUEST_DURATION, type, took_ns, requests);
        if (type == SF_REQUEST_NEXT)
            sf_metrics_latency(shard->metrics, refused ? SF_LATENCY_REFUSED : SF_LATENCY_SERVED,
                               took_ns, requests);
        return;
    }
    shard->answered[type] += requests;
    if (refused)
        shard->refused += requests;
}

static void count_answer(struct sf_session *session, uint8_t type, unsigned status)
{
    sf_answer_count(session, sf_request_label_of(type), status, 1);
}

bool sf_answer_error(struct sf_session *session, uint8_t request_type, enum sf_wire_status status,
                     uint32_t request_id, uint32_t retry_after_ms, const char *reason)
{
    struct sf_shard *shard = session->shard;
    const size_t room = SF_WIRE_HEADER_SIZE + 4 + 256;
    if (session->http) {
        if (!sf_answer_http(session, sf_http_status_of(status), retry_after_ms, reason))
            return false;
        count_answer(session, request_type, status);
        return true;
    }
    uint8_t *to = sf_output_room(session, room);
    if (to == NULL)
        return false;
    const bool is_request = request_type >= 1 && request_type <= SF_WIRE_REQUEST_LAST;
    const uint8_t type = is_request ? request_type | SF_WIRE_RESPONSE : SF_WIRE_ERROR;
    shard->output_size +=
        (uint32_t)sf_wire_put_error(to, room, type, status, request_id, retry_after_ms, reason);
    shard->work++;
    count_answer(session, request_type, status);
    return true;
}

bool sf_answer_ok(struct sf_session *session, const struct sf_wire_header *header, const void *body,
                  size_t size)
{
    struct sf_shard *shard = session->shard;
    uint8_t *to = sf_output_room(session, SF_WIRE_HEADER_SIZE + size);
    if (to == NULL)
        return false;
    sf_wire_put_header(to, header->type | SF_WIRE_RESPONSE, SF_WIRE_OK, header->request_id, size);
    if (size > 0)
        memcpy(to + SF_WIRE_HEADER_SIZE, body, size);
    shard->output_size += (uint32_t)(SF_WIRE_HEADER_SIZE + size);
    shard->work += 1 + (unsigned)size / SF_WORK_BYTES;
    count_answer(session, header->type, SF_WIRE_OK);
    return true;
}
