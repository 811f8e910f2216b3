/* base/log.h - one line per event that matters, as text or JSON, to a file descriptor.
 *
 * A line has a time, a level, an event name (lower case, dots; listed in docs/logs.md) and a
 * sentence. Control characters and invalid UTF-8 in the sentence are escaped, so that no input can
 * forge a line. One write(2) per line. Where nobody takes the lines (a full pipe), they are given
 * up and counted: who logs must not be stopped by it. Thread safety: every function may be called
 * from any thread. A log outlives everything that was given its pointer. */
#ifndef SF_BASE_LOG_H
#define SF_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum sf_log_level { SF_LOG_DEBUG, SF_LOG_INFO, SF_LOG_WARN, SF_LOG_ERROR };
enum sf_log_format { SF_LOG_TEXT, SF_LOG_JSON };

#define SF_LOG_LINE_MAX 2048

struct sf_log;

/* Makes a log that writes to fd (not closed by destroy). Returns NULL only when memory is out. */
struct sf_log *sf_log_create(int fd, enum sf_log_level level, enum sf_log_format format);
/* A log whose lines go to a function: event and sentence as they were given, neither escaped nor cut but
 * at SF_LOG_LINE_MAX. It comes on the thread that writes the line, with no lock held, and must not
 * write to the log itself. Returns NULL only when memory is out. */
typedef void sf_log_line(void *ctx, enum sf_log_level level, const char *event,
                         const char *sentence);
struct sf_log *sf_log_create_for(sf_log_line *line, void *ctx, enum sf_log_level level);
void sf_log_destroy(struct sf_log *log);
void sf_log_set_level(struct sf_log *log, enum sf_log_level level);

/* Writes a line. log may be NULL (nothing is written). */
void sf_log_write(struct sf_log *log, enum sf_log_level level, const char *event,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A line only when the last one that passed this limiter is interval_ms old; the next line that
 * passes says how many were held back. A limiter starts zeroed, belongs to one cause, and may be
 * used from several threads. Returns whether the line passed. */
struct sf_log_limiter {
    _Atomic int64_t passed_mono_ms; /* 0: never */
    _Atomic uint64_t held_back;
};
bool sf_log_limited(struct sf_log *log, struct sf_log_limiter *limiter, int64_t interval_ms,
                    enum sf_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Names for options: "debug", "info", "warn", "error"; "text", "json". Return 0 or -EINVAL. */
int sf_log_level_parse(const char *text, enum sf_log_level *ret_level);
int sf_log_format_parse(const char *text, enum sf_log_format *ret_format);
/* The other way round; static strings. */
const char *sf_log_level_name(enum sf_log_level level);
const char *sf_log_format_name(enum sf_log_format format);

#endif
