/* contract/cases_slots.c - claims, and the conditional writes of slot records. */
#include "harness.h"

#include <string.h>

#include "base/ticks.h"

static void test_claim_names_and_fences(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    ct_init(a, 2);
    uint64_t before = 0;
    for (int i = 0; i < 6; i++) {
        struct sf_coord_claim claim = ct_claim(i % 2 == 0 ? a : b);
        char guid[SF_HEX128_SIZE];
        uint64_t sequence = 0;
        assert_int_equal(sf_claim_name_parse(claim.name, guid, &sequence), 0);
        assert_string_equal(guid, claim.guid);
        assert_true(claim.fence > before); /* strictly, and never 0 */
        before = claim.fence;
    }
}

static void test_claim_fence_grows_over_gaps(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    ct_init(a, 2);
    struct sf_coord_claim first = ct_claim(a);
    ct_close(a); /* every claim gone, nobody connected */
    struct ct_handle *b = ct_open();
    assert_true(ct_claim(b).fence > first.fence);
}

static void test_claim_bad_guid(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    ct_init(a, 2);
    static const char *const bad[] = {"", "0123", "0123456789ABCDEF0123456789ABCDEF",
                                      "../../../../../../../../../../xx"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sf_coord_request request = ct_request(SF_COORD_CLAIM);
        strcpy(request.u.claim.guid, bad[i]);
        ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_INVALID);
    }
    assert_int_equal(ct_list(a)->claim_count, 0);
}

static void test_list_order_and_content(void **state)
{
    (void)state;
    struct ct_handle *handles[3] = {ct_open(), ct_open(), ct_open()};
    ct_init(handles[0], 2);
    struct sf_coord_claim made[6];
    for (size_t i = 0; i < 6; i++)
        made[i] = ct_claim(handles[i % 3]);
    struct sf_coord_completion *list = ct_list(handles[1]);
    assert_int_equal(list->claim_count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(list->claims[i].name, made[i].name);
        assert_string_equal(list->claims[i].guid, made[i].guid);
        assert_int_equal(list->claims[i].fence, made[i].fence);
        assert_int_equal(list->claims[i].slot, -1);
        assert_string_equal(list->claims[i].node, "node-a");
        assert_string_equal(list->claims[i].address, "127.0.0.1:7450");
        assert_string_equal(list->claims[i].admin, "[::1]:7451");
        assert_string_equal(list->claims[i].version, "0.1.0");
    }
}

static void assert_record(const struct sf_coord_slot *there, const struct sf_coord_slot *wanted,
                          const struct sf_coord_version *version)
{
    assert_int_equal(there->state, SF_COORD_RECORD_OK);
    assert_int_equal(there->fence, wanted->fence);
    assert_int_equal(there->from_ms, wanted->from_ms);
    assert_string_equal(there->claim, wanted->claim);
    assert_true(there->canonical);
    assert_int_equal(there->reserved_until_ms, wanted->reserved_until_ms);
    assert_int_equal(there->last_ms, wanted->last_ms);
    assert_string_equal(there->nonce, wanted->nonce);
    assert_string_equal(there->node, wanted->node);
    assert_int_equal(there->updated_ms, wanted->updated_ms);
    assert_true(ct_same_version(&there->version, version));
}

static void test_bind_renew_release(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_slot slot = ct_read_slot(a, 3);

    struct sf_coord_request bind = ct_write(SF_COORD_BIND, &slot, &claim, &config);
    struct sf_coord_version bound = ct_expect(a, &bind, SF_COORD_DONE, SF_COORD_NO_REASON)->version;
    assert_false(ct_same_version(&bound, &slot.version));
    slot = ct_read_slot(b, 3);
    assert_record(&slot, &bind.u.write.slot, &bound);
    struct sf_coord_completion *list = ct_list(b);
    assert_int_equal(list->claim_count, 1);
    assert_string_equal(list->claims[0].name, claim.name);
    assert_int_equal(list->claims[0].slot, 3);
    assert_string_equal(list->claims[0].address, "127.0.0.1:7450");
    assert_int_equal(list->claims[0].since_ms, bind.u.write.body.since_ms);
    assert_record(&list->slots[3], &bind.u.write.slot, &bound);

    struct sf_coord_request renew = ct_write(SF_COORD_RENEW, &slot, &claim, &config);
    struct sf_coord_version renewed =
        ct_expect(a, &renew, SF_COORD_DONE, SF_COORD_NO_REASON)->version;
    slot = ct_read_slot(b, 3);
    assert_record(&slot, &renew.u.write.slot, &renewed);

    struct sf_coord_request release = ct_write(SF_COORD_RELEASE, &slot, &claim, &config);
    release.u.write.slot.reserved_until_ms = 4711;
    release.basis.config.version += 7; /* not looked at */
    release.basis.state.incarnation = 77;
    struct sf_coord_version released =
        ct_expect(a, &release, SF_COORD_DONE, SF_COORD_NO_REASON)->version;
    slot = ct_read_slot(b, 3);
    assert_record(&slot, &release.u.write.slot, &released);
    assert_int_equal(ct_list(b)->claim_count, 0);
}

static struct sf_coord_request tell_of(const struct sf_coord_claim *claim, int64_t slot)
{
    struct sf_coord_request tell = ct_request(SF_COORD_TELL);
    struct sf_coord_write *write = &tell.u.write;
    write->slot.fence = claim->fence;
    memcpy(write->slot.claim, claim->name, sizeof claim->name);
    write->claim_slot = slot;
    strcpy(write->body.node, "node-a");
    strcpy(write->body.state, "resyncing");
    strcpy(write->body.reason, "offset 45.0s, over \"clock.max_offset_ms\" 1000");
    write->body.since_ms = 4711;
    write->body.made_ms = 4710;
    return tell;
}

/* The one claim that there is. */
static struct sf_coord_claim only_claim(struct ct_handle *handle)
{
    const struct sf_coord_completion *list = ct_list(handle);
    assert_int_equal(list->claim_count, 1);
    return list->claims[0];
}

/* What a worker says of itself is seen by others; it stays the same claim, whose slot can be bound
 * and renewed. */
static void test_tell(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a), seen = only_claim(b);
    assert_true(seen.seeks);
    assert_string_equal(seen.state, "claiming");
    assert_int_equal(seen.slot, -1);

    struct sf_coord_request tell = tell_of(&claim, -1);
    tell.basis.config.version += 7; /* not looked at */
    tell.basis.state.incarnation = 77;
    ct_expect(a, &tell, SF_COORD_DONE, SF_COORD_NO_REASON);
    seen = only_claim(b);
    assert_string_equal(seen.name, claim.name);
    assert_string_equal(seen.guid, claim.guid);
    assert_true(seen.fence == claim.fence);
    assert_int_equal(seen.slot, -1);
    assert_false(seen.seeks);
    assert_string_equal(seen.state, "resyncing");
    assert_string_equal(seen.reason, tell.u.write.body.reason);
    assert_int_equal(seen.since_ms, 4711);
    assert_int_equal(seen.made_ms, 4710);

    const struct sf_coord_slot slot = ct_read_slot(a, 3);
    struct sf_coord_request bind = ct_write(SF_COORD_BIND, &slot, &claim, &config);
    strcpy(bind.u.write.body.state, "ready");
    ct_expect(a, &bind, SF_COORD_DONE, SF_COORD_NO_REASON);
    seen = only_claim(b);
    assert_int_equal(seen.slot, 3);
    assert_string_equal(seen.state, "ready");
    assert_string_equal(seen.reason, "");
    tell = tell_of(&claim, 3);
    ct_expect(a, &tell, SF_COORD_DONE, SF_COORD_NO_REASON);
    ct_expect(a, &tell, SF_COORD_DONE, SF_COORD_NO_REASON); /* again: done as well */
    seen = only_claim(b);
    assert_int_equal(seen.slot, 3);
    assert_string_equal(seen.state, "resyncing");
    const struct sf_coord_slot bound = ct_read_slot(a, 3);
    struct sf_coord_request renew = ct_write(SF_COORD_RENEW, &bound, &claim, &config);
    ct_expect(a, &renew, SF_COORD_DONE, SF_COORD_NO_REASON);
}

static void test_tell_needs_claim(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    (void)ct_init(a, 2);
    const struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_request tell = tell_of(&claim, -1);
    ct_expect(b, &tell, SF_COORD_REFUSED, SF_COORD_CLAIM_GONE); /* another session's */
    assert_string_equal(only_claim(b).state, "claiming");
    struct sf_coord_request unclaim = ct_request(SF_COORD_UNCLAIM);
    strcpy(unclaim.u.claim_name, claim.name);
    ct_expect(a, &unclaim, SF_COORD_DONE, SF_COORD_NO_REASON);
    ct_expect(a, &tell, SF_COORD_REFUSED, SF_COORD_CLAIM_GONE);
    assert_int_equal(ct_list(a)->claim_count, 0); /* it does not come back */
}

static void test_write_needs_version(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_slot fresh = ct_read_slot(a, 0);
    struct sf_coord_request request = ct_write(SF_COORD_BIND, &fresh, &claim, &config);
    request.u.write.expected.version = (struct sf_coord_version){0, 0};
    ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_INVALID);
    request = ct_write(SF_COORD_BIND, &fresh, &claim, &config);
    request.u.write.expected.version.incarnation++;
    ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_VERSION);
    request = ct_write(SF_COORD_BIND, &fresh, &claim, &config);
    ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    static const enum sf_coord_op ops[] = {SF_COORD_BIND, SF_COORD_RENEW, SF_COORD_RELEASE};
    struct sf_coord_slot bound = ct_read_slot(a, 0);
    for (size_t i = 0; i < 3; i++) {
        request = ct_write(ops[i], &fresh, &claim, &config); /* the version before the bind */
        ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_VERSION);
    }
    struct sf_coord_slot after = ct_read_slot(a, 0);
    assert_record(&after, &bound, &bound.version);
    assert_int_equal(ct_list(a)->claim_count, 1); /* a refused release deletes nothing */
}

static void test_write_needs_claim(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_slot slot = ct_read_slot(a, 0);
    struct sf_coord_request unclaim = ct_request(SF_COORD_UNCLAIM);
    strcpy(unclaim.u.claim_name, claim.name);
    ct_expect(a, &unclaim, SF_COORD_DONE, SF_COORD_NO_REASON);
    ct_expect(a, &unclaim, SF_COORD_DONE, SF_COORD_NO_REASON); /* again: done as well */
    assert_int_equal(ct_list(a)->claim_count, 0);
    static const enum sf_coord_op ops[] = {SF_COORD_BIND, SF_COORD_RENEW, SF_COORD_RELEASE};
    for (size_t i = 0; i < 3; i++) {
        struct sf_coord_request request = ct_write(ops[i], &slot, &claim, &config);
        ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_CLAIM_GONE);
    }
    struct sf_coord_slot after = ct_read_slot(a, 0);
    assert_record(&after, &slot, &slot.version);
}

static void test_write_needs_claim_of_the_living(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    ct_close(a);
    struct sf_coord_slot slot = ct_read_slot(b, 0);
    struct sf_coord_request request = ct_write(SF_COORD_BIND, &slot, &claim, &config);
    ct_expect(b, &request, SF_COORD_REFUSED, SF_COORD_CLAIM_GONE);
}

static void test_write_needs_a_claim_of_its_own(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_slot slot = ct_read_slot(b, 0);
    struct sf_coord_request request = ct_write(SF_COORD_BIND, &slot, &claim, &config);
    ct_expect(b, &request, SF_COORD_REFUSED, SF_COORD_CLAIM_GONE);
    ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
}

static void test_write_needs_config(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_slot slot = ct_read_slot(a, 0);
    config.version.version++;
    struct sf_coord_request request = ct_write(SF_COORD_BIND, &slot, &claim, &config);
    ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_CONFIG_CHANGED);
    request = ct_write(SF_COORD_RENEW, &slot, &claim, &config);
    ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_CONFIG_CHANGED);
    struct sf_coord_slot after = ct_read_slot(a, 0);
    assert_record(&after, &slot, &slot.version);
}

static void test_write_needs_record(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_slot slot = ct_read_slot(a, 0);
    slot.worker = 4; /* one past the layout */
    struct sf_coord_request request = ct_write(SF_COORD_BIND, &slot, &claim, &config);
    ct_expect(a, &request, SF_COORD_REFUSED, SF_COORD_MISSING);
    assert_int_equal(ct_read_slot(a, 4).state, SF_COORD_RECORD_MISSING);
}

static void test_unclaim_names(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    ct_init(a, 2);
    struct sf_coord_claim first = ct_claim(a), second = ct_claim(a);
    struct sf_coord_request unclaim = ct_request(SF_COORD_UNCLAIM);
    static const char *const bad[] = {"", "config", "../config", "claim-0123-1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        strcpy(unclaim.u.claim_name, bad[i]);
        ct_expect(a, &unclaim, SF_COORD_REFUSED, SF_COORD_INVALID);
    }
    strcpy(unclaim.u.claim_name, first.name);
    ct_expect(a, &unclaim, SF_COORD_DONE, SF_COORD_NO_REASON);
    struct sf_coord_completion *list = ct_list(b);
    assert_int_equal(list->claim_count, 1);
    assert_string_equal(list->claims[0].name, second.name);
}

static void test_race_for_one_slot(void **state)
{
    (void)state;
    struct ct_handle *handles[2] = {ct_open(), ct_open()};
    struct sf_coord_config config = ct_init(handles[0], 2);
    for (uint64_t worker = 0; worker < 4; worker++) {
        struct sf_coord_claim claims[2] = {ct_claim(handles[0]), ct_claim(handles[1])};
        struct sf_coord_slot slot = ct_read_slot(handles[0], worker);
        struct sf_coord_request binds[2];
        for (size_t i = 0; i < 2; i++) {
            binds[i] = ct_write(SF_COORD_BIND, &slot, &claims[i], &config);
            ct_submit(handles[i], &binds[i]);
        }
        unsigned winner = 2, done = 0;
        for (unsigned i = 0; i < 2; i++) {
            struct sf_coord_completion *c = ct_wait(handles[i], binds[i].id, 2 * CT_DEADLINE_MS);
            assert_non_null(c);
            if (c->outcome == SF_COORD_DONE) {
                winner = i;
                done++;
            } else {
                assert_int_equal(c->outcome, SF_COORD_REFUSED);
                assert_int_equal(c->reason, SF_COORD_VERSION);
            }
        }
        assert_int_equal(done, 1);
        slot = ct_read_slot(handles[1], worker);
        assert_string_equal(slot.nonce, binds[winner].u.write.slot.nonce);
    }
}

static void test_server_time(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open();
    struct sf_coord_config config = ct_init(a, 2);
    struct sf_coord_claim claim = ct_claim(a);
    struct sf_coord_slot slot = ct_read_slot(a, 0);
    for (int i = 0; i < 5; i++) {
        struct sf_coord_request request =
            ct_write(i == 0 ? SF_COORD_BIND : SF_COORD_RENEW, &slot, &claim, &config);
        int64_t before_ms = sf_real_ns() / SF_NS_PER_MS;
        struct sf_coord_completion *c = ct_expect(a, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
        int64_t after_ms = sf_real_ns() / SF_NS_PER_MS + 1;
        assert_true(c->duration_ns >= 0);
        if (c->server_ms >= 0) {
            /* Some moment of the request lies within the bound. */
            assert_true(c->server_ms - (int64_t)c->server_error_ms <= after_ms);
            assert_true(c->server_ms + (int64_t)c->server_error_ms >= before_ms);
        }
        slot = ct_read_slot(a, 0);
    }
}

const struct CMUnitTest ct_slot_cases[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, ct_setup, ct_teardown)
    CASE(claim_names_and_fences),
    CASE(claim_fence_grows_over_gaps),
    CASE(claim_bad_guid),
    CASE(list_order_and_content),
    CASE(bind_renew_release),
    CASE(write_needs_version),
    CASE(write_needs_claim),
    CASE(write_needs_claim_of_the_living),
    CASE(write_needs_a_claim_of_its_own),
    CASE(write_needs_config),
    CASE(write_needs_record),
    CASE(tell),
    CASE(tell_needs_claim),
    CASE(unclaim_names),
    CASE(race_for_one_slot),
    CASE(server_time),
};
const size_t ct_slot_case_count = sizeof ct_slot_cases / sizeof ct_slot_cases[0];
