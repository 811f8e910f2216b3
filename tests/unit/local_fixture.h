/* unit/local_fixture.h - a directory and a handle of the local backend on it, whose disk may fail
 * or let the process die at any step. */
#ifndef SF_TESTS_LOCAL_FIXTURE_H
#define SF_TESTS_LOCAL_FIXTURE_H

#include "unit/cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "base/ticks.h"
#include "coord/local/local.h"
#include "coord/records.h"

static char root[128];

static inline int make_root(const char *base)
{
    snprintf(root, sizeof root, "%.80s/snowfleet-local-XXXXXX", base == NULL ? "/tmp" : base);
    return mkdtemp(root) == NULL ? -1 : 0;
}

static inline int setup(void **state)
{
    (void)state;
    return make_root(getenv("TMPDIR"));
}

static struct sf_coord_basis basis; /* as learn read it; requests have it */

/* In the directory; $T is the tree of the making that was learnt last. */
static inline void shell(const char *text)
{
    char command[640];
    snprintf(command, sizeof command, "cd %s && T=f/%s && %s", root, basis.token, text);
    assert_int_equal(system(command), 0);
}

static inline int teardown(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

/* A handle and what it said. */

struct ear {
    pthread_mutex_t lock;
    pthread_cond_t said;
    struct sf_coord_event *events; /* newest first */
    unsigned notices[SF_COORD_FLEET_CHANGED + 1];
};

static struct sf_coord *coord;
static struct ear ear = {.lock = PTHREAD_MUTEX_INITIALIZER, .said = PTHREAD_COND_INITIALIZER};

static inline void hear(void *ctx, struct sf_coord_event *event)
{
    (void)ctx;
    pthread_mutex_lock(&ear.lock);
    ear.notices[event->kind]++;
    event->link = ear.events;
    ear.events = event;
    pthread_cond_broadcast(&ear.said);
    pthread_mutex_unlock(&ear.lock);
}

static inline void forget(void)
{
    while (ear.events != NULL) {
        struct sf_coord_event *event = ear.events;
        ear.events = event->link;
        sf_coord_event_free(event);
    }
    memset(ear.notices, 0, sizeof ear.notices);
}

static inline int try_open(const char *url, const struct sf_disk *disk, struct sf_error *err)
{
    const struct sf_coord_options options = {
        .url = url, .fleet = "f", .ticks = &sf_ticks_system, .sink = hear};
    return sf_coord_local_open_faulty(&options, disk, &coord, err);
}

static inline void start(const struct sf_disk *disk)
{
    char url[160];
    snprintf(url, sizeof url, "local://%s", root);
    struct sf_error err = {0, ""};
    if (try_open(url, disk, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void stop(void)
{
    sf_coord_destroy(coord);
    coord = NULL;
}

static inline unsigned heard(enum sf_coord_event_kind kind)
{
    pthread_mutex_lock(&ear.lock);
    unsigned count = ear.notices[kind];
    pthread_mutex_unlock(&ear.lock);
    return count;
}

static inline bool wait_heard(enum sf_coord_event_kind kind, unsigned more_than)
{
    for (int i = 0; i < 5000; i++) {
        if (heard(kind) > more_than)
            return true;
        sf_sleep_ms(2);
    }
    return false;
}

static inline uint64_t submit(struct sf_coord_request *request)
{
    static uint64_t last_id;
    request->id = ++last_id;
    if (request->deadline_ms == 0)
        request->deadline_ms = 10000;
    if (request->basis.token[0] == '\0')
        request->basis = basis;
    sf_coord_submit(coord, request);
    return request->id;
}

static inline struct sf_coord_completion *wait_for(uint64_t id)
{
    const struct timespec end = {.tv_sec = sf_real_ns() / SF_NS_PER_S + 60};
    struct sf_coord_event *event = NULL;
    int rc = 0;
    pthread_mutex_lock(&ear.lock);
    while (event == NULL && rc == 0) {
        event = ear.events;
        while (event != NULL && (event->kind != SF_COORD_COMPLETION || event->completion.id != id))
            event = event->link;
        if (event == NULL)
            rc = pthread_cond_timedwait(&ear.said, &ear.lock, &end);
    }
    pthread_mutex_unlock(&ear.lock);
    if (event == NULL)
        fail_msg("no completion");
    return &event->completion;
}

static inline struct sf_coord_completion *call(struct sf_coord_request *request)
{
    return wait_for(submit(request));
}

/* Which making there is, for the requests that follow. Returns the config. */
static inline struct sf_coord_config learn(void)
{
    struct sf_coord_request read = {.op = SF_COORD_READ_CONFIG};
    struct sf_coord_completion *c = call(&read);
    if (c->outcome != SF_COORD_DONE || c->state == NULL)
        fail_msg("config: %s", c->text);
    memcpy(basis.token, c->config->token, sizeof basis.token);
    basis.config = c->config->version;
    basis.state = c->state->version;
    return *c->config;
}

static inline void random_hex(char to[SF_HEX128_SIZE])
{
    uint8_t bytes[16];
    sf_random_bytes(bytes, sizeof bytes);
    sf_hex128(bytes, to);
}

static inline struct sf_coord_request init_request(void)
{
    struct sf_coord_request request = {.op = SF_COORD_INIT};
    struct sf_coord_config *config = &request.u.init.config;
    request.u.init.survivor_max_ms = INT64_MAX;
    random_hex(config->token);
    config->max_window_ms = 600000;
    strcpy(config->fleet_id, "01234567-89ab-4def-8123-456789abcdef");
    config->layout = (struct sf_layout){41, 5, 2, 15};
    config->datacenter_count = 1;
    config->incarnation = 1;
    return request;
}

/* INIT of what is there now. */
static inline void survey(struct sf_coord_init *for_init)
{
    struct sf_coord_request request = {.op = SF_COORD_SURVEY};
    struct sf_coord_completion *c = call(&request);
    if (c->outcome != SF_COORD_DONE)
        fail_msg("survey: %s", c->text);
    for_init->root = c->survey->root;
    for_init->config.version = c->version;
}

static inline struct sf_coord_config init(void)
{
    struct sf_coord_request request = init_request();
    survey(&request.u.init);
    struct sf_coord_completion *c = call(&request);
    if (c->outcome != SF_COORD_DONE)
        fail_msg("init: %s", c->text);
    return learn();
}

static inline struct sf_coord_request claim_request(void)
{
    struct sf_coord_request request = {.op = SF_COORD_CLAIM};
    random_hex(request.u.claim.guid);
    return request;
}

static inline struct sf_coord_claim claim(void)
{
    struct sf_coord_request request = claim_request();
    struct sf_coord_completion *c = call(&request);
    if (c->outcome != SF_COORD_DONE)
        fail_msg("claim: %s", c->text);
    return c->claims[0];
}

static inline struct sf_coord_slot read_slot(uint64_t worker)
{
    struct sf_coord_request request = {.op = SF_COORD_READ_SLOT, .u.worker = worker};
    struct sf_coord_completion *c = call(&request);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    return c->slots[0];
}

static inline struct sf_coord_request write_request(enum sf_coord_op op,
                                                    const struct sf_coord_slot *slot,
                                                    const struct sf_coord_claim *of)
{
    struct sf_coord_request request = {.op = op};
    struct sf_coord_write *write = &request.u.write;
    write->slot = *slot;
    write->slot.fence = of->fence;
    memcpy(write->slot.claim, of->name, sizeof of->name);
    memcpy(write->slot.nonce, of->guid, sizeof of->guid);
    write->slot.reserved_until_ms += 1000;
    write->expected = *slot;
    return request;
}

static inline size_t live_claims(void)
{
    struct sf_coord_request request = {.op = SF_COORD_LIST};
    struct sf_coord_completion *c = call(&request);
    if (c->outcome != SF_COORD_DONE)
        fail_msg("list: %s", c->text);
    return c->claim_count;
}

static inline int files_in(const char *directory)
{
    char command[512];
    snprintf(command, sizeof command, "T=f/%s; ls -A %s/%s | wc -l", basis.token, root, directory);
    FILE *pipe = popen(command, "r");
    int count = -1;
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

struct plan {
    atomic_int countdown; /* the fault comes when it reaches 0; negative: never */
    int code;             /* what the step fails with; 0: the process dies */
    atomic_int step;      /* which step it hit */
    atomic_bool record;   /* and whether on the record of slot 1 */
};

static inline int strike(void *ctx, enum sf_disk_step step, const char *name)
{
    struct plan *plan = ctx;
    if (atomic_fetch_sub(&plan->countdown, 1) != 0)
        return 0;
    atomic_store(&plan->step, (int)step);
    atomic_store(&plan->record, strcmp(name, "1") == 0);
    if (plan->code == 0) {
        raise(SIGKILL); /* not _exit, where the thread sanitizer waits a second for other threads */
        pause();
    }
    return plan->code;
}

#endif
