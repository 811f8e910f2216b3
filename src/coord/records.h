/* coord/records.h - the JSON documents that the coordinator keeps (docs/uniqueness.md, "Names in
 * the coordinator"), for every backend.
 *
 * Decoders take bytes from outside: any size up to SF_COORD_RECORD_SIZE_MAX, any content; unknown
 * members are ignored, missing or ill-typed ones, numbers out of range and duplicate keys are
 * refused with a precise text. They leave `version` alone. Encoders give memory that the caller
 * frees. Pure and thread-safe. Return 0 or -EBADMSG.
 */
#ifndef SF_COORD_RECORDS_H
#define SF_COORD_RECORDS_H

#include "base/error.h"
#include "coord/types.h"

char *sf_record_config_encode(const struct sf_coord_config *config);
/* Of the present format; an older one is refused with the way out. */
int sf_record_config_decode(const char *bytes, size_t size, struct sf_coord_config *ret,
                            struct sf_error *err);
/* Is it of the present format? Returns 0, or -EBADMSG with the way out of an older one. */
int sf_config_check_format(const struct sf_coord_config *config, struct sf_error *err);
/* Of any format that there has been (config.format says which): for who makes the fleet anew. */
int sf_record_config_decode_any(const char *bytes, size_t size, struct sf_coord_config *ret,
                                struct sf_error *err);

/* The last millisecond that an ID of the fleet can carry, Unix ms; INT64_MAX where that is beyond what
 * can be counted. The layout must be valid. */
int64_t sf_config_last_ms(const struct sf_coord_config *config);

char *sf_record_slot_encode(const struct sf_coord_slot *slot);
/* worker comes from the path, not from the document. Fills `canonical`. */
int sf_record_slot_decode(const char *bytes, size_t size, uint64_t worker,
                          struct sf_coord_slot *ret, struct sf_error *err);

/* Do both have the same owner, claim, nonce and times? What no counter can fake. */
bool sf_slot_content_same(const struct sf_coord_slot *a, const struct sf_coord_slot *b);

char *sf_record_claim_encode(const struct sf_coord_claim *claim);
int sf_record_claim_decode(const char *bytes, size_t size, struct sf_coord_claim *ret,
                           struct sf_error *err);

/* "claim-<guid>-<sequence>": at least ten digits, as ZooKeeper writes them. Returns 0 or -EBADMSG.
 */
int sf_claim_name_parse(const char *name, char ret_guid[SF_HEX128_SIZE], uint64_t *ret_sequence);
void sf_claim_name_format(const char *guid, uint64_t sequence, char to[SF_COORD_CLAIM_MAX]);

/* What a slot is to those who look for one. */
enum sf_slot_state {
    SF_SLOT_FREE,        /* anybody may take it */
    SF_SLOT_HELD,        /* a live claim has it */
    SF_SLOT_QUARANTINED, /* nobody has it, but its last owner may still mint: until reserved_until_ms */
    SF_SLOT_BROKEN,      /* its record is missing or garbage: nobody may take it */
    SF_SLOT_STATES
};
/* By a slot and the live claims of its datacenter at one time, by fence as LIST gives them. ret_holder
 * (may be NULL): the claim that has it, or NULL. Costs the logarithm of their number. */
enum sf_slot_state sf_slot_state(const struct sf_coord_slot *slot,
                                 const struct sf_coord_claim *claims, size_t claim_count,
                                 int64_t now_ms, const struct sf_coord_claim **ret_holder);
/* "free", "held", "quarantined", "broken": in JSON, metrics and tables alike. */
const char *sf_slot_state_name(enum sf_slot_state state);

/* SF_COORD_TOKEN_SIZE - 1 hexadecimal digits in lower case? */
bool sf_token_is_valid(const char *token);

/* Is this a usable fleet name? Returns 0 or -EINVAL with the rule in err. */
int sf_fleet_name_check(const char *name, struct sf_error *err);


#endif
