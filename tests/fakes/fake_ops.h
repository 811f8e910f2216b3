/* fakes/fake_ops.h - what each op of the contract does to the coordinator in memory, in one step: the
 * shortest true form of coord/coord.h. One thread. */
#ifndef SF_FAKES_FAKE_OPS_H
#define SF_FAKES_FAKE_OPS_H

#include "coord/coord.h"
#include "fakes/fake_tree.h"

struct sf_fake_job {
    const char *fleet;
    uint64_t session;
    int64_t now_ms;
    const struct sf_coord_request *request;
    struct sf_fake_tree *tree;        /* what is written, and what judges writes */
    const struct sf_fake_tree *reads; /* what LIST shows: may be old. Confirmed reads see `tree` */
    void (*changed)(void *ctx, const char *path);
    void *changed_ctx;
    void (*watch)(void *ctx, const struct sf_coord_request *request);
    void *watch_ctx;
    struct sf_coord_completion *to; /* of that request, DONE; filled, or turned into a refusal */
};

void sf_fake_execute(const struct sf_fake_job *job);

#endif
