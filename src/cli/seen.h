/* cli/seen.h - the last N IDs, with who gave them: finds every repetition among them, exactly. One
 * thread at a time. */
#ifndef SF_CLI_SEEN_H
#define SF_CLI_SEEN_H

#include <stdbool.h>
#include <stdint.h>

struct sf_seen;

/* NULL when memory is out. About 24 bytes for each ID. */
struct sf_seen *sf_seen_create(uint64_t window);
void sf_seen_destroy(struct sf_seen *seen);

/* Remembers an ID (below 2^63) from a giver (below 2^16), forgetting the oldest when there are N.
 * Returns false when it is there already; ret_giver then says who gave it before. */
bool sf_seen_add(struct sf_seen *seen, uint64_t id, uint32_t giver, uint32_t *ret_giver);

#endif
