/* Text that grows by doubling, up to its bound. */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define FIRST_CAPACITY 256

void sf_strbuf_init(struct sf_strbuf *buf, size_t max)
{
    *buf = (struct sf_strbuf){.max = max < SIZE_MAX ? max : SIZE_MAX - 1};
}

void sf_strbuf_free(struct sf_strbuf *buf)
{
    free(buf->text);
    sf_strbuf_init(buf, buf->max);
}

/* Makes room for up to `more` bytes and a NUL; returns how many of them there is room for and sets
 * failed if not for all. */
static size_t reserve(struct sf_strbuf *buf, size_t more)
{
    if (more > buf->max - buf->length) {
        more = buf->max - buf->length;
        buf->failed = true;
    }
    const size_t needed = buf->length + more + 1;
    if (needed > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;
        while (capacity < needed)
            capacity = capacity <= SIZE_MAX / 2 ? capacity * 2 : SIZE_MAX;
        if (capacity > buf->max + 1)
            capacity = buf->max + 1;
        char *grown = realloc(buf->text, capacity);
        if (grown == NULL) {
            buf->failed = true;
            return 0;
        }
        buf->text = grown;
        buf->capacity = capacity;
    }
    return more;
}

void sf_strbuf_add(struct sf_strbuf *buf, const char *text, size_t length)
{
    if (buf->failed)
        return;
    const size_t fits = reserve(buf, length);
    if (buf->text == NULL)
        return;
    if (fits > 0)
        memcpy(buf->text + buf->length, text, fits);
    buf->length += fits;
    buf->text[buf->length] = '\0';
}

void sf_strbuf_addf(struct sf_strbuf *buf, const char *format, ...)
{
    if (buf->failed)
        return;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int wanted = vsnprintf(NULL, 0, format, args);
    if (wanted < 0) {
        buf->failed = true;
    } else {
        const size_t fits = reserve(buf, (size_t)wanted);
        if (buf->text != NULL) {
            vsnprintf(buf->text + buf->length, fits + 1, format, again);
            buf->length += fits;
        }
    }
    va_end(again);
    va_end(args);
}

void sf_strbuf_add_json(struct sf_strbuf *buf, const char *text)
{
    sf_strbuf_add(buf, "\"", 1);
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t code = 0;
        size_t size = sf_utf8_next(text, left, &code);
        if (size == 0) {
            sf_strbuf_add(buf, "\xEF\xBF\xBD", 3);
            size = 1;
        } else if (code == '"' || code == '\\') {
            char escaped[2] = {'\\', (char)code};
            sf_strbuf_add(buf, escaped, 2);
        } else if (code == '\n') {
            sf_strbuf_add(buf, "\\n", 2);
        } else if (code == '\t') {
            sf_strbuf_add(buf, "\\t", 2);
        } else if (code < 0x20 || code == 0x7F) {
            sf_strbuf_addf(buf, "\\u%04x", (unsigned)code);
        } else {
            sf_strbuf_add(buf, text, size);
        }
        text += size;
        left -= size;
    }
    sf_strbuf_add(buf, "\"", 1);
}
