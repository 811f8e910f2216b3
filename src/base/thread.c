/* base/thread.c - see thread.h. */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#define NAME_MAX_BYTES 16 /* with its NUL, as the kernel has it */

/* What a thread begins with; its own. */
struct begin {
    char name[NAME_MAX_BYTES];
    void *(*run)(void *ctx);
    void *ctx;
};

/* The mask is inherited, so it is set around the making: a signal that comes meanwhile waits. */
static int create(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *ctx), void *ctx)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(ret, attr, run, ctx);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -failed;
}

/* A thread names itself: another one would have to write to a file in /proc, which a confined
 * process may not. */
static void *run_named(void *arg)
{
    const struct begin begin = *(const struct begin *)arg;
    free(arg);
    (void)prctl(PR_SET_NAME, begin.name, 0UL, 0UL, 0UL);
    return begin.run(begin.ctx);
}

int sf_thread_start(pthread_t *ret, const char *name, void *(*run)(void *ctx), void *ctx)
{
    pthread_t thread;
    struct begin *begin = malloc(sizeof *begin);
    if (begin == NULL)
        return -ENOMEM;
    *begin = (struct begin){.run = run, .ctx = ctx};
    (void)snprintf(begin->name, sizeof begin->name, "%s", name);
    const int rc = create(&thread, NULL, run_named, begin);
    if (rc < 0) {
        free(begin);
        return rc;
    }
    *ret = thread;
    return 0;
}

int sf_thread_detach(void *(*run)(void *ctx), void *ctx)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    const int rc = create(&thread, &attr, run, ctx);
    pthread_attr_destroy(&attr);
    return rc;
}
