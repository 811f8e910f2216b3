/* member/options.h - what a member is told when it is made. Plain values; no function. */
#ifndef SF_MEMBER_OPTIONS_H
#define SF_MEMBER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/clock.h"
#include "coord/coord.h"
#include "member/view.h"

/* Who is told, and when. Every callback may be NULL. They come on the member's thread (`turned` once
 * before it runs, from sf_member_start), must not block, and must not destroy the member. */
struct sf_member_host {
    void *ctx;
    /* Once: the fleet's layout is known, the snapshot has its config, and every generator is set up.
     * Minting time (member.h) is not given before this has returned. */
    void (*layout_known)(void *ctx);
    /* Every answer of the coordinator, and how long it took. */
    void (*answered)(void *ctx, enum sf_coord_op op, enum sf_coord_outcome outcome,
                     int64_t duration_ns);
    /* After each turn, when what can be seen is up to date. */
    void (*turned)(void *ctx, const struct sf_member_counts *counts);
    /* The member began to leave, or has ended: look at its snapshot. */
    void (*ending)(void *ctx);
};

/* Texts are copied by sf_member_create. */
struct sf_member_options {
    struct sf_coord_options coord; /* sink, log and ticks are filled in by the member */
    struct sf_clock_options clock; /* notify and log are filled in by the member */

    uint64_t datacenter;
    int64_t pinned_worker; /* -1: any slot */
    unsigned slots;        /* how many are wanted: 1 to SF_MEMBER_SLOTS_MAX */
    /* A member that was told what its fleet looks like serves no other. */
    const char *expect_id; /* NULL: any */
    const int64_t *expect_epoch_ms;
    const struct sf_layout *expect_layout;
    /* Make the fleet's config where there is none; and where nothing tells of an older one, begin at once.
     * Elsewhere than on a local coordinator nothing is made without the latter. */
    bool auto_init, auto_init_first;
    const char *node; /* the name shown for this process */

    int64_t window_ms, min_window_ms;
    int64_t max_silence_ms; /* 0: off */
    uint32_t max_ahead_ms;

    const char *state_dir; /* NULL or "": none, so no fast restart */
    const char
        *state_name; /* what tells this member from others of its fleet and datacenter here */

    int64_t stall_ms; /* the clock's thread standing still for so long is a clock not to mint by */
    int64_t leave_ms; /* how long the other slots may take when one cannot go on */

    struct sf_log *log; /* outlives the member */
    struct sf_member_host host;
};

#endif
