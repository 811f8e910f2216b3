/* Reading the head of a request. */
#include "http/request.h"

#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS_MAX 19 /* of a Content-Length: it fits 64 bits */

static bool bad(struct sf_http_problem *ret, unsigned status, const char *text)
{
    *ret = (struct sf_http_problem){status, text};
    return false;
}

bool sf_http_is(struct sf_http_text text, const char *what)
{
    return text.at != NULL && strlen(what) == text.size && memcmp(text.at, what, text.size) == 0;
}

static bool is_caseless(struct sf_http_text text, const char *what)
{
    return text.at != NULL && strlen(what) == text.size &&
           strncasecmp(text.at, what, text.size) == 0;
}

/* RFC 9110, 5.6.2 */
static bool is_token_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Where the head ends: 0 when it does not yet. A line that ends with a lone LF is one that other
 * readers take for two. */
static size_t find_end(const char *bytes, size_t size, bool *ret_lone)
{
    const char *line = bytes, *end = bytes + size, *lf;
    while ((lf = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        if (lf == line || lf[-1] != '\r') {
            *ret_lone = true;
            return 0;
        }
        if (lf == line + 1)
            return (size_t)(lf + 1 - bytes);
        line = lf + 1;
    }
    return 0;
}

/* --- the request line --- */

/* Takes what stands before the next blank; at NULL where there is none. */
static struct sf_http_text take_word(struct sf_http_text *line)
{
    const char *blank = memchr(line->at, ' ', line->size);
    if (blank == NULL)
        return (struct sf_http_text){0};
    const struct sf_http_text word = {line->at, (size_t)(blank - line->at)};
    line->size -= word.size + 1;
    line->at = blank + 1;
    return word;
}

static bool read_version(struct sf_http_text version, struct sf_http_request *ret,
                         struct sf_http_problem *problem)
{
    ret->is_1_0 = sf_http_is(version, "HTTP/1.0");
    if (ret->is_1_0 || sf_http_is(version, "HTTP/1.1"))
        return true;
    if (version.size == 8 && memcmp(version.at, "HTTP/", 5) == 0)
        return bad(problem, 505, "HTTP/1.1 and HTTP/1.0 are spoken here");
    return bad(problem, 400, "the request line is not METHOD PATH HTTP/1.1");
}

static bool read_target(struct sf_http_text target, struct sf_http_request *ret,
                        struct sf_http_problem *problem)
{
    if (target.size > SF_HTTP_TARGET_MAX)
        return bad(problem, 414, "path and query: at most 1024 bytes");
    if (target.size == 0 || target.at[0] != '/')
        return bad(problem, 400, "the target is not a path that begins with /");
    for (size_t i = 0; i < target.size; i++) {
        const char c = target.at[i];
        if (c == '%')
            return bad(problem, 400, "nothing in a path or a query is percent-encoded here");
        if (c <= ' ' || c > '~' || strchr("\"#<>\\^`{|}", c) != NULL)
            return bad(problem, 400, "path and query have a character that may not stand there");
    }
    const char *mark = memchr(target.at, '?', target.size);
    ret->path = target;
    if (mark != NULL) {
        ret->path.size = (size_t)(mark - target.at);
        ret->query = (struct sf_http_text){mark + 1, target.size - ret->path.size - 1};
    }
    return true;
}

static bool read_request_line(struct sf_http_text line, struct sf_http_request *ret,
                              struct sf_http_problem *problem)
{
    ret->method = take_word(&line);
    const struct sf_http_text target =
        ret->method.at != NULL ? take_word(&line) : (struct sf_http_text){0};
    if (target.at == NULL || ret->method.size == 0)
        return bad(problem, 400, "the request line is not METHOD PATH HTTP/1.1");
    for (size_t i = 0; i < ret->method.size; i++)
        if (!is_token_character(ret->method.at[i]))
            return bad(problem, 400, "the method has a character that may not stand there");
    return read_version(line, ret, problem) && read_target(target, ret, problem);
}

/* --- the fields --- */

struct field {
    struct sf_http_text name, value;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool split_field(struct sf_http_text line, struct field *ret,
                        struct sf_http_problem *problem)
{
    if (is_blank(line.at[0]))
        return bad(problem, 400, "a header field is folded over two lines");
    const char *colon = memchr(line.at, ':', line.size);
    if (colon == NULL || colon == line.at)
        return bad(problem, 400, "a header field is not NAME: VALUE");
    ret->name = (struct sf_http_text){line.at, (size_t)(colon - line.at)};
    for (size_t i = 0; i < ret->name.size; i++)
        if (!is_token_character(ret->name.at[i]))
            return bad(problem, 400,
                       "a header field's name has a character that may not stand there");
    ret->value = (struct sf_http_text){colon + 1, line.size - ret->name.size - 1};
    while (ret->value.size > 0 && is_blank(ret->value.at[0])) {
        ret->value.at++;
        ret->value.size--;
    }
    while (ret->value.size > 0 && is_blank(ret->value.at[ret->value.size - 1]))
        ret->value.size--;
    for (size_t i = 0; i < ret->value.size; i++) {
        const unsigned char c = (unsigned char)ret->value.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return bad(problem, 400, "a header field's value has a control character");
    }
    return true;
}

static bool once(const struct field *field, struct sf_http_text *to, const char *twice,
                 struct sf_http_problem *problem)
{
    if (to->at != NULL)
        return bad(problem, 400, twice);
    *to = field->value;
    return true;
}

static bool read_host(const struct field *field, struct sf_http_request *ret,
                      struct sf_http_problem *problem)
{
    if (field->value.size == 0)
        return bad(problem, 400, "Host is empty");
    for (size_t i = 0; i < field->value.size; i++) {
        const char c = field->value.at[i];
        if (!is_token_character(c) && c != ':' && c != '[' && c != ']')
            return bad(problem, 400, "Host has a character that may not stand there");
    }
    return once(field, &ret->host, "Host is there twice", problem);
}

static bool read_length(const struct field *field, struct sf_http_request *ret,
                        struct sf_http_text *seen, struct sf_http_problem *problem)
{
    if (field->value.size == 0 || field->value.size > LENGTH_DIGITS_MAX)
        return bad(problem, 400, "Content-Length is not a number");
    for (size_t i = 0; i < field->value.size; i++) {
        if (field->value.at[i] < '0' || field->value.at[i] > '9')
            return bad(problem, 400, "Content-Length is not a number");
        ret->length = ret->length * 10 + (uint64_t)(field->value.at[i] - '0');
    }
    ret->has_body = ret->has_body || ret->length > 0;
    return once(field, seen, "Content-Length is there twice", problem);
}

/* The options of Connection, of which there may be several fields. */
static void read_connection(struct sf_http_text value, bool *ret_close, bool *ret_keep)
{
    while (value.size > 0) {
        const char *comma = memchr(value.at, ',', value.size);
        struct sf_http_text option = {value.at,
                                      comma != NULL ? (size_t)(comma - value.at) : value.size};
        const size_t used = option.size + (comma != NULL);
        while (option.size > 0 && is_blank(option.at[0])) {
            option.at++;
            option.size--;
        }
        while (option.size > 0 && is_blank(option.at[option.size - 1]))
            option.size--;
        *ret_close = *ret_close || is_caseless(option, "close");
        *ret_keep = *ret_keep || is_caseless(option, "keep-alive");
        value.at += used;
        value.size -= used;
    }
}

struct fields {
    struct sf_http_text length;
    bool close, keep;
};

static bool read_field(const struct field *field, struct sf_http_request *ret,
                       struct fields *fields, struct sf_http_problem *problem)
{
    const struct sf_http_text name = field->name;
    switch (name.at[0] | 0x20) { /* most fields are none of these */
    case 'h':
        return !is_caseless(name, "Host") || read_host(field, ret, problem);
    case 'c':
        if (is_caseless(name, "Connection"))
            read_connection(field->value, &fields->close, &fields->keep);
        return !is_caseless(name, "Content-Length") ||
               read_length(field, ret, &fields->length, problem);
    case 'a':
        return !is_caseless(name, "Authorization") ||
               once(field, &ret->authorization, "Authorization is there twice", problem);
    case 't':
        if (is_caseless(name, "Transfer-Encoding"))
            ret->chunked = ret->has_body = true;
        return true;
    case 'o':
        if (!is_caseless(name, "Origin"))
            return true;
        ret->cross_site = true; /* a GET of the same site has none */
        return once(field, &ret->origin, "Origin is there twice", problem);
    case 's':
        if (is_caseless(name, "Sec-Fetch-Site") && !sf_http_is(field->value, "none") &&
            !sf_http_is(field->value, "same-origin"))
            ret->cross_site = true;
        ret->prefetch = ret->prefetch || is_caseless(name, "Sec-Purpose");
        return true;
    case 'p':
    case 'x':
        ret->prefetch = ret->prefetch || is_caseless(name, "Purpose") ||
                        is_caseless(name, "X-Purpose") || is_caseless(name, "X-Moz");
        return true;
    default:
        return true;
    }
}

/* The lines behind the request line. `bytes` ends with the blank line. */
static bool read_fields(struct sf_http_text bytes, struct sf_http_request *ret,
                        struct sf_http_problem *problem)
{
    struct fields fields = {0};
    for (unsigned count = 0; bytes.size > 2; count++) {
        const char *lf = memchr(bytes.at, '\n', bytes.size);
        const size_t size = (size_t)(lf - bytes.at) - 1; /* without CR LF */
        struct field field;
        if (count == SF_HTTP_FIELDS_MAX)
            return bad(problem, 431, "more than 64 header fields");
        if (!split_field((struct sf_http_text){bytes.at, size}, &field, problem) ||
            !read_field(&field, ret, &fields, problem))
            return false;
        bytes.at += size + 2;
        bytes.size -= size + 2;
    }
    if (ret->host.at == NULL && !ret->is_1_0)
        return bad(problem, 400, "Host is missing");
    if (ret->chunked && fields.length.at != NULL)
        return bad(problem, 400, "Content-Length and Transfer-Encoding exclude each other");
    ret->closes = fields.close || (ret->is_1_0 && !fields.keep);
    return true;
}

enum sf_http_parsed sf_http_parse(const uint8_t *bytes, size_t size, struct sf_http_request *ret,
                                  size_t *ret_size, struct sf_http_problem *ret_problem)
{
    const char *text = (const char *)bytes;
    bool lone = false;
    if (size > 0 && !is_token_character(text[0])) {
        bad(ret_problem, 400, "this is no HTTP request");
        return SF_HTTP_BAD;
    }
    const size_t end = find_end(text, size < SF_HTTP_HEAD_MAX ? size : SF_HTTP_HEAD_MAX, &lone);
    if (lone) {
        bad(ret_problem, 400, "a line does not end with CR LF");
        return SF_HTTP_BAD;
    }
    if (end == 0 && size < SF_HTTP_HEAD_MAX)
        return SF_HTTP_PARTIAL;
    if (end == 0) {
        bad(ret_problem, 431, "request line and header fields: at most 8192 bytes");
        return SF_HTTP_BAD;
    }
    const char *lf = memchr(text, '\n', end);
    const size_t line = (size_t)(lf - text) - 1;
    *ret = (struct sf_http_request){0};
    if (!read_request_line((struct sf_http_text){text, line}, ret, ret_problem) ||
        !read_fields((struct sf_http_text){text + line + 2, end - line - 2}, ret, ret_problem))
        return SF_HTTP_BAD;
    *ret_size = end;
    return SF_HTTP_COMPLETE;
}

struct sf_http_text sf_http_bearer(const struct sf_http_request *request)
{
    static const char scheme[] = "Bearer ";
    const size_t skip = sizeof scheme - 1;
    const struct sf_http_text given = request->authorization;
    if (given.at == NULL || given.size <= skip || strncasecmp(given.at, scheme, skip) != 0)
        return (struct sf_http_text){0};
    return (struct sf_http_text){given.at + skip, given.size - skip};
}
