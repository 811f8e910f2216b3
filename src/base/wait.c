/* Waiting for descriptors. */
#include "base/wait.h"

#include <sys/stat.h>

#include "base/ticks.h"

int sf_wait(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    const int most_ms =
        timeout_ms < 0 || timeout_ms > SF_WAIT_MOST_MS ? SF_WAIT_MOST_MS : timeout_ms;
    const int ready = poll(fds, count, most_ms);
    for (nfds_t i = 0; ready > 0 && i < count; i++) {
        if ((fds[i].revents & POLLNVAL) != 0) {
            sf_sleep_ms(most_ms < SF_WAIT_LOST_MS ? most_ms : SF_WAIT_LOST_MS);
            break;
        }
    }
    return ready;
}

/* What has no name in any file system has no type there either. */
bool sf_wait_is_event(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 && (info.st_mode & S_IFMT) == 0;
}
