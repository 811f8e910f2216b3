/* http/answer.h - answers of /v1 as bytes: the head, an error, the IDs in pieces. Pure; any thread. */
#ifndef SF_HTTP_ANSWER_H
#define SF_HTTP_ANSWER_H

#include "http/request.h"
#include "wire/frame.h"

#define SF_HTTP_ANSWER_HEAD_MAX 512
#define SF_HTTP_ERROR_MAX       1024 /* head and body of an error */

struct sf_http_answer {
    unsigned status;
    const char *type;        /* Content-Type */
    uint64_t length;         /* of the body */
    uint32_t retry_after_ms; /* 429, 503: said in whole seconds, one at least */
    bool is_1_0, closes;     /* as the request has them */
};

/* The HTTP status that stands for a status of the protocol (docs/http.md). */
unsigned sf_http_status_of(enum sf_wire_status status);

/* Writes the head with its blank line; `to` has SF_HTTP_ANSWER_HEAD_MAX bytes. Returns its size. Every answer has Cache-Control: no-store; 401
 * WWW-Authenticate, 405 Allow, 429 and 503 Retry-After. */
size_t sf_http_put_head(char *to, const struct sf_http_answer *answer);
/* Writes a whole answer whose body is the sentence, cut where it is long, and a line break; `to` has SF_HTTP_ERROR_MAX bytes. type and length are
 * set here. Returns its size. */
size_t sf_http_put_error(char *to, struct sf_http_answer answer, const char *why);

/* How far the body with the IDs of some runs (wire/frame.h) has been written. Begins as zeros. */
struct sf_http_ids {
    uint32_t run, at; /* the next ID: the run that it is of, and its place there */
    bool begun, done;
};

/* Bytes of {"ids":["1","2"]} and a line break. `runs`: `count` of them, as in the body of an answer to NEXT. */
uint64_t sf_http_ids_length(const uint8_t *runs, size_t count);
#define SF_HTTP_IDS_PIECE_MIN 64 /* room for the beginning, one ID and the end */
/* Writes on, as many whole IDs as fit `room` (SF_HTTP_IDS_PIECE_MIN at least); ids->done with the last one. Returns the bytes. */
size_t sf_http_ids_put(struct sf_http_ids *ids, const uint8_t *runs, size_t count, char *to, size_t room);

#endif
