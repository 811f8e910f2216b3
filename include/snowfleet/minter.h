/* libsnowfleet-minter: IDs minted in this process, without a server.
 *
 * A minter is a member of a fleet, as a worker is: it claims slots from the fleet's coordinator, keeps
 * and renews its reservation, watches the clock, and gives the slots back when it is closed. What it
 * mints has the same promise: no ID comes twice in one fleet. A call costs tens of nanoseconds.
 *
 *     struct sf_minter_options options = SF_MINTER_OPTIONS;
 *     options.coordinator = "zk://zk-0:2181,zk-1:2181";
 *     sf_minter_open(&options, &minter, detail, sizeof detail);
 *     sf_minter_wait(minter, 10000);
 *     sf_minter_next(minter, &id);
 *     sf_minter_close(minter);
 *
 * Threads: every function from any thread. Calls of one thread that mint give ascending IDs. A call
 * must have begun before sf_minter_close does; close waits for it. No call is a point where a thread
 * can be cancelled, and none may be made by a thread with asynchronous cancellation.
 *
 * Processes: after fork the child's calls answer NOT_READY, whatever the parent's do, until it opens a
 * minter of its own; a call that was under way on the forking thread gives the child nothing. A
 * child may close its parent's minter, which takes nothing from the parent.
 *
 * The library makes threads (all signals blocked in them), installs no signal handler, changes no
 * signal mask, raises no SIGPIPE, never ends the process but for a defect of its own. It cannot be
 * unloaded (dlclose does nothing).
 */
#ifndef SNOWFLEET_MINTER_H
#define SNOWFLEET_MINTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <snowfleet/id.h>
#include <snowfleet/version.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SF_MINTER_SLOTS_MAX  8
#define SF_MINTER_COUNT_MAX  1048576 /* IDs of one call */
#define SF_MINTER_DETAIL_MAX 512
#define SF_MINTER_TEXT_MAX   256

/* Numbers never change; new ones are added before SF_MINTER_ERRORS. */
enum sf_minter_error {
    SF_MINTER_OK = 0,
    SF_MINTER_INVALID = 1,    /* an argument or option is not allowed; the detail says which */
    SF_MINTER_NOT_READY = 2,  /* no slot or no reservation; or this is a child of the process that
                                 opened it */
    SF_MINTER_CLOCK = 3,      /* the clock is not safe to mint by */
    SF_MINTER_DRAINING = 4,   /* it is being closed */
    SF_MINTER_OVERLOADED = 5, /* no later millisecond within mint.max_wait_ms */
    SF_MINTER_CAUSALITY = 6,  /* `after` lies further ahead than the call may wait */
    SF_MINTER_MEMORY = 7,     /* no memory */
    SF_MINTER_SYSTEM = 8,     /* no thread, no descriptor, a file or address that fails */
    SF_MINTER_ENDED = 9,      /* it cannot go on (status.why): close it, and mend what it says */
    SF_MINTER_NOT_RELEASED = 10, /* closed; a slot could not be given back and rests until its
                                    reservation ends */
    SF_MINTER_ERRORS
};

/* "NOT_READY" and a sentence for people. Static strings; "UNKNOWN" for numbers out of range. */
SF_API const char *sf_minter_error_name(enum sf_minter_error error);
SF_API const char *sf_minter_error_text(enum sf_minter_error error);

enum sf_minter_level { SF_MINTER_INFO, SF_MINTER_WARN, SF_MINTER_ERROR, SF_MINTER_DEBUG };

/* What would be a worker's log line (docs/logs.md). It comes on a thread of the library, or on the
 * caller's in open and close; it must not block, nor call functions of this minter. A child that it
 * forks must not return from it but by exec or _exit. */
typedef void sf_minter_log(void *ctx, enum sf_minter_level level, const char *event,
                           const char *sentence);

/* Begin with SF_MINTER_OPTIONS. 0 and NULL mean the default, which is the worker's
 * (docs/configuration.md) where nothing else is said. Texts are copied. */
struct sf_minter_options {
    size_t size;                 /* of this struct, as the program knows it */
    const char *coordinator;     /* fleet.coordinator: "zk://...", "etcd://...", "local:///DIR" */
    const char *fleet;           /* fleet.name */
    const char *node;            /* fleet.node: the name shown for this process */
    uint32_t datacenter;         /* fleet.datacenter */
    uint32_t slots;              /* how many it holds: 1 to SF_MINTER_SLOTS_MAX; 0: 1 */
    uint32_t window_ms;          /* reservation.window_ms */
    uint32_t max_ahead_ms;       /* mint.max_ahead_ms */
    uint32_t max_wait_ms;        /* mint.max_wait_ms */
    uint32_t session_timeout_ms; /* coordinator.session_timeout_ms */
    uint32_t close_ms;           /* how long close may take to give the slots back: 5000 */
    const char *state_dir;       /* reservation.state_dir, for a fast restart; NULL: none */
    const char *clock_sources;   /* clock.sources, separated by commas */
    /* Any other options of the groups fleet, coordinator, reservation, mint and clock, as "name=value",
     * ended by NULL. They win over the fields above. */
    const char *const *more;
    bool environment; /* SNOWFLEET_* variables are read too; what is said here wins over them */
    enum sf_minter_level log_level; /* the least that is told; DEBUG tells all */
    sf_minter_log *log;             /* NULL: nothing is told */
    void *log_ctx;
};

static inline struct sf_minter_options sf_minter_options_begin(void)
{
    struct sf_minter_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return options;
}
#define SF_MINTER_OPTIONS sf_minter_options_begin()

struct sf_minter;

/* Makes a member and begins to claim; does not wait for a slot, nor for the coordinator. On failure
 * ret_minter is left alone, and detail (may be NULL) gets a sentence that names option, value and what
 * is allowed. Errors: INVALID, MEMORY, SYSTEM. */
SF_API enum sf_minter_error sf_minter_open(const struct sf_minter_options *options,
                                           struct sf_minter **ret_minter, char *detail,
                                           size_t detail_size);

/* Waits until IDs can be minted. OK; after timeout_ms what sf_minter_next would answer; at once ENDED
 * or DRAINING. */
SF_API enum sf_minter_error sf_minter_wait(struct sf_minter *minter, uint32_t timeout_ms);

/* One ID. Waits for the next millisecond at most mint.max_wait_ms, where all up to
 * mint.max_ahead_ms ahead are used. Errors: NOT_READY, CLOCK, DRAINING, OVERLOADED, ENDED. */
SF_API enum sf_minter_error sf_minter_next(struct sf_minter *minter, uint64_t *ret_id);
/* count IDs (1 to SF_MINTER_COUNT_MAX), ascending; all or none. */
SF_API enum sf_minter_error sf_minter_next_n(struct sf_minter *minter, uint32_t count,
                                             uint64_t *ret_ids);
/* One that is greater, as a number, than `after`. Also CAUSALITY. */
SF_API enum sf_minter_error sf_minter_next_after(struct sf_minter *minter, uint64_t after,
                                                 uint64_t *ret_id);

/* Gives the slots back within close_ms, ends the threads, frees. OK, or NOT_RELEASED. NULL is fine.
 * In a child of the process that opened it: OK, and the parent's goes on. */
SF_API enum sf_minter_error sf_minter_close(struct sf_minter *minter);

struct sf_minter_slot {
    bool held;
    uint32_t worker; /* of the slot; the datacenter is the options' */
    int64_t left_ms; /* of the reservation; 0: nothing may be minted */
};

struct sf_minter_view {
    enum sf_minter_error next;    /* what a call to mint would answer now */
    char state[16];               /* as a worker's: "claiming", "ready", "suspended", ... */
    char why[SF_MINTER_TEXT_MAX]; /* what it waits for, or why it ended */
    bool connected;               /* to the coordinator */
    uint32_t slot_count;
    struct sf_minter_slot slots[SF_MINTER_SLOTS_MAX];
    bool fleet_known; /* then: */
    char fleet_id[40];
    int64_t epoch_ms;
    struct sf_layout layout;
    bool clock_synchronized;
    int64_t clock_offset_ns, clock_error_ns;
    uint64_t ids, waits, refusals; /* handed out; waits for a later millisecond; calls refused */
    uint64_t renewals_ok, renewals_uncertain, renewals_lost;
    uint64_t slots_won, session_losses;
};

/* size: of *ret as the program knows it. */
SF_API enum sf_minter_error sf_minter_status(struct sf_minter *minter, struct sf_minter_view *ret,
                                             size_t size);
/* The same in Prometheus' text format, cut to size - 1 bytes and a NUL. Returns how many bytes there
 * would be without cutting. */
SF_API size_t sf_minter_metrics(struct sf_minter *minter, char *to, size_t size);

#ifdef __cplusplus
}
#endif

#endif
