/* unit/test_coord_local.c - what the contract suite cannot reach: a disk that fails, stalls or is
 * damaged, processes that die or fork at every step, and directories that are not fit. */
#include "cmocka_all.h"

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
#include "coord/local.h"
#include "coord/records.h"

static char root[128];

static int setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof root, "%.80s/snowfleet-local-XXXXXX", base == NULL ? "/tmp" : base);
    return mkdtemp(root) == NULL ? -1 : 0;
}

static void shell(const char *format)
{
    char command[512];
    snprintf(command, sizeof command, "cd %s && %s", root, format);
    assert_int_equal(system(command), 0);
}

static int teardown(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

/* A handle and what it said. */

struct ear {
    pthread_mutex_t lock;
    struct sf_coord_event *events; /* newest first */
    unsigned notices[SF_COORD_CHANGED + 1];
};

static struct sf_coord *coord;
static struct ear ear = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void hear(void *ctx, struct sf_coord_event *event)
{
    (void)ctx;
    pthread_mutex_lock(&ear.lock);
    ear.notices[event->kind]++;
    event->link = ear.events;
    ear.events = event;
    pthread_mutex_unlock(&ear.lock);
}

static void forget(void)
{
    while (ear.events != NULL) {
        struct sf_coord_event *event = ear.events;
        ear.events = event->link;
        sf_coord_event_free(event);
    }
    memset(ear.notices, 0, sizeof ear.notices);
}

static int try_open(const char *url, const struct sf_disk *disk, struct sf_error *err)
{
    const struct sf_coord_options options = {
        .url = url, .fleet = "f", .ticks = &sf_ticks_system, .sink = hear};
    return sf_coord_local_open_faulty(&options, disk, &coord, err);
}

static void start(const struct sf_disk *disk)
{
    char url[160];
    snprintf(url, sizeof url, "local://%s", root);
    struct sf_error err = {0, ""};
    if (try_open(url, disk, &err) < 0)
        fail_msg("%s", err.text);
}

static void stop(void)
{
    sf_coord_destroy(coord);
    coord = NULL;
}

static unsigned heard(enum sf_coord_event_kind kind)
{
    pthread_mutex_lock(&ear.lock);
    unsigned count = ear.notices[kind];
    pthread_mutex_unlock(&ear.lock);
    return count;
}

static bool wait_heard(enum sf_coord_event_kind kind, unsigned more_than)
{
    for (int i = 0; i < 5000; i++) {
        if (heard(kind) > more_than)
            return true;
        sf_sleep_ms(2);
    }
    return false;
}

static uint64_t submit(struct sf_coord_request *request)
{
    static uint64_t last_id;
    request->id = ++last_id;
    if (request->deadline_ms == 0)
        request->deadline_ms = 10000;
    sf_coord_submit(coord, request);
    return request->id;
}

static struct sf_coord_completion *wait_for(uint64_t id)
{
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&ear.lock);
        struct sf_coord_event *event = ear.events;
        while (event != NULL && (event->kind != SF_COORD_COMPLETION || event->completion.id != id))
            event = event->link;
        pthread_mutex_unlock(&ear.lock);
        if (event != NULL)
            return &event->completion;
        sf_sleep_ms(2);
    }
    fail_msg("no completion");
    return NULL;
}

static struct sf_coord_completion *call(struct sf_coord_request *request)
{
    return wait_for(submit(request));
}

static struct sf_coord_request init_request(void)
{
    struct sf_coord_request request = {.op = SF_COORD_INIT};
    struct sf_coord_config *config = &request.u.init.config;
    strcpy(config->fleet_id, "01234567-89ab-4def-8123-456789abcdef");
    config->layout = (struct sf_layout){41, 5, 2, 15};
    config->datacenter_count = 1;
    config->incarnation = 1;
    return request;
}

static struct sf_coord_config init(void)
{
    struct sf_coord_request request = init_request();
    struct sf_coord_completion *c = call(&request);
    if (c->outcome != SF_COORD_DONE)
        fail_msg("init: %s", c->text);
    return *c->config;
}

static struct sf_coord_request claim_request(void)
{
    struct sf_coord_request request = {.op = SF_COORD_CLAIM};
    uint8_t bytes[16];
    sf_random_bytes(bytes, sizeof bytes);
    sf_hex128(bytes, request.u.claim.guid);
    return request;
}

static struct sf_coord_claim claim(void)
{
    struct sf_coord_request request = claim_request();
    struct sf_coord_completion *c = call(&request);
    if (c->outcome != SF_COORD_DONE)
        fail_msg("claim: %s", c->text);
    return c->claims[0];
}

static struct sf_coord_slot read_slot(uint64_t worker)
{
    struct sf_coord_request request = {.op = SF_COORD_READ_SLOT, .u.worker = worker};
    struct sf_coord_completion *c = call(&request);
    assert_int_equal(c->outcome, SF_COORD_DONE);
    return c->slots[0];
}

static struct sf_coord_request write_request(enum sf_coord_op op, const struct sf_coord_slot *slot,
                                             const struct sf_coord_claim *of,
                                             const struct sf_coord_config *config)
{
    struct sf_coord_request request = {.op = op};
    struct sf_coord_write *write = &request.u.write;
    write->slot = *slot;
    write->slot.fence = of->fence;
    memcpy(write->slot.claim, of->name, sizeof of->name);
    memcpy(write->slot.nonce, of->guid, sizeof of->guid);
    write->slot.reserved_until_ms += 1000;
    write->expected = slot->version;
    write->config = config->version;
    return request;
}

static size_t live_claims(void)
{
    struct sf_coord_request request = {.op = SF_COORD_LIST};
    struct sf_coord_completion *c = call(&request);
    if (c->outcome != SF_COORD_DONE)
        fail_msg("list: %s", c->text);
    return c->claim_count;
}

static int files_in(const char *directory)
{
    char command[256];
    snprintf(command, sizeof command, "ls -A %s/%s | wc -l", root, directory);
    FILE *pipe = popen(command, "r");
    int count = -1;
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

/* Seals and directories. */

static void test_seal(void **state)
{
    (void)state;
    static const char record[] = "{\"fence\":1}";
    struct sf_coord_version version = {INT64_MAX, 7}, back = {0, 0};
    size_t size = 0, length = 0;
    const char *text = NULL;
    char *sealed = sf_disk_seal("f/dc/0/slots/1", &version, record, &size);
    char *copy = malloc(size + 1);
    struct sf_error err = {0, ""};
    memcpy(copy, sealed, size);
    assert_int_equal(sf_disk_unseal("f/dc/0/slots/1", copy, size, &back, &text, &length, &err), 0);
    assert_string_equal(text, record);
    assert_int_equal(length, sizeof record - 1);
    assert_int_equal(back.incarnation, INT64_MAX);
    assert_int_equal(back.version, 7);
    memcpy(copy, sealed, size);
    assert_int_equal(sf_disk_unseal("f/dc/0/slots/2", copy, size, &back, &text, &length, &err),
                     -EBADMSG);
    for (size_t cut = 0; cut < size; cut++) { /* torn */
        memcpy(copy, sealed, size);
        assert_int_equal(sf_disk_unseal("f/dc/0/slots/1", copy, cut, &back, &text, &length, &err),
                         -EBADMSG);
    }
    for (size_t at = 0; at < size; at++) { /* edited */
        memcpy(copy, sealed, size);
        copy[at] ^= 1;
        assert_int_equal(sf_disk_unseal("f/dc/0/slots/1", copy, size, &back, &text, &length, &err),
                         -EBADMSG);
    }
    free(copy);
    free(sealed);
}

static void test_directories(void **state)
{
    (void)state;
    static const struct {
        uint64_t type;
        const char *name;
    } types[] = {{0x6969, "NFS"},       {0xff534d42, "CIFS"}, {0x65735546, "FUSE"},
                 {0x01021997, "9p"},    {0xef53, NULL},       {0x01021994, NULL},
                 {0x9123683e, NULL},    {0x58465342, NULL}, /* ext4, tmpfs, btrfs, xfs */
                 {0x00c36400, "CephFS"}};
    for (size_t i = 0; i < SF_COUNT(types); i++) {
        const char *name = sf_disk_filesystem_refused(types[i].type);
        if (types[i].name == NULL)
            assert_null(name);
        else
            assert_string_equal(name, types[i].name);
    }
    char url[200];
    struct sf_error err = {0, ""};
    snprintf(url, sizeof url, "local://%s/open", root);
    shell("mkdir open && chmod 0777 open");
    assert_int_equal(try_open(url, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "chmod o-w"));
    shell("chmod 1777 open");
    assert_int_equal(try_open(url, NULL, &err), 0);
    stop();
    snprintf(url, sizeof url, "local://%s/file", root);
    shell("touch file");
    assert_int_equal(try_open(url, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, url));
    snprintf(url, sizeof url, "local://%s/not/there/yet//", root);
    assert_int_equal(try_open(url, NULL, &err), 0); /* INIT makes it, nothing before */
    struct sf_coord_request read = {.op = SF_COORD_READ_CONFIG};
    assert_int_equal(call(&read)->reason, SF_COORD_MISSING);
    assert_int_equal(files_in("."), 2);
    init();
    stop();
    shell("test -f not/there/yet/f/config");
    forget();
}

/* Damage. */

static void test_damaged_files(void **state)
{
    (void)state;
    start(NULL);
    struct sf_coord_config config = init();
    struct sf_coord_claim ours = claim();
    struct sf_coord_slot slot = read_slot(1);
    static const char *const damages[] = {
        "truncate -s 40 f/dc/0/slots/1",
        ": > f/dc/0/slots/1",
        "cp f/dc/0/slots/2 f/dc/0/slots/1",
        "rm f/dc/0/slots/1 && mkfifo f/dc/0/slots/1",
        "rm -f f/dc/0/slots/1 && ln -s 2 f/dc/0/slots/1",
        "rm f/dc/0/slots/1 && mkdir f/dc/0/slots/1",
    };
    for (size_t i = 0; i < SF_COUNT(damages); i++) {
        shell(damages[i]);
        struct sf_coord_request bind = write_request(SF_COORD_BIND, &slot, &ours, &config);
        struct sf_coord_completion *c = call(&bind);
        assert_int_equal(c->outcome, SF_COORD_REFUSED);
        assert_int_equal(c->reason, SF_COORD_GARBAGE);
        assert_non_null(strstr(c->text, "f/dc/0/slots/1")); /* the file is named */
        assert_int_equal(read_slot(1).state, SF_COORD_RECORD_GARBAGE);
        assert_int_equal(read_slot(2).state, SF_COORD_RECORD_OK);
    }
    shell("truncate -s 10 f/dc/0/sequence");
    struct sf_coord_request again = claim_request();
    assert_int_equal(call(&again)->reason, SF_COORD_GARBAGE);
    shell("rm f/dc/0/sequence");
    again = claim_request();
    assert_int_equal(call(&again)->reason, SF_COORD_MISSING);
    /* INIT after a loss of data is the way out, and fences go on growing. */
    shell("rmdir f/dc/0/slots/1 && echo x > f/dc/0/slots/1");
    struct sf_coord_request loss = init_request();
    loss.u.init.after_data_loss = true;
    loss.u.init.config.floor_ms = 77;
    assert_int_equal(call(&loss)->outcome, SF_COORD_DONE);
    assert_int_equal(read_slot(1).reserved_until_ms, 77);
    assert_true(claim().fence > ours.fence);
    stop();
    forget();
}

static void test_wiped_under_a_live_handle(void **state)
{
    (void)state;
    start(NULL);
    struct sf_coord_config config = init();
    struct sf_coord_claim ours = claim();
    struct sf_coord_slot slot = read_slot(0);
    shell("rm -rf f");
    struct sf_coord_request renew = write_request(SF_COORD_RENEW, &slot, &ours, &config);
    struct sf_coord_completion *c = call(&renew);
    assert_int_equal(c->outcome, SF_COORD_REFUSED);
    assert_int_equal(c->reason, SF_COORD_MISSING);
    config = init();
    struct sf_coord_slot fresh = read_slot(0);
    assert_true(fresh.version.incarnation != slot.version.incarnation);
    renew = write_request(SF_COORD_RENEW, &fresh, &ours, &config);
    assert_int_equal(call(&renew)->reason, SF_COORD_CLAIM_GONE);
    stop();
    forget();
}

/* Faults at every step. */

struct plan {
    atomic_int countdown; /* the fault comes when it reaches 0; negative: never */
    int code;             /* what the step fails with; 0: the process dies */
    atomic_int step;      /* which step it hit */
};

static int strike(void *ctx, enum sf_disk_step step, const char *name)
{
    (void)name;
    struct plan *plan = ctx;
    if (atomic_fetch_sub(&plan->countdown, 1) != 0)
        return 0;
    atomic_store(&plan->step, (int)step);
    if (plan->code == 0)
        _exit(0);
    return plan->code;
}

/* Every write op with every step failing: the outcome is true, and nothing that was there is
 * harmed. */
static void test_failing_disk(void **state)
{
    (void)state;
    static const enum sf_coord_op ops[] = {SF_COORD_CLAIM, SF_COORD_BIND, SF_COORD_RENEW,
                                           SF_COORD_RELEASE};
    struct plan plan = {.countdown = -1, .code = -ENOSPC};
    const struct sf_disk disk = {.fault = strike, .fault_ctx = &plan};
    start(&disk);
    struct sf_coord_config config = init();
    unsigned refused = 0, unknown = 0;
    for (size_t i = 0; i < SF_COUNT(ops); i++) {
        for (int n = 0;; n++) {
            struct sf_coord_claim ours = claim();
            struct sf_coord_slot slot = read_slot(1);
            struct sf_coord_request request = ops[i] == SF_COORD_CLAIM
                                                  ? claim_request()
                                                  : write_request(ops[i], &slot, &ours, &config);
            atomic_store(&plan.countdown, n);
            struct sf_coord_completion *c = call(&request);
            bool struck = atomic_exchange(&plan.countdown, -1) < 0;
            struct sf_coord_slot after = read_slot(1);
            assert_int_equal(after.state, SF_COORD_RECORD_OK);
            bool changed = after.version.version != slot.version.version;
            if (c->outcome == SF_COORD_DONE) {
                assert_int_equal(changed, ops[i] != SF_COORD_CLAIM);
            } else {
                assert_true(struck);
                assert_int_equal(c->reason, SF_COORD_STORAGE);
                assert_non_null(strstr(c->text, "ENOSPC"));
                if (c->outcome == SF_COORD_REFUSED)
                    assert_false(changed);
                else
                    assert_int_equal(c->outcome, SF_COORD_UNKNOWN);
                refused += c->outcome == SF_COORD_REFUSED;
                unknown += c->outcome == SF_COORD_UNKNOWN;
            }
            struct sf_coord_request unclaim = {.op = SF_COORD_UNCLAIM};
            memcpy(unclaim.u.claim_name, ours.name, sizeof ours.name);
            assert_int_equal(call(&unclaim)->outcome, SF_COORD_DONE);
            if (!struck)
                break;
            assert_true(n < 100);
        }
    }
    assert_true(refused > 10 && unknown >= 3);
    claim(); /* sweeps what the failures left */
    assert_int_equal(files_in("f/dc/0/slots"), 4);
    stop();
    forget();
}

/* In a child: claims and writes, dying at step n. Exits 9 when it got through. */
static void die_at(int n)
{
    struct plan plan = {.countdown = -1, .code = 0};
    const struct sf_disk disk = {.fault = strike, .fault_ctx = &plan};
    start(&disk);
    struct sf_coord_request read = {.op = SF_COORD_READ_CONFIG};
    struct sf_coord_config config = *call(&read)->config;
    struct sf_coord_slot slot = read_slot(1);
    atomic_store(&plan.countdown, n);
    struct sf_coord_claim ours = claim();
    struct sf_coord_request request = write_request(SF_COORD_BIND, &slot, &ours, &config);
    slot.version = call(&request)->version;
    request = write_request(SF_COORD_RELEASE, &slot, &ours, &config);
    call(&request);
    _exit(9);
}

static void test_dying_at_every_step(void **state)
{
    (void)state;
    start(NULL);
    init();
    stop();
    uint64_t fence = 0, version = 1;
    int64_t reserved = 0;
    int n = 0;
    for (int status = 0; !WIFEXITED(status) || WEXITSTATUS(status) != 9; n++) {
        pid_t child = fork(); /* no thread runs here now */
        assert_true(child >= 0);
        if (child == 0)
            die_at(n);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && n < 200);
        start(NULL);
        assert_int_equal(live_claims(), 0); /* the dead hold nothing */
        assert_int_equal(files_in("f/dc/0/claims"), 0);
        struct sf_coord_slot slot = read_slot(1);
        assert_int_equal(slot.state, SF_COORD_RECORD_OK);
        assert_true(slot.version.version >= version && slot.reserved_until_ms >= reserved);
        version = slot.version.version;
        reserved = slot.reserved_until_ms;
        struct sf_coord_claim ours = claim();
        assert_true(ours.fence > fence && ours.fence > slot.fence);
        fence = ours.fence;
        stop();
        forget();
    }
    assert_true(n > 15);
}

static void test_init_dying_at_every_step(void **state)
{
    (void)state;
    int n = 0;
    for (int status = 0; !WIFEXITED(status) || WEXITSTATUS(status) != 9; n++) {
        shell("rm -rf f");
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct plan plan = {.countdown = n, .code = 0};
            const struct sf_disk disk = {.fault = strike, .fault_ctx = &plan};
            start(&disk);
            init();
            _exit(9);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && n < 200);
        start(NULL);
        struct sf_coord_request again = init_request();
        struct sf_coord_completion *c = call(&again);
        assert_true(c->outcome == SF_COORD_DONE || c->reason == SF_COORD_EXISTS);
        for (uint64_t worker = 0; worker < 4; worker++)
            assert_int_equal(read_slot(worker).state, SF_COORD_RECORD_OK);
        claim();
        assert_int_equal(files_in("f/dc/0/slots"), 4);
        stop();
        forget();
    }
    assert_true(n > 10);
}

/* A disk that hangs. */

static atomic_bool hang;

static int stall(void *ctx, enum sf_disk_step step, const char *name)
{
    (void)ctx;
    (void)name;
    while (step == SF_DISK_SYNC && atomic_load(&hang))
        sf_sleep_ms(5);
    return 0;
}

static void test_stalled_disk(void **state)
{
    (void)state;
    const struct sf_disk disk = {.fault = stall};
    start(&disk);
    init();
    claim();
    atomic_store(&hang, true);
    struct sf_coord_request write = claim_request(), queued_write = claim_request();
    struct sf_coord_request queued_read = {.op = SF_COORD_LIST, .deadline_ms = 250};
    write.deadline_ms = queued_write.deadline_ms = 250;
    int64_t start_ns = sf_mono_ns();
    uint64_t ids[3] = {submit(&write), submit(&queued_write), submit(&queued_read)};
    assert_int_equal(wait_for(ids[0])->outcome, SF_COORD_UNKNOWN); /* it may still happen */
    assert_int_equal(wait_for(ids[1])->outcome, SF_COORD_LOST);    /* never begun */
    assert_int_equal(wait_for(ids[2])->outcome, SF_COORD_LOST);
    assert_true(sf_mono_ns() - start_ns < 5 * SF_NS_PER_S);
    assert_true(wait_heard(SF_COORD_DISCONNECTED, 0));
    unsigned connected = heard(SF_COORD_CONNECTED), completions = heard(SF_COORD_COMPLETION);
    atomic_store(&hang, false);
    assert_true(wait_heard(SF_COORD_CONNECTED, connected));
    assert_int_equal(live_claims(), 2); /* the unknown one did happen; the lost one did not */
    assert_int_equal(heard(SF_COORD_COMPLETION), completions + 1); /* of the list */
    stop();
    forget();
}

static unsigned threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned count = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void test_destroy_while_stalled(void **state)
{
    (void)state;
    const unsigned threads_before = threads();
    const struct sf_disk disk = {.fault = stall};
    start(&disk);
    init();
    atomic_store(&hang, true);
    struct sf_coord_request write = claim_request(), read = {.op = SF_COORD_LIST};
    uint64_t ids[2] = {submit(&write), submit(&read)};
    sf_sleep_ms(20);
    int64_t start_ns = sf_mono_ns();
    stop();
    assert_true(sf_mono_ns() - start_ns < 3 * SF_NS_PER_S);
    assert_int_equal(wait_for(ids[0])->outcome, SF_COORD_UNKNOWN);
    assert_int_equal(wait_for(ids[0])->reason, SF_COORD_ENDING);
    assert_int_equal(wait_for(ids[1])->outcome, SF_COORD_LOST);
    unsigned completions = heard(SF_COORD_COMPLETION);
    atomic_store(
        &hang,
        false); /* the thread that was left behind ends by itself and takes its claim along */
    for (int i = 0; i < 12000 && threads() > threads_before; i++)
        sf_sleep_ms(5);
    assert_int_equal(threads(), threads_before);
    start(NULL);
    assert_int_equal(live_claims(), 0);
    assert_int_equal(heard(SF_COORD_COMPLETION), completions + 1);
    stop();
    forget();
}

/* Processes. */

static void test_killed_holder_is_noticed(void **state)
{
    (void)state;
    int ready[2];
    char byte = 0;
    start(NULL);
    init();
    stop();
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        start(NULL);
        claim();
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    start(NULL);
    struct sf_coord_request watch = {.op = SF_COORD_WATCH};
    assert_int_equal(call(&watch)->outcome, SF_COORD_DONE);
    assert_int_equal(live_claims(), 1);
    sf_sleep_ms(300);
    unsigned seen = heard(SF_COORD_CHANGED);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    int64_t start_ns = sf_mono_ns();
    assert_true(wait_heard(SF_COORD_CHANGED, seen));
    assert_true(sf_mono_ns() - start_ns < 5 * SF_NS_PER_S);
    assert_int_equal(live_claims(), 0);
    assert_int_equal(files_in("f/dc/0/claims"), 0);
    stop();
    forget();
    close(ready[0]);
    close(ready[1]);
}

static void test_forked_child_does_nothing(void **state)
{
    (void)state;
    start(NULL);
    init();
    claim();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sf_coord_request request = claim_request();
        pthread_mutex_init(&ear.lock, NULL); /* the parent's sink may have held it */
        uint64_t id = submit(&request);
        bool lost =
            ear.events->completion.id == id && ear.events->completion.outcome == SF_COORD_LOST;
        sf_coord_destroy(coord);
        _exit(lost ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(live_claims(), 1); /* ours, untouched */
    stop();
    forget();
}

static void test_synchronous_call(void **state)
{
    (void)state;
    char url[160];
    snprintf(url, sizeof url, "local://%s", root);
    struct sf_coord_calls *calls = sf_coord_calls_create();
    const struct sf_coord_options options = {.url = url,
                                             .fleet = "f",
                                             .ticks = &sf_ticks_system,
                                             .sink = sf_coord_call_sink,
                                             .sink_ctx = calls};
    struct sf_error err = {0, ""};
    assert_int_equal(sf_coord_local_open(&options, &coord, &err), 0);
    struct sf_coord_request request = init_request();
    request.id = 5;
    request.deadline_ms = 10000;
    struct sf_coord_event *event = sf_coord_call(coord, calls, &request);
    assert_int_equal(event->completion.outcome, SF_COORD_DONE);
    assert_int_equal(event->completion.id, 5);
    sf_coord_event_free(event);
    stop();
    sf_coord_calls_destroy(calls);
    /* Nobody ever connects. */
    calls = sf_coord_calls_create();
    request.deadline_ms = 30;
    event = sf_coord_call(NULL, calls, &request);
    assert_int_equal(event->completion.outcome, SF_COORD_LOST);
    assert_int_equal(event->completion.reason, SF_COORD_UNREACHABLE);
    sf_coord_event_free(event);
    sf_coord_calls_destroy(calls);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(seal),
        TEST(directories),
        TEST(damaged_files),
        TEST(wiped_under_a_live_handle),
        TEST(failing_disk),
        TEST(dying_at_every_step),
        TEST(init_dying_at_every_step),
        TEST(stalled_disk),
        TEST(destroy_while_stalled),
        TEST(killed_holder_is_noticed),
        TEST(forked_child_does_nothing),
        TEST(synchronous_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
