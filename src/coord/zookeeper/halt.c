/* coord/zookeeper/halt.c - HALT: the making's state as it was read, with one more report. */
#include <stdlib.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/state_record.h"
#include "coord/version.h"
#include "coord/zookeeper/answer.h"
#include "coord/zookeeper/basis.h"
#include "coord/zookeeper/confirm.h"
#include "coord/zookeeper/write.h"

static void halted(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc != SF_ZK_OK)
        sf_zk_refuse_multi(z, job, call, "halting the fleet");
    else
        sf_zk_finish_written(z, job, SF_ZK_STATE, sf_zk_multi_stat(call->multi, SF_ZK_STATE));
}

static int issue_halt(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    struct sf_coord_state *state = job->event->completion.state;
    const struct sf_coord_basis *basis = &job->request.basis;
    char path[SF_ZK_PATH_MAX];
    sf_state_report(state, &job->request.u.report);
    char *content = sf_record_state_encode(state);
    free(state);
    job->event->completion.state = NULL;
    struct sf_zk_multi *multi = sf_zk_multi_create(2);
    sf_zk_path(z, path, "/config");
    sf_zk_multi_check(multi, SF_ZK_CONFIG, path, basis->config.version);
    sf_zk_state_path(z, path, basis->token);
    sf_zk_multi_set(multi, SF_ZK_STATE, path, content, basis->state.version);
    free(content);
    return sf_zk_multi_send(z, job, index, multi, halted);
}

static void send_halt(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_halt, sf_zk_finish_done);
}

static void look_at_config(struct sf_zk *z, struct sf_zk_job *job)
{
    static const enum sf_zk_condition list[] = {SF_ZK_CONFIG};
    if (sf_zk_ensure_confirmed(z, job))
        sf_zk_look(z, job, list, sizeof list / sizeof list[0], send_halt);
}

/* Only the very state that was read, to which the report is added. */
static void state_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct sf_coord_basis *basis = &job->request.basis;
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE) {
        sf_zk_finish_rc(z, job, call->rc, "reading the making's state");
        return;
    }
    const struct sf_coord_version there =
        call->rc == SF_ZK_OK ? sf_zk_version_of(&call->stat) : (struct sf_coord_version){0, 0};
    const struct sf_refusal changed = sf_refusal_state_changed(basis->token, basis->state.version);
    struct sf_coord_state *state = calloc(1, sizeof *state);
    struct sf_error err = {0};
    SF_ASSERT(state != NULL);
    job->event->completion.state = state;
    if (!sf_version_same(&there, &basis->state))
        sf_zk_refuse(z, job, &changed);
    else if (sf_record_state_decode(call->data, call->size, state, &err) < 0)
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_GARBAGE,
                     "the state of making %.32s is not one of ours: %.150s", basis->token,
                     err.text);
}

static int issue_state(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    if (index == 0)
        return sf_zk_confirm(z, job, index);
    sf_zk_state_path(z, path, job->request.basis.token);
    return sf_zk_get(z, job, index, path, state_read);
}

void sf_zk_halt(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 2, issue_state, look_at_config);
}
