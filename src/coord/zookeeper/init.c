/* coord/zookeeper/init.c - see init.h. */
#include "coord/zookeeper/init.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/init_plan.h"
#include "coord/records.h"
#include "coord/zookeeper/acl.h"
#include "coord/zookeeper/call.h"
#include "coord/zookeeper/read.h"

#define CONFLICTS_MAX 16
#define BATCH         64 /* writes in one multi */

struct wanted {
    uint64_t datacenter, worker;
    bool write, there;
    uint64_t version;
    char *content;
};

struct init {
    struct sf_coord_config config;
    bool config_there;
    bool config_first;   /* a fleet is replaced */
    bool config_written; /* and has been: it stays so when records must be looked at again */
    uint64_t config_version;
    size_t shared; /* directories above the fleet's: chroot and /snowfleet */
    size_t datacenters, workers;
    struct wanted *wanted; /* datacenters * workers */
    size_t *writes;        /* those to write */
    size_t write_count;
    unsigned conflicts; /* passes in which somebody else wrote between our read and our write */
    bool conflict;      /* in this pass */
};

void sf_zk_init_free(void *work)
{
    struct init *init = work;
    for (size_t i = 0; init->wanted != NULL && i < init->datacenters * init->workers; i++)
        free(init->wanted[i].content);
    free(init->wanted);
    free(init->writes);
    free(init);
}

static struct init *init_of(const struct sf_zk_job *job)
{
    return job->work;
}

static void look_at_config(struct sf_zk *z, struct sf_zk_job *job);
static void make_directories(struct sf_zk *z, struct sf_zk_job *job);

/* Two INITs run at once, or workers of an old life renew. Nothing but the records that we saw is
 * overwritten, so we start over; the config decides in the end who made the fleet. */
static void look_again(struct sf_zk *z, struct sf_zk_job *job)
{
    struct init *init = job->work;
    if (++init->conflicts == CONFLICTS_MAX) {
        const struct sf_refusal refusal =
            sf_refusal_slots_raced(z->options.root, sf_init_datacenter(&init->config, 0));
        sf_zk_refuse(z, job, &refusal);
        return;
    }
    for (size_t i = 0; i < init->datacenters * init->workers; i++)
        free(init->wanted[i].content);
    free(init->wanted);
    free(init->writes);
    init->wanted = NULL;
    init->writes = NULL;
    init->write_count = 0;
    init->conflict = false;
    if (init->config_written) {
        make_directories(z, job);
        return;
    }
    look_at_config(z, job);
}

/* The config. */

static void config_written(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == ZNODEEXISTS || call->rc == ZBADVERSION) {
        const struct sf_refusal refusal =
            sf_refusal_config_raced(z->options.root, job->request.u.init.after_data_loss);
        sf_zk_refuse(z, job, &refusal);
        return;
    }
    if (call->rc != ZOK) {
        sf_zk_finish_rc(z, job, call->rc, "writing the fleet's config");
        return;
    }
    SF_ASSERT(call->has_stat);
    init_of(job)->config_written = true;
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    *config = init_of(job)->config;
    config->version = (struct sf_coord_version){(uint64_t)call->stat.czxid,
                                                (uint64_t)(uint32_t)call->stat.version};
    job->event->completion.config = config;
    job->event->completion.server_ms = call->stat.mtime;
    job->event->completion.server_error_ms = 2;
}

static int issue_config_write(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_path(z, path, "/config");
    char *content = sf_record_config_encode(&init_of(job)->config);
    const int rc =
        init_of(job)->config_there
            ? sf_zk_set(z, job, path, content, init_of(job)->config_version, config_written)
            : sf_zk_create(z, job, index, path, content, sf_zk_acl_record(&z->options), 0,
                           config_written);
    free(content);
    return rc;
}

static void records_written(struct sf_zk *z, struct sf_zk_job *job)
{
    if (init_of(job)->conflict)
        look_again(z, job);
    else if (init_of(job)->config_written)
        sf_zk_finish_done(z, job);
    else
        sf_zk_phase(z, job, 1, issue_config_write, sf_zk_finish_done);
}

static void batch_written(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (call->rc == ZNODEEXISTS || call->rc == ZBADVERSION || call->rc == ZNONODE)
        init_of(job)->conflict = true; /* the batch was surely not done: look again */
    else if (call->rc != ZOK)
        sf_zk_finish_rc(z, job, call->rc, "making the slots' records");
}

static int issue_batch(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    struct init *init = job->work;
    size_t first = index * BATCH, left = init->write_count - first;
    const int count = left < BATCH ? (int)left : BATCH;
    struct sf_zk_multi *multi = sf_zk_multi_create(count);
    for (int i = 0; i < count; i++) {
        const struct wanted *wanted = &init->wanted[init->writes[first + (size_t)i]];
        char path[SF_ZK_PATH_MAX];
        sf_zk_slot_path(z, path, wanted->datacenter, wanted->worker);
        if (wanted->there)
            sf_zk_multi_set(multi, path, wanted->content, wanted->version);
        else
            sf_zk_multi_create_node(multi, path, wanted->content, sf_zk_acl_record(&z->options));
    }
    return sf_zk_multi_send(z, job, index, multi, batch_written);
}

static void write_records(struct sf_zk *z, struct sf_zk_job *job)
{
    struct init *init = job->work;
    const size_t total = init->datacenters * init->workers;
    init->writes = calloc(total, sizeof *init->writes);
    SF_ASSERT(init->writes != NULL);
    for (size_t i = 0; i < total; i++)
        if (init->wanted[i].write)
            init->writes[init->write_count++] = i;
    sf_zk_phase(z, job, (init->write_count + BATCH - 1) / BATCH, issue_batch, records_written);
}

static void record_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct wanted *wanted = &init_of(job)->wanted[call->index];
    struct sf_coord_slot found = {.worker = wanted->worker, .state = SF_COORD_RECORD_MISSING}, slot;
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    if (call->rc != ZOK && call->rc != ZNONODE) {
        sf_zk_finish_rc(z, job, call->rc, "reading a slot");
        return;
    }
    wanted->there = call->rc == ZOK;
    wanted->version = wanted->there ? (uint64_t)(uint32_t)call->stat.version : 0;
    if (wanted->version > SF_ZK_VERSION_MAX) {
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID,
                     "slot %" PRIu64 " has been written more than 2^30 times", wanted->worker);
        return;
    }
    if (wanted->there && sf_zk_slot_from(call, wanted->worker, &found, &err) < 0)
        found.state = SF_COORD_RECORD_GARBAGE;
    switch (sf_init_plan_slot(&job->request.u.init, z->options.root, wanted->datacenter, &found,
                              err.text, sf_zk_real_ms(z), &slot, &refusal)) {
    case SF_INIT_KEEP:
        return;
    case SF_INIT_WRITE:
        wanted->write = true;
        wanted->content = sf_record_slot_encode(&slot);
        return;
    case SF_INIT_REFUSED:
        sf_zk_refuse(z, job, &refusal);
        return;
    }
}

static int issue_record_read(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    struct init *init = job->work;
    struct wanted *wanted = &init->wanted[index];
    char path[SF_ZK_PATH_MAX];
    wanted->datacenter = sf_init_datacenter(&init->config, index / init->workers);
    wanted->worker = index % init->workers;
    sf_zk_slot_path(z, path, wanted->datacenter, wanted->worker);
    return sf_zk_get(z, job, index, path, record_read);
}

static void read_records(struct sf_zk *z, struct sf_zk_job *job)
{
    struct init *init = job->work;
    init->wanted = calloc(init->datacenters * init->workers, sizeof *init->wanted);
    SF_ASSERT(init->wanted != NULL);
    sf_zk_phase(z, job, init->datacenters * init->workers, issue_record_read, write_records);
}

/* Directories, parents first: requests of one session are done in order. */

static size_t chroot_parts(const char *chroot)
{
    size_t count = 0;
    for (; *chroot != '\0'; chroot++)
        count += *chroot == '/';
    return count;
}

/* The first `parts` parts of the root: the chroot's, then /snowfleet, then the fleet's own. */
static void root_prefix(const struct sf_zk *z, size_t parts, char to[SF_ZK_PATH_MAX])
{
    const char *at = z->options.root;
    for (size_t i = 0; i < parts; i++)
        at += 1 + strcspn(at + 1, "/");
    snprintf(to, SF_ZK_PATH_MAX, "%.*s", (int)(at - z->options.root), z->options.root);
}

static void directory_made(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    /* Where we may not create, the directory may still be there: its children will tell. */
    if (call->rc == ZOK || call->rc == ZNODEEXISTS)
        return;
    if (call->rc == ZNOAUTH && call->index < init_of(job)->shared)
        return;
    sf_zk_finish_rc(z, job, call->rc, "making the fleet's directories");
}

static int issue_directory(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct init *init = job->work;
    char path[SF_ZK_PATH_MAX];
    const struct ACL_vector *acl = sf_zk_acl_directory(&z->options);
    if (index < init->shared) {
        root_prefix(z, index + 1, path);
        acl = sf_zk_acl_shared();
    } else if (index == init->shared) {
        sf_zk_path(z, path, "%s", "");
    } else if (index == init->shared + 1) {
        sf_zk_path(z, path, "/dc");
    } else {
        const size_t rest = index - init->shared - 2;
        static const char *const parts[] = {"", "/slots", "/claims"};
        sf_zk_path(z, path, "/dc/%" PRIu64 "%s", sf_init_datacenter(&init->config, rest / 3),
                   parts[rest % 3]);
        if (rest % 3 == 1)
            acl = sf_zk_acl_slots(&z->options);
    }
    return sf_zk_create(z, job, index, path, "", acl, 0, directory_made);
}

static void make_directories(struct sf_zk *z, struct sf_zk_job *job)
{
    struct init *init = job->work;
    init->shared = chroot_parts(z->options.url.chroot) + 1;
    sf_zk_phase(z, job, init->shared + 2 + init->datacenters * 3, issue_directory, read_records);
}

/* What is there now. */

static void old_config_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct init *init = job->work;
    if (call->rc != ZOK && call->rc != ZNONODE) {
        sf_zk_finish_rc(z, job, call->rc, "reading the fleet's config");
        return;
    }
    struct sf_coord_config *there = calloc(1, sizeof *there);
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    SF_ASSERT(there != NULL);
    struct sf_init_found found = {
        .state = SF_COORD_RECORD_MISSING, .config = there, .why = err.text};
    init->config_there = call->rc == ZOK;
    init->config_version = init->config_there ? (uint64_t)(uint32_t)call->stat.version : 0;
    if (init->config_there)
        found.state =
            sf_zk_config_from(call, there, &err) < 0 ? SF_COORD_RECORD_GARBAGE : SF_COORD_RECORD_OK;
    if (sf_init_plan_config(&job->request.u.init, z->options.root, &found, &init->config,
                            &init->config_first, &refusal) < 0)
        sf_zk_refuse(z, job, &refusal);
    else if (init->config_version > SF_ZK_VERSION_MAX)
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID,
                     "the config has been written more than 2^30 times");
    free(there);
}

static int issue_old_config(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_path(z, path, "/config");
    return index == 0 ? sf_zk_sync(z, job, path, sf_zk_synced)
                      : sf_zk_get(z, job, index, path, old_config_read);
}

static void config_looked_at(struct sf_zk *z, struct sf_zk_job *job)
{
    if (init_of(job)->config_first)
        sf_zk_phase(z, job, 1, issue_config_write, make_directories);
    else
        make_directories(z, job);
}

static void look_at_config(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 2, issue_old_config, config_looked_at);
}

void sf_zk_init(struct sf_zk *z, struct sf_zk_job *job)
{
    struct init *init = calloc(1, sizeof *init);
    SF_ASSERT(init != NULL);
    init->config = job->request.u.init.config;
    init->datacenters = sf_init_datacenter_count(&init->config);
    init->workers = sf_init_worker_count(&init->config);
    job->work = init;
    look_at_config(z, job);
}
