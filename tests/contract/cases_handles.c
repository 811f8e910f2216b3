/* contract/cases_handles.c - handles: what ends with them, notices, many at once, deadlines,
 * exactly one completion. */
#include "coord/open.h"
#include "harness.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ticks.h"

/* Until a list shows this many claims. A handle that could not end its session in time leaves that
 * to the session's timeout. */
static bool wait_claims(struct ct_handle *handle, size_t count)
{
    int64_t end_ns = sf_mono_ns() + (3 * CT_SESSION_MS + CT_NOTICE_MS) * SF_NS_PER_MS;
    while (ct_list(handle)->claim_count != count) {
        if (sf_mono_ns() >= end_ns)
            return false;
        ct_pass_ms(20);
    }
    return true;
}

static void test_claims_end_with_their_handle(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    ct_init(a, 2);
    ct_claim(a);
    ct_claim(a);
    struct sf_coord_claim kept = ct_claim(b);
    assert_int_equal(ct_list(b)->claim_count, 3);
    ct_close(a);
    assert_true(wait_claims(b, 1));
    assert_string_equal(ct_list(b)->claims[0].name, kept.name);
}

static void test_release_frees_at_once(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim ours = ct_claim(a), theirs = ct_claim(b);
    struct sf_coord_slot slot = ct_read_slot(a, 1);
    struct sf_coord_request request = ct_write(SF_COORD_BIND, &slot, &ours, &config);
    ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    slot = ct_read_slot(a, 1);
    request = ct_write(SF_COORD_RELEASE, &slot, &ours, &config);
    ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    struct sf_coord_completion *list = ct_list(b);
    assert_int_equal(list->claim_count, 1);
    request = ct_write(SF_COORD_BIND, &list->slots[1], &theirs, &config);
    ct_expect(b, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
}

static void test_watch_notices(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_request watch = ct_request(SF_COORD_WATCH);
    ct_expect(b, &watch, SF_COORD_DONE, SF_COORD_NO_REASON);
    ct_pass_ms(100);
    unsigned seen = ct_notices(b, SF_COORD_CHANGED);
    struct sf_coord_claim claim = ct_claim(a);
    assert_true(ct_wait_notice(b, SF_COORD_CHANGED, seen));
    ct_pass_ms(400);
    struct sf_coord_slot slot = ct_read_slot(a, 0);
    seen = ct_notices(b, SF_COORD_CHANGED);
    struct sf_coord_request bind = ct_write(SF_COORD_BIND, &slot, &claim, &config);
    ct_expect(a, &bind, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_true(ct_wait_notice(b, SF_COORD_CHANGED, seen));
    ct_pass_ms(400);
    seen = ct_notices(b, SF_COORD_CHANGED);
    ct_close(a);
    assert_true(ct_wait_notice(b, SF_COORD_CHANGED, seen));
}

static void test_many_claimants(void **state)
{
    (void)state;
    enum { MANY = 32 };
    struct ct_handle *handles[MANY];
    struct sf_coord_request requests[MANY];
    struct sf_coord_claim claims[MANY];
    for (size_t i = 0; i < MANY; i++)
        handles[i] = ct_open();
    struct sf_coord_config config = ct_init(handles[0], 5);
    for (size_t i = 0; i < MANY; i++) {
        requests[i] = ct_request(SF_COORD_CLAIM);
        ct_guid(requests[i].u.claim.guid);
        ct_submit(handles[i], &requests[i]);
    }
    for (size_t i = 0; i < MANY; i++) {
        struct sf_coord_completion *c = ct_wait(handles[i], requests[i].id, 2 * CT_DEADLINE_MS);
        assert_non_null(c);
        assert_int_equal(c->outcome, SF_COORD_DONE);
        claims[i] = c->claims[0];
    }
    struct sf_coord_completion *list = ct_list(handles[7]);
    assert_int_equal(list->claim_count, MANY);
    for (size_t i = 1; i < MANY; i++)
        assert_true(list->claims[i - 1].fence < list->claims[i].fence);
    /* Everybody takes the slot of his place in the list. */
    for (size_t i = 0; i < MANY; i++) {
        size_t place = 0;
        while (strcmp(list->claims[place].name, claims[i].name) != 0)
            place++;
        requests[i] = ct_write(SF_COORD_BIND, &list->slots[place], &claims[i], &config);
        ct_submit(handles[i], &requests[i]);
    }
    for (size_t i = 0; i < MANY; i++) {
        struct sf_coord_completion *c = ct_wait(handles[i], requests[i].id, 2 * CT_DEADLINE_MS);
        assert_non_null(c);
        assert_int_equal(c->outcome, SF_COORD_DONE);
    }
    list = ct_list(handles[0]);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(list->claims[i].slot, i);
        assert_string_equal(list->slots[i].claim, list->claims[i].name);
    }
}

static void test_destroy_completes_everything_once(void **state)
{
    (void)state;
    enum { REQUESTS = 60 };
    struct ct_handle *a = ct_open(), *b = ct_open();
    ct_init(a, 2);
    unsigned before = 0;
    bool twice = false;
    before = ct_completions(a, &twice);
    for (size_t i = 0; i < REQUESTS; i++) {
        struct sf_coord_request request = ct_request(i % 3 == 0 ? SF_COORD_CLAIM : SF_COORD_LIST);
        if (request.op == SF_COORD_CLAIM)
            ct_guid(request.u.claim.guid);
        ct_submit(a, &request);
    }
    int64_t start_ns = sf_mono_ns();
    ct_close(a);
    assert_true(sf_mono_ns() - start_ns < 8 * SF_NS_PER_S);
    assert_int_equal(ct_completions(a, &twice) - before, REQUESTS);
    assert_false(twice);
    ct_pass_ms(100);
    assert_int_equal(ct_completions(a, &twice) - before, REQUESTS); /* silence after destroy */
    assert_true(wait_claims(b, 0));
}

static void test_deadline_is_kept(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    ct_init(a, 2);
    if (!ct_pause(a))
        skip();
    struct sf_coord_request request = ct_request(SF_COORD_CLAIM);
    ct_guid(request.u.claim.guid);
    request.deadline_ms = 500;
    int64_t start_ns = sf_mono_ns();
    uint64_t id = ct_submit(a, &request);
    struct sf_coord_completion *c = ct_wait(a, id, 3000);
    assert_non_null(c);
    assert_true(c->outcome == SF_COORD_LOST || c->outcome == SF_COORD_UNKNOWN);
    assert_true(sf_mono_ns() - start_ns < 2500 * SF_NS_PER_MS);
    assert_true(c->text[0] != '\0');
    ct_resume();
    /* The handle comes back by itself. What was left unknown may appear as one claim with our guid,
     * or not at all. */
    int64_t end_ns = sf_mono_ns() + 30 * SF_NS_PER_S;
    struct sf_coord_request read = ct_request(SF_COORD_LIST);
    read.deadline_ms = 2000;
    while ((c = ct_call(a, &read))->outcome != SF_COORD_DONE) {
        assert_true(sf_mono_ns() < end_ns);
        ct_pass_ms(50);
    }
    assert_true(c->claim_count <= 1);
    if (c->claim_count == 1)
        assert_string_equal(c->claims[0].guid, request.u.claim.guid);
    ct_claim(a);
}

static void test_two_handles_are_two_workers(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim ours = ct_claim(a);
    ct_claim(b);
    ct_close(b);
    /* The end of one handle does not touch the other's claims. */
    struct sf_coord_slot slot = ct_read_slot(a, 0);
    struct sf_coord_request bind = ct_write(SF_COORD_BIND, &slot, &ours, &config);
    ct_expect(a, &bind, SF_COORD_DONE, SF_COORD_NO_REASON);
    struct ct_handle *c = ct_open();
    assert_true(wait_claims(c, 1));
}

/* A forked child has neither the threads nor the session: its requests fail at once, its destroy
 * harms nobody, and the parent goes on. */

static volatile int child_lost; /* one thread: the child has no other */

static void child_sink(void *ctx, struct sf_coord_event *event)
{
    if (ctx != NULL && getpid() != *(pid_t *)ctx && event->kind == SF_COORD_COMPLETION &&
        event->completion.outcome == SF_COORD_LOST && event->completion.reason == SF_COORD_SESSION)
        child_lost++;
    sf_coord_event_free(event);
}

static void test_forked_child_does_nothing(void **state)
{
    (void)state;
    if (ct_url == NULL)
        skip(); /* the fake has no thread of its own */
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim ours = ct_claim(a);
    static pid_t parent;
    parent = getpid();
    const struct sf_coord_options options = {.url = ct_url,
                                             .fleet = ct_fleet(),
                                             .session_timeout_ms = CT_SESSION_MS,
                                             .ticks = &sf_ticks_system,
                                             .sink = child_sink,
                                             .sink_ctx = &parent};
    struct sf_coord *coord = NULL;
    struct sf_error err = {0, ""};
    assert_int_equal(sf_coord_open(&options, &coord, &err), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(20); /* a child that waits for a thread would wait for ever */
        struct sf_coord_request request = ct_request(SF_COORD_LIST);
        request.deadline_ms = CT_DEADLINE_MS;
        sf_coord_submit(coord, &request);
        sf_coord_destroy(coord);
        _exit(child_lost == 1 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sf_coord_destroy(coord);
    struct sf_coord_slot slot = ct_read_slot(a, 0);
    struct sf_coord_request bind = ct_write(SF_COORD_BIND, &slot, &ours, &config);
    ct_expect(a, &bind, SF_COORD_DONE, SF_COORD_NO_REASON);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(sf_coord_op_name(SF_COORD_READ_CONFIG), "read_config");
    assert_string_equal(sf_coord_op_name(SF_COORD_WATCH), "watch");
    assert_string_equal(sf_coord_outcome_name(SF_COORD_UNKNOWN), "unknown");
    assert_string_equal(sf_coord_reason_name(SF_COORD_CONFIG_CHANGED), "config_changed");
    assert_string_equal(sf_coord_reason_name(SF_COORD_ENDING), "ending");
    struct ct_handle *a = ct_open();
    assert_non_null(ct_coord(a)->ops->name);
}

const struct CMUnitTest ct_handle_cases[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, ct_setup, ct_teardown)
    CASE(claims_end_with_their_handle),
    CASE(release_frees_at_once),
    CASE(watch_notices),
    CASE(many_claimants),
    CASE(destroy_completes_everything_once),
    CASE(deadline_is_kept),
    CASE(two_handles_are_two_workers),
    CASE(forked_child_does_nothing),
    CASE(names),
};
const size_t ct_handle_case_count = sizeof ct_handle_cases / sizeof ct_handle_cases[0];
