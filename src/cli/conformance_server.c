/* cli/conformance_server.c - the sockets of `snowfleet conformance`, and what a good worker answers. */
#include "cli/conformance.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <snowfleet/id.h>

#include "base/thread.h"

#define FLEET_ID      "6f3f7a1e-0000-4000-8000-000000000000"
#define WORKER        1
#define SEQUENCE_BITS 12
#define SLOT_BITS     10

int64_t sf_stage_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sf_stage_sleep_ms(uint32_t ms)
{
    const struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&wait, NULL);
}

void sf_stage_wrong(struct sf_stage *stage, const char *text)
{
    pthread_mutex_lock(&stage->mutex);
    if (stage->wrong[0] == '\0')
        (void)snprintf(stage->wrong, sizeof stage->wrong, "%s", text);
    pthread_mutex_unlock(&stage->mutex);
}

void sf_visit_send(struct sf_visit *visit, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        const ssize_t sent = send(visit->fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return; /* the client has gone: its next read ends the visit */
        at += sent;
        size -= (size_t)sent;
    }
}

void sf_visit_runs(struct sf_visit *visit, const struct sf_wire_header *header,
                   const struct sf_wire_run *runs, size_t count)
{
    uint8_t *frame = malloc(SF_WIRE_FRAME_MAX);
    if (frame == NULL || count > SF_STAGE_RUNS_MAX)
        abort();
    sf_wire_put_header(frame, header->type | SF_WIRE_RESPONSE, SF_WIRE_OK, header->request_id,
                       count * SF_WIRE_RUN_SIZE);
    for (size_t i = 0; i < count; i++)
        sf_wire_put_run(frame + SF_WIRE_HEADER_SIZE + i * SF_WIRE_RUN_SIZE, runs[i].first,
                        runs[i].count);
    sf_visit_send(visit, frame, SF_WIRE_HEADER_SIZE + count * SF_WIRE_RUN_SIZE);
    free(frame);
}

void sf_visit_refuse(struct sf_visit *visit, const struct sf_wire_header *header,
                     enum sf_wire_status status, uint32_t retry_after_ms)
{
    uint8_t frame[128];
    sf_visit_send(visit, frame,
                  sf_wire_put_error(frame, sizeof frame, header->type | SF_WIRE_RESPONSE, status,
                                    header->request_id, retry_after_ms, "played"));
}

void sf_visit_mint(struct sf_visit *visit, const struct sf_wire_header *header,
                   const struct sf_wire_next *next)
{
    struct sf_stage *stage = visit->stage;
    const uint32_t most =
        stage->scenario->max_batch > 0 ? stage->scenario->max_batch : SF_WIRE_COUNT_MAX;
    if (next->count < 1 || next->count > most) {
        if (visit->told && visit->nexts > 1)
            sf_stage_wrong(stage, "asked for more than the max_batch that INFO told");
        sf_visit_refuse(visit, header, SF_WIRE_TOO_LARGE, 0);
        return;
    }
    struct sf_wire_run runs[SF_WIRE_COUNT_MAX / (1 << SEQUENCE_BITS) + 2];
    size_t count = 0;
    uint32_t left = next->count;
    pthread_mutex_lock(&stage->mutex);
    const uint64_t now = (uint64_t)(sf_stage_now_ms() - SF_DEFAULT_EPOCH_MS) << SEQUENCE_BITS;
    if (stage->word < now)
        stage->word = now;
    const uint64_t after = next->after >> (SEQUENCE_BITS + SLOT_BITS);
    if (next->has_after && stage->word < (after + 1) << SEQUENCE_BITS)
        stage->word = (after + 1) << SEQUENCE_BITS;
    while (left > 0) {
        const uint64_t sequence = stage->word & ((1 << SEQUENCE_BITS) - 1);
        const uint32_t room = (uint32_t)((1 << SEQUENCE_BITS) - sequence);
        const uint32_t n = left < room ? left : room;
        runs[count] = (struct sf_wire_run){
            .first = (stage->word >> SEQUENCE_BITS << (SEQUENCE_BITS + SLOT_BITS)) |
                     (WORKER << SEQUENCE_BITS) | sequence,
            .count = n};
        count++;
        stage->word += n;
        left -= n;
    }
    pthread_mutex_unlock(&stage->mutex);
    sf_visit_runs(visit, header, runs, count);
}

static void answer_info(struct sf_visit *visit, const struct sf_wire_header *header)
{
    const struct sf_scenario *scenario = visit->stage->scenario;
    char body[512];
    int size;
    if (scenario->info != NULL)
        size = snprintf(body, sizeof body, "%s", scenario->info);
    else
        size = snprintf(
            body, sizeof body,
            "{\"protocol\":1,\"fleet\":\"conformance\",\"fleet_id\":\"%s\",\"epoch_ms\":%" PRId64
            ",\"max_batch\":%u,\"layout\":{\"timestamp\":41,\"datacenter\":5,\"worker\":5,"
            "\"sequence\":12},\"state\":\"ready\",\"datacenter\":0,\"worker\":%d,"
            "\"later\":{\"epoch_ms\":7,\"members\":[\"may come\"]}}",
            scenario->fleet_id != NULL ? scenario->fleet_id : FLEET_ID, SF_DEFAULT_EPOCH_MS,
            scenario->max_batch > 0 ? scenario->max_batch : SF_WIRE_COUNT_MAX, WORKER);
    uint8_t head[SF_WIRE_HEADER_SIZE];
    sf_wire_put_header(head, header->type | SF_WIRE_RESPONSE, SF_WIRE_OK, header->request_id,
                       (size_t)size);
    sf_visit_send(visit, head, sizeof head);
    sf_visit_send(visit, body, (size_t)size);
    visit->told = true;
}

static bool answer_next(struct sf_visit *visit, const struct sf_wire_header *header,
                        const uint8_t *body)
{
    struct sf_stage *stage = visit->stage;
    struct sf_wire_next next;
    const char *reason;
    if (sf_wire_get_next(header, body, &next, &reason) != 0) {
        sf_stage_wrong(stage, reason);
        sf_visit_refuse(visit, header, SF_WIRE_BAD_REQUEST, 0);
        return true;
    }
    if (visit->left)
        sf_stage_wrong(stage, "asked for IDs on a connection after its GOAWAY");
    pthread_mutex_lock(&stage->mutex);
    stage->asked++;
    const bool early = sf_stage_now_ms() < stage->wait_ms;
    pthread_mutex_unlock(&stage->mutex);
    if (early)
        sf_stage_wrong(stage, "asked again before the time that retry_after_ms told");
    visit->nexts++;
    if (stage->scenario->after && !next.has_after)
        sf_stage_wrong(stage, "asked without AFTER");
    if (stage->scenario->next != NULL)
        return stage->scenario->next(visit, header, &next);
    sf_visit_mint(visit, header, &next);
    return true;
}

static bool answer(struct sf_visit *visit, const struct sf_wire_header *header, const uint8_t *body)
{
    if (header->version != SF_WIRE_VERSION) {
        sf_stage_wrong(visit->stage, "sent a frame of another version than 1");
        return false;
    }
    const size_t size = header->length - SF_WIRE_LENGTH_MIN;
    uint8_t head[SF_WIRE_HEADER_SIZE];
    switch (header->type) {
    case SF_WIRE_NEXT:
        return answer_next(visit, header, body);
    case SF_WIRE_INFO:
        answer_info(visit, header);
        return true;
    case SF_WIRE_AUTH:
        visit->shown = size == strlen(SF_STAGE_TOKEN) && memcmp(body, SF_STAGE_TOKEN, size) == 0;
        sf_wire_put_header(head, header->type | SF_WIRE_RESPONSE, SF_WIRE_OK, header->request_id,
                           0);
        sf_visit_send(visit, head, sizeof head);
        return true;
    case SF_WIRE_PING:
        sf_wire_put_header(head, header->type | SF_WIRE_RESPONSE, SF_WIRE_OK, header->request_id,
                           size);
        sf_visit_send(visit, head, sizeof head);
        sf_visit_send(visit, body, size);
        return true;
    default:
        sf_visit_refuse(visit, header, SF_WIRE_UNSUPPORTED, 0);
        return true;
    }
}

static bool receive(int fd, uint8_t *to, size_t size)
{
    while (size > 0) {
        const ssize_t got = recv(fd, to, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        size -= (size_t)got;
    }
    return true;
}

static void *serve(void *argument)
{
    struct sf_visit *visit = argument;
    uint8_t *frame = malloc(SF_WIRE_FRAME_MAX);
    if (frame == NULL)
        abort();
    bool goes_on = true;
    while (goes_on && receive(visit->fd, frame, SF_WIRE_HEADER_SIZE)) {
        const struct sf_wire_header header = sf_wire_header_at(frame);
        if (header.length < SF_WIRE_LENGTH_MIN || header.length > SF_WIRE_LENGTH_MAX) {
            sf_stage_wrong(visit->stage, "sent a frame whose length field cannot be");
            break;
        }
        goes_on =
            receive(visit->fd, frame + SF_WIRE_HEADER_SIZE, header.length - SF_WIRE_LENGTH_MIN) &&
            answer(visit, &header, frame + SF_WIRE_HEADER_SIZE);
    }
    (void)close(visit->fd);
    free(frame);
    free(visit);
    return NULL;
}

static void begin(struct sf_stage *stage, int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sf_visit *visit = malloc(sizeof *visit);
    if (visit == NULL)
        abort();
    *visit = (struct sf_visit){.stage = stage, .fd = fd};
    pthread_mutex_lock(&stage->mutex);
    stage->connections++;
    if (stage->begun_ms == 0)
        stage->begun_ms = sf_stage_now_ms();
    pthread_mutex_unlock(&stage->mutex);
    if (sf_thread_detach(serve, visit) != 0) {
        (void)close(fd);
        free(visit);
    }
}

static void *accept_all(void *argument)
{
    struct sf_stage *stage = argument;
    for (;;) {
        const int fd = accept(stage->fd, NULL, NULL);
        if (fd >= 0)
            begin(stage, fd);
        else if (errno != EINTR)
            sf_stage_sleep_ms(10); /* no descriptors, or a client that is gone already */
    }
    return NULL;
}

int sf_stage_start(struct sf_stage *stage, const struct sf_scenario *scenario, const char *host,
                   uint16_t port)
{
    *stage = (struct sf_stage){.scenario = scenario, .port = port, .fd = -1};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &at.sin_addr) != 1)
        return -EINVAL;
    pthread_mutex_init(&stage->mutex, NULL);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 64) != 0) {
        const int rc = -errno;
        (void)close(fd);
        return rc;
    }
    socklen_t size = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &size) == 0)
        stage->port = ntohs(at.sin_port);
    stage->fd = fd;
    return sf_thread_detach(accept_all, stage);
}
