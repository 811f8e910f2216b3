/* Why nothing can be minted, and whether something can. */
#include "base/ticks.h"
#include "minter/internal.h"

enum sf_minter_error sf_minter_gone(const struct sf_minter *minter)
{
    return atomic_load(&minter->life->ours) ? SF_MINTER_DRAINING : SF_MINTER_NOT_READY;
}

enum sf_minter_error sf_minter_refusal(struct sf_minter *minter, bool exhausted)
{
    struct sf_member_snapshot member;
    if (sf_minter_serial(minter) == 0)
        return sf_minter_gone(minter);
    if (atomic_load(&minter->seats.closed))
        return SF_MINTER_DRAINING;
    sf_member_snapshot(minter->member, &member);
    if (member.leaving || member.ended)
        return SF_MINTER_ENDED; /* nobody asked it to */
    const bool clock = member.state == SF_WORKER_SUSPENDED || member.state == SF_WORKER_RESYNCING;
    return clock && !exhausted ? SF_MINTER_CLOCK : SF_MINTER_NOT_READY;
}

enum sf_minter_error sf_minter_outlook(struct sf_minter *minter)
{
    const uint64_t now_ms = sf_member_time_ms(minter->time, sf_mono_ns());
    bool exhausted = false;
    for (unsigned i = 0; now_ms != 0 && i < minter->generator_count; i++) {
        const struct sf_generator *gen = minter->generators[i];
        if (gen->word == NULL || sf_generator_is_closed(gen))
            continue;
        const uint64_t limit_ms = sf_generator_limit_ms(gen);
        if (now_ms < limit_ms && sf_generator_last_ms(gen) < limit_ms)
            return SF_MINTER_OK;
        exhausted = true;
    }
    return sf_minter_refusal(minter, exhausted);
}
