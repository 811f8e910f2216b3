/* fuzz/fuzz_state.c - state files: bytes as they are, and blocks whose checksum holds although what stands in them is
 * nonsense. What is recalled can be used as it is. */
#include "fuzz.h"

#include "worker/statefile.h"

#define BOOT_ID "6f6e3c1a-1b2c-4d5e-8f90-a1b2c3d4e5f6"

static void recall(const struct sf_state_block *block)
{
    struct sf_reservation_memory memory;
    struct sf_error why = {0};
    const int64_t mono_ns = INT64_C(5000000000000);
    sf_state_recall(block, BOOT_ID, 11, 12, mono_ns, 10, &memory, &why);
    for (size_t i = 0; i < SF_RES_LOST_MAX; i++) /* also of a file that is of no other use */
        MUST(memchr(memory.lost[i], '\0', sizeof memory.lost[i]));
    if (!memory.valid) {
        MUST(why.text[0]);
        return;
    }
    MUST(memchr(memory.fleet_id, '\0', sizeof memory.fleet_id));
    MUST(memchr(memory.token, '\0', sizeof memory.token));
    MUST(memchr(memory.record.claim, '\0', sizeof memory.record.claim));
    MUST(memchr(memory.record.nonce, '\0', sizeof memory.record.nonce));
    MUST(memory.not_before_ms > 0);
    MUST(!(memory.last_word & SF_GENERATOR_CLOSED));
}

/* The first byte says which of the fields that are looked at first are as they should be. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sf_state_block block;
    static struct sf_state_header header;
    if (size == 0)
        return 0;
    const uint8_t right = data[0];
    data++;
    size--;
    memset(&block, 0, sizeof block);
    memcpy(&block, data, size < sizeof block ? size : sizeof block);
    recall(&block);
    memset(&header, 0, sizeof header);
    memcpy(&header, data, size < sizeof header ? size : sizeof header);
    if (right & 1)
        header.held = 1;
    if (right & 2)
        memcpy(header.boot_id, BOOT_ID, sizeof BOOT_ID);
    if (right & 4) {
        header.device = 11;
        header.inode = 12;
    }
    sf_state_put(&block, &header);
    recall(&block);
    /* A second one over the older copy: the newer counts. */
    header.fence = 99;
    sf_state_put(&block, &header);
    MUST(sf_state_get(&block, &header) == 0 && header.fence == 99);
    return 0;
}
