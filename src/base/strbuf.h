/* base/strbuf.h - text that grows up to a bound. One thread. After an overflow or lack of memory
 * the buffer keeps what fitted, `failed` is set, and further appends do nothing: check once at the
 * end. */
#ifndef SF_BASE_STRBUF_H
#define SF_BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>

struct sf_strbuf {
    char *text; /* NUL-terminated once anything was appended; owned */
    size_t length;
    size_t capacity;
    size_t max;
    bool failed;
};

void sf_strbuf_init(struct sf_strbuf *buf, size_t max);
void sf_strbuf_free(struct sf_strbuf *buf);
void sf_strbuf_add(struct sf_strbuf *buf, const char *text, size_t length);
void sf_strbuf_addf(struct sf_strbuf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The text as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void sf_strbuf_add_json(struct sf_strbuf *buf, const char *text);

#endif
