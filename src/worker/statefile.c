/* The state file: its block. Pure; worker/statefile_open.c opens it. */
#include "worker/statefile.h"

#include <errno.h>
#include <string.h>

#include "base/ticks.h"

static uint64_t checksum_of(const struct sf_state_header *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < offsetof(struct sf_state_header, checksum); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static bool is_whole(const struct sf_state_header *header)
{
    return header->magic == SF_STATE_MAGIC && header->checksum == checksum_of(header);
}

int sf_state_get(const struct sf_state_block *block, struct sf_state_header *ret)
{
    const struct sf_state_header *best = NULL;
    for (int i = 0; i < 2; i++)
        if (is_whole(&block->copies[i]) &&
            (best == NULL || block->copies[i].generation > best->generation))
            best = &block->copies[i];
    if (best == NULL)
        return -ENOENT;
    *ret = *best;
    return 0;
}

bool sf_state_is_old(const struct sf_state_block *block)
{
    for (int i = 0; i < 2; i++)
        if (block->copies[i].magic < SF_STATE_MAGIC &&
            block->copies[i].magic >= SF_STATE_MAGIC_FIRST)
            return true;
    return false;
}

void sf_state_put(struct sf_state_block *block, const struct sf_state_header *header)
{
    uint64_t generation = 0;
    int older = 0;
    for (int i = 0; i < 2; i++) {
        if (is_whole(&block->copies[i]) && block->copies[i].generation >= generation) {
            generation = block->copies[i].generation;
            older = 1 - i;
        }
    }
    struct sf_state_header whole;
    memset(&whole, 0, sizeof whole);
    whole = *header;
    whole.magic = SF_STATE_MAGIC;
    whole.generation = generation + 1;
    whole.checksum = checksum_of(&whole);
    struct sf_state_header *to = &block->copies[older];
    to->checksum = ~whole.checksum; /* a half-written copy must never look whole */
    atomic_thread_fence(memory_order_seq_cst);
    memcpy(to, &whole, offsetof(struct sf_state_header, checksum));
    atomic_thread_fence(memory_order_seq_cst);
    to->checksum = whole.checksum;
}

/* Whatever was written with a checksum that holds can be used: texts end, and times can be reckoned
 * with. */
static bool is_sane(const struct sf_state_header *header)
{
    for (unsigned i = 0; i < SF_RES_LOST_MAX; i++)
        if (memchr(header->lost[i], '\0', sizeof header->lost[i]) == NULL)
            return false;
    const struct sf_coord_report *report = &header->notice.report;
    if (memchr(header->notice.token, '\0', sizeof header->notice.token) == NULL ||
        memchr(report->claim, '\0', sizeof report->claim) == NULL ||
        memchr(report->node, '\0', sizeof report->node) == NULL)
        return false;
    return memchr(header->fleet_id, '\0', sizeof header->fleet_id) != NULL &&
           memchr(header->token, '\0', sizeof header->token) != NULL &&
           memchr(header->nonce, '\0', sizeof header->nonce) != NULL &&
           memchr(header->claim, '\0', sizeof header->claim) != NULL &&
           header->mint.anchor_mono_ns >= 0 && header->mint.anchor_mint_ns >= 0 &&
           header->mint.anchor_mint_ns < INT64_MAX / 2 &&
           header->max_ahead_ms <= SF_STATE_AHEAD_MAX_MS;
}

void sf_state_recall(const struct sf_state_block *block, const char *boot_id, uint64_t device,
                     uint64_t inode, int64_t mono_ns, uint32_t max_ahead_ms,
                     struct sf_reservation_memory *ret, struct sf_error *ret_why)
{
    memset(ret, 0, sizeof *ret);
    struct sf_state_header header;
    if (sf_state_is_old(block)) {
        sf_error_set(ret_why, -ESTALE,
                     "the state file is of an older version of this program; nothing needs to be "
                     "done: the next restart has one of this version");
        return;
    }
    if (sf_state_get(block, &header) != 0 || !is_sane(&header)) {
        sf_error_set(ret_why, -ENOENT, "the state file is new or damaged");
        return;
    }
    /* Whatever the rest is worth: */
    memcpy(ret->lost, header.lost, sizeof ret->lost);
    ret->notice = header.notice;
    if (!header.held) {
        sf_error_set(ret_why, -ENOENT, "the last process gave its slot back");
        return;
    }
    if (strncmp(header.boot_id, boot_id, sizeof header.boot_id) != 0) {
        sf_error_set(ret_why, -ESTALE, "the state file is of another boot");
        return;
    }
    if (header.device != device || header.inode != inode) {
        sf_error_set(ret_why, -ESTALE, "the state file is a copy");
        return;
    }
    if (mono_ns < header.mint.anchor_mono_ns) {
        sf_error_set(ret_why, -ESTALE, "the state file is from the future of this boot's clock");
        return;
    }
    ret->valid = true;
    memcpy(ret->fleet_id, header.fleet_id, sizeof ret->fleet_id);
    ret->datacenter = header.datacenter;
    ret->worker = header.worker;
    memcpy(ret->token, header.token, sizeof ret->token);
    ret->record = (struct sf_coord_slot){.worker = header.worker,
                                         .state = SF_COORD_RECORD_OK,
                                         .fence = header.fence,
                                         .from_ms = header.from_ms,
                                         .reserved_until_ms = header.reserved_until_ms,
                                         .version = header.version};
    memcpy(ret->record.claim, header.claim, sizeof ret->record.claim);
    memcpy(ret->record.nonce, header.nonce, sizeof ret->record.nonce);
    ret->last_word = atomic_load(&block->word) & ~SF_GENERATOR_CLOSED;
    /* The old process's minting time was never further than the slew away from this, and its IDs
     * its own max_ahead_ms beyond, whatever the option is now. */
    const int64_t elapsed_ns = mono_ns - header.mint.anchor_mono_ns;
    const int64_t slew_ns = elapsed_ns / (1000000 / SF_MINTTIME_SLEW_PPM);
    const int64_t latest_ns = header.mint.anchor_mint_ns + elapsed_ns + slew_ns;
    ret->not_before_ms =
        latest_ns / SF_NS_PER_MS + 1 +
        (int64_t)(header.max_ahead_ms > max_ahead_ms ? header.max_ahead_ms : max_ahead_ms);
}
