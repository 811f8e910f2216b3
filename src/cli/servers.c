/* cli/servers.c - a client of the library, from the options that say where the workers are. */
#include "cli/servers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_token(struct sf_cli_servers *servers)
{
    FILE *file = fopen(servers->token_file, "re");
    if (file == NULL)
        return sf_cli_fail(SF_CLI_CONFIG, "--token-file: %s: %s", servers->token_file,
                           strerror(errno));
    const size_t size = fread(servers->token, 1, sizeof servers->token - 1, file);
    (void)fclose(file);
    servers->token[size] = '\0';
    servers->token[strcspn(servers->token, "\r\n")] = '\0';
    if (servers->token[0] == '\0')
        return sf_cli_fail(SF_CLI_CONFIG,
                           "--token-file: %s: its first line is empty; a token is expected",
                           servers->token_file);
    return -1;
}

int sf_cli_servers_open(struct sf_cli_servers *servers, const char *only,
                        struct sf_client **ret_client)
{
    if (servers->joined == NULL) {
        servers->joined = sf_cli_list_join(&servers->list, SF_CLI_DEFAULT_SERVER);
        if (servers->token_file != NULL) {
            const int code = read_token(servers);
            if (code >= 0)
                return code;
        }
    }
    struct sf_client_options options = SF_CLIENT_OPTIONS;
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
