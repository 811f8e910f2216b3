/* coord/zookeeper/watch.c - see watch.h. */
#include "coord/zookeeper/watch.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "coord/zookeeper/read.h"

enum { CONFIG, NAMES, STATE, DATACENTERS };
_Static_assert(DATACENTERS == SF_ZK_FLEET_WATCHES, "the fleet's come first");

static void watched(struct sf_zk *z, int number, const struct sf_zk_call *call)
{
    struct sf_zk_watched *at = &z->watches->at[number];
    int64_t zxid = 0;
    if (call->rc == SF_ZK_OK)
        zxid = call->stat.pzxid > call->stat.mzxid ? call->stat.pzxid : call->stat.mzxid;
    if (at->seen && at->zxid != zxid) {
        z->watches->changed = z->watches->changed || number >= DATACENTERS;
        z->watches->fleet_changed = z->watches->fleet_changed || number < DATACENTERS;
    }
    at->seen = true;
    at->zxid = zxid;
}

static void rearmed(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    (void)job;
    if (call->rc == SF_ZK_OK || call->rc == SF_ZK_NO_NODE)
        watched(z, (int)call->index, call);
}

static void watch_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], int number)
{
    const struct sf_zk_watched *at = &z->watches->at[number];
    switch (number) {
    case CONFIG:
        sf_zk_path(z, to, "/config");
        return;
    case NAMES:
        sf_zk_path(z, to, "%s", "");
        return;
    case STATE:
        sf_zk_state_path(z, to, at->token);
        return;
    default:
        sf_zk_claims_path(z, to, at->token, at->datacenter);
    }
}

/* Content and names are two watches. */
static bool watches_content(int number)
{
    return number != NAMES;
}

static bool watches_names(int number)
{
    return number == NAMES || number >= DATACENTERS;
}

/* A failure to send shows in the session's events; the poll tries again. */
static void arm(struct sf_zk *z, int number)
{
    char path[SF_ZK_PATH_MAX];
    watch_path(z, path, number);
    z->watches->at[number].armed = true;
    if (watches_content(number))
        (void)sf_zk_exists(z, NULL, (size_t)number, path, true, rearmed);
    if (watches_names(number))
        (void)sf_zk_children(z, NULL, (size_t)number, path, true, rearmed);
}

static int watch_count(const struct sf_zk *z)
{
    return z->watches->on ? DATACENTERS + z->watches->datacenters : 0;
}

void sf_zk_watch_arm_all(struct sf_zk *z)
{
    const int total = watch_count(z);
    for (int i = 0; i < total; i++)
        arm(z, i);
}

void sf_zk_watch_event(struct sf_zk *z, const char *path)
{
    const int total = watch_count(z);
    for (int i = 0; i < total; i++) {
        char watched_path[SF_ZK_PATH_MAX];
        watch_path(z, watched_path, i);
        if (!z->watches->at[i].armed || strcmp(watched_path, path) != 0)
            continue;
        z->watches->at[i].armed = false;
        z->watches->fleet_notices += i < DATACENTERS;
        arm(z, i);
    }
}

bool sf_zk_watch_guards(const struct sf_zk *z, const struct sf_coord_basis *basis)
{
    const struct sf_zk_watches *watches = z->watches;
    return watches->on && watches->at[CONFIG].armed && watches->at[STATE].armed &&
           strcmp(watches->at[STATE].token, basis->token) == 0;
}

/* Another making's are others: what was seen of the former says nothing. */
static void point(struct sf_zk_watched *at, const struct sf_coord_request *request)
{
    if (strcmp(at->token, request->basis.token) == 0)
        return;
    *at = (struct sf_zk_watched){.datacenter = request->datacenter};
    memcpy(at->token, request->basis.token, sizeof at->token);
}

/* Of the datacenter of a WATCH that has begun. */
static int number_of(const struct sf_zk *z, const struct sf_zk_job *job)
{
    int number = DATACENTERS;
    while (z->watches->at[number].datacenter != job->request.datacenter)
        number++;
    return number;
}

static int number_at(const struct sf_zk *z, const struct sf_zk_job *job, size_t index)
{
    return index < DATACENTERS ? (int)index : number_of(z, job);
}

static void first_watched(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const int number = number_at(z, job, call->index);
    if (call->rc == SF_ZK_OK || (call->rc == SF_ZK_NO_NODE && number < DATACENTERS))
        watched(z, number, call);
    else if (call->rc == SF_ZK_NO_NODE)
        sf_zk_refuse_no_datacenter(z, job);
    else
        sf_zk_finish_rc(z, job, call->rc, "watching the fleet");
}

/* The fleet's three, then (where it is wanted) the datacenter's content and names. */
static int issue_watch(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    const int number = number_at(z, job, index);
    watch_path(z, path, number);
    z->watches->at[number].armed = true;
    return number == NAMES || index > DATACENTERS
               ? sf_zk_children(z, job, index, path, true, first_watched)
               : sf_zk_exists(z, job, index, path, true, first_watched);
}

void sf_zk_watch_start(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_zk_watches *watches = z->watches;
    int number = DATACENTERS;
    watches->fleet_notices++; /* what was seen before it is watched says nothing */
    if (job->request.u.fleet_only) {
        watches->on = true;
        point(&watches->at[STATE], &job->request);
        sf_zk_phase(z, job, DATACENTERS, issue_watch, sf_zk_finish_done);
        return;
    }
    while (number < DATACENTERS + watches->datacenters &&
           watches->at[number].datacenter != job->request.datacenter)
        number++;
    if (number == SF_ZK_WATCHES_MAX) {
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID,
                     "one handle watches at most %d datacenters", SF_ZK_DATACENTERS_MAX);
        return;
    }
    if (number == DATACENTERS + watches->datacenters)
        watches->datacenters++;
    watches->on = true;
    watches->at[number].datacenter = job->request.datacenter;
    point(&watches->at[number], &job->request);
    point(&watches->at[STATE], &job->request);
    sf_zk_phase(z, job, DATACENTERS + 2, issue_watch, sf_zk_finish_done);
}
