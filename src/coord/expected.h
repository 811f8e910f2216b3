/* coord/expected.h - who is to be there: everybody who holds or waits for a slot of a datacenter, and who
 * did a while ago. What is remembered is what the coordinator keeps anyway: claims say how their workers
 * are, and the record of a slot says who held it last, when that was last heard of, and whether it gave
 * the slot back. Pure; any thread. */
#ifndef SF_COORD_EXPECTED_H
#define SF_COORD_EXPECTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/types.h"

/* How long who is gone stays visible (fleet.remember_ms). */
#define SF_REMEMBER_DEFAULT_MS INT64_C(3600000)
#define SF_REMEMBER_MIN_MS     INT64_C(60000)     /* a holder may write no more often than once a minute */
#define SF_REMEMBER_MAX_MS     INT64_C(604800000) /* a week: whoever is gone for longer is no news */

#define SF_EXPECTED_LOST "lost" /* no longer heard of, and its slot was not given back */
#define SF_EXPECTED_LEFT "left" /* gave its slot back */

struct sf_expected_member {
    const struct sf_coord_claim *claim; /* NULL: it has none any more */
    const struct sf_coord_slot *slot;   /* that it holds or held last; NULL: none */
    const char *state; /* the worker's own (its claim's), or lost, or left; points into the claim, or is static */
    char reason[SF_COORD_TEXT_MAX]; /* "": nothing to say */
    int64_t since_ms; /* in that state. Of one that is lost or left: when it last wrote its record */
    bool expected; /* it should be serving: all but who left */
    bool ready;    /* it says that it serves, and its reservation has not passed */
    bool waiting;  /* it looks for a slot, and has none */
};

struct sf_expected {
    struct sf_expected_member *members; /* live claims by fence, then the others, newest first. To free */
    size_t count;
    size_t expected, ready, waiting, lost, left;
};

/* By slots and live claims of a datacenter at one time (LIST), which must outlive the answer.
 * remember_ms: as above, SF_REMEMBER_MIN_MS or more. A record of who holds another slot by now, or has
 * come back without one, is no member of its own: claims of its node that were made later are taken for
 * its successors, one for each record. Aborts when memory is out. */
void sf_expected_take(const struct sf_coord_slot *slots, size_t slot_count,
                      const struct sf_coord_claim *claims, size_t claim_count, int64_t now_ms,
                      int64_t remember_ms, struct sf_expected *ret);
void sf_expected_free(struct sf_expected *expected);

#endif
