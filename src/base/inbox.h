/* base/inbox.h - where other threads leave messages for one thread.
 *
 * post: any thread. take: the owner only. The descriptor is readable while messages wait (an
 * eventfd), so that the owner can sleep in poll or epoll. Order of posts is kept. The inbox never
 * blocks a poster and never fails: the message brings its own memory. Messages still inside at
 * destroy are given to drop. */
#ifndef SF_BASE_INBOX_H
#define SF_BASE_INBOX_H

#include <stddef.h>

struct sf_inbox_message {
    struct sf_inbox_message *next;
};

struct sf_inbox;

/* Returns NULL when memory or descriptors are out (errno tells). */
struct sf_inbox *sf_inbox_create(void);
void sf_inbox_destroy(struct sf_inbox *inbox,
                      void (*drop)(void *ctx, struct sf_inbox_message *message), void *ctx);
int sf_inbox_fd(const struct sf_inbox *inbox);
void sf_inbox_post(struct sf_inbox *inbox, struct sf_inbox_message *message);
/* Makes the descriptor readable without a message. Safe in a signal handler. */
void sf_inbox_wake(struct sf_inbox *inbox);
/* All waiting messages, oldest first, as a list; NULL when there are none. Resets the
 * descriptor. */
struct sf_inbox_message *sf_inbox_take(struct sf_inbox *inbox);

#endif
