/* cli/conformance.c - `snowfleet conformance`: for authors of clients of further languages. */
#include "cli/conformance.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "cli/cli.h"

#define STAGES_MAX 64

static struct sf_stage *find_stage(struct sf_stage *stages, const char *name)
{
    for (size_t i = 0; i < sf_scenario_count; i++)
        if (strcmp(stages[i].scenario->name, name) == 0)
            return &stages[i];
    return NULL;
}

static void servers(struct sf_stage *stages, const struct sf_stage *stage, const char *host,
                    char *to, size_t size)
{
    const struct sf_stage *good = find_stage(stages, "good");
    if (stage->scenario->beside_good && good != NULL)
        (void)snprintf(to, size, "%s:%u,%s:%u", host, stage->port, host, good->port);
    else
        (void)snprintf(to, size, "%s:%u", host, stage->port);
}

static json_t *row_json(const struct sf_scenario *row, const char *at)
{
    return json_pack("{s:s,s:s,s:s,s:i,s:i,s:s?,s:i,s:b,s:s?}", "scenario", row->name, "servers",
                     at, "text", row->text, "calls", (int)row->calls, "count", (int)row->count,
                     "error", row->error, "timeout_ms", (int)row->timeout_ms, "after", row->after,
                     "token", strcmp(row->name, "token") == 0 ? SF_STAGE_TOKEN : NULL);
}

static void announce(struct sf_stage *stages, const struct sf_stage *stage, const char *host,
                     bool as_json)
{
    const struct sf_scenario *row = stage->scenario;
    char at[160], wants[160] = "";
    servers(stages, stage, host, at, sizeof at);
    if (as_json) {
        sf_cli_print_json(row_json(row, at));
        return;
    }
    if (row->calls > 0)
        (void)snprintf(wants, sizeof wants, "%u calls of %u succeed", row->calls, row->count);
    if (row->error != NULL)
        (void)snprintf(wants + strlen(wants), sizeof wants - strlen(wants), "%s%s%s",
                       row->calls > 0 ? ", the next fails: " : "a call fails: ", row->error,
                       row->count > 1 ? " (of several IDs)" : "");
    (void)printf("%-20s %-32s %s; %s\n", row->name, at, row->text, wants);
}

/* What became of it; false: something wrong was seen. */
static bool judge(struct sf_stage *stage, bool as_json)
{
    pthread_mutex_lock(&stage->mutex);
    const bool tried = stage->asked > 0, fine = stage->wrong[0] == '\0';
    const char *verdict = !fine ? "WRONG" : tried ? "ok" : "not tried";
    if (as_json)
        sf_cli_print_json(json_pack("{s:s,s:s,s:s,s:i,s:i}", "scenario", stage->scenario->name,
                                    "verdict", verdict, "wrong", stage->wrong, "connections",
                                    (int)stage->connections, "requests", (int)stage->asked));
    else
        (void)printf("%-9s %-20s %u connections, %u requests for IDs%s%s\n", verdict,
                     stage->scenario->name, stage->connections, stage->asked, fine ? "" : ": ",
                     stage->wrong);
    pthread_mutex_unlock(&stage->mutex);
    return fine;
}

/* Until somebody ends it, or the time is over. */
static void await_end(const sigset_t *ends, uint64_t seconds)
{
    const struct timespec wait = {.tv_sec = (time_t)seconds};
    int got;
    do
        got = seconds > 0 ? sigtimedwait(ends, NULL, &wait) : sigwaitinfo(ends, NULL);
    while (got < 0 && errno == EINTR);
}

static int play(const char *host, uint16_t port, uint64_t seconds, bool as_json)
{
    static struct sf_stage stages[STAGES_MAX]; /* their threads last as long as the process */
    sigset_t ends;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL);
    for (size_t i = 0; i < sf_scenario_count; i++) {
        const uint16_t at = port > 0 ? (uint16_t)(port + i) : 0;
        const int rc = sf_stage_start(&stages[i], &sf_scenarios[i], host, at);
        if (rc != 0)
            return sf_cli_fail(SF_CLI_UNREACHABLE,
                               "--listen: cannot listen on %s:%u: %s. %zu ports from %u on are "
                               "needed; choose others",
                               host, at, strerror(-rc), sf_scenario_count, port);
    }
    for (size_t i = 0; i < sf_scenario_count; i++)
        announce(stages, &stages[i], host, as_json);
    if (sf_cli_end() != 0)
        return SF_CLI_FAILED;
    await_end(&ends, seconds);
    bool fine = true;
    for (size_t i = 0; i < sf_scenario_count; i++)
        fine = judge(&stages[i], as_json) && fine;
    const int code = sf_cli_end();
    return code != 0 ? code : fine ? SF_CLI_DONE : SF_CLI_FAILED;
}

int sf_cli_conformance(int argc, char **argv)
{
    const char *listen = "127.0.0.1:7460";
    uint64_t seconds = 0;
    bool as_json = false;
    const struct sf_cli_option options[] = {
        {"listen", 0, SF_CLI_TEXT, &listen, "ADDRESS:PORT",
         "the first of the ports, one for each scenario; 0: any [127.0.0.1:7460]", 0, 0},
        {"seconds", 0, SF_CLI_NUMBER, &seconds, "S", "end after that [0: at SIGINT or SIGTERM]", 0,
         1000000},
        {"json", 0, SF_CLI_FLAG, &as_json, NULL, "an object a line", 0, 0},
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet conformance [--listen ADDRESS:PORT] [OPTION]...",
        .text =
            "For authors of clients. Plays scenarios, each on a port of its own: workers that are\n"
            "good, silent, wrong, full, or leave. Prints for each where it is, what it does, and\n"
            "what must come of a client's calls: how many succeed, with how many IDs each, and\n"
            "which error the next one has (names of enum sf_client_error; | stands between those\n"
            "that are allowed). Where two servers stand, give the client both. At the end it\n"
            "prints what it saw the client do wrong itself: a request after GOAWAY, one before\n"
            "retry_after_ms was over, one without AFTER or token; exit 1 then.\n\n"
            "With --json: scenario, servers, text, calls, count, error (or null), timeout_ms (the\n"
            "deadline to give a call), after (send AFTER, 5 s ahead of now), token (or null); at "
            "the end\n"
            "scenario, verdict (ok, not tried, WRONG), wrong, connections, requests.\n\n"
            "example: snowfleet conformance --listen 127.0.0.1:7460 --json\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    const int rc = sf_cli_parse(&usage, argc, argv, NULL);
    if (rc >= 0)
        return rc;
    char host[64];
    const char *colon = strrchr(listen, ':');
    uint64_t port;
    if (colon == NULL || (size_t)(colon - listen) >= sizeof host ||
        sf_parse_u64(colon + 1, 0, UINT16_MAX - STAGES_MAX, &port) != 0)
        return sf_cli_fail(SF_CLI_USAGE,
                           "--listen: \"%s\" is not allowed; an IPv4 address and a port up to %d "
                           "are, like 127.0.0.1:7460",
                           listen, UINT16_MAX - STAGES_MAX);
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - listen), listen);
    return play(host, (uint16_t)port, seconds, as_json);
}
