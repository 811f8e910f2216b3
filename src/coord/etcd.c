/* coord/etcd.c - the etcd backend's handle: open, submit, destroy, and the thread's loop. */
#include "coord/etcd.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/etcd_internal.h"

#define SLEEP_MAX_MS 1000

int64_t sf_etcd_now_ns(const struct sf_etcd *etcd)
{
    return etcd->ticks->mono_ns(etcd->ticks->ctx);
}

int64_t sf_etcd_after_ms(struct sf_etcd *etcd, int64_t ms)
{
    return sf_etcd_now_ns(etcd) + ms * SF_NS_PER_MS +
           (int64_t)sf_prng_below(&etcd->prng, (uint64_t)(ms * SF_NS_PER_MS / 2 + 1));
}

void sf_etcd_key(const struct sf_etcd *etcd, char to[SF_ETCD_KEY_MAX], const char *format, ...)
{
    const size_t root = strlen(etcd->setup.root);
    memcpy(to, etcd->setup.root, root);
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(to + root, SF_ETCD_KEY_MAX - root, format, args);
    va_end(args);
    SF_ASSERT(n >= 0 && (size_t)n < SF_ETCD_KEY_MAX - root);
}

void sf_etcd_notice(struct sf_etcd *etcd, enum sf_coord_event_kind kind, const char *text)
{
    etcd->sink(etcd->sink_ctx, sf_coord_event_notice(kind, "%s", text));
}

static void take_submitted(struct sf_etcd *etcd, bool *ret_stopping)
{
    pthread_mutex_lock(&etcd->lock);
    struct sf_etcd_job *list = etcd->submitted;
    etcd->submitted = NULL;
    etcd->submitted_end = &etcd->submitted;
    *ret_stopping = etcd->stopping;
    pthread_mutex_unlock(&etcd->lock);
    struct sf_etcd_job **end = &etcd->jobs;
    while (*end != NULL)
        end = &(*end)->next;
    *end = list;
}

static int sleep_ms(const struct sf_etcd *etcd)
{
    const int64_t dues[] = {sf_etcd_session_due_ns(etcd), sf_etcd_job_due_ns(etcd),
                            sf_etcd_watch_due_ns(etcd)};
    const int64_t now_ns = sf_etcd_now_ns(etcd);
    int64_t least_ns = SLEEP_MAX_MS * SF_NS_PER_MS;
    for (size_t i = 0; i < sizeof dues / sizeof *dues; i++)
        if (dues[i] - now_ns < least_ns)
            least_ns = dues[i] - now_ns;
    return least_ns <= 0 ? 0 : (int)((least_ns + SF_NS_PER_MS - 1) / SF_NS_PER_MS);
}

static void *run(void *arg)
{
    struct sf_etcd *etcd = arg;
    bool stopping = false;
    for (;;) {
        take_submitted(etcd, &stopping);
        if (stopping)
            break;
        sf_etcd_session_turn(etcd);
        sf_etcd_job_turn(etcd);
        sf_etcd_watch_turn(etcd);
        if (!sf_etcd_http_turn(etcd))
            curl_multi_poll(etcd->multi, NULL, 0, sleep_ms(etcd), NULL);
    }
    sf_etcd_job_end_all(etcd, SF_COORD_ENDING, "the coordinator handle is being closed");
    sf_etcd_watch_end(etcd);
    sf_etcd_session_farewell(etcd);
    sf_etcd_http_end(etcd);
    return NULL;
}

static void submit(struct sf_coord *coord, const struct sf_coord_request *request)
{
    struct sf_etcd *etcd = (struct sf_etcd *)(void *)coord;
    if (getpid() != etcd->pid) {
        etcd->sink(etcd->sink_ctx,
                   sf_coord_event_completion(request, SF_COORD_LOST, SF_COORD_SESSION,
                                             "this handle belongs to the process that forked"));
        return;
    }
    struct sf_etcd_job *job = calloc(1, sizeof *job);
    SF_ASSERT(job != NULL);
    job->request = *request;
    job->start_ns = sf_etcd_now_ns(etcd);
    job->deadline_ns = job->start_ns + (int64_t)request->deadline_ms * SF_NS_PER_MS;
    pthread_mutex_lock(&etcd->lock);
    *etcd->submitted_end = job;
    etcd->submitted_end = &job->next;
    pthread_mutex_unlock(&etcd->lock);
    curl_multi_wakeup(etcd->multi);
}

static void free_handle(struct sf_etcd *etcd)
{
    curl_multi_cleanup(etcd->multi);
    if (etcd->session.token != NULL)
        explicit_bzero(etcd->session.token, strlen(etcd->session.token));
    free(etcd->session.token);
    sf_etcd_setup_free(&etcd->setup);
    pthread_mutex_destroy(&etcd->lock);
    free(etcd);
}

static void destroy(struct sf_coord *coord)
{
    struct sf_etcd *etcd = (struct sf_etcd *)(void *)coord;
    if (getpid() != etcd->pid)
        return; /* a forked child has no thread to end, and the lease is its parent's */
    pthread_mutex_lock(&etcd->lock);
    etcd->stopping = true;
    pthread_mutex_unlock(&etcd->lock);
    curl_multi_wakeup(etcd->multi);
    pthread_join(etcd->thread, NULL);
    free_handle(etcd);
}

/* The new thread takes no signals: they belong to the program. */
static int start_thread(struct sf_etcd *etcd)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const int code = pthread_create(&etcd->thread, NULL, run, etcd);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code == 0)
        (void)pthread_setname_np(etcd->thread, "etcd");
    return -code;
}

int sf_coord_etcd_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                       struct sf_error *err)
{
    static const struct sf_coord_ops ops = {"etcd", submit, destroy};
    sf_etcd_http_global();
    struct sf_etcd *etcd = calloc(1, sizeof *etcd);
    SF_ASSERT(etcd != NULL);
    int rc = sf_etcd_setup_read(options, &etcd->setup, err);
    if (rc < 0) {
        free(etcd);
        return rc;
    }
    etcd->base.ops = &ops;
    etcd->pid = getpid();
    etcd->log = options->log;
    etcd->ticks = options->ticks;
    etcd->sink = options->sink;
    etcd->sink_ctx = options->sink_ctx;
    etcd->prng.state = sf_random_u64();
    etcd->submitted_end = &etcd->submitted;
    etcd->session.current = (unsigned)sf_prng_below(&etcd->prng, etcd->setup.endpoint_count);
    pthread_mutex_init(&etcd->lock, NULL);
    etcd->multi = curl_multi_init();
    SF_ASSERT(etcd->multi != NULL);
    rc = start_thread(etcd);
    if (rc < 0) {
        free_handle(etcd);
        return sf_error_set(err, rc, "no thread for the etcd backend");
    }
    *ret_coord = &etcd->base;
    return 0;
}
