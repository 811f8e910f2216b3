/* Waiting for descriptors that somebody closes, and telling an eventfd from what has its number now. */
#include "unit/cmocka_all.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/inbox.h"
#include "base/ticks.h"
#include "base/wait.h"

static void what_is_an_event(void **state)
{
    (void)state;
    int pair[2], file = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_true(sf_wait_is_event(event));
    assert_false(sf_wait_is_event(file));
    assert_false(sf_wait_is_event(pair[0]));
    assert_false(sf_wait_is_event(-1));
    close(event);
    assert_false(sf_wait_is_event(event));
    close(file);
    close(pair[0]);
    close(pair[1]);
}

static int64_t waited_ms(struct pollfd *fd, int timeout_ms, int *ret)
{
    const int64_t began_ns = sf_mono_ns();
    *ret = sf_wait(fd, 1, timeout_ms);
    return (sf_mono_ns() - began_ns) / SF_NS_PER_MS;
}

static void it_comes_back(void **state)
{
    (void)state;
    int ready;
    const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct pollfd fd = {.fd = event, .events = POLLIN};
    assert_true(waited_ms(&fd, -1, &ready) >= SF_WAIT_MOST_MS - 1);
    assert_int_equal(ready, 0);
    assert_int_equal(eventfd_write(event, 1), 0);
    (void)waited_ms(&fd, -1, &ready);
    assert_int_equal(ready, 1);
    close(event);
    assert_true(waited_ms(&fd, -1, &ready) >= SF_WAIT_LOST_MS - 1); /* it does not spin */
    assert_true((fd.revents & POLLNVAL) != 0);
}

/* What is written to wake somebody does not go into somebody else's file. */
static void an_inbox_that_was_closed_writes_nowhere(void **state)
{
    (void)state;
    int ends[2];
    char byte;
    struct sf_inbox *inbox = sf_inbox_create();
    const int number = sf_inbox_fd(inbox);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(dup2(ends[1], number), number);
    sf_inbox_wake(inbox);
    assert_int_equal(read(ends[0], &byte, 1), -1);
    close(ends[0]);
    close(ends[1]);
    sf_inbox_destroy(inbox, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_an_event),
        cmocka_unit_test(it_comes_back),
        cmocka_unit_test(an_inbox_that_was_closed_writes_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
