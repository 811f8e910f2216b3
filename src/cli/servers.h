/* cli/servers.h - the options of every command that talks to workers: --server, --timeout-ms, TLS,
 * token. One thread. */
#ifndef SF_CLI_SERVERS_H
#define SF_CLI_SERVERS_H

#include "cli/cli.h"
#include "cli/token.h"

struct sf_cli_servers {
    struct sf_cli_list list;
    uint64_t timeout_ms;
    bool tls, discover;
    const char *ca, *cert, *key, *name, *token_file;
    char *joined;                 /* after open: "a:1,b:2" */
    char token[SF_CLI_TOKEN_MAX]; /* after open */
};

#define SF_CLI_SERVERS ((struct sf_cli_servers){.timeout_ms = 2000})

#define SF_CLI_SERVER_OPTIONS(s)                                                                   \
    {"server",    's',                                                                             \
     SF_CLI_LIST, &(s).list,                                                                       \
     "HOST:PORT", "or unix:/PATH; may be repeated [127.0.0.1:7450]",                               \
     0,           0},                                                                              \
        {"timeout-ms", 0, SF_CLI_NUMBER, &(s).timeout_ms, "MS", "deadline of a call [2000]", 1,    \
         3600000},                                                                                 \
        {"tls", 0, SF_CLI_FLAG, &(s).tls, NULL, "talk TLS", 0, 0},                                 \
        {"tls-ca", 0, SF_CLI_TEXT, &(s).ca, "FILE", "certificates to trust [the system's]", 0, 0}, \
        {"tls-cert", 0, SF_CLI_TEXT, &(s).cert, "FILE", "own certificate", 0, 0},                  \
        {"tls-key", 0, SF_CLI_TEXT, &(s).key, "FILE", "its key", 0, 0},                            \
        {"tls-name", 0,      SF_CLI_TEXT,                                                          \
         &(s).name,  "NAME", "name the server's certificate must bear [HOST]",                     \
         0,          0},                                                                           \
    {                                                                                              \
        "token-file", 0, SF_CLI_TEXT, &(s).token_file, "FILE", "file with the AUTH token", 0, 0    \
    }

/* Makes a client for `only` (NULL: all the servers given). Returns -1 to go on, or the exit code
 * after saying what is wrong. */
int sf_cli_servers_open(struct sf_cli_servers *servers, const char *only,
                        struct sf_client **ret_client);
void sf_cli_servers_free(struct sf_cli_servers *servers);

#endif
