/* The fleet's other datacenters. */
#include "member/far.h"

#include <string.h>

#include "base/ticks.h"
#include "member/look.h"

static int64_t mono_ms(void)
{
    return sf_mono_ns() / SF_NS_PER_MS;
}

void sf_far_want(struct sf_loop *loop)
{
    if (mono_ms() - atomic_exchange(&loop->far.wanted_mono_ms, mono_ms()) >= SF_FAR_WANTED_MS)
        sf_inbox_wake(loop->inbox);
}

/* The number at a place; UINT64_MAX: there is none, or it is the member's own. */
static uint64_t datacenter_at(const struct sf_reservation *res, unsigned at)
{
    const struct sf_coord_config *config = &res->config;
    uint64_t datacenter = UINT64_MAX;
    if (!config->any_datacenter)
        datacenter = at < config->datacenter_count ? config->datacenters[at] : UINT64_MAX;
    else if (at <= sf_layout_max_datacenter(&config->layout))
        datacenter = at;
    return datacenter == res->params.datacenter ? UINT64_MAX : datacenter;
}

static int64_t due_of(const struct sf_look_far *far, unsigned at)
{
    if (far->looked_mono_ms[at] == 0)
        return 0;
    return far->looked_mono_ms[at] + (far->empty[at] ? SF_FAR_EMPTY_MS : SF_LOOK_EVERY_MS);
}

/* Which of them is due first, and when. Returns INT64_MAX: none. */
static int64_t earliest(const struct sf_loop *loop, unsigned *ret_at)
{
    const struct sf_look_far *far = &loop->far;
    const struct sf_reservation *res = sf_look_who_knows(loop);
    int64_t due_ms = INT64_MAX;
    if (res == NULL || far->busy ||
        mono_ms() - atomic_load(&far->wanted_mono_ms) >= SF_FAR_WANTED_MS)
        return INT64_MAX;
    for (unsigned at = 0; at < SF_MEMBER_FAR_MAX; at++)
        if (datacenter_at(res, at) != UINT64_MAX && due_of(far, at) < due_ms) {
            due_ms = due_of(far, at);
            *ret_at = at;
        }
    return due_ms;
}

int64_t sf_far_due_mono_ms(const struct sf_loop *loop)
{
    unsigned at;
    return earliest(loop, &at);
}

void sf_far_turn(struct sf_loop *loop)
{
    struct sf_look_far *far = &loop->far;
    unsigned at = 0;
    if (mono_ms() < earliest(loop, &at))
        return;
    const struct sf_reservation *res = sf_look_who_knows(loop);
    if (strcmp(far->token, res->config.token) != 0) {
        /* Another making of the fleet, or the first one that is seen: what was read is of no use. */
        memcpy(far->token, res->config.token, sizeof far->token);
        memset(far->looked_mono_ms, 0, sizeof far->looked_mono_ms);
        for (unsigned i = 0; i < SF_MEMBER_FAR_MAX; i++)
            sf_shared_far_listed(&loop->shared, i, 0, NULL);
    }
    far->busy = true;
    far->at = at;
    far->looked_mono_ms[at] = mono_ms();
    struct sf_coord_request request = sf_look_request(loop, res, datacenter_at(res, at));
    far->id = request.id;
    sf_coord_submit(loop->coord, &request);
}

/* A record, or a claim: somebody is there, or was. */
static bool is_empty(const struct sf_coord_completion *completion)
{
    for (size_t i = 0; i < completion->slot_count; i++)
        if (completion->slots[i].state != SF_COORD_RECORD_MISSING &&
            completion->slots[i].fence != 0)
            return false;
    return completion->claim_count == 0;
}

bool sf_far_answered(struct sf_loop *loop, struct sf_coord_completion *completion)
{
    struct sf_look_far *far = &loop->far;
    if (!far->busy || completion->id != far->id)
        return false;
    far->busy = false;
    const struct sf_reservation *res = sf_look_who_knows(loop);
    const bool current = res != NULL && strcmp(far->token, res->config.token) == 0;
    const bool done = completion->outcome == SF_COORD_DONE;
    if (current && done && !is_empty(completion)) {
        far->empty[far->at] = false;
        sf_shared_far_listed(&loop->shared, far->at, datacenter_at(res, far->at), completion);
    } else if (!current || done ||
               (completion->outcome == SF_COORD_REFUSED &&
                completion->reason == SF_COORD_MISSING)) {
        far->empty[far->at] = true;
        sf_shared_far_listed(&loop->shared, far->at, 0, NULL);
    }
    return true;
}
