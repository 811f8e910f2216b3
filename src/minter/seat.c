/* Seats: making them, finding them again, waiting until they are empty. */
#include "minter/seat.h"

#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/random.h"
#include "base/ticks.h"

_Thread_local struct sf_seat_place sf_seat_places[SF_SEATS_OF_THREAD];

static bool barrier(int command)
{
    return syscall(SYS_membarrier, command, 0U, 0) == 0;
}

void sf_seats_init(struct sf_seats *seats)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&seats->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    seats->slow = !barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    seats->common.shared = true;
    /* Threads that sat here when the process was forked are not in the child. */
    for (struct sf_seat *seat = atomic_load(&seats->first); seat != NULL; seat = seat->next)
        atomic_store(&seat->inside, 0);
    atomic_store(&seats->common.inside, 0);
    atomic_store(&seats->closed, true);
}

void sf_seats_open(struct sf_seats *seats)
{
    atomic_store(&seats->closed, false);
}

static void await_empty(struct sf_seat *seat)
{
    while (atomic_load(&seat->inside) != 0)
        sf_sleep_ms(1);
}

void sf_seats_close(struct sf_seats *seats)
{
    atomic_store(&seats->closed, true);
    /* Every other thread has seen that, or we see where it sits. The kernel refuses a process that has
     * not announced it only, and this one has. */
    if (!seats->slow)
        (void)barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    for (struct sf_seat *seat = atomic_load(&seats->first); seat != NULL; seat = seat->next)
        await_empty(seat);
    await_empty(&seats->common);
}

static struct sf_seat *make(struct sf_seats *seats, const void *owner)
{
    if (atomic_fetch_add(&seats->count, 1) >= SF_SEATS_MAX) {
        atomic_fetch_sub(&seats->count, 1);
        return &seats->common;
    }
    struct sf_seat *seat = aligned_alloc(_Alignof(struct sf_seat), sizeof *seat);
    if (seat == NULL) {
        atomic_fetch_sub(&seats->count, 1);
        return &seats->common;
    }
    memset(seat, 0, sizeof *seat);
    seat->owner = owner;
    seat->next = atomic_load(&seats->first);
    while (!atomic_compare_exchange_weak(&seats->first, &seat->next, seat))
        ;
    return seat;
}

/* What is in it is of another life of the minter. Slots are given to threads in turn. */
static void begin_life(struct sf_seat *seat, uint64_t serial)
{
    uint8_t number = 0;
    for (const struct sf_seat *at = seat->next; at != NULL; at = at->next)
        number++;
    atomic_store(&seat->generator, number);
    atomic_store(&seat->last_word, 0);
    atomic_store(&seat->floor_word, 0);
    atomic_store(&seat->ids, 0);
    atomic_store(&seat->waits, 0);
    atomic_store(&seat->refusals, 0);
    atomic_store(&seat->random, sf_random_u64());
    atomic_store(&seat->serial, serial);
}

static struct sf_seat *find(struct sf_seats *seats, uint64_t serial)
{
    struct sf_seat_place place = {.serial = serial};
    unsigned at = 0;
    while (at < SF_SEATS_OF_THREAD - 1 && sf_seat_places[at].serial != serial)
        at++;
    if (sf_seat_places[at].serial == serial)
        place.seat = sf_seat_places[at].seat;
    const void *owner = &sf_seat_places;
    struct sf_seat *seat = atomic_load(&seats->first);
    while (place.seat == NULL && seat != NULL) {
        if (seat->owner == owner)
            place.seat = seat;
        seat = seat->next;
    }
    if (place.seat == NULL)
        place.seat = make(seats, owner);
    if (place.seat->shared)
        pthread_mutex_lock(&seats->lock);
    if (atomic_load(&place.seat->serial) != serial)
        begin_life(place.seat, serial);
    if (place.seat->shared)
        pthread_mutex_unlock(&seats->lock);
    memmove(sf_seat_places + 1, sf_seat_places, at * sizeof *sf_seat_places);
    sf_seat_places[0] = place;
    return place.seat;
}

/* Randomness and memory may be points where a thread is cancelled. */
struct sf_seat *sf_seat_find(struct sf_seats *seats, uint64_t serial)
{
    int before, ignored;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    struct sf_seat *seat = find(seats, serial);
    pthread_setcancelstate(before, &ignored);
    return seat;
}
