/* Memory for minters: a list that only grows, by as many as are ever open at a time. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "minter/internal.h"

static struct sf_minter *_Atomic shells;

static int init_turned(struct sf_minter *shell)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return -1;
    int failed = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (failed == 0)
        failed = pthread_cond_init(&shell->turned, &attr);
    pthread_condattr_destroy(&attr);
    return failed != 0 ? -1 : 0;
}

/* For this process: new, or come from the parent, where threads that are not here may have held it. */
static int set_up(struct sf_minter *shell)
{
    pthread_mutex_init(&shell->mutex, NULL);
    if (init_turned(shell) != 0)
        return -1;
    sf_seats_init(&shell->seats);
    atomic_store(&shell->life->ours, true);
    return 0;
}

static struct sf_minter_life *map_life(void)
{
    void *map = mmap(NULL, sizeof(struct sf_minter_life), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (madvise(map, sizeof(struct sf_minter_life), MADV_WIPEONFORK) == 0)
        return map;
    (void)munmap(map, sizeof(struct sf_minter_life));
    return NULL;
}

static struct sf_minter *make(void)
{
    struct sf_minter *shell = aligned_alloc(_Alignof(struct sf_minter), sizeof *shell);
    if (shell == NULL)
        return NULL;
    memset(shell, 0, sizeof *shell);
    atomic_store(&shell->taken, true);
    shell->life = map_life();
    if (shell->life == NULL || set_up(shell) != 0) {
        if (shell->life != NULL)
            (void)munmap(shell->life, sizeof *shell->life);
        free(shell);
        return NULL;
    }
    shell->next = atomic_load(&shells);
    while (!atomic_compare_exchange_weak(&shells, &shell->next, shell))
        ;
    return shell;
}

struct sf_minter *sf_minter_shell_take(void)
{
    struct sf_minter *shell = atomic_load(&shells);
    bool taken = true;
    for (; shell != NULL; shell = shell->next) {
        taken = false;
        if (atomic_compare_exchange_strong(&shell->taken, &taken, true))
            break;
    }
    if (shell == NULL)
        return make();
    if (atomic_load(&shell->life->ours) || set_up(shell) == 0)
        return shell;
    atomic_store(&shell->taken, false);
    return NULL;
}

void sf_minter_shell_give(struct sf_minter *minter)
{
    atomic_store(&minter->taken, false);
}
