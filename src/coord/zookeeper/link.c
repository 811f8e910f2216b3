/* coord/zookeeper/link.c - see link.h. The library may take seconds to close a handle, so a thread
 * of its own does it (seen with 3.8). */
#include "coord/zookeeper/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/thread.h"
#include "coord/zookeeper/log.h"

#define PROBE_STEP_MS 20

static void on_session(zhandle_t *handle, int type, int state, const char *path, void *ctx)
{
    (void)handle;
    (void)path;
    if (type == ZOO_SESSION_EVENT)
        sf_zk_link_note(ctx, SF_ZK_SESSION, state);
}

static void link_free(struct sf_zk_link *link)
{
    pthread_cond_destroy(&link->closed_changed);
    pthread_mutex_destroy(&link->lock);
    free(link);
}

static zhandle_t *open_handle(struct sf_zk *z, struct sf_zk_link *link, const char *list)
{
#ifdef SNOWFLEET_ZOOKEEPER_TLS
    if (z->options.tls != NULL) {
        zhandle_t *handle =
            zookeeper_init_ssl(list, z->options.tls, on_session, (int)z->options.session_timeout_ms,
                               NULL, link, ZOO_NO_LOG_CLIENTENV);
        if (handle != NULL)
            zoo_set_log_callback(handle, sf_zk_log_line);
        return handle;
    }
#endif
    return zookeeper_init2(list, on_session, (int)z->options.session_timeout_ms, NULL, link,
                           ZOO_NO_LOG_CLIENTENV, sf_zk_log_line);
}

struct sf_zk_link *sf_zk_link_open(struct sf_zk *z, const struct sf_zk_addresses *addresses,
                                   uint64_t number, struct sf_error *err)
{
    struct sf_zk_link *link = calloc(1, sizeof *link);
    SF_ASSERT(link != NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&link->lock, NULL);
    pthread_cond_init(&link->closed_changed, &attr);
    pthread_condattr_destroy(&attr);
    link->number = number;
    link->inbox = z->inbox;
    link->owners = 1;
    link->since_ns = sf_zk_now_ns(z);
    for (int i = 0; i < SF_ZK_WATCHES_MAX; i++)
        link->watches[i] = (struct sf_zk_watch){link, i};
    char *list = sf_zk_address_list(addresses);
    link->handle = open_handle(z, link, list);
    const int code = errno;
    if (link->handle == NULL) {
        char why[96];
        sf_error_set(err, -code, "cannot open a session at %.200s: %s", list,
                     sf_errno_text(code, why, sizeof why));
        free(list);
        link_free(link);
        return NULL;
    }
    free(list);
    zoo_set_servers_resolution_delay(link->handle, -1);
    if (z->options.auth != NULL)
        zoo_add_auth(link->handle, "digest", z->options.auth, (int)strlen(z->options.auth), NULL,
                     NULL);
    return link;
}

static void *close_main(void *ctx)
{
    struct sf_zk_link *link = ctx;
    zookeeper_close(link->handle);
    while (link->calls != NULL) {
        struct sf_zk_call *call = link->calls;
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): take unlinks, so the next one is another */
        sf_zk_call_take(call);
        sf_zk_call_free(call);
    }
    pthread_mutex_lock(&link->lock);
    link->closed = true;
    pthread_cond_broadcast(&link->closed_changed);
    const bool last = --link->owners == 0;
    pthread_mutex_unlock(&link->lock);
    if (last)
        link_free(link);
    return NULL;
}

/* Short relative steps: absolute monotonic waits misbehave where time is faked. */
static void wait_closed(struct sf_zk_link *link, int64_t wait_ms)
{
    for (; !link->closed && wait_ms > 0; wait_ms -= PROBE_STEP_MS) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PROBE_STEP_MS * SF_NS_PER_MS;
        until.tv_sec += until.tv_nsec / SF_NS_PER_S;
        until.tv_nsec %= SF_NS_PER_S;
        pthread_cond_timedwait(&link->closed_changed, &link->lock, &until);
    }
}

void sf_zk_link_close(struct sf_zk_link *link, int64_t wait_ms)
{
    pthread_mutex_lock(&link->lock);
    link->inbox = NULL;
    link->owners = 2;
    pthread_mutex_unlock(&link->lock);
    /* Answers that are in the inbox already are freed by who takes them there; the rest by the
     * closing thread. */
    for (struct sf_zk_call *call = link->calls, *next; call != NULL; call = next) {
        next = call->next;
        call->job = NULL;
        call->done = NULL;
        if (call->posted) {
            sf_zk_call_take(call);
            call->link = NULL;
        }
    }
    if (sf_thread_detach(close_main, link) < 0)
        close_main(link); /* no thread to be had: slow is better than leaking a session */
    /* close_main gave up one of the two owners at most, so the link still lives. */
    pthread_mutex_lock(&link->lock);
    wait_closed(link, wait_ms); /* NOLINT(clang-analyzer-unix.Malloc) */
    const bool last = --link->owners == 0;
    pthread_mutex_unlock(&link->lock);
    if (last)
        link_free(link);
}
