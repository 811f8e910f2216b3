/* http/ask.h - what a request asks of /v1: IDs, or taking one apart. Source: docs/http.md. Pure; any thread. */
#ifndef SF_HTTP_ASK_H
#define SF_HTTP_ASK_H

#include "http/request.h"

#define SF_HTTP_WHY_MAX 192

enum sf_http_what { SF_HTTP_IDS, SF_HTTP_DECODE };

struct sf_http_ask {
    enum sf_http_what what;
    uint32_t count; /* IDS: 1 or more; UINT32_MAX stands for all that is more */
    uint64_t id;    /* DECODE */
};

/* Returns 0, or the HTTP status of the refusal (400, 403, 404, 405), with a sentence for people in `why`. A request that a browser sends for a page
 * of another site, or in case somebody wants it, gets no IDs. */
unsigned sf_http_ask_read(const struct sf_http_request *request, struct sf_http_ask *ret, char why[SF_HTTP_WHY_MAX]);

#endif
