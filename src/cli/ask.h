/* cli/ask.h - asks the workers behind an address what fleet they are of and how far they may have minted
 * (INFO, docs/protocol.md). For `snowfleet init`. One thread, blocking. */
#ifndef SF_CLI_ASK_H
#define SF_CLI_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "cli/cli.h"
#include "cli/http.h"

#define SF_CLI_ASK_WHERE_MAX 300

/* What all who answered say together. */
struct sf_cli_asked {
    unsigned answers;
    char where[SF_CLI_ASK_WHERE_MAX]; /* the first who answered */
    char fleet_id[SF_UUID_SIZE]; /* as the first who knew its fleet said; "": nobody did */
    int64_t epoch_ms;                 /* of the same answer */
    struct sf_layout layout;
    int64_t may_spend_until_ms;            /* the latest of all; 0: nobody has minted */
    char latest[SF_CLI_ASK_WHERE_MAX];     /* who said that */
};

/* Asks every address that each of `where` resolves to: HOST[:PORT] by the data protocol, with TLS where
 * `admin` has certificates, and http(s)://HOST:PORT by /status. `admin` brings token and certificates; its
 * url is not used. A name that does not
 * resolve is nobody. Who does not answer may be alive: refused without force. What answers otherwise, of
 * another fleet, or of two fleet ids, is refused. Returns -1, or the exit code. */
int sf_cli_ask(const struct sf_cli_list *where, const char *fleet, const struct sf_cli_admin *admin,
               bool force, struct sf_cli_asked *ret);

#endif
