/* coord/local/local.c - the handle of the local backend: a queue, a thread that does the disk's
 * work, a thread that keeps the deadlines.
 *
 * A request is queued, running, or gone. Whoever takes it out of the queue or answers it does so
 * under the lock; a request that is running when its deadline passes is marked answered, and the
 * answer that the disk gives later is dropped.
 */
#include "coord/local/local.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/coordinator.h"
#include "base/thread.h"
#include "base/wait.h"
#include "coord/local/claims.h"
#include "coord/local/fleet.h"
#include "coord/local/init.h"
#include "coord/local/read.h"
#include "coord/local/watch.h"
#include "coord/local/write.h"
#include "coord/request.h"

#define ROOT_MAX         (SF_COORDINATOR_DIR_MAX + 1)
#define DESTROY_WAIT_MS  1000
#define DESTROY_LOCKS_MS 700 /* of these, for the locks under which claims are deleted */
#define CHANGED_PAUSE_MS 50  /* CHANGED notices come at most this often */

struct pending {
    struct pending *next;
    int64_t submitted_ns, deadline_ns;
    bool answered;
    struct sf_coord_request request;
};

struct local {
    struct sf_coord base; /* first */
    const struct sf_ticks *ticks;
    atomic_bool ending;
    int io_wake, watchdog_wake, io_done; /* eventfds */
    pthread_t io_thread, watchdog_thread;

    /* I/O thread only */
    struct sf_local_store store;
    struct sf_local_watch *watch;
    unsigned changed; /* what is to be told: SF_LOCAL_CHANGED, SF_LOCAL_FLEET_CHANGED */
    int64_t changed_sent_ns;

    /* under lock */
    pthread_mutex_t lock;
    struct pending *queue, **queue_end;
    struct pending *running;
    bool stalled;  /* the running request is past its deadline */
    bool detached; /* destroy did not wait: the I/O thread frees the handle */
};

static int64_t now_ns(const struct local *local)
{
    return local->ticks->mono_ns(local->ticks->ctx);
}

static void wake(int fd)
{
    const uint64_t one = 1;
    /* Somebody may have closed it: whoever waits for it looks again soon (base/wait.h). */
    const ssize_t put = sf_wait_is_event(fd) ? write(fd, &one, sizeof one) : -1;
    SF_ASSERT(put == (ssize_t)sizeof one || errno == EAGAIN || !sf_wait_is_event(fd));
}

static void settle(int fd)
{
    uint64_t count;
    if (!sf_wait_is_event(fd))
        return;
    const ssize_t got = read(fd, &count, sizeof count);
    SF_ASSERT(got == (ssize_t)sizeof count || errno == EAGAIN || errno == EINTR ||
              !sf_wait_is_event(fd));
}

/* Answers. Called with the lock held, so that none comes after destroy. */

static void deliver(struct local *local, struct sf_coord_event *event)
{
    if (atomic_load(&local->ending))
        sf_coord_event_free(event);
    else
        local->base.sink(local->base.sink_ctx, event);
}

static void answer(struct local *local, struct pending *pending, struct sf_coord_event *event)
{
    event->completion.duration_ns = now_ns(local) - pending->submitted_ns;
    pending->answered = true;
    deliver(local, event);
}

/* Of one that is given up while it may be under way. */
static enum sf_coord_outcome unanswered(const struct pending *pending)
{
    return sf_request_writes(pending->request.op) ? SF_COORD_UNKNOWN : SF_COORD_LOST;
}

/* The thread that keeps deadlines. It never touches the disk. */

static void expire_queued(struct local *local, int64_t now)
{
    struct pending **at = &local->queue;
    while (*at != NULL) {
        struct pending *pending = *at;
        if (pending->deadline_ns > now) {
            at = &pending->next;
            continue;
        }
        *at = pending->next;
        answer(
            local, pending,
            sf_coord_event_completion(&pending->request, SF_COORD_LOST, SF_COORD_UNREACHABLE,
                                      "the disk is busy with earlier requests for more than %u ms",
                                      pending->request.deadline_ms));
        free(pending);
    }
    local->queue_end = at;
}

static void expire_running(struct local *local, int64_t now)
{
    struct pending *pending = local->running;
    if (pending == NULL || pending->answered || pending->deadline_ns > now)
        return;
    answer(local, pending,
           sf_coord_event_completion(&pending->request, unanswered(pending), SF_COORD_UNREACHABLE,
                                     "the disk gave no answer within %u ms",
                                     pending->request.deadline_ms));
    local->stalled = true;
    deliver(local, sf_coord_event_notice(SF_COORD_DISCONNECTED, "the disk below %s does not answer",
                                         local->store.root));
}

static int64_t next_deadline_ns(const struct local *local)
{
    int64_t next = INT64_MAX;
    if (local->running != NULL && !local->running->answered)
        next = local->running->deadline_ns;
    for (const struct pending *pending = local->queue; pending != NULL; pending = pending->next)
        if (pending->deadline_ns < next)
            next = pending->deadline_ns;
    return next;
}

static int until_ms(int64_t then_ns, int64_t now)
{
    if (then_ns == INT64_MAX)
        return -1;
    const int64_t ms = then_ns <= now ? 0 : (then_ns - now) / SF_NS_PER_MS + 1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void *watchdog_main(void *ctx)
{
    struct local *local = ctx;
    while (!atomic_load(&local->ending)) {
        pthread_mutex_lock(&local->lock);
        const int64_t now = now_ns(local);
        expire_queued(local, now);
        expire_running(local, now);
        const int wait_ms = until_ms(next_deadline_ns(local), now);
        pthread_mutex_unlock(&local->lock);
        struct pollfd fd = {.fd = local->watchdog_wake, .events = POLLIN};
        if (sf_wait(&fd, 1, wait_ms) > 0)
            settle(local->watchdog_wake);
    }
    return NULL;
}

/* The thread that does the work. */

/* Any op but WATCH. A lock that others hold is waited for until give_up_ns. */
static struct sf_coord_event *do_request(struct sf_local_store *store,
                                         const struct sf_coord_request *request, int64_t give_up_ns)
{
    static int (*const table[SF_COORD_OPS])(struct sf_local_store *, struct sf_local_job *) = {
        [SF_COORD_READ_CONFIG] = sf_local_do_read_config,
        [SF_COORD_INIT] = sf_local_do_init,
        [SF_COORD_SURVEY] = sf_local_do_survey,
        [SF_COORD_LIST] = sf_local_do_list,
        [SF_COORD_PROBE] = sf_local_do_probe,
        [SF_COORD_FIND] = sf_local_do_find,
        [SF_COORD_READ_SLOT] = sf_local_do_read_slot,
        [SF_COORD_CLAIM] = sf_local_do_claim,
        [SF_COORD_UNCLAIM] = sf_local_do_unclaim,
        [SF_COORD_TELL] = sf_local_do_tell,
        [SF_COORD_BIND] = sf_local_do_write,
        [SF_COORD_RENEW] = sf_local_do_write,
        [SF_COORD_RELEASE] = sf_local_do_write,
        [SF_COORD_HALT] = sf_local_do_halt,
        [SF_COORD_RESET_SLOT] = sf_local_do_reset_slot,
    };
    SF_ASSERT(table[request->op] != NULL);
    struct sf_local_job job = {
        .request = request,
        .give_up_ns = give_up_ns,
        .event = sf_coord_event_completion(request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "")};
    struct sf_coord_completion *to = &job.event->completion;
    if (table[request->op](store, &job) < 0) {
        SF_ASSERT(to->outcome != SF_COORD_DONE);
        sf_completion_drop_results(to);
    }
    if (to->server_ms >= 0)
        to->server_error_ms = SF_DISK_TIME_ERROR_MS;
    return job.event;
}

static struct sf_coord_event *do_watch(struct local *local, const struct sf_coord_request *request)
{
    struct sf_local_job job = {
        .request = request,
        .event = sf_coord_event_completion(request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "")};
    (void)sf_local_watch_add(local->watch, &local->store,
                             &job); /* the outcome stands in the event */
    return job.event;
}

/* A wait for a lock gives up a little before the deadline, so that it can say that nothing was
 * done. */
static int64_t give_up_ns(const struct pending *pending)
{
    const int64_t margin_ms = pending->request.deadline_ms / 4;
    return pending->deadline_ns - (margin_ms > 50 ? 50 : margin_ms) * SF_NS_PER_MS;
}

static void run(struct local *local, struct pending *pending)
{
    struct sf_coord_event *event =
        pending->request.op == SF_COORD_WATCH
            ? do_watch(local, &pending->request)
            : do_request(&local->store, &pending->request, give_up_ns(pending));
    pthread_mutex_lock(&local->lock);
    local->running = NULL;
    if (!pending->answered) {
        answer(local, pending, event);
    } else {
        sf_coord_event_free(event);
        if (local->stalled)
            deliver(local, sf_coord_event_notice(SF_COORD_CONNECTED, "the disk answers again"));
        local->stalled = false;
    }
    pthread_mutex_unlock(&local->lock);
    free(pending);
}

static struct pending *take(struct local *local)
{
    pthread_mutex_lock(&local->lock);
    struct pending *pending = local->queue;
    if (pending != NULL) {
        local->queue = pending->next;
        if (local->queue == NULL)
            local->queue_end = &local->queue;
        local->running = pending;
    }
    pthread_mutex_unlock(&local->lock);
    return pending;
}

/* A connection that was lost, to whoever holds a slot: what is there now may have been put there from a
 * copy, and has to be read before anything else. */
static void tell_replaced(struct local *local)
{
    pthread_mutex_lock(&local->lock);
    deliver(local, sf_coord_event_notice(SF_COORD_DISCONNECTED,
                                         "another directory has the place of %.200s",
                                         local->store.fleet_root));
    deliver(local, sf_coord_event_notice(SF_COORD_CONNECTED, "the directory %.200s answers",
                                         local->store.root));
    pthread_mutex_unlock(&local->lock);
}

static void look_for_changes(struct local *local)
{
    const int64_t now = now_ns(local);
    local->changed |= sf_local_watch_look(local->watch, &local->store, now);
    if ((local->changed & SF_LOCAL_REPLACED) != 0)
        tell_replaced(local);
    local->changed &= ~(unsigned)SF_LOCAL_REPLACED;
    if (local->changed == 0 || now - local->changed_sent_ns < CHANGED_PAUSE_MS * SF_NS_PER_MS)
        return;
    const unsigned changed = local->changed;
    local->changed = 0;
    local->changed_sent_ns = now;
    pthread_mutex_lock(&local->lock);
    if ((changed & SF_LOCAL_FLEET_CHANGED) != 0)
        deliver(local, sf_coord_event_notice(SF_COORD_FLEET_CHANGED, "%s", ""));
    if ((changed & SF_LOCAL_CHANGED) != 0)
        deliver(local, sf_coord_event_notice(SF_COORD_CHANGED, "%s", ""));
    pthread_mutex_unlock(&local->lock);
}

static void sleep_until_needed(struct local *local)
{
    struct pollfd fds[2] = {{.fd = local->io_wake, .events = POLLIN},
                            {.fd = sf_local_watch_fd(local->watch), .events = POLLIN}};
    int wait_ms = sf_local_watch_wait_ms(local->watch, now_ns(local));
    if (local->changed != 0 && (wait_ms < 0 || wait_ms > CHANGED_PAUSE_MS))
        wait_ms = CHANGED_PAUSE_MS;
    if (sf_wait(fds, 2, wait_ms) > 0 && (fds[0].revents & POLLIN) != 0)
        settle(local->io_wake);
}

static void free_handle(struct local *local)
{
    sf_local_watch_destroy(local->watch);
    close(local->io_wake);
    close(local->watchdog_wake);
    close(local->io_done);
    pthread_mutex_destroy(&local->lock);
    free(local);
}

static void *io_main(void *ctx)
{
    struct local *local = ctx;
    pthread_mutex_lock(&local->lock);
    deliver(local, sf_coord_event_notice(SF_COORD_CONNECTED, "the directory %.200s answers",
                                         local->store.root));
    pthread_mutex_unlock(&local->lock);
    while (!atomic_load(&local->ending)) {
        struct pending *pending = take(local);
        if (pending != NULL)
            run(local, pending);
        look_for_changes(local);
        if (pending == NULL)
            sleep_until_needed(local);
    }
    static const atomic_bool never = false;
    local->store.ending = &never;
    sf_local_claims_end(&local->store, now_ns(local) + DESTROY_LOCKS_MS * SF_NS_PER_MS);
    sf_local_store_free(&local->store);
    pthread_mutex_lock(&local->lock);
    const bool mine = local->detached;
    wake(local->io_done);
    pthread_mutex_unlock(&local->lock);
    if (mine)
        free_handle(local);
    return NULL;
}

/* The contract. */

static void local_submit(struct sf_coord *coord, const struct sf_coord_request *request)
{
    struct local *local = (struct local *)coord;
    struct pending *pending = calloc(1, sizeof *pending);
    SF_ASSERT(pending != NULL);
    pending->request = *request;
    pending->submitted_ns = now_ns(local);
    pending->deadline_ns = pending->submitted_ns + (int64_t)request->deadline_ms * SF_NS_PER_MS;
    pthread_mutex_lock(&local->lock);
    const bool sooner = pending->deadline_ns < next_deadline_ns(local);
    *local->queue_end = pending;
    local->queue_end = &pending->next;
    pthread_mutex_unlock(&local->lock);
    wake(local->io_wake);
    if (sooner)
        wake(local->watchdog_wake);
}

static void answer_ending(struct local *local, struct pending *pending)
{
    answer(local, pending,
           sf_coord_event_completion(&pending->request, unanswered(pending), SF_COORD_ENDING,
                                     "the coordinator handle is ending"));
}

static void end_outstanding(struct local *local)
{
    pthread_mutex_lock(&local->lock);
    if (local->running != NULL && !local->running->answered)
        answer_ending(local, local->running);
    while (local->queue != NULL) {
        struct pending *pending = local->queue;
        local->queue = pending->next;
        answer_ending(local, pending);
        free(pending);
    }
    local->queue_end = &local->queue;
    atomic_store(&local->ending, true);
    pthread_mutex_unlock(&local->lock);
}

static bool wait_for_io(struct local *local)
{
    const int64_t end_ns = now_ns(local) + DESTROY_WAIT_MS * SF_NS_PER_MS;
    struct pollfd fd = {.fd = local->io_done, .events = POLLIN};
    int rc = 0;
    for (int64_t now = now_ns(local); rc <= 0 && now < end_ns; now = now_ns(local))
        rc = poll(&fd, 1, until_ms(end_ns, now));
    return rc > 0;
}

static void local_destroy(struct sf_coord *coord)
{
    struct local *local = (struct local *)coord;
    end_outstanding(local);
    wake(local->io_wake);
    wake(local->watchdog_wake);
    pthread_join(local->watchdog_thread, NULL);
    bool done = wait_for_io(local);
    pthread_mutex_lock(&local->lock);
    if (!done) {
        struct pollfd fd = {.fd = local->io_done, .events = POLLIN};
        done = poll(&fd, 1, 0) > 0;
    }
    local->detached = !done;
    if (!done)
        pthread_detach(local->io_thread);
    pthread_mutex_unlock(&local->lock);
    if (done) {
        pthread_join(local->io_thread, NULL);
        free_handle(local);
    }
}

static void local_abandon(struct sf_coord *coord)
{
    struct local *local = (struct local *)coord;
    sf_local_claims_abandon(&local->store);
    sf_local_store_free(&local->store);
}

static const struct sf_coord_ops local_ops = {.name = "local",
                                              .version_max =
                                                  INT64_MAX - 1, /* one more is written */
                                              .submit = local_submit,
                                              .destroy = local_destroy,
                                              .abandon = local_abandon};

/* Opening. */

static int check_options(const struct sf_coord_options *options, char root[ROOT_MAX],
                         struct sf_error *err)
{
    struct sf_coordinator_url url;
    const int rc = sf_coordinator_url_parse(options->url, &url, err);
    if (rc < 0)
        return rc;
    SF_ASSERT(url.scheme->kind == SF_COORDINATOR_LOCAL);
    memcpy(root, url.path, sizeof url.path);
    if (options->username != NULL || options->password_file != NULL || options->tls_ca != NULL ||
        options->tls_cert != NULL || options->tls_key != NULL)
        return sf_error_set(
            err, -EINVAL,
            "local:// takes no user, password or TLS file; the directory's permissions "
            "say who may use it");
    return sf_disk_directory_check(root, err);
}

static int start_threads(struct local *local)
{
    int rc = sf_thread_start(&local->watchdog_thread, "local-deadlines", watchdog_main, local);
    if (rc < 0)
        return rc;
    rc = sf_thread_start(&local->io_thread, "local-disk", io_main, local);
    if (rc < 0) {
        atomic_store(&local->ending, true);
        wake(local->watchdog_wake);
        pthread_join(local->watchdog_thread, NULL);
    }
    return rc;
}

int sf_coord_local_open_faulty(const struct sf_coord_options *options, const struct sf_disk *disk,
                               struct sf_coord **ret_coord, struct sf_error *err)
{
    char root[ROOT_MAX], why[96];
    int rc = check_options(options, root, err);
    if (rc < 0)
        return rc;
    struct local *local = calloc(1, sizeof *local);
    SF_ASSERT(local != NULL);
    sf_coord_init(&local->base, &local_ops, options);
    local->ticks = options->ticks;
    local->changed_sent_ns = INT64_MIN / 2;
    local->queue_end = &local->queue;
    local->io_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    local->watchdog_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    local->io_done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&local->lock, NULL);
    sf_local_store_init(&local->store, root, options->fleet, options->ticks, &local->ending);
    if (disk != NULL)
        local->store.disk = *disk;
    local->watch = sf_local_watch_create();
    rc = local->io_wake < 0 || local->watchdog_wake < 0 || local->io_done < 0
             ? -EMFILE
             : start_threads(local);
    if (rc < 0) {
        sf_local_store_free(&local->store);
        free_handle(local);
        return sf_error_set(err, rc, "cannot start the coordinator's threads: %s",
                            sf_errno_text(rc, why, sizeof why));
    }
    *ret_coord = &local->base;
    return 0;
}

int sf_coord_local_check(const struct sf_coord_options *options, struct sf_error *err)
{
    char root[ROOT_MAX];
    return check_options(options, root, err);
}

int sf_coord_local_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                        struct sf_error *err)
{
    return sf_coord_local_open_faulty(options, NULL, ret_coord, err);
}
