/* The loop of one thread. Sockets are watched edge-triggered and registered once; a session with
 * something to do stands in the ready list and is served once a turn, so that each gets its share.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "server/internal.h"

/* Sessions served between two readings of the clocks in one turn. */
#define SERVED_PER_READING 32
#define WAIT_FOR_EVENT     INT64_MAX
/* Waiting for a millisecond: at least this long, for two at once only when minting may run so far
 * ahead, and never for more at once. */
#define SLEEP_MIN_NS        20000
#define LONG_SLEEP_AHEAD_MS 4
#define LONG_SLEEP_MAX_MS   5
#define AFTER_SLEEP_MAX_MS  100

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
        sf_session_free(session);
    }
}

static void close_for_stop(struct sf_session *session)
{
    sf_session_close(session, SF_CONN_CLOSED_STOP);
}

static void drop_unadopted(void *ctx, struct sf_inbox_message *message)
{
    (void)ctx;
    struct sf_session *session = (struct sf_session *)(void *)message;
    close(session->fd);
    sf_session_free(session);
}

void sf_shard_destroy(struct sf_shard *shard)
{
    if (shard == NULL)
        return;
    sf_wheel_each(shard, close_for_stop);
    free_dead(shard);
    sf_inbox_destroy(shard->inbox, drop_unadopted, NULL);
    if (shard->heartbeat >= 0)
        close(shard->heartbeat);
    if (shard->epoll >= 0)
        close(shard->epoll);
    sf_tokens_unref(shard->settings.tokens);
    sf_tls_unref(shard->settings.tls);
    sf_pool_free(&shard->pool);
    free(shard);
}

/* --- time --- */

/* phase_ns is the largest (minting time - monotonic time) seen, each taken as the beginning of its
 * millisecond, so it is at most the true difference and close to it once a reading fell right
 * behind the turn of a millisecond. Minting time is slewed, so old readings fade. */
void sf_shard_read_clocks(struct sf_shard *shard)
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

/* Until that many milliseconds of minting time have begun from the present one on. */
static int64_t steps_wait_ns(const struct sf_shard *shard, uint64_t steps)
{
    const int64_t most = (int64_t)steps * SF_NS_PER_MS;
    const int64_t wait =
        (int64_t)(shard->mint_ms + steps) * SF_NS_PER_MS - shard->phase_ns - shard->now_ns;
    return wait < SLEEP_MIN_NS ? SLEEP_MIN_NS : wait > most ? most : wait;
}

static uint64_t fewer(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When all that wait here need several turns anyway: most of the time that the queue needs, up to
 * half of what minting may run ahead (the rest is for waking up late), in milliseconds. The shards
 * share it evenly. 0: some need no more than one turn. */
static uint64_t long_sleep_ms(const struct sf_shard *shard)
{
    const struct sf_server *server = shard->server;
    if (shard->waiting_few > 0)
        return 0;
    const uint64_t most = fewer(sf_next_queue_ms(server) * 3 / 4, server->max_ahead_ms / 2);
    const uint64_t period = fewer(most, LONG_SLEEP_MAX_MS);
    return period > server->shard_count ? period - period % server->shard_count : period;
}

/* Until the next millisecond of minting time has begun. When more waits than one millisecond holds,
 * until the second next: as long as minting may run ahead no ID is lost by that, and it costs half
 * the wake-ups. A long sleep ends at this shard's own part of its period: who always woke right
 * behind another one would find no IDs. */
static int64_t next_ms_wait_ns(const struct sf_shard *shard)
{
    const struct sf_server *server = shard->server;
    const uint64_t ids = atomic_load_explicit(&server->waiting_ids, memory_order_relaxed);
    const bool much = 2 * ids >> server->sequence_bits >= 3 * server->options.generator_count;
    uint64_t steps = much && server->max_ahead_ms >= LONG_SLEEP_AHEAD_MS ? 2 : 1;
    const uint64_t period = long_sleep_ms(shard);
    if (period > steps) {
        const uint64_t part = period * shard->number / server->shard_count;
        steps = period - (shard->mint_ms + period - part) % period;
    }
    return steps_wait_ns(shard, steps);
}

/* In a long sleep all that happens on sessions that wait themselves is more of what is not served
 * yet; it need not wake anybody. Who has many requests on the way and just got the answers to all
 * of them will ask for more, and be read before the next ones are served. */
static bool may_sleep_blind(const struct sf_shard *shard)
{
    return shard->waiting_sessions > 0 && sf_next_ids_wanted(shard) && long_sleep_ms(shard) > 0 &&
           shard->waiting_sessions + shard->coming_back ==
               atomic_load_explicit(&shard->connections, memory_order_relaxed);
}

/* Until the first that waits for its AFTER can be served; minting time may be stepped meanwhile, so
 * not for long at once. */
static int64_t after_wait_ns(const struct sf_shard *shard)
{
    const uint64_t now_ms = shard->mint_ms + shard->server->max_ahead_ms;
    const uint64_t steps = shard->after_ms > now_ms ? shard->after_ms - now_ms : 1;
    return steps_wait_ns(shard, steps < AFTER_SLEEP_MAX_MS ? steps : AFTER_SLEEP_MAX_MS);
}

static int64_t shorter(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long the loop may sleep; WAIT_FOR_EVENT when nothing is due before the next beat, which a
 * timer in the epoll set brings: a timeout would cost each turn the setting of a timer. */
static int64_t wait_ns(struct sf_shard *shard)
{
    if (shard->ready.next != &shard->ready)
        return 0;
    if (shard->waiting_sessions > 0 && sf_next_ids_wanted(shard))
        return next_ms_wait_ns(shard);
    const int64_t ms = sf_wheel_wait_ms(shard, SF_HEARTBEAT_MS);
    int64_t ns = ms < SF_HEARTBEAT_MS ? ms * SF_NS_PER_MS : WAIT_FOR_EVENT;
    if (shard->waiting_sessions > 0)
        ns = shorter(ns, after_wait_ns(shard));
    if (shard->accept_again_ms != 0)
        ns = shorter(ns, SF_ACCEPT_PAUSE_MS * SF_NS_PER_MS / 4);
    return ns;
}

static int count_events(int count)
{
    SF_ASSERT(count >= 0 || errno == EINTR);
    return count < 0 ? 0 : count;
}

static int wait_for_events(struct sf_shard *shard, struct epoll_event *events, int64_t ns)
{
    const struct timespec timeout = {.tv_sec = ns / SF_NS_PER_S, .tv_nsec = ns % SF_NS_PER_S};
    shard->slept_blind = false;
    if (ns == 0 || ns == WAIT_FOR_EVENT)
        return count_events(epoll_wait(shard->epoll, events, SF_EVENTS_MAX, ns == 0 ? 0 : -1));
    if (may_sleep_blind(shard)) {
        shard->slept_blind = true;
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &timeout, NULL); /* early after a signal */
        return count_events(epoll_wait(shard->epoll, events, SF_EVENTS_MAX, 0));
    }
    int count = epoll_pwait2(shard->epoll, events, SF_EVENTS_MAX, &timeout, NULL);
    if (count < 0 && errno == ENOSYS)
        count = epoll_wait(shard->epoll, events, SF_EVENTS_MAX,
                           (int)((ns + SF_NS_PER_MS - 1) / SF_NS_PER_MS));
    return count_events(count);
}

/* --- sessions --- */

void sf_shard_make_ready(struct sf_session *session)
{
    if (session->queued_ready || session->state == SF_WAITING || session->state == SF_CLOSED)
        return;
    session->queued_ready = true;
    sf_link_append(&session->shard->ready, &session->queue);
}

bool sf_session_watch(struct sf_session *session, int operation, bool write)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (write ? EPOLLOUT : 0U),
                                .data.ptr = session};
    return epoll_ctl(session->shard->epoll, operation, session->fd, &event) == 0;
}

static bool begin_tls(struct sf_shard *shard, struct sf_session *session)
{
    if (shard->handshakes >= SF_HANDSHAKES_MAX)
        return false;
    session->tls = sf_tls_session_create(shard->settings.tls, session->fd);
    if (session->tls == NULL)
        return false;
    session->state = SF_HANDSHAKE;
    session->frame_ms = shard->now_ms;
    shard->handshakes++;
    return true;
}

void sf_session_adopt(struct sf_shard *shard, struct sf_session *session)
{
    session->shard = shard;
    sf_session_touch(session);
    if (session->needs_room && !sf_session_evict(shard)) {
        sf_listener_tell_full(shard, session->fd);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    const int64_t age = shard->settings.limits.max_connection_age_ms;
    if (age > 0) /* 90 to 110 % */
        session->age_ms = shard->now_ms + age - age / 10 +
                          (int64_t)sf_prng_below(&shard->prng, (uint64_t)(age / 5 + 1));
    if (shard->settings.tls != NULL && !begin_tls(shard, session)) {
        sf_metrics_add(shard->metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_TLS, 1);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    /* TLS may want to write whenever it is asked to read. */
    if (!sf_session_watch(session, EPOLL_CTL_ADD, session->tls != NULL)) {
        sf_log_write(shard->server->options.log, SF_LOG_WARN, "server.watch_failed",
                     "a connection cannot be watched and is closed: errno %d", errno);
        sf_session_close(session, SF_CONN_CLOSED_ERROR);
        return;
    }
    sf_wheel_arm(session);
    if (shard->draining)
        sf_session_goaway(session);
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
    sf_listener_accept(shard);
    sf_listener_watch(shard, false);
    shard->accept_again_ms = 0;
    if (atomic_fetch_add(&shard->server->shards_draining, 1) + 1 == shard->server->shard_count)
        shutdown(shard->server->listener, SHUT_RDWR);
    sf_wheel_each(shard, sf_session_goaway);
}

static void take_messages(struct sf_shard *shard)
{
    struct sf_inbox_message *message = sf_inbox_take(shard->inbox);
    while (message != NULL) {
        struct sf_session *session = (struct sf_session *)(void *)message;
        message = message->next;
        sf_session_adopt(shard, session);
    }
}

static void take_event(struct sf_shard *shard, const struct epoll_event *event, bool *ret_accept)
{
    if (event->data.ptr == NULL) { /* waking was all; read, or it would beat no more */
        uint64_t beats;
        while (read(shard->heartbeat, &beats, sizeof beats) < 0 && errno == EINTR)
            ;
        return;
    }
    if (event->data.ptr == shard) {
        take_messages(shard);
        return;
    }
    if (event->data.ptr == shard->server) {
        *ret_accept = true;
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
        sf_session_writable(session);
    if (session->readable || session->state == SF_HANDSHAKE)
        sf_shard_make_ready(session);
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
        sf_session_run(session, true);
        if (served % SERVED_PER_READING == 0)
            sf_shard_read_clocks(shard);
    }
}

static void count_turn(struct sf_shard *shard, int64_t began_ns)
{
    const int64_t took = sf_mono_ns() - began_ns;
    sf_metrics_observe(shard->metrics, SF_METRIC_SHARD_LOOP, shard->number, took, 1);
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
    bool accept_now = false;
    const int count = wait_for_events(shard, events, wait_ns(shard));
    sf_shard_read_clocks(shard);
    const int64_t began_ns = shard->now_ns;
    atomic_store_explicit(&shard->beat_ms, shard->now_ms, memory_order_relaxed);
    take_settings(shard);
    if (!shard->draining && atomic_load_explicit(&shard->server->draining, memory_order_acquire))
        begin_draining(shard);
    /* Who asked during a blind sleep would have been in the queue by now. */
    if (!shard->slept_blind)
        sf_next_serve_waiting(shard);
    for (int i = 0; i < count; i++)
        take_event(shard, &events[i], &accept_now);
    serve_ready(shard);
    if (shard->slept_blind)
        sf_next_serve_waiting(shard);
    sf_wheel_turn(shard, sf_session_due);
    if (shard->accept_again_ms != 0 && shard->now_ms >= shard->accept_again_ms) {
        shard->accept_again_ms = 0;
        sf_listener_watch(shard, true);
    }
    if (accept_now && shard->accepting)
        sf_listener_accept(shard);
    free_dead(shard);
    publish_oldest(shard);
    count_turn(shard, began_ns);
}

void *sf_shard_main(void *arg)
{
    struct sf_shard *shard = arg;
    /* Waits for the next millisecond should end with it, not 50 us later. */
    prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
    sigset_t pipe_signal; /* OpenSSL writes with write(2) */
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    take_settings(shard);
    sf_listener_watch(shard, true);
    while (!atomic_load_explicit(&shard->server->stopping, memory_order_acquire))
        turn(shard);
    return NULL;
}
