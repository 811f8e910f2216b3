/* cli/decode.c - `snowfleet decode`: takes IDs apart. */
#include <inttypes.h>
#include <stdio.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "cli/layout_of.h"

static int print_text(const struct sf_layout *layout, int64_t epoch_ms, uint64_t id, bool first)
{
    struct sf_id_parts parts;
    int64_t unix_ms;
    char time[SF_TIME_TEXT_MAX], base32[SF_ID_BASE32_MAX];
    if (sf_id_decode(layout, id, &parts) != 0 || sf_id_unix_ms(layout, epoch_ms, id, &unix_ms) != 0)
        return -1;
    (void)printf("%sid          %" PRIu64 "\n"
                 "base32      %s\n"
                 "time        %s\n"
                 "datacenter  %" PRIu64 "\n"
                 "worker      %" PRIu64 "\n"
                 "sequence    %" PRIu64 "\n",
                 first ? "" : "\n", id, sf_id_base32(id, base32),
                 sf_format_time_ms(unix_ms, time, sizeof time), parts.datacenter, parts.worker,
                 parts.sequence);
    return 0;
}

/* Thirteen decimal digits may be either form, so that the user says which one is meant. */
static int read_id(const char *text, bool base32, uint64_t *ret_id)
{
    const int rc = base32 ? sf_id_from_base32(text, ret_id) : sf_parse_id(text, ret_id);
    if (rc == 0 && *ret_id >> 63 == 0)
        return -1;
    if (base32)
        return sf_cli_fail(SF_CLI_USAGE,
                           "\"%s\" is not an ID in base 32; allowed are 13 digits (0 to 9, A to Z "
                           "without U), from 0000000000000 to 7ZZZZZZZZZZZZ",
                           text);
    return sf_cli_fail(SF_CLI_USAGE,
                       "\"%s\" is not an ID; allowed are 0 to 9223372036854775807, decimal or "
                       "hexadecimal behind 0x, and base 32 with --base32",
                       text);
}

int sf_cli_decode(int argc, char **argv)
{
    bool as_json = false, base32 = false;
    struct sf_cli_layout_of of = SF_CLI_LAYOUT_OF;
    int64_t epoch_ms;
    struct sf_layout layout;
    const struct sf_cli_option options[] = {
        {"json", 0, SF_CLI_FLAG, &as_json, NULL, "one JSON object a line", 0, 0},
        {"base32", 0, SF_CLI_FLAG, &base32, NULL, "the IDs are given in base 32 (13 digits)", 0, 0},
        SF_CLI_LAYOUT_OF_OPTIONS(of),
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet decode ID... [--server HOST:PORT | --admin URL | --coordinator URL | "
                "--layout LAYOUT --epoch-ms E] [--json] [--base32]",
        .text = "Takes IDs apart: time, datacenter, worker, sequence. Layout and epoch are a "
                "fleet's own: ask it, or\n"
                "say them; where neither is done, those of a fleet that nobody gave others are "
                "assumed, and said so.\n"
                "IDs are decimal, or hexadecimal behind 0x, or in base 32 with --base32.\n\n"
                "example: snowfleet decode 381741927817609216 --server 127.0.0.1:7450\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .max_words = SIZE_MAX,
    };
    size_t words = 0;
    int code = sf_cli_parse(&usage, argc, argv, &words);
    if (code < 0 && words == 0)
        code = sf_cli_fail(SF_CLI_USAGE, "no ID given; usage: %s", usage.line);
    if (code < 0)
        code = sf_cli_layout_of(&of, &layout, &epoch_ms);
    if (code >= 0)
        return code;
    for (size_t i = 0; i < words; i++) {
        uint64_t id;
        const int failed = read_id(argv[i], base32, &id);
        if (failed >= 0)
            return failed;
        json_t *object = as_json ? sf_cli_id_json(&layout, epoch_ms, id) : NULL;
        if (as_json ? object == NULL : print_text(&layout, epoch_ms, id, i == 0) != 0)
            return sf_cli_fail(SF_CLI_USAGE, "%s: its time with this epoch is out of range",
                               argv[i]);
        if (as_json)
            sf_cli_print_json(object);
    }
    return sf_cli_end();
}
