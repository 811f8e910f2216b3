/* coord/zookeeper/hosts.c - see hosts.h. */
#include "coord/zookeeper/hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/coordinator.h"
#include "base/thread.h"

static bool is_literal(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

bool sf_zk_url_has_names(const struct sf_coordinator_url *url)
{
    for (size_t i = 0; i < url->host_count; i++)
        if (!is_literal(url->hosts[i].host))
            return true;
    return false;
}

static void add_address(struct sf_zk_addresses *to, const struct addrinfo *info, const char *name,
                        uint16_t port)
{
    struct sf_zk_address address = {.size = info->ai_addrlen};
    char host[48];
    if (info->ai_addrlen > sizeof address.socket)
        return;
    memcpy(&address.socket, info->ai_addr, info->ai_addrlen);
    const bool v4 = info->ai_family == AF_INET;
    const void *bytes =
        v4 ? (const void *)&address.socket.v4.sin_addr : (const void *)&address.socket.v6.sin6_addr;
    if (v4)
        address.socket.v4.sin_port = htons(port);
    else
        address.socket.v6.sin6_port = htons(port);
    if (inet_ntop(info->ai_family, bytes, host, sizeof host) == NULL)
        return;
    snprintf(address.host, sizeof address.host, "%s", name);
    snprintf(address.text, sizeof address.text, v4 ? "%s:%u" : "[%s]:%u", host, (unsigned)port);
    for (size_t i = 0; i < to->count; i++)
        if (strcmp(to->at[i].text, address.text) == 0)
            return;
    if (to->count < SF_ZK_ADDRESSES_MAX)
        to->at[to->count++] = address;
}

void sf_zk_resolve(const struct sf_coordinator_url *url, struct sf_zk_addresses *ret)
{
    ret->count = 0;
    ret->failure[0] = '\0';
    for (size_t i = 0; i < url->host_count; i++) {
        const struct sf_host_port *host = &url->hosts[i];
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                       .ai_flags =
                                           is_literal(host->host) ? AI_NUMERICHOST : AI_ADDRCONFIG};
        struct addrinfo *list = NULL;
        const int rc = getaddrinfo(host->host, NULL, &hints, &list);
        if (rc != 0) {
            char why[96];
            snprintf(ret->failure, sizeof ret->failure, "cannot resolve \"%.128s\": %s", host->host,
                     rc == EAI_SYSTEM ? sf_errno_text(errno, why, sizeof why) : gai_strerror(rc));
            continue;
        }
        for (const struct addrinfo *info = list; info != NULL; info = info->ai_next)
            if (info->ai_family == AF_INET || info->ai_family == AF_INET6)
                add_address(ret, info, host->host, host->port);
        freeaddrinfo(list);
    }
}

/* The resolver thread. */

struct sf_zk_resolver {
    pthread_mutex_t lock;
    struct sf_inbox *inbox; /* NULL: abandoned */
    bool done;
    struct sf_coordinator_url url;
};

static void resolver_free(struct sf_zk_resolver *resolver)
{
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

static void *resolver_main(void *ctx)
{
    struct sf_zk_resolver *resolver = ctx;
    struct sf_zk_addresses *addresses = calloc(1, sizeof *addresses);
    SF_ASSERT(addresses != NULL);
    addresses->head.kind = SF_ZK_RESOLVED;
    sf_zk_resolve(&resolver->url, addresses);
    pthread_mutex_lock(&resolver->lock);
    const bool abandoned = resolver->inbox == NULL;
    resolver->done = true;
    if (!abandoned)
        sf_inbox_post(resolver->inbox, &addresses->head.message);
    pthread_mutex_unlock(&resolver->lock);
    if (abandoned) {
        free(addresses);
        resolver_free(resolver);
    }
    return NULL;
}

struct sf_zk_resolver *sf_zk_resolver_start(const struct sf_coordinator_url *url,
                                            struct sf_inbox *inbox)
{
    struct sf_zk_resolver *resolver = calloc(1, sizeof *resolver);
    SF_ASSERT(resolver != NULL);
    pthread_mutex_init(&resolver->lock, NULL);
    resolver->inbox = inbox;
    resolver->url = *url;
    if (sf_thread_detach(resolver_main, resolver) < 0) {
        resolver_free(resolver);
        return NULL;
    }
    return resolver;
}

void sf_zk_resolver_abandon(struct sf_zk_resolver *resolver)
{
    if (resolver == NULL)
        return;
    pthread_mutex_lock(&resolver->lock);
    const bool done = resolver->done;
    resolver->inbox = NULL;
    pthread_mutex_unlock(&resolver->lock);
    if (done)
        resolver_free(resolver);
}
