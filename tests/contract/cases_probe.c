/* contract/cases_probe.c - PROBE, FIND and counts of claims: a few things of a datacenter, whatever its
 * size. */
#include "harness.h"

#include <string.h>

static struct sf_coord_request probe_request(const uint64_t *workers, unsigned count,
                                             int64_t now_ms)
{
    struct sf_coord_request request = ct_request(SF_COORD_PROBE);
    request.u.probe.count = count;
    memcpy(request.u.probe.workers, workers, count * sizeof *workers);
    request.u.probe.now_ms = now_ms;
    return request;
}

static struct sf_coord_claim bind_at(struct ct_handle *handle, uint64_t worker,
                                     const struct sf_coord_config *config,
                                     int64_t reserved_until_ms)
{
    const struct sf_coord_claim claim = ct_claim(handle);
    const struct sf_coord_slot slot = ct_read_slot(handle, worker);
    struct sf_coord_request bind = ct_write(SF_COORD_BIND, &slot, &claim, config);
    bind.u.write.slot.reserved_until_ms = reserved_until_ms;
    ct_expect(handle, &bind, SF_COORD_DONE, SF_COORD_NO_REASON);
    return claim;
}

static void test_probe(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    const struct sf_coord_config config = ct_init(a, 3);
    const struct sf_coord_claim passed = bind_at(a, 2, &config, 5000);
    bind_at(a, 5, &config, 90000);
    const struct sf_coord_claim gone = bind_at(b, 7, &config, 5000);
    ct_close(b);
    (void)ct_read_slot(a, 0);
    static const uint64_t workers[] = {7, 2, 0, 5};
    struct sf_coord_request request = probe_request(workers, 4, 6000);
    struct sf_coord_completion *c = ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_int_equal(c->slot_count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct sf_coord_slot slot = ct_read_slot(a, workers[i]);
        assert_int_equal(c->slots[i].worker, workers[i]);
        assert_int_equal(c->slots[i].state, SF_COORD_RECORD_OK);
        assert_true(ct_same_version(&c->slots[i].version, &slot.version));
        assert_string_equal(c->slots[i].nonce, slot.nonce);
        assert_true(c->slots[i].canonical);
    }
    assert_string_equal(c->slots[0].claim, gone.name);
    /* Of those whose reservation has passed one has a live claim. */
    assert_int_equal(c->claim_count, 1);
    assert_string_equal(c->claims[0].name, passed.name);
    assert_int_equal(sf_slot_state(&c->slots[0], c->claims, c->claim_count, 6000, NULL),
                     SF_SLOT_FREE);
    assert_int_equal(sf_slot_state(&c->slots[1], c->claims, c->claim_count, 6000, NULL),
                     SF_SLOT_HELD);
    assert_int_equal(sf_slot_state(&c->slots[3], c->claims, c->claim_count, 6000, NULL),
                     SF_SLOT_QUARANTINED);
}

/* No path is built of what stands in a record, unless it is the name of a claim. */
static void test_probe_damaged(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    (void)ct_init(a, 2);
    static const char odd[] =
        "{\"fence\":1,\"from_ms\":0,\"claim\":\"../../"
        "state\",\"reserved_until_ms\":0,\"last_ms\":0,"
        "\"nonce\":\"00000000000000000000000000000000\",\"node\":\"\",\"updated_ms\":0}";
    if (!ct_raw_put("/dc/0/slots/1", odd, sizeof odd - 1) || !ct_raw_put("/dc/0/slots/2", "?", 1) ||
        !ct_raw_delete("/dc/0/slots/3"))
        skip();
    (void)ct_read_slot(a, 0);
    static const uint64_t workers[] = {0, 1, 2, 3};
    struct sf_coord_request request = probe_request(workers, 4, 6000);
    struct sf_coord_completion *c = ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_int_equal(c->slots[0].state, SF_COORD_RECORD_OK);
    assert_int_equal(c->slots[1].state, SF_COORD_RECORD_GARBAGE);
    assert_int_equal(c->slots[2].state, SF_COORD_RECORD_GARBAGE);
    assert_int_equal(c->slots[3].state, SF_COORD_RECORD_MISSING);
    assert_int_equal(c->claim_count, 0);
    assert_non_null(strstr(c->text, "slots/1")); /* the first of them is told */
}

static struct sf_coord_completion *find(struct ct_handle *handle, const char *mark,
                                        const char *start, unsigned most)
{
    struct sf_coord_request request = ct_request(SF_COORD_FIND);
    strcpy(request.u.find.mark, mark);
    strcpy(request.u.find.start, start);
    request.u.find.most = most;
    return ct_expect(handle, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
}

static void claim_as(struct ct_handle *handle, const char *guid)
{
    struct sf_coord_request request = ct_request(SF_COORD_CLAIM);
    strcpy(request.u.claim.guid, guid);
    strcpy(request.u.claim.node, guid);
    ct_expect(handle, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
}

static void test_find(void **state)
{
    (void)state;
    static const char *const guids[] = {
        "11111111111111110000000000000001", "11111111111111110000000000000002",
        "11111111111111115000000000000003", "88888888888888880000000000000004",
        "ffffffffffffffff0000000000000005"};
    struct ct_handle *a = ct_open();
    (void)ct_init(a, 2);
    for (size_t i = 0; i < 5; i++)
        claim_as(a, guids[i]);
    /* All of one mark, in the order in which they were made. */
    struct sf_coord_completion *c = find(a, "1111111111111111", "", 64);
    assert_int_equal(c->claim_total, 5);
    assert_int_equal(c->claim_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(c->claims[i].guid, guids[i]);
        assert_string_equal(c->claims[i].node, guids[i]);
        assert_true(i == 0 || c->claims[i].fence > c->claims[i - 1].fence);
    }
    /* Behind the last comes the first. */
    c = find(a, "1111111111111111", "4", 2);
    assert_int_equal(c->claim_count, 2);
    assert_string_equal(c->claims[0].guid, guids[0]);
    assert_string_equal(c->claims[1].guid, guids[2]);
    c = find(a, "", "f0000000000000000000000000000000", 2);
    assert_int_equal(c->claim_count, 2);
    assert_string_equal(c->claims[0].guid, guids[0]);
    assert_string_equal(c->claims[1].guid, guids[4]);
    c = find(a, "", "", 1);
    assert_int_equal(c->claim_count, 1);
    assert_string_equal(c->claims[0].guid, guids[0]);
    assert_int_equal(find(a, "2222222222222222", "", 64)->claim_count, 0);
}

static uint64_t counted(struct ct_handle *handle, struct sf_coord_request *request)
{
    request->count_claims = true;
    return ct_expect(handle, request, SF_COORD_DONE, SF_COORD_NO_REASON)->claim_total;
}

static void test_writes_count_claims(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    const struct sf_coord_config config = ct_init(a, 2);
    for (unsigned i = 0; i < 5; i++)
        (void)ct_claim(a);
    struct sf_coord_request request = ct_request(SF_COORD_CLAIM);
    ct_guid(request.u.claim.guid);
    assert_in_range(counted(a, &request), 5, 6); /* its own may be among them */
    const struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_slot slot = ct_read_slot(a, 1);
    request = ct_write(SF_COORD_BIND, &slot, &claim, &config);
    assert_int_equal(counted(a, &request), 7);
    slot = ct_read_slot(a, 1);
    request = ct_write(SF_COORD_RENEW, &slot, &claim, &config);
    assert_int_equal(counted(a, &request), 7);
}

/* Who watches the fleet alone hears of no claim; and nobody of a renewal. */
static void test_watch_tells_no_more(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *fleet_only = ct_open(), *all = ct_open();
    const struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_request watch = ct_request(SF_COORD_WATCH);
    ct_expect(all, &watch, SF_COORD_DONE, SF_COORD_NO_REASON);
    watch.u.fleet_only = true;
    ct_expect(fleet_only, &watch, SF_COORD_DONE, SF_COORD_NO_REASON);
    ct_pass_ms(500);
    unsigned seen = ct_notices(all, SF_COORD_CHANGED);
    const struct sf_coord_claim claim = bind_at(a, 1, &config, 90000);
    assert_true(ct_wait_notice(all, SF_COORD_CHANGED, seen));
    ct_pass_ms(500);
    seen = ct_notices(all, SF_COORD_CHANGED);
    for (unsigned i = 0; i < 5; i++) {
        const struct sf_coord_slot slot = ct_read_slot(a, 1);
        struct sf_coord_request renew = ct_write(SF_COORD_RENEW, &slot, &claim, &config);
        ct_expect(a, &renew, SF_COORD_DONE, SF_COORD_NO_REASON);
        ct_pass_ms(150);
    }
    ct_pass_ms(500);
    assert_int_equal(ct_notices(all, SF_COORD_CHANGED), seen);
    if (strcmp(ct_coord(a)->ops->name, "local") != 0) /* one directory is one watch there */
        assert_int_equal(ct_notices(fleet_only, SF_COORD_CHANGED), 0);
    seen = ct_notices(fleet_only, SF_COORD_FLEET_CHANGED);
    struct sf_coord_request halt = ct_request(SF_COORD_HALT);
    memcpy(halt.u.report.claim, claim.name, sizeof claim.name);
    halt.u.report.worker = 1;
    halt.u.report.held_until_ms = 90000;
    ct_expect(a, &halt, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_true(ct_wait_notice(fleet_only, SF_COORD_FLEET_CHANGED, seen));
}

const struct CMUnitTest ct_probe_cases[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, ct_setup, ct_teardown)
    CASE(probe),
    CASE(probe_damaged),
    CASE(find),
    CASE(writes_count_claims),
    CASE(watch_tells_no_more),
#undef CASE
};
const size_t ct_probe_case_count = sizeof ct_probe_cases / sizeof ct_probe_cases[0];
