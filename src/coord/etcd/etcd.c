/* coord/etcd/etcd.c - the etcd backend's handle: open, submit, destroy, the thread's loop, and how
 * each op is done. */
#include "coord/etcd/etcd.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/thread.h"
#include "coord/etcd/belief.h"
#include "coord/etcd/fleet.h"
#include "coord/etcd/http.h"
#include "coord/etcd/init.h"
#include "coord/etcd/job.h"
#include "coord/etcd/read.h"
#include "coord/etcd/session.h"
#include "coord/etcd/survey.h"
#include "coord/etcd/watch.h"
#include "coord/etcd/write.h"

#define SLEEP_MAX_MS 1000

struct handle {
    struct sf_etcd etcd; /* first; the thread's own, like the parts */
    struct sf_etcd_http http;
    struct sf_etcd_belief belief;
    struct sf_etcd_session session;
    struct sf_etcd_watches watches;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    struct sf_etcd_job *submitted, **submitted_end;
    bool stopping;
};

static const struct sf_etcd_job_ops ops[SF_COORD_OPS] = {
    [SF_COORD_READ_CONFIG] = {sf_etcd_config_start, sf_etcd_config_answer, sf_etcd_config_free},
    [SF_COORD_INIT] = {sf_etcd_init_start, sf_etcd_init_answer, sf_etcd_init_free},
    [SF_COORD_SURVEY] = {sf_etcd_survey_start, sf_etcd_survey_answer, sf_etcd_survey_free},
    [SF_COORD_LIST] = {sf_etcd_read_start, sf_etcd_read_answer, NULL},
    [SF_COORD_PROBE] = {sf_etcd_probe_start, sf_etcd_probe_answer, free},
    [SF_COORD_FIND] = {sf_etcd_find_start, sf_etcd_find_answer, NULL},
    [SF_COORD_READ_SLOT] = {sf_etcd_read_start, sf_etcd_read_answer, NULL},
    [SF_COORD_CLAIM] = {sf_etcd_claim_start, sf_etcd_claim_answer, free},
    [SF_COORD_UNCLAIM] = {sf_etcd_unclaim_start, sf_etcd_unclaim_answer, NULL},
    [SF_COORD_TELL] = {sf_etcd_tell_start, sf_etcd_tell_answer, free},
    [SF_COORD_BIND] = {sf_etcd_write_start, sf_etcd_write_answer, NULL},
    [SF_COORD_RENEW] = {sf_etcd_write_start, sf_etcd_write_answer, NULL},
    [SF_COORD_RELEASE] = {sf_etcd_write_start, sf_etcd_write_answer, NULL},
    [SF_COORD_HALT] = {sf_etcd_halt_start, sf_etcd_halt_answer, free},
    [SF_COORD_RESET_SLOT] = {sf_etcd_reset_start, sf_etcd_reset_answer, free},
    [SF_COORD_WATCH] = {sf_etcd_read_start, sf_etcd_read_answer, NULL},
};

static void take_submitted(struct handle *handle, bool *ret_stopping)
{
    pthread_mutex_lock(&handle->lock);
    struct sf_etcd_job *list = handle->submitted;
    handle->submitted = NULL;
    handle->submitted_end = &handle->submitted;
    *ret_stopping = handle->stopping;
    pthread_mutex_unlock(&handle->lock);
    struct sf_etcd_job **end = &handle->etcd.jobs;
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

static void *run(void *ctx)
{
    struct handle *handle = ctx;
    struct sf_etcd *etcd = &handle->etcd;
    bool stopping = false;
    for (;;) {
        take_submitted(handle, &stopping);
        if (stopping)
            break;
        sf_etcd_session_turn(etcd);
        sf_etcd_job_turn(etcd);
        sf_etcd_watch_turn(etcd);
        if (!sf_etcd_http_turn(etcd))
            curl_multi_poll(handle->http.multi, NULL, 0, sleep_ms(etcd), NULL);
    }
    sf_etcd_job_end_all(etcd, SF_COORD_ENDING, "the coordinator handle is ending");
    sf_etcd_watch_end(etcd);
    sf_etcd_session_farewell(etcd);
    sf_etcd_http_end(etcd);
    return NULL;
}

static void submit(struct sf_coord *coord, const struct sf_coord_request *request)
{
    struct handle *handle = (struct handle *)(void *)coord;
    struct sf_etcd_job *job = sf_etcd_job_create(&handle->etcd, &ops[request->op], request);
    pthread_mutex_lock(&handle->lock);
    *handle->submitted_end = job;
    handle->submitted_end = &job->next;
    pthread_mutex_unlock(&handle->lock);
    curl_multi_wakeup(handle->http.multi);
}

static void free_handle(struct handle *handle)
{
    curl_multi_cleanup(handle->http.multi);
    sf_etcd_set_token(&handle->etcd, NULL);
    sf_etcd_options_free(&handle->etcd.options);
    pthread_mutex_destroy(&handle->lock);
    free(handle);
}

static void destroy(struct sf_coord *coord)
{
    struct handle *handle = (struct handle *)(void *)coord;
    pthread_mutex_lock(&handle->lock);
    handle->stopping = true;
    pthread_mutex_unlock(&handle->lock);
    curl_multi_wakeup(handle->http.multi);
    pthread_join(handle->thread, NULL);
    free_handle(handle);
}

static void wire(struct handle *handle, const struct sf_coord_options *options)
{
    static const struct sf_coord_ops coord_ops = {
        .name = "etcd", .version_max = INT64_MAX, .submit = submit, .destroy = destroy};
    struct sf_etcd *etcd = &handle->etcd;
    sf_coord_init(&etcd->coord, &coord_ops, options);
    etcd->log = options->log;
    etcd->ticks = options->ticks;
    etcd->http = &handle->http;
    handle->http.patience = 1;
    etcd->belief = &handle->belief;
    etcd->session = &handle->session;
    etcd->watches = &handle->watches;
    etcd->prng.state = sf_random_u64();
    handle->submitted_end = &handle->submitted;
}

int sf_coord_etcd_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                       struct sf_error *err)
{
    sf_etcd_http_global();
    struct handle *handle = calloc(1, sizeof *handle);
    SF_ASSERT(handle != NULL);
    wire(handle, options);
    struct sf_etcd *etcd = &handle->etcd;
    int rc = sf_etcd_options_read(options, &etcd->options, err);
    if (rc < 0) {
        free(handle);
        return rc;
    }
    handle->belief.current = (unsigned)sf_prng_below(&etcd->prng, etcd->options.endpoint_count);
    pthread_mutex_init(&handle->lock, NULL);
    handle->http.multi = curl_multi_init();
    SF_ASSERT(handle->http.multi != NULL);
    rc = sf_thread_start(&handle->thread, "etcd", run, handle);
    if (rc < 0) {
        free_handle(handle);
        return sf_error_set(err, rc, "cannot start the coordinator's thread");
    }
    *ret_coord = &etcd->coord;
    return 0;
}
