/* coord/etcd/fleet.c - see fleet.h. */
#include "coord/etcd/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/request.h"
#include "coord/state_record.h"

enum sf_coord_record_state sf_etcd_config_from(const struct sf_etcd_range *range,
                                               struct sf_coord_config *ret, struct sf_error *err)
{
    if (range->count != 1)
        return SF_COORD_RECORD_MISSING;
    const struct sf_etcd_kv *kv = &range->kvs[0];
    memset(ret, 0, sizeof *ret);
    if (sf_record_config_decode_any(kv->value, kv->value_size, ret, err) < 0)
        return SF_COORD_RECORD_GARBAGE;
    ret->version = (struct sf_coord_version){kv->create_revision, kv->mod_revision};
    return SF_COORD_RECORD_OK;
}

struct sf_coord_version sf_etcd_version_from(const struct sf_etcd_range *range)
{
    if (range->count != 1)
        return (struct sf_coord_version){0, 0};
    return (struct sf_coord_version){range->kvs[0].create_revision, range->kvs[0].mod_revision};
}

/* The basis. */

void sf_etcd_basis_of(const struct sf_etcd *etcd, const struct sf_coord_basis *from,
                      struct sf_etcd_basis *ret)
{
    sf_etcd_key(etcd, ret->config, "/config");
    sf_etcd_key(etcd, ret->current, "/current-%s", from->token);
    sf_etcd_key(etcd, ret->state, "/%s/state", from->token);
    const struct sf_etcd_compare compares[SF_ETCD_BASIS_COMPARES] = {
        {.key = ret->config, .target = SF_ETCD_CREATE, .revision = from->config.incarnation},
        {.key = ret->config, .target = SF_ETCD_MOD, .revision = from->config.version},
        {.key = ret->state, .target = SF_ETCD_CREATE, .revision = from->state.incarnation},
        {.key = ret->state, .target = SF_ETCD_MOD, .revision = from->state.version},
        {.key = ret->current, .target = SF_ETCD_CREATE, .greater = true, .revision = 0}};
    const struct sf_etcd_op gets[SF_ETCD_BASIS_GETS] = {
        {.kind = SF_ETCD_GET, .key = ret->config, .keys_only = true},
        {.kind = SF_ETCD_GET, .key = ret->current, .keys_only = true},
        {.kind = SF_ETCD_GET, .key = ret->state, .keys_only = true}};
    memcpy(ret->compares, compares, sizeof compares);
    memcpy(ret->gets, gets, sizeof gets);
}

int sf_etcd_basis_refusal(const struct sf_etcd *etcd, const struct sf_coord_basis *basis,
                          bool by_name, const struct sf_etcd_result *result,
                          struct sf_refusal *ret_refusal)
{
    struct sf_etcd_range ranges[SF_ETCD_BASIS_GETS] = {{0}};
    struct sf_coord_version config = {0, 0}, state = {0, 0};
    bool named = false, readable = true;
    for (size_t i = 0; i < SF_ETCD_BASIS_GETS && readable; i++)
        readable = sf_etcd_txn_range(result->answer.root, i, &ranges[i]) == 0;
    if (readable) {
        config = sf_etcd_version_from(&ranges[0]);
        named = ranges[1].count == 1;
        state = sf_etcd_version_from(&ranges[2]);
    }
    for (size_t i = 0; i < SF_ETCD_BASIS_GETS; i++)
        sf_etcd_range_free(&ranges[i]);
    if (!readable)
        return -1;
    if (config.incarnation == 0)
        *ret_refusal = sf_refusal_no_fleet(etcd->options.root);
    else if (!sf_version_same(&config, &basis->config))
        *ret_refusal = sf_refusal_config_changed(basis->config.version);
    else if (by_name && !named)
        *ret_refusal = sf_refusal_current_gone(basis->token);
    else if (!sf_version_same(&state, &basis->state))
        *ret_refusal = sf_refusal_state_changed(basis->token, basis->state.version);
    else
        return 0;
    return 1;
}

/* READ_CONFIG: root, config and names in one transaction, then the state of the making that the
 * config names. */

void sf_etcd_config_free(void *work)
{
    sf_coord_event_free(work);
}

void sf_etcd_config_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char root[SF_ETCD_KEY_MAX], config[SF_ETCD_KEY_MAX], names[SF_ETCD_KEY_MAX];
    sf_coord_event_free(job->work); /* of a try before */
    job->work = NULL;
    sf_etcd_key(etcd, root, "%s", "");
    sf_etcd_key(etcd, config, "/config");
    sf_etcd_key(etcd, names, "/current-");
    const struct sf_etcd_op ops[] = {{.kind = SF_ETCD_GET, .key = root, .keys_only = true},
                                     {.kind = SF_ETCD_GET, .key = config},
                                     {.kind = SF_ETCD_GET_PREFIX, .key = names, .keys_only = true}};
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = ops, .success_count = 3}),
        false, SF_ETCD_REQUEST_MS);
}

static bool is_named(const struct sf_etcd *etcd, const struct sf_etcd_range *names,
                     const char *token)
{
    char key[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, key, "/current-%s", token);
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->kvs[i].key, key) == 0)
            return true;
    return false;
}

static void take_fleet(struct sf_etcd *etcd, struct sf_etcd_job *job,
                       const struct sf_etcd_result *result, const struct sf_etcd_range *ranges)
{
    struct sf_coord_event *event = sf_etcd_job_done(job);
    struct sf_coord_completion *to = &event->completion;
    struct sf_coord_config *config = malloc(sizeof *config);
    struct sf_error err = {0};
    SF_ASSERT(config != NULL);
    to->version = sf_etcd_version_from(&ranges[0]);
    enum sf_coord_record_state state = sf_etcd_config_from(&ranges[1], config, &err);
    if (state == SF_COORD_RECORD_OK && sf_config_check_format(config, &err) < 0)
        state = SF_COORD_RECORD_GARBAGE;
    if (state != SF_COORD_RECORD_OK) {
        const struct sf_refusal refusal =
            state == SF_COORD_RECORD_MISSING
                ? sf_refusal_no_fleet(etcd->options.root)
                : sf_refusal_config_garbage(etcd->options.root, err.text);
        to->outcome = SF_COORD_REFUSED;
        to->reason = refusal.reason;
        memcpy(to->text, refusal.text, sizeof to->text);
        free(config);
        sf_etcd_job_finish(etcd, job, event, result);
        return;
    }
    char key[SF_ETCD_KEY_MAX];
    to->config = config;
    to->current = is_named(etcd, &ranges[2], config->token);
    job->work = event;
    sf_etcd_key(etcd, key, "/%s/state", config->token);
    const struct sf_etcd_op get = {.kind = SF_ETCD_GET, .key = key};
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = &get, .success_count = 1}),
        false, SF_ETCD_REQUEST_MS);
}

/* NULL: not there, or nothing that we can read. */
static struct sf_coord_state *state_from(const struct sf_etcd_range *range)
{
    if (range->count != 1)
        return NULL;
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    if (sf_record_state_decode(range->kvs[0].value, range->kvs[0].value_size, state, NULL) < 0) {
        free(state);
        return NULL;
    }
    state->version = sf_etcd_version_from(range);
    return state;
}

void sf_etcd_config_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                           const struct sf_etcd_result *result)
{
    const json_t *root = result->answer.root;
    struct sf_etcd_range ranges[3] = {{0}};
    struct sf_coord_event *event = job->work;
    bool readable = sf_etcd_txn_range(root, 0, &ranges[0]) == 0;
    if (event == NULL)
        readable = readable && sf_etcd_txn_range(root, 1, &ranges[1]) == 0 &&
                   sf_etcd_txn_range(root, 2, &ranges[2]) == 0;
    if (!readable) {
        sf_etcd_job_unreadable(etcd, job, result);
    } else if (event == NULL) {
        take_fleet(etcd, job, result, ranges);
    } else {
        event->completion.state = state_from(&ranges[0]);
        job->work = NULL;
        sf_etcd_job_finish(etcd, job, event, result);
    }
    for (size_t i = 0; i < 3; i++)
        sf_etcd_range_free(&ranges[i]);
}

/* HALT: read the state, add the report, write it on condition of what was read. */

void sf_etcd_halt_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char key[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, key, "/%s/state", job->request.basis.token);
    const struct sf_etcd_op get = {.kind = SF_ETCD_GET, .key = key};
    free(job->work);
    job->work = NULL; /* nothing is written yet */
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = &get, .success_count = 1}),
        false, SF_ETCD_REQUEST_MS);
}

static void send_halt(struct sf_etcd *etcd, struct sf_etcd_job *job,
                      const struct sf_coord_state *state)
{
    struct sf_etcd_basis basis;
    sf_etcd_basis_of(etcd, &job->request.basis, &basis);
    char *value = sf_record_state_encode(state);
    const struct sf_etcd_op success[] = {{.kind = SF_ETCD_PUT, .key = basis.state, .value = value},
                                         {.kind = SF_ETCD_GET, .key = basis.state}};
    job->work = value; /* the write is out */
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job,
                        &(struct sf_etcd_txn){.compares = basis.compares,
                                              .compare_count = SF_ETCD_BASIS_COMPARES - 1,
                                              .success = success,
                                              .success_count = 2,
                                              .failure = basis.gets,
                                              .failure_count = SF_ETCD_BASIS_GETS}),
        true, SF_ETCD_REQUEST_MS);
}

static void halt_read(struct sf_etcd *etcd, struct sf_etcd_job *job,
                      const struct sf_etcd_result *result)
{
    struct sf_etcd_range range = {0};
    if (sf_etcd_txn_range(result->answer.root, 0, &range) < 0) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    struct sf_coord_state *state = state_from(&range);
    sf_etcd_range_free(&range);
    const struct sf_coord_basis *basis = &job->request.basis;
    if (state == NULL || !sf_version_same(&state->version, &basis->state)) {
        const struct sf_refusal refusal =
            sf_refusal_state_changed(basis->token, basis->state.version);
        sf_etcd_job_refuse(etcd, job, result, &refusal);
    } else {
        sf_state_report(state, &job->request.u.report);
        send_halt(etcd, job, state);
    }
    free(state);
}

void sf_etcd_halt_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result)
{
    if (job->work == NULL) {
        halt_read(etcd, job, result);
        return;
    }
    struct sf_refusal refusal = {0};
    struct sf_etcd_basis basis;
    struct sf_coord_version version;
    sf_etcd_basis_of(etcd, &job->request.basis, &basis);
    if (sf_etcd_txn_wrote(&result->answer, 1, basis.state, job->work, &version) == 0) {
        struct sf_coord_event *event = sf_etcd_job_done(job);
        event->completion.version = version;
        sf_etcd_job_finish(etcd, job, event, result);
    } else if (!sf_etcd_txn_succeeded(result->answer.root) &&
               sf_etcd_basis_refusal(etcd, &job->request.basis, false, result, &refusal) == 1) {
        sf_etcd_job_refuse(etcd, job, result, &refusal);
    } else {
        sf_etcd_job_unreadable(etcd, job, result);
    }
}
