/* cli/conformance_scenarios.c - what `snowfleet conformance` plays: one row for each scenario, and
 * how its server answers. */
#include "cli/conformance.h"

#include <string.h>

#include "base/bytes.h"

#define SHIFT 22 /* bits below the timestamp */
#define SLOT  ((uint64_t)1 << 12)

static void one(struct sf_visit *visit, const struct sf_wire_header *header, uint64_t first,
                uint32_t count)
{
    const struct sf_wire_run run = {.first = first, .count = count};
    sf_visit_runs(visit, header, &run, 1);
}

/* A frame of our own making in place of the answer. */
static void odd(struct sf_visit *visit, const struct sf_wire_header *header, uint8_t version,
                uint8_t type, uint32_t request_id)
{
    uint8_t frame[SF_WIRE_HEADER_SIZE + SF_WIRE_RUN_SIZE];
    sf_wire_put_header(frame, type, SF_WIRE_OK, request_id, SF_WIRE_RUN_SIZE);
    frame[4] = version;
    sf_wire_put_run(frame + SF_WIRE_HEADER_SIZE, (uint64_t)7 << SHIFT, 1);
    (void)header;
    sf_visit_send(visit, frame, sizeof frame);
}

static bool many_runs(struct sf_visit *visit, const struct sf_wire_header *header,
                      const struct sf_wire_next *next)
{
    static const uint64_t far = (uint64_t)1 << 40;
    struct sf_wire_run runs[SF_STAGE_RUNS_MAX];
    const uint64_t begin = far + visit->nexts * (uint64_t)SF_STAGE_RUNS_MAX;
    if (next->count > SF_STAGE_RUNS_MAX) {
        sf_visit_refuse(visit, header, SF_WIRE_TOO_LARGE, 0);
        return true;
    }
    for (uint32_t i = 0; i < next->count; i++)
        runs[i] = (struct sf_wire_run){.first = (begin + i) << SHIFT | SLOT, .count = 1};
    sf_visit_runs(visit, header, runs, next->count);
    return true;
}

static bool repeat(struct sf_visit *visit, const struct sf_wire_header *header,
                   const struct sf_wire_next *next)
{
    one(visit, header, (uint64_t)5 << SHIFT | SLOT, next->count);
    return true;
}

static bool back(struct sf_visit *visit, const struct sf_wire_header *header,
                 const struct sf_wire_next *next)
{
    one(visit, header, (uint64_t)(1000 - visit->nexts % 1000) << SHIFT | SLOT, next->count);
    return true;
}

static bool repeat_inside(struct sf_visit *visit, const struct sf_wire_header *header,
                          const struct sf_wire_next *next)
{
    const struct sf_wire_run runs[] = {{(uint64_t)5 << SHIFT | SLOT, next->count - 1},
                                       {(uint64_t)5 << SHIFT | SLOT, 1}};
    sf_visit_runs(visit, header, runs, 2);
    return true;
}

static bool low_after(struct sf_visit *visit, const struct sf_wire_header *header,
                      const struct sf_wire_next *next)
{
    one(visit, header, next->after - next->count + 1, next->count);
    return true;
}

static bool other_count(struct sf_visit *visit, const struct sf_wire_header *header,
                        const struct sf_wire_next *next)
{
    one(visit, header, (uint64_t)5 << SHIFT | SLOT, next->count + 1);
    return true;
}

static bool other_id(struct sf_visit *visit, const struct sf_wire_header *header,
                     const struct sf_wire_next *next)
{
    (void)next;
    odd(visit, header, SF_WIRE_VERSION, header->type | SF_WIRE_RESPONSE, header->request_id + 1);
    return true;
}

static bool other_type(struct sf_visit *visit, const struct sf_wire_header *header,
                       const struct sf_wire_next *next)
{
    (void)next;
    odd(visit, header, SF_WIRE_VERSION, SF_WIRE_PING | SF_WIRE_RESPONSE, header->request_id);
    return true;
}

static bool other_version(struct sf_visit *visit, const struct sf_wire_header *header,
                          const struct sf_wire_next *next)
{
    (void)next;
    odd(visit, header, 2, header->type | SF_WIRE_RESPONSE, header->request_id);
    return true;
}

static bool bad_length(struct sf_visit *visit, const struct sf_wire_header *header,
                       const struct sf_wire_next *next)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    (void)header;
    (void)next;
    sf_visit_send(visit, text, sizeof text - 1);
    return true;
}

/* The first bytes of an answer. */
static void half(struct sf_visit *visit, const struct sf_wire_header *header)
{
    uint8_t head[SF_WIRE_HEADER_SIZE];
    sf_wire_put_header(head, header->type | SF_WIRE_RESPONSE, SF_WIRE_OK, header->request_id,
                       SF_WIRE_RUN_SIZE);
    sf_visit_send(visit, head, sizeof head);
}

static bool half_frame(struct sf_visit *visit, const struct sf_wire_header *header,
                       const struct sf_wire_next *next)
{
    (void)next;
    if (visit->nexts == 1) /* then nothing: another one would end it */
        half(visit, header);
    return true;
}

static bool cut_frame(struct sf_visit *visit, const struct sf_wire_header *header,
                      const struct sf_wire_next *next)
{
    (void)next;
    half(visit, header);
    return false;
}

static bool silence(struct sf_visit *visit, const struct sf_wire_header *header,
                    const struct sf_wire_next *next)
{
    (void)visit;
    (void)header;
    (void)next;
    return true;
}

static bool late(struct sf_visit *visit, const struct sf_wire_header *header,
                 const struct sf_wire_next *next)
{
    sf_stage_sleep_ms(250);
    sf_visit_mint(visit, header, next);
    return true;
}

static bool drip(struct sf_visit *visit, const struct sf_wire_header *header,
                 const struct sf_wire_next *next)
{
    uint8_t frame[SF_WIRE_HEADER_SIZE + SF_WIRE_RUN_SIZE];
    sf_wire_put_header(frame, header->type | SF_WIRE_RESPONSE, SF_WIRE_OK, header->request_id,
                       SF_WIRE_RUN_SIZE);
    const uint64_t ms = (uint64_t)visit->nexts + ((uint64_t)visit->stage->connections << 20);
    sf_wire_put_run(frame + SF_WIRE_HEADER_SIZE, ms << SHIFT | SLOT, next->count);
    for (size_t i = 0; i < sizeof frame; i++) {
        sf_visit_send(visit, frame + i, 1);
        sf_stage_sleep_ms(1);
    }
    return true;
}

static bool goaway(struct sf_visit *visit, const struct sf_wire_header *header,
                   const struct sf_wire_next *next)
{
    if (visit->nexts == 3) {
        uint8_t frame[64];
        sf_visit_send(visit, frame, sf_wire_put_goaway(frame, sizeof frame, 5000, "drain"));
        visit->left = true;
    }
    sf_visit_mint(visit, header, next); /* the answer still comes, and counts */
    return true;
}

static bool pushes(struct sf_visit *visit, const struct sf_wire_header *header,
                   const struct sf_wire_next *next)
{
    uint8_t frame[SF_WIRE_HEADER_SIZE];
    sf_wire_put_header(frame, SF_WIRE_GOAWAY + 7, 3, 0, 0);
    sf_visit_send(visit, frame, sizeof frame);
    sf_visit_mint(visit, header, next);
    return true;
}

static bool hang_up(struct sf_visit *visit, const struct sf_wire_header *header,
                    const struct sf_wire_next *next)
{
    if (visit->nexts == 3)
        return false;
    sf_visit_mint(visit, header, next);
    return true;
}

static bool quota(struct sf_visit *visit, const struct sf_wire_header *header,
                  const struct sf_wire_next *next)
{
    struct sf_stage *stage = visit->stage;
    pthread_mutex_lock(&stage->mutex);
    const bool first = stage->asked == 1;
    if (first)
        stage->wait_ms = sf_stage_now_ms() + 290; /* 300, and what clocks round */
    pthread_mutex_unlock(&stage->mutex);
    if (first)
        sf_visit_refuse(visit, header, SF_WIRE_RATE_LIMITED, 300);
    else
        sf_visit_mint(visit, header, next);
    return true;
}

static bool bad_error(struct sf_visit *visit, const struct sf_wire_header *header,
                      const struct sf_wire_next *next)
{
    uint8_t frame[SF_WIRE_HEADER_SIZE + 2] = {0};
    (void)next;
    sf_wire_put_header(frame, header->type | SF_WIRE_RESPONSE, SF_WIRE_NOT_READY,
                       header->request_id, 2);
    sf_visit_send(visit, frame, sizeof frame);
    return true;
}

static bool token(struct sf_visit *visit, const struct sf_wire_header *header,
                  const struct sf_wire_next *next)
{
    if (!visit->shown) {
        sf_stage_wrong(visit->stage, "asked for IDs before the token was shown");
        sf_visit_refuse(visit, header, SF_WIRE_DENIED, 0);
    } else {
        sf_visit_mint(visit, header, next);
    }
    return true;
}

#define STATUS(NAME, name)                                                                         \
    static bool status_##name(struct sf_visit *visit, const struct sf_wire_header *header,         \
                              const struct sf_wire_next *next)                                     \
    {                                                                                              \
        (void)next;                                                                                \
        sf_visit_refuse(visit, header, SF_WIRE_##NAME, 50);                                        \
        return true;                                                                               \
    }
STATUS(TOO_LARGE, too_large)
STATUS(NOT_READY, not_ready)
STATUS(CLOCK, clock)
STATUS(OVERLOADED, overloaded)
STATUS(RATE_LIMITED, rate_limited)
STATUS(DRAINING, draining)
STATUS(DENIED, denied)
STATUS(CAUSALITY, causality)
STATUS(INTERNAL, internal)

static bool status_unknown(struct sf_visit *visit, const struct sf_wire_header *header,
                           const struct sf_wire_next *next)
{
    (void)next;
    sf_visit_refuse(visit, header, (enum sf_wire_status)999, 50);
    return true;
}

#define BAD(play_, name_, text_, error_)                                                           \
    {                                                                                              \
        .name = (name_), .text = (text_), .count = 1, .error = (error_), .timeout_ms = 700,        \
        .next = (play_)                                                                            \
    }
#define BESIDE(play_, name_, text_)                                                                \
    {                                                                                              \
        .name = (name_), .text = (text_), .calls = 8, .count = 1, .timeout_ms = 5000,              \
        .beside_good = true, .next = (play_)                                                       \
    }

/* clang-format off */
const struct sf_scenario sf_scenarios[] = {
    {.name = "good", .text = "a worker; IDs ascend", .calls = 5, .count = 3, .timeout_ms = 5000},
    {.name = "after", .text = "a worker; send AFTER: every ID is greater", .calls = 2, .count = 3, .timeout_ms = 5000, .after = true},
    {.name = "many-runs", .text = "one ID a run; all of a call are handed on", .calls = 2, .count = 4000, .timeout_ms = 5000, .next = many_runs},
    {.name = "max-batch", .text = "gives 100 at a time, says INFO; ask for more in parts", .calls = 2, .count = 1050, .timeout_ms = 5000, .max_batch = 100},
    {.name = "repeat", .text = "the same ID again; never hand it on twice", .calls = 1, .count = 1, .error = "ORDER", .timeout_ms = 1000, .next = repeat},
    {.name = "goes-back", .text = "a lower ID than the one before", .calls = 1, .count = 1, .error = "ORDER", .timeout_ms = 1000, .next = back},
    {.name = "repeat-inside", .text = "an ID twice in one answer", .count = 3, .error = "PROTOCOL|ORDER", .timeout_ms = 1000, .next = repeat_inside},
    {.name = "low-after", .text = "an ID that is not above AFTER", .count = 1, .error = "ORDER", .timeout_ms = 1000, .after = true, .next = low_after},
    BAD(other_count, "other-count", "one ID more than was asked for", "PROTOCOL"),
    BAD(other_id, "other-id", "another request_id", "PROTOCOL"),
    BAD(other_type, "other-type", "an answer of another type", "PROTOCOL"),
    BAD(other_version, "other-version", "a frame of version 2", "PROTOCOL"),
    BAD(bad_length, "bad-length", "HTTP", "PROTOCOL"),
    BAD(bad_error, "bad-error", "an error answer without a body", "PROTOCOL"),
    BAD(half_frame, "half-frame", "half an answer, then nothing; end the call at its deadline", "TIMEOUT|UNREACHABLE"),
    BAD(cut_frame, "cut-frame", "half an answer, then the end", "UNREACHABLE"),
    BAD(silence, "silence", "no answer; end the call at its deadline", "TIMEOUT|UNREACHABLE"),
    {.name = "late", .text = "answers after 250 ms; each once, in place", .calls = 3, .count = 1, .timeout_ms = 5000, .next = late},
    {.name = "drip", .text = "a byte at a time", .calls = 3, .count = 1, .timeout_ms = 5000, .next = drip},
    {.name = "goaway", .text = "GOAWAY before the third answer; ask nothing more there", .calls = 10, .count = 1, .timeout_ms = 5000, .next = goaway},
    {.name = "pushes", .text = "pushes of a later version; leave them", .calls = 5, .count = 1, .timeout_ms = 5000, .next = pushes},
    {.name = "hang-up", .text = "closes instead of the third answer; no call fails", .calls = 10, .count = 1, .timeout_ms = 5000, .next = hang_up},
    {.name = "quota", .text = "RATE_LIMITED for 300 ms, once; wait that long", .calls = 2, .count = 1, .timeout_ms = 5000, .next = quota},
    {.name = "token", .text = "wants the token " SF_STAGE_TOKEN " before anything else", .calls = 3, .count = 1, .timeout_ms = 5000, .next = token},
    {.name = "other-fleet", .text = "another fleet than the good worker's; use one of them alone", .calls = 8, .count = 1, .timeout_ms = 5000, .beside_good = true,
     .fleet_id = "11111111-0000-4000-8000-000000000000"},
    {.name = "nameless", .text = "no fleet_id: hand no ID on", .count = 1, .error = "UNREACHABLE|TIMEOUT|PROTOCOL|NOT_READY", .timeout_ms = 500,
     .info = "{\"fleet_id\":null,\"max_batch\":65536}"},
    {.name = "bad-info", .text = "an INFO that is none; use the good worker", .calls = 8, .count = 1, .timeout_ms = 5000, .beside_good = true, .info = "[]"},
    BAD(status_too_large, "status-too-large", "TOO_LARGE", "REFUSED"),
    BAD(status_not_ready, "status-not-ready", "NOT_READY until the deadline", "NOT_READY"),
    BAD(status_clock, "status-clock", "CLOCK until the deadline", "CLOCK"),
    BAD(status_overloaded, "status-overloaded", "OVERLOADED until the deadline", "OVERLOADED"),
    BAD(status_rate_limited, "status-rate-limited", "RATE_LIMITED, again and again", "RATE_LIMITED"),
    BAD(status_draining, "status-draining", "DRAINING until the deadline", "DRAINING"),
    BAD(status_denied, "status-denied", "DENIED", "DENIED"),
    BAD(status_causality, "status-causality", "CAUSALITY, again and again", "CAUSALITY"),
    BAD(status_internal, "status-internal", "INTERNAL until the deadline", "INTERNAL"),
    BAD(status_unknown, "status-unknown", "a status of a later version; as INTERNAL", "INTERNAL"),
    BESIDE(silence, "beside-silence", "no answer; the good worker serves every call, soon"),
    BESIDE(cut_frame, "beside-cut-frame", "half an answer, then the end; the good worker serves every call"),
    BESIDE(status_not_ready, "beside-not-ready", "NOT_READY; the good worker serves every call"),
    BESIDE(status_overloaded, "beside-overloaded", "OVERLOADED; the good worker serves every call"),
    BESIDE(other_id, "beside-other-id", "another request_id; the good worker serves every call"),
};
/* clang-format on */
const size_t sf_scenario_count = sizeof sf_scenarios / sizeof *sf_scenarios;
