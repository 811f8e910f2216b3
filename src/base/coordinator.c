/* base/coordinator.c - how a URL is known by its scheme, and the default coordinator. */
#include "base/coordinator.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const struct sf_coordinator_scheme schemes[] = {
#define ROW(prefix, kind, name, tls) {prefix, kind, name, tls},
    SF_COORDINATOR_SCHEMES(ROW)
#undef ROW
};

bool sf_fleet_name_ok(const char *name)
{
    const size_t size = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789._-");
    return size >= 1 && size <= 63 && name[size] == '\0' && name[0] != '.';
}

const char *sf_coordinator_kind_name(enum sf_coordinator_kind kind)
{
    size_t i = 0;
    while (schemes[i].kind != kind) {
        i++;
        SF_ASSERT(i < sizeof schemes / sizeof *schemes);
    }
    return schemes[i].kind_name;
}

const struct sf_coordinator_scheme *sf_coordinator_scheme(const char *url, const char **ret_rest)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        const size_t size = strlen(schemes[i].prefix);
        if (strncmp(url, schemes[i].prefix, size) != 0)
            continue;
        if (ret_rest != NULL)
            *ret_rest = url + size;
        return &schemes[i];
    }
    return NULL;
}

bool sf_coordinator_url_ok(const char *url)
{
    const char *rest = NULL;
    const struct sf_coordinator_scheme *scheme = sf_coordinator_scheme(url, &rest);
    if (scheme == NULL || strlen(url) > SF_COORDINATOR_URL_MAX)
        return false;
    if (scheme->kind == SF_COORDINATOR_LOCAL)
        return rest[0] == '/' && strlen(rest) <= SF_COORDINATOR_DIR_MAX;
    return rest[0] != '\0' && rest[0] != '/';
}

int sf_coordinator_default(bool as_root, const char *state_home, const char *home,
                           char ret_url[SF_COORDINATOR_URL_MAX + 1])
{
    char url[SF_COORDINATOR_URL_MAX + 1];
    int size;
    if (as_root)
        size = snprintf(url, sizeof url, "local:///var/lib/snowfleet");
    else if (state_home != NULL && state_home[0] == '/')
        size = snprintf(url, sizeof url, "local://%s/snowfleet", state_home);
    else if (home != NULL && home[0] == '/')
        size = snprintf(url, sizeof url, "local://%s/.local/state/snowfleet", home);
    else
        return -ENOENT;
    if (size > SF_COORDINATOR_URL_MAX || !sf_coordinator_url_ok(url))
        return -ENAMETOOLONG;
    memcpy(ret_url, url, (size_t)size + 1);
    return 0;
}
