/* Writing answers of /v1: heads, errors, and the IDs in pieces. */
#include "http/answer.h"

#include <string.h>

#include "base/assert.h"

#define ID_DIGITS_MAX 19
#define WHY_MAX       400

static const char ids_begin[] = "{\"ids\":[";
static const char ids_end[] = "]}\n";

unsigned sf_http_status_of(enum sf_wire_status status)
{
    static const uint16_t statuses[SF_WIRE_STATUSES] = {
        [SF_WIRE_OK] = 200,         [SF_WIRE_BAD_REQUEST] = 400,  [SF_WIRE_UNSUPPORTED] = 501,
        [SF_WIRE_TOO_LARGE] = 413,  [SF_WIRE_NOT_READY] = 503,    [SF_WIRE_CLOCK] = 503,
        [SF_WIRE_OVERLOADED] = 503, [SF_WIRE_RATE_LIMITED] = 429, [SF_WIRE_DRAINING] = 503,
        [SF_WIRE_DENIED] = 403,     [SF_WIRE_CAUSALITY] = 503,    [SF_WIRE_INTERNAL] = 500,
    };
    SF_ASSERT((unsigned)status < SF_WIRE_STATUSES);
    return statuses[status];
}

static const char *reason_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {413, "Content Too Large"},
                   {414, "URI Too Long"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Error";
}

/* --- heads --- */

static char *add(char *to, const char *text)
{
    return stpcpy(to, text);
}

/* Decimal; returns behind the last digit. */
static char *add_number(char *to, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(to, digits + at, sizeof digits - at);
    return to + sizeof digits - at;
}

size_t sf_http_put_head(char *to, const struct sf_http_answer *answer)
{
    char *at = add(to, "HTTP/1.1 ");
    at = add_number(at, answer->status);
    at = add(add(at, " "), reason_of(answer->status));
    at = add(add(at, "\r\nContent-Type: "), answer->type);
    at = add_number(add(at, "\r\nContent-Length: "), answer->length);
    at = add(at, "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
    if (answer->closes)
        at = add(at, "Connection: close\r\n");
    else if (answer->is_1_0)
        at = add(at, "Connection: keep-alive\r\n");
    if (answer->status == 401)
        at = add(at, "WWW-Authenticate: Bearer\r\n");
    if (answer->status == 405)
        at = add(at, "Allow: GET\r\n");
    if (answer->status == 429 || answer->status == 503) {
        const uint64_t seconds = ((uint64_t)answer->retry_after_ms + 999) / 1000;
        at = add_number(add(at, "Retry-After: "), seconds > 0 ? seconds : 1);
        at = add(at, "\r\n");
    }
    at = add(at, "\r\n");
    SF_ASSERT(at - to <= SF_HTTP_ANSWER_HEAD_MAX);
    return (size_t)(at - to);
}

size_t sf_http_put_error(char *to, struct sf_http_answer answer, const char *why)
{
    const size_t size = strnlen(why, WHY_MAX);
    answer.type = "text/plain; charset=utf-8";
    answer.length = size + 1;
    char *at = to + sf_http_put_head(to, &answer);
    memcpy(at, why, size);
    at[size] = '\n';
    return (size_t)(at - to) + size + 1;
}

/* --- IDs --- */

static unsigned digits_of(uint64_t number)
{
    unsigned digits = 1;
    for (; number >= 10; number /= 10)
        digits++;
    return digits;
}

uint64_t sf_http_ids_length(const uint8_t *runs, size_t count)
{
    uint64_t length = sizeof ids_begin - 1 + sizeof ids_end - 1 - 1; /* one comma less than IDs */
    for (size_t i = 0; i < count; i++) {
        const struct sf_wire_run run = sf_wire_run_at(runs, i);
        const unsigned least = digits_of(run.first), most = digits_of(run.first + run.count - 1);
        length += (uint64_t)run.count * (least + 3); /* quotes and comma */
        uint64_t power = 1; /* those that have more digits than the first */
        for (unsigned digits = 0; digits < least; digits++)
            power *= 10;
        for (unsigned digits = least; digits < most; digits++, power *= 10)
            length += run.first + run.count - power;
    }
    return length;
}

size_t sf_http_ids_put(struct sf_http_ids *ids, const uint8_t *runs, size_t count, char *to,
                       size_t room)
{
    const char *full = to + room - (ID_DIGITS_MAX + 3) - sizeof ids_end;
    char *at = to;
    SF_ASSERT(room >= SF_HTTP_IDS_PIECE_MIN && !ids->done);
    if (!ids->begun)
        at = add(at, ids_begin);
    while (ids->run < count && at <= full) {
        const struct sf_wire_run run = sf_wire_run_at(runs, ids->run);
        for (; ids->at < run.count && at <= full; ids->at++) {
            if (ids->begun)
                *at++ = ',';
            *at++ = '"';
            at = add_number(at, run.first + ids->at);
            *at++ = '"';
            ids->begun = true;
        }
        if (ids->at == run.count) {
            ids->run++;
            ids->at = 0;
        }
    }
    if (ids->run == count) {
        at = add(at, ids_end);
        ids->done = true;
    }
    return (size_t)(at - to);
}
