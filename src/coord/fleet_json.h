/* coord/fleet_json.h - the picture of a fleet that people see, as JSON: the same from a worker's /fleet
 * (docs/http.md) and from the tool that reads the coordinator itself. In coord, the lowest room that knows
 * what is read and who shows it. One thread for each picture. */
#ifndef SF_COORD_FLEET_JSON_H
#define SF_COORD_FLEET_JSON_H

#include <jansson.h>

#include "coord/expected.h"
#include "coord/types.h"

/* A datacenter as it was listed, and how it is looked at. */
struct sf_fleet_picture {
    uint64_t datacenter;
    const struct sf_coord_slot *slots;
    size_t slot_count;
    const struct sf_coord_claim *claims;
    size_t claim_count;
    int64_t now_ms, remember_ms; /* as for sf_expected_take */
};

/* A new object (the caller's reference) with empty lists "slots" and "members". */
json_t *sf_fleet_json(void);
/* Adds the slots and members of a datacenter. Whoever draws adds to the members what else it knows. */
void sf_fleet_json_add(json_t *fleet, const struct sf_fleet_picture *picture);
/* After the last one: sets "expected", "ready", "waiting", "lost", "left", and "health": a level ("good": all who
 * are expected are ready; "bad": none of them is; else "warn", also where nobody is expected), and the sentence that says who is not. */
void sf_fleet_json_end(json_t *fleet, int64_t now_ms);

/* "host-b 0/3 lost since 12s: why", of a member as it stands in "members". Returns buffer. */
#define SF_FLEET_MEMBER_TEXT_MAX 512
const char *sf_fleet_member_text(const json_t *member, int64_t now_ms,
                                 char buffer[SF_FLEET_MEMBER_TEXT_MAX]);

#endif
