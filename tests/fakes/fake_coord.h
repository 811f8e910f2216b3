/* fakes/fake_coord.h - a coordinator in memory that keeps the contract of coord/coord.h, with
 * faults on demand.
 *
 * One thread: submit queues; nothing happens, and nothing is delivered, until the test pumps (but
 * for requests that break the contract, which coord.c refuses at once). So a test decides the order
 * of everything and two runs are the same. Several handles on one store are several workers. A store
 * outlives its handles.
 */
#ifndef SF_FAKES_FAKE_COORD_H
#define SF_FAKES_FAKE_COORD_H

#include <stdbool.h>

#include "coord/coord.h"

struct sf_fake_store;

struct sf_fake_store *sf_fake_store_create(void);
void sf_fake_store_destroy(struct sf_fake_store *store);

/* A new handle. CONNECTED is delivered by the next pump. Only fleet, sink and sink_ctx of the
 * options are looked at. */
struct sf_coord *sf_fake_open(struct sf_fake_store *store, const struct sf_coord_options *options);

/* Does the oldest thing that can be done: delivers a notice, or executes and completes a request.
 * False: nothing to do. */
bool sf_fake_pump(struct sf_fake_store *store);
void sf_fake_pump_all(struct sf_fake_store *store);
/* Requests that wait, held ones included. */
size_t sf_fake_waiting(const struct sf_fake_store *store);

/* Time. The store's clock starts at 1,700,000,000,000 ms and moves only here. Requests whose
 * deadline has passed complete at the next pump: LOST if they had not been executed and were not
 * held, else as their fault says. */
void sf_fake_advance_ms(struct sf_fake_store *store, int64_t ms);
void sf_fake_set_server_ms(struct sf_fake_store *store, int64_t unix_ms);

enum sf_fake_fault {
    SF_FAKE_ANSWER_LOST_APPLIED,     /* done, but the completion is UNKNOWN (a read: LOST) */
    SF_FAKE_ANSWER_LOST_NOT_APPLIED, /* not done, the completion is the same */
    SF_FAKE_APPLIED_LATE, /* UNKNOWN now; done when sf_fake_apply_late is called, if its conditions
                             hold then */
    SF_FAKE_NEVER_SENT,   /* LOST */
    SF_FAKE_HELD, /* stays until sf_fake_release; at its deadline UNKNOWN, and then as APPLIED_LATE
                   */
    SF_FAKE_EXPIRE_BEFORE, /* not done: the session ends first, UNKNOWN; then SESSION_LOST, CONNECTED
                            */
    SF_FAKE_EXPIRE_AFTER,  /* done, the session ends, UNKNOWN; then SESSION_LOST, CONNECTED */
    SF_FAKE_DONE_TWICE,    /* a hop delivers it twice and hands on the second answer */
    SF_FAKE_ANSWERED_OLD, /* a read: what a hop answers was so when the handle's reads were frozen */
};
/* The fault befalls the next request of this handle with this op that is submitted from now on;
 * faults of one op queue up. */
void sf_fake_fault(struct sf_coord *coord, enum sf_coord_op op, enum sf_fake_fault fault);
void sf_fake_apply_late(struct sf_fake_store *store);
void sf_fake_release(struct sf_fake_store *store);

/* The session of a handle ends: its claims go, SESSION_LOST and (if connected) CONNECTED come with
 * the next pumps. */
void sf_fake_expire(struct sf_coord *coord);
/* Away: DISCONNECTED; requests complete as LOST; the session lives on. */
void sf_fake_disconnect(struct sf_coord *coord);
void sf_fake_connect(struct sf_coord *coord);

/* From now on this handle reads (READ_CONFIG, LIST, READ_SLOT) the store as it is now; its writes
 * are judged by the present. */
void sf_fake_freeze_reads(struct sf_coord *coord);
void sf_fake_thaw_reads(struct sf_coord *coord);

/* Losses of data. Paths begin with the fleet: "/prod/<token>/dc/0/slots/3". What is wiped counts from
 * the start again. */
void sf_fake_wipe(struct sf_fake_store *store);
struct sf_fake_tree *
sf_fake_snapshot(const struct sf_fake_store *store); /* free with sf_fake_snapshot_free */
void sf_fake_restore(struct sf_fake_store *store, const struct sf_fake_tree *snapshot);
void sf_fake_snapshot_free(struct sf_fake_tree *snapshot);
void sf_fake_put(struct sf_fake_store *store, const char *path, const char *bytes, size_t size);
void sf_fake_delete(struct sf_fake_store *store, const char *path);

#endif
