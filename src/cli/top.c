/* cli/top.c - `snowfleet top`: the fleet, drawn again every second. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/ticks.h"
#include "cli/fleet.h"
#include "cli/worker.h"
#include "coord/records.h"

#define ERROR_ROWS 4 /* of a terminal, kept free for an error that is too long for a line */

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

struct screen {
    FILE *to;
    const struct sf_cli_admin *like;
    uint32_t timeout_ms;
    double ids_per_s;
    bool marked;    /* lines that are not well are marked, for paint */
    char where[32]; /* " of datacenter 0": a worker knows no other */
    uint64_t workers, silent;
    struct sf_cli_census census;
};

static void ask_worker(struct screen *screen, const char *address)
{
    char url[SF_CLI_ADMIN_URL_MAX];
    const struct sf_cli_admin admin = sf_cli_admin_of(screen->like, address, url);
    json_t *status = NULL;
    struct sf_error err = {0};
    (void)sf_cli_get_json(&admin, "/status", screen->timeout_ms, &status, &err);
    sf_cli_worker_line(screen->to, address, status, err.text, screen->marked);
    screen->workers++;
    screen->silent += status == NULL;
    screen->ids_per_s += sf_cli_number_at(status, "ids_per_s", 0);
    json_decref(status);
}

/* As a worker's /fleet names it. */
static void count_state(struct screen *screen, const char *name)
{
    for (int state = 0; state < SF_SLOT_STATES; state++)
        screen->census.states[state] += strcmp(name, sf_slot_state_name(state)) == 0;
}

static int draw_datacenter(void *ctx, uint64_t datacenter, const struct sf_coord_completion *found)
{
    struct screen *screen = ctx;
    (void)datacenter;
    sf_cli_census_add(&screen->census, found, sf_real_ns() / SF_NS_PER_MS);
    for (size_t i = 0; i < found->claim_count; i++)
        ask_worker(screen, found->claims[i].admin);
    return -1;
}

/* The fleet as one of its workers read it. */
static int draw_fleet(struct screen *screen)
{
    json_t *fleet = NULL;
    const json_t *item;
    size_t i;
    struct sf_error err = {0};
    const int rc = sf_cli_get_json(screen->like, "/fleet", screen->timeout_ms, &fleet, &err);
    if (rc != 0)
        return sf_cli_admin_failed(screen->like, rc, &err);
    json_array_foreach(json_object_get(fleet, "slots"), i, item)
        count_state(screen, sf_cli_text_at(item, "state", ""));
    (void)snprintf(screen->where, sizeof screen->where, " of datacenter %.0f",
                   sf_cli_number_at(fleet, "datacenter", 0));
    screen->census.waiting = (uint64_t)sf_cli_number_at(fleet, "waiting", 0);
    json_array_foreach(json_object_get(fleet, "workers"), i, item)
        ask_worker(screen, sf_cli_text_at(item, "admin", screen->like->url));
    json_decref(fleet);
    return -1;
}

/* The figures of all first, which a small window must not cut off. */
static int draw(const struct sf_cli_admin *admin, struct sf_cli_fleet *fleet, bool marked, FILE *to)
{
    char *lines = NULL;
    size_t size = 0;
    struct screen screen = {
        .to = open_memstream(&lines, &size), .like = admin, .timeout_ms = 500, .marked = marked};
    char time[SF_TIME_TEXT_MAX];
    int code;
    if (screen.to == NULL)
        abort();
    if (fleet != NULL) {
        struct sf_coord_config config;
        code = sf_cli_fleet_config(fleet, &config);
        if (code < 0)
            code = sf_cli_fleet_list(fleet, &config, NULL, draw_datacenter, &screen);
    } else {
        code = draw_fleet(&screen);
    }
    (void)fclose(screen.to);
    (void)fprintf(to, "snowfleet top  %s  %s\n", fleet != NULL ? fleet->url : admin->url,
                  sf_format_time_ms(sf_real_ns() / SF_NS_PER_MS, time, sizeof time));
    sf_cli_census_end(&screen.census);
    char counts[SF_CLI_CENSUS_TEXT_MAX];
    (void)fprintf(to,
                  "%" PRIu64 " workers (%" PRIu64 " silent), %.0f IDs/s; slots%s: %s; %" PRIu64
                  " workers wait\n",
                  screen.workers, screen.silent, screen.ids_per_s, screen.where,
                  sf_cli_census_text(&screen.census, counts), screen.census.waiting);
    if (fleet != NULL)
        sf_cli_fleet_print_halted(fleet, to);
    (void)fputc('\n', to);
    sf_cli_worker_heading(to);
    (void)fwrite(lines, 1, size, to);
    free(lines);
    return code;
}

/* On a terminal: line by line over what is there, so that nothing flickers, and clipped to its
 * size. */
static void paint(const char *text)
{
    struct winsize window = {0};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > ERROR_ROWS;
    const int rows = known ? window.ws_row - ERROR_ROWS : INT_MAX;
    const int columns = known ? window.ws_col : INT_MAX;
    (void)fputs("\033[H", stdout);
    for (int row = 0; *text != '\0' && row < rows; row++) {
        const char *colour = *text == SF_CLI_MARK_BAD    ? "\033[31m"
                             : *text == SF_CLI_MARK_WARN ? "\033[33m"
                                                         : "";
        text += colour[0] != '\0';
        const int length = (int)strcspn(text, "\n");
        (void)printf("%s%.*s%s\033[K\n", colour, length < columns ? length : columns, text,
                     colour[0] != '\0' ? "\033[0m" : "");
        text += length + (text[length] == '\n');
    }
    (void)fputs("\033[J\0337", stdout); /* nothing below; here an error is told */
}

/* Draws into memory first, so that the screen changes at once and an error leaves it alone. */
static int frame(const struct sf_cli_admin *admin, struct sf_cli_fleet *fleet, bool ansi)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL)
        abort();
    const int code = draw(admin, fleet, ansi, to);
    (void)fclose(to);
    if (code < 0 && ansi)
        paint(text);
    else if (code < 0)
        (void)fwrite(text, 1, size, stdout);
    (void)fflush(stdout);
    free(text);
    return code;
}

/* Until Ctrl-C. Once there was something to see, an outage is part of the picture: it is told, and
 * the look goes on. */
static int watch(const struct sf_cli_admin *admin, struct sf_cli_fleet *fleet, uint64_t interval_ms,
                 bool once)
{
    const bool ansi = !once && isatty(STDOUT_FILENO);
    bool seen = false;
    while (!stopped) {
        if (ansi && seen) {
            (void)fputs("\0338", stdout); /* over the error of before */
            (void)fflush(stdout);
        }
        const int code = frame(admin, fleet, ansi);
        seen = seen || code < 0;
        if (once || !seen)
            return code;
        sf_sleep_ms((int64_t)interval_ms);
    }
    return -1;
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
        .text = "Watches the fleet: every live worker with its slot, state, rate, latency, clock "
                "offset and reservation.\n"
                "The workers are those that one of them knows (--admin) or that the coordinator "
                "lists. Ctrl-C ends it.\n",
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
    if (code < 0)
        code = watch(&admin, to.coordinator != NULL ? &fleet : NULL, interval_ms, once);
    sf_cli_fleet_close(&fleet);
    return code < 0 ? sf_cli_end() : code;
}
