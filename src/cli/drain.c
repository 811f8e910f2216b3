/* cli/drain.c - `snowfleet drain`: has a worker finish and leave, and waits until it has. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/ticks.h"
#include "cli/cli.h"
#include "cli/worker.h"

#define POLL_MS 100

/* The worker has left when nobody listens on its admin port any more. */
static int wait_until_gone(const struct sf_cli_admin *admin, uint32_t timeout_ms, bool talk)
{
    const int64_t begin = sf_mono_ns();
    for (;;) {
        struct sf_cli_answer answer = {0};
        struct sf_error err = {0};
        const int rc = sf_cli_http("GET", admin, "/livez", 1000, &answer, &err);
        sf_cli_answer_free(&answer);
        const int64_t gone_ms = (sf_mono_ns() - begin) / SF_NS_PER_MS;
        if (rc == -ECONNREFUSED || rc == -ECONNRESET)
            break;
        if (gone_ms >= timeout_ms)
            return sf_cli_fail(SF_CLI_FAILED,
                               "%s: still there after %u ms; its log tells what it waits for",
                               admin->url, timeout_ms);
        if (talk)
            (void)fprintf(stderr, "\rdraining for %.1f s", (double)gone_ms / 1000);
        sf_sleep_ms(POLL_MS);
    }
    if (talk)
        (void)fprintf(stderr, "\r\033[K");
    (void)printf("left\n");
    return sf_cli_end();
}

int sf_cli_drain(int argc, char **argv)
{
    struct sf_cli_admin admin = {.url = SF_CLI_DEFAULT_ADMIN};
    bool wait = false;
    uint64_t timeout_ms = 60000;
    const struct sf_cli_option options[] = {
        {"admin", 0, SF_CLI_TEXT, &admin.url, "URL",
         "the worker's admin.address [http://127.0.0.1:7451]", 0, 0},
        {"wait", 'w', SF_CLI_FLAG, &wait, NULL, "until the worker has left", 0, 0},
        {"timeout-ms", 0, SF_CLI_NUMBER, &timeout_ms, "MS", "how long --wait waits [60000]", 1,
         86400000},
        SF_CLI_ADMIN_OPTIONS(admin),
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet drain [--admin URL] [--wait] [--timeout-ms MS] [--token-file FILE]",
        .text = "Has a worker stop taking requests, finish what it has, release its slot and exit. "
                "Asking twice is\n"
                "harmless. For a preStop hook: snowfleet drain --wait\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    const int code = sf_cli_parse(&usage, argc, argv, NULL);
    if (code >= 0)
        return code;
    struct sf_cli_answer answer = {0};
    const int refused = sf_cli_order(&admin, "/drain", 5000, &answer);
    if (refused >= 0)
        return refused;
    (void)printf("draining\n");
    sf_cli_answer_free(&answer);
    return wait ? wait_until_gone(&admin, (uint32_t)timeout_ms, isatty(STDERR_FILENO))
                : sf_cli_end();
}
