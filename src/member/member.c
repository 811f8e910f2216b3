/* The life of a member, and what others ask it. */
#include "member/member.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <snowfleet/id.h>

#include "base/assert.h"
#include "base/coordinator.h"
#include "base/inbox.h"
#include "base/random.h"
#include "base/thread.h"
#include "coord/open.h"
#include "member/far.h"
#include "member/look.h"
#include "member/loop.h"
#include "member/publish.h"
#include "member/state_name.h"

struct sf_member {
    struct sf_loop loop;
    struct sf_hold_plan plan;
    bool started;
    pthread_t thread;
};

static const char *state_dir(const struct sf_member_options *options)
{
    return options->state_dir != NULL ? options->state_dir : "";
}

static int name_state(const struct sf_member_options *options, struct sf_hold_plan *plan,
                      struct sf_error *err)
{
    const char *dir = state_dir(options);
    if (snprintf(plan->state_dir, sizeof plan->state_dir, "%s", dir) >= (int)sizeof plan->state_dir)
        return sf_error_set(err, -ENAMETOOLONG,
                            "the state directory's name is too long: %zu bytes; allowed: up to %d",
                            strlen(dir), SF_HOLD_STATE_DIR_MAX - 1);
    sf_state_name(options->coord.fleet, options->coord.url, options->datacenter,
                  options->state_name != NULL ? options->state_name : "", plan->state_name);
    return 0;
}

static void fill_params(const struct sf_member_options *options,
                        struct sf_reservation_params *params)
{
    params->datacenter = options->datacenter;
    params->pinned_worker = options->pinned_worker;
    params->window_ms = options->window_ms;
    params->min_window_ms = options->min_window_ms;
    params->max_silence_ms = options->max_silence_ms;
    params->max_behind_ms = options->clock.max_offset_ms;
    params->auto_init = options->auto_init;
    /* Where several machines meet, a worker hears neither all clocks nor whoever lives: `snowfleet init`
     * does. */
    const struct sf_coordinator_scheme *scheme = sf_coordinator_scheme(options->coord.url, NULL);
    params->first_only =
        !options->auto_init_first && (scheme == NULL || scheme->kind != SF_COORDINATOR_LOCAL);
    params->fleet_known =
        !options->auto_init_first ||
        sf_state_known(state_dir(options), options->coord.fleet, options->coord.url);
    if (options->expect_id != NULL)
        (void)snprintf(params->expect_fleet_id, sizeof params->expect_fleet_id, "%s",
                       options->expect_id);
    params->expect_epoch = options->expect_epoch_ms != NULL;
    if (params->expect_epoch)
        params->epoch_ms = *options->expect_epoch_ms;
    params->expect_layout = options->expect_layout != NULL;
    if (params->expect_layout)
        params->layout = *options->expect_layout;
    uint8_t random[16];
    sf_random_bytes(random, sizeof random);
    sf_uuid4(random, params->init_config.fleet_id);
    params->init_config.epoch_ms = SF_DEFAULT_EPOCH_MS;
    params->init_config.layout = SF_DEFAULT_LAYOUT;
    params->init_config.any_datacenter = true;
    params->init_config.max_window_ms = options->window_ms > SF_COORD_WINDOW_DEFAULT_MS
                                            ? options->window_ms
                                            : SF_COORD_WINDOW_DEFAULT_MS;
    params->init_config.incarnation = 1;
    params->init_config.created_ms = sf_real_ns() / SF_NS_PER_MS;
    (void)snprintf(params->node, sizeof params->node, "%s", options->node);
    (void)snprintf(params->version, sizeof params->version, "%s", SNOWFLEET_VERSION);
}

static int start_clock(struct sf_loop *loop, const struct sf_member_options *options,
                       struct sf_error *err)
{
    struct sf_clock_options clock = options->clock;
    clock.log = loop->log;
    clock.notify = sf_loop_clock_changed;
    clock.notify_ctx = loop;
    const int rc = sf_clock_create(&clock, &loop->clock, err);
    if (rc != 0)
        return rc;
    loop->time.cell = sf_clock_cell(loop->clock);
    return sf_clock_start(loop->clock, err);
}

static int open_coordinator(struct sf_loop *loop, const struct sf_member_options *options,
                            struct sf_error *err)
{
    struct sf_coord_options coord = options->coord;
    coord.log = loop->log;
    coord.ticks = &sf_ticks_system;
    coord.sink = sf_loop_coord_event;
    coord.sink_ctx = loop;
    return sf_coord_open(&coord, &loop->coord, err);
}

static int set_up(struct sf_member *member, const struct sf_member_options *options,
                  struct sf_error *err)
{
    struct sf_loop *loop = &member->loop;
    loop->inbox = sf_inbox_create();
    if (loop->inbox == NULL)
        return sf_error_set(err, -errno, "no memory or descriptor for a member's inbox");
    int rc = name_state(options, &member->plan, err);
    for (unsigned i = 0; i < loop->hold_count && rc == 0; i++)
        rc = sf_hold_map(&loop->holds[i], err);
    if (rc == 0)
        rc = start_clock(loop, options, err);
    if (rc == 0)
        rc = open_coordinator(loop, options, err);
    return rc;
}

int sf_member_check(const struct sf_member_options *options, struct sf_error *err)
{
    struct sf_hold_plan plan = {.max_ahead_ms = 0};
    const int rc = name_state(options, &plan, err);
    return rc != 0 ? rc : sf_coord_check(&options->coord, err);
}

int sf_member_create(const struct sf_member_options *options, struct sf_member **ret_member,
                     struct sf_error *err)
{
    SF_ASSERT(options->slots >= 1 && options->slots <= SF_MEMBER_SLOTS_MAX);
    SF_ASSERT(options->stall_ms > 0 && options->leave_ms > 0);
    struct sf_member *member = calloc(1, sizeof *member);
    if (member == NULL)
        return sf_error_set(err, -ENOMEM, "no memory for a member");
    struct sf_loop *loop = &member->loop;
    loop->log = options->log;
    loop->host = options->host;
    loop->stall_ms = options->stall_ms;
    loop->leave_ms = options->leave_ms;
    loop->hold_count = options->slots;
    for (unsigned i = 0; i < SF_MEMBER_SLOTS_MAX; i++)
        loop->holds[i].file.fd = -1;
    atomic_init(&loop->time.epoch_ms, INT64_MIN);
    sf_shared_init(&loop->shared);
    member->plan.max_ahead_ms = options->max_ahead_ms;
    fill_params(options, &member->plan.params);
    const int rc = set_up(member, options, err);
    if (rc != 0) {
        sf_member_destroy(member);
        return rc;
    }
    *ret_member = member;
    return 0;
}

int sf_member_start(struct sf_member *member, const char *address, const char *admin,
                    struct sf_error *err)
{
    struct sf_loop *loop = &member->loop;
    struct sf_reservation_params *params = &member->plan.params;
    SF_ASSERT(!member->started);
    (void)snprintf(params->address, sizeof params->address, "%s", address);
    (void)snprintf(params->admin, sizeof params->admin, "%s", admin);
    for (unsigned i = 0; i < loop->hold_count; i++)
        sf_hold_init(&loop->holds[i], &member->plan, i, loop->log);
    sf_publish(loop);
    const int rc = sf_thread_start(&member->thread, "member", sf_loop_run, loop);
    if (rc != 0)
        return sf_error_set(err, rc, "no thread for a member: %s", strerrordesc_np(-rc));
    member->started = true;
    return 0;
}

void sf_member_leave(struct sf_member *member, int64_t within_ms)
{
    SF_ASSERT(within_ms > 0);
    sf_loop_leave(&member->loop, sf_mono_ns() / SF_NS_PER_MS + within_ms);
}

void sf_member_stop(struct sf_member *member)
{
    if (!member->started)
        return;
    sf_loop_stop(&member->loop);
    pthread_join(member->thread, NULL);
    member->started = false;
}

static void drop_event(void *ctx, struct sf_inbox_message *message)
{
    (void)ctx;
    sf_coord_event_free((struct sf_coord_event *)(void *)message);
}

/* In the order that nobody calls into what is gone. */
void sf_member_destroy(struct sf_member *member)
{
    if (member == NULL)
        return;
    struct sf_loop *loop = &member->loop;
    sf_member_stop(member);
    sf_coord_destroy(loop->coord);
    sf_clock_destroy(loop->clock);
    for (unsigned i = 0; i < loop->hold_count; i++)
        sf_hold_destroy(&loop->holds[i]);
    sf_inbox_destroy(loop->inbox, drop_event, NULL);
    sf_shared_destroy(&loop->shared);
    free(member);
}

/* --- for whoever mints --- */

unsigned sf_member_generators(const struct sf_member *member,
                              struct sf_generator *ret[SF_MEMBER_SLOTS_MAX])
{
    for (unsigned i = 0; i < member->loop.hold_count; i++)
        ret[i] = &member->loop.holds[i].right->gen;
    return member->loop.hold_count;
}

const struct sf_member_time *sf_member_time(const struct sf_member *member)
{
    return &member->loop.time;
}

int64_t sf_member_now_ms(const struct sf_member *member)
{
    return sf_publish_now_ms(&member->loop);
}

/* --- for whoever looks --- */

void sf_member_snapshot(struct sf_member *member, struct sf_member_snapshot *ret)
{
    sf_shared_read(&member->loop.shared, ret);
}

enum sf_worker_state sf_member_state(struct sf_member *member, char ret_why[SF_COORD_TEXT_MAX])
{
    return sf_shared_state(&member->loop.shared, ret_why);
}

void sf_member_clock(struct sf_member *member, struct sf_clock_snapshot *ret)
{
    sf_clock_snapshot(member->loop.clock, ret);
    sf_stall_verdict(sf_shared_clock_stalled_ms(&member->loop.shared), &ret->verdict);
}

void sf_member_clock_verdict(struct sf_member *member, struct sf_clock_verdict *ret)
{
    sf_clock_verdict(member->loop.clock, ret);
    sf_stall_verdict(sf_shared_clock_stalled_ms(&member->loop.shared), ret);
}

void sf_member_clock_interval(struct sf_member *member, struct sf_clock_interval *ret)
{
    sf_clock_interval(member->loop.clock, ret);
}

const char *sf_member_backend(const struct sf_member *member)
{
    return member->loop.coord->ops->name;
}

void sf_member_look(struct sf_member *member)
{
    sf_look_want(&member->loop);
}

void sf_member_look_far(struct sf_member *member)
{
    sf_far_want(&member->loop);
}

size_t sf_member_far(struct sf_member *member, const struct sf_member_list *ret[SF_MEMBER_FAR_MAX])
{
    return sf_shared_far(&member->loop.shared, ret);
}

const struct sf_member_list *sf_member_list(struct sf_member *member)
{
    return sf_shared_list(&member->loop.shared);
}

const struct sf_member_list *sf_member_some(struct sf_member *member)
{
    return sf_shared_some(&member->loop.shared);
}

void sf_member_list_release(const struct sf_member_list *list)
{
    sf_shared_list_release(list);
}

size_t sf_member_events(struct sf_member *member, struct sf_member_event ret[SF_MEMBER_EVENTS_MAX])
{
    return sf_shared_events(&member->loop.shared, ret);
}

void sf_member_tell(struct sf_member *member, enum sf_log_level level, const char *event,
                    const char *text)
{
    sf_shared_event(&member->loop.shared, level, event, text);
}
