/* coord/local/read.c - see read.h. */
#include "coord/local/read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/local/claims.h"
#include "coord/request.h"

int sf_local_do_read_config(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_error err = {0};
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    const int rc = sf_local_read_config(store, config, &err);
    if (rc < 0) {
        free(config);
        return sf_local_refuse_config(store, job, rc, err.text);
    }
    job->event->completion.config = config;
    return 0;
}

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

int sf_local_do_list(struct sf_local_store *store, struct sf_local_job *job)
{
    int rc = sf_local_do_read_config(store, job);
    if (rc < 0)
        return rc;
    struct sf_coord_completion *to = &job->event->completion;
    const size_t count = (size_t)sf_layout_max_worker(&to->config->layout) + 1;
    const bool known = sf_config_has_datacenter(to->config, job->request->datacenter);
    free(to->config);
    to->config = NULL;
    const struct sf_refusal unknown =
        sf_refusal_no_datacenter(store->fleet_root, job->request->datacenter);
    if (!known)
        return sf_local_refuse(job, &unknown);
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    if ((rc = sf_local_dc_open(store, job, job->request->datacenter, false, &dc)) < 0)
        return rc;
    to->slots = calloc(count, sizeof *to->slots);
    SF_ASSERT(to->slots != NULL);
    for (to->slot_count = 0; rc == 0 && to->slot_count < count; to->slot_count++)
        rc = read_slot_state(store, job, &dc, to->slot_count, &to->slots[to->slot_count]);
    if (rc == 0) {
        const int code = sf_local_claims_list(store, &dc, &to->claims, &to->claim_count);
        if (code < 0)
            rc = sf_local_fail_errno(job, code, false, "cannot list the claims of", dc.path);
    }
    sf_local_dc_close(&dc);
    return rc;
}

int sf_local_do_read_slot(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    int rc = sf_local_dc_open(store, job, job->request->datacenter, false, &dc);
    if (rc < 0)
        return rc;
    struct sf_coord_slot *slot = calloc(1, sizeof *slot);
    SF_ASSERT(slot != NULL);
    rc = read_slot_state(store, job, &dc, job->request->u.worker, slot);
    job->event->completion.slots = slot;
    job->event->completion.slot_count = 1;
    sf_local_dc_close(&dc);
    return rc;
}
