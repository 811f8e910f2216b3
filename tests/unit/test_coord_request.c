/* unit/test_coord_request.c - the contract's own checks: each request that a backend must never
 * see, at and past each bound; and that coord.c lets none through. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "coord/request.h"
#include "fakes/fake_coord.h"

#define VERSION_MAX UINT64_C(1000)
#define CLAIM       "claim-0123456789abcdef0123456789abcdef-0000000007"

static const char guid[] = "0123456789abcdef0123456789abcdef";

static struct sf_coord_request good(enum sf_coord_op op)
{
    struct sf_coord_request request = {.op = op, .deadline_ms = 1000};
    if (op == SF_COORD_CLAIM) {
        memcpy(request.u.claim.guid, guid, sizeof guid);
    } else if (op == SF_COORD_UNCLAIM) {
        memcpy(request.u.claim_name, CLAIM, sizeof CLAIM);
    } else if (op == SF_COORD_INIT) {
        struct sf_coord_config *config = &request.u.init.config;
        config->layout = (struct sf_layout){41, 5, 5, 12};
        config->any_datacenter = true;
        memcpy(config->fleet_id, "01234567-89ab-4cde-8f01-23456789abcd", SF_UUID_SIZE);
    } else if (op == SF_COORD_BIND || op == SF_COORD_RENEW || op == SF_COORD_RELEASE) {
        struct sf_coord_write *write = &request.u.write;
        write->slot.worker = 3;
        write->slot.fence = 7;
        memcpy(write->slot.claim, CLAIM, sizeof CLAIM);
        memcpy(write->slot.nonce, guid, sizeof guid);
        write->expected = (struct sf_coord_version){1, VERSION_MAX};
        write->config = (struct sf_coord_version){1, 0};
    }
    return request;
}

static void test_good(void **state)
{
    (void)state;
    for (int op = 0; op < SF_COORD_OPS; op++) {
        const struct sf_coord_request request = good(op);
        struct sf_error err = {0};
        if (sf_request_check(&request, VERSION_MAX, &err) != 0)
            fail_msg("%d: %s", op, err.text);
    }
}

enum spoil {
    NO_VERSION,
    VERSION_TOO_LARGE,
    NO_CONFIG,
    CONFIG_TOO_LARGE,
    NO_FENCE,
    FENCE_TOO_LARGE,
    NO_CLAIM,
    CLAIM_OF_ANOTHER_FORM,
    RESERVED_BELOW_ZERO,
    BAD_NONCE,
    ENDLESS_NODE,
    NO_SUCH_SLOT,
    ENDLESS_ADDRESS,
    ENDLESS_VERSION,
    SHORT_GUID,
    UPPER_GUID,
    ENDLESS_GUID,
    TOO_MANY_SLOTS
};

static void spoil(struct sf_coord_request *request, enum spoil how)
{
    struct sf_coord_write *write = &request->u.write;
    struct sf_coord_claim_request *body =
        request->op == SF_COORD_CLAIM ? &request->u.claim : &write->body;
    switch (how) {
    case NO_VERSION:
        write->expected.incarnation = 0;
        return;
    case VERSION_TOO_LARGE:
        write->expected.version = VERSION_MAX + 1;
        return;
    case NO_CONFIG:
        write->config.incarnation = 0;
        return;
    case CONFIG_TOO_LARGE:
        write->config.version = VERSION_MAX + 1;
        return;
    case NO_FENCE:
        write->slot.fence = 0;
        return;
    case FENCE_TOO_LARGE:
        write->slot.fence = (uint64_t)INT64_MAX + 1;
        return;
    case NO_CLAIM:
        write->slot.claim[0] = '\0';
        request->u.claim_name[0] =
            request->op == SF_COORD_UNCLAIM ? '\0' : request->u.claim_name[0];
        return;
    case CLAIM_OF_ANOTHER_FORM:
        snprintf(request->op == SF_COORD_UNCLAIM ? request->u.claim_name : write->slot.claim,
                 SF_COORD_CLAIM_MAX, "../claims/x");
        return;
    case RESERVED_BELOW_ZERO:
        write->slot.reserved_until_ms = -1;
        return;
    case BAD_NONCE:
        snprintf(write->slot.nonce, sizeof write->slot.nonce, "zz");
        return;
    case ENDLESS_NODE:
        memset(write->slot.node, 'x', sizeof write->slot.node);
        return;
    case NO_SUCH_SLOT:
        write->slot.worker = UINT64_C(1) << SF_COORD_WORKER_BITS_MAX;
        return;
    case ENDLESS_ADDRESS:
        memset(body->address, 'x', sizeof body->address);
        return;
    case ENDLESS_VERSION:
        memset(body->version, 'x', sizeof body->version);
        return;
    case SHORT_GUID:
        body->guid[31] = '\0';
        return;
    case UPPER_GUID:
        body->guid[0] = 'A';
        return;
    case ENDLESS_GUID:
        memset(body->guid, 'a', sizeof body->guid);
        return;
    case TOO_MANY_SLOTS:
        request->u.init.config.layout = (struct sf_layout){35, 10, 14, 4};
        return;
    }
}

static const struct {
    enum spoil how;
    unsigned ops; /* a bit for each op that it is wrong for; fine for the others of the three */
    const char *text;
} bad[] = {
#define OP(op) (1U << SF_COORD_##op)
#define WRITES (OP(BIND) | OP(RENEW) | OP(RELEASE))
    {NO_VERSION, WRITES, "no expected version of the slot's record"},
    {VERSION_TOO_LARGE, WRITES, "the slot's record is at version 1001"},
    {NO_CONFIG, OP(BIND) | OP(RENEW), "no expected version of the config"},
    {CONFIG_TOO_LARGE, OP(BIND) | OP(RENEW), "the config is at version 1001"},
    {NO_FENCE, WRITES, "the fence 0 is not 1 to"},
    {FENCE_TOO_LARGE, WRITES, "the fence 9223372036854775808 is not"},
    {NO_CLAIM, WRITES | OP(UNCLAIM), "\"\" is not the name of a claim"},
    {CLAIM_OF_ANOTHER_FORM, WRITES | OP(UNCLAIM), "\"../claims/x\" is not the name of a claim"},
    {RESERVED_BELOW_ZERO, WRITES, "the record to write: \"reserved_until_ms\" is -1"},
    {BAD_NONCE, WRITES, "the record to write: \"nonce\""},
    {ENDLESS_NODE, WRITES, "the slot's node has no end"},
    {NO_SUCH_SLOT, OP(BIND), "the claim to write: \"slot\" is 16384"},
    {ENDLESS_ADDRESS, OP(BIND) | OP(CLAIM), "the claim's address has no end"},
    {ENDLESS_VERSION, OP(BIND) | OP(CLAIM), "the claim's version has no end"},
    {SHORT_GUID, OP(CLAIM), "is not 32 hexadecimal digits"},
    {UPPER_GUID, OP(CLAIM), "is not 32 hexadecimal digits"},
    {ENDLESS_GUID, OP(CLAIM), "is not 32 hexadecimal digits"},
    {TOO_MANY_SLOTS, OP(INIT), "16777216 slots need as many records"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < SF_COUNT(bad); i++)
        for (int op = 0; op < SF_COORD_OPS; op++) {
            const bool wrong = (bad[i].ops & 1U << op) != 0;
            if (!wrong && ((WRITES & 1U << op) == 0 || (bad[i].ops & WRITES) == 0))
                continue; /* what is spoilt is not in this request */
            struct sf_coord_request request = good(op);
            spoil(&request, bad[i].how);
            struct sf_error err = {0};
            const int rc = sf_request_check(&request, VERSION_MAX, &err);
            if (rc != (wrong ? -EINVAL : 0))
                fail_msg("%zu, %d: %d, %s", i, op, rc, err.text);
            if (wrong && strstr(err.text, bad[i].text) == NULL)
                fail_msg("\"%s\" is not in \"%s\"", bad[i].text, err.text);
        }
}

static void remember(void *ctx, struct sf_coord_event *event)
{
    struct sf_coord_event **last = ctx;
    sf_coord_event_free(*last);
    *last = event;
}

/* No backend ever sees such a request. */
static void test_refused_at_once(void **state)
{
    (void)state;
    struct sf_fake_store *store = sf_fake_store_create();
    struct sf_coord_event *last = NULL;
    const struct sf_coord_options options = {.fleet = "f", .sink = remember, .sink_ctx = &last};
    struct sf_coord *coord = sf_fake_open(store, &options);
    struct sf_coord_request request = good(SF_COORD_CLAIM);
    request.id = 42;
    request.u.claim.guid[0] = 'x';
    sf_coord_submit(coord, &request);
    assert_int_equal(sf_fake_waiting(store), 0);
    assert_non_null(last);
    assert_int_equal(last->kind, SF_COORD_COMPLETION);
    assert_int_equal(last->completion.id, 42);
    assert_int_equal(last->completion.outcome, SF_COORD_REFUSED);
    assert_int_equal(last->completion.reason, SF_COORD_INVALID);
    assert_non_null(strstr(last->completion.text, "hexadecimal"));
    sf_coord_destroy(coord);
    sf_coord_event_free(last);
    sf_fake_store_destroy(store);
}

static void test_claims(void **state)
{
    (void)state;
    struct sf_coord_claim claims[] = {{.fence = 9}, {.fence = UINT64_MAX}, {.fence = 1}};
    sf_claims_sort(claims, SF_COUNT(claims));
    assert_int_equal(claims[0].fence, 1);
    assert_int_equal(claims[1].fence, 9);
    sf_claims_sort(NULL, 0);
    const struct sf_coord_request bind = good(SF_COORD_BIND);
    assert_int_equal(sf_request_bound_claim(&bind.u.write).slot, 3);
    const struct sf_coord_request claim = good(SF_COORD_CLAIM);
    assert_int_equal(sf_request_claim(&claim.u.claim, -1, 5).slot, -1);
}

static void test_datacenters(void **state)
{
    (void)state;
    struct sf_coord_config config = good(SF_COORD_INIT).u.init.config;
    assert_true(sf_config_has_datacenter(&config, 31));
    assert_false(sf_config_has_datacenter(&config, 32));
    config.any_datacenter = false;
    config.datacenter_count = 1;
    config.datacenters[0] = 4;
    assert_true(sf_config_has_datacenter(&config, 4));
    assert_false(sf_config_has_datacenter(&config, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_claims),      cmocka_unit_test(test_refused_at_once),
        cmocka_unit_test(test_datacenters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
