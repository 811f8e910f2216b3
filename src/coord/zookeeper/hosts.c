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
#include "base/random.h"
#include "base/strbuf.h"
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

static void add_address(struct sf_zk_addresses *to, const struct addrinfo *info, uint16_t port)
{
    char host[48], text[64];
    const void *bytes =
        info->ai_family == AF_INET
            ? (const void *)&((const struct sockaddr_in *)(const void *)info->ai_addr)->sin_addr
            : (const void *)&((const struct sockaddr_in6 *)(const void *)info->ai_addr)->sin6_addr;
    if (inet_ntop(info->ai_family, bytes, host, sizeof host) == NULL)
        return;
    snprintf(text, sizeof text, info->ai_family == AF_INET ? "%s:%u" : "[%s]:%u", host,
             (unsigned)port);
    for (size_t i = 0; i < to->count; i++)
        if (strcmp(to->text[i], text) == 0)
            return;
    if (to->count < SF_ZK_ADDRESSES_MAX)
        memcpy(to->text[to->count++], text, sizeof text);
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
                add_address(ret, info, host->port);
        freeaddrinfo(list);
    }
}

char *sf_zk_address_list(const struct sf_zk_addresses *addresses)
{
    const size_t count = addresses->count;
    SF_ASSERT(count > 0);
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, (SF_ZK_ADDRESSES_MAX + 1) * sizeof addresses->text[0]);
    for (size_t i = 0; i < addresses->count; i++)
        sf_strbuf_addf(&buf, "%s%s", i > 0 ? "," : "", addresses->text[i]);
    if (count % 2 == 0) /* one of them twice, at random so that load stays even */
        sf_strbuf_addf(&buf, ",%s", addresses->text[sf_random_u64() % count]);
    SF_ASSERT(!buf.failed);
    return buf.text;
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
