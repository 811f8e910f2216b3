/* coord/zookeeper/watch.c - see watch.h. */
#include "coord/zookeeper/watch.h"

#include <inttypes.h>

#include "coord/zookeeper/read.h"

static void watched(struct sf_zk *z, int number, const struct sf_zk_call *call)
{
    int64_t zxid = 0;
    if (call->rc == ZOK)
        zxid = call->stat.pzxid > call->stat.mzxid ? call->stat.pzxid : call->stat.mzxid;
    if (z->watches->at[number].seen && z->watches->at[number].zxid != zxid)
        z->watches->changed = true;
    z->watches->at[number].seen = true;
    z->watches->at[number].zxid = zxid;
}

static void rearmed(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    (void)job;
    if (call->rc == ZOK || call->rc == ZNONODE)
        watched(z, (int)call->index, call);
}

static void watch_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], int number)
{
    sf_zk_path(z, to, "/dc/%" PRIu64 "/claims", z->watches->at[number].datacenter);
}

/* A failure to send shows in the session's events; the poll tries again. */
void sf_zk_watch_arm(struct sf_zk *z, int number)
{
    char path[SF_ZK_PATH_MAX];
    struct sf_zk_watch *watch = &z->link->watches[number];
    watch_path(z, path, number);
    (void)sf_zk_exists(z, NULL, (size_t)number, path, watch, rearmed);
    (void)sf_zk_children(z, NULL, (size_t)number, path, watch, rearmed);
}

void sf_zk_watch_arm_all(struct sf_zk *z)
{
    for (int i = 0; i < z->watches->count; i++)
        sf_zk_watch_arm(z, i);
}

/* Of the datacenter of a WATCH that has begun. */
static int number_of(const struct sf_zk *z, const struct sf_zk_job *job)
{
    int number = 0;
    while (z->watches->at[number].datacenter != job->request.datacenter)
        number++;
    return number;
}

static void first_watched(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const int number = number_of(z, job);
    if (call->rc == ZOK)
        watched(z, number, call);
    else if (call->rc == ZNONODE)
        sf_zk_refuse_no_datacenter(z, job);
    else
        sf_zk_finish_rc(z, job, call->rc, "watching the claims");
}

static int issue_watch(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    struct sf_zk_watch *watch = &z->link->watches[number_of(z, job)];
    watch_path(z, path, number_of(z, job));
    return index == 0 ? sf_zk_exists(z, job, index, path, watch, first_watched)
                      : sf_zk_children(z, job, index, path, watch, first_watched);
}

void sf_zk_watch_start(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_zk_watches *watches = z->watches;
    int number = 0;
    while (number < watches->count && watches->at[number].datacenter != job->request.datacenter)
        number++;
    if (number == SF_ZK_WATCHES_MAX) {
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID,
                     "one handle watches at most %d datacenters", SF_ZK_WATCHES_MAX);
        return;
    }
    if (number == watches->count)
        watches->at[watches->count++] =
            (struct sf_zk_watched){.datacenter = job->request.datacenter};
    sf_zk_phase(z, job, 2, issue_watch, sf_zk_finish_done);
}
