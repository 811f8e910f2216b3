/* member/right.h - the right to mint, on a page of its own that a forked child finds zeroed: there is
 * neither word nor limit, so a child that mints all the same ends by the missing word. */
#ifndef SF_MEMBER_RIGHT_H
#define SF_MEMBER_RIGHT_H

#include "base/error.h"
#include "id/generator.h"

struct sf_right {
    struct sf_generator gen;
    _Atomic uint64_t word; /* the generator's: nobody but this process can write it */
};

/* A zeroed page. Returns 0, or a negative errno code where there is no memory, or the kernel cannot
 * keep a page from children. */
int sf_right_map(struct sf_right **ret_right, struct sf_error *err);
/* NULL is fine. */
void sf_right_unmap(struct sf_right *right);

#endif
