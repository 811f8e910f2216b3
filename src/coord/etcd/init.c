/* coord/etcd/init.c - see init.h. */
#include "coord/etcd/init.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "coord/etcd/body.h"
#include "coord/etcd/read.h"
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
    uint64_t garbage; /* a slot whose record is not ours */
    bool has_garbage;
    unsigned datacenter_count, next; /* datacenters, and the one that is worked at */
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

static uint64_t datacenter_at(const struct sf_etcd_job *job, unsigned index)
{
    const struct sf_coord_config *config = config_of(job);
    return config->any_datacenter ? index : config->datacenters[index];
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
    sf_etcd_key(etcd, key, "/dc/%" PRIu64 "/slots/", datacenter_at(job, work_of(job)->next));
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
        sf_etcd_key(etcd, keys[i], "/dc/%" PRIu64 "/slots/%" PRIu64, datacenter_at(job, work->next),
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
    if (work_of(job)->next < work_of(job)->datacenter_count)
        send_read_slots(etcd, job);
    else if (work_of(job)->config_written)
        finish(etcd, job, result);
    else
        send_write_config(etcd, job);
}

static void unreadable(struct sf_etcd *etcd, struct sf_etcd_job *job,
                       const struct sf_etcd_result *result)
{
    sf_etcd_job_refuse(etcd, job, result, SF_COORD_LOST, SF_COORD_UNREACHABLE,
                       "etcd: an answer without its content");
}

static void config_read(struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_result *result)
{
    struct sf_etcd_range range = {0};
    struct sf_coord_config there;
    char text[SF_COORD_TEXT_MAX];
    if (sf_etcd_txn_range(result->answer.root, 0, &range) < 0) {
        unreadable(etcd, job, result);
        return;
    }
    const bool loss = job->request.u.init.after_data_loss;
    const enum sf_coord_reason reason = sf_etcd_read_config(&range, &there, text);
    if (range.count == 1)
        work_of(job)->version =
            (struct sf_coord_version){range.kvs[0].create_revision, range.kvs[0].mod_revision};
    struct sf_coord_config *wanted = &job->request.u.init.config;
    if (reason == SF_COORD_NO_REASON && wanted->incarnation <= there.incarnation)
        wanted->incarnation = there.incarnation + 1;
    sf_etcd_range_free(&range);
    if (reason == SF_COORD_GARBAGE && !loss)
        sf_etcd_job_refuse(etcd, job, result, SF_COORD_REFUSED, reason, "%s: %s/config", text,
                           etcd->options.root);
    else if (reason == SF_COORD_NO_REASON && !loss)
        sf_etcd_job_refuse(etcd, job, result, SF_COORD_REFUSED, SF_COORD_EXISTS,
                           "the fleet is there already: %s/config", etcd->options.root);
    else if (reason == SF_COORD_NO_REASON)
        send_write_config(etcd, job);
    else
        go_on(etcd, job, result);
}

static void config_written(struct sf_etcd *etcd, struct sf_etcd_job *job,
                           const struct sf_etcd_result *result)
{
    struct work *work = job->work;
    const bool loss = job->request.u.init.after_data_loss;
    if (!sf_etcd_txn_succeeded(result->answer.root)) {
        sf_etcd_job_refuse(etcd, job, result, SF_COORD_REFUSED,
                           loss ? SF_COORD_VERSION : SF_COORD_EXISTS,
                           "somebody else has written %s/config meanwhile", etcd->options.root);
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

/* What has to be written for one record: NULL when it is fine as it is. A raised record loses its
 * nonce: it is nobody's own write, and its owner must not take it for acknowledged. */
static char *new_value(struct sf_etcd *etcd, struct sf_etcd_job *job, uint64_t worker,
                       const struct sf_etcd_kv *kv)
{
    const int64_t floor_ms = config_of(job)->floor_ms;
    const int64_t now_ms = sf_etcd_real_ms(etcd);
    struct sf_coord_slot slot, there = {0};
    sf_record_slot_fresh(worker, floor_ms, now_ms, &slot);
    if (kv == NULL)
        return sf_record_slot_encode(&slot);
    if (sf_record_slot_decode(kv->value, kv->value_size, worker, &there, NULL) == 0) {
        if (there.reserved_until_ms >= floor_ms)
            return NULL;
        slot = there;
        slot.reserved_until_ms = floor_ms;
        slot.updated_ms = now_ms;
        slot.nonce[0] = '\0';
    } else if (!job->request.u.init.after_data_loss) {
        work_of(job)->has_garbage = true;
        work_of(job)->garbage = worker;
        return NULL;
    }
    return sf_record_slot_encode(&slot);
}

static void plan(struct sf_etcd *etcd, struct sf_etcd_job *job, const struct sf_etcd_range *range)
{
    struct work *work = job->work;
    const uint64_t max = sf_layout_max_worker(&config_of(job)->layout);
    char prefix[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, prefix, "/dc/%" PRIu64 "/slots/", datacenter_at(job, work->next));
    const struct sf_etcd_kv **there = calloc(max + 1, sizeof *there);
    work->todos = calloc(max + 1, sizeof *work->todos);
    SF_ASSERT(there != NULL && work->todos != NULL);
    for (size_t i = 0; i < range->count; i++) {
        const char *number = range->kvs[i].key + strlen(prefix);
        uint64_t worker = 0;
        if ((number[0] != '0' || number[1] == '\0') && sf_parse_u64(number, 0, max, &worker) == 0)
            there[worker] = &range->kvs[i];
    }
    for (uint64_t worker = 0; worker <= max; worker++) {
        char *value = new_value(etcd, job, worker, there[worker]);
        if (value != NULL)
            work->todos[work->todo_count++] =
                (struct todo){worker, there[worker] ? there[worker]->mod_revision : 0, value};
    }
    free(there);
}

static void slots_read(struct sf_etcd *etcd, struct sf_etcd_job *job,
                       const struct sf_etcd_result *result)
{
    struct sf_etcd_range range = {0};
    if (sf_etcd_txn_range(result->answer.root, 0, &range) < 0) {
        unreadable(etcd, job, result);
        return;
    }
    plan(etcd, job, &range);
    sf_etcd_range_free(&range);
    if (work_of(job)->has_garbage) {
        sf_etcd_job_refuse(etcd, job, result, SF_COORD_REFUSED, SF_COORD_GARBAGE,
                           "%.80s/dc/%" PRIu64 "/slots/%" PRIu64 " is not a record of ours",
                           etcd->options.root, datacenter_at(job, work_of(job)->next),
                           work_of(job)->garbage);
        return;
    }
    if (work_of(job)->todo_count > 0) {
        send_write_slots(etcd, job);
        return;
    }
    work_of(job)->next++;
    go_on(etcd, job, result);
}

static void slots_written(struct sf_etcd *etcd, struct sf_etcd_job *job,
                          const struct sf_etcd_result *result)
{
    struct work *work = job->work;
    if (!sf_etcd_txn_succeeded(result->answer.root)) {
        if (++work->races > RACES_MAX)
            sf_etcd_job_refuse(etcd, job, result, SF_COORD_REFUSED, SF_COORD_VERSION,
                               "others keep writing the slot records of datacenter %" PRIu64,
                               datacenter_at(job, work->next));
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

/* What is wrong with the request, or NULL. */
static const char *check(const struct sf_coord_config *config, unsigned *ret_datacenters)
{
    char *record = sf_record_config_encode(config);
    struct sf_coord_config back = {.floor_ms = 0};
    const int rc = sf_record_config_decode(record, strlen(record), &back, NULL);
    free(record);
    if (rc < 0)
        return "the config to write would not be readable";
    const uint64_t count = config->any_datacenter ? sf_layout_max_datacenter(&config->layout) + 1
                                                  : config->datacenter_count;
    if (count * (sf_layout_max_worker(&config->layout) + 1) > SF_COORD_RECORDS_MAX)
        return "more slot records than SF_COORD_RECORDS_MAX: list fewer datacenters";
    *ret_datacenters = (unsigned)count;
    return NULL;
}

void sf_etcd_init_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    unsigned datacenters = 0;
    const char *wrong = check(config_of(job), &datacenters);
    if (wrong != NULL) {
        sf_etcd_job_refuse(etcd, job, NULL, SF_COORD_REFUSED, SF_COORD_INVALID, "%s", wrong);
        return;
    }
    char key[SF_ETCD_KEY_MAX];
    struct work *work = calloc(1, sizeof *work);
    SF_ASSERT(work != NULL);
    work->datacenter_count = datacenters;
    job->work = work;
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
