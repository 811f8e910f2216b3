/* cli/worker.h - what a worker's admin port says, and a table of workers, for status, top and
 * drain. One thread. */
#ifndef SF_CLI_WORKER_H
#define SF_CLI_WORKER_H

#include <stdio.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cli/http.h"
#include "cli/json_path.h"

/* The same way in, to another worker's address as its claim tells it: with https where `like` has
 * it. buffer keeps the URL. */
#define SF_CLI_ADMIN_URL_MAX 320
struct sf_cli_admin sf_cli_admin_of(const struct sf_cli_admin *like, const char *address,
                                    char buffer[SF_CLI_ADMIN_URL_MAX]);

/* GET path as JSON, its strings made printable (printable.h). Returns 0 with a new reference, or a negative
 * errno code with err: -EACCES where the worker wants a token, or another one; else as sf_cli_http. */
int sf_cli_get_json(const struct sf_cli_admin *admin, const char *path, uint32_t timeout_ms,
                    json_t **ret, struct sf_error *err);

/* POST path. Returns -1 with an answer of 2xx, which the caller frees; or the exit code, after saying what
 * went wrong and what to do: 69 nobody there, 78 the token, 1 the worker refused it. */
int sf_cli_order(const struct sf_cli_admin *admin, const char *path, uint32_t timeout_ms,
                 struct sf_cli_answer *ret);
/* Says why an admin port was not asked with success, and what to do: rc and err are those of
 * sf_cli_get_json or sf_cli_http. Returns the exit code. */
int sf_cli_admin_failed(const struct sf_cli_admin *admin, int rc, const struct sf_error *err);

/* How well a worker does, by its /status, and in a word: its state, or where it is ready "refusing 99%" or
 * "saturated" by what was asked of it in the last ten seconds. Returns ret_word's look. */
enum sf_cli_look { SF_CLI_LOOK_GOOD, SF_CLI_LOOK_WARN, SF_CLI_LOOK_BAD };
#define SF_CLI_LOOK_WORD_MAX 32
#define SF_CLI_SATURATED     0.9  /* from here on, of what its slots can give */
#define SF_CLI_REFUSING      0.01 /* past this part of the requests refused no state is good */
enum sf_cli_look sf_cli_look_of(const json_t *status, char ret_word[SF_CLI_LOOK_WORD_MAX]);

/* A line for each worker. `status` is what /status gave; NULL: the worker did not answer, for the reason
 * in `why`. */
void sf_cli_worker_heading(FILE *to);
void sf_cli_worker_line(FILE *to, const char *admin, const json_t *status, const char *why);

#endif
