/* unit/test_member.c - members of fleets in this process, on local coordinators: their life, what
 * they tell, and what whoever mints gets from them. Nothing here is a server. */
#include "unit/cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "member/member.h"

#define DEADLINE_MS INT64_C(60000) /* for what is waited for; the machine may be busy */
#define LIVES       50

/* One member, and what it told. */
struct played {
    char url[300], state_dir[300];
    struct sf_member_options options;
    struct sf_member *member;
    struct sf_generator *generators[SF_MEMBER_SLOTS_MAX];
    unsigned generator_count;
    uint64_t last_id; /* over all its lives */
    _Atomic unsigned layouts, answers, turns, endings, lists;
};

static const struct sf_clock_specs no_sources; /* the wall clock is believed */
static char root[200];
static struct played red, blue;

static void layout_known(void *ctx)
{
    struct played *p = ctx;
    struct sf_member_snapshot snapshot;
    assert_int_equal(sf_member_time_ms(sf_member_time(p->member), sf_mono_ns()), 0);
    sf_member_snapshot(p->member, &snapshot);
    assert_true(snapshot.config_known);
    p->layouts++;
}

static void answered(void *ctx, enum sf_coord_op op, enum sf_coord_outcome outcome,
                     int64_t duration_ns)
{
    struct played *p = ctx;
    assert_true(op < SF_COORD_OPS && outcome <= SF_COORD_UNKNOWN && duration_ns >= 0);
    p->answers++;
    p->lists += op == SF_COORD_LIST;
}

static void turned(void *ctx, const struct sf_member_counts *counts)
{
    struct played *p = ctx;
    assert_non_null(counts);
    p->turns++;
}

static void ending(void *ctx)
{
    struct played *p = ctx;
    p->endings++;
}

static void prepare(struct played *p, const char *name)
{
    memset(p, 0, sizeof *p);
    snprintf(p->url, sizeof p->url, "local://%s/%s", root, name);
    snprintf(p->state_dir, sizeof p->state_dir, "%s/state", root);
    p->options = (struct sf_member_options){
        .coord = {.url = p->url, .fleet = name, .session_timeout_ms = 10000},
        .clock = {.sources = &no_sources,
                  .poll_ms = 1000,
                  .warn_offset_ms = 100,
                  .max_offset_ms = 1000},
        .pinned_worker = -1,
        .slots = 1,
        .auto_init = true,
        .auto_init_first = true,
        .node = name,
        .window_ms = 60000,
        .min_window_ms = 10000,
        .max_ahead_ms = 10,
        .state_dir = p->state_dir,
        .state_name = "test",
        .stall_ms = 5000,
        .leave_ms = 5000,
        .host = {.ctx = p,
                 .layout_known = layout_known,
                 .answered = answered,
                 .turned = turned,
                 .ending = ending},
    };
}

static void begin(struct played *p)
{
    struct sf_error err = {0};
    if (sf_member_create(&p->options, &p->member, &err) != 0)
        fail_msg("%s", err.text);
    p->generator_count = sf_member_generators(p->member, p->generators);
    assert_int_equal(p->generator_count, p->options.slots);
    if (sf_member_start(p->member, "127.0.0.1:1", "", &err) != 0)
        fail_msg("%s", err.text);
}

static struct sf_member_snapshot snapshot_of(struct played *p)
{
    struct sf_member_snapshot snapshot;
    sf_member_snapshot(p->member, &snapshot);
    return snapshot;
}

/* Waits until every slot is in this state. */
static void await_state(struct played *p, enum sf_worker_state state)
{
    const int64_t end_ns = sf_mono_ns() + DEADLINE_MS * SF_NS_PER_MS;
    for (;;) {
        const struct sf_member_snapshot snapshot = snapshot_of(p);
        unsigned there = 0;
        for (unsigned i = 0; i < snapshot.slot_count; i++)
            there += snapshot.slots[i].state == state;
        if (there == p->options.slots)
            return;
        if (sf_mono_ns() > end_ns)
            fail_msg("%s: %u slots are %s, the first is %s: %s", p->options.node, there,
                     sf_worker_state_name(state), sf_worker_state_name(snapshot.slots[0].state),
                     snapshot.why);
        sf_sleep_ms(2);
    }
}

static int await_end(struct played *p)
{
    const int64_t end_ns = sf_mono_ns() + DEADLINE_MS * SF_NS_PER_MS;
    while (!snapshot_of(p).ended) {
        assert_true(sf_mono_ns() < end_ns);
        sf_sleep_ms(2);
    }
    return snapshot_of(p).exit_code;
}

/* One ID of each slot; those of one generator ascend, over all lives of the member. */
static enum sf_mint_result mint_one(struct played *p, unsigned slot, uint64_t *ret_id)
{
    struct sf_mint minted;
    struct sf_run run;
    enum sf_mint_result result = SF_MINT_WAIT;
    while (result == SF_MINT_WAIT) {
        const uint64_t now_ms = sf_member_time_ms(sf_member_time(p->member), sf_mono_ns());
        assert_true(now_ms > 0);
        result = sf_generator_mint(p->generators[slot], now_ms, 0, 0, 1, &minted);
    }
    if (result != SF_MINT_OK)
        return result;
    assert_true(sf_run_take(p->generators[slot], &minted, 1, &run));
    *ret_id = run.first;
    return result;
}

static void mint_ascending(struct played *p, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t id = 0;
        assert_int_equal(mint_one(p, 0, &id), SF_MINT_OK);
        assert_true(id > p->last_id);
        p->last_id = id;
    }
}

static void end(struct played *p)
{
    sf_member_leave(p->member, DEADLINE_MS);
    assert_int_equal(await_end(p), SF_EXIT_OK);
    sf_member_destroy(p->member);
    p->member = NULL;
}

static bool told(struct played *p, const char *event)
{
    struct sf_member_event events[SF_MEMBER_EVENTS_MAX];
    const size_t count = sf_member_events(p->member, events);
    for (size_t i = 0; i < count; i++)
        if (strcmp(events[i].event, event) == 0)
            return true;
    return false;
}

static unsigned entries(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

/* --- the tests --- */

static void two_members_of_two_fleets_live_in_one_process(void **state)
{
    (void)state;
    begin(&red);
    begin(&blue);
    await_state(&red, SF_WORKER_READY);
    await_state(&blue, SF_WORKER_READY);
    for (unsigned i = 0; i < 100; i++) {
        mint_ascending(&red, 100);
        mint_ascending(&blue, 100);
    }
    const struct sf_member_snapshot one = snapshot_of(&red), other = snapshot_of(&blue);
    assert_true(one.config_known && other.config_known);
    assert_string_not_equal(one.config.fleet_id, other.config.fleet_id);
    assert_true(one.connected && one.connected_once && one.was_ready && !one.leaving);
    assert_int_equal(one.counts.slots_won, 1);
    assert_true(one.slots[0].held && one.slots[0].left_ms > 0);
    assert_int_equal(red.layouts, 1);
    assert_true(red.answers >= 4 && red.turns >= 4);
    assert_string_equal(sf_member_backend(red.member), "local");
    assert_true(told(&red, "slot.claimed"));
    end(&red);
    mint_ascending(&blue, 100); /* the other goes on */
    end(&blue);
    assert_true(red.endings >= 1);
}

static void it_is_opened_and_closed_again_and_again(void **state)
{
    (void)state;
    unsigned files = 0, threads = 0;
    for (unsigned life = 0; life < LIVES; life++) {
        begin(&red);
        begin(&blue);
        await_state(&red, SF_WORKER_READY);
        await_state(&blue, SF_WORKER_READY);
        mint_ascending(&red, 50);
        mint_ascending(&blue, 50);
        end(&red);
        end(&blue);
        if (life == 0) { /* libraries keep what they open once */
            files = entries("/proc/self/fd");
            threads = entries("/proc/self/task");
        }
    }
    assert_int_equal(entries("/proc/self/fd"), files);
    assert_int_equal(entries("/proc/self/task"), threads);
    assert_int_equal(red.layouts, LIVES);
}

static void every_slot_gets_the_answers_to_its_own_requests(void **state)
{
    (void)state;
    red.options.slots = SF_MEMBER_SLOTS_MAX;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    const struct sf_member_snapshot snapshot = snapshot_of(&red);
    uint64_t ids[SF_MEMBER_SLOTS_MAX] = {0};
    for (unsigned i = 0; i < SF_MEMBER_SLOTS_MAX; i++) {
        assert_int_equal(mint_one(&red, i, &ids[i]), SF_MINT_OK);
        for (unsigned k = 0; k < i; k++) {
            assert_int_not_equal(snapshot.slots[i].worker, snapshot.slots[k].worker);
            assert_int_not_equal(snapshot.slots[i].fence, snapshot.slots[k].fence);
            assert_true(ids[i] != ids[k]);
        }
    }
    assert_int_equal(snapshot.counts.slots_won, SF_MEMBER_SLOTS_MAX);
    end(&red);
}

static void one_slot_that_cannot_go_on_takes_the_member_with_it(void **state)
{
    (void)state;
    red.options.slots = 2;
    red.options.datacenter = 1000; /* the default layout has 32 */
    begin(&red);
    assert_int_equal(await_end(&red), SF_EXIT_CONFIG);
    assert_true(snapshot_of(&red).leaving);
    assert_true(red.endings >= 1);
    assert_true(told(&red, "worker.fatal"));
    sf_member_destroy(red.member);
}

static void without_leaving_the_slot_is_quarantined_and_the_file_goes_on_with_it(void **state)
{
    (void)state;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    const uint64_t slot = snapshot_of(&red).slots[0].worker;
    mint_ascending(&red, 10);
    sf_member_stop(red.member);
    sf_member_stop(red.member); /* again changes nothing */
    mint_ascending(&red, 10);   /* the reservation is still ours */
    sf_member_destroy(red.member);
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    assert_int_equal(snapshot_of(&red).slots[0].worker, slot);
    mint_ascending(&red, 10);
    end(&red);
}

/* As many IDs as may be had now: the word runs ahead of the clock. */
static void mint_ahead(struct played *p)
{
    struct sf_mint minted;
    struct sf_run run;
    const uint64_t now_ms = sf_member_time_ms(sf_member_time(p->member), sf_mono_ns());
    while (sf_generator_mint(p->generators[0], now_ms, 0, 0, 4096, &minted) == SF_MINT_OK) {
        while (sf_run_take(p->generators[0], &minted, 4096, &run)) {
            assert_true(run.first > p->last_id);
            p->last_id = run.first + run.count - 1;
        }
    }
}

/* The file is written, never believed, while the process lives (docs/uniqueness.md, rule 12). */
static void what_is_written_over_the_file_changes_nothing(void **state)
{
    (void)state;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    mint_ascending(&red, 1);
    char path[600] = "", content[16384];
    DIR *dir = opendir(red.state_dir);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strncmp(entry->d_name, red.options.coord.fleet, strlen(red.options.coord.fleet)) == 0)
            snprintf(path, sizeof path, "%s/%s", red.state_dir, entry->d_name);
    (void)closedir(dir);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    const ssize_t size = pread(fd, content, sizeof content, 0);
    assert_true(size > 0);
    for (int i = 0; i < 20; i++) {
        mint_ahead(&red);
        if (i % 2 == 1) /* an older copy, or nothing */
            memset(content, 0, sizeof content);
        assert_int_equal(pwrite(fd, content, (size_t)size, 0), size);
        mint_ascending(&red, 1);
    }
    close(fd);
    end(&red);
}

static void a_state_file_that_is_in_use_is_done_without(void **state)
{
    (void)state;
    blue.options = red.options; /* the same fleet, directory and name */
    blue.options.host.ctx = &blue;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    begin(&blue);
    await_state(&blue, SF_WORKER_READY);
    assert_int_not_equal(snapshot_of(&red).slots[0].worker, snapshot_of(&blue).slots[0].worker);
    end(&blue);
    end(&red);
}

static void the_fleet_is_listed(void **state)
{
    (void)state;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    const int64_t end_ns = sf_mono_ns() + DEADLINE_MS * SF_NS_PER_MS;
    bool bound = false;
    uint64_t serial = 0;
    while (!bound) { /* the list that shows our own slot follows its claim */
        assert_true(sf_mono_ns() < end_ns);
        sf_sleep_ms(2);
        const struct sf_member_list *list = sf_member_list(red.member);
        if (list == NULL)
            continue;
        assert_true(list->serial >= serial && list->slot_count == 32 && list->read_at_ms > 0);
        serial = list->serial;
        for (size_t i = 0; i < list->claim_count; i++)
            bound = bound || (list->claims[i].slot >= 0 &&
                              strcmp(list->claims[i].address, "127.0.0.1:1") == 0);
        sf_member_list_release(list);
    }
    const struct sf_member_list *kept = sf_member_list(red.member);
    end(&red);
    assert_int_equal(kept->slot_count, 32); /* a reference outlives the member */
    sf_member_list_release(kept);
    sf_member_list_release(NULL);
}

/* A list for who looks: soon, and however often one looks no more than one in two seconds. */
static void whoever_looks_makes_it_read_again(void **state)
{
    (void)state;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    sf_sleep_ms(2100); /* what it reads for itself at the start is over */
    const struct sf_member_list *before = sf_member_list(red.member);
    assert_non_null(before);
    const uint64_t serial = before->serial;
    sf_member_list_release(before);
    const unsigned lists = red.lists;
    const int64_t began_ms = sf_mono_ns() / SF_NS_PER_MS;
    int64_t took_ms = 0;
    for (bool seen = false; !seen; took_ms = sf_mono_ns() / SF_NS_PER_MS - began_ms) {
        sf_member_look(red.member);
        const struct sf_member_list *list = sf_member_list(red.member);
        seen = list->serial > serial;
        sf_member_list_release(list);
        assert_true(took_ms < DEADLINE_MS);
        sf_sleep_ms(1);
    }
    for (unsigned i = 0; i < 250; i++) {
        sf_member_look(red.member);
        sf_sleep_ms(10);
    }
    const int64_t all_ms = sf_mono_ns() / SF_NS_PER_MS - began_ms;
    assert_in_range(red.lists - lists, 2, 2 + all_ms / 2000);
    end(&red);
}

static void what_cannot_work_is_named_at_once(void **state)
{
    (void)state;
    struct sf_error err = {0};
    struct sf_member *member = NULL;
    red.options.coord.url = "carrier-pigeon://loft";
    assert_int_equal(sf_member_create(&red.options, &member, &err), -EINVAL);
    assert_non_null(strstr(err.text, "carrier-pigeon"));
    prepare(&red, "red");
    char dir[600];
    memset(dir, 'd', sizeof dir);
    dir[sizeof dir - 1] = '\0';
    red.options.state_dir = dir;
    assert_int_equal(sf_member_create(&red.options, &member, &err), -ENAMETOOLONG);
    assert_non_null(strstr(err.text, "599 bytes; allowed: up to 511"));
    prepare(&red, "red");
    red.options.clock.poll_ms = 0;
    assert_int_equal(sf_member_create(&red.options, &member, &err), -EINVAL);
    assert_null(member);
    sf_member_destroy(NULL);
}

static void made_and_never_started_it_only_goes(void **state)
{
    (void)state;
    struct sf_error err = {0};
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(sf_member_create(&red.options, &red.member, &err), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal < NSIG; signal++) /* the rest of a set is nobody's */
        assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
    assert_int_equal(snapshot_of(&red).state, SF_WORKER_STARTING);
    assert_null(sf_member_list(red.member));
    assert_int_equal(sf_member_time_ms(sf_member_time(red.member), sf_mono_ns()), 0);
    sf_member_destroy(red.member);
}

static void the_last_events_are_kept_in_order(void **state)
{
    (void)state;
    struct sf_member_event events[SF_MEMBER_EVENTS_MAX];
    struct sf_error err = {0};
    char text[SF_MEMBER_EVENT_TEXT_MAX * 2];
    assert_int_equal(sf_member_create(&red.options, &red.member, &err), 0);
    for (unsigned i = 0; i < SF_MEMBER_EVENTS_MAX + 3; i++) {
        snprintf(text, sizeof text, "%u", i);
        sf_member_tell(red.member, SF_LOG_WARN, "test.event", text);
    }
    assert_int_equal(sf_member_events(red.member, events), SF_MEMBER_EVENTS_MAX);
    for (unsigned i = 0; i < SF_MEMBER_EVENTS_MAX; i++) {
        snprintf(text, sizeof text, "%u", i + 3);
        assert_string_equal(events[i].text, text);
        assert_string_equal(events[i].event, "test.event");
        assert_int_equal(events[i].level, SF_LOG_WARN);
    }
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    sf_member_tell(red.member, SF_LOG_INFO, "test.long", text);
    (void)sf_member_events(red.member, events);
    assert_int_equal(strlen(events[SF_MEMBER_EVENTS_MAX - 1].text), SF_MEMBER_EVENT_TEXT_MAX - 1);
    sf_member_destroy(red.member);
}

/* --- a clock whose thread stands still --- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stands;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void set_gate(bool stands)
{
    pthread_mutex_lock(&gate.mutex);
    gate.stands = stands;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
}

/* Only the clock's thread asks these clocks for the wall clock's time while the test runs. */
static int64_t gated_real_ns(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&gate.mutex);
    while (gate.stands)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
    return sf_real_ns();
}

static int64_t plain_mono_ns(void *ctx)
{
    (void)ctx;
    return sf_mono_ns();
}

static void a_clock_whose_thread_stands_still_is_noticed(void **state)
{
    (void)state;
    static const struct sf_ticks ticks = {.real_ns = gated_real_ns, .mono_ns = plain_mono_ns};
    struct sf_clock_verdict verdict;
    uint64_t id = 0;
    red.options.clock.ticks = &ticks;
    red.options.stall_ms = 2000;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    mint_ascending(&red, 10);
    assert_int_equal(snapshot_of(&red).clock_stalled_ms, 0);
    set_gate(true);
    await_state(&red, SF_WORKER_RESYNCING); /* the slot was given back */
    assert_true(snapshot_of(&red).clock_stalled_ms >= 2000);
    sf_member_clock_verdict(red.member, &verdict);
    assert_false(verdict.may_mint);
    assert_non_null(strstr(verdict.text, "its thread has not turned for"));
    struct sf_clock_snapshot clock;
    sf_member_clock(red.member, &clock);
    assert_false(clock.verdict.may_mint);
    assert_int_equal(mint_one(&red, 0, &id), SF_MINT_CLOSED);
    assert_true(told(&red, "clock.stalled") && told(&red, "worker.suspended"));
    set_gate(false);
    await_state(&red, SF_WORKER_READY);
    assert_int_equal(snapshot_of(&red).clock_stalled_ms, 0);
    assert_true(told(&red, "clock.turns"));
    mint_ascending(&red, 10);
    end(&red);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    /* In memory if there is a place: a disk that is busy makes every write wait, and they are many. */
    const char *const place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(root, sizeof root, "%s/sf_member_XXXXXX", tmp != NULL ? tmp : place);
    assert_non_null(mkdtemp(root));
    prepare(&red, "red");
    prepare(&blue, "blue");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    set_gate(false);
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#define life(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        life(two_members_of_two_fleets_live_in_one_process),
        life(it_is_opened_and_closed_again_and_again),
        life(every_slot_gets_the_answers_to_its_own_requests),
        life(one_slot_that_cannot_go_on_takes_the_member_with_it),
        life(without_leaving_the_slot_is_quarantined_and_the_file_goes_on_with_it),
        life(what_is_written_over_the_file_changes_nothing),
        life(a_state_file_that_is_in_use_is_done_without),
        life(the_fleet_is_listed),
        life(whoever_looks_makes_it_read_again),
        life(what_cannot_work_is_named_at_once),
        life(made_and_never_started_it_only_goes),
        life(the_last_events_are_kept_in_order),
        life(a_clock_whose_thread_stands_still_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
