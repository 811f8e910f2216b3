/* What a TRACKING reply means, what NTP servers say together, and the pace of asking. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock/chrony_reading.h"
#include "clock/drivers.h"
#include "clock/ntp_group.h"

#define MS   SF_NS_PER_MS
#define S    SF_NS_PER_S
#define POLL (4 * S)

static int64_t fake_real_ns(void *ctx)
{
    return INT64_C(1795212995) * S + *(int64_t *)ctx;
}

static int64_t fake_mono_ns(void *ctx)
{
    return *(int64_t *)ctx;
}

static const struct sf_chrony_tracking tracking = {.reference_id = 0x0a000001,
                                                   .stratum = 3,
                                                   .address = "10.0.0.1",
                                                   .has_reference_time = true,
                                                   .reference_ns = INT64_C(1795212990) * S,
                                                   .correction_ns = 250 * MS,
                                                   .root_delay_ns = 4 * MS,
                                                   .root_dispersion_ns = MS,
                                                   .update_interval_ns = 2 * S};

/* A reply now, 1 ms after its question. */
static struct sf_reading interpret(struct sf_chrony_reference *reference,
                                   const struct sf_chrony_tracking *t, int64_t mono_ns)
{
    const struct sf_clock_now now = {INT64_C(1795212995) * S + mono_ns, mono_ns};
    return sf_chrony_interpret(reference, t, POLL, now, mono_ns - MS);
}

static void test_chrony_readings(void **state)
{
    (void)state;
    struct sf_chrony_reference reference = {.known = false};
    struct sf_chrony_tracking t = tracking;
    struct sf_reading r = interpret(&reference, &t, 0);
    assert_int_equal(r.status, SF_READING_SYNCED);
    assert_int_equal(sf_reading_offset_ns(&r, INT64_C(1795212995) * S, 0), 250 * MS);
    assert_int_equal(r.error_ns, 4 * MS); /* 1 ms dispersion, 2 ms delay, 1 ms on the way */
    t.stratum = 0;
    assert_int_equal(interpret(&reference, &t, 0).status, SF_READING_UNSYNCED);
    t = tracking;
    t.leap = 3;
    assert_int_equal(interpret(&reference, &t, 0).status, SF_READING_UNSYNCED);
    t = tracking;
    t.has_reference_time = false;
    assert_int_equal(interpret(&reference, &t, 0).status, SF_READING_UNSYNCED);
    t = tracking;
    t.reference_id = 0x7f7f0101;
    r = interpret(&reference, &t, 0);
    assert_true(r.status == SF_READING_UNSYNCED && !r.has_time && strstr(r.text, "local mode"));
}

/* chronyd answers, but its own sources are gone: it says "Normal" for ever, only the reference time
 * stands still. */
static void test_chrony_without_sources(void **state)
{
    (void)state;
    struct sf_chrony_reference reference = {.known = false};
    struct sf_chrony_tracking t = tracking;
    interpret(&reference, &t, 0); /* the reference is 5.25 s old already */
    assert_int_equal(interpret(&reference, &t, 24 * S).status, SF_READING_SYNCED);
    struct sf_reading r = interpret(&reference, &t, 25 * S);
    assert_int_equal(sf_reading_status_at(&r, 25 * S), SF_READING_HOLDOVER);
    assert_non_null(strstr(r.text, "has lost its sources"));
    assert_int_equal(r.error_ns, 4 * MS + sf_clock_drift_ns(30 * S + 250 * MS));
    r = interpret(&reference, &t, 930 * S);
    assert_int_equal(sf_reading_status_at(&r, 930 * S), SF_READING_UNSYNCED);
    t.reference_ns += 930 * S; /* back */
    r = interpret(&reference, &t, 931 * S);
    assert_int_equal(sf_reading_status_at(&r, 931 * S), SF_READING_SYNCED);
    t.update_interval_ns = 64 * S; /* slow, but alive: eight intervals */
    assert_int_equal(interpret(&reference, &t, 931 * S + 500 * S).status, SF_READING_SYNCED);
    assert_int_equal(interpret(&reference, &t, 931 * S + 510 * S).status, SF_READING_HOLDOVER);
    /* A chronyd that is silent itself goes stale by the age of its last word. */
    r = interpret(&reference, &t, 1000 * S);
    r.status = SF_READING_SYNCED;
    r.good_mono_ns = 1000 * S;
    assert_int_equal(sf_reading_status_at(&r, 1013 * S), SF_READING_SYNCED);
    assert_int_equal(sf_reading_status_at(&r, 1013 * S + 1), SF_READING_HOLDOVER);
}

/* A reference time that lies in the future is as fresh as one can be; one from long ago is lost, and
 * counts as at most a day old. */
static void test_chrony_reference_times(void **state)
{
    (void)state;
    struct sf_chrony_reference future = {.known = false}, old = {.known = false};
    struct sf_chrony_tracking t = tracking;
    t.reference_ns += 3600 * S;
    t.address[0] = '\0';
    struct sf_reading r = interpret(&future, &t, 0);
    assert_int_equal(r.status, SF_READING_SYNCED);
    assert_string_equal(r.text, "stratum 3, reference clock");
    assert_int_equal(interpret(&future, &t, 30 * S).status, SF_READING_SYNCED);
    assert_int_equal(interpret(&future, &t, 30 * S + 1).status, SF_READING_HOLDOVER);
    t.reference_ns = 0;
    r = interpret(&old, &t, 0);
    assert_int_equal(sf_reading_status_at(&r, 0), SF_READING_UNSYNCED);
    assert_int_equal(r.error_ns, 4 * MS + sf_clock_drift_ns(86400 * S));
}

static void heard(struct sf_ntp_server *server, int64_t mono_ns, int64_t base_ns)
{
    const struct sf_ntp_sample sample = {
        .base_ns = base_ns, .error_ns = MS, .as_of_mono_ns = mono_ns};
    server->heard = true;
    server->good_mono_ns = mono_ns;
    sf_ntp_filter_add(&server->filter, &sample);
}

static struct sf_reading together(struct sf_ntp_server *servers, size_t count, int64_t mono_ns,
                                  struct sf_reading *last)
{
    const struct sf_source_env env = {.poll_ns = POLL};
    struct sf_reading reading;
    sf_ntp_group_read(servers, count, &env, mono_ns, last, &reading);
    *last = reading;
    return reading;
}

static void test_ntp_together(void **state)
{
    (void)state;
    struct sf_ntp_server servers[3];
    struct sf_clock_spec spec = {.kind = SF_CLOCK_NTP, .text = "ntp:a"};
    struct sf_reading last = {.kind = SF_CLOCK_NTP};
    for (int i = 0; i < 3; i++)
        sf_ntp_server_init(&servers[i], &spec);
    assert_int_equal(together(servers, 3, 0, &last).status, SF_READING_NONE);
    /* While the third has not had its time to answer, two that disagree are no verdict yet. */
    heard(&servers[0], 0, 0);
    heard(&servers[1], 0, 5 * S);
    assert_int_equal(together(servers, 3, 0, &last).status, SF_READING_NONE);
    servers[2].tried = true;
    assert_int_equal(together(servers, 3, 0, &last).status, SF_READING_NO_MAJORITY);
    heard(&servers[2], 0, MS);
    struct sf_reading r = together(servers, 3, 0, &last);
    assert_int_equal(r.status, SF_READING_SYNCED);
    assert_true(servers[1].falseticker && !servers[0].falseticker && !servers[2].falseticker);
    assert_int_equal(r.base_ns, MS / 2); /* [-1, 1] and [0, 2]: [0, 1] */
    assert_int_equal(r.error_ns, MS / 2);
    assert_string_equal(r.text, "2 of 3 servers agree, falseticker ntp:a");
    /* All fall silent: holdover with the last word, in the end unsynchronised. */
    r = together(servers, 3, 14 * S, &last);
    assert_int_equal(sf_reading_status_at(&r, 14 * S), SF_READING_HOLDOVER);
    assert_true(r.has_time && strstr(r.text, "0 of 3 servers answer"));
    assert_true(sf_reading_error_ns(&r, 14 * S) >= MS / 2 + sf_clock_drift_ns(S));
    r = together(servers, 3, 901 * S, &last);
    assert_int_equal(sf_reading_status_at(&r, 901 * S), SF_READING_UNSYNCED);
    /* One comes back: not more than half of three. Then another. */
    heard(&servers[0], 902 * S, 0);
    r = together(servers, 3, 902 * S, &last);
    assert_int_equal(sf_reading_status_at(&r, 902 * S), SF_READING_UNSYNCED);
    heard(&servers[2], 903 * S, 0);
    r = together(servers, 3, 903 * S, &last);
    assert_int_equal(sf_reading_status_at(&r, 903 * S), SF_READING_SYNCED);
}

static void test_pace(void **state)
{
    (void)state;
    int64_t at_ns = 1000 * S;
    const struct sf_ticks ticks = {fake_real_ns, fake_mono_ns, &at_ns};
    struct sf_source_env env = {.ticks = &ticks, .prng = {.state = 7}, .poll_ns = POLL};
    struct sf_source_pace pace = {.burst_left = SF_SOURCE_BURST};
    static const struct {
        bool failed, fast;
        int64_t interval_ns;
    } rows[] = {{false, false, S / 4},   {true, false, S / 4},    {false, true, S / 4},
                {false, false, S / 4},   {false, false, POLL},    {true, false, 2 * POLL},
                {true, false, 4 * POLL}, {true, false, 4 * POLL}, {true, true, 2 * S},
                {false, false, POLL},    {false, true, 2 * S}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        env.fast = rows[i].fast;
        sf_source_next(&pace, &env, at_ns, rows[i].failed);
        const int64_t interval_ns = pace.due_mono_ns - at_ns;
        assert_in_range(interval_ns, rows[i].interval_ns * 9 / 10, rows[i].interval_ns * 11 / 10);
    }
    pace.slower = 6; /* RATE: obeyed, haste or not */
    env.fast = true;
    sf_source_next(&pace, &env, at_ns, false);
    assert_true(pace.due_mono_ns - at_ns >= 64 * POLL * 9 / 10);
}

/* A name that does not exist fails at once; it is looked up again when the next question is due,
 * not before. */
static void test_a_bad_name_is_asked_for_in_pace(void **state)
{
    (void)state;
    int64_t at_ns = 1000 * S;
    const struct sf_ticks ticks = {fake_real_ns, fake_mono_ns, &at_ns};
    struct sf_source_env env = {
        .ticks = &ticks, .prng = {.state = 7}, .poll_ns = POLL, .wake_fd = eventfd(0, EFD_CLOEXEC)};
    struct sf_ntp_server server;
    struct sf_clock_spec spec = {.kind = SF_CLOCK_NTP, .text = "ntp:bad", .address = {.port = 123}};
    memset(spec.address.host, 'x', 100); /* no name has so long a part: no name server is asked */
    sf_ntp_server_init(&server, &spec);
    server.pace.burst_left = 0;
    for (int failures = 1; failures <= 3; failures++) {
        uint64_t done;
        sf_ntp_server_turn(&server, &env);
        assert_non_null(server.peer.lookup);
        assert_int_equal(read(env.wake_fd, &done, sizeof done), sizeof done);
        sf_ntp_server_turn(&server, &env);
        assert_null(server.peer.lookup);
        assert_int_equal(server.pace.failures, failures);
        assert_true(server.tried && strstr(server.peer.trouble, "name: "));
        const int64_t wait_ns = sf_ntp_server_due_mono_ns(&server) - at_ns;
        assert_true(wait_ns >= 2 * POLL * 9 / 10);
        at_ns += wait_ns - 1;
        sf_ntp_server_turn(&server, &env);
        assert_null(server.peer.lookup);
        at_ns += 1;
    }
    sf_ntp_server_end(&server);
    close(env.wake_fd);
}

static void test_pair_of_clocks(void **state)
{
    (void)state;
    int64_t at_ns = 77;
    const struct sf_ticks ticks = {fake_real_ns, fake_mono_ns, &at_ns};
    const struct sf_clock_now now = sf_clock_read_now(&ticks);
    assert_int_equal(now.mono_ns, 77);
    assert_int_equal(now.real_ns, INT64_C(1795212995) * S + 77);
}

/* Every kind that can be configured has its one driver, in the table, with the functions that
 * belong together. */
static void test_drivers(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < SF_CLOCK_KINDS; kind++) {
        unsigned found = 0;
        for (const struct sf_clock_driver *const *at = sf_clock_drivers; *at != NULL; at++)
            found += (*at)->kind == kind;
        assert_int_equal(found, sf_clock_kind_row((enum sf_clock_kind)kind)->arguments != 0);
    }
    for (const struct sf_clock_driver *const *at = sf_clock_drivers; *at != NULL; at++) {
        assert_true((*at)->open != NULL && (*at)->close != NULL && (*at)->read != NULL);
        assert_int_equal((*at)->poll != NULL, (*at)->fds != NULL);
        assert_int_equal((*at)->poll != NULL, (*at)->due_mono_ns != NULL);
        assert_true(sf_clock_kind_row((*at)->kind)->trust > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chrony_readings),
        cmocka_unit_test(test_chrony_without_sources),
        cmocka_unit_test(test_chrony_reference_times),
        cmocka_unit_test(test_ntp_together),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_a_bad_name_is_asked_for_in_pace),
        cmocka_unit_test(test_pair_of_clocks),
        cmocka_unit_test(test_drivers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
