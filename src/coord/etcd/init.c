/* coord/etcd/init.c - see init.h. */
#include "coord/etcd/init.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/etcd/fleet.h"
#include "coord/etcd/survey.h"
#include "coord/init_plan.h"
#include "coord/records.h"
#include "coord/state_record.h"
#include "coord/version.h"

#define TXN_OPS                                                                                    \
    80 /* with what is read behind them and the tag: within the --max-txn-ops of 100 that we ask for */
#define NAMES_MAX 32 /* makings that are named at once: one, unless somebody's hand was there */

enum step { LOOK, UNNAME, SURVEY, TREE, NAME, LOOK_AGAIN };

struct work {
    enum step step;
    struct sf_coord_config config;        /* what becomes the fleet's */
    struct sf_coord_version before, root; /* of the config that is replaced, and of the root */
    uint64_t makings;
    char names[NAMES_MAX][SF_ETCD_KEY_MAX]; /* keys that name other makings */
    size_t name_count;
    struct sf_etcd_surveying surveying;
    size_t next; /* records made so far; the state is the last one */
    size_t sent;
    char last_key[SF_ETCD_KEY_MAX]; /* the last of these, */
    char *last_value;               /* and what it is to be */
    size_t written;                 /* operations before the one that reads back what was written */
};

void sf_etcd_init_free(void *ctx)
{
    struct work *work = ctx;
    free(work->last_value);
    free(work);
}

static struct work *work_of(const struct sf_etcd_job *job)
{
    return job->work;
}

/* Looking. */

static void send_look(struct sf_etcd *etcd, struct sf_etcd_job *job, enum step step)
{
    char root[SF_ETCD_KEY_MAX], config[SF_ETCD_KEY_MAX], names[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, root, "%s", "");
    sf_etcd_key(etcd, config, "/config");
    sf_etcd_key(etcd, names, "/current-");
    const struct sf_etcd_op ops[] = {{.kind = SF_ETCD_GET, .key = root},
                                     {.kind = SF_ETCD_GET, .key = config},
                                     {.kind = SF_ETCD_GET_PREFIX, .key = names, .keys_only = true}};
    work_of(job)->step = step;
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = ops, .success_count = 3}),
        false, SF_ETCD_INIT_MS);
}

/* The compares of root and config as they were read. */
static size_t conditions(const struct work *work, const char *root, const char *config,
                         struct sf_etcd_compare to[4])
{
    const struct sf_etcd_compare all[] = {
        {.key = root, .target = SF_ETCD_CREATE, .revision = work->root.incarnation},
        {.key = root, .target = SF_ETCD_MOD, .revision = work->root.version},
        {.key = config, .target = SF_ETCD_CREATE, .revision = work->before.incarnation},
        {.key = config, .target = SF_ETCD_MOD, .revision = work->before.version}};
    memcpy(to, all, sizeof all);
    return 4;
}

static size_t deletions(const struct work *work, struct sf_etcd_op *to)
{
    for (size_t i = 0; i < work->name_count; i++)
        to[i] = (struct sf_etcd_op){.kind = SF_ETCD_DELETE, .key = work->names[i]};
    return work->name_count;
}

/* Nothing is granted from here on. */
static void send_unname(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char root[SF_ETCD_KEY_MAX], config[SF_ETCD_KEY_MAX], count[24];
    struct sf_etcd_compare compares[4];
    struct sf_etcd_op ops[NAMES_MAX + 2];
    struct work *work = job->work;
    sf_etcd_key(etcd, root, "%s", "");
    sf_etcd_key(etcd, config, "/config");
    snprintf(count, sizeof count, "%" PRIu64, work->makings + 1);
    const size_t compare_count = conditions(work, root, config, compares);
    size_t op_count = deletions(work, ops);
    ops[op_count++] = (struct sf_etcd_op){.kind = SF_ETCD_PUT, .key = root, .value = count};
    work->written = op_count;
    ops[op_count++] = (struct sf_etcd_op){.kind = SF_ETCD_GET, .key = root};
    work->step = UNNAME;
    sf_etcd_job_send(etcd, job, "/v3/kv/txn",
                     sf_etcd_job_txn(etcd, job,
                                     &(struct sf_etcd_txn){.compares = compares,
                                                           .compare_count = compare_count,
                                                           .success = ops,
                                                           .success_count = op_count}),
                     true, SF_ETCD_INIT_MS);
}

static void send_page(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    work_of(job)->step = SURVEY;
    sf_etcd_survey_page(etcd, job, &work_of(job)->surveying);
}

/* The tree. */

static size_t record_count(const struct work *work)
{
    return sf_init_datacenter_count(&work->config) * sf_init_worker_count(&work->config) + 1;
}

static char *record_at(const struct sf_etcd *etcd, const struct sf_etcd_job *job, size_t index,
                       char key[SF_ETCD_KEY_MAX])
{
    const struct work *work = job->work;
    const size_t workers = sf_init_worker_count(&work->config);
    if (index + 1 == record_count(work)) {
        struct sf_coord_state *state = calloc(1, sizeof *state);
        SF_ASSERT(state != NULL);
        sf_etcd_key(etcd, key, "/%s/state", work->config.token);
        char *value = sf_record_state_encode(state);
        free(state);
        return value;
    }
    const uint64_t datacenter = sf_init_datacenter(&work->config, index / workers);
    struct sf_coord_slot slot;
    sf_init_slot(&job->request.u.init, work->config.floor_ms, datacenter, index % workers,
                 work->config.created_ms, &slot); /* the same however often it is asked for */
    sf_etcd_key(etcd, key, "/%s/dc/%" PRIu64 "/slots/%zu", work->config.token, datacenter,
                index % workers);
    return sf_record_slot_encode(&slot);
}

/* Once, and never again: a hop may deliver it a second time, when workers have long written to these
 * records. They come together, so where the first is there all are. Either answer shows the last one. */
static void send_tree(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    struct work *work = job->work;
    const size_t left = record_count(work) - work->next;
    work->sent = left < TXN_OPS ? left : TXN_OPS;
    char(*keys)[SF_ETCD_KEY_MAX] = calloc(work->sent, sizeof *keys);
    char **values = calloc(work->sent, sizeof *values);
    struct sf_etcd_op *ops = calloc(work->sent + 1, sizeof *ops);
    SF_ASSERT(keys != NULL && values != NULL && ops != NULL);
    for (size_t i = 0; i < work->sent; i++) {
        values[i] = record_at(etcd, job, work->next + i, keys[i]);
        ops[i] = (struct sf_etcd_op){.kind = SF_ETCD_PUT, .key = keys[i], .value = values[i]};
    }
    memcpy(work->last_key, keys[work->sent - 1], sizeof work->last_key);
    free(work->last_value);
    work->last_value = values[work->sent - 1];
    const struct sf_etcd_op last = {.kind = SF_ETCD_GET, .key = work->last_key};
    ops[work->sent] = last;
    const struct sf_etcd_compare absent = {.key = keys[0], .target = SF_ETCD_CREATE, .revision = 0};
    work->step = TREE;
    sf_etcd_job_send(etcd, job, "/v3/kv/txn",
                     sf_etcd_job_txn(etcd, job,
                                     &(struct sf_etcd_txn){.compares = &absent,
                                                           .compare_count = 1,
                                                           .success = ops,
                                                           .success_count = work->sent + 1,
                                                           .failure = &last,
                                                           .failure_count = 1}),
                     true, SF_ETCD_INIT_MS);
    for (size_t i = 0; i + 1 < work->sent; i++)
        free(values[i]);
    free(keys);
    free(values);
    free(ops);
}

/* The name. */

static void send_name(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char root[SF_ETCD_KEY_MAX], config[SF_ETCD_KEY_MAX], current[SF_ETCD_KEY_MAX],
        state[SF_ETCD_KEY_MAX], count[24];
    struct sf_etcd_compare compares[5];
    struct sf_etcd_op ops[NAMES_MAX + 4];
    struct work *work = job->work;
    sf_etcd_key(etcd, root, "%s", "");
    sf_etcd_key(etcd, config, "/config");
    sf_etcd_key(etcd, current, "/current-%s", work->config.token);
    sf_etcd_key(etcd, state, "/%s/state", work->config.token);
    snprintf(count, sizeof count, "%" PRIu64, work->makings + 1);
    char *value = sf_record_config_encode(&work->config);
    size_t compare_count = conditions(work, root, config, compares);
    compares[compare_count++] = (struct sf_etcd_compare){
        .key = state, .target = SF_ETCD_CREATE, .greater = true, .revision = 0};
    size_t op_count = deletions(work, ops);
    ops[op_count++] = (struct sf_etcd_op){.kind = SF_ETCD_PUT, .key = root, .value = count};
    ops[op_count++] = (struct sf_etcd_op){.kind = SF_ETCD_PUT, .key = current, .value = ""};
    ops[op_count++] = (struct sf_etcd_op){.kind = SF_ETCD_PUT, .key = config, .value = value};
    work->written = op_count;
    ops[op_count++] = (struct sf_etcd_op){.kind = SF_ETCD_GET, .key = config};
    work->step = NAME;
    sf_etcd_job_send(etcd, job, "/v3/kv/txn",
                     sf_etcd_job_txn(etcd, job,
                                     &(struct sf_etcd_txn){.compares = compares,
                                                           .compare_count = compare_count,
                                                           .success = ops,
                                                           .success_count = op_count}),
                     true, SF_ETCD_INIT_MS);
    free(value);
}

static void finish(struct sf_etcd *etcd, struct sf_etcd_job *job,
                   const struct sf_etcd_result *result, const struct sf_coord_config *made)
{
    struct sf_coord_config *config = malloc(sizeof *config);
    SF_ASSERT(config != NULL);
    *config = *made;
    struct sf_coord_event *event = sf_etcd_job_done(job);
    event->completion.config = config;
    sf_etcd_job_finish(etcd, job, event, result);
}

/* Answers. */

/* Plans by what was read at once. */
static void take_look(struct sf_etcd *etcd, struct sf_etcd_job *job,
                      const struct sf_etcd_result *result, const struct sf_etcd_range *ranges)
{
    const struct sf_coord_init *init = &job->request.u.init;
    struct work *work = job->work;
    struct sf_coord_config there;
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    const struct sf_init_found found = {.state = sf_etcd_config_from(&ranges[1], &there, &err),
                                        .config = &there,
                                        .version = sf_etcd_version_from(&ranges[1]),
                                        .why = err.text};
    const struct sf_coord_version root = sf_etcd_version_from(&ranges[0]);
    const enum sf_init_verdict verdict =
        sf_init_plan_config(init, etcd->options.root, &found, &work->config, &refusal);
    if (verdict == SF_INIT_DONE) {
        finish(etcd, job, result, &there);
        return;
    }
    if (verdict == SF_INIT_GO && (work->step == LOOK_AGAIN || !sf_version_same(&root, &init->root)))
        refusal = sf_refusal_config_raced(etcd->options.root, init->after_data_loss);
    if (refusal.reason == SF_COORD_NO_REASON && ranges[2].count > NAMES_MAX)
        refusal = sf_refusal_make(SF_COORD_GARBAGE,
                                  "%zu makings are named at %.100s, at most %d can be taken away",
                                  ranges[2].count, etcd->options.root, NAMES_MAX);
    if (refusal.reason != SF_COORD_NO_REASON) {
        sf_etcd_job_refuse(etcd, job, result, &refusal);
        return;
    }
    work->before = found.version;
    work->root = root;
    work->makings = ranges[0].count == 1 ? strtoull(ranges[0].kvs[0].value, NULL, 10) : 0;
    work->name_count = ranges[2].count;
    for (size_t i = 0; i < work->name_count; i++)
        snprintf(work->names[i], sizeof work->names[i], "%s", ranges[2].kvs[i].key);
    if (init->after_data_loss)
        send_unname(etcd, job);
    else
        send_tree(etcd, job);
}

static void looked(struct sf_etcd *etcd, struct sf_etcd_job *job,
                   const struct sf_etcd_result *result)
{
    struct sf_etcd_range ranges[3] = {{0}};
    bool readable = true;
    for (size_t i = 0; i < 3; i++)
        readable = readable && sf_etcd_txn_range(result->answer.root, i, &ranges[i]) == 0;
    if (readable)
        take_look(etcd, job, result, ranges);
    else
        sf_etcd_job_unreadable(etcd, job, result);
    for (size_t i = 0; i < 3; i++)
        sf_etcd_range_free(&ranges[i]);
}

static void unnamed(struct sf_etcd *etcd, struct sf_etcd_job *job,
                    const struct sf_etcd_result *result)
{
    struct work *work = job->work;
    if (!sf_etcd_txn_succeeded(result->answer.root)) {
        const struct sf_refusal refusal = sf_refusal_config_raced(etcd->options.root, true);
        sf_etcd_job_refuse(etcd, job, result, &refusal);
        return;
    }
    char root[SF_ETCD_KEY_MAX], count[24];
    sf_etcd_key(etcd, root, "%s", "");
    snprintf(count, sizeof count, "%" PRIu64, work->makings + 1);
    job->touched = true;
    if (sf_etcd_txn_wrote(&result->answer, work->written, root, count, &work->root) < 0) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    work->makings++;
    work->name_count = 0;
    sf_etcd_survey_begin(&work->surveying, "");
    send_page(etcd, job);
}

static void surveyed(struct sf_etcd *etcd, struct sf_etcd_job *job,
                     const struct sf_etcd_result *result)
{
    struct work *work = job->work;
    struct sf_refusal refusal = {0};
    switch (sf_etcd_survey_take(etcd, &work->surveying, result)) {
    case 0:
        send_page(etcd, job);
        return;
    case 1:
        break;
    default:
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    if (sf_init_plan_floor(&job->request.u.init, etcd->options.root, &work->surveying.found,
                           &work->config.floor_ms, &refusal) < 0)
        sf_etcd_job_refuse(etcd, job, result, &refusal);
    else
        send_tree(etcd, job);
}

/* Are they there? The second of two deliveries finds what the first one made. */
static bool is_planted(const struct work *work, const json_t *root)
{
    const size_t at = sf_etcd_txn_succeeded(root) ? work->sent : 0;
    struct sf_etcd_range range = {0};
    if (sf_etcd_txn_range(root, at, &range) < 0)
        return false;
    const bool there = range.count == 1 && strcmp(range.kvs[0].key, work->last_key) == 0 &&
                       strcmp(range.kvs[0].value, work->last_value) == 0;
    sf_etcd_range_free(&range);
    return there;
}

static void planted(struct sf_etcd *etcd, struct sf_etcd_job *job,
                    const struct sf_etcd_result *result)
{
    struct work *work = job->work;
    job->touched = true;
    if (!is_planted(work, result->answer.root)) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    work->next += work->sent;
    if (work->next < record_count(work))
        send_tree(etcd, job);
    else
        send_name(etcd, job);
}

static void named(struct sf_etcd *etcd, struct sf_etcd_job *job,
                  const struct sf_etcd_result *result)
{
    struct work *work = job->work;
    if (!sf_etcd_txn_succeeded(result->answer.root)) {
        send_look(etcd, job, LOOK_AGAIN);
        return;
    }
    char key[SF_ETCD_KEY_MAX];
    struct sf_coord_version version;
    sf_etcd_key(etcd, key, "/config");
    char *value = sf_record_config_encode(&work->config);
    const int rc = sf_etcd_txn_wrote(&result->answer, work->written, key, value, &version);
    free(value);
    if (rc < 0) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    work->config.version = version;
    finish(etcd, job, result, &work->config);
}

/* Where a read is asked again it goes on with its step. */
void sf_etcd_init_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    if (job->work == NULL) {
        job->work = calloc(1, sizeof(struct work));
        SF_ASSERT(job->work != NULL);
    }
    if (work_of(job)->step == SURVEY)
        send_page(etcd, job);
    else
        send_look(etcd, job, work_of(job)->step == LOOK_AGAIN ? LOOK_AGAIN : LOOK);
}

void sf_etcd_init_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result)
{
    switch (work_of(job)->step) {
    case LOOK:
    case LOOK_AGAIN:
        looked(etcd, job, result);
        break;
    case UNNAME:
        unnamed(etcd, job, result);
        break;
    case SURVEY:
        surveyed(etcd, job, result);
        break;
    case TREE:
        planted(etcd, job, result);
        break;
    case NAME:
        named(etcd, job, result);
        break;
    }
}
