/* minter/seat.h - who is inside a minter: each thread has a seat of its own in it, and whoever closes the
 * minter waits until every seat is empty. It also has what belongs to a thread: its slot, and how far its
 * IDs have come.
 *
 * Sitting down costs a store: the barrier between it and the look at `closed` is made by who closes
 * (membarrier(2)) or, where the kernel gives none, by an exchange here. A thread finds its seat by
 * variables of its own. One that has ended leaves its seat to whoever has its place in memory next.
 * Threads beyond SF_SEATS_MAX share one seat under a lock. Seats are kept when the minter is closed,
 * for its next life: who comes too late finds `closed`, and not memory that is somebody else's. */
#ifndef SF_MINTER_SEAT_H
#define SF_MINTER_SEAT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SF_SEATS_MAX       1024
#define SF_SEATS_OF_THREAD 4 /* that it finds at once: minters that it uses in turn */

struct sf_seat {
    _Alignas(64) _Atomic uint32_t inside;   /* calls; a signal handler may call within a call */
    bool shared;                            /* under seats->lock while one sits here */
    _Atomic uint8_t generator;              /* index of the slot that is minted from */
    _Atomic uint64_t serial;                /* of the minter that what follows belongs to */
    _Atomic uint64_t last_word, floor_word; /* of the last ID; the least that may come */
    _Atomic uint64_t random;
    _Atomic uint64_t ids, waits, refusals;
    const void *owner; /* its thread's place; constant */
    struct sf_seat *next;
};

struct sf_seats {
    struct sf_seat *_Atomic first;
    _Atomic uint32_t count;
    _Atomic bool closed;
    bool slow;            /* no membarrier */
    pthread_mutex_t lock; /* recursive */
    struct sf_seat common;
};

struct sf_seat_place {
    uint64_t serial; /* of the minter; 0: none */
    struct sf_seat *seat;
};
/* Of this thread, the last used first. */
extern _Thread_local struct sf_seat_place sf_seat_places[SF_SEATS_OF_THREAD]
    __attribute__((tls_model("initial-exec")));

/* Once in a process, before the first life there. */
void sf_seats_init(struct sf_seats *seats);
/* Begins a life. Nobody is inside. */
void sf_seats_open(struct sf_seats *seats);
/* From now on nobody sits down; waits until all who sit have left. */
void sf_seats_close(struct sf_seats *seats);

/* This thread's seat for the minter's life of this number, as sf_seat_places[0]. Never NULL. */
struct sf_seat *sf_seat_find(struct sf_seats *seats, uint64_t serial);

static inline void sf_seat_leave(struct sf_seats *seats, struct sf_seat *seat)
{
    if (__builtin_expect(seats->slow || seat->shared, 0)) {
        atomic_fetch_sub(&seat->inside, 1);
        if (seat->shared)
            pthread_mutex_unlock(&seats->lock);
        return;
    }
    atomic_store_explicit(&seat->inside,
                          atomic_load_explicit(&seat->inside, memory_order_relaxed) - 1,
                          memory_order_release);
}

/* Sits down; NULL: closed. serial: not 0. */
static inline struct sf_seat *sf_seat_take(struct sf_seats *seats, uint64_t serial)
{
    struct sf_seat *seat = sf_seat_places[0].seat;
    if (__builtin_expect(sf_seat_places[0].serial != serial, 0))
        seat = sf_seat_find(seats, serial);
    if (__builtin_expect(seats->slow || seat->shared, 0)) {
        if (seat->shared)
            pthread_mutex_lock(&seats->lock);
        atomic_fetch_add(&seat->inside, 1);
    } else {
        atomic_store_explicit(&seat->inside,
                              atomic_load_explicit(&seat->inside, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
    }
    if (__builtin_expect(!atomic_load(&seats->closed), 1))
        return seat;
    sf_seat_leave(seats, seat);
    return NULL;
}

/* A counter that its thread alone writes. */
static inline void sf_seat_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

#endif
