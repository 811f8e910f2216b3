/* Log lines: how one is made of a sentence, written in one piece, and given up when nobody takes
 * it. */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/parse.h"
#include "base/ticks.h"
#include "base/utf8.h"

#define STUCK_MS 100 /* how long the first line waits that nobody takes; the next ones do not */

struct sf_log {
    int fd;
    _Atomic int level;
    enum sf_log_format format;
    pthread_mutex_t lock; /* a line is written by who saw that there is room for it */
    uint64_t lost;        /* under lock: lines since the last one that was written */
    sf_log_line *line;    /* NULL: to fd */
    void *ctx;
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const format_names[] = {"text", "json"};
static const char *const level_columns[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};

struct sf_log *sf_log_create(int fd, enum sf_log_level level, enum sf_log_format format)
{
    struct sf_log *log = malloc(sizeof *log);
    if (log == NULL)
        return NULL;
    log->fd = fd;
    log->format = format;
    atomic_init(&log->level, (int)level);
    pthread_mutex_init(&log->lock, NULL);
    log->lost = 0;
    log->line = NULL;
    log->ctx = NULL;
    return log;
}

struct sf_log *sf_log_create_for(sf_log_line *line, void *ctx, enum sf_log_level level)
{
    struct sf_log *log = sf_log_create(-1, level, SF_LOG_TEXT);
    if (log != NULL) {
        log->line = line;
        log->ctx = ctx;
    }
    return log;
}

void sf_log_destroy(struct sf_log *log)
{
    if (log != NULL)
        pthread_mutex_destroy(&log->lock);
    free(log);
}

void sf_log_set_level(struct sf_log *log, enum sf_log_level level)
{
    if (log != NULL)
        atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

static bool is_enabled(const struct sf_log *log, enum sf_log_level level)
{
    return log != NULL && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

/* A line under construction; `limit` keeps room for what must follow the sentence. */
struct line {
    char text[SF_LOG_LINE_MAX];
    size_t length;
};

#define TAIL_ROOM 8 /* "..." and "\"}\n" */

static bool put(struct line *line, const char *text, size_t size)
{
    if (size > SF_LOG_LINE_MAX - TAIL_ROOM - line->length)
        return false;
    memcpy(line->text + line->length, text, size);
    line->length += size;
    return true;
}

/* Room for this is always there: TAIL_ROOM. */
static void put_tail(struct line *line, const char *text)
{
    const size_t size = strlen(text);
    memcpy(line->text + line->length, text, size);
    line->length += size;
}

/* Characters that could end a line, move a cursor or hide text: C0, DEL, C1, line and paragraph
 * separator, and the marks that reverse the direction of writing. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

/* Appends one character of the sentence, escaped as the format needs; false when there is no room
 * for all of it. */
static bool put_character(struct line *line, enum sf_log_format format, const char *text,
                          size_t size, uint32_t code)
{
    const char *slash = format == SF_LOG_JSON ? "\\\\" : "\\";
    char escaped[16];
    int n;
    if (size == 0)
        n = snprintf(escaped, sizeof escaped, "%sx%02x", slash, (unsigned char)*text);
    else if (format == SF_LOG_JSON && (code == '"' || code == '\\'))
        n = snprintf(escaped, sizeof escaped, "\\%c", (char)code);
    else if (code == '\n')
        n = snprintf(escaped, sizeof escaped, "\\n");
    else if (code == '\t')
        n = snprintf(escaped, sizeof escaped, "\\t");
    else if (is_control(code))
        n = snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)code);
    else
        return put(line, text, size);
    return put(line, escaped, (size_t)n);
}

static void put_sentence(struct line *line, enum sf_log_format format, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t code = 0;
        const size_t size = sf_utf8_next(text, left, &code);
        if (!put_character(line, format, text, size, code)) {
            put_tail(line, "...");
            return;
        }
        const size_t step = size ? size : 1;
        text += step;
        left -= step;
    }
}

static void write_all(int fd, const char *text, size_t size)
{
    const int saved = errno;
    while (size > 0) {
        const ssize_t n = write(fd, text, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* a log that cannot be written must not stop the worker */
        text += n;
        size -= (size_t)n;
    }
    errno = saved;
}

/* A line is shorter than what a pipe that is not full, or a socket that is writable, takes at
 * once. */
static bool has_room(const struct sf_log *log)
{
    struct pollfd fd = {.fd = log->fd, .events = POLLOUT};
    const int saved = errno;
    const bool room = poll(&fd, 1, log->lost == 0 ? STUCK_MS : 0) != 0;
    errno = saved;
    return room;
}

static void write_line(struct sf_log *log, enum sf_log_level level, const char *event,
                       const char *sentence)
{
    struct line line = {.length = 0};
    char time[SF_TIME_TEXT_MAX];
    sf_format_time_ms(sf_real_ns() / SF_NS_PER_MS, time, sizeof time);
    char head[256];
    const int n =
        log->format == SF_LOG_JSON
            ? snprintf(head, sizeof head,
                       "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%.128s\",\"message\":\"",
                       time, level_names[level], event)
            : snprintf(head, sizeof head, "%s %s %.128s ", time, level_columns[level], event);
    put(&line, head, (size_t)n);
    put_sentence(&line, log->format, sentence);
    put_tail(&line, log->format == SF_LOG_JSON ? "\"}\n" : "\n");
    write_all(log->fd, line.text, line.length);
}

static void emit(struct sf_log *log, enum sf_log_level level, const char *event,
                 const char *sentence)
{
    if (log->line != NULL) {
        log->line(log->ctx, level, event, sentence);
        return;
    }
    pthread_mutex_lock(&log->lock);
    bool room = has_room(log);
    if (room && log->lost > 0) {
        char text[64];
        snprintf(text, sizeof text, "%" PRIu64 " lines, because nobody took them", log->lost);
        write_line(log, SF_LOG_WARN, "log.lost", text);
        room = has_room(log);
        log->lost = 0;
    }
    if (room)
        write_line(log, level, event, sentence);
    else
        log->lost++;
    pthread_mutex_unlock(&log->lock);
}

/* Formats the sentence. The buffer is as large as a line: what is longer would be cut anyway. */
static void format_sentence(char sentence[SF_LOG_LINE_MAX], const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void format_sentence(char sentence[SF_LOG_LINE_MAX], const char *format, va_list args)
{
    if (vsnprintf(sentence, SF_LOG_LINE_MAX, format, args) < 0)
        snprintf(sentence, SF_LOG_LINE_MAX, "(sentence could not be formatted)");
}

void sf_log_write(struct sf_log *log, enum sf_log_level level, const char *event,
                  const char *format, ...)
{
    if (!is_enabled(log, level))
        return;
    char sentence[SF_LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    format_sentence(sentence, format, args);
    va_end(args);
    emit(log, level, event, sentence);
}

bool sf_log_limited(struct sf_log *log, struct sf_log_limiter *limiter, int64_t interval_ms,
                    enum sf_log_level level, const char *event, const char *format, ...)
{
    if (!is_enabled(log, level))
        return false;
    const int64_t now_ms = sf_mono_ns() / SF_NS_PER_MS;
    int64_t passed_ms = atomic_load_explicit(&limiter->passed_mono_ms, memory_order_relaxed);
    if ((passed_ms != 0 && now_ms < passed_ms + interval_ms) ||
        !atomic_compare_exchange_strong(&limiter->passed_mono_ms, &passed_ms, now_ms)) {
        atomic_fetch_add_explicit(&limiter->held_back, 1, memory_order_relaxed);
        return false;
    }
    const uint64_t held_back =
        atomic_exchange_explicit(&limiter->held_back, 0, memory_order_relaxed);
    char sentence[SF_LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    format_sentence(sentence, format, args);
    va_end(args);
    if (held_back == 0) {
        emit(log, level, event, sentence);
        return true;
    }
    /* The count goes first, so that a long sentence cannot push it out of the line. */
    char counted[SF_LOG_LINE_MAX + 64];
    snprintf(counted, sizeof counted, "(%" PRIu64 " like this held back) %s", held_back, sentence);
    emit(log, level, event, counted);
    return true;
}

int sf_log_level_parse(const char *text, enum sf_log_level *ret_level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum sf_log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

int sf_log_format_parse(const char *text, enum sf_log_format *ret_format)
{
    for (size_t i = 0; i < sizeof format_names / sizeof *format_names; i++) {
        if (strcmp(text, format_names[i]) == 0) {
            *ret_format = (enum sf_log_format)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *sf_log_level_name(enum sf_log_level level)
{
    SF_ASSERT((size_t)level < sizeof level_names / sizeof *level_names);
    return level_names[level];
}

const char *sf_log_format_name(enum sf_log_format format)
{
    SF_ASSERT((size_t)format < sizeof format_names / sizeof *format_names);
    return format_names[format];
}
