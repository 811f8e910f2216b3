/* unit/member_fixture.h - members of fleets in this process, on local coordinators: two of them that a test
 * plays, and what it asks of them. */
#ifndef SF_UNIT_MEMBER_FIXTURE_H
#define SF_UNIT_MEMBER_FIXTURE_H
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

static inline void layout_known(void *ctx)
{
    struct played *p = ctx;
    struct sf_member_snapshot snapshot;
    assert_int_equal(sf_member_time_ms(sf_member_time(p->member), sf_mono_ns()), 0);
    sf_member_snapshot(p->member, &snapshot);
    assert_true(snapshot.config_known);
    p->layouts++;
}

static inline void answered(void *ctx, enum sf_coord_op op, enum sf_coord_outcome outcome,
                            int64_t duration_ns)
{
    struct played *p = ctx;
    assert_true(op < SF_COORD_OPS && outcome <= SF_COORD_UNKNOWN && duration_ns >= 0);
    p->answers++;
    p->lists += op == SF_COORD_LIST;
}

static inline void turned(void *ctx, const struct sf_member_counts *counts)
{
    struct played *p = ctx;
    assert_non_null(counts);
    p->turns++;
}

static inline void ending(void *ctx)
{
    struct played *p = ctx;
    p->endings++;
}

static inline void prepare(struct played *p, const char *name)
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

static inline void begin(struct played *p)
{
    struct sf_error err = {0};
    if (sf_member_create(&p->options, &p->member, &err) != 0)
        fail_msg("%s", err.text);
    p->generator_count = sf_member_generators(p->member, p->generators);
    assert_int_equal(p->generator_count, p->options.slots);
    if (sf_member_start(p->member, "127.0.0.1:1", "", &err) != 0)
        fail_msg("%s", err.text);
}

static inline struct sf_member_snapshot snapshot_of(struct played *p)
{
    struct sf_member_snapshot snapshot;
    sf_member_snapshot(p->member, &snapshot);
    return snapshot;
}

/* Waits until every slot is in this state. */
static inline void await_state(struct played *p, enum sf_worker_state state)
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

static inline int await_end(struct played *p)
{
    const int64_t end_ns = sf_mono_ns() + DEADLINE_MS * SF_NS_PER_MS;
    while (!snapshot_of(p).ended) {
        assert_true(sf_mono_ns() < end_ns);
        sf_sleep_ms(2);
    }
    return snapshot_of(p).exit_code;
}

/* One ID of each slot; those of one generator ascend, over all lives of the member. */
static inline enum sf_mint_result mint_one(struct played *p, unsigned slot, uint64_t *ret_id)
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

static inline void mint_ascending(struct played *p, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t id = 0;
        assert_int_equal(mint_one(p, 0, &id), SF_MINT_OK);
        assert_true(id > p->last_id);
        p->last_id = id;
    }
}

static inline void end(struct played *p)
{
    sf_member_leave(p->member, DEADLINE_MS);
    assert_int_equal(await_end(p), SF_EXIT_OK);
    sf_member_destroy(p->member);
    p->member = NULL;
}

static inline bool told(struct played *p, const char *event)
{
    struct sf_member_event events[SF_MEMBER_EVENTS_MAX];
    const size_t count = sf_member_events(p->member, events);
    for (size_t i = 0; i < count; i++)
        if (strcmp(events[i].event, event) == 0)
            return true;
    return false;
}

static inline unsigned entries(const char *path)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

static inline int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#define life(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

#endif
