/* Names to servers: looks every name up again every resolve_ms, and soon after a connection was
 * lost. A thread of its own, because getaddrinfo may take as long as it likes. Addresses that a
 * lookup no longer gives are removed; a lookup that fails changes nothing. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/thread.h"
#include "base/ticks.h"
#include "base/unix_address.h"
#include "client/shared.h"

/* Between two lookups, however many connections are lost. */
#define RESOLVE_MIN_MS 1000
#define RETRY_MS       1000

struct sf_resolver {
    struct sf_shared *shared;
    pthread_t thread;
    bool stop; /* under shared->mutex */
};

static bool same_address(const struct sf_server *server, const struct addrinfo *info)
{
    return server->address_size == info->ai_addrlen &&
           memcmp(&server->address, info->ai_addr, info->ai_addrlen) == 0;
}

/* Under the mutex. */
static int find_server(const struct sf_shared *shared, const struct addrinfo *info)
{
    for (uint32_t i = 0; i < shared->policy.places; i++)
        if (shared->policy.servers[i].in_use && same_address(&shared->servers[i], info))
            return (int)i;
    return -1;
}

/* The server at this place comes from that name: its certificate must bear the host of it. */
static void set_name(struct sf_shared *shared, int place, int name)
{
    struct sf_server *server = &shared->servers[place];
    server->name = name;
    memcpy(server->host, shared->names[name].at.host, sizeof server->host);
}

#define TEXT_SIZE sizeof((struct sf_server *)0)->text

/* The last part of a path says more than the first. */
static void name_socket(const char *at, char to[TEXT_SIZE])
{
    const size_t size = strlen(at), most = TEXT_SIZE - 1;
    if (size <= most)
        (void)snprintf(to, TEXT_SIZE, "%.*s", (int)most, at);
    else
        (void)snprintf(to, TEXT_SIZE, SF_UNIX_PREFIX "...%.*s", (int)most,
                       at + size - most + strlen(SF_UNIX_PREFIX "..."));
}

static void name_address(const struct addrinfo *info, uint16_t port, char to[TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN + 1];
    if (getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST) !=
        0)
        host[0] = '\0';
    (void)snprintf(to, TEXT_SIZE, info->ai_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

/* A place for a server of that rank. Where all are taken the last in this client's order makes room, so
 * that those which it uses are the first of all that there are, whoever was known first. -1: it is the
 * last itself. */
static int place_for(struct sf_shared *shared, uint64_t rank)
{
    struct sf_client_policy *policy = &shared->policy;
    int place = sf_client_policy_add(policy);
    if (place < 0) {
        const int last = sf_client_policy_last(policy);
        sf_count(shared, SF_COUNT_PASSED_OVER, 1);
        if (policy->servers[last].rank >= rank)
            return -1;
        sf_client_policy_remove(policy, last);
        place = sf_client_policy_add(policy);
    }
    sf_client_policy_rank(policy, place, rank);
    return place;
}

static void add_server(struct sf_shared *shared, int name, const struct addrinfo *info,
                       int64_t now_ns)
{
    const bool is_socket = info->ai_family == AF_UNIX;
    const struct sf_name *of = &shared->names[name];
    char text[TEXT_SIZE];
    if (is_socket)
        name_socket(of->at.host, text);
    else
        name_address(info, of->at.port, text);
    /* Nobody is nearer than who listens on this host: always one of the subset. */
    const int place = place_for(
        shared, is_socket ? UINT64_MAX : sf_client_policy_rank_of(shared->rank_seed, text));
    if (place < 0)
        return;
    if (of->discovered)
        sf_client_policy_doubt(&shared->policy, place, now_ns);
    struct sf_server *server = &shared->servers[place];
    memset(server, 0, sizeof *server);
    memcpy(&server->address, info->ai_addr, info->ai_addrlen);
    server->address_size = info->ai_addrlen;
    memcpy(server->text, text, sizeof server->text);
    set_name(shared, place, name);
}

int sf_resolve_look_up(const struct sf_host_port *at, int flags, struct addrinfo **ret)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", at->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    return getaddrinfo(at->host, port, &hints, ret);
}

void sf_resolve_take(struct sf_shared *shared, int name, const struct addrinfo *list,
                     int64_t now_ns)
{
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        const int place = find_server(shared, info);
        if (place < 0)
            add_server(shared, name, info, now_ns);
        else if (shared->names[shared->servers[place].name].discovered &&
                 !shared->names[name].discovered)
            set_name(shared, place, name); /* it stays when the workers no longer tell of it */
    }
    for (uint32_t i = 0; i < shared->policy.places; i++) {
        if (!shared->policy.servers[i].in_use || shared->servers[i].name != name)
            continue;
        bool there = false;
        for (const struct addrinfo *info = list; info != NULL && !there; info = info->ai_next)
            there = same_address(&shared->servers[i], info);
        if (!there)
            sf_client_policy_remove(&shared->policy, (int)i);
    }
    shared->names[name].resolved = true;
}

/* Of one entry of options.servers: 0 or -EINVAL. */
static int take_socket(struct sf_shared *shared, const char *entry, int at)
{
    struct sf_name *name = &shared->names[at];
    struct sockaddr_un address;
    struct addrinfo info = {.ai_family = AF_UNIX, .ai_addr = (struct sockaddr *)&address};
    const int rc = sf_unix_server(entry, &address, &info.ai_addrlen);
    if (rc != 0)
        return rc;
    (void)snprintf(name->at.host, sizeof name->at.host, "%s", entry);
    name->in_use = name->numeric = true;
    sf_resolve_take(shared, at, &info, 0);
    return 0;
}

static int take_host(struct sf_shared *shared, const char *entry, int at)
{
    struct sf_name *name = &shared->names[at];
    struct addrinfo *list = NULL;
    if (sf_parse_host_port(entry, SF_CLIENT_DEFAULT_PORT, false, &name->at) != 0 ||
        name->at.port == 0)
        return -EINVAL;
    name->in_use = true;
    if (sf_resolve_look_up(&name->at, AI_NUMERICHOST, &list) == 0) {
        name->numeric = true;
        sf_resolve_take(shared, at, list, 0);
        freeaddrinfo(list);
    }
    return 0;
}

enum sf_client_error sf_resolve_parse(struct sf_shared *shared, char *detail, size_t detail_size)
{
    const char *text = shared->options.servers;
    while (*text != '\0') {
        const size_t size = strcspn(text, ", ");
        if (size > 0) {
            char entry[SF_HOST_MAX + 16];
            const int at = (int)shared->name_count;
            if (shared->name_count == SF_CLIENT_NAMES_MAX) {
                (void)snprintf(detail, detail_size, "servers: more than %d entries",
                               SF_CLIENT_NAMES_MAX);
                return SF_CLIENT_INVALID;
            }
            (void)snprintf(entry, sizeof entry, "%.*s", (int)(size < 512 ? size : 512), text);
            if ((sf_unix_server_meant(entry) ? take_socket(shared, entry, at)
                                             : take_host(shared, entry, at)) != 0) {
                (void)snprintf(detail, detail_size,
                               "servers: \"%.128s\" is not a server; allowed are HOST, HOST:PORT, "
                               "ADDRESS:PORT, [IPV6]:PORT, unix:/PATH and unix:@NAME",
                               entry);
                return SF_CLIENT_INVALID;
            }
            shared->name_count++;
        }
        text += size;
        text += *text != '\0';
    }
    if (shared->name_count == 0) {
        (void)snprintf(detail, detail_size, "servers: no server given; example: ids-0:7450,ids-1");
        return SF_CLIENT_INVALID;
    }
    shared->seed_count = shared->name_count;
    return SF_CLIENT_OK;
}

bool sf_resolver_needed(const struct sf_shared *shared)
{
    for (uint32_t i = 0; i < shared->name_count; i++)
        if (!shared->names[i].numeric)
            return true;
    return shared->options.discover; /* workers may be told of by name */
}

/* Returns false when there is no such name. */
static bool name_at(struct sf_shared *shared, uint32_t i, struct sf_name *ret)
{
    pthread_mutex_lock(&shared->mutex);
    const bool there = i < shared->name_count;
    if (there)
        *ret = shared->names[i];
    pthread_mutex_unlock(&shared->mutex);
    return there;
}

/* Returns false if a name of options.servers has no address yet. */
static bool resolve_all(struct sf_shared *shared)
{
    bool complete = true;
    struct sf_name name;
    for (uint32_t i = 0; name_at(shared, i, &name); i++) {
        if (!name.in_use || name.numeric)
            continue;
        struct addrinfo *list = NULL;
        const int rc = sf_resolve_look_up(&name.at, 0, &list);
        sf_count(shared, rc == 0 ? SF_COUNT_RESOLVES : SF_COUNT_RESOLVE_FAILURES, 1);
        pthread_mutex_lock(&shared->mutex);
        /* Meanwhile the place may have been given to another discovered worker. */
        const struct sf_name *now = &shared->names[i];
        const bool same =
            now->in_use && now->at.port == name.at.port && strcmp(now->at.host, name.at.host) == 0;
        if (rc == 0 && same)
            sf_resolve_take(shared, (int)i, list, sf_mono_ns());
        complete = complete && (name.discovered || now->resolved);
        pthread_mutex_unlock(&shared->mutex);
        if (rc == 0)
            freeaddrinfo(list);
    }
    return complete;
}

/* Sleeps under the mutex until the time is up, or until a lost connection asks for a lookup (not
 * before min_ms). */
static void rest(struct sf_resolver *resolver, int64_t min_ms, int64_t max_ms)
{
    struct sf_shared *shared = resolver->shared;
    const int64_t begin = sf_mono_ns();
    while (!resolver->stop) {
        const int64_t gone_ms = (sf_mono_ns() - begin) / SF_NS_PER_MS;
        const int64_t until = shared->resolve_now ? min_ms : max_ms;
        if (gone_ms >= until)
            break;
        struct timespec at;
        (void)clock_gettime(CLOCK_MONOTONIC, &at);
        const int64_t ns = at.tv_nsec + (until - gone_ms) * SF_NS_PER_MS;
        at.tv_sec += ns / SF_NS_PER_S;
        at.tv_nsec = ns % SF_NS_PER_S;
        (void)pthread_cond_timedwait(&shared->resolve_wake, &shared->mutex, &at);
    }
    shared->resolve_now = false;
}

static void *resolver_main(void *ctx)
{
    struct sf_resolver *resolver = ctx;
    struct sf_shared *shared = resolver->shared;
    pthread_mutex_lock(&shared->mutex);
    while (!resolver->stop) {
        pthread_mutex_unlock(&shared->mutex);
        const bool complete = resolve_all(shared);
        pthread_mutex_lock(&shared->mutex);
        const int64_t period = shared->options.resolve_ms;
        const int64_t jitter =
            (int64_t)sf_prng_below(&shared->prng, (uint64_t)period * 2 / 5 + 1) - period / 5;
        rest(resolver, RESOLVE_MIN_MS, complete ? period + jitter : RETRY_MS);
    }
    pthread_mutex_unlock(&shared->mutex);
    return NULL;
}

struct sf_resolver *sf_resolver_start(struct sf_shared *shared)
{
    struct sf_resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL)
        return NULL;
    resolver->shared = shared;
    if (sf_thread_start(&resolver->thread, "sf-resolver", resolver_main, resolver) != 0) {
        free(resolver);
        return NULL;
    }
    return resolver;
}

void sf_resolver_stop(struct sf_resolver *resolver)
{
    if (resolver == NULL)
        return;
    pthread_mutex_lock(&resolver->shared->mutex);
    resolver->stop = true;
    pthread_cond_signal(&resolver->shared->resolve_wake);
    pthread_mutex_unlock(&resolver->shared->mutex);
    pthread_join(resolver->thread, NULL);
    free(resolver);
}
