/* cli/ask_data.h - one INFO by the data protocol (docs/protocol.md), with or without TLS, from one address
 * of a worker. One thread, blocking, within a deadline. */
#ifndef SF_CLI_ASK_DATA_H
#define SF_CLI_ASK_DATA_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "base/parse.h"
#include "cli/http.h"

/* Asks the worker `named` at this numeric address (its port is named's). `like` brings token and
 * certificates, its url is not used; with a certificate in it the worker is asked with TLS 1.2 or later,
 * and its own must bear the name that was given. Returns 0 with the answer, which the caller lets go;
 * -EINVAL for a token file that cannot be used; -EACCES where the worker wants a token, or another one;
 * -EPROTO for what is no worker of ours, or does not fit the certificates; -ECONNRESET when it hung up; else
 * a negative errno code: nobody answered in time. err says what, but not where. */
int sf_cli_info(const struct sf_host_port *named, const char *address,
                const struct sf_cli_admin *like, uint32_t timeout_ms, json_t **ret_info,
                struct sf_error *err);

#endif
