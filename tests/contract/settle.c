/* contract/settle.c - what a worker does about a request of which it heard nothing: it looks whether a write
 * was done, and asks again if it was not. A busy machine may cost a connection, or an answer where a
 * backend turns to another member when one has stood still for too long. */
#include "harness.h"

#include <string.h>

#define TRIES    30
#define PAUSE_MS 200

/* Is the claim there? Then the completion is what its answer would have been. */
static bool claim_was_made(struct ct_handle *handle, const struct sf_coord_request *request,
                           struct sf_coord_completion *c)
{
    struct sf_coord_completion *list = ct_list(handle);
    for (size_t i = 0; i < list->claim_count; i++) {
        if (strcmp(list->claims[i].guid, request->u.claim.guid) != 0)
            continue;
        c->claims = calloc(1, sizeof *c->claims);
        assert_non_null(c->claims);
        c->claims[0] = list->claims[i];
        c->claim_count = 1;
        return true;
    }
    return false;
}

static bool slot_was_written(struct ct_handle *handle, const struct sf_coord_request *request,
                             struct sf_coord_completion *c)
{
    struct sf_coord_request read = ct_request(SF_COORD_READ_SLOT);
    read.datacenter = request->datacenter;
    memcpy(read.basis.token, request->basis.token, sizeof read.basis.token);
    read.u.worker = request->u.write.slot.worker;
    const struct sf_coord_slot there =
        ct_expect(handle, &read, SF_COORD_DONE, SF_COORD_NO_REASON)->slots[0];
    c->version = there.version;
    return strcmp(there.nonce, request->u.write.slot.nonce) == 0;
}

static bool was_done(struct ct_handle *handle, const struct sf_coord_request *request,
                     struct sf_coord_completion *c)
{
    switch (request->op) {
    case SF_COORD_CLAIM:
        return claim_was_made(handle, request, c);
    case SF_COORD_BIND:
    case SF_COORD_RENEW:
    case SF_COORD_RELEASE:
        return slot_was_written(handle, request, c);
    default: /* UNCLAIM may be done twice; others are judged as they are */
        return false;
    }
}

struct sf_coord_completion *ct_answer(struct ct_handle *handle, struct sf_coord_request *request)
{
    struct sf_coord_completion *c = ct_call(handle, request);
    for (int i = 0; i < TRIES; i++) {
        const bool unheard = c->outcome == SF_COORD_UNKNOWN && c->reason == SF_COORD_UNREACHABLE;
        if (!unheard && c->outcome != SF_COORD_LOST)
            break;
        ct_pass_ms(PAUSE_MS);
        if (unheard && was_done(handle, request, c)) {
            c->outcome = SF_COORD_DONE;
            c->reason = SF_COORD_NO_REASON;
            break;
        }
        c = ct_call(handle, request);
    }
    return c;
}
