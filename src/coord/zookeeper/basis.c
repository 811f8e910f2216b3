/* coord/zookeeper/basis.c - see basis.h. */
#include "coord/zookeeper/basis.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/version.h"
#include "coord/zookeeper/answer.h"
#include "coord/zookeeper/confirm.h"
#include "coord/zookeeper/link.h"
#include "coord/zookeeper/watch.h"

/* What does not hold, and how: SF_ZK_NO_NODE, SF_ZK_BAD_VERSION or SF_ZK_NODE_EXISTS. */
static struct sf_refusal refusal_of(const struct sf_zk *z, const struct sf_coord_request *request,
                                    enum sf_zk_condition condition, int rc)
{
    const struct sf_coord_basis *basis = &request->basis;
    const struct sf_coord_write *write = &request->u.write;
    switch (condition) {
    case SF_ZK_CONFIG:
        return rc == SF_ZK_NO_NODE ? sf_refusal_no_fleet(z->options.root)
                                   : sf_refusal_config_changed(basis->config.version);
    case SF_ZK_CURRENT:
        return sf_refusal_current_gone(basis->token);
    case SF_ZK_STATE:
        return sf_refusal_state_changed(basis->token, basis->state.version);
    case SF_ZK_CLAIM:
        return rc == SF_ZK_NO_NODE ? sf_refusal_claim_gone(write->slot.claim)
                                   : sf_refusal_claim_written(write->slot.claim);
    case SF_ZK_CLAIMS:
        return sf_refusal_no_datacenter(z->options.root, request->datacenter);
    case SF_ZK_SLOT:
        return rc == SF_ZK_NO_NODE
                   ? sf_refusal_slot_missing(write->slot.worker)
                   : sf_refusal_slot_version(write->slot.worker, write->expected.version.version);
    case SF_ZK_PLAIN:
    case SF_ZK_ROOT:
        break;
    }
    SF_ASSERT(!"a condition of a write");
    return (struct sf_refusal){0};
}

void sf_zk_refuse_multi(struct sf_zk *z, struct sf_zk_job *job, const struct sf_zk_call *call,
                        const char *what)
{
    enum sf_zk_condition condition = SF_ZK_PLAIN;
    const bool condition_broken =
        call->rc == SF_ZK_NO_NODE || call->rc == SF_ZK_BAD_VERSION || call->rc == SF_ZK_NODE_EXISTS;
    if (!condition_broken || sf_zk_multi_failed(call->multi, &condition) != call->rc ||
        condition == SF_ZK_PLAIN) {
        sf_zk_finish_rc(z, job, call->rc, what);
        return;
    }
    const struct sf_refusal refusal = refusal_of(z, &job->request, condition, call->rc);
    sf_zk_refuse(z, job, &refusal);
}

void sf_zk_finish_written(struct sf_zk *z, struct sf_zk_job *job, enum sf_zk_condition condition,
                          const struct sf_zk_stat *stat)
{
    const struct sf_coord_request *request = &job->request;
    const bool slot = condition == SF_ZK_SLOT;
    const struct sf_coord_version *read =
        slot ? &request->u.write.expected.version : &request->basis.state;
    if (read->incarnation == 0 || read->incarnation == (uint64_t)stat->czxid) {
        job->event->completion.version = sf_zk_version_of(stat);
        sf_zk_told_time(job, stat->mtime_ms);
        sf_zk_finish_done(z, job);
        return;
    }
    char text[96];
    if (slot)
        snprintf(text, sizeof text,
                 "the record of slot %" PRIu64 " was deleted and made again behind our back",
                 request->u.write.slot.worker);
    else
        snprintf(text, sizeof text,
                 "the making's state was deleted and made again behind our back");
    sf_log_write(z->log, SF_LOG_ERROR, "coordinator.incarnation", "%s", text);
    sf_zk_finish(z, job, SF_COORD_UNKNOWN, slot ? SF_COORD_VERSION : SF_COORD_STATE_CHANGED, "%s",
                 text);
}

/* How many claims there are. What is not told is not told: no reason to fail. */

static void counted(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    (void)z;
    if (call->rc == SF_ZK_OK)
        job->event->completion.claim_total = (uint64_t)call->stat.children;
}

static int count_claims(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_claims_path(z, path, job->request.basis.token, job->request.datacenter);
    return sf_zk_exists(z, job, index, path, false, counted);
}

/* Looking. */

static void look_path(const struct sf_zk *z, const struct sf_zk_job *job,
                      enum sf_zk_condition condition, char path[SF_ZK_PATH_MAX])
{
    const struct sf_coord_request *request = &job->request;
    const char *token = request->basis.token;
    switch (condition) {
    case SF_ZK_CONFIG:
        sf_zk_path(z, path, "/config");
        return;
    case SF_ZK_STATE:
        sf_zk_state_path(z, path, token);
        return;
    case SF_ZK_CLAIM:
        sf_zk_claim_path(z, path, token, request->datacenter, request->u.write.slot.claim);
        return;
    case SF_ZK_SLOT:
        sf_zk_slot_path(z, path, token, request->datacenter, request->u.write.slot.worker);
        return;
    default:
        SF_ASSERT(!"something to look at");
    }
}

/* SF_ZK_OK, or how it is not as the request expects it. */
static int verdict_of_node(const struct sf_zk *z, struct sf_zk_job *job,
                           enum sf_zk_condition condition, const struct sf_zk_stat *stat)
{
    const struct sf_coord_request *request = &job->request;
    uint64_t incarnation = 0;
    switch (condition) {
    case SF_ZK_CLAIM:
        job->claim_version = sf_zk_version_of(stat).version;
        return stat->ephemeral_owner == z->link->session_id ? SF_ZK_OK : SF_ZK_NO_NODE;
    case SF_ZK_CONFIG:
        incarnation = request->basis.config.incarnation;
        break;
    case SF_ZK_STATE:
        incarnation = request->basis.state.incarnation;
        break;
    default:
        incarnation = request->u.write.expected.version.incarnation;
    }
    return (uint64_t)stat->czxid == incarnation ? SF_ZK_OK : SF_ZK_BAD_VERSION;
}

/* A holder's record is looked at as a whole, its content too; one that is reset may be anything. */
static bool reads_it(const struct sf_zk_job *job, enum sf_zk_condition condition)
{
    return condition == SF_ZK_SLOT && job->request.op != SF_COORD_RESET_SLOT;
}

/* Is it as the request expects it? */
static bool is_expected(const struct sf_zk *z, struct sf_zk_job *job,
                        enum sf_zk_condition condition, const struct sf_zk_call *call,
                        struct sf_refusal *ret_refusal)
{
    const struct sf_coord_request *request = &job->request;
    const struct sf_coord_write *write = &request->u.write;
    int verdict =
        call->rc == SF_ZK_OK ? verdict_of_node(z, job, condition, &call->stat) : SF_ZK_NO_NODE;
    if (call->rc == SF_ZK_OK && reads_it(job, condition)) {
        struct sf_coord_slot there;
        struct sf_error err = {0};
        sf_zk_slot_from(call, write->slot.worker, &there, &err);
        if (there.state == SF_COORD_RECORD_GARBAGE) {
            *ret_refusal = sf_refusal_slot_garbage(z->options.root, request->datacenter,
                                                   write->slot.worker, err.text);
            return false;
        }
        if (!sf_version_same(&there.version, &write->expected.version) ||
            !sf_slot_content_same(&there, &write->expected))
            verdict = SF_ZK_BAD_VERSION;
    }
    if (verdict != SF_ZK_OK)
        *ret_refusal = refusal_of(z, request, condition, verdict);
    return verdict == SF_ZK_OK;
}

static void looked(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_refusal refusal = {0};
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE)
        sf_zk_finish_rc(z, job, call->rc, "looking at what to write");
    else if (is_expected(z, job, job->looks[call->index], call, &refusal))
        return;
    else if (!job->confirmed)
        job->doubted = true;
    else if (sf_zk_ensure_confirmed(z, job))
        sf_zk_refuse(z, job, &refusal);
}

static int issue_look(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    if (index == job->look_count)
        return count_claims(z, job, index);
    const enum sf_zk_condition condition = job->looks[index];
    look_path(z, job, condition, path);
    return reads_it(job, condition) ? sf_zk_get(z, job, index, path, looked)
                                    : sf_zk_exists(z, job, index, path, false, looked);
}

static struct sf_zk_moment moment_now(const struct sf_zk *z)
{
    return (struct sf_zk_moment){.session_id = z->link->session_id,
                                 .losses = z->link->losses,
                                 .notices = z->watches->fleet_notices};
}

static bool is_now(const struct sf_zk *z, const struct sf_zk_moment *moment)
{
    const struct sf_zk_moment now = moment_now(z);
    return moment->session_id == now.session_id && moment->losses == now.losses &&
           moment->notices == now.notices;
}

/* What was found so on this very connection, and is watched on it, is so until a notice says otherwise:
 * a server tells of a change before it answers what it was asked after that. */
static bool is_looked_at(const struct sf_zk *z, const struct sf_coord_basis *basis)
{
    const struct sf_coord_basis *looked = &z->looked.basis;
    return is_now(z, &z->looked.moment) && strcmp(looked->token, basis->token) == 0 &&
           sf_version_same(&looked->config, &basis->config) &&
           sf_version_same(&looked->state, &basis->state) && sf_zk_watch_guards(z, basis);
}

/* Both of the basis were looked at, and nothing has happened since that began. */
static void note_looked(struct sf_zk *z, const struct sf_zk_job *job)
{
    const struct sf_coord_basis *basis = &job->request.basis;
    if (job->look_count < 2 || job->looks[0] != SF_ZK_CONFIG || job->looks[1] != SF_ZK_STATE ||
        !is_now(z, &job->looks_since) || !sf_zk_watch_guards(z, basis))
        return;
    z->looked = (struct sf_zk_looked){.moment = job->looks_since, .basis = *basis};
}

static void look_done(struct sf_zk *z, struct sf_zk_job *job);

/* Behind the looks, where it is wanted: how many claims there are. */
static size_t look_calls(const struct sf_zk_job *job)
{
    return job->look_count + (job->request.count_claims ? 1 : 0);
}

static void look_again(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, look_calls(job), issue_look, look_done);
}

static void look_done(struct sf_zk *z, struct sf_zk_job *job)
{
    if (job->doubted && !job->confirmed)
        sf_zk_phase(z, job, 1, sf_zk_confirm, look_again);
    else if (job->claim_version > SF_ZK_VERSION_MAX)
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID,
                     "%s has been written more than 2^30 times", job->request.u.write.slot.claim);
    else {
        note_looked(z, job);
        job->after_look(z, job);
    }
}

void sf_zk_look(struct sf_zk *z, struct sf_zk_job *job, const enum sf_zk_condition *list,
                size_t count, void (*then)(struct sf_zk *z, struct sf_zk_job *job))
{
    job->looks = list;
    job->look_count = count;
    job->looks_since = moment_now(z);
    job->after_look = then;
    sf_zk_phase(z, job, look_calls(job), issue_look, look_done);
}

void sf_zk_look_anew(struct sf_zk *z, struct sf_zk_job *job, const enum sf_zk_condition *list,
                     size_t count, void (*then)(struct sf_zk *z, struct sf_zk_job *job))
{
    SF_ASSERT(count > 2 && list[0] == SF_ZK_CONFIG && list[1] == SF_ZK_STATE);
    if (is_looked_at(z, &job->request.basis))
        sf_zk_look(z, job, list + 2, count - 2, then);
    else
        sf_zk_look(z, job, list, count, then);
}

void sf_zk_add_basis(const struct sf_zk *z, const struct sf_zk_job *job, struct sf_zk_multi *multi)
{
    const struct sf_coord_basis *basis = &job->request.basis;
    char path[SF_ZK_PATH_MAX];
    sf_zk_path(z, path, "/config");
    sf_zk_multi_check(multi, SF_ZK_CONFIG, path, basis->config.version);
    sf_zk_current_path(z, path, basis->token);
    sf_zk_multi_check_exists(multi, SF_ZK_CURRENT, path);
    sf_zk_state_path(z, path, basis->token);
    sf_zk_multi_check(multi, SF_ZK_STATE, path, basis->state.version);
}
