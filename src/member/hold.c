/* One slot's machine and its state file. */
#include "member/hold.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/ticks.h"

int sf_hold_map(struct sf_hold *hold, struct sf_error *err)
{
    hold->file.fd = -1;
    return sf_right_map(&hold->right, err);
}

static void recall(struct sf_hold *hold, const struct sf_hold_plan *plan, struct sf_log *log,
                   struct sf_reservation_memory *memory)
{
    struct sf_error why = {0};
    sf_state_recall(hold->file.block, hold->file.boot_id, hold->file.device, hold->file.inode,
                    sf_mono_ns(), plan->max_ahead_ms, memory, &why);
    if (memory->valid)
        sf_log_write(log, SF_LOG_INFO, "restart.recalled",
                     "the state file remembers slot %" PRIu64 "/%" PRIu64, memory->datacenter,
                     memory->worker);
    else
        sf_log_write(log, SF_LOG_DEBUG, "restart.nothing", "no fast restart: %s", why.text);
}

/* The same options on the same host give the same name, and so the same slot after a kill. */
static void open_file(struct sf_hold *hold, const struct sf_hold_plan *plan, unsigned index,
                      struct sf_log *log, struct sf_reservation_memory *memory)
{
    struct sf_error why = {0};
    char name[SF_HOLD_STATE_NAME_MAX + 16];
    snprintf(name, sizeof name, "%s.%u", plan->state_name, index);
    if (sf_statefile_open(plan->state_dir, name, &hold->file, &why) == 0) {
        if (hold->file.aside.text[0] != '\0')
            sf_log_write(log, SF_LOG_WARN, "statefile.aside",
                         "%s; put aside for a new file: no fast restart this time, the slot rests "
                         "until its reservation ends",
                         hold->file.aside.text);
        recall(hold, plan, log, memory);
    } else {
        sf_log_write(log, SF_LOG_WARN, "statefile.unusable",
                     "%s; running without fast restart: after a crash the slot is quarantined",
                     why.text);
    }
}

void sf_hold_init(struct sf_hold *hold, const struct sf_hold_plan *plan, unsigned index,
                  struct sf_log *log)
{
    struct sf_reservation_memory memory = {.valid = false};
    if (plan->state_dir[0] != '\0')
        open_file(hold, plan, index, log, &memory);
    _Atomic uint64_t *word = &hold->right->word;
    atomic_store(word, SF_GENERATOR_CLOSED | (memory.valid ? memory.last_word : 0));
    if (!memory.valid && hold->file.block != NULL)
        atomic_store(&hold->file.block->word, 0); /* whatever it is, nobody goes on from it */
    hold->file_held = memory.valid;
    uint8_t random[16];
    sf_random_bytes(random, sizeof random);
    sf_reservation_init(&hold->res, &plan->params, &hold->right->gen, word, plan->max_ahead_ms,
                        &memory, random);
    hold->res.copy = hold->file.block != NULL ? &hold->file.block->word : NULL;
    hold->res.next_id = (uint64_t)index << SF_HOLD_INDEX_SHIFT;
}

unsigned sf_hold_of(uint64_t request_id)
{
    return (unsigned)(request_id >> SF_HOLD_INDEX_SHIFT);
}

void sf_hold_save(struct sf_hold *hold, const struct sf_minttime *mint)
{
    if (hold->file.block == NULL)
        return;
    const struct sf_reservation *res = &hold->res;
    struct sf_state_header header;
    memset(&header, 0, sizeof header);
    /* Won but never opened: the word does not stand at this owner's start yet. */
    header.held = res->hold.active && !res->orphan && res->hold.opened;
    memcpy(header.fleet_id, res->config.fleet_id, sizeof header.fleet_id);
    memcpy(header.boot_id, hold->file.boot_id, sizeof header.boot_id);
    memcpy(header.claim, res->hold.claim, sizeof header.claim);
    header.device = hold->file.device;
    header.inode = hold->file.inode;
    header.datacenter = res->params.datacenter;
    header.worker = res->hold.worker;
    header.fence = res->hold.fence;
    memcpy(header.token, res->hold.token, sizeof header.token);
    memcpy(header.nonce, res->hold.record.nonce, sizeof header.nonce);
    header.version = res->hold.record.version;
    header.from_ms = res->hold.record.from_ms;
    header.reserved_until_ms = res->hold.record.reserved_until_ms;
    memcpy(header.lost, res->lost, sizeof header.lost);
    header.notice = res->notice;
    header.mint = *mint;
    header.max_ahead_ms = res->max_ahead_ms;
    sf_state_put(hold->file.block, &header);
    hold->file.block->holder = hold->file.self; /* whatever was written over it */
    hold->file_held = header.held != 0;
    hold->file_mint = *mint;
}

bool sf_hold_is_stale(const struct sf_hold *hold, const struct sf_minttime *mint)
{
    return hold->file_held && hold->res.hold.active &&
           memcmp(mint, &hold->file_mint, sizeof *mint) != 0;
}

int64_t sf_hold_minted_ms(const struct sf_hold *hold)
{
    const struct sf_reservation *res = &hold->res;
    if (!res->minted_once)
        return 0;
    return (int64_t)sf_generator_last_ms(res->gen) + res->config.epoch_ms;
}

void sf_hold_destroy(struct sf_hold *hold)
{
    sf_statefile_close(&hold->file);
    sf_right_unmap(hold->right);
    hold->right = NULL;
}
