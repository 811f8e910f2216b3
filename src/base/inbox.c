/* A stack without locks (Treiber 1986): posters push with compare-and-swap, the owner takes the
 * whole stack in one exchange and reverses it. Nothing is ever popped singly, so the ABA problem
 * cannot arise. */
#include "base/inbox.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/wait.h"

struct sf_inbox {
    _Atomic(struct sf_inbox_message *) newest;
    int fd;
};

struct sf_inbox *sf_inbox_create(void)
{
    struct sf_inbox *inbox = malloc(sizeof *inbox);
    if (inbox == NULL)
        return NULL;
    atomic_init(&inbox->newest, NULL);
    inbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (inbox->fd < 0) {
        free(inbox);
        return NULL;
    }
    return inbox;
}

void sf_inbox_destroy(struct sf_inbox *inbox,
                      void (*drop)(void *ctx, struct sf_inbox_message *message), void *ctx)
{
    if (inbox == NULL)
        return;
    struct sf_inbox_message *message = sf_inbox_take(inbox);
    while (message != NULL) {
        struct sf_inbox_message *next = message->next;
        if (drop != NULL)
            drop(ctx, message);
        message = next;
    }
    close(inbox->fd);
    free(inbox);
}

int sf_inbox_fd(const struct sf_inbox *inbox)
{
    return inbox->fd;
}

void sf_inbox_post(struct sf_inbox *inbox, struct sf_inbox_message *message)
{
    struct sf_inbox_message *old = atomic_load_explicit(&inbox->newest, memory_order_relaxed);
    do {
        message->next = old;
    } while (!atomic_compare_exchange_weak_explicit(&inbox->newest, &old, message,
                                                    memory_order_release, memory_order_relaxed));
    /* Whoever found the inbox empty wakes the owner; the others lie behind a wake-up that is on its
     * way. */
    if (old == NULL)
        sf_inbox_wake(inbox);
}

void sf_inbox_wake(struct sf_inbox *inbox)
{
    const int saved = errno;
    uint64_t one = 1;
    /* EAGAIN means that the counter is full, so the descriptor is readable, which is all we
     * want. */
    while (sf_wait_is_event(inbox->fd) && write(inbox->fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    errno = saved;
}

struct sf_inbox_message *sf_inbox_take(struct sf_inbox *inbox)
{
    /* First the descriptor, then the messages: a post in between leaves the descriptor readable, at
     * worst for nothing. */
    uint64_t count;
    while (read(inbox->fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    struct sf_inbox_message *newest =
        atomic_exchange_explicit(&inbox->newest, NULL, memory_order_acquire);
    struct sf_inbox_message *oldest = NULL;
    while (newest != NULL) {
        struct sf_inbox_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}
