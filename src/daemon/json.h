/* daemon/json.h - short words for making JSON. Values are new references; memory that is out makes
 * NULL, which jansson takes along. Any thread. */
#ifndef SF_DAEMON_JSON_H
#define SF_DAEMON_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"

static inline json_t *sf_json_integer(int64_t value)
{
    return json_integer((json_int_t)value);
}

/* null where the number means nothing. */
static inline json_t *sf_json_integer_if(bool known, int64_t value)
{
    return known ? sf_json_integer(value) : json_null();
}

/* Takes the value over. */
static inline void sf_json_set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

/* Writes the text of the value, and gives the value up. */
static inline void sf_json_dump(json_t *value, struct sf_strbuf *to)
{
    char *text = json_dumps(value, JSON_COMPACT);
    if (text != NULL)
        sf_strbuf_add(to, text, strlen(text));
    free(text);
    json_decref(value);
}

#endif
