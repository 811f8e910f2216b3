/* The loop of one thread. Sockets are watched edge-triggered and registered once; a session with
 * something to do stands in the ready list and is served once a turn, so that each gets its share.
 */
#include "server/shard.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "server/adopt.h"
#include "server/backlog.h"
#include "server/close.h"
#include "server/goaway.h"
#include "server/internal.h"
#include "server/listener.h"
#include "server/output.h"
#include "server/sleep.h"
#include "server/turn.h"
#include "server/waiting.h"
#include "server/wheel.h"

/* Sessions served between two readings of the clocks in one turn. */
#define SERVED_PER_READING 32

struct sf_shard *sf_shard_create(struct sf_server *server, unsigned number)
{
    struct sf_shard *shard = calloc(1, sizeof *shard);
    if (shard == NULL)
        return NULL;
    shard->server = server;
    shard->number = number;
    shard->epoll = epoll_create1(EPOLL_CLOEXEC);
    shard->inbox = sf_inbox_create();
    shard->metrics = sf_metrics_block(server->options.metrics);
    shard->prng.state = sf_random_u64();
    shard->settings_generation = UINT32_MAX;
    sf_link_init(&shard->ready);
    sf_link_init(&shard->dead);
    sf_link_init(&shard->half_open);
    sf_link_init(&shard->by_activity);
    atomic_init(&shard->oldest_ms, INT64_MAX);
    sf_link_init(&shard->waiting_after);
    shard->after_ms = UINT64_MAX;
    for (unsigned i = 0; i < SF_SERVER_GENERATORS_MAX; i++)
        sf_link_init(&shard->waiting[i]);
    shard->now_ns = sf_mono_ns();
    shard->now_ms = shard->now_ns / SF_NS_PER_MS;
    atomic_store(&shard->beat_ms, shard->now_ms);
    sf_wheel_init(shard);
    shard->heartbeat = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    const struct timespec period = {.tv_nsec = SF_HEARTBEAT_MS * SF_NS_PER_MS};
    const struct itimerspec beats = {.it_interval = period, .it_value = period};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = shard};
    struct epoll_event beat = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (shard->epoll < 0 || shard->inbox == NULL || shard->metrics == NULL ||
        shard->heartbeat < 0 || timerfd_settime(shard->heartbeat, 0, &beats, NULL) != 0 ||
        epoll_ctl(shard->epoll, EPOLL_CTL_ADD, shard->heartbeat, &beat) != 0 ||
        epoll_ctl(shard->epoll, EPOLL_CTL_ADD, sf_inbox_fd(shard->inbox), &event) != 0) {
        sf_shard_destroy(shard);
        return NULL;
    }
    return shard;
}

static void free_dead(struct sf_shard *shard)
{
    while (shard->dead.next != &shard->dead) {
        struct sf_session *session = SF_CONTAINER(shard->dead.next, struct sf_session, queue);
        sf_link_remove(&session->queue);
        sf_session_free(shard->server, session);
    }
}

static void close_for_stop(struct sf_session *session)
{
    sf_session_close(session, SF_CONN_CLOSED_STOP);
}

static void drop_unadopted(void *ctx, struct sf_inbox_message *message)
{
    struct sf_session *session = (struct sf_session *)(void *)message;
    close(session->fd);
    sf_session_free(ctx, session);
}

void sf_shard_destroy(struct sf_shard *shard)
{
    if (shard == NULL)
        return;
    sf_wheel_each(shard, close_for_stop);
    free_dead(shard);
    sf_inbox_destroy(shard->inbox, drop_unadopted, shard->server);
    if (shard->heartbeat >= 0)
        close(shard->heartbeat);
    if (shard->epoll >= 0)
        close(shard->epoll);
    sf_tokens_unref(shard->settings.tokens);
    sf_tls_unref(shard->settings.tls);
    sf_info_unref(shard->info);
    sf_pool_free(&shard->pool);
    free(shard);
}

/* phase_ns is the largest (minting time - monotonic time) seen, each taken as the beginning of its
 * millisecond, so it is at most the true difference and close to it once a reading fell right
 * behind the turn of a millisecond. Minting time is slewed, so old readings fade. */
static void read_clocks(struct sf_shard *shard)
{
    const struct sf_server_host *host = &shard->server->options.host;
    const int64_t before_ns = shard->now_ns;
    shard->now_ns = sf_mono_ns();
    shard->mint_ms = host->mint_now_ms(host->ctx, shard->now_ns);
    shard->now_ms = shard->now_ns / SF_NS_PER_MS;
    const int64_t seen = (int64_t)shard->mint_ms * SF_NS_PER_MS - shard->now_ns;
    const int64_t faded = shard->phase_ns - (shard->now_ns - before_ns) / 1000;
    shard->phase_ns =
        !shard->phase_known || seen > faded || faded > seen + SF_NS_PER_MS ? seen : faded;
    shard->phase_known = true;
}

static void take_settings(struct sf_shard *shard)
{
    struct sf_server *server = shard->server;
    const uint32_t generation = atomic_load_explicit(&server->generation, memory_order_acquire);
    if (generation == shard->settings_generation)
        return;
    pthread_mutex_lock(&server->lock);
    const struct sf_settings old = shard->settings;
    shard->settings = server->settings;
    sf_tokens_ref(shard->settings.tokens);
    sf_tls_ref(shard->settings.tls);
    pthread_mutex_unlock(&server->lock);
    sf_tokens_unref(old.tokens);
    sf_tls_unref(old.tls);
    shard->settings_generation = generation;
}

static void begin_draining(struct sf_shard *shard)
{
    shard->draining = true;
    shard->accept_again_ms = 0;
    /* Who is connected already, but not accepted, may have sent something. */
    for (unsigned i = 0; i < shard->server->listener_count; i++)
        sf_listener_accept(shard, &shard->server->listeners[i]);
    sf_listener_watch(shard, false);
    if (atomic_fetch_add(&shard->server->shards_draining, 1) + 1 == shard->server->shard_count) {
        for (unsigned i = 0; i < shard->server->listener_count; i++) {
            shutdown(shard->server->listeners[i].fd, SHUT_RDWR);
            /* Those of a UNIX socket that were not accepted are not reset by that: they would wait. */
            if (shard->server->listeners[i].local)
                sf_listener_accept(shard, &shard->server->listeners[i]);
        }
    }
    shard->accept_again_ms = 0;
    sf_wheel_each(shard, sf_goaway_begin);
}

static void take_messages(struct sf_shard *shard)
{
    struct sf_inbox_message *message = sf_inbox_take(shard->inbox);
    while (message != NULL) {
        struct sf_session *session = (struct sf_session *)(void *)message;
        message = message->next;
        sf_adopt(shard, session);
    }
}

/* What OpenSSL allocates for each connection would stay in this thread's part of the heap. */
static void give_memory_back(struct sf_shard *shard)
{
    if (!shard->stormy || shard->handshakes > SF_HANDSHAKES_CALM)
        return;
    shard->stormy = false;
    malloc_trim(0);
}

/* The listener that an event belongs to; its number, or listener_count: none. */
static unsigned listener_of(const struct sf_server *server, const void *ptr)
{
    unsigned i = 0;
    while (i < server->listener_count && ptr != &server->listeners[i])
        i++;
    return i;
}

/* ret_accept: a bit for each listener. */
static void take_event(struct sf_shard *shard, const struct epoll_event *event,
                       unsigned *ret_accept)
{
    if (event->data.ptr == NULL) { /* waking was all; read, or it would beat no more */
        uint64_t beats;
        while (read(shard->heartbeat, &beats, sizeof beats) < 0 && errno == EINTR)
            ;
        give_memory_back(shard);
        return;
    }
    if (event->data.ptr == shard) {
        take_messages(shard);
        return;
    }
    const unsigned listener = listener_of(shard->server, event->data.ptr);
    if (listener < shard->server->listener_count) {
        *ret_accept |= 1U << listener;
        return;
    }
    struct sf_session *session = event->data.ptr;
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        session->hung_up = true;
    if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        if (!session->readable)
            sf_backlog_begin(session);
        session->readable = true;
    }
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        sf_output_writable(session);
    if (session->readable || session->state == SF_HANDSHAKE)
        sf_session_make_ready(session);
}

static void serve_ready(struct sf_shard *shard)
{
    /* Who gets ready again meanwhile stands behind this mark and has its turn next time. */
    struct sf_link batch;
    sf_link_init(&batch);
    if (shard->ready.next != &shard->ready) {
        batch = shard->ready;
        batch.next->prev = &batch;
        batch.prev->next = &batch;
        sf_link_init(&shard->ready);
    }
    for (unsigned served = 1; batch.next != &batch; served++) {
        struct sf_session *session = SF_CONTAINER(batch.next, struct sf_session, queue);
        sf_link_remove(&session->queue);
        session->queued_ready = false;
        sf_turn_run(session, true);
        if (served % SERVED_PER_READING == 0)
            read_clocks(shard);
    }
}

static void count_turn(struct sf_shard *shard, int64_t began_ns)
{
    const int64_t took = sf_mono_ns() - began_ns;
    sf_metrics_observe(shard->metrics, SF_METRIC_SHARD_LOOP, shard->number, took, 1);
    const uint32_t served = shard->answered[SF_REQUEST_NEXT] - shard->refused;
    if (served > 0)
        sf_metrics_latency(shard->metrics, SF_LATENCY_SERVED, took, served);
    if (shard->refused > 0)
        sf_metrics_latency(shard->metrics, SF_LATENCY_REFUSED, took, shard->refused);
    shard->refused = 0;
    for (unsigned i = 0; i < SF_REQUESTS; i++) {
        if (shard->answered[i] == 0)
            continue;
        sf_metrics_observe(shard->metrics, SF_METRIC_REQUEST_DURATION, i, took, shard->answered[i]);
        shard->answered[i] = 0;
    }
    if (shard->bytes_in > 0)
        sf_metrics_add(shard->metrics, SF_METRIC_BYTES, SF_BYTES_IN, shard->bytes_in);
    if (shard->bytes_out > 0)
        sf_metrics_add(shard->metrics, SF_METRIC_BYTES, SF_BYTES_OUT, shard->bytes_out);
    if (shard->ids > 0)
        sf_metrics_add(shard->metrics, SF_METRIC_IDS_MINTED, 0, shard->ids);
    shard->bytes_in = shard->bytes_out = shard->ids = 0;
}

/* For those that accept: is there one here that could go? */
static void publish_oldest(struct sf_shard *shard)
{
    struct sf_link *first = shard->by_activity.next;
    const int64_t oldest_ms = first == &shard->by_activity
                                  ? INT64_MAX
                                  : SF_CONTAINER(first, struct sf_session, by_activity)->active_ms;
    atomic_store_explicit(&shard->oldest_ms, oldest_ms, memory_order_relaxed);
}

static void turn(struct sf_shard *shard)
{
    struct epoll_event events[SF_EVENTS_MAX];
    unsigned accept_now = 0;
    const int count = sf_sleep(shard, events);
    read_clocks(shard);
    const int64_t began_ns = shard->now_ns;
    atomic_store_explicit(&shard->beat_ms, shard->now_ms, memory_order_relaxed);
    take_settings(shard);
    if (!shard->draining && atomic_load_explicit(&shard->server->draining, memory_order_acquire))
        begin_draining(shard);
    /* Who asked during a blind sleep would have been in the queue by now. */
    if (!shard->slept_blind)
        sf_waiting_serve(shard);
    for (int i = 0; i < count; i++)
        take_event(shard, &events[i], &accept_now);
    serve_ready(shard);
    if (shard->slept_blind)
        sf_waiting_serve(shard);
    sf_wheel_turn(shard, sf_turn_due);
    if (shard->accept_again_ms != 0 && shard->now_ms >= shard->accept_again_ms) {
        shard->accept_again_ms = 0;
        sf_listener_watch(shard, true);
    }
    for (unsigned i = 0; i < shard->server->listener_count; i++)
        if (accept_now & 1U << i && shard->accepting)
            sf_listener_accept(shard, &shard->server->listeners[i]);
    free_dead(shard);
    publish_oldest(shard);
    count_turn(shard, began_ns);
}

void *sf_shard_main(void *arg)
{
    struct sf_shard *shard = arg;
    /* Waits for the next millisecond should end with it, not 50 us later. */
    prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
    take_settings(shard);
    sf_listener_watch(shard, true);
    while (!atomic_load_explicit(&shard->server->stopping, memory_order_acquire))
        turn(shard);
    return NULL;
}
