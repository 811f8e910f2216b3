/* cli/id.c - `snowfleet id`: asks a fleet for IDs, as any program would. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "cli/servers.h"

#define BATCH 65536

enum format { AS_DEC, AS_HEX, AS_JSON };

static const char *const format_names[] = {"dec", "hex", "json"};

static int print_id(struct sf_client *client, enum format format, uint64_t id)
{
    if (format == AS_JSON) {
        struct sf_layout layout = SF_DEFAULT_LAYOUT;
        int64_t epoch_ms = SF_DEFAULT_EPOCH_MS;
        (void)sf_client_layout(client, &layout, &epoch_ms);
        json_t *object = sf_cli_id_json(&layout, epoch_ms, id);
        if (object == NULL)
            return sf_cli_fail(SF_CLI_BUG, "%" PRIu64 " does not fit the fleet's layout", id);
        sf_cli_print_json(object);
    } else {
        (void)printf(format == AS_HEX ? "0x%016" PRIx64 "\n" : "%" PRIu64 "\n", id);
    }
    return ferror(stdout) ? sf_cli_end() : 0;
}

static int fetch(struct sf_client *client, const struct sf_cli_servers *servers, uint64_t count,
                 struct sf_cli_given_id after, enum format format)
{
    while (count > 0) {
        const struct sf_client_request request = {.count = count < BATCH ? (uint32_t)count : BATCH,
                                                  .timeout_ms = (uint32_t)servers->timeout_ms,
                                                  .has_after = after.given,
                                                  .after = after.value};
        struct sf_client_reply reply;
        if (sf_client_ask(client, &request, &reply) != SF_CLIENT_OK)
            return sf_cli_client_failed(reply.error, reply.detail, servers->joined);
        int code = 0;
        for (uint32_t i = 0; i < reply.run_count && code == 0; i++)
            for (uint32_t k = 0; k < reply.runs[i].count && code == 0; k++)
                code = print_id(client, format, after.value = reply.runs[i].first + k);
        sf_client_reply_free(&reply);
        if (code != 0)
            return code;
        count -= request.count;
    }
    return sf_cli_end();
}

int sf_cli_id(int argc, char **argv)
{
    uint64_t count = 1;
    const char *format_text = "dec";
    struct sf_cli_given_id after = {0};
    struct sf_cli_servers servers = SF_CLI_SERVERS;
    const struct sf_cli_option options[] = {
        {"count", 'n', SF_CLI_NUMBER, &count, "N", "how many IDs [1]", 1, 0},
        SF_CLI_SERVER_OPTIONS(servers),
        {"discover", 0, SF_CLI_FLAG, &servers.discover, NULL,
         "use the workers that the servers tell of, too", 0, 0},
        {"format", 0, SF_CLI_TEXT, &format_text, "FORMAT",
         "dec, hex or json (with the decoded parts) [dec]", 0, 0},
        {"after", 0, SF_CLI_ID, &after, "ID",
         "only IDs that are greater, as numbers, than this one", 0, 0},
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet id [-n N] [--server HOST:PORT]... [--format dec|hex|json] [--after ID]",
        .text =
            "Asks a fleet for IDs, one a line. Of several servers the ones that serve are used.\n\n"
            "examples: snowfleet id -n 10\n"
            "          snowfleet id --server ids-0:7450 --server ids-1:7450 --format json\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int code = sf_cli_parse(&usage, argc, argv, NULL);
    int format = 0;
    while (format < 3 && strcmp(format_text, format_names[format]) != 0)
        format++;
    if (code < 0 && format == 3)
        code = sf_cli_fail(SF_CLI_USAGE, "--format: \"%s\" is not allowed; dec, hex and json are",
                           format_text);
    struct sf_client *client = NULL;
    if (code < 0)
        code = sf_cli_servers_open(&servers, NULL, &client);
    if (code < 0)
        code = fetch(client, &servers, count, after, (enum format)format);
    sf_client_destroy(client);
    sf_cli_servers_free(&servers);
    return code;
}
