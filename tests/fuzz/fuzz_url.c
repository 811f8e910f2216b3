/* URLs and lists of servers that people write: coordinators, time sources, the servers of a client.
 * Refused with a reason, or taken apart into what can be used. */
#include "fuzz.h"

#include <errno.h>

#include "base/clock_source.h"
#include "base/coordinator.h"
#include "base/unix_address.h"
#include "client/shared.h"
#include "coord/etcd/options.h"

static void host_ok(const struct sf_host_port *host)
{
    MUST(memchr(host->host, '\0', sizeof host->host) && host->host[0] && host->port > 0);
}

/* A UNIX socket has no port, and is no name that is looked up. */
static void server_ok(const struct sf_name *name)
{
    struct sockaddr_un address;
    socklen_t size;
    MUST(memchr(name->at.host, '\0', sizeof name->at.host));
    if (sf_unix_server_meant(name->at.host))
        MUST(sf_unix_server(name->at.host, &address, &size) == 0 && name->at.port == 0);
    else
        host_ok(&name->at);
}

static void coordinator(const char *text)
{
    static struct sf_coordinator_url url;
    struct sf_error err = {0};
    char shown[SF_COORDINATOR_URL_MAX + 1];
    MUST(strlen(sf_coordinator_url_shown(text, shown)) <= SF_COORDINATOR_URL_MAX);
    if (sf_coordinator_url_parse(text, &url, &err) != 0) {
        MUST(err.text[0] && err.code == -EINVAL);
        return;
    }
    MUST(strcmp(shown, text) == 0); /* nothing secret in what is allowed */
    const char *path = url.path;
    if (url.scheme->kind == SF_COORDINATOR_LOCAL) {
        MUST(url.host_count == 0 && path[0] == '/');
        return;
    }
    MUST(url.host_count >= 1 && url.host_count <= SF_COORDINATOR_HOSTS_MAX);
    for (size_t i = 0; i < url.host_count; i++)
        host_ok(&url.hosts[i]);
    MUST(path[0] == '\0' || (path[0] == '/' && path[strlen(path) - 1] != '/'));
}

static void etcd(const char *text)
{
    static struct sf_etcd_options setup;
    const struct sf_coord_options options = {
        .url = text, .fleet = "fleet", .session_timeout_ms = 6000};
    struct sf_error err = {0};
    const struct sf_coordinator_scheme *scheme = sf_coordinator_scheme(text, NULL);
    if (scheme == NULL || scheme->kind != SF_COORDINATOR_ETCD)
        return;
    if (sf_etcd_options_read(&options, &setup, &err) != 0) {
        MUST(err.text[0]);
        return;
    }
    MUST(setup.endpoint_count >= 1 && setup.endpoint_count <= SF_COORDINATOR_HOSTS_MAX);
    /* Nothing of the host can become a path, a user or a query of the URL that is asked. */
    for (unsigned i = 0; i < setup.endpoint_count; i++)
        MUST(!strpbrk(strstr(setup.endpoints[i].url, "://") + 3, "/?#@ "));
    MUST(strstr(setup.root, "/snowfleet/fleet"));
    sf_etcd_options_free(&setup);
}

static void time_sources(const char *text)
{
    struct sf_clock_specs specs, again;
    struct sf_error err = {0};
    if (sf_clock_specs_parse(text, &specs, &err) != 0) {
        MUST(err.text[0] != '\0');
        return;
    }
    MUST(specs.count >= 1 && specs.count <= SF_CLOCK_SOURCES_MAX);
    for (size_t i = 0; i < specs.count; i++) {
        const struct sf_clock_spec *spec = &specs.list[i];
        MUST(spec->path[0] == '\0' || spec->path[0] == '/');
        /* The full form means the same. */
        MUST(sf_clock_specs_parse(spec->text, &again, &err) == 0 && again.count == 1);
        MUST(memcmp(&again.list[0], spec, sizeof *spec) == 0);
    }
}

static void servers(char *text)
{
    static struct sf_shared shared;
    char detail[SF_CLIENT_DETAIL_MAX] = "";
    memset(&shared, 0, sizeof shared);
    pthread_mutex_init(&shared.mutex, NULL);
    shared.options.servers = text;
    if (sf_resolve_parse(&shared, detail, sizeof detail) != SF_CLIENT_OK) {
        MUST(detail[0] && memchr(detail, '\0', sizeof detail));
    } else {
        MUST(shared.name_count >= 1 && shared.name_count <= SF_CLIENT_NAMES_MAX);
        for (uint32_t i = 0; i < shared.name_count; i++)
            server_ok(&shared.names[i]);
    }
    pthread_mutex_destroy(&shared.mutex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    coordinator(text);
    etcd(text);
    time_sources(text);
    servers(text);
    free(text);
    return 0;
}
