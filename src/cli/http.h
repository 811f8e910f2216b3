/* cli/http.h - asks a worker's admin port: one request, one connection, plain HTTP. One thread,
 * blocking, within a deadline. */
#ifndef SF_CLI_HTTP_H
#define SF_CLI_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SF_CLI_HTTP_BODY_MAX (32u << 20)

struct sf_cli_answer {
    int status;
    char *body; /* NUL-terminated; owned */
    size_t size;
};

/* url: http://HOST:PORT or HOST:PORT, without a path (a final slash is allowed). Returns 0; -EINVAL
 * for a URL that cannot be used; else a negative errno code: nobody answered HTTP in time. err says
 * what and where. */
int sf_cli_http(const char *method, const char *url, const char *path, uint32_t timeout_ms,
                struct sf_cli_answer *ret, struct sf_error *err);
void sf_cli_answer_free(struct sf_cli_answer *answer);

#endif
