/* cli/top_screen.c - the terminal. */
#include "cli/top_screen.h"

#include <curses.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/thread.h"
#include "base/ticks.h"
#include "cli/printable.h"
#include "cli/top_table.h"
#include "cli/top_terminal.h"

#define HEAD_ROWS      5 /* title, judgement, slots, errors, heads of columns */
#define FOOT_ROWS      2 /* the chosen worker, keys */
#define WAIT_MS        100
#define ESCAPE         27
#define ERROR_MAX      512
#define LINE_MAX_BYTES 1024

/* --- asking, on a thread of its own --- */

struct asker {
    const struct sf_top_source *source;
    uint64_t interval_ms;
    int error_fd; /* where stderr goes */
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    struct sf_top_picture picture;
    uint64_t looks;        /* that ended, well or not */
    bool seen;             /* one of them ended well */
    int code;              /* of the last one */
    char error[ERROR_MAX]; /* what it said when it did not; "" */
};

/* The first line that a look wrote to stderr, which is a file meanwhile. */
static void take_error(int fd, off_t *told, char to[ERROR_MAX])
{
    char text[ERROR_MAX];
    to[0] = '\0';
    for (ssize_t got; (got = pread(fd, text, sizeof text - 1, *told)) > 0; *told += got) {
        text[got] = '\0';
        if (to[0] == '\0')
            (void)snprintf(to, ERROR_MAX, "%.*s", (int)strcspn(text, "\n"), text);
    }
    if (*told > 0 && ftruncate(fd, 0) == 0) /* it does not grow through a long outage */
        *told = 0;
}

static void *ask_on(void *ctx)
{
    struct asker *asker = ctx;
    char error[ERROR_MAX];
    off_t told = 0;
    while (!atomic_load(asker->source->stop)) {
        struct sf_top_picture picture = {0};
        const int code = sf_top_take(asker->source, &picture);
        take_error(asker->error_fd, &told, error);
        pthread_mutex_lock(&asker->lock);
        if (code < 0) {
            sf_top_free(&asker->picture);
            asker->picture = picture;
        }
        asker->seen = asker->seen || code < 0;
        asker->code = code;
        memcpy(asker->error, error, sizeof error);
        asker->looks++;
        const bool goes_on = asker->seen;
        pthread_mutex_unlock(&asker->lock);
        if (!goes_on)
            break;
        for (uint64_t slept = 0; slept < asker->interval_ms && !atomic_load(asker->source->stop);
             slept += WAIT_MS)
            sf_sleep_ms(WAIT_MS);
    }
    return NULL;
}

/* --- the screen --- */

struct screen {
    struct asker *asker;
    const char *title;
    SCREEN *terminal;
    int error_fd, stderr_fd; /* what stderr is meanwhile, and what it was */
    struct sf_top_view view;
    bool typing, helping;           /* a filter is being typed; the help is shown */
    char before[SF_TOP_FILTER_MAX]; /* the filter, should the typing be given up */
    char chosen[SF_TOP_CELL_MAX];   /* node, slot and address of the row that is told of below */
    size_t at, first;               /* that row, and the first that is shown */
    size_t count;                   /* rows as last drawn */
};

static const short colours[] = {[SF_TOP_GOOD] = COLOR_GREEN,
                                [SF_TOP_WARN] = COLOR_YELLOW,
                                [SF_TOP_BAD] = COLOR_RED,
                                [SF_TOP_WAITS] = COLOR_MAGENTA,
                                [SF_TOP_GONE] = -1};

static chtype look_attributes(enum sf_top_look look)
{
    const chtype colour = has_colors() ? (chtype)COLOR_PAIR((int)look + 1) : 0;
    return look == SF_TOP_BAD ? colour | A_BOLD : look == SF_TOP_GONE ? colour | A_DIM : colour;
}

/* So much of a line as fits, without cutting a character of UTF-8. Returns the column behind it. */
static int put_text(int row, int column, int width, chtype attributes, const char *text)
{
    const int room = COLS - column < width ? COLS - column : width;
    if (room <= 0 || row < 0 || row >= LINES)
        return column;
    size_t length = strnlen(text, (size_t)room);
    char line[LINE_MAX_BYTES];
    if (length >= sizeof line)
        length = sizeof line - 1;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    memcpy(line, text, length);
    line[length] = '\0';
    sf_cli_make_printable(line); /* errors have others' words in them */
    attrset((attr_t)attributes);
    (void)mvaddstr(row, column, line);
    attrset(A_NORMAL);
    return column + (int)length;
}

static void put_line(int row, chtype attributes, const char *text)
{
    (void)put_text(row, 0, COLS, attributes, text);
}

static void draw_heads(const struct screen *screen, const enum sf_top_column *shown, size_t count)
{
    int at = 0;
    put_line(HEAD_ROWS - 1, A_REVERSE, "");
    (void)mvhline(HEAD_ROWS - 1, 0, ' ' | A_REVERSE, COLS);
    for (size_t i = 0; i < count; i++) {
        const struct sf_top_head head = sf_top_head(shown[i]);
        char name[16];
        const bool sorted = shown[i] == screen->view.sort;
        (void)snprintf(name, sizeof name, "%s%s", sorted ? screen->view.reversed ? "^" : "v" : "",
                       head.name);
        const int indent = head.right ? head.width - (int)strlen(name) : 0;
        (void)put_text(HEAD_ROWS - 1, at + (indent > 0 ? indent : 0), head.width,
                       sorted ? A_REVERSE | A_BOLD : A_REVERSE, name);
        at += head.width + 1;
    }
}

static void draw_row(int line, const struct sf_top_row *row, const enum sf_top_column *shown,
                     size_t count, bool chosen)
{
    char cell[SF_TOP_CELL_MAX];
    int at = 0;
    const chtype all = chosen ? A_REVERSE : 0;
    if (chosen)
        (void)mvhline(line, 0, ' ' | A_REVERSE, COLS);
    for (size_t i = 0; i < count; i++) {
        const struct sf_top_head head = sf_top_head(shown[i]);
        const char *text = sf_top_cell(row, shown[i], cell);
        const int width = i + 1 == count && !head.right ? COLS - at : head.width;
        const int indent = head.right ? head.width - (int)strlen(text) : 0;
        const bool coloured =
            shown[i] == SF_TOP_STATE || row->look == SF_TOP_BAD || row->look == SF_TOP_GONE;
        (void)put_text(line, at + (indent > 0 ? indent : 0), width,
                       (coloured ? look_attributes(row->look) : 0) | all, text);
        at += head.width + 1;
    }
}

static void name_row(const struct sf_top_row *row, char to[SF_TOP_CELL_MAX])
{
    (void)snprintf(to, SF_TOP_CELL_MAX, "%s %s %.200s", row->node, row->slot, row->admin);
}

/* The chosen worker stays chosen where it moves to; scrolls so that it is in view. */
static void place_choice(struct screen *screen, const struct sf_top_row *rows, size_t count,
                         size_t room)
{
    char name[SF_TOP_CELL_MAX];
    screen->count = count;
    for (size_t i = 0; i < count && screen->chosen[0] != '\0'; i++) {
        name_row(&rows[i], name);
        if (strcmp(name, screen->chosen) == 0)
            screen->at = i;
    }
    if (screen->at >= count)
        screen->at = count > 0 ? count - 1 : 0;
    if (screen->at < screen->first)
        screen->first = screen->at;
    if (room > 0 && screen->at >= screen->first + room)
        screen->first = screen->at - room + 1;
    if (count <= room)
        screen->first = 0;
}

static void draw_foot(const struct screen *screen, const struct sf_top_row *row, int64_t now_ms)
{
    char text[1024], since[SF_DURATION_TEXT_MAX + 16] = "", age[SF_DURATION_TEXT_MAX];
    if (row != NULL) {
        if (row->since_ms > 0 && row->look != SF_TOP_GOOD)
            (void)snprintf(since, sizeof since, " for %s",
                           sf_format_duration_ms(now_ms - row->since_ms, age, sizeof age));
        (void)snprintf(text, sizeof text, "%s %s: %s%s%s%s", row->slot, row->node, row->word, since,
                       row->reason[0] != '\0' ? ": " : "", row->reason);
        put_line(LINES - 2, look_attributes(row->look), text);
    }
    if (screen->typing)
        (void)snprintf(text, sizeof text, "filter: %s_   Enter keeps it, Esc gives it up",
                       screen->view.filter);
    else
        (void)snprintf(
            text, sizeof text, "q quit  h help  < > sort (%s)  r reverse  / filter%s%s  t %s",
            sf_top_head(screen->view.sort).name, screen->view.filter[0] != '\0' ? ": " : "",
            screen->view.filter, screen->view.trouble ? "all" : "only trouble");
    put_line(LINES - 1, A_BOLD, text);
}

static void draw_help(void)
{
    static const char *const lines[] = {
        "q, Ctrl-C        ends it",
        "< >  or  s S     sort by the column to the left or right",
        "r                the other way round",
        "/                show only rows that hold these words (slot, node, state, reason, "
        "address)",
        "t                show only who is not well",
        "arrows, PgUp, PgDn, Home, End   choose a worker: why it is in its state stands below",
        "",
        "IDS/S of the last second; LOAD, P50, P99 (of requests that got IDs), REFUSED, ERRORS and "
        "EXHAUST a",
        "second are of the last ten. REFUSED are all answers without IDs, ERRORS those of them "
        "that were not",
        "for want of IDs or over a limit. EXHAUST: times that minting had to wait for the next "
        "millisecond.",
        "+-BOUND: how exactly OFFSET is known. RESERVED: how long it mints without the "
        "coordinator.",
        "A worker that is missing is a warning while the others have room, else trouble.",
        "",
        "any key goes back",
    };
    erase();
    put_line(0, A_BOLD, "snowfleet top: keys and columns");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        put_line((int)i + 2, 0, lines[i]);
    (void)refresh();
}

static void draw_top(const struct screen *screen)
{
    const struct sf_top_picture *picture = &screen->asker->picture;
    const char *error = screen->asker->error;
    char text[512], time[SF_TIME_TEXT_MAX] = "", counts[SF_CLI_CENSUS_TEXT_MAX];
    if (picture->at_ms > 0)
        (void)sf_format_time_ms(picture->at_ms, time, sizeof time);
    (void)snprintf(text, sizeof text, "snowfleet top  %s  %s", screen->title, time);
    put_line(0, A_BOLD, text);
    if (picture->at_ms == 0) {
        put_line(1, 0, "asking...");
        return;
    }
    const enum sf_top_look look = sf_top_summary(picture, text, sizeof text);
    put_line(1, look_attributes(look) | A_BOLD, text);
    (void)snprintf(text, sizeof text, "slots%s: %s; %" PRIu64 " wait", picture->where,
                   sf_cli_census_text(&picture->census, counts), picture->census.waiting);
    put_line(2, 0, text);
    if (error[0] != '\0')
        put_line(3, look_attributes(SF_TOP_BAD), error);
    else if (picture->halted[0] != '\0')
        put_line(3, look_attributes(SF_TOP_BAD), picture->halted);
}

static void draw(struct screen *screen)
{
    struct asker *asker = screen->asker;
    enum sf_top_column shown[SF_TOP_COLUMNS];
    size_t count = 0;
    pthread_mutex_lock(&asker->lock);
    if (screen->helping) {
        pthread_mutex_unlock(&asker->lock);
        draw_help();
        return;
    }
    struct sf_top_row *rows = sf_top_rows(&asker->picture, &screen->view, &count);
    erase();
    draw_top(screen);
    pthread_mutex_unlock(&asker->lock);
    const int room = LINES - HEAD_ROWS - FOOT_ROWS;
    const size_t columns = sf_top_fit(COLS, shown);
    place_choice(screen, rows, count, room > 0 ? (size_t)room : 0);
    draw_heads(screen, shown, columns);
    for (int i = 0; i < room && screen->first + (size_t)i < count; i++)
        draw_row(HEAD_ROWS + i, &rows[screen->first + (size_t)i], shown, columns,
                 screen->first + (size_t)i == screen->at);
    draw_foot(screen, count > 0 ? &rows[screen->at] : NULL, sf_real_ns() / SF_NS_PER_MS);
    if (count > 0)
        name_row(&rows[screen->at], screen->chosen);
    free(rows);
    (void)refresh();
}

/* --- keys --- */

static void type(struct screen *screen, int key)
{
    char *filter = screen->view.filter;
    const size_t length = strlen(filter);
    if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        screen->typing = false;
    } else if (key == ESCAPE) {
        screen->typing = false;
        memcpy(filter, screen->before, sizeof screen->before);
    } else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length > 0) {
        filter[length - 1] = '\0';
    } else if (key >= ' ' && key <= '~' && length + 1 < SF_TOP_FILTER_MAX) {
        filter[length] = (char)key;
        filter[length + 1] = '\0';
    }
}

static void sort_by(struct screen *screen, int step)
{
    enum sf_top_column shown[SF_TOP_COLUMNS];
    const size_t count = sf_top_fit(COLS, shown);
    size_t at = 0;
    while (at < count && shown[at] != screen->view.sort)
        at++;
    at = at == count ? 0 : (at + count + (size_t)(step + (int)count)) % count;
    screen->view.sort = shown[at];
    screen->view.reversed = false;
}

static void choose(struct screen *screen, int64_t step)
{
    const int64_t at = (int64_t)screen->at + step, last = (int64_t)screen->count - 1;
    screen->at = (size_t)(at < 0 || last < 0 ? 0 : at > last ? last : at);
    screen->chosen[0] = '\0';
}

/* Returns false when it was asked to end. */
static bool press(struct screen *screen, int key)
{
    const int page = LINES - HEAD_ROWS - FOOT_ROWS > 1 ? LINES - HEAD_ROWS - FOOT_ROWS - 1 : 1;
    if (key == KEY_RESIZE)
        return true;
    if (screen->typing) {
        type(screen, key);
        return true;
    }
    if (screen->helping && key != 'q') {
        screen->helping = false;
        return true;
    }
    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case 'h':
    case '?':
        screen->helping = true;
        break;
    case '>':
    case 's':
        sort_by(screen, 1);
        break;
    case '<':
    case 'S':
        sort_by(screen, -1);
        break;
    case 'r':
        screen->view.reversed = !screen->view.reversed;
        break;
    case '/':
        screen->typing = true;
        memcpy(screen->before, screen->view.filter, sizeof screen->before);
        break;
    case ESCAPE:
        screen->view.filter[0] = '\0';
        break;
    case 't':
        screen->view.trouble = !screen->view.trouble;
        break;
    case KEY_UP:
    case 'k':
        choose(screen, -1);
        break;
    case KEY_DOWN:
    case 'j':
        choose(screen, 1);
        break;
    case KEY_PPAGE:
        choose(screen, -page);
        break;
    case KEY_NPAGE:
        choose(screen, page);
        break;
    case KEY_HOME:
        choose(screen, INT32_MIN);
        break;
    case KEY_END:
        choose(screen, INT32_MAX);
        break;
    default:
        break;
    }
    return true;
}

/* --- beginning and end --- */

static bool open_screen(struct screen *screen)
{
    (void)setlocale(LC_CTYPE, "");
    if (!sf_top_knows_terminal())
        return false;
    screen->terminal = newterm(NULL, stdout, stdin);
    if (screen->terminal == NULL)
        return false;
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)set_escdelay(WAIT_MS);
    (void)curs_set(0);
    if (has_colors()) {
        (void)start_color();
        (void)use_default_colors();
        for (size_t i = 0; i < sizeof colours / sizeof *colours; i++)
            (void)init_pair((short)(i + 1), colours[i], -1);
    }
    (void)fflush(stderr);
    screen->error_fd = memfd_create("snowfleet-top", MFD_CLOEXEC);
    screen->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (screen->error_fd >= 0 && screen->stderr_fd >= 0 &&
        fcntl(screen->error_fd, F_SETFL, O_APPEND) == 0)
        (void)dup2(screen->error_fd, STDERR_FILENO);
    return true;
}

static void close_screen(struct screen *screen)
{
    (void)endwin();
    delscreen(screen->terminal);
    if (screen->stderr_fd >= 0) {
        (void)dup2(screen->stderr_fd, STDERR_FILENO);
        (void)close(screen->stderr_fd);
    }
}

/* Nothing was ever to be seen. */
static bool is_hopeless(struct asker *asker, int *ret_code)
{
    pthread_mutex_lock(&asker->lock);
    const bool hopeless = asker->looks > 0 && !asker->seen;
    *ret_code = asker->code;
    pthread_mutex_unlock(&asker->lock);
    return hopeless;
}

static int show(struct screen *screen)
{
    int code = -1;
    while (!atomic_load(screen->asker->source->stop) && !is_hopeless(screen->asker, &code)) {
        draw(screen);
        struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&keys, 1, WAIT_MS) > 0 && (keys.revents & POLLIN) == 0)
            return -1; /* the terminal is gone */
        for (int key; (key = getch()) != ERR;)
            if (!press(screen, key))
                return -1;
    }
    return atomic_load(screen->asker->source->stop) ? -1 : code;
}

int sf_top_screen(const struct sf_top_source *source, const char *title, uint64_t interval_ms)
{
    struct asker asker = {.source = source, .interval_ms = interval_ms};
    struct screen screen = {.asker = &asker, .title = title, .error_fd = -1, .stderr_fd = -1};
    if (!open_screen(&screen))
        return SF_TOP_NO_SCREEN;
    asker.error_fd = screen.error_fd;
    pthread_mutex_init(&asker.lock, NULL);
    int code = SF_CLI_BUG;
    const bool started = sf_thread_start(&asker.thread, "ask", ask_on, &asker) == 0;
    if (started) {
        code = show(&screen);
        atomic_store(source->stop, true);
    }
    close_screen(&screen);
    if (started)
        (void)pthread_join(asker.thread, NULL);
    if (screen.error_fd >= 0)
        (void)close(screen.error_fd);
    if (code >= 0 && asker.error[0] != '\0')
        (void)fprintf(stderr, "%s\n", asker.error);
    sf_top_free(&asker.picture);
    pthread_mutex_destroy(&asker.lock);
    return code;
}
