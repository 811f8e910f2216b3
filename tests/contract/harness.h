/* contract/harness.h - one world for every backend: opening handles, calling, waiting, and reaching
 * past the contract to damage what is kept. A failed wait fails the test. */
#ifndef CONTRACT_HARNESS_H
#define CONTRACT_HARNESS_H

#include "unit/cmocka_all.h"

#include <stdbool.h>

#include "coord/coord.h"
#include "coord/records.h"

#define CT_DEADLINE_MS 10000 /* of a call that is expected to succeed */
#define CT_NOTICE_MS   10000
#define CT_SESSION_MS  8000

/* What the suite runs against: NULL (the fake), or a URL. Set by main. */
extern const char *ct_url;

struct ct_handle;

/* A fresh fleet name for every test; nothing is made yet. */
int ct_setup(void **state);
int ct_teardown(void **state); /* closes what is still open */
const char *ct_fleet(void);
void ct_use_fleet(const char *name); /* of handles opened from now on */

struct ct_handle *ct_open(void); /* connected when it returns */
void ct_close(struct ct_handle *handle);
struct sf_coord *ct_coord(struct ct_handle *handle);

/* Gives the request an id (returned) and, when it has none, a deadline. */
uint64_t ct_submit(struct ct_handle *handle, struct sf_coord_request *request);
/* The completion of this id; the harness frees it at teardown. NULL: none within timeout_ms. */
struct sf_coord_completion *ct_wait(struct ct_handle *handle, uint64_t id, int64_t timeout_ms);
struct sf_coord_completion *ct_call(struct ct_handle *handle, struct sf_coord_request *request);
/* Calls and asserts the outcome and reason. */
struct sf_coord_completion *ct_expect(struct ct_handle *handle, struct sf_coord_request *request,
                                      enum sf_coord_outcome outcome, enum sf_coord_reason reason);

/* Calls, and when nothing was heard looks whether it was done, and asks again if not. What came of it in
 * the end, as an answer would have said. */
struct sf_coord_completion *ct_answer(struct ct_handle *handle, struct sf_coord_request *request);

/* Notices seen so far; a wait for one more than `seen`. */
unsigned ct_notices(struct ct_handle *handle, enum sf_coord_event_kind kind);
bool ct_wait_notice(struct ct_handle *handle, enum sf_coord_event_kind kind, unsigned seen);
/* Completions that this handle has delivered, and whether one id came twice. Valid after ct_close,
 * until teardown. */
unsigned ct_completions(struct ct_handle *handle, bool *ret_twice);
/* Works for the fake's pump and nothing else; others just wait. */
void ct_pass_ms(int64_t ms);

/* Below the contract. Paths are those below /snowfleet/<fleet>: "/config"; "/dc/..." and "/state" are
 * those of the present making. False: this backend's
 * data cannot be reached, skip. */
bool ct_raw_put(const char *path, const char *bytes, size_t size);
bool ct_raw_delete(const char *path);
/* The coordinator stops answering writes (datacenter 0), and goes on. False: not possible here. */
bool ct_pause(struct ct_handle *handle);
void ct_resume(void);
/* Begins to make another member of the coordinator its leader. False: not possible here. */
bool ct_cut(void);
/* Whether that is over. */
bool ct_cut_is_over(void);

/* Requests. They are for the present making, and have its basis, unless they say otherwise. */
struct sf_coord_request ct_request(enum sf_coord_op op);
/* The present making, as it was read last; ct_learn reads it. */
struct sf_coord_basis ct_basis(void);
struct sf_coord_completion *ct_learn(struct ct_handle *handle);
/* Fills in what INIT must have seen: root and config as they are. */
void ct_survey(struct ct_handle *handle, struct sf_coord_init *init);
void ct_guid(char to[SF_HEX128_SIZE]);

/* INIT with 4 slots (worker_bits 2) or more in datacenters 0 and 1; floor 1000 ms. Returns the
 * config. */
struct sf_coord_config ct_init(struct ct_handle *handle, uint8_t worker_bits);
struct sf_coord_request ct_init_request(uint8_t worker_bits);
struct sf_coord_claim ct_claim(struct ct_handle *handle);
struct sf_coord_slot ct_read_slot(struct ct_handle *handle, uint64_t worker);
/* A list alone may be old; this one is not. */
struct sf_coord_completion *ct_list(struct ct_handle *handle);
/* A BIND, RENEW or RELEASE of the slot as it was read, for this claim, with a fresh nonce. */
struct sf_coord_request ct_write(enum sf_coord_op op, const struct sf_coord_slot *slot,
                                 const struct sf_coord_claim *claim,
                                 const struct sf_coord_config *config);

bool ct_same_version(const struct sf_coord_version *a, const struct sf_coord_version *b);

extern const struct CMUnitTest ct_fleet_cases[], ct_making_cases[], ct_slot_cases[],
    ct_probe_cases[], ct_handle_cases[], ct_cut_cases[];
extern const size_t ct_fleet_case_count, ct_making_case_count, ct_slot_case_count,
    ct_probe_case_count, ct_handle_case_count, ct_cut_case_count;

#endif
