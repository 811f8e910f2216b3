/* base/thread.h - threads of a part of the program that wants no signals: they are for the threads
 * of the program itself. What such a thread starts in turn (a library's own threads) inherits the
 * mask. Any thread may call; not async-signal-safe. */
#ifndef SF_BASE_THREAD_H
#define SF_BASE_THREAD_H

#include <pthread.h>

/* Starts run(ctx) on a thread with every signal blocked. name: what ps and gdb show, at most 15
 * bytes. ret: for pthread_join. Returns 0 or a negative errno code (nothing was started). */
int sf_thread_start(pthread_t *ret, const char *name, void *(*run)(void *ctx), void *ctx);

/* The same for a thread that nobody joins; it has no name, since it may have ended by then. */
int sf_thread_detach(void *(*run)(void *ctx), void *ctx);

#endif
