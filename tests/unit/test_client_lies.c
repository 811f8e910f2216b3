/* What a server gives is checked before anybody is handed it: IDs that were not asked for, repeats,
 * answers to other requests, late answers, what comes behind nonsense. A caller's array has a rim
 * that must stay as it was. */
#include <inttypes.h>
#include <string.h>

#include "client/shared.h"

#define SERVERS 2
#include "unit/client_fixture.h"

#define RIM UINT64_C(0xABABABABABABABAB)

/* However busy the machine is, no server is given up for being slow. */
static const struct sf_client_options patient = {.attempt_timeout_ms = 20000, .timeout_ms = 60000};

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Asks for `count` IDs with room for just these. */
static enum sf_client_error take(struct sf_client *client, uint32_t count, uint64_t *ret_ids)
{
    ret_ids[count] = RIM;
    const enum sf_client_error error = sf_client_next_many(client, count, ret_ids);
    assert_true(ret_ids[count] == RIM);
    return error;
}

static void assert_all_differ(uint64_t *ids, size_t count)
{
    qsort(ids, count, sizeof *ids, by_value);
    for (size_t i = 1; i < count; i++)
        if (ids[i] == ids[i - 1])
            fail_msg("%" PRIu64 " was handed out twice", ids[i]);
}

/* Nothing that the only server answers can be used. A busy machine may need another call to see it.
 */
static void assert_unusable(struct sf_client *client, uint32_t count, uint64_t *ids)
{
    enum sf_client_error error;
    int calls = 0;
    do {
        error = take(client, count, ids);
        assert_int_not_equal(error, SF_CLIENT_OK);
    } while (error != SF_CLIENT_PROTOCOL && ++calls < 50);
    assert_int_equal(error, SF_CLIENT_PROTOCOL);
    assert_int_equal(stats_of(client).ids, 0);
}

/* --- how many --- */

static void test_an_answer_has_as_many_ids_as_were_asked_for(void **state)
{
    (void)state;
    static const enum fake_mode modes[] = {FAKE_LONG, FAKE_SHORT};
    uint64_t ids[64];
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        servers[0].mode = modes[i];
        for (uint32_t count = 1; count <= 3; count++) {
            struct sf_client *client = client_of(1, (struct sf_client_options){.timeout_ms = 300});
            assert_unusable(client, count, ids);
            sf_client_destroy(client);
        }
        /* Another one answers as it should: nothing of the first is in what is handed out. */
        struct sf_client *client = client_of(2, patient);
        for (int k = 0; k < 20; k++) {
            assert_int_equal(take(client, 3, ids), SF_CLIENT_OK);
            for (int n = 0; n < 3; n++)
                assert_int_equal(ids[n] >> 12 & 31, servers[1].worker);
        }
        assert_true(stats_of(client).protocol_errors >= 1);
        sf_client_destroy(client);
        servers[0].mode = FAKE_SERVE;
    }
}

static void test_counts_at_their_edges(void **state)
{
    (void)state;
    struct sf_client *client = client_of(1, patient);
    static uint64_t ids[SF_CLIENT_COUNT_MAX + 1];
    assert_int_equal(take(client, 1, ids), SF_CLIENT_OK);
    assert_int_equal(take(client, SF_CLIENT_COUNT_MAX, ids), SF_CLIENT_OK);
    assert_all_differ(ids, SF_CLIENT_COUNT_MAX);
    sf_client_destroy(client);
    client = client_of(1, (struct sf_client_options){.timeout_ms = 2000});
    const uint64_t asked = servers[0].asked;
    assert_int_equal(take(client, 0, ids), SF_CLIENT_INVALID);
    assert_int_equal(sf_client_next_many(client, SF_CLIENT_COUNT_MAX + 1, ids), SF_CLIENT_INVALID);
    assert_int_equal(servers[0].asked, asked);
    sf_client_destroy(client);
}

/* --- repeats --- */

/* Nothing is known of the fleet's layout (INFO is refused), so that the connection alone can tell.
 */
static void test_repeats_on_one_connection(void **state)
{
    (void)state;
    uint64_t ids[64];
    servers[0].no_info = true;
    for (uint32_t count = 1; count <= 3; count++) {
        static const enum fake_mode modes[] = {FAKE_REPEAT, FAKE_BACKWARD, FAKE_OVERLAP};
        for (size_t i = 0; i < (count > 1 ? 3 : 2); i++) { /* half of one ID is none */
            struct sf_client *client = client_of(1, patient);
            servers[0].mode = FAKE_SERVE;
            assert_int_equal(take(client, count, ids), SF_CLIENT_OK);
            servers[0].mode = modes[i];
            if (modes[i] != FAKE_BACKWARD) /* the first one begins the repeats */
                assert_int_equal(take(client, count, ids), SF_CLIENT_OK);
            assert_int_equal(take(client, count, ids), SF_CLIENT_ORDER);
            assert_int_equal(stats_of(client).order_errors, 1);
            sf_client_destroy(client);
        }
    }
}

/* What was to be followed is compared as a number, from the first ID of the first connection on. */
static void test_an_answer_that_does_not_follow(void **state)
{
    (void)state;
    servers[0].mode = FAKE_DEAF;
    struct sf_client *client = client_of(1, patient);
    struct sf_client_request request = {.count = 1, .has_after = true};
    struct sf_client_reply reply;
    const uint64_t next = fake_id(&servers[0], servers[0].word);
    request.after = next; /* itself is not greater */
    assert_int_equal(sf_client_ask(client, &request, &reply), SF_CLIENT_ORDER);
    assert_int_equal(reply.count, 0);
    sf_client_reply_free(&reply);
    assert_int_equal(stats_of(client).order_errors, 1);
    request.after = fake_id(&servers[0], servers[0].word) - 1;
    assert_int_equal(sf_client_ask(client, &request, &reply), SF_CLIENT_OK);
    sf_client_reply_free(&reply);
    sf_client_destroy(client);
}

/* Over a new connection, and through another engine: the server's last ID is remembered. */
static void test_repeats_on_another_connection(void **state)
{
    (void)state;
    uint64_t ids[64];
    struct sf_client *client = client_of(1, patient);
    servers[0].mode = FAKE_GOAWAY;
    assert_int_equal(take(client, 10, ids), SF_CLIENT_OK);
    servers[0].word -= 5;
    servers[0].mode = FAKE_SERVE;
    assert_int_equal(take(client, 10, ids), SF_CLIENT_ORDER);
    assert_int_equal(servers[0].accepted, 2);
    sf_client_destroy(client);
}

struct taken {
    uint64_t ids[1000];
    uint32_t count, replies, order;
};

static void on_done(void *ctx, const struct sf_client_reply *reply)
{
    struct taken *taken = ctx;
    taken->replies++;
    taken->order += reply->error == SF_CLIENT_ORDER;
    for (uint32_t i = 0; i < reply->run_count; i++)
        for (uint32_t k = 0; k < reply->runs[i].count; k++)
            taken->ids[taken->count++] = reply->runs[i].first + k;
}

static void submit(struct sf_client *client, uint32_t count, struct taken *taken)
{
    assert_int_equal(
        sf_client_submit(client, &(struct sf_client_request){.count = count}, on_done, taken),
        SF_CLIENT_OK);
}

static void carry_through(struct sf_client *client)
{
    for (uint32_t left = 1; left > 0; left = sf_client_process(client)) {
        struct pollfd pollfd = {.fd = sf_client_fd(client), .events = POLLIN};
        assert_int_equal(poll(&pollfd, 1, 60000), 1);
    }
}

/* Requests that are on their way together were all sent before the first answer was there. */
static void test_repeats_of_requests_under_way_together(void **state)
{
    (void)state;
    static const enum fake_mode modes[] = {FAKE_REPEAT, FAKE_OVERLAP};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct taken taken = {0};
        struct sf_client *client = client_of(1, patient);
        servers[0].mode = FAKE_SERVE;
        submit(client, 4, &taken);
        carry_through(client);
        servers[0].mode = modes[i];
        for (int k = 0; k < 10; k++)
            submit(client, 4, &taken);
        carry_through(client);
        assert_int_equal(taken.replies, 11);
        assert_true(taken.order >= 1);
        assert_all_differ(taken.ids, taken.count);
        sf_client_destroy(client);
    }
}

/* --- whose answer --- */

static void test_an_answer_to_another_request_is_not_taken(void **state)
{
    (void)state;
    uint64_t ids[64];
    servers[0].mode = FAKE_WRONG_ID;
    struct sf_client *client = client_of(1, (struct sf_client_options){.timeout_ms = 300});
    assert_unusable(client, 1, ids);
    sf_client_destroy(client);
}

/* The connection is given up at the first nonsense; what came behind it is not looked at. */
static void test_nothing_is_taken_from_behind_nonsense(void **state)
{
    (void)state;
    uint64_t ids[64];
    servers[0].mode = FAKE_POISON;
    struct sf_client *client = client_of(1, (struct sf_client_options){.timeout_ms = 300});
    assert_unusable(client, 1, ids);
    sf_client_destroy(client);
}

/* The answers behind an ID that goes back are not used either, though they ascend. */
static void test_nothing_is_taken_from_behind_a_repeat(void **state)
{
    (void)state;
    struct taken taken = {0};
    struct sf_client *client = client_of(1, patient);
    submit(client, 4, &taken);
    carry_through(client);
    const uint64_t highest = taken.ids[3];
    servers[0].hold = true;
    for (int k = 0; k < 10; k++)
        submit(client, 2, &taken);
    servers[0].word -= 4; /* the first two answers repeat, the others go on */
    servers[0].hold = false;
    while (servers[0].served < 11)
        usleep(100);
    servers[0].word += UINT64_C(5000) << 12;
    carry_through(client);
    assert_int_equal(taken.order, 1);
    for (uint32_t i = 4; i < taken.count; i++)
        assert_true(taken.ids[i] > highest + (UINT64_C(4000) << 22));
    sf_client_destroy(client);
}

/* A call that ended leaves its request behind; the answer belongs to nobody. */
static void test_a_late_answer_is_nobodys(void **state)
{
    (void)state;
    uint64_t ids[64];
    struct sf_client_reply reply;
    struct sf_client *client = client_of(1, patient);
    assert_int_equal(take(client, 2, ids), SF_CLIENT_OK);
    servers[0].hold = true;
    for (int i = 0; i < 3; i++) {
        const struct sf_client_request request = {.count = 2, .timeout_ms = 30};
        assert_int_equal(sf_client_ask(client, &request, &reply), SF_CLIENT_TIMEOUT);
        sf_client_reply_free(&reply);
    }
    servers[0].hold = false;
    const uint64_t word = servers[0].word;
    assert_int_equal(take(client, 2, ids), SF_CLIENT_OK);
    assert_true(ids[0] > fake_id(&servers[0], word));
    assert_int_equal(ids[1], ids[0] + 1);
    assert_int_equal(stats_of(client).late_answers, 3);
    assert_int_equal(stats_of(client).ids, 4);
    sf_client_destroy(client);
}

/* A part of a call is asked of both servers, and both answer: one answer counts. The last part is
 * smaller than what may come late. */
static void test_a_second_answer_is_not_added(void **state)
{
    (void)state;
    static uint64_t ids[46];
    for (int i = 0; i < SERVERS; i++)
        servers[i].max_batch = 10;
    servers[0].delay_ms = 60;
    servers[1].delay_ms = 30;
    struct sf_client *client =
        client_of(2, (struct sf_client_options){.attempt_timeout_ms = 50, .timeout_ms = 20000});
    for (int i = 0; i < 40 && stats_of(client).late_answers < 3; i++) {
        assert_int_equal(take(client, 45, ids), SF_CLIENT_OK);
        assert_all_differ(ids, 45);
        assert_int_equal(stats_of(client).ids, 45 * (i + 1));
    }
    assert_true(stats_of(client).late_answers >= 3);
    sf_client_destroy(client);
}

/* --- whose IDs --- */

/* A worker that does not know its fleet has no IDs to give. */
static void test_no_ids_of_a_fleet_that_is_not_known(void **state)
{
    (void)state;
    uint64_t ids[64];
    servers[0].fleet_id = "";
    struct sf_client *client = client_of(1, (struct sf_client_options){.timeout_ms = 300});
    assert_unusable(client, 1, ids);
    const struct sf_client_stats stats = stats_of(client);
    assert_non_null(strstr(stats.last_protocol_error, "127.0.0.1:"));
    assert_non_null(strstr(stats.last_protocol_error, "fleet is not known"));
    servers[0].fleet_id = servers[1].fleet_id;
    struct sf_client *other = client_of(1, patient);
    assert_int_equal(take(other, 1, ids), SF_CLIENT_OK);
    sf_client_destroy(other);
    sf_client_destroy(client);
}

/* It learned its fleet behind the INFO that did not tell, and before the IDs: nothing is wrong with
 * it. What it gave is not taken, and the next INFO tells whose the next IDs are. */
static void test_a_worker_gets_ready_between_info_and_ids(void **state)
{
    (void)state;
    uint64_t ids[64];
    servers[0].named_by_next = servers[1].fleet_id;
    servers[0].fleet_id = "";
    struct sf_client *client = client_of(1, patient);
    assert_int_equal(take(client, 1, ids), SF_CLIENT_OK);
    const struct sf_client_stats stats = stats_of(client);
    assert_int_equal(servers[0].served, 2);
    assert_int_equal(servers[0].infos, 2);
    assert_int_equal(stats.ids, 1);
    assert_int_equal(stats.connects, 1);
    assert_int_equal(stats.disconnects, 0);
    assert_int_equal(stats.protocol_errors, 0);
    assert_string_equal(stats.last_protocol_error, "");
    sf_client_destroy(client);
}

static void test_no_ids_of_another_fleet(void **state)
{
    (void)state;
    uint64_t ids[64];
    struct sf_client *client = client_of(2, patient);
    assert_int_equal(take(client, 1, ids), SF_CLIENT_OK);
    const uint64_t first = ids[0] >> 12 & 31; /* who gave it names the fleet */
    servers[2 - first].fleet_id = "99999999-2222-4333-8444-555555555555";
    for (int i = 0; i < 300; i++) {
        assert_int_equal(take(client, 1, ids), SF_CLIENT_OK);
        assert_int_equal(ids[0] >> 12 & 31, first);
    }
    sf_client_destroy(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_answer_has_as_many_ids_as_were_asked_for),
        TEST(test_counts_at_their_edges),
        TEST(test_repeats_on_one_connection),
        TEST(test_an_answer_that_does_not_follow),
        TEST(test_repeats_on_another_connection),
        TEST(test_repeats_of_requests_under_way_together),
        TEST(test_an_answer_to_another_request_is_not_taken),
        TEST(test_nothing_is_taken_from_behind_nonsense),
        TEST(test_nothing_is_taken_from_behind_a_repeat),
        TEST(test_a_late_answer_is_nobodys),
        TEST(test_a_second_answer_is_not_added),
        TEST(test_no_ids_of_a_fleet_that_is_not_known),
        TEST(test_a_worker_gets_ready_between_info_and_ids),
        TEST(test_no_ids_of_another_fleet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
