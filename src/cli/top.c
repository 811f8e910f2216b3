/* cli/top.c - `snowfleet top`: the fleet, looked at again and again: on a terminal with keys, else line by
 * line. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/ticks.h"
#include "cli/fleet.h"
#include "cli/top_picture.h"
#include "cli/top_screen.h"
#include "cli/worker.h"

static atomic_bool stopped;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&stopped, true);
}

/* Who is gone is asked nothing: what is known of it stands in its line. */
static void print_gone(const json_t *entry)
{
    char slot[32] = "-";
    const double worker = sf_cli_number_at(entry, "worker", -1);
    if (worker >= 0)
        (void)snprintf(slot, sizeof slot, "%.0f/%.0f", sf_cli_number_at(entry, "datacenter", 0),
                       worker);
    (void)printf("%-7s %-13s %-22.22s %s\n", slot, sf_cli_text_at(entry, "state", "?"),
                 sf_cli_text_at(entry, "node", "?"), sf_cli_text_at(entry, "reason", ""));
}

/* The figures of all first, which a small window must not cut off. */
static void print(const struct sf_top_source *source, const char *title,
                  const struct sf_top_picture *picture)
{
    char time[SF_TIME_TEXT_MAX], counts[SF_CLI_CENSUS_TEXT_MAX];
    size_t silent = 0, gone = 0;
    double ids_per_s = 0;
    for (size_t i = 0; i < picture->count; i++) {
        const struct sf_top_member *member = &picture->members[i];
        silent += member->why[0] != '\0';
        gone += member->status == NULL && member->why[0] == '\0';
        ids_per_s += sf_cli_number_at(member->status, "ids_per_s", 0);
    }
    (void)printf("snowfleet top  %s  %s\n", title,
                 sf_format_time_ms(picture->at_ms, time, sizeof time));
    (void)printf("%zu workers (%zu silent), %.0f IDs/s; slots%s: %s; %" PRIu64 " workers wait\n",
                 picture->count - gone, silent, ids_per_s, picture->where,
                 sf_cli_census_text(&picture->census, counts), picture->census.waiting);
    if (source->fleet != NULL)
        sf_cli_fleet_print_halted(source->fleet, stdout);
    (void)putchar('\n');
    sf_cli_worker_heading(stdout);
    for (size_t i = 0; i < picture->count; i++) {
        const struct sf_top_member *member = &picture->members[i];
        if (member->status == NULL && member->why[0] == '\0')
            print_gone(member->entry);
        else
            sf_cli_worker_line(stdout, sf_cli_text_at(member->entry, "admin", source->admin->url),
                               member->status, member->why);
    }
    (void)fflush(stdout);
}

/* Until Ctrl-C. Once there was something to see, an outage is part of the picture: it is told, and
 * the look goes on. */
static int watch(const struct sf_top_source *source, const char *title, uint64_t interval_ms,
                 bool once)
{
    bool seen = false;
    while (!atomic_load(&stopped)) {
        struct sf_top_picture picture = {0};
        const int code = sf_top_take(source, &picture);
        if (code < 0)
            print(source, title, &picture);
        sf_top_free(&picture);
        seen = seen || code < 0;
        if (once || !seen)
            return code;
        sf_sleep_ms((int64_t)interval_ms);
    }
    return -1;
}

static int look(const struct sf_top_source *source, const char *title, uint64_t interval_ms,
                bool once)
{
    if (!once && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        const int code = sf_top_screen(source, title, interval_ms);
        if (code != SF_TOP_NO_SCREEN)
            return code;
        (void)fprintf(stderr,
                      "snowfleet: the type of this terminal is not known here (TERM); what comes "
                      "is plain text\n");
    }
    return watch(source, title, interval_ms, once);
}

int sf_cli_top(int argc, char **argv)
{
    struct sf_cli_fleet_options to = SF_CLI_FLEET;
    struct sf_cli_admin admin = {.url = SF_CLI_DEFAULT_ADMIN};
    uint64_t interval_ms = 1000;
    bool once = false;
    to.timeout_ms = 3000;
    const struct sf_cli_option options[] = {
        {"admin", 0, SF_CLI_TEXT, &admin.url, "URL",
         "any worker's admin.address [http://127.0.0.1:7451]", 0, 0},
        {"interval-ms", 'i', SF_CLI_NUMBER, &interval_ms, "MS", "between two looks [1000]", 100,
         3600000},
        {"once", '1', SF_CLI_FLAG, &once, NULL, "print once and exit", 0, 0},
        SF_CLI_ADMIN_OPTIONS(admin),
        SF_CLI_FLEET_OPTIONS(to),
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet top [--admin URL | --coordinator URL [--fleet NAME]] [--interval-ms MS] "
                "[--once]",
        .text = "Watches the fleet: everybody who is to be there, with slot, state, rate, load, "
                "latency, refusals, errors, clock and reservation.\n"
                "The workers are those that one of them knows (--admin) or that the coordinator "
                "lists.\n"
                "On a terminal: h tells the keys, q ends it. Otherwise, and with --once, plain "
                "text; Ctrl-C ends it.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int code = sf_cli_parse(&usage, argc, argv, NULL);
    if (code >= 0)
        return code;
    struct sf_cli_fleet fleet = {0};
    if (to.coordinator != NULL)
        code = sf_cli_fleet_open(&to, &fleet);
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    const struct sf_top_source source = {.admin = &admin,
                                         .fleet = to.coordinator != NULL ? &fleet : NULL,
                                         .fresh = once,
                                         .stop = &stopped};
    if (code < 0)
        code = look(&source, to.coordinator != NULL ? fleet.url : admin.url, interval_ms, once);
    sf_cli_fleet_close(&fleet);
    return code < 0 ? sf_cli_end() : code;
}
