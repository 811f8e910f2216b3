/* base/thread.c - see thread.h. */
#include "base/thread.h"

#include <signal.h>

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

int sf_thread_start(pthread_t *ret, const char *name, void *(*run)(void *ctx), void *ctx)
{
    pthread_t thread;
    const int rc = create(&thread, NULL, run, ctx);
    if (rc < 0)
        return rc;
    (void)pthread_setname_np(thread, name);
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
