/* coord/zookeeper/zookeeper.c - the handle of the ZooKeeper backend: open, submit, destroy, the
 * thread's loop, and how each op is done. */
#include "coord/zookeeper/zookeeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/thread.h"
#include "base/wait.h"
#include "coord/request.h"
#include "coord/zookeeper/call.h"
#include "coord/zookeeper/claim.h"
#include "coord/zookeeper/init.h"
#include "coord/zookeeper/link.h"
#include "coord/zookeeper/read.h"
#include "coord/zookeeper/session.h"
#include "coord/zookeeper/survey.h"
#include "coord/zookeeper/watch.h"
#include "coord/zookeeper/write.h"

struct handle {
    struct sf_zk z; /* first */
    struct sf_zk_session session;
    struct sf_zk_watches watches;
    pthread_t thread;
    struct sf_zk_message stop;
    bool stopping; /* the backend thread's */
};

/* Jobs. */

static void start_ending(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_finish(z, job, SF_COORD_LOST, SF_COORD_ENDING, "the coordinator handle is ending");
}

static void start_unconnected(struct sf_zk *z, struct sf_zk_job *job)
{
    const char *why = z->session->down_why;
    sf_zk_finish(z, job, SF_COORD_LOST, SF_COORD_UNREACHABLE,
                 "not connected to the coordinator%s%.200s", why[0] != '\0' ? ": " : "", why);
}

static void start_job(struct handle *handle, struct sf_zk_job *job)
{
    static const struct sf_zk_job_ops ending = {.start = start_ending};
    static const struct sf_zk_job_ops unconnected = {.start = start_unconnected};
    static const struct sf_zk_job_ops ops[SF_COORD_OPS] = {
        [SF_COORD_READ_CONFIG] = {.start = sf_zk_read_config},
        [SF_COORD_INIT] = {.start = sf_zk_init, .free = sf_zk_init_free},
        [SF_COORD_SURVEY] = {.start = sf_zk_survey, .free = sf_zk_survey_free},
        [SF_COORD_LIST] = {.start = sf_zk_list, .free = sf_zk_list_free},
        [SF_COORD_PROBE] = {.start = sf_zk_probe, .free = sf_zk_probe_free},
        [SF_COORD_FIND] = {.start = sf_zk_find, .free = sf_zk_list_free},
        [SF_COORD_READ_SLOT] = {.start = sf_zk_read_slot},
        [SF_COORD_CLAIM] = {.start = sf_zk_claim},
        [SF_COORD_UNCLAIM] = {.start = sf_zk_unclaim},
        [SF_COORD_TELL] = {.start = sf_zk_tell},
        [SF_COORD_BIND] = {.start = sf_zk_bind},
        [SF_COORD_RENEW] = {.start = sf_zk_renew},
        [SF_COORD_RELEASE] = {.start = sf_zk_release},
        [SF_COORD_HALT] = {.start = sf_zk_halt},
        [SF_COORD_RESET_SLOT] = {.start = sf_zk_reset_slot, .free = sf_zk_reset_free},
        [SF_COORD_WATCH] = {.start = sf_zk_watch_start},
    };
    struct sf_zk *z = &handle->z;
    const bool connected = z->link != NULL && z->link->connected;
    sf_zk_job_start(z, job,
                    handle->stopping ? &ending
                    : !connected     ? &unconnected
                                     : &ops[job->request.op]);
}

static void time_out_jobs(struct sf_zk *z)
{
    const int64_t now_ns = sf_zk_now_ns(z);
    for (struct sf_zk_job *job = z->jobs; job != NULL; job = job->next) {
        if (job->finished || now_ns < job->deadline_ns)
            continue;
        char text[64];
        snprintf(text, sizeof text, "no answer within %u ms", job->request.deadline_ms);
        sf_zk_finish_unanswered(z, job, SF_COORD_UNREACHABLE, text);
    }
}

/* The contract: writes that are outstanding are unknown. */
static void end_jobs(struct sf_zk *z)
{
    for (struct sf_zk_job *job = z->jobs; job != NULL; job = job->next)
        sf_zk_finish(z, job, sf_request_writes(job->request.op) ? SF_COORD_UNKNOWN : SF_COORD_LOST,
                     SF_COORD_ENDING, "the coordinator handle is ending");
    sf_zk_jobs_reap(z);
}

/* The thread. */

static void take_message(struct handle *handle, struct sf_zk_message *message)
{
    struct sf_zk *z = &handle->z;
    switch (message->kind) {
    case SF_ZK_SUBMITTED:
        start_job(handle, (struct sf_zk_job *)message);
        return;
    case SF_ZK_RESOLVED:
        sf_zk_session_resolved(z, (struct sf_zk_addresses *)message);
        return;
    case SF_ZK_STOP:
        handle->stopping = true;
        return;
    }
}

static int wait_ms(const struct sf_zk *z)
{
    int64_t until_ns = sf_zk_session_due_ns(z);
    for (const struct sf_zk_job *job = z->jobs; job != NULL; job = job->next)
        if (job->deadline_ns < until_ns)
            until_ns = job->deadline_ns;
    const int64_t left_ns = until_ns - sf_zk_now_ns(z);
    return left_ns <= 0 ? 0 : (int)(left_ns / SF_NS_PER_MS) + 1;
}

static void *run(void *ctx)
{
    struct handle *handle = ctx;
    struct sf_zk *z = &handle->z;
    while (!handle->stopping) {
        sf_zk_session_turn(z);
        if (z->link != NULL)
            sf_zk_link_turn(z, 0); /* what the turn and the last messages have to send */
        struct pollfd fds[2] = {{.fd = sf_inbox_fd(z->inbox), .events = POLLIN}, {.fd = -1}};
        if (z->link != NULL)
            sf_zk_link_poll(z->link, &fds[1]);
        sf_wait(fds, 2, wait_ms(z));
        if (z->link != NULL)
            sf_zk_link_turn(z, fds[1].revents);
        struct sf_inbox_message *message = sf_inbox_take(z->inbox);
        while (message != NULL) {
            struct sf_inbox_message *next = message->next;
            take_message(handle, (struct sf_zk_message *)message);
            message = next;
        }
        time_out_jobs(z);
        sf_zk_jobs_reap(z);
    }
    end_jobs(z);
    sf_zk_session_end(z);
    return NULL;
}

/* The contract. */

static void submit(struct sf_coord *coord, const struct sf_coord_request *request)
{
    struct handle *handle = (struct handle *)coord;
    struct sf_zk_job *job = sf_zk_job_create(&handle->z, request);
    sf_inbox_post(handle->z.inbox, &job->head.message);
}

static void drop_message(void *ctx, struct sf_inbox_message *message)
{
    struct handle *handle = ctx;
    struct sf_zk_message *head = (struct sf_zk_message *)message;
    if (head->kind == SF_ZK_SUBMITTED)
        start_job(handle, (struct sf_zk_job *)head);
    else if (head->kind != SF_ZK_STOP)
        free(head);
}

/* Without a thread. */
static void free_handle(struct handle *handle)
{
    handle->stopping = true;
    sf_inbox_destroy(handle->z.inbox, drop_message, handle);
    sf_zk_jobs_reap(&handle->z);
    sf_zk_options_free(&handle->z.options);
    free(handle);
}

static void destroy(struct sf_coord *coord)
{
    struct handle *handle = (struct handle *)coord;
    sf_inbox_post(handle->z.inbox, &handle->stop.message);
    pthread_join(handle->thread, NULL);
    free_handle(handle);
}

/* A copy of the connection would keep it open when the parent ends. */
static void abandon(struct sf_coord *coord)
{
    const struct sf_zk *z = &((struct handle *)coord)->z;
    if (z->link != NULL && z->link->fd >= 0)
        close(z->link->fd);
}

int sf_coord_zookeeper_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                            struct sf_error *err)
{
    static const struct sf_coord_ops ops = {.name = "zookeeper",
                                            .version_max = SF_ZK_VERSION_MAX,
                                            .submit = submit,
                                            .destroy = destroy,
                                            .abandon = abandon};
    struct handle *handle = calloc(1, sizeof *handle);
    SF_ASSERT(handle != NULL);
    struct sf_zk *z = &handle->z;
    sf_coord_init(&z->coord, &ops, options);
    z->log = options->log;
    z->ticks = *options->ticks;
    z->session = &handle->session;
    z->watches = &handle->watches;
    handle->stop.kind = SF_ZK_STOP;
    int rc = sf_zk_options_read(options, &z->options, err);
    if (rc < 0) {
        free(handle);
        return rc;
    }
    z->inbox = sf_inbox_create();
    if (z->inbox == NULL)
        rc = sf_error_set(err, -errno, "no descriptor for the coordinator's inbox");
    if (rc == 0) {
        sf_zk_session_init(z);
        rc = sf_thread_start(&handle->thread, "zookeeper", run, handle);
        if (rc < 0)
            sf_error_set(err, rc, "cannot start the coordinator's thread");
    }
    if (rc < 0) {
        free_handle(handle);
        return rc;
    }
    *ret_coord = &z->coord;
    return 0;
}
