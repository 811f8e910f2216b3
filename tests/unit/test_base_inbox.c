/* base/inbox.h: order, many posters at once, what is left over when the inbox goes. */
#include "unit/cmocka_all.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/inbox.h"

struct note {
    struct sf_inbox_message message; /* first, so that a message is a note */
    int poster, number;
};

static bool readable(struct sf_inbox *inbox, int timeout_ms)
{
    struct pollfd fd = {.fd = sf_inbox_fd(inbox), .events = POLLIN};
    return poll(&fd, 1, timeout_ms) == 1 && (fd.revents & POLLIN);
}

static void order_and_descriptor(void **state)
{
    (void)state;
    struct sf_inbox *inbox = sf_inbox_create();
    assert_non_null(inbox);
    assert_false(readable(inbox, 0));
    assert_null(sf_inbox_take(inbox));
    struct note notes[5];
    for (int i = 0; i < 5; i++) {
        notes[i].number = i;
        sf_inbox_post(inbox, &notes[i].message);
        assert_true(readable(inbox, 0));
    }
    struct sf_inbox_message *message = sf_inbox_take(inbox);
    for (int i = 0; i < 5; i++, message = message->next)
        assert_int_equal(((struct note *)message)->number, i);
    assert_null(message);
    assert_false(readable(inbox, 0));
    assert_null(sf_inbox_take(inbox));
    sf_inbox_wake(inbox);
    assert_true(readable(inbox, 0));
    assert_null(sf_inbox_take(inbox));
    assert_false(readable(inbox, 0));
    sf_inbox_destroy(inbox, NULL, NULL);
    sf_inbox_destroy(NULL, NULL, NULL);
}

static void count_drop(void *ctx, struct sf_inbox_message *message)
{
    int *sum = ctx;
    *sum = *sum * 10 + ((struct note *)message)->number;
}

static void destroy_drops_what_is_left(void **state)
{
    (void)state;
    struct sf_inbox *inbox = sf_inbox_create();
    struct note notes[3];
    for (int i = 0; i < 3; i++) {
        notes[i].number = i + 1;
        sf_inbox_post(inbox, &notes[i].message);
    }
    int sum = 0;
    sf_inbox_destroy(inbox, count_drop, &sum);
    assert_int_equal(sum, 123);
}

#define POSTERS 3
#define POSTS   2000

struct poster {
    struct sf_inbox *inbox;
    struct note notes[POSTS];
};

static void *post_all(void *arg)
{
    struct poster *poster = arg;
    for (int i = 0; i < POSTS; i++)
        sf_inbox_post(poster->inbox, &poster->notes[i].message);
    return NULL;
}

/* Sleeping on the descriptor alone must deliver every message, and keep the order of each
 * poster. */
static void threads_lose_nothing(void **state)
{
    (void)state;
    struct sf_inbox *inbox = sf_inbox_create();
    struct poster *posters = calloc(POSTERS, sizeof *posters);
    pthread_t threads[POSTERS];
    assert_non_null(posters);
    for (int p = 0; p < POSTERS; p++) {
        posters[p].inbox = inbox;
        for (int i = 0; i < POSTS; i++) {
            posters[p].notes[i].poster = p;
            posters[p].notes[i].number = i;
        }
        assert_int_equal(pthread_create(&threads[p], NULL, post_all, &posters[p]), 0);
    }
    int next[POSTERS] = {0}, seen = 0;
    while (seen < POSTERS * POSTS) {
        assert_true(readable(inbox, 60000));
        for (struct sf_inbox_message *m = sf_inbox_take(inbox); m; m = m->next, seen++) {
            struct note *note = (struct note *)m;
            assert_int_equal(note->number, next[note->poster]);
            next[note->poster]++;
        }
    }
    for (int p = 0; p < POSTERS; p++)
        pthread_join(threads[p], NULL);
    assert_null(sf_inbox_take(inbox));
    sf_inbox_destroy(inbox, NULL, NULL);
    free(posters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_descriptor),
        cmocka_unit_test(destroy_drops_what_is_left),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
