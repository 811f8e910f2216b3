/* member/shared.h - what other threads may see of the member's: copies under a mutex. Only for the
 * files of the member. Every function: any thread; the mutex is held for a copy. */
#ifndef SF_MEMBER_SHARED_H
#define SF_MEMBER_SHARED_H

#include <pthread.h>

#include "member/view.h"

struct sf_shared {
    pthread_mutex_t mutex;
    struct sf_member_snapshot snapshot;
    struct sf_member_list *list; /* NULL: not listed yet */
    struct sf_member_list *some; /* of a large datacenter: some claims. NULL: none yet */
    struct sf_member_list *far[SF_MEMBER_FAR_MAX]; /* other datacenters; NULL: nobody is there */
    uint64_t list_count;
    struct sf_member_event events[SF_MEMBER_EVENTS_MAX]; /* ring */
    uint64_t event_count;
};

void sf_shared_init(struct sf_shared *shared);
void sf_shared_destroy(struct sf_shared *shared);

void sf_shared_publish(struct sf_shared *shared, const struct sf_member_snapshot *snapshot);
void sf_shared_read(struct sf_shared *shared, struct sf_member_snapshot *ret);
enum sf_worker_state sf_shared_state(struct sf_shared *shared, char ret_why[SF_COORD_TEXT_MAX]);
/* How long the clock's thread has been seen to stand still; 0: it turns. */
int64_t sf_shared_clock_stalled_ms(struct sf_shared *shared);

/* Takes the lists out of the completion of a LIST, or of a FIND of some claims, that was DONE. */
void sf_shared_listed(struct sf_shared *shared, struct sf_coord_completion *completion);
/* With a reference for the caller; NULL: not listed yet. */
const struct sf_member_list *sf_shared_list(struct sf_shared *shared);
/* The list or the sample, whichever is later. */
const struct sf_member_list *sf_shared_some(struct sf_shared *shared);
/* Takes the lists of another datacenter out of a completion; NULL: nobody is there any more. */
void sf_shared_far_listed(struct sf_shared *shared, unsigned at, uint64_t datacenter,
                          struct sf_coord_completion *completion);
/* Those that were listed, each with a reference for the caller. Returns how many. */
size_t sf_shared_far(struct sf_shared *shared, const struct sf_member_list *ret[SF_MEMBER_FAR_MAX]);
void sf_shared_list_release(const struct sf_member_list *list);

void sf_shared_event(struct sf_shared *shared, enum sf_log_level level, const char *event,
                     const char *text);
size_t sf_shared_events(struct sf_shared *shared, struct sf_member_event ret[SF_MEMBER_EVENTS_MAX]);

#endif
