/* coord/etcd/init.c - see init.h. */
#include "coord/etcd/init.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/etcd/body.h"
#include "coord/etcd/read.h"
#include "coord/init_plan.h"
#include "coord/records.h"

#define RACES_MAX 5
#define TXN_OPS   100 /* below etcd's --max-txn-ops of 128 */

enum step { READ_CONFIG, WRITE_CONFIG, READ_SLOTS, WRITE_SLOTS };

struct todo {
    uint64_t worker;
    uint64_t mod_revision; /* 0: there is none */
    char *value;
};

struct work {
    enum step step;
    struct sf_coord_version version; /* of the config; 0: none there */
    bool config_written;
    size_t next; /* index of the datacenter that is worked at */
    unsigned races;
    struct todo *todos; /* of this datacenter */
    size_t todo_count, todo_done, todo_sent;
};

static void free_todos(struct work *work)
{
    for (size_t i = 0; i < work->todo_count; i++)
        free(work->todos[i].value);
    free(work->todos);
    work->todos = NULL;
    work->todo_count = work->todo_done = work->todo_sent = 0;
}

void sf_etcd_init_free(void *work)
{
    free_todos(work);
    free(work);
}

static struct work *work_of(const struct sf_etcd_job *job)
{
    return job->work;
}

static const struct sf_coord_config *config_of(const struct sf_etcd_job *job)
{
    return &job->request.u.init.config;
}

/* The datacenter that is worked at. */
static uint64_t datacenter_of(const struct sf_etcd_job *job)
{
    return sf_init_datacenter(config_of(job), work_of(job)->next);
}

static void send_read(struct sf_etcd *etcd, struct sf_etcd_job *job, enum step step,
                      const char *key)
{
    const struct sf_etcd_op op = {.kind = step == READ_CONFIG ? SF_ETCD_GET : SF_ETCD_GET_PREFIX,
                                  .key = key};
    work_of(job)->step = step;
    sf_etcd_job_send(etcd, job, "/v3/kv/txn",
                     sf_etcd_body_txn(&(struct sf_etcd_txn){.success = &op, .success_count = 1}),
                     false, SF_ETCD_INIT_MS);
}

static void send_read_slots(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char key[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, key, "/dc/%" PRIu64 "/slots/", datacenter_of(job));
    free_todos(job->work);
    send_read(etcd, job, READ_SLOTS, key);
}

static void send_write_config(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char key[SF_ETCD_KEY_MAX];
    struct work *work = job->work;
    sf_etcd_key(etcd, key, "/config");
    char *value = sf_record_config_encode(config_of(job));
    const struct sf_etcd_compare compares[] = {
        {.key = key, .target = SF_ETCD_CREATE, .revision = work->version.incarnation},
        {.key = key, .target = SF_ETCD_MOD, .revision = work->version.version}};
    const struct sf_etcd_op put = {.kind = SF_ETCD_PUT, .key = key, .value = value};
    work->step = WRITE_CONFIG;
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_body_txn(&(struct sf_etcd_txn){
            .compares = compares, .compare_count = 2, .success = &put, .success_count = 1}),
        true, SF_ETCD_INIT_MS);
    free(value);
}

static void send_write_slots(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    static const size_t max = TXN_OPS;
    struct work *work = job->work;
    const size_t left = work->todo_count - work->todo_done;
    work->todo_sent = left < max ? left : max;
    char(*keys)[SF_ETCD_KEY_MAX] = calloc(work->todo_sent, sizeof *keys);
    struct sf_etcd_compare *compares = calloc(work->todo_sent, sizeof *compares);
    struct sf_etcd_op *puts = calloc(work->todo_sent, sizeof *puts);
    SF_ASSERT(keys != NULL && compares != NULL && puts != NULL);
    for (size_t i = 0; i < work->todo_sent; i++) {
        const struct todo *todo = &work->todos[work->todo_done + i];
        sf_etcd_key(etcd, keys[i], "/dc/%" PRIu64 "/slots/%" PRIu64, datacenter_of(job),
                    todo->worker);
        compares[i] = (struct sf_etcd_compare){
            .key = keys[i], .target = SF_ETCD_MOD, .revision = todo->mod_revision};
        puts[i] = (struct sf_etcd_op){.kind = SF_ETCD_PUT, .key = keys[i], .value = todo->value};
    }
    work->step = WRITE_SLOTS;
    sf_etcd_job_send(etcd, job, "/v3/kv/txn",
                     sf_etcd_body_txn(&(struct sf_etcd_txn){.compares = compares,
                                                            .compare_count = work->todo_sent,
                                                            .success = puts,
                                                            .success_count = work->todo_sent}),
                     true, SF_ETCD_INIT_MS);
    free(keys);
    free(compares);
    free(puts);
}

static void finish(struct sf_etcd *etcd, struct sf_etcd_job *job,
                   const struct sf_etcd_result *result)
{
    struct sf_coord_config *config = malloc(sizeof *config);
    SF_ASSERT(config != NULL);
    *config = *config_of(job);
    config->version = work_of(job)->version;
    struct sf_coord_event *event = sf_etcd_job_done(job);
    event->completion.config = config;
    sf_etcd_job_finish(etcd, job, event, result);
}

/* The next datacenter, or what comes after the last. */
static void go_on(struct sf_etcd *etcd, struct sf_etcd_job *job,
                  const struct sf_etcd_result *result)
{
    if (work_of(job)->next < sf_init_datacenter_count(config_of(job)))
        send_read_slots(etcd, job);
    else if (work_of(job)->config_written)
        finish(etcd, job, result);
    else
        send_write_config(etcd, job);
}

static void config_read(struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_result *result)
{
    struct sf_etcd_range range = {0};
    struct sf_coord_config there, config;
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    bool first = false;
    if (sf_etcd_txn_range(result->answer.root, 0, &range) < 0) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    const struct sf_init_found found = {
        .state = sf_etcd_config_from(&range, &there, &err), .config = &there, .why = err.text};
    if (range.count == 1)
        work_of(job)->version =
            (struct sf_coord_version){range.kvs[0].create_revision, range.kvs[0].mod_revision};
    sf_etcd_range_free(&range);
    if (sf_init_plan_config(&job->request.u.init, etcd->options.root, &found, &config, &first,
                            &refusal) < 0) {
        sf_etcd_job_refuse(etcd, job, result, &refusal);
        return;
    }
    job->request.u.init.config = config;
    if (first)
        send_write_config(etcd, job);
    else
        go_on(etcd, job, result);
}

static void config_written(struct sf_etcd *etcd, struct sf_etcd_job *job,
                           const struct sf_etcd_result *result)
{
    struct work *work = job->work;
    if (!sf_etcd_txn_succeeded(result->answer.root)) {
        const struct sf_refusal refusal =
            sf_refusal_config_raced(etcd->options.root, job->request.u.init.after_data_loss);
        sf_etcd_job_refuse(etcd, job, result, &refusal);
        return;
    }
    job->touched = true;
    const uint64_t revision = result->answer.header.revision;
    if (work->version.incarnation == 0)
        work->version.incarnation = revision;
    work->version.version = revision;
    work->config_written = true;
    go_on(etcd, job, result);
}

/* What has to be written for one record; kv NULL: there is none. Returns -1 with the refusal. */
static int plan_slot(struct sf_etcd *etcd, struct sf_etcd_job *job, uint64_t worker,
                     const struct sf_etcd_kv *kv, struct sf_refusal *ret_refusal)
{
    struct work *work = job->work;
    struct sf_coord_slot slot, found = {.worker = worker, .state = SF_COORD_RECORD_MISSING};
    struct sf_error err = {0};
    if (kv != NULL)
        (void)sf_etcd_slot_from(kv, worker, &found, &err);
    switch (sf_init_plan_slot(&job->request.u.init, etcd->options.root, datacenter_of(job), &found,
                              err.text, sf_etcd_real_ms(etcd), &slot, ret_refusal)) {
    case SF_INIT_KEEP:
        return 0;
    case SF_INIT_WRITE:
        work->todos[work->todo_count++] =
            (struct todo){worker, found.version.version, sf_record_slot_encode(&slot)};
        return 0;
    case SF_INIT_REFUSED:
        break;
    }
    return -1;
}

static int plan(struct sf_etcd *etcd, struct sf_etcd_job *job, const struct sf_etcd_range *range,
                struct sf_refusal *ret_refusal)
{
    struct work *work = job->work;
    const uint64_t max = sf_layout_max_worker(&config_of(job)->layout);
    char prefix[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, prefix, "/dc/%" PRIu64 "/slots/", datacenter_of(job));
    const struct sf_etcd_kv **there = calloc(max + 1, sizeof *there);
    work->todos = calloc(max + 1, sizeof *work->todos);
    SF_ASSERT(there != NULL && work->todos != NULL);
    for (size_t i = 0; i < range->count; i++) {
        uint64_t worker = 0;
        if (sf_etcd_slot_number(&range->kvs[i], prefix, max, &worker) == 0)
            there[worker] = &range->kvs[i];
    }
    int rc = 0;
    for (uint64_t worker = 0; rc == 0 && worker <= max; worker++)
        rc = plan_slot(etcd, job, worker, there[worker], ret_refusal);
    free(there);
    return rc;
}

static void slots_read(struct sf_etcd *etcd, struct sf_etcd_job *job,
                       const struct sf_etcd_result *result)
{
    struct sf_etcd_range range = {0};
    struct sf_refusal refusal = {0};
    if (sf_etcd_txn_range(result->answer.root, 0, &range) < 0) {
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    const int rc = plan(etcd, job, &range, &refusal);
    sf_etcd_range_free(&range);
    if (rc < 0) {
        sf_etcd_job_refuse(etcd, job, result, &refusal);
    } else if (work_of(job)->todo_count > 0) {
        send_write_slots(etcd, job);
    } else {
        work_of(job)->next++;
        go_on(etcd, job, result);
    }
}

static void slots_written(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    struct work *work = job->work;
    if (!sf_etcd_txn_succeeded(result->answer.root)) {
        const struct sf_refusal refusal =
            sf_refusal_slots_raced(etcd->options.root, datacenter_of(job));
        if (++work->races > RACES_MAX)
            sf_etcd_job_refuse(etcd, job, result, &refusal);
        else
            send_read_slots(etcd, job);
        return;
    }
    job->touched = true;
    work->todo_done += work->todo_sent;
    if (work->todo_done < work->todo_count) {
        send_write_slots(etcd, job);
        return;
    }
    work->next++;
    go_on(etcd, job, result);
}

void sf_etcd_init_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char key[SF_ETCD_KEY_MAX];
    job->work = calloc(1, sizeof(struct work));
    SF_ASSERT(job->work != NULL);
    sf_etcd_key(etcd, key, "/config");
    send_read(etcd, job, READ_CONFIG, key);
}

void sf_etcd_init_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result)
{
    switch (work_of(job)->step) {
    case READ_CONFIG:
        config_read(etcd, job, result);
        break;
    case WRITE_CONFIG:
        config_written(etcd, job, result);
        break;
    case READ_SLOTS:
        slots_read(etcd, job, result);
        break;
    case WRITE_SLOTS:
        slots_written(etcd, job, result);
        break;
    }
}
