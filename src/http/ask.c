/* From a path and a query to what is asked. */
#include "http/ask.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_MAX  40 /* bytes of bad input that an error repeats; all of it is visible ASCII */
#define DIGITS_MAX 19 /* of an ID */

static int shown(struct sf_http_text text)
{
    return (int)(text.size < SHOWN_MAX ? text.size : SHOWN_MAX);
}

static bool is_number(struct sf_http_text text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return text.size > 0;
}

static uint32_t clipped_number(struct sf_http_text text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size && number <= UINT32_MAX; i++)
        number = number * 10 + (uint64_t)(text.at[i] - '0');
    return number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

/* Takes what stands before the next &. */
static struct sf_http_text take_argument(struct sf_http_text *query)
{
    const char *end = memchr(query->at, '&', query->size);
    const struct sf_http_text argument = {query->at,
                                          end != NULL ? (size_t)(end - query->at) : query->size};
    const size_t used = argument.size + (end != NULL);
    query->at += used;
    query->size -= used;
    return argument;
}

static unsigned read_count(struct sf_http_text query, uint32_t *ret, char why[SF_HTTP_WHY_MAX])
{
    static const char name[] = "count=";
    const size_t skip = sizeof name - 1;
    unsigned seen = 0;
    *ret = 1;
    while (query.size > 0) {
        const struct sf_http_text argument = take_argument(&query);
        if (argument.size < skip || memcmp(argument.at, name, skip) != 0) {
            (void)snprintf(why, SF_HTTP_WHY_MAX, "unknown argument \"%.*s\"; known: count=N",
                           shown(argument), argument.at);
            return 400;
        }
        const struct sf_http_text value = {argument.at + skip, argument.size - skip};
        if (++seen > 1) {
            (void)snprintf(why, SF_HTTP_WHY_MAX, "count is given twice; give it once");
            return 400;
        }
        if (!is_number(value) || (*ret = clipped_number(value)) == 0) {
            (void)snprintf(why, SF_HTTP_WHY_MAX, "count \"%.*s\" is no whole number from 1 on",
                           shown(value), value.at);
            return 400;
        }
    }
    return 0;
}

static unsigned read_ids(const struct sf_http_request *request, struct sf_http_ask *ret,
                         char why[SF_HTTP_WHY_MAX])
{
    ret->what = SF_HTTP_IDS;
    if (request->cross_site || request->prefetch) {
        (void)snprintf(why, SF_HTTP_WHY_MAX, "%s gets no IDs",
                       request->prefetch ? "a browser that only fetches ahead (Sec-Purpose)"
                                         : "a page of another site (Origin, Sec-Fetch-Site)");
        return 403;
    }
    return read_count(request->query, &ret->count, why);
}

static unsigned read_decode(struct sf_http_text id, const struct sf_http_request *request,
                            struct sf_http_ask *ret, char why[SF_HTTP_WHY_MAX])
{
    uint64_t number = 0;
    ret->what = SF_HTTP_DECODE;
    if (is_number(id) && id.size <= DIGITS_MAX)
        for (size_t i = 0; i < id.size; i++)
            number = number * 10 + (uint64_t)(id.at[i] - '0');
    else
        number = UINT64_MAX;
    if (number > INT64_MAX || request->query.size > 0) {
        (void)snprintf(why, SF_HTTP_WHY_MAX,
                       "\"%.*s\"%s is no ID; allowed are 0 to 9223372036854775807, decimal",
                       shown(id), id.at, request->query.size > 0 ? " with a query" : "");
        return 400;
    }
    ret->id = number;
    return 0;
}

unsigned sf_http_ask_read(const struct sf_http_request *request, struct sf_http_ask *ret,
                          char why[SF_HTTP_WHY_MAX])
{
    static const char decode[] = "/v1/decode/";
    const size_t skip = sizeof decode - 1;
    const struct sf_http_text path = request->path;
    const bool is_ids = sf_http_is(path, "/v1/ids");
    const bool is_decode = path.size >= skip && memcmp(path.at, decode, skip) == 0;
    if (!is_ids && !is_decode) {
        (void)snprintf(why, SF_HTTP_WHY_MAX, "there are /v1/ids?count=N and /v1/decode/ID");
        return 404;
    }
    if (!sf_http_is(request->method, "GET")) {
        (void)snprintf(why, SF_HTTP_WHY_MAX, "allowed is GET");
        return 405;
    }
    if (request->has_body) {
        (void)snprintf(why, SF_HTTP_WHY_MAX, "a GET has no body here");
        return 400;
    }
    return is_ids ? read_ids(request, ret, why)
                  : read_decode((struct sf_http_text){path.at + skip, path.size - skip}, request,
                                ret, why);
}
