/* The page that holds the right to mint. */
#include "member/right.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

int sf_right_map(struct sf_right **ret_right, struct sf_error *err)
{
    void *page = mmap(NULL, sizeof(struct sf_right), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return sf_error_set(err, -errno, "no memory for a generator");
    if (madvise(page, sizeof(struct sf_right), MADV_WIPEONFORK) != 0) {
        const int rc = -errno;
        munmap(page, sizeof(struct sf_right));
        return sf_error_set(
            err, rc, "the kernel cannot keep a generator from forked children (MADV_WIPEONFORK)");
    }
    *ret_right = page;
    return 0;
}

void sf_right_unmap(struct sf_right *right)
{
    if (right != NULL)
        munmap(right, sizeof *right);
}
