/* base/wait.h - waiting for descriptors that somebody else in the process may close by mistake. */
#ifndef SF_BASE_WAIT_H
#define SF_BASE_WAIT_H

#include <poll.h>
#include <stdbool.h>

#define SF_WAIT_MOST_MS 1000
#define SF_WAIT_LOST_MS 50

/* As poll(2), but comes back after SF_WAIT_MOST_MS with 0 at the latest: who is in there while a descriptor
 * is closed is not woken by that, nor by what is written to its number afterwards. Where one of them is
 * no open descriptor (POLLNVAL) it takes SF_WAIT_LOST_MS, or the timeout if that is sooner, so that a loop
 * that goes on does not spin. Any thread. */
int sf_wait(struct pollfd *fds, nfds_t count, int timeout_ms);

/* Is this still an eventfd or a timerfd, as far as can be seen? Not where it was closed and its number given to a file, a
 * socket or a pipe: what would be written there would spoil somebody else's data. */
bool sf_wait_is_event(int fd);

#endif
