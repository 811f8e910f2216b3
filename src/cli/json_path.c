/* cli/json_path.c - see json_path.h. */
#include "cli/json_path.h"

#include <stdio.h>
#include <string.h>

static const json_t *at(const json_t *object, const char *path)
{
    char name[64];
    while (object != NULL && *path != '\0') {
        const size_t size = strcspn(path, ".");
        (void)snprintf(name, sizeof name, "%.*s", (int)size, path);
        object = json_object_get(object, name);
        path += size + (path[size] == '.');
    }
    return object;
}

const char *sf_cli_text_at(const json_t *object, const char *path, const char *fallback)
{
    const json_t *found = at(object, path);
    return json_is_string(found) ? json_string_value(found) : fallback;
}

double sf_cli_number_at(const json_t *object, const char *path, double fallback)
{
    const json_t *found = at(object, path);
    return json_is_number(found) ? json_number_value(found) : fallback;
}
