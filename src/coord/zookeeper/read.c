/* coord/zookeeper/read.c - READ_CONFIG and READ_SLOT; see read.h. */
#include "coord/zookeeper/read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/state_record.h"
#include "coord/zookeeper/answer.h"
#include "coord/zookeeper/confirm.h"

void sf_zk_take_slot(struct sf_zk *z, const struct sf_zk_call *call, uint64_t worker,
                     struct sf_coord_slot *ret)
{
    struct sf_error err = {0};
    sf_zk_slot_from(call, worker, ret, &err);
    if (ret->state != SF_COORD_RECORD_GARBAGE)
        return;
    char *text = call->job->event->completion.text;
    if (text[0] == '\0')
        memcpy(text,
               sf_refusal_slot_garbage(z->options.root, call->job->request.datacenter, worker,
                                       err.text)
                   .text,
               SF_COORD_TEXT_MAX);
    sf_log_limited(z->log, &z->garbage_limiter, 10000, SF_LOG_ERROR, "coordinator.garbage",
                   "the record of slot %" PRIu64 " is not one of ours: %s", worker, err.text);
}

void sf_zk_take_config(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE) {
        sf_zk_finish_rc(z, job, call->rc, "reading the fleet's config");
        return;
    }
    if (!sf_zk_ensure_confirmed(z, job))
        return;
    struct sf_coord_config *config = calloc(1, sizeof *config);
    struct sf_coord_version version = {0, 0};
    struct sf_error err = {0};
    SF_ASSERT(config != NULL);
    job->event->completion.config = config;
    enum sf_coord_record_state state = sf_zk_config_from(call, config, &version, &err);
    if (state == SF_COORD_RECORD_OK && sf_config_check_format(config, &err) < 0)
        state = SF_COORD_RECORD_GARBAGE;
    const struct sf_refusal refusal = state == SF_COORD_RECORD_MISSING
                                          ? sf_refusal_no_fleet(z->options.root)
                                          : sf_refusal_config_garbage(z->options.root, err.text);
    if (state != SF_COORD_RECORD_OK)
        sf_zk_refuse(z, job, &refusal);
}

void sf_zk_refuse_no_datacenter(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_refusal refusal =
        sf_refusal_no_datacenter(z->options.root, job->request.datacenter);
    sf_zk_refuse(z, job, &refusal);
}

/* READ_CONFIG. */

static void take_root(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == SF_ZK_OK)
        job->event->completion.version = sf_zk_version_of(&call->stat);
    else if (call->rc != SF_ZK_NO_NODE)
        sf_zk_finish_rc(z, job, call->rc, "looking at the fleet's root");
}

static void take_current(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == SF_ZK_OK || call->rc == SF_ZK_NO_NODE)
        job->event->completion.current = call->rc == SF_ZK_OK;
    else
        sf_zk_finish_rc(z, job, call->rc, "looking at the making's name");
}

/* One that is garbage is as good as none: nothing can be written on it. */
static void take_state(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE) {
        sf_zk_finish_rc(z, job, call->rc, "reading the making's state");
        return;
    }
    struct sf_coord_state *state = call->rc == SF_ZK_OK ? calloc(1, sizeof *state) : NULL;
    struct sf_error err = {0};
    if (state == NULL)
        return;
    if (sf_record_state_decode(call->data, call->size, state, &err) == 0) {
        state->version = sf_zk_version_of(&call->stat);
        job->event->completion.state = state;
        return;
    }
    sf_log_limited(z->log, &z->garbage_limiter, 10000, SF_LOG_ERROR, "coordinator.garbage",
                   "the state of the making is not one of ours: %s", err.text);
    free(state);
}

static int issue_making(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const char *token = job->event->completion.config->token;
    char path[SF_ZK_PATH_MAX];
    if (index == 0) {
        sf_zk_current_path(z, path, token);
        return sf_zk_exists(z, job, index, path, false, take_current);
    }
    sf_zk_state_path(z, path, token);
    return sf_zk_get(z, job, index, path, take_state);
}

static int issue_config(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    if (index == 0)
        return sf_zk_confirm(z, job, index);
    if (index == 1)
        return sf_zk_exists(z, job, index, z->options.root, false, take_root);
    sf_zk_path(z, path, "/config");
    return sf_zk_get(z, job, index, path, sf_zk_take_config);
}

static void read_making(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 2, issue_making, sf_zk_finish_confirmed);
}

void sf_zk_read_config(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 3, issue_config, read_making);
}

/* READ_SLOT. */

static void slot_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE) {
        sf_zk_finish_rc(z, job, call->rc, "reading a slot");
        return;
    }
    struct sf_coord_slot *slot = calloc(1, sizeof *slot);
    SF_ASSERT(slot != NULL);
    sf_zk_take_slot(z, call, job->request.u.worker, slot);
    job->event->completion.slots = slot;
    job->event->completion.slot_count = 1;
}

static int issue_slot(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    if (index == 0)
        return sf_zk_confirm(z, job, index);
    sf_zk_slot_path(z, path, job->request.basis.token, job->request.datacenter,
                    job->request.u.worker);
    return sf_zk_get(z, job, index, path, slot_read);
}

void sf_zk_read_slot(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 2, issue_slot, sf_zk_finish_confirmed);
}
