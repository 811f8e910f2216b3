/* minter/internal.h - what the files of the library share: the minter itself. Nobody else includes it.
 *
 *      minter    open, wait, close             mint    IDs       status   what others may see
 *      shell     memory for minters            seat    who is inside
 *      options   the worker's configuration, out of the library's options
 *      refusal   why nothing can be minted
 *
 * A minter's memory (its shell) is never given back, but used again for the next: who calls too late
 * finds a closed minter, and not memory that is somebody else's. */
#ifndef SF_MINTER_INTERNAL_H
#define SF_MINTER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <snowfleet/minter.h>

#include "base/log.h"
#include "config/config.h"
#include "member/member.h"
#include "minter/seat.h"

/* In memory that a forked child finds zeroed. */
struct sf_minter_life {
    _Atomic uint64_t serial; /* of the minter, unlike that of any other; 0: closed, or a child */
    _Atomic bool ours;       /* the shell has been set up by this process */
};

struct sf_minter {
    /* The shell's. */
    struct sf_minter *next; /* constant once it is in the list */
    _Atomic bool taken;
    struct sf_minter_life *life;
    struct sf_seats seats;
    pthread_mutex_t mutex;
    pthread_cond_t turned; /* the member has: look at it again */

    /* Set by open, constant then. */
    struct sf_config *config;
    struct sf_member *member;
    const struct sf_member_time *time;
    struct sf_generator *generators[SF_MEMBER_SLOTS_MAX];
    unsigned generator_count;
    uint32_t max_wait_ms, sequence_jitter, close_ms;
    sf_minter_log *log;
    void *log_ctx;
    struct sf_log *member_log; /* NULL: none */
};

/* minter/shell.c: a free one that is this process's, closed; NULL: no memory, or the kernel cannot keep
 * memory from children. */
struct sf_minter *sf_minter_shell_take(void);
void sf_minter_shell_give(struct sf_minter *minter);

/* minter/refusal.c. Why nothing can be minted; exhausted: the reservation is used up. By who sits. */
enum sf_minter_error sf_minter_refusal(struct sf_minter *minter, bool exhausted);
/* What a call to mint would answer. By who sits. */
enum sf_minter_error sf_minter_outlook(struct sf_minter *minter);
/* Of a minter whose serial reads 0. */
enum sf_minter_error sf_minter_gone(const struct sf_minter *minter);

static inline uint64_t sf_minter_serial(const struct sf_minter *minter)
{
    return atomic_load_explicit(&minter->life->serial, memory_order_acquire);
}

/* No call is a point where a thread can be cancelled. */
static inline int sf_minter_no_cancel(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void sf_minter_cancel_as(int before)
{
    int ignored;
    pthread_setcancelstate(before, &ignored);
}

#endif
