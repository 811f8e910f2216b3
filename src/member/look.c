/* The list that somebody wants to see. */
#include "member/look.h"

#include <string.h>

#include "base/ticks.h"

#define OURS ((uint64_t)SF_LOOK_INDEX << SF_HOLD_INDEX_SHIFT) /* the machines' ids are below it */

static int64_t mono_ms(void)
{
    return sf_mono_ns() / SF_NS_PER_MS;
}

void sf_look_want(struct sf_loop *loop)
{
    if (!atomic_exchange(&loop->look_wanted, true))
        sf_inbox_wake(loop->inbox);
}

const struct sf_reservation *sf_look_who_knows(const struct sf_loop *loop)
{
    for (unsigned i = 0; i < loop->hold_count; i++) {
        const struct sf_reservation *res = &loop->holds[i].res;
        if (res->config_known && res->connected)
            return res;
    }
    return NULL;
}

static uint32_t slots_of(const struct sf_reservation *res)
{
    return (uint32_t)sf_layout_max_worker(&res->config.layout) + 1;
}

int64_t sf_look_due_mono_ms(const struct sf_loop *loop)
{
    if (!atomic_load(&loop->look_wanted) || loop->look_busy || sf_look_who_knows(loop) == NULL)
        return INT64_MAX;
    return loop->looked_mono_ms == 0 ? 0 : loop->looked_mono_ms + SF_LOOK_EVERY_MS;
}

struct sf_coord_request sf_look_request(struct sf_loop *loop, const struct sf_reservation *res,
                                        uint64_t datacenter)
{
    struct sf_coord_request request = {.id = OURS | ++loop->look_count,
                                       .op = SF_COORD_LIST,
                                       .deadline_ms =
                                           SF_RES_OP_DEADLINE_MS + SF_LOOK_SLOT_MS * slots_of(res),
                                       .datacenter = datacenter};
    memcpy(request.basis.token, res->config.token, sizeof request.basis.token);
    return request;
}

void sf_look_turn(struct sf_loop *loop)
{
    const int64_t now_ms = mono_ms();
    if (now_ms < sf_look_due_mono_ms(loop))
        return;
    const struct sf_reservation *res = sf_look_who_knows(loop);
    const struct sf_coord_request request = sf_look_request(loop, res, res->params.datacenter);
    atomic_store(&loop->look_wanted, false);
    loop->look_busy = true;
    loop->looked_mono_ms = now_ms;
    sf_coord_submit(loop->coord, &request);
}

bool sf_look_answered(struct sf_loop *loop, struct sf_coord_completion *completion)
{
    if (sf_hold_of(completion->id) != SF_LOOK_INDEX)
        return false;
    loop->look_busy = false;
    sf_look_listed(loop, completion);
    return true;
}

void sf_look_listed(struct sf_loop *loop, struct sf_coord_completion *completion)
{
    if (completion->op != SF_COORD_LIST || completion->outcome != SF_COORD_DONE)
        return;
    loop->looked_mono_ms = mono_ms();
    sf_shared_listed(&loop->shared, completion);
}
