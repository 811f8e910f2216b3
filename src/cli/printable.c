/* cli/printable.c - see printable.h. */
#include "cli/printable.h"

#include <stdlib.h>
#include <string.h>

void sf_cli_make_printable(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            *at++ = '?';
        else if (*at >= ' ' && *at != 0x7f)
            continue;
        *at = '?';
    }
}

void sf_cli_make_lines_printable(char *text)
{
    for (char *line = text; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        sf_cli_make_printable(line);
        if (end != NULL)
            *end = '\n';
        line = end != NULL ? end + 1 : NULL;
    }
}

static void clean_string(json_t *value)
{
    char *copy = strdup(json_string_value(value));
    if (copy == NULL)
        abort();
    sf_cli_make_printable(copy);
    if (strcmp(copy, json_string_value(value)) != 0 && json_string_set(value, copy) != 0)
        abort();
    free(copy);
}

void sf_cli_make_json_printable(json_t *value)
{
    const char *name;
    json_t *item;
    size_t i;
    if (value == NULL)
        return;
    if (json_is_string(value))
        clean_string(value);
    else if (json_is_object(value))
        json_object_foreach(value, name, item) sf_cli_make_json_printable(item);
    else
        json_array_foreach(value, i, item) sf_cli_make_json_printable(item);
}
