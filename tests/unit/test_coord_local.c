/* unit/test_coord_local.c - what the contract suite cannot reach: a disk that fails, stalls or is
 * damaged, processes that die or fork at every step, and directories that are not fit. */
#include "unit/local_fixture.h"

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
    assert_non_null(strstr(err.text, url + strlen("local://")));
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

/* After a loss of data. */
static void make_anew(int64_t floor_ms)
{
    struct sf_coord_request loss = init_request();
    loss.u.init.after_data_loss = true;
    loss.u.init.config.floor_ms = floor_ms;
    survey(&loss.u.init);
    struct sf_coord_completion *c = call(&loss);
    if (c->outcome != SF_COORD_DONE)
        fail_msg("after a loss of data: %s", c->text);
    assert_string_equal(learn().token, loss.u.init.config.token);
}

/* Whatever is damaged of those that say which making grants: nothing is granted, it is said why, and
 * INIT after a loss of data is the way out. */
static void test_damaged_fleet(void **state)
{
    (void)state;
    static const struct {
        const char *damage;
        enum sf_coord_reason reason; /* of a claim */
        const char *text;
        uint64_t garbage; /* of all makings so far: trees stay */
    } table[] = {
        {"truncate -s 40 f/config", SF_COORD_GARBAGE, "f/config is not a config of ours", 0},
        {"rm f/config", SF_COORD_MISSING, "there is no fleet at", 0},
        {"truncate -s 40 $T/state", SF_COORD_STATE_CHANGED, "the state of making", 1},
        {"rm $T/state", SF_COORD_STATE_CHANGED, "the state of making", 1},
        {"rm f/current-*", SF_COORD_CURRENT_GONE, "is not the one that grants", 1},
        {"rm -r $T", SF_COORD_STATE_CHANGED, "the state of making", 1},
    };
    start(NULL);
    init();
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        const struct sf_coord_basis before = basis;
        shell(table[i].damage);
        shell("truncate -s 10 f/making"); /* and how often it was made is not known either */
        struct sf_coord_request request = claim_request();
        struct sf_coord_completion *c = call(&request);
        assert_int_equal(c->outcome, SF_COORD_REFUSED);
        if (c->reason != table[i].reason || strstr(c->text, table[i].text) == NULL)
            fail_msg("%s: %s, %s", table[i].damage, sf_coord_reason_name(c->reason), c->text);
        struct sf_coord_request look = {.op = SF_COORD_SURVEY};
        c = call(&look);
        assert_int_equal(c->outcome, SF_COORD_DONE);
        assert_int_equal(c->survey->garbage, table[i].garbage);
        assert_true(table[i].garbage == 0 || strstr(c->survey->why, "/state: ") != NULL);
        make_anew(1000 * ((int64_t)i + 1));
        claim();
        request.basis = before;
        assert_int_equal(call(&request)->outcome, SF_COORD_REFUSED); /* the old one is over */
    }
    stop();
    forget();
}

static void test_damaged_files(void **state)
{
    (void)state;
    start(NULL);
    init();
    struct sf_coord_claim ours = claim();
    struct sf_coord_slot slot = read_slot(1);
    static const char *const damages[] = {
        "truncate -s 40 $T/dc/0/slots/1",
        ": > $T/dc/0/slots/1",
        "cp $T/dc/0/slots/2 $T/dc/0/slots/1",
        "rm $T/dc/0/slots/1 && mkfifo $T/dc/0/slots/1",
        "rm -f $T/dc/0/slots/1 && ln -s 2 $T/dc/0/slots/1",
        "rm $T/dc/0/slots/1 && mkdir $T/dc/0/slots/1",
    };
    for (size_t i = 0; i < SF_COUNT(damages); i++) {
        shell(damages[i]);
        struct sf_coord_request bind = write_request(SF_COORD_BIND, &slot, &ours);
        struct sf_coord_completion *c = call(&bind);
        assert_int_equal(c->outcome, SF_COORD_REFUSED);
        assert_int_equal(c->reason, SF_COORD_GARBAGE);
        assert_non_null(strstr(c->text, "/dc/0/slots/1")); /* the file is named */
        assert_int_equal(read_slot(1).state, SF_COORD_RECORD_GARBAGE);
        assert_int_equal(read_slot(2).state, SF_COORD_RECORD_OK);
    }
    shell("truncate -s 10 $T/dc/0/sequence");
    struct sf_coord_request again = claim_request();
    assert_int_equal(call(&again)->reason, SF_COORD_GARBAGE);
    shell("rm $T/dc/0/sequence");
    again = claim_request();
    assert_int_equal(call(&again)->reason, SF_COORD_MISSING);
    /* INIT after a loss of data is the way out. */
    shell("rmdir $T/dc/0/slots/1 && echo x > $T/dc/0/slots/1");
    make_anew(77);
    assert_int_equal(read_slot(1).reserved_until_ms, 77);
    claim();
    stop();
    forget();
}

static void test_wiped_under_a_live_handle(void **state)
{
    (void)state;
    start(NULL);
    init();
    struct sf_coord_claim ours = claim();
    struct sf_coord_slot slot = read_slot(0);
    shell("rm -rf f");
    struct sf_coord_request renew = write_request(SF_COORD_RENEW, &slot, &ours);
    struct sf_coord_completion *c = call(&renew);
    assert_int_equal(c->outcome, SF_COORD_REFUSED);
    assert_int_equal(c->reason, SF_COORD_MISSING);
    init();
    struct sf_coord_slot fresh = read_slot(0);
    assert_true(fresh.version.incarnation != slot.version.incarnation);
    renew = write_request(SF_COORD_RENEW, &fresh, &ours);
    assert_int_equal(call(&renew)->reason, SF_COORD_CLAIM_GONE);
    stop();
    forget();
}

/* A record put back from a copy has a version that was there before; what it says has not. */
static void test_put_back_under_a_live_handle(void **state)
{
    (void)state;
    start(NULL);
    init();
    const struct sf_coord_claim ours = claim(), others = claim();
    struct sf_coord_slot slot = read_slot(1);
    struct sf_coord_request bind = write_request(SF_COORD_BIND, &slot, &ours);
    assert_int_equal(call(&bind)->outcome, SF_COORD_DONE);
    shell("cp $T/dc/0/slots/1 copy");
    struct sf_coord_slot bound = read_slot(1);
    struct sf_coord_request renew = write_request(SF_COORD_RENEW, &bound, &ours);
    assert_int_equal(call(&renew)->outcome, SF_COORD_DONE);
    const struct sf_coord_slot renewed = read_slot(1);
    shell("cp copy $T/dc/0/slots/1");
    renew = write_request(SF_COORD_RENEW, &renewed, &ours);
    assert_int_equal(call(&renew)->reason, SF_COORD_VERSION);
    /* Somebody else writes: the same version now, and other content. */
    bind = write_request(SF_COORD_BIND, &bound, &others);
    assert_int_equal(call(&bind)->outcome, SF_COORD_DONE);
    const struct sf_coord_slot theirs = read_slot(1);
    assert_memory_equal(&theirs.version, &renewed.version, sizeof theirs.version);
    assert_int_equal(call(&renew)->reason, SF_COORD_VERSION);
    const struct sf_coord_slot after = read_slot(1);
    assert_true(sf_slot_content_same(&after, &theirs));
    stop();
    forget();
}

/* Faults at every step. */

/* Every write op with every step failing: the outcome is true, and nothing that was there is
 * harmed. A disk that fails while it renames may have renamed. */
static void fail_every_step(int code, const char *told)
{
    static const enum sf_coord_op ops[] = {SF_COORD_CLAIM, SF_COORD_BIND, SF_COORD_RENEW,
                                           SF_COORD_RELEASE};
    struct plan plan = {.countdown = -1, .code = code};
    const struct sf_disk disk = {.fault = strike, .fault_ctx = &plan};
    start(&disk);
    init();
    unsigned refused = 0, unknown = 0;
    for (size_t i = 0; i < SF_COUNT(ops); i++) {
        for (int n = 0;; n++) {
            struct sf_coord_claim ours = claim();
            struct sf_coord_slot slot = read_slot(1);
            struct sf_coord_request request =
                ops[i] == SF_COORD_CLAIM ? claim_request() : write_request(ops[i], &slot, &ours);
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
                assert_non_null(strstr(c->text, told));
                if (code == -EIO && plan.step == SF_DISK_RENAME && plan.record)
                    assert_int_equal(c->outcome, SF_COORD_UNKNOWN);
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
    assert_int_equal(files_in("$T/dc/0/slots"), 4);
    stop();
    forget();
    shell("rm -rf f");
}

static void test_failing_disk(void **state)
{
    (void)state;
    fail_every_step(-ENOSPC, "ENOSPC");
    fail_every_step(-EIO, "EIO");
}

/* In a child: claims and writes, dying at step n. Exits 9 when it got through. */
static void die_at(int n)
{
    struct plan plan = {.countdown = -1, .code = 0};
    const struct sf_disk disk = {.fault = strike, .fault_ctx = &plan};
    start(&disk);
    learn();
    struct sf_coord_slot slot = read_slot(1);
    atomic_store(&plan.countdown, n);
    struct sf_coord_claim ours = claim();
    struct sf_coord_request request = write_request(SF_COORD_BIND, &slot, &ours);
    const struct sf_coord_version version = call(&request)->version;
    slot = request.u.write.slot;
    slot.version = version;
    request = write_request(SF_COORD_RELEASE, &slot, &ours);
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
        assert_true(n < 200);
        if (WIFEXITED(status))
            assert_int_equal(WEXITSTATUS(status), 9);
        start(NULL);
        assert_int_equal(live_claims(), 0); /* the dead hold nothing */
        assert_int_equal(files_in("$T/dc/0/claims"), 0);
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
    assert_int_equal(files_in("$T/dc/0/claims"), 0);
    stop();
    forget();
    close(ready[0]);
    close(ready[1]);
}

/* A process that is stopped within a change holds the others up, and they say which one it is. */
static void test_stopped_holder_is_named(void **state)
{
    (void)state;
    start(NULL);
    init();
    claim();
    char path[256], text[64];
    snprintf(path, sizeof path, "%s/f/%s/dc/0", root, basis.token);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sf_disk disk = {0};
        int fd = -1;
        const int dirfd = open(path, O_RDONLY | O_DIRECTORY);
        if (sf_disk_lock_file(&disk, dirfd, "lock", SF_DISK_ALONE, &fd) == 0)
            raise(SIGSTOP);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    struct sf_coord_request request = claim_request();
    request.deadline_ms = 1000;
    const int64_t start_ns = sf_mono_ns();
    const struct sf_coord_completion *held = call(&request);
    assert_int_equal(held->outcome, SF_COORD_LOST);
    assert_true(sf_mono_ns() - start_ns < 5 * SF_NS_PER_S);
    snprintf(text, sizeof text, "process %d (", (int)child);
    assert_non_null(strstr(held->text, text));
    snprintf(text, sizeof text, "which is stopped: kill -CONT %d", (int)child);
    assert_non_null(strstr(held->text, text));
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    claim();
    stop();
    forget();
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
        TEST(damaged_fleet),
        TEST(wiped_under_a_live_handle),
        TEST(put_back_under_a_live_handle),
        TEST(failing_disk),
        TEST(dying_at_every_step),
        TEST(stalled_disk),
        TEST(destroy_while_stalled),
        TEST(killed_holder_is_noticed),
        TEST(stopped_holder_is_named),
        TEST(forked_child_does_nothing),
        TEST(synchronous_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
