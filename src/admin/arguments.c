/* The arguments of a request's query. */
#include "admin/arguments.h"

#include <stdio.h>
#include <string.h>

static enum MHD_Result see_argument(void *ctx, enum MHD_ValueKind kind, const char *key,
                                    size_t key_size, const char *value, size_t value_size)
{
    (void)kind;
    struct sf_admin_arguments *arguments = ctx;
    if (strlen(key) != key_size || strcmp(key, arguments->known) != 0) {
        if (!arguments->broken)
            (void)snprintf(arguments->unknown, sizeof arguments->unknown, "%s", key);
        arguments->broken = true;
        return MHD_YES;
    }
    arguments->seen++;
    arguments->value = value != NULL && strlen(value) == value_size ? value : "";
    return MHD_YES;
}

/* Bad input comes back only as printable ASCII. */
static const char *shown(const char *text, char buffer[SF_ADMIN_SHOWN_MAX + 1])
{
    size_t i = 0;
    for (; i < SF_ADMIN_SHOWN_MAX && text[i] != '\0'; i++)
        buffer[i] = (char)(text[i] >= ' ' && text[i] <= '~' ? text[i] : '?');
    buffer[i] = '\0';
    return buffer;
}

const char *sf_admin_arguments_refusal(const struct sf_admin_arguments *arguments,
                                       char text[SF_ADMIN_REFUSAL_MAX])
{
    char name[SF_ADMIN_SHOWN_MAX + 1];
    if (arguments->broken)
        (void)snprintf(text, SF_ADMIN_REFUSAL_MAX, "unknown argument \"%s\"; known: %s\n",
                       shown(arguments->unknown, name), arguments->known);
    else
        (void)snprintf(text, SF_ADMIN_REFUSAL_MAX, "argument %s is given %zu times; give it once\n",
                       arguments->known, arguments->seen);
    return text;
}

bool sf_admin_arguments_read(struct MHD_Connection *connection, const char *known,
                             struct sf_admin_arguments *ret)
{
    *ret = (struct sf_admin_arguments){.known = known, .value = ""};
    (void)MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, see_argument, ret);
    return !ret->broken && ret->seen <= 1;
}
