/* coord/local/read.c - see read.h. */
#include "coord/local/read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/local/claims.h"
#include "coord/local/fleet.h"
#include "coord/request.h"

/* One record of a listing: what is wrong with it stands in its state; what is wrong with the disk
 * ends the request. */
static int read_slot_state(struct sf_local_store *store, struct sf_local_job *job,
                           const struct sf_local_dc *dc, uint64_t worker, struct sf_coord_slot *ret)
{
    struct sf_error err = {0};
    const int rc = sf_local_read_slot(store, dc, worker, ret, &err);
    if (rc == 0)
        return 0;
    if (rc != -ENOENT && rc != -EBADMSG)
        return sf_local_refuse_slot(store, job, dc, worker, rc, err.text);
    *ret = (struct sf_coord_slot){.worker = worker,
                                  .state = rc == -ENOENT ? SF_COORD_RECORD_MISSING
                                                         : SF_COORD_RECORD_GARBAGE};
    char *text = job->event->completion.text;
    if (rc == -EBADMSG && text[0] == '\0')
        memcpy(text, sf_refusal_slot_garbage(store->fleet_root, dc->number, worker, err.text).text,
               SF_COORD_TEXT_MAX);
    return 0;
}

/* How many slots a datacenter of the request's making has; refuses where the config names another
 * making, or not this datacenter. */
static int count_slots(struct sf_local_store *store, struct sf_local_job *job, size_t *ret)
{
    const struct sf_refusal unknown =
        sf_refusal_no_datacenter(store->fleet_root, job->request->datacenter);
    struct sf_local_fleet fleet = SF_LOCAL_FLEET_CLOSED;
    if (sf_local_fleet_open(store, job, SF_DISK_SHARED, &fleet) < 0)
        return -1;
    struct sf_coord_config config = {.floor_ms = 0};
    struct sf_coord_version version = {0, 0};
    struct sf_error err = {0};
    const int rc = sf_local_read_config_any(store, &fleet, &config, &version, &err);
    sf_local_fleet_close(&fleet);
    if (rc < 0)
        return sf_local_refuse_config(store, job, rc, err.text);
    if (strcmp(config.token, job->request->basis.token) != 0 ||
        !sf_config_has_datacenter(&config, job->request->datacenter))
        return sf_local_refuse(job, &unknown);
    *ret = (size_t)sf_layout_max_worker(&config.layout) + 1;
    return 0;
}

/* The live claims, of which find_claims and probe keep those that they are about. */
static int list_claims(struct sf_local_store *store, struct sf_local_job *job,
                       struct sf_local_dc *dc)
{
    struct sf_coord_completion *to = &job->event->completion;
    const int code = sf_local_claims_list(store, dc, &to->claims, &to->claim_count);
    return code < 0 ? sf_local_fail_errno(job, code, false, "cannot list the claims of", dc->path)
                    : 0;
}

int sf_local_do_list(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_coord_completion *to = &job->event->completion;
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    size_t count = 0;
    if (count_slots(store, job, &count) < 0 ||
        sf_local_dc_open(store, job, job->request->basis.token, job->request->datacenter,
                         SF_LOCAL_DC_UNLOCKED, &dc) < 0)
        return -1;
    SF_ASSERT(count > 0); /* a layout has at least worker 0 */
    to->slots = calloc(count, sizeof *to->slots);
    SF_ASSERT(to->slots != NULL);
    int rc = 0;
    for (to->slot_count = 0; rc == 0 && to->slot_count < count; to->slot_count++)
        rc = read_slot_state(store, job, &dc, to->slot_count, &to->slots[to->slot_count]);
    if (rc == 0)
        rc = list_claims(store, job, &dc);
    sf_local_dc_close(&dc);
    return rc;
}

static bool stands_in(const struct sf_coord_completion *to, const struct sf_coord_probe *probe,
                      const char *name)
{
    for (size_t i = 0; i < to->slot_count; i++)
        if (sf_probe_asks(probe, &to->slots[i]) && strcmp(to->slots[i].claim, name) == 0)
            return true;
    return false;
}

static int probe(struct sf_local_store *store, struct sf_local_job *job, struct sf_local_dc *dc)
{
    const struct sf_coord_probe *request = &job->request->u.probe;
    struct sf_coord_completion *to = &job->event->completion;
    bool asks = false;
    to->slots = calloc(request->count, sizeof *to->slots);
    SF_ASSERT(to->slots != NULL);
    for (; to->slot_count < request->count; to->slot_count++) {
        struct sf_coord_slot *slot = &to->slots[to->slot_count];
        if (read_slot_state(store, job, dc, request->workers[to->slot_count], slot) < 0)
            return -1;
        asks = asks || sf_probe_asks(request, slot);
    }
    if (!asks)
        return 0;
    if (list_claims(store, job, dc) < 0)
        return -1;
    size_t kept = 0;
    for (size_t i = 0; i < to->claim_count; i++)
        if (stands_in(to, request, to->claims[i].name))
            to->claims[kept++] = to->claims[i];
    to->claim_count = kept;
    return 0;
}

static int find_claims(struct sf_local_store *store, struct sf_local_job *job,
                       struct sf_local_dc *dc)
{
    struct sf_coord_completion *to = &job->event->completion;
    if (list_claims(store, job, dc) < 0)
        return -1;
    to->claim_total = to->claim_count;
    sf_find_keep(&job->request->u.find, to->claims, &to->claim_count);
    return 0;
}

static int unlocked(struct sf_local_store *store, struct sf_local_job *job,
                    int (*act)(struct sf_local_store *, struct sf_local_job *,
                               struct sf_local_dc *))
{
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    int rc = sf_local_dc_open(store, job, job->request->basis.token, job->request->datacenter,
                              SF_LOCAL_DC_UNLOCKED, &dc);
    if (rc == 0)
        rc = act(store, job, &dc);
    sf_local_dc_close(&dc);
    return rc;
}

int sf_local_do_probe(struct sf_local_store *store, struct sf_local_job *job)
{
    return unlocked(store, job, probe);
}

int sf_local_do_find(struct sf_local_store *store, struct sf_local_job *job)
{
    return unlocked(store, job, find_claims);
}

int sf_local_do_read_slot(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_coord_completion *to = &job->event->completion;
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    const uint64_t worker = job->request->u.worker;
    int rc = sf_local_dc_open(store, job, job->request->basis.token, job->request->datacenter,
                              SF_LOCAL_DC_UNLOCKED, &dc);
    if (rc < 0 && to->reason != SF_COORD_MISSING)
        return rc;
    to->slots = calloc(1, sizeof *to->slots);
    SF_ASSERT(to->slots != NULL);
    to->slot_count = 1;
    if (rc < 0) { /* it is not there: with its datacenter, or its whole making */
        to->slots[0] = (struct sf_coord_slot){.worker = worker, .state = SF_COORD_RECORD_MISSING};
        to->outcome = SF_COORD_DONE;
        to->reason = SF_COORD_NO_REASON;
        to->text[0] = '\0';
        return 0;
    }
    rc = read_slot_state(store, job, &dc, worker, to->slots);
    sf_local_dc_close(&dc);
    return rc;
}
