/* cli/encode.c - `snowfleet encode`: the ID of a time, as a bound of a query. */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/parse.h"
#include "base/ticks.h"
#include "cli/cli.h"
#include "cli/layout_of.h"

int sf_cli_encode(int argc, char **argv)
{
    bool as_json = false, hex = false, base32 = false;
    const char *time = NULL;
    struct sf_cli_layout_of of = SF_CLI_LAYOUT_OF;
    int64_t epoch_ms, unix_ms;
    struct sf_layout layout;
    struct sf_id_parts parts = {0};
    const struct sf_cli_option options[] = {
        {"time", 0, SF_CLI_TEXT, &time, "TIME",
         "RFC 3339 (2026-11-20T12:00:00Z), Unix milliseconds, or now", 0, 0},
        {"datacenter", 0, SF_CLI_NUMBER, &parts.datacenter, "D", "[0]", 0, 0},
        {"worker", 0, SF_CLI_NUMBER, &parts.worker, "W", "[0]", 0, 0},
        {"sequence", 0, SF_CLI_NUMBER, &parts.sequence, "S", "[0]", 0, 0},
        {"hex", 0, SF_CLI_FLAG, &hex, NULL, "hexadecimal behind 0x", 0, 0},
        {"base32", 0, SF_CLI_FLAG, &base32, NULL, "in base 32: 13 digits that sort as IDs do", 0,
         0},
        {"json", 0, SF_CLI_FLAG, &as_json, NULL, "a JSON object", 0, 0},
        SF_CLI_LAYOUT_OF_OPTIONS(of),
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet encode --time TIME [--datacenter D --worker W --sequence S] [OPTION]...",
        .text = "Makes the ID of a time. With the other fields 0 it is the smallest ID of that "
                "millisecond:\n"
                "the lower bound of a query by time. Layout and epoch: as decode has them.\n\n"
                "example: SELECT ... WHERE id >= $(snowfleet encode --time 2026-11-20T00:00:00Z "
                "--server "
                "127.0.0.1:7450)\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int code = sf_cli_parse(&usage, argc, argv, NULL);
    if (code >= 0)
        return code;
    if (time == NULL)
        return sf_cli_fail(SF_CLI_USAGE, "--time is missing; usage: %s", usage.line);
    code = sf_cli_layout_of(&of, &layout, &epoch_ms);
    if (code >= 0)
        return code;
    if (strcasecmp(time, "now") == 0)
        unix_ms = sf_real_ns() / SF_NS_PER_MS;
    else if (sf_parse_time_ms(time, &unix_ms) != 0)
        return sf_cli_fail(
            SF_CLI_USAGE,
            "--time: \"%s\" is no time; allowed are 2026-11-20T12:00:00Z, with fractions and "
            "offsets, Unix milliseconds, and now",
            time);
    int64_t timestamp_ms;
    if (__builtin_sub_overflow(unix_ms, epoch_ms, &timestamp_ms) || timestamp_ms < 0 ||
        (uint64_t)timestamp_ms > sf_layout_max_timestamp(&layout))
        return sf_cli_fail(SF_CLI_USAGE,
                           "--time: %s lies outside the layout's timestamps (0 to %" PRIu64
                           " ms from the epoch)",
                           time, sf_layout_max_timestamp(&layout));
    parts.timestamp_ms = (uint64_t)timestamp_ms;
    uint64_t id;
    if (sf_id_encode(&layout, &parts, &id) != 0)
        return sf_cli_fail(SF_CLI_USAGE,
                           "--datacenter, --worker, --sequence: out of range; the layout allows up "
                           "to %" PRIu64 ", %" PRIu64 ", %" PRIu64,
                           sf_layout_max_datacenter(&layout), sf_layout_max_worker(&layout),
                           sf_layout_max_sequence(&layout));
    char text[SF_ID_BASE32_MAX];
    if (as_json)
        sf_cli_print_json(sf_cli_id_json(&layout, epoch_ms, id));
    else if (base32)
        (void)puts(sf_id_base32(id, text));
    else
        (void)printf(hex ? "0x%" PRIx64 "\n" : "%" PRIu64 "\n", id);
    return sf_cli_end();
}
