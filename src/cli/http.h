/* cli/http.h - asks a worker's admin port: one request, one connection, HTTP or HTTPS (libcurl).
 * One thread, blocking, within a deadline. */
#ifndef SF_CLI_HTTP_H
#define SF_CLI_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SF_CLI_HTTP_BODY_MAX (32u << 20)

/* How an admin port is reached. Strings are the caller's. */
struct sf_cli_admin {
    const char *url;        /* [http:// or https://]HOST:PORT; a final slash is allowed */
    const char *token_file; /* its first line's token is sent; NULL: none */
    const char *ca;         /* certificates to trust with TLS; NULL: the system's */
    const char *cert, *key; /* our certificate and its key (PEM), both or none */
};

/* For tables of options: token and trust of a struct sf_cli_admin. */
#define SF_CLI_ADMIN_OPTIONS(admin)                                                                \
    {"token-file", 0, SF_CLI_TEXT, &(admin).token_file, "FILE",                                    \
     "a line name:token or token, of admin.token_file", 0, 0},                                    \
    {"admin-ca", 0, SF_CLI_TEXT, &(admin).ca, "FILE", "certificates to trust with https://", 0, 0}

struct sf_cli_answer {
    int status;
    char *body; /* NUL-terminated; owned */
    size_t size;
};

/* Returns 0; -EINVAL for a URL or token file that cannot be used; else a negative errno code:
 * nobody answered HTTP in time. err says what and where. */
int sf_cli_http(const char *method, const struct sf_cli_admin *admin, const char *path,
                uint32_t timeout_ms, struct sf_cli_answer *ret, struct sf_error *err);
void sf_cli_answer_free(struct sf_cli_answer *answer);

/* Does it bring anything for TLS? */
bool sf_cli_admin_has_tls(const struct sf_cli_admin *admin);
/* Has curl trust and show these certificates. */
void sf_cli_curl_certificates(CURL *curl, const struct sf_cli_admin *admin);
/* A negative errno code for what curl says: -ENOENT no such name, -ETIMEDOUT, -ECONNREFUSED and the like
 * where nobody could be connected to, -ECONNRESET hung up, -EPROTO anything else. */
int sf_cli_curl_code(CURL *curl, CURLcode result);

#endif
