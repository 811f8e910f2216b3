/* clock/net.c - datagram sockets, and names looked up by a thread of their own. */
#include "clock/net.h"
#include "base/thread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t length_of(const struct sf_net_address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->in6 : sizeof address->in4;
}

int sf_net_udp(const struct sf_net_address *peer, int *ret_fd)
{
    const int fd = socket(peer->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, &peer->any, length_of(peer)) < 0) {
        const int rc = -errno;
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* Binds to a fresh path beside the peer's, open to chronyd, which may run as another user. */
static int bind_beside(int fd, const char *peer, uint64_t random, struct sockaddr_un *ret_own)
{
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    const char *slash = strrchr(peer, '/');
    const int folder = (int)(slash - peer);
    const int n = snprintf(own.sun_path, sizeof own.sun_path, "%.*s/snowfleet-%08" PRIx32 ".sock",
                           folder, peer, (uint32_t)random);
    if (n < 0 || (size_t)n >= sizeof own.sun_path)
        return -ENAMETOOLONG;
    if (bind(fd, (const struct sockaddr *)&own, sizeof own) < 0)
        return -errno;
    *ret_own = own;
    if (chmod(own.sun_path, 0666) < 0) {
        const int rc = -errno;
        unlink(own.sun_path);
        return rc;
    }
    return 0;
}

int sf_net_unix(const char *peer, uint64_t random, int *ret_fd, char ret_own[SF_NET_PATH_MAX])
{
    struct sockaddr_un to = {.sun_family = AF_UNIX}, own;
    if (strlen(peer) >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    memcpy(to.sun_path, peer, strlen(peer) + 1);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = bind_beside(fd, peer, random, &own);
    if (error == 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) < 0) {
        error = -errno;
        unlink(own.sun_path);
    }
    if (error < 0) {
        close(fd);
        return error;
    }
    memcpy(ret_own, own.sun_path, SF_NET_PATH_MAX);
    *ret_fd = fd;
    return 0;
}

void sf_net_format(const struct sf_net_address *address, char *to, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    if (address->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->in6.sin6_addr, text, sizeof text);
        snprintf(to, size, "[%s]:%u", text, ntohs(address->in6.sin6_port));
    } else {
        inet_ntop(AF_INET, &address->in4.sin_addr, text, sizeof text);
        snprintf(to, size, "%s:%u", text, ntohs(address->in4.sin_port));
    }
}

bool sf_net_numeric(const struct sf_host_port *host, struct sf_net_addresses *ret)
{
    struct sf_net_address address = {0};
    if (inet_pton(AF_INET, host->host, &address.in4.sin_addr) == 1) {
        address.in4.sin_family = AF_INET;
        address.in4.sin_port = htons(host->port);
    } else if (inet_pton(AF_INET6, host->host, &address.in6.sin6_addr) == 1) {
        address.in6.sin6_family = AF_INET6;
        address.in6.sin6_port = htons(host->port);
    } else {
        return false;
    }
    ret->count = 1;
    ret->list[0] = address;
    return true;
}

struct sf_net_lookup {
    struct sf_host_port host;
    int wake_fd;
    pthread_mutex_t mutex; /* over the rest */
    bool done, abandoned;
    int error;
    struct sf_net_addresses addresses;
};

static void free_lookup(struct sf_net_lookup *lookup)
{
    close(lookup->wake_fd);
    pthread_mutex_destroy(&lookup->mutex);
    free(lookup);
}

static int look_up(const struct sf_host_port *host, struct sf_net_addresses *ret)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", host->port);
    const int error = getaddrinfo(host->host, port, &hints, &found);
    if (error != 0)
        return error;
    for (const struct addrinfo *at = found; at != NULL && ret->count < SF_NET_ADDRESSES_MAX;
         at = at->ai_next)
        if (at->ai_addrlen <= sizeof ret->list[0])
            memcpy(&ret->list[ret->count++], at->ai_addr, at->ai_addrlen);
    freeaddrinfo(found);
    return ret->count > 0 ? 0 : EAI_NONAME;
}

static void *lookup_thread(void *ctx)
{
    struct sf_net_lookup *lookup = ctx;
    struct sf_net_addresses addresses = {.count = 0};
    const int error = look_up(&lookup->host, &addresses);
    pthread_mutex_lock(&lookup->mutex);
    lookup->error = error;
    lookup->addresses = addresses;
    lookup->done = true;
    const bool abandoned = lookup->abandoned;
    if (!abandoned) {
        const uint64_t one = 1;
        /* Under the lock: afterwards the owner may free it. An eventfd at its limit is readable
         * anyway. */
        const ssize_t written = write(lookup->wake_fd, &one, sizeof one);
        (void)written;
    }
    pthread_mutex_unlock(&lookup->mutex);
    if (abandoned)
        free_lookup(lookup);
    return NULL;
}

struct sf_net_lookup *sf_net_lookup_start(const struct sf_host_port *host, int wake_fd)
{
    struct sf_net_lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return NULL;
    lookup->host = *host;
    lookup->wake_fd = fcntl(wake_fd, F_DUPFD_CLOEXEC, 0);
    pthread_mutex_init(&lookup->mutex, NULL);
    if (lookup->wake_fd >= 0 && sf_thread_detach(lookup_thread, lookup) == 0)
        return lookup;
    if (lookup->wake_fd >= 0)
        close(lookup->wake_fd);
    pthread_mutex_destroy(&lookup->mutex);
    free(lookup);
    return NULL;
}

bool sf_net_lookup_take(struct sf_net_lookup *lookup, struct sf_net_addresses *ret, int *ret_error)
{
    pthread_mutex_lock(&lookup->mutex);
    const bool done = lookup->done;
    pthread_mutex_unlock(&lookup->mutex);
    if (!done)
        return false;
    *ret = lookup->addresses;
    *ret_error = lookup->error;
    free_lookup(lookup);
    return true;
}

void sf_net_lookup_abandon(struct sf_net_lookup *lookup)
{
    if (lookup == NULL)
        return;
    pthread_mutex_lock(&lookup->mutex);
    const bool done = lookup->done;
    lookup->abandoned = true;
    pthread_mutex_unlock(&lookup->mutex);
    if (done)
        free_lookup(lookup);
}
