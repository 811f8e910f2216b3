/* fakes/fake_ops.h - what each op of the contract does to the tree of the coordinator in memory. One
 * thread. */
#ifndef SF_FAKES_FAKE_OPS_H
#define SF_FAKES_FAKE_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/coord.h"
#include "fakes/fake_tree.h"

/* One request as it is done. */
struct sf_fake_job {
    const struct sf_coord_request *request; /* one that sf_request_check likes */
    const char *fleet;
    uint64_t session; /* of who asks */
    int64_t now_ms;
    struct sf_fake_tree *tree;
    const struct sf_fake_tree *reads; /* what reads see: the tree, or an older copy */
    bool *watching;                   /* by datacenter: WATCH sets it */
    void (*changed)(void *ctx, const char *path); /* told before or after each change */
    void *changed_ctx;
    struct sf_coord_completion *to; /* DONE at first; filled, or refused */
};

void sf_fake_execute(struct sf_fake_job *job);

#endif
