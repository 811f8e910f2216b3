/* Errors for people: the sentence is cut to what fits, and shows that it was. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Marks a text that was cut. `wanted` is what vsnprintf returned. */
static void mark_cut(char *text, size_t size, int wanted)
{
    if (wanted < 0)
        snprintf(text, size, "(text could not be formatted)");
    else if ((size_t)wanted >= size && size > 3)
        memcpy(text + size - 4, "...", 4);
}

int sf_error_set(struct sf_error *err, int code, const char *format, ...)
{
    if (err != NULL) {
        err->code = code;
        va_list args;
        va_start(args, format);
        const int wanted = vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        mark_cut(err->text, sizeof err->text, wanted);
    }
    return code;
}

void sf_error_prefix(struct sf_error *err, const char *format, ...)
{
    if (err == NULL)
        return;
    char old[SF_ERROR_TEXT_MAX];
    memcpy(old, err->text, sizeof old);
    old[sizeof old - 1] = '\0';

    va_list args;
    va_start(args, format);
    const int prefix = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (prefix < 0 || (size_t)prefix >= sizeof err->text) {
        mark_cut(err->text, sizeof err->text, prefix);
        return;
    }
    const size_t room = sizeof err->text - (size_t)prefix;
    const int rest = snprintf(err->text + prefix, room, ": %s", old);
    if (rest < 0 || (size_t)rest >= room)
        mark_cut(err->text, sizeof err->text, (int)sizeof err->text);
}

const char *sf_errno_text(int code, char *buffer, size_t size)
{
    if (size == 0)
        return "";
    const int number = code < 0 ? -code : code;
    const char *name = strerrorname_np(number);
    const char *text = strerrordesc_np(number);
    if (name != NULL && text != NULL)
        snprintf(buffer, size, "%s: %s", name, text);
    else
        snprintf(buffer, size, "error %d", number);
    return buffer;
}
