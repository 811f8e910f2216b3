/* The strict reader of HTTP requests and what stands behind it: any bytes. What is a whole head is none a byte earlier, points into what was read, has nothing in
 * it that two readers could take for two requests; and what is refused has a status and a sentence of visible ASCII. */
#include "fuzz.h"

#include "http/answer.h"
#include "http/ask.h"

static void within(struct sf_http_text text, const uint8_t *data, size_t size)
{
    MUST(text.at == NULL ||
         (text.at >= (const char *)data && text.at + text.size <= (const char *)data + size));
}

static void visible(const char *text)
{
    MUST(text[0] != '\0');
    for (; *text != '\0'; text++)
        MUST(*text >= ' ' && *text <= '~');
}

static void refused(unsigned status, const char *why)
{
    char answer[SF_HTTP_ERROR_MAX];
    MUST(status >= 400 && status < 600);
    visible(why);
    const struct sf_http_answer how = {.status = status, .closes = true};
    MUST(sf_http_put_error(answer, how, why) <= sizeof answer);
}

/* How many lines of the head begin with this name, in whatever case, and go on with a colon. */
static unsigned count_fields(const char *head, size_t size, const char *name)
{
    const size_t length = strlen(name);
    unsigned count = 0;
    for (size_t i = 0; i + 2 + length < size; i++)
        count += head[i] == '\r' && head[i + 1] == '\n' &&
                 strncasecmp(head + i + 2, name, length) == 0 && head[i + 2 + length] == ':';
    return count;
}

static void complete(const struct sf_http_request *request, const uint8_t *data, size_t head)
{
    const char *text = (const char *)data;
    struct sf_http_ask ask = {0};
    char why[SF_HTTP_WHY_MAX] = "";
    const struct sf_http_text all[] = {
        request->method,        request->path,   request->query,         request->host,
        request->authorization, request->origin, sf_http_bearer(request)};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        within(all[i], data, head);
    MUST(head <= SF_HTTP_HEAD_MAX && head >= 4 && memcmp(text + head - 4, "\r\n\r\n", 4) == 0);
    MUST(request->path.size > 0 && request->path.at[0] == '/' &&
         memchr(request->path.at, '%', request->path.size) == NULL);
    MUST(count_fields(text, head, "Host") <= 1 && count_fields(text, head, "Content-Length") <= 1 &&
         count_fields(text, head, "Authorization") <= 1);
    MUST(count_fields(text, head, "Host") == 1 || request->is_1_0);
    MUST(count_fields(text, head, "Content-Length") == 0 ||
         count_fields(text, head, "Transfer-Encoding") == 0);
    for (size_t i = 0; i + 1 < head; i++) {
        MUST((text[i] == '\r') == (text[i + 1] == '\n')); /* neither stands alone */
        MUST(text[i] != '\0' && !(text[i] == '\n' && (text[i + 1] == ' ' || text[i + 1] == '\t')));
    }
    const unsigned status = sf_http_ask_read(request, &ask, why);
    if (status != 0) {
        refused(status, why);
        return;
    }
    MUST(sf_http_is(request->method, "GET") && !request->has_body);
    MUST(ask.what == SF_HTTP_DECODE ? ask.id <= INT64_MAX
                                    : ask.count >= 1 && !request->cross_site && !request->prefetch);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    uint8_t *data = fuzz_exact(input, size);
    struct sf_http_request request, again;
    struct sf_http_problem problem = {0};
    size_t head = 0, other = 0;
    switch (sf_http_parse(data, size, &request, &head, &problem)) {
    case SF_HTTP_COMPLETE:
        MUST(sf_http_parse(data, head - 1, &again, &other, &problem) == SF_HTTP_PARTIAL);
        MUST(sf_http_parse(data, head, &again, &other, &problem) == SF_HTTP_COMPLETE &&
             other == head);
        complete(&request, data, head);
        break;
    case SF_HTTP_BAD:
        refused(problem.status, problem.text);
        break;
    default:
        MUST(size < SF_HTTP_HEAD_MAX);
    }
    free(data);
    return 0;
}
