/* record.h - what a collector writes for each run of IDs it received: 16 bytes, native order. */
#ifndef SF_TESTS_CHAOS_RECORD_H
#define SF_TESTS_CHAOS_RECORD_H

#include <stdint.h>

#define RUN_COUNT_MAX 65536

struct run {
    uint64_t first;      /* IDs first, first + 1, ... first + count - 1 */
    uint32_t count;      /* 1 to RUN_COUNT_MAX */
    uint32_t connection; /* unique in its file; 0: received without a promise of order */
};

_Static_assert(sizeof(struct run) == 16, "a record is 16 bytes");

#endif
