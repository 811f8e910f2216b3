/* Has another thread stopped turning? */
#include "member/stall.h"

#include <inttypes.h>
#include <stdio.h>

int64_t sf_stall_look(struct sf_stall *stall, int64_t since_turn_ms, int64_t mono_ms)
{
    const int64_t elapsed_ms = stall->looked_mono_ms != 0 ? mono_ms - stall->looked_mono_ms : 0;
    stall->looked_mono_ms = mono_ms;
    if (since_turn_ms <= elapsed_ms) /* since the last look */
        stall->stalled_ms = 0;
    else
        stall->stalled_ms += elapsed_ms < SF_STALL_LOOK_MAX_MS ? elapsed_ms : SF_STALL_LOOK_MAX_MS;
    return stall->stalled_ms;
}

void sf_stall_verdict(int64_t stalled_ms, struct sf_clock_verdict *verdict)
{
    if (stalled_ms == 0)
        return;
    verdict->state = SF_CLOCK_SUSPENDED;
    verdict->may_mint = false;
    verdict->synchronized = false;
    verdict->trusted = false;
    snprintf(verdict->text, sizeof verdict->text,
             "its thread has not turned for %" PRId64 " ms: nobody looks whether it is right",
             stalled_ms);
}
