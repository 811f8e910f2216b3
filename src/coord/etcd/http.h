/* coord/etcd/http.h - one request to one endpoint through libcurl. */
#ifndef SF_COORD_ETCD_HTTP_H
#define SF_COORD_ETCD_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/etcd/answer.h"
#include "coord/etcd/shared.h"

struct sf_etcd_transfer;

struct sf_etcd_http {
    CURLM *multi;
    struct sf_etcd_transfer *transfers;
    bool called;       /* this turn: a callback ran */
    unsigned patience; /* by how slow answers are lately: 1, 2, 4, 8 */
};

/* How far a request got. */
enum sf_etcd_fate {
    SF_ETCD_ANSWERED, /* answer is set */
    SF_ETCD_NOT_SENT, /* surely no byte of it was sent */
    SF_ETCD_NO_ANSWER /* sent, perhaps in part; no whole answer, or one that must not be believed */
};

struct sf_etcd_result {
    enum sf_etcd_fate fate;
    enum sf_coord_reason reason;  /* unless ANSWERED */
    char text[SF_COORD_TEXT_MAX]; /* the endpoint is named in it, and in the answer's */
    struct sf_etcd_answer answer;
    unsigned endpoint;
    int socket;        /* that it came over; -1: none */
    int64_t server_ms; /* -1: not told */
    uint32_t server_error_ms;
};

typedef void sf_etcd_done(struct sf_etcd *etcd, void *ctx, const struct sf_etcd_result *result);
typedef void sf_etcd_line(struct sf_etcd *etcd, void *ctx, const char *line, size_t size);

struct sf_etcd_send {
    const char *path; /* "/v3/..." */
    char *body;       /* taken over */
    bool write;       /* never sent twice, not even by libcurl */
    bool with_token;
    int64_t timeout_ms; /* 0: none (streams) */
    unsigned endpoint;
    sf_etcd_done *done;
    sf_etcd_line *line; /* streams: each line */
    void *ctx;
};

/* How long an answer may be waited for that should not take more than ms: longer where others did not
 * come in time. A cluster that is slow for all must not be asked everything again, and again too soon. */
int64_t sf_etcd_patient_ms(const struct sf_etcd *etcd, int64_t ms);

/* Starts a request. done is called exactly once, later, from sf_etcd_http_turn, unless
 * cancelled. */
struct sf_etcd_transfer *sf_etcd_http_send(struct sf_etcd *etcd, const struct sf_etcd_send *send);
/* Ends it without a call of done. NULL is fine. */
void sf_etcd_http_cancel(struct sf_etcd *etcd, struct sf_etcd_transfer *transfer);
/* Ends the connection that this answer came over, so that no other request uses it. Within done. */
void sf_etcd_http_distrust(const struct sf_etcd_result *result);
/* Moves bytes, and calls line and done for what has come. Returns whether it called any. */
bool sf_etcd_http_turn(struct sf_etcd *etcd);
/* Cancels everything. */
void sf_etcd_http_end(struct sf_etcd *etcd);

/* What libcurl needs once in a process. */
void sf_etcd_http_global(void);

#endif
