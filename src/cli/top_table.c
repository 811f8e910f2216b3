/* cli/top_table.c - rows, cells, order. */
#include "cli/top_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "cli/worker.h"

#define ROOM 0.7 /* a fleet under this load can do without one */

/* clang-format off */
static const struct {
    struct sf_top_head head;
    unsigned wanted; /* the larger, the sooner it goes where the window is narrow; 0: never */
} columns[SF_TOP_COLUMNS] = {
    [SF_TOP_SLOT]        = {{"SLOT", 7, false}, 0},
    [SF_TOP_STATE]       = {{"STATE", 13, false}, 0},
    [SF_TOP_NODE]        = {{"NODE", 16, false}, 1},
    [SF_TOP_IDS]         = {{"IDS/S", 7, true}, 2},
    [SF_TOP_LOAD]        = {{"LOAD", 5, true}, 3},
    [SF_TOP_P50]         = {{"P50", 7, true}, 13},
    [SF_TOP_P99]         = {{"P99", 7, true}, 5},
    [SF_TOP_REFUSED]     = {{"REFUSED", 7, true}, 4},
    [SF_TOP_ERRORS]      = {{"ERRORS", 7, true}, 7},
    [SF_TOP_EXHAUSTED]   = {{"EXHAUST", 7, true}, 9},
    [SF_TOP_WAITING]     = {{"WAITING", 7, true}, 8},
    [SF_TOP_OFFSET]      = {{"OFFSET", 9, true}, 6},
    [SF_TOP_BOUND]       = {{"+-BOUND", 8, true}, 10},
    [SF_TOP_RESERVED]    = {{"RESERVED", 8, true}, 11},
    [SF_TOP_CONNECTIONS] = {{"CONNS", 6, true}, 14},
    [SF_TOP_ADMIN]       = {{"ADMIN", 21, false}, 12},
};
/* clang-format on */

struct sf_top_head sf_top_head(enum sf_top_column column)
{
    return columns[column].head;
}

/* --- a row --- */

/* Refusals that are neither too much nor over a limit. */
static double errors_per_s(const json_t *status)
{
    const json_t *by =
        json_object_get(json_object_get(json_object_get(status, "rates"), "10s"), "refused_by");
    const char *name;
    json_t *count;
    double sum = 0;
    json_object_foreach((json_t *)(uintptr_t)by, name, count) if (strcmp(name, "overloaded") != 0 &&
                                                                  strcmp(name, "rate_limited") != 0)
        sum += json_number_value(count);
    return sum;
}

static void fill_values(struct sf_top_row *row, const json_t *status)
{
    static const struct {
        enum sf_top_column column;
        const char *path;
    } from[] = {
        {SF_TOP_IDS, "ids_per_s"},
        {SF_TOP_LOAD, "saturation"},
        {SF_TOP_P50, "latency_us.10s.served.p50"},
        {SF_TOP_P99, "latency_us.10s.served.p99"},
        {SF_TOP_REFUSED, "rates.10s.refused"},
        {SF_TOP_EXHAUSTED, "rates.10s.exhausted"},
        {SF_TOP_WAITING, "waiting"},
        {SF_TOP_OFFSET, "clock.offset_ns"},
        {SF_TOP_BOUND, "clock.error_ns"},
        {SF_TOP_RESERVED, "reservation.left_ms"},
        {SF_TOP_CONNECTIONS, "connections"},
    };
    for (size_t i = 0; i < sizeof from / sizeof *from; i++)
        row->values[from[i].column] = sf_cli_number_at(status, from[i].path, SF_TOP_UNKNOWN);
    row->values[SF_TOP_ERRORS] = errors_per_s(status);
    if (sf_cli_number_at(status, "worker", -1) < 0)
        row->values[SF_TOP_RESERVED] = SF_TOP_UNKNOWN;
}

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

/* Of a state that is not ready. */
static enum sf_top_look look_of_state(const char *state)
{
    static const char *const grave[] = {"suspended", "resyncing", "halted",
                                        "exhausted", "lost",      NULL};
    static const char *const begins[] = {"starting", "claiming", "quarantined", "waiting", NULL};
    if (strcmp(state, "left") == 0)
        return SF_TOP_GONE;
    if (is_one_of(state, grave))
        return SF_TOP_BAD;
    return is_one_of(state, begins) ? SF_TOP_WAITS : SF_TOP_WARN;
}

static void fill_answer(struct sf_top_row *row, const json_t *status)
{
    char word[SF_CLI_LOOK_WORD_MAX];
    const enum sf_cli_look look = sf_cli_look_of(status, word);
    (void)snprintf(row->word, sizeof row->word, "%s", word);
    row->look = look == SF_CLI_LOOK_GOOD   ? SF_TOP_GOOD
                : look == SF_CLI_LOOK_WARN ? SF_TOP_WARN
                                           : SF_TOP_BAD;
    const char *state = sf_cli_text_at(status, "state", "?"),
               *why = sf_cli_text_at(status, "why", "");
    const char *verdict = sf_cli_text_at(status, "clock.verdict", "ok");
    if (strcmp(state, "ready") != 0)
        row->look = look_of_state(state);
    else if (row->look == SF_TOP_GOOD && strcmp(verdict, "ok") != 0) {
        row->look = strcmp(verdict, "bad") == 0 ? SF_TOP_BAD : SF_TOP_WARN;
        (void)snprintf(row->word, sizeof row->word, "clock %.8s", verdict);
    }
    if (why[0] == '\0' && strcmp(verdict, "ok") != 0)
        why = sf_cli_text_at(status, "clock.text", "");
    (void)snprintf(row->reason, sizeof row->reason, "%s", why);
    row->since_ms = 0;
    fill_values(row, status);
}

static struct sf_top_row row_of(const struct sf_top_member *member)
{
    struct sf_top_row row = {.since_ms = (int64_t)sf_cli_number_at(member->entry, "since_ms", 0)};
    const json_t *of =
        sf_cli_number_at(member->status, "worker", -1) >= 0 ? member->status : member->entry;
    const char *state = sf_cli_text_at(member->entry, "state", "");
    const double worker = sf_cli_number_at(of, "worker", -1);
    const double datacenter = sf_cli_number_at(of, "datacenter", 0);
    for (unsigned i = 0; i < SF_TOP_COLUMNS; i++)
        row.values[i] = SF_TOP_UNKNOWN;
    (void)snprintf(row.slot, sizeof row.slot, "-");
    if (worker >= 0)
        (void)snprintf(row.slot, sizeof row.slot, "%.0f/%.0f", datacenter, worker);
    row.values[SF_TOP_SLOT] = datacenter * 1e6 + (worker >= 0 ? worker : 9e5);
    (void)snprintf(
        row.node, sizeof row.node, "%.79s",
        sf_cli_text_at(member->status, "node", sf_cli_text_at(member->entry, "node", "?")));
    (void)snprintf(row.admin, sizeof row.admin, "%s", sf_cli_text_at(member->entry, "admin", "-"));
    if (member->status != NULL) {
        fill_answer(&row, member->status);
    } else if (member->why[0] != '\0') {
        row.look = SF_TOP_BAD;
        (void)snprintf(row.word, sizeof row.word, "no answer");
        (void)snprintf(row.reason, sizeof row.reason, "%s", member->why);
        row.since_ms = 0;
    } else {
        row.look = look_of_state(state);
        (void)snprintf(row.word, sizeof row.word, "%.30s", state);
        (void)snprintf(row.reason, sizeof row.reason, "%s",
                       sf_cli_text_at(member->entry, "reason", ""));
    }
    row.values[SF_TOP_STATE] = row.look;
    return row;
}

/* --- which, and in what order --- */

static bool holds(const struct sf_top_row *row, const char *filter)
{
    char words[SF_TOP_FILTER_MAX], text[sizeof row->slot + sizeof row->node + sizeof row->word +
                                        sizeof row->reason + sizeof row->admin];
    (void)snprintf(words, sizeof words, "%s", filter);
    (void)snprintf(text, sizeof text, "%s %s %s %s %s", row->slot, row->node, row->word,
                   row->reason, row->admin);
    char *at = words;
    for (char *word; (word = strsep(&at, " ")) != NULL;)
        if (strcasestr(text, word) == NULL)
            return false;
    return true;
}

/* The worst first. */
static int rank(enum sf_top_look look)
{
    static const int ranks[] = {[SF_TOP_BAD] = 0,
                                [SF_TOP_WARN] = 1,
                                [SF_TOP_WAITS] = 2,
                                [SF_TOP_GOOD] = 3,
                                [SF_TOP_GONE] = 4};
    return ranks[look];
}

static int by_number(double x, double y)
{
    return (x > y) - (x < y);
}

/* What is sorted by: how far a clock is off, to whichever side. */
static double key_of(const struct sf_top_row *row, enum sf_top_column column)
{
    const double value = row->values[column];
    return column == SF_TOP_OFFSET && value < 0 && value > SF_TOP_UNKNOWN ? -value : value;
}

static int compare(const void *a, const void *b, void *ctx)
{
    const struct sf_top_row *x = a, *y = b;
    const struct sf_top_view *view = ctx;
    const bool none_x = x->values[view->sort] <= SF_TOP_UNKNOWN,
               none_y = y->values[view->sort] <= SF_TOP_UNKNOWN;
    int order;
    if (view->sort == SF_TOP_NODE)
        order = strcmp(x->node, y->node);
    else if (view->sort == SF_TOP_ADMIN)
        order = strcmp(x->admin, y->admin);
    else if (view->sort == SF_TOP_STATE)
        order = rank(x->look) - rank(y->look);
    else if (view->sort == SF_TOP_SLOT)
        order = by_number(x->values[SF_TOP_SLOT], y->values[SF_TOP_SLOT]);
    else if (none_x || none_y)
        return none_x != none_y ? (int)none_x - (int)none_y
                                : by_number(x->values[SF_TOP_SLOT], y->values[SF_TOP_SLOT]);
    else /* what there is most of first; of what may run out the least */
        order = view->sort == SF_TOP_RESERVED
                    ? by_number(key_of(x, view->sort), key_of(y, view->sort))
                    : by_number(key_of(y, view->sort), key_of(x, view->sort));
    if (order != 0)
        return view->reversed ? -order : order;
    order = by_number(x->values[SF_TOP_SLOT], y->values[SF_TOP_SLOT]);
    return order != 0 ? order : strcmp(x->node, y->node);
}

struct sf_top_row *sf_top_rows(const struct sf_top_picture *picture, const struct sf_top_view *view,
                               size_t *ret_count)
{
    struct sf_top_row *rows = calloc(picture->count + 1, sizeof *rows);
    size_t count = 0;
    if (rows == NULL)
        abort();
    for (size_t i = 0; i < picture->count; i++) {
        rows[count] = row_of(&picture->members[i]);
        count += holds(&rows[count], view->filter) &&
                 !(view->trouble &&
                   (rows[count].look == SF_TOP_GOOD || rows[count].look == SF_TOP_GONE));
    }
    if (count > 1)
        qsort_r(rows, count, sizeof *rows, compare, (void *)(uintptr_t)view);
    *ret_count = count;
    return rows;
}

/* --- cells --- */

static void rate_text(double x, char *to, size_t size)
{
    if (x >= 9999500)
        (void)snprintf(to, size, "%.1fM", x / 1e6);
    else if (x >= 999500)
        (void)snprintf(to, size, "%.2fM", x / 1e6);
    else if (x >= 9999.5)
        (void)snprintf(to, size, "%.1fk", x / 1e3);
    else
        (void)snprintf(to, size, "%.*f", x > 0 && x < 9.95 ? 1 : 0, x);
}

static void micros_text(double us, char *to, size_t size)
{
    if (us >= 1e6)
        (void)snprintf(to, size, "%.2fs", us / 1e6);
    else if (us >= 1000)
        (void)snprintf(to, size, "%.1fms", us / 1e3);
    else
        (void)snprintf(to, size, "%.0fus", us);
}

static void nanos_text(double ns, char *to, size_t size)
{
    if (ns >= 1e9 || ns <= -1e9)
        (void)snprintf(to, size, "%.2fs", ns / 1e9);
    else
        (void)snprintf(to, size, "%.1fms", ns / 1e6);
}

static void number_text(double x, enum sf_top_column column, char *to, size_t size)
{
    switch (column) {
    case SF_TOP_LOAD:
        (void)snprintf(to, size, "%.0f%%", x < 99 ? 100 * x : 9900);
        break;
    case SF_TOP_P50:
    case SF_TOP_P99:
        micros_text(x, to, size);
        break;
    case SF_TOP_OFFSET:
    case SF_TOP_BOUND:
        nanos_text(x, to, size);
        break;
    case SF_TOP_WAITING:
    case SF_TOP_CONNECTIONS:
        (void)snprintf(to, size, "%.0f", x);
        break;
    case SF_TOP_RESERVED:
        (void)sf_format_duration_ms((int64_t)x, to, size);
        break;
    default:
        rate_text(x, to, size);
        break;
    }
}

const char *sf_top_cell(const struct sf_top_row *row, enum sf_top_column column,
                        char to[SF_TOP_CELL_MAX])
{
    switch (column) {
    case SF_TOP_SLOT:
        (void)snprintf(to, SF_TOP_CELL_MAX, "%s", row->slot);
        break;
    case SF_TOP_STATE:
        (void)snprintf(to, SF_TOP_CELL_MAX, "%s", row->word);
        break;
    case SF_TOP_NODE:
        (void)snprintf(to, SF_TOP_CELL_MAX, "%s", row->node);
        break;
    case SF_TOP_ADMIN:
        (void)snprintf(to, SF_TOP_CELL_MAX, "%s", row->admin);
        break;
    default:
        if (row->values[column] <= SF_TOP_UNKNOWN)
            (void)snprintf(to, SF_TOP_CELL_MAX, "-");
        else
            number_text(row->values[column], column, to, SF_TOP_CELL_MAX);
        break;
    }
    return to;
}

size_t sf_top_fit(int width, enum sf_top_column ret[SF_TOP_COLUMNS])
{
    bool shown[SF_TOP_COLUMNS];
    int needed = -1;
    for (unsigned i = 0; i < SF_TOP_COLUMNS; i++) {
        shown[i] = true;
        needed += columns[i].head.width + 1;
    }
    while (needed > width) {
        unsigned least = 0;
        for (unsigned i = 1; i < SF_TOP_COLUMNS; i++)
            if (shown[i] && (!shown[least] || columns[i].wanted > columns[least].wanted))
                least = i;
        if (columns[least].wanted == 0)
            break;
        shown[least] = false;
        needed -= columns[least].head.width + 1;
    }
    size_t count = 0;
    for (unsigned i = 0; i < SF_TOP_COLUMNS; i++)
        if (shown[i])
            ret[count++] = (enum sf_top_column)i;
    return count;
}

/* --- all of them --- */

struct sums {
    size_t expected, ready, missing;
    double ids, ceiling, wanted, served, refused;
};

static void add_up(const struct sf_top_member *member, struct sums *sums)
{
    const struct sf_top_row row = row_of(member);
    const json_t *s = member->status;
    if (row.look == SF_TOP_GONE || strcmp(row.word, "draining") == 0 ||
        strcmp(row.word, "stopped") == 0)
        return;
    sums->expected++;
    const bool ready = json_is_true(json_object_get(s, "ready"));
    sums->ready += ready;
    sums->missing += !ready;
    sums->ids += sf_cli_number_at(s, "ids_per_s", 0);
    sums->served += sf_cli_number_at(s, "rates.10s.served", 0);
    sums->refused += sf_cli_number_at(s, "rates.10s.refused", 0);
    const double bits = sf_cli_number_at(s, "layout.sequence", -1);
    if (!ready || bits < 0 || bits > 32)
        return;
    size_t held = 0, i;
    json_t *slot;
    json_array_foreach(json_object_get(s, "slots"), i, slot) held +=
        json_is_integer(json_object_get(slot, "worker"));
    const double ceiling =
        1e3 * (double)(UINT64_C(1) << (unsigned)bits) * (double)(held > 0 ? held : 1);
    sums->ceiling += ceiling;
    sums->wanted += ceiling * sf_cli_number_at(s, "saturation", 0);
}

static enum sf_top_look judge(const struct sums *sums, const struct sf_top_picture *picture,
                              double load, double part)
{
    if (sums->ready == 0 || part > SF_CLI_REFUSING || picture->halted[0] != '\0')
        return SF_TOP_BAD;
    if (sums->missing > 0)
        return load < ROOM ? SF_TOP_WARN : SF_TOP_BAD;
    return load >= SF_CLI_SATURATED ? SF_TOP_WARN : SF_TOP_GOOD;
}

enum sf_top_look sf_top_summary(const struct sf_top_picture *picture, char *to, size_t size)
{
    struct sums sums = {0};
    for (size_t i = 0; i < picture->count; i++)
        add_up(&picture->members[i], &sums);
    const double load = sums.ceiling > 0 ? sums.wanted / sums.ceiling : 0;
    const double part = sums.refused > 0 ? sums.refused / (sums.served + sums.refused) : 0;
    const enum sf_top_look look = judge(&sums, picture, load, part);
    char ids[32], refused[32], ceiling[32];
    rate_text(sums.ids, ids, sizeof ids);
    rate_text(sums.refused, refused, sizeof refused);
    rate_text(sums.ceiling, ceiling, sizeof ceiling);
    (void)snprintf(
        to, size,
        "%s: %zu of %zu expected ready; %s of %s IDs/s, load %.0f%%; refused %s/s (%.0f%%)",
        look == SF_TOP_GOOD   ? "ok"
        : look == SF_TOP_WARN ? "WARNING"
                              : "TROUBLE",
        sums.ready, sums.expected, ids, ceiling, 100 * load, refused, 100 * part);
    return look;
}
