/* cli/servers.c - a client of the library, from the options that say where the workers are. */
#include "cli/servers.h"

#include <stdlib.h>
#include <string.h>

int sf_cli_servers_open(struct sf_cli_servers *servers, const char *only,
                        struct sf_client **ret_client)
{
    if (servers->joined == NULL) {
        servers->joined = sf_cli_list_join(&servers->list, SF_CLI_DEFAULT_SERVER);
        struct sf_error err = {0};
        if (servers->token_file != NULL &&
            sf_cli_token_read(servers->token_file, servers->token, &err) != 0)
            return sf_cli_fail(SF_CLI_CONFIG, "%s", err.text);
    }
    struct sf_client_options options = SF_CLIENT_OPTIONS;
    options.subset = SF_CLIENT_SERVERS_MAX; /* who names servers to the tool means all of them */
    options.servers = only != NULL ? only : servers->joined;
    options.timeout_ms = (uint32_t)servers->timeout_ms;
    options.discover = servers->discover;
    options.tls =
        servers->tls || servers->ca != NULL || servers->cert != NULL || servers->name != NULL;
    options.tls_ca = servers->ca;
    options.tls_cert = servers->cert;
    options.tls_key = servers->key;
    options.tls_server_name = servers->name;
    options.token = servers->token_file != NULL ? servers->token : NULL;
    char detail[SF_CLIENT_DETAIL_MAX];
    const enum sf_client_error error =
        sf_client_create(&options, ret_client, detail, sizeof detail);
    if (error == SF_CLIENT_OK)
        return -1;
    return sf_cli_fail(error == SF_CLIENT_INVALID ? SF_CLI_USAGE : SF_CLI_CONFIG, "%s", detail);
}

void sf_cli_servers_free(struct sf_cli_servers *servers)
{
    sf_cli_list_free(&servers->list);
    free(servers->joined);
    explicit_bzero(servers->token, sizeof servers->token);
}
