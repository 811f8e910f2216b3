/* What other threads may see of the member's: copies under a mutex. */
#include "member/shared.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/ticks.h"

void sf_shared_init(struct sf_shared *shared)
{
    pthread_mutex_init(&shared->mutex, NULL);
    shared->snapshot.census.read_mono_ms = -1;
}

void sf_shared_destroy(struct sf_shared *shared)
{
    sf_shared_list_release(shared->list);
    sf_shared_list_release(shared->some);
    shared->list = shared->some = NULL;
    for (unsigned at = 0; at < SF_MEMBER_FAR_MAX; at++)
        sf_shared_list_release(shared->far[at]);
    pthread_mutex_destroy(&shared->mutex);
}

void sf_shared_publish(struct sf_shared *shared, const struct sf_member_snapshot *snapshot)
{
    pthread_mutex_lock(&shared->mutex);
    shared->snapshot = *snapshot;
    pthread_mutex_unlock(&shared->mutex);
}

void sf_shared_read(struct sf_shared *shared, struct sf_member_snapshot *ret)
{
    pthread_mutex_lock(&shared->mutex);
    *ret = shared->snapshot;
    pthread_mutex_unlock(&shared->mutex);
}

enum sf_worker_state sf_shared_state(struct sf_shared *shared, char ret_why[SF_COORD_TEXT_MAX])
{
    pthread_mutex_lock(&shared->mutex);
    const enum sf_worker_state state = shared->snapshot.state;
    memcpy(ret_why, shared->snapshot.why, sizeof shared->snapshot.why);
    pthread_mutex_unlock(&shared->mutex);
    return state;
}

int64_t sf_shared_clock_stalled_ms(struct sf_shared *shared)
{
    pthread_mutex_lock(&shared->mutex);
    const int64_t stalled_ms = shared->snapshot.clock_stalled_ms;
    pthread_mutex_unlock(&shared->mutex);
    return stalled_ms;
}

static struct sf_member_list *take_out(struct sf_coord_completion *completion)
{
    struct sf_member_list *list = calloc(1, sizeof *list);
    SF_ASSERT(list != NULL);
    atomic_init(&list->references, 1);
    list->read_at_ms = sf_real_ns() / SF_NS_PER_MS;
    list->slots = completion->slots;
    list->slot_count = completion->slot_count;
    list->claims = completion->claims;
    list->claim_count = completion->claim_count;
    completion->slots = NULL;
    completion->claims = NULL;
    completion->slot_count = completion->claim_count = 0;
    return list;
}

void sf_shared_listed(struct sf_shared *shared, struct sf_coord_completion *completion)
{
    struct sf_member_list *list = take_out(completion);
    pthread_mutex_lock(&shared->mutex);
    struct sf_member_list **at = list->slot_count > 0 ? &shared->list : &shared->some;
    const struct sf_member_list *before = *at;
    list->serial = ++shared->list_count;
    *at = list;
    pthread_mutex_unlock(&shared->mutex);
    sf_shared_list_release(before);
}

void sf_shared_far_listed(struct sf_shared *shared, unsigned at, uint64_t datacenter,
                          struct sf_coord_completion *completion)
{
    struct sf_member_list *list = completion != NULL ? take_out(completion) : NULL;
    if (list != NULL)
        list->datacenter = datacenter;
    pthread_mutex_lock(&shared->mutex);
    const struct sf_member_list *before = shared->far[at];
    shared->far[at] = list;
    pthread_mutex_unlock(&shared->mutex);
    sf_shared_list_release(before);
}

static struct sf_member_list *take(struct sf_member_list *list)
{
    if (list != NULL)
        atomic_fetch_add_explicit(&list->references, 1, memory_order_relaxed);
    return list;
}

const struct sf_member_list *sf_shared_list(struct sf_shared *shared)
{
    pthread_mutex_lock(&shared->mutex);
    struct sf_member_list *list = take(shared->list);
    pthread_mutex_unlock(&shared->mutex);
    return list;
}

const struct sf_member_list *sf_shared_some(struct sf_shared *shared)
{
    pthread_mutex_lock(&shared->mutex);
    struct sf_member_list *list = shared->list, *some = shared->some;
    if (list == NULL || (some != NULL && some->serial > list->serial))
        list = some;
    (void)take(list);
    pthread_mutex_unlock(&shared->mutex);
    return list;
}

size_t sf_shared_far(struct sf_shared *shared, const struct sf_member_list *ret[SF_MEMBER_FAR_MAX])
{
    size_t count = 0;
    pthread_mutex_lock(&shared->mutex);
    for (unsigned at = 0; at < SF_MEMBER_FAR_MAX; at++)
        if (shared->far[at] != NULL)
            ret[count++] = take(shared->far[at]);
    pthread_mutex_unlock(&shared->mutex);
    return count;
}

void sf_shared_list_release(const struct sf_member_list *list)
{
    if (list == NULL)
        return;
    /* Only the references change, and they are nobody's to read. */
    struct sf_member_list *mine = (struct sf_member_list *)(uintptr_t)list;
    if (atomic_fetch_sub_explicit(&mine->references, 1, memory_order_acq_rel) != 1)
        return;
    free(mine->slots);
    free(mine->claims);
    free(mine);
}

void sf_shared_event(struct sf_shared *shared, enum sf_log_level level, const char *event,
                     const char *text)
{
    pthread_mutex_lock(&shared->mutex);
    struct sf_member_event *to = &shared->events[shared->event_count++ % SF_MEMBER_EVENTS_MAX];
    to->at_ms = sf_real_ns() / SF_NS_PER_MS;
    to->level = level;
    snprintf(to->event, sizeof to->event, "%s", event);
    snprintf(to->text, sizeof to->text, "%s", text);
    pthread_mutex_unlock(&shared->mutex);
}

size_t sf_shared_events(struct sf_shared *shared, struct sf_member_event ret[SF_MEMBER_EVENTS_MAX])
{
    pthread_mutex_lock(&shared->mutex);
    const uint64_t end = shared->event_count;
    const size_t count = end < SF_MEMBER_EVENTS_MAX ? (size_t)end : SF_MEMBER_EVENTS_MAX;
    for (size_t i = 0; i < count; i++)
        ret[i] = shared->events[(end - count + i) % SF_MEMBER_EVENTS_MAX];
    pthread_mutex_unlock(&shared->mutex);
    return count;
}
