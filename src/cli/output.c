/* cli/output.c - what several commands print, and how they end: a sentence on stderr and an exit
 * code. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"
#include "cli/cli.h"

int sf_cli_fail(int code, const char *format, ...)
{
    va_list args;
    (void)fflush(stdout);
    (void)fputs("snowfleet: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return code;
}

int sf_cli_end(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return sf_cli_fail(SF_CLI_FAILED, "the results could not be written to stdout");
    return SF_CLI_DONE;
}

int sf_cli_client_failed(enum sf_client_error error, const char *detail, const char *servers)
{
    const char *next = "";
    int code = SF_CLI_UNREACHABLE;
    switch (error) {
    case SF_CLIENT_UNREACHABLE:
    case SF_CLIENT_TIMEOUT:
        next = "; is snowfleetd running there? --server names others";
        break;
    case SF_CLIENT_NOT_READY:
    case SF_CLIENT_CLOCK:
        next = "; snowfleet status tells what the worker waits for";
        break;
    case SF_CLIENT_INVALID:
        code = SF_CLI_USAGE;
        break;
    case SF_CLIENT_TLS:
        code = SF_CLI_CONFIG;
        break;
    case SF_CLIENT_DENIED:
        code = SF_CLI_CONFIG;
        next = "; --token-file names the file with the token";
        break;
    case SF_CLIENT_ORDER:
        code = SF_CLI_FAILED;
        break;
    default:
        break;
    }
    return sf_cli_fail(code, "%s: %s: %s%s", servers, sf_client_error_name(error), detail, next);
}

void sf_cli_print_json(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    if (text == NULL)
        abort();
    (void)puts(text);
    free(text);
    json_decref(object);
}

json_t *sf_cli_id_json(const struct sf_layout *layout, int64_t epoch_ms, uint64_t id)
{
    struct sf_id_parts parts;
    int64_t unix_ms;
    char text[24], base32[SF_ID_BASE32_MAX], time[SF_TIME_TEXT_MAX];
    if (sf_id_decode(layout, id, &parts) != 0 || sf_id_unix_ms(layout, epoch_ms, id, &unix_ms) != 0)
        return NULL;
    (void)snprintf(text, sizeof text, "%" PRIu64, id);
    return json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "id", text, "base32", sf_id_base32(id, base32),
        "time", sf_format_time_ms(unix_ms, time, sizeof time), "unix_ms", (json_int_t)unix_ms,
        "timestamp_ms", (json_int_t)parts.timestamp_ms, "datacenter", (json_int_t)parts.datacenter,
        "worker", (json_int_t)parts.worker, "sequence", (json_int_t)parts.sequence);
}
