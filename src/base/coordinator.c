/* base/coordinator.c - URLs of coordinators taken apart, and the default coordinator. */
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

const char *sf_coordinator_url_shown(const char *url, char buffer[SF_COORDINATOR_URL_MAX + 1])
{
    const char *at = strrchr(url, '@'), *rest = strstr(url, "://");
    if (at == NULL || strncmp(url, "local://", strlen("local://")) == 0)
        (void)snprintf(buffer, SF_COORDINATOR_URL_MAX + 1, "%s", url);
    else
        (void)snprintf(buffer, SF_COORDINATOR_URL_MAX + 1, "%.*s...%s",
                       rest != NULL && rest < at ? (int)(rest + 3 - url) : 0, url, at);
    return buffer;
}

/* --- a URL taken apart --- */

static int parse_directory(const char *path, struct sf_coordinator_url *to, struct sf_error *err)
{
    size_t length = strlen(path);
    if (path[0] != '/')
        return sf_error_set(err, -EINVAL,
                            "local:// needs an absolute path, as in local:///var/lib/snowfleet");
    if (length > SF_COORDINATOR_DIR_MAX)
        return sf_error_set(err, -EINVAL, "a path of %zu bytes, at most %d are allowed", length,
                            SF_COORDINATOR_DIR_MAX);
    while (length > 1 && path[length - 1] == '/')
        length--;
    memcpy(to->path, path, length);
    to->path[length] = '\0';
    return 0;
}

/* What would end up in another part of a URL, or as something else than a name, where the path is
 * used. */
static bool path_is_plain(const char *path)
{
    for (const char *c = path; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || strchr("?#%\\\"", *c) != NULL)
            return false;
    return true;
}

static bool path_has_empty_part(const char *path)
{
    for (const char *at = path; *at == '/'; at = at + 1 + strcspn(at + 1, "/")) {
        const size_t part = strcspn(at + 1, "/");
        if (part == 0 || (part == 1 && at[1] == '.') || (part == 2 && at[1] == '.' && at[2] == '.'))
            return true;
    }
    return false;
}

/* from: "" or what begins with the first slash. */
static int parse_path(const char *from, struct sf_coordinator_url *to, struct sf_error *err)
{
    size_t length = strlen(from);
    while (length > 0 && from[length - 1] == '/')
        length--;
    if (length > SF_COORDINATOR_PATH_MAX)
        return sf_error_set(err, -EINVAL,
                            "the path behind the hosts has %zu bytes, at most %d are allowed",
                            length, SF_COORDINATOR_PATH_MAX);
    memcpy(to->path, from, length);
    to->path[length] = '\0';
    if (!path_is_plain(to->path))
        return sf_error_set(err, -EINVAL,
                            "the path behind the hosts may hold printable ASCII without blanks and "
                            "? # %% \" \\ only");
    if (path_has_empty_part(to->path))
        return sf_error_set(err, -EINVAL, "the path \"%s\" has an empty part, \".\" or \"..\"",
                            to->path);
    return 0;
}

/* Letters, digits and . - _ : of addresses. */
static bool host_is_plain(const char *host)
{
    static const char others[] = ".-_:0123456789";
    for (const char *c = host; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || strchr(others, *c) != NULL))
            return false;
    return host[0] != '\0';
}

static int add_host(const char *text, size_t length, struct sf_coordinator_url *to,
                    struct sf_error *err)
{
    static const int default_ports[SF_COORDINATOR_KINDS] = {
        [SF_COORDINATOR_ZOOKEEPER] = 2181, [SF_COORDINATOR_ETCD] = 2379};
    char one[SF_HOST_PORT_TEXT_MAX];
    struct sf_host_port host;
    (void)snprintf(one, sizeof one, "%.*s", (int)length, text);
    if (length >= sizeof one ||
        sf_parse_host_port(one, default_ports[to->scheme->kind], false, &host) < 0 ||
        host.port == 0 || !host_is_plain(host.host))
        return sf_error_set(err, -EINVAL,
                            "\"%s\" is not host, host:port or [address]:port with a port from 1 "
                            "to 65535",
                            one);
    for (size_t i = 0; i < to->host_count; i++)
        if (to->hosts[i].port == host.port && strcmp(to->hosts[i].host, host.host) == 0)
            return sf_error_set(err, -EINVAL, "\"%s\" stands there twice", one);
    if (to->host_count == SF_COORDINATOR_HOSTS_MAX)
        return sf_error_set(err, -EINVAL, "more than %d hosts", SF_COORDINATOR_HOSTS_MAX);
    to->hosts[to->host_count++] = host;
    return 0;
}

static int parse_servers(const char *at, struct sf_coordinator_url *to, struct sf_error *err)
{
    if (strchr(at, '@') != NULL)
        return sf_error_set(err, -EINVAL,
                            "no user and no password may stand in it (there is an @): "
                            "coordinator.username and coordinator.password_file are for them");
    const char *end = at + strcspn(at, "/");
    int rc = parse_path(end, to, err);
    for (bool more = true; rc == 0 && more;) {
        const size_t length = strcspn(at, ",/");
        rc = add_host(at, length, to, err);
        more = at + length < end;
        at += length + 1;
    }
    return rc;
}

int sf_coordinator_url_parse(const char *url, struct sf_coordinator_url *ret_url,
                             struct sf_error *err)
{
    const char *rest = NULL;
    struct sf_coordinator_url to = {.scheme = sf_coordinator_scheme(url, &rest)};
    if (strlen(url) > SF_COORDINATOR_URL_MAX)
        return sf_error_set(err, -EINVAL, "%zu bytes, at most %d are allowed", strlen(url),
                            SF_COORDINATOR_URL_MAX);
    if (to.scheme == NULL)
        return sf_error_set(err, -EINVAL,
                            "it begins with none of local://, zk://, zks://, etcd:// and etcds://");
    const int rc = to.scheme->kind == SF_COORDINATOR_LOCAL ? parse_directory(rest, &to, err)
                                                           : parse_servers(rest, &to, err);
    if (rc == 0)
        *ret_url = to;
    return rc;
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
    struct sf_coordinator_url parsed;
    if (size > SF_COORDINATOR_URL_MAX || sf_coordinator_url_parse(url, &parsed, NULL) != 0)
        return -ENAMETOOLONG;
    memcpy(ret_url, url, (size_t)size + 1);
    return 0;
}
