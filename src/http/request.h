/* http/request.h - the head of an HTTP/1.1 or 1.0 request, read strictly (RFC 9110, RFC 9112): bytes to a struct, no sockets.
 *
 * Strictly: what two readers of the same bytes could take for different requests is refused, not repaired. A line ends with CR LF and
 * nothing else, no line is folded, no blank stands before a colon; Host is there once (HTTP/1.0: at most once), and so is whatever
 * says where a body ends; the target is a path with an optional query, of visible ASCII, and nothing in it is percent-encoded,
 * since no path or argument of ours needs that. Pure; any thread. */
#ifndef SF_HTTP_REQUEST_H
#define SF_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_HTTP_HEAD_MAX   8192 /* bytes: request line, fields, blank line */
#define SF_HTTP_TARGET_MAX 1024
#define SF_HTTP_FIELDS_MAX 64

/* Bytes within what was read; at NULL: not there. */
struct sf_http_text {
    const char *at;
    size_t size;
};

struct sf_http_request {
    struct sf_http_text method, path, query; /* query: without its question mark */
    struct sf_http_text host, authorization, origin;
    bool is_1_0;
    bool closes;      /* the connection ends behind the answer */
    bool has_body;    /* Content-Length over 0, or Transfer-Encoding */
    bool chunked;     /* Transfer-Encoding */
    bool cross_site;  /* sent by a browser for a page of another site (Origin, Sec-Fetch-Site) */
    bool prefetch;    /* sent by a browser in case somebody wants it (Sec-Purpose and its forerunners) */
    uint64_t length;  /* Content-Length; 0 without one */
};

/* What is wrong: an HTTP status and a sentence, static, without a line break. */
struct sf_http_problem {
    unsigned status;
    const char *text;
};

enum sf_http_parsed {
    SF_HTTP_COMPLETE, /* a whole head lies at the front */
    SF_HTTP_PARTIAL,  /* more bytes are needed, and what is there may be a request */
    SF_HTTP_BAD       /* nothing behind it can be read either */
};

/* Looks at the front of a byte stream. COMPLETE: ret points into the bytes, ret_size is the head's size with its blank line. BAD:
 * ret_problem says why. */
enum sf_http_parsed sf_http_parse(const uint8_t *bytes, size_t size, struct sf_http_request *ret, size_t *ret_size,
                                  struct sf_http_problem *ret_problem);

/* Whether these bytes are this text, exactly. */
bool sf_http_is(struct sf_http_text text, const char *what);

/* The token of `Authorization: Bearer TOKEN` (RFC 6750, 2.1); at NULL: none. */
struct sf_http_text sf_http_bearer(const struct sf_http_request *request);

#endif
