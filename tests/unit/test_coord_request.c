/* unit/test_coord_request.c - the contract's own checks: each request that a backend must never
 * see, at and past each bound; and that coord.c lets none through. */
#include "unit/cmocka_all.h"

#include <errno.h>

#include "coord/request.h"
#include "fakes/fake_coord.h"

#define VERSION_MAX UINT64_C(1000)
#define CLAIM       "claim-0123456789abcdef0123456789abcdef-0000000007"

#define TOKEN "fedcba9876543210fedcba9876543210"

static const char guid[] = "0123456789abcdef0123456789abcdef";

static struct sf_coord_request good(enum sf_coord_op op)
{
    struct sf_coord_request request = {.op = op, .deadline_ms = 1000};
    request.basis = (struct sf_coord_basis){
        .token = TOKEN, .config = {1, VERSION_MAX}, .state = {2, VERSION_MAX}};
    if (op == SF_COORD_CLAIM) {
        memcpy(request.u.claim.guid, guid, sizeof guid);
    } else if (op == SF_COORD_PROBE) {
        struct sf_coord_probe *probe = &request.u.probe;
        probe->count = SF_COORD_PROBE_MAX;
        for (unsigned i = 0; i < SF_COORD_PROBE_MAX; i++)
            probe->workers[i] = (UINT64_C(1) << SF_COORD_WORKER_BITS_MAX) - 1 - i;
    } else if (op == SF_COORD_FIND) {
        struct sf_coord_find *find = &request.u.find;
        memcpy(find->mark, guid, sizeof find->mark - 1);
        memcpy(find->start, guid, sizeof find->start);
        find->most = SF_COORD_FIND_MAX;
    } else if (op == SF_COORD_UNCLAIM) {
        memcpy(request.u.claim_name, CLAIM, sizeof CLAIM);
    } else if (op == SF_COORD_INIT) {
        struct sf_coord_config *config = &request.u.init.config;
        config->layout = (struct sf_layout){41, 5, 5, 12};
        config->any_datacenter = true;
        config->max_window_ms = 1;
        memcpy(config->token, TOKEN, sizeof TOKEN);
        memcpy(config->fleet_id, "01234567-89ab-4cde-8f01-23456789abcd", SF_UUID_SIZE);
    } else if (op == SF_COORD_BIND || op == SF_COORD_RENEW || op == SF_COORD_RELEASE) {
        struct sf_coord_write *write = &request.u.write;
        write->slot.worker = 3;
        write->slot.fence = 7;
        memcpy(write->slot.claim, CLAIM, sizeof CLAIM);
        memcpy(write->slot.nonce, guid, sizeof guid);
        write->expected.version = (struct sf_coord_version){1, VERSION_MAX};
    } else if (op == SF_COORD_TELL) {
        request.u.write.slot.fence = 7;
        memcpy(request.u.write.slot.claim, CLAIM, sizeof CLAIM);
        request.u.write.claim_slot = -1;
    } else if (op == SF_COORD_HALT) {
        struct sf_coord_report *report = &request.u.report;
        report->datacenter = (UINT64_C(1) << SF_COORD_DATACENTER_BITS_MAX) - 1;
        report->worker = (UINT64_C(1) << SF_COORD_WORKER_BITS_MAX) - 1;
        memcpy(report->claim, CLAIM, sizeof CLAIM);
        report->held_until_ms = INT64_C(1) << 62;
        report->last_ms = -1;
    } else if (op == SF_COORD_RESET_SLOT) {
        struct sf_coord_write *write = &request.u.write;
        write->slot.reset = true;
        write->slot.from_ms = write->slot.reserved_until_ms = 5000;
        memcpy(write->slot.nonce, guid, sizeof guid);
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
    NO_TOKEN,
    SHORT_TOKEN,
    UPPER_TOKEN,
    NO_CONFIG,
    CONFIG_TOO_LARGE,
    NO_STATE,
    STATE_TOO_LARGE,
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
    ENDLESS_STATE,
    ENDLESS_REASON,
    SHORT_GUID,
    UPPER_GUID,
    ENDLESS_GUID,
    TELL_NO_SUCH_SLOT,
    TOO_MANY_SLOTS,
    INIT_NO_TOKEN,
    NO_WINDOW,
    WINDOW_TOO_LARGE,
    REPORT_BELOW_ZERO,
    REPORT_TOO_LATE,
    REPORT_LAST_NO_TIME,
    REPORT_NO_TIME,
    REPORT_NO_CLAIM,
    REPORT_ENDLESS_NODE,
    REPORT_NO_SUCH_DATACENTER,
    REPORT_NO_SUCH_WORKER,
    RESET_NOT_SAID,
    RESET_WITH_FENCE,
    RESET_WITH_CLAIM,
    RESET_FROM_BELOW,
    RESET_BELOW_ZERO,
    PROBE_NONE,
    PROBE_TOO_MANY,
    PROBE_NO_SUCH_SLOT,
    FIND_NONE,
    FIND_TOO_MANY,
    FIND_UPPER_MARK,
    FIND_ENDLESS_MARK,
    FIND_NO_GUID
};

static void spoil_basis(struct sf_coord_basis *basis, enum spoil how)
{
    if (how == NO_TOKEN)
        basis->token[0] = '\0';
    else if (how == SHORT_TOKEN)
        basis->token[SF_COORD_TOKEN_SIZE - 2] = '\0';
    else if (how == UPPER_TOKEN)
        basis->token[0] = 'F';
    else if (how == NO_CONFIG)
        basis->config.incarnation = 0;
    else if (how == CONFIG_TOO_LARGE)
        basis->config.version = VERSION_MAX + 1;
    else if (how == NO_STATE)
        basis->state.incarnation = 0;
    else
        basis->state.version = VERSION_MAX + 1;
}

static void spoil_report(struct sf_coord_report *report, enum spoil how)
{
    if (how == REPORT_BELOW_ZERO)
        report->held_until_ms = -1;
    else if (how == REPORT_TOO_LATE)
        report->held_until_ms = (INT64_C(1) << 62) + 1;
    else if (how == REPORT_LAST_NO_TIME)
        report->last_ms = INT64_MIN;
    else if (how == REPORT_NO_TIME)
        report->reported_ms = INT64_MAX;
    else if (how == REPORT_NO_CLAIM)
        report->claim[0] = '\0';
    else if (how == REPORT_ENDLESS_NODE)
        memset(report->node, 'x', sizeof report->node);
    else if (how == REPORT_NO_SUCH_DATACENTER)
        report->datacenter++;
    else
        report->worker++;
}

static void spoil_reset(struct sf_coord_slot *slot, enum spoil how)
{
    if (how == RESET_NOT_SAID)
        slot->reset = false;
    else if (how == RESET_WITH_FENCE)
        slot->fence = 1;
    else if (how == RESET_WITH_CLAIM)
        memcpy(slot->claim, CLAIM, sizeof CLAIM);
    else if (how == RESET_FROM_BELOW)
        slot->from_ms--;
    else
        slot->from_ms = slot->reserved_until_ms = -1;
}

static void spoil_look(struct sf_coord_request *request, enum spoil how)
{
    struct sf_coord_probe *probe = &request->u.probe;
    struct sf_coord_find *find = &request->u.find;
    if (how == PROBE_NONE || how == PROBE_TOO_MANY)
        probe->count = how == PROBE_NONE ? 0 : SF_COORD_PROBE_MAX + 1;
    else if (how == PROBE_NO_SUCH_SLOT)
        probe->workers[3] = UINT64_C(1) << SF_COORD_WORKER_BITS_MAX;
    else if (how == FIND_NONE || how == FIND_TOO_MANY)
        find->most = how == FIND_NONE ? 0 : SF_COORD_FIND_MAX + 1;
    else if (how == FIND_UPPER_MARK)
        find->mark[0] = 'A';
    else if (how == FIND_ENDLESS_MARK)
        memset(find->mark, '0', sizeof find->mark);
    else
        find->start[3] = '/';
}

static void spoil(struct sf_coord_request *request, enum spoil how)
{
    struct sf_coord_write *write = &request->u.write;
    struct sf_coord_claim_request *body =
        request->op == SF_COORD_CLAIM ? &request->u.claim : &write->body;
    switch (how) {
    case NO_VERSION:
        write->expected.version.incarnation = 0;
        return;
    case VERSION_TOO_LARGE:
        write->expected.version.version = VERSION_MAX + 1;
        return;
    case NO_TOKEN:
    case SHORT_TOKEN:
    case UPPER_TOKEN:
    case NO_CONFIG:
    case CONFIG_TOO_LARGE:
    case NO_STATE:
    case STATE_TOO_LARGE:
        spoil_basis(&request->basis, how);
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
    case ENDLESS_STATE:
        memset(body->state, 'x', sizeof body->state);
        return;
    case ENDLESS_REASON:
        memset(body->reason, 'x', sizeof body->reason);
        return;
    case TELL_NO_SUCH_SLOT:
        write->claim_slot = INT64_C(1) << SF_COORD_WORKER_BITS_MAX;
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
    case INIT_NO_TOKEN:
        request->u.init.config.token[0] = '\0';
        return;
    case NO_WINDOW:
        request->u.init.config.max_window_ms = 0;
        return;
    case WINDOW_TOO_LARGE:
        request->u.init.config.max_window_ms = SF_COORD_WINDOW_MAX_MS + 1;
        return;
    case REPORT_BELOW_ZERO:
    case REPORT_TOO_LATE:
    case REPORT_LAST_NO_TIME:
    case REPORT_NO_TIME:
    case REPORT_NO_CLAIM:
    case REPORT_ENDLESS_NODE:
    case REPORT_NO_SUCH_DATACENTER:
    case REPORT_NO_SUCH_WORKER:
        spoil_report(&request->u.report, how);
        return;
    case RESET_NOT_SAID:
    case RESET_WITH_FENCE:
    case RESET_WITH_CLAIM:
    case RESET_FROM_BELOW:
    case RESET_BELOW_ZERO:
        spoil_reset(&write->slot, how);
        return;
    case PROBE_NONE:
    case PROBE_TOO_MANY:
    case PROBE_NO_SUCH_SLOT:
    case FIND_NONE:
    case FIND_TOO_MANY:
    case FIND_UPPER_MARK:
    case FIND_ENDLESS_MARK:
    case FIND_NO_GUID:
        spoil_look(request, how);
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
#define OF_TREE                                                                                    \
    (WRITES | OP(LIST) | OP(READ_SLOT) | OP(CLAIM) | OP(UNCLAIM) | OP(TELL) | OP(HALT) |           \
     OP(RESET_SLOT) | OP(WATCH) | OP(PROBE) | OP(FIND))
#define GRANTS (OP(CLAIM) | OP(BIND) | OP(RENEW) | OP(HALT) | OP(RESET_SLOT))
    {NO_TOKEN, OF_TREE, "\"\" names no making of the fleet"},
    {SHORT_TOKEN, OF_TREE, "\"fedcba9876543210fedcba987654321\" names no making"},
    {UPPER_TOKEN, OF_TREE, "\"Fedcba9876543210fedcba9876543210\" names no making"},
    {NO_CONFIG, GRANTS, "no expected version of the config"},
    {CONFIG_TOO_LARGE, GRANTS, "the config is at version 1001"},
    {NO_STATE, GRANTS, "no expected version of the making's state"},
    {STATE_TOO_LARGE, GRANTS, "the making's state is at version 1001"},
    {NO_VERSION, WRITES, "no expected version of the slot's record"},
    {VERSION_TOO_LARGE, WRITES, "the slot's record is at version 1001"},
    {NO_FENCE, WRITES | OP(TELL), "the fence 0 is not 1 to"},
    {FENCE_TOO_LARGE, WRITES | OP(TELL), "the fence 9223372036854775808 is not"},
    {NO_CLAIM, WRITES | OP(UNCLAIM) | OP(TELL), "\"\" is not the name of a claim"},
    {CLAIM_OF_ANOTHER_FORM, WRITES | OP(UNCLAIM) | OP(TELL),
     "\"../claims/x\" is not the name of a claim"},
    {RESERVED_BELOW_ZERO, WRITES, "the record to write: \"reserved_until_ms\" is -1"},
    {BAD_NONCE, WRITES, "the record to write: \"nonce\""},
    {ENDLESS_NODE, WRITES, "the slot's node has no end"},
    {NO_SUCH_SLOT, OP(BIND), "the claim to write: \"slot\" is 16384"},
    {ENDLESS_ADDRESS, OP(BIND) | OP(CLAIM) | OP(TELL), "the claim's address has no end"},
    {ENDLESS_VERSION, OP(BIND) | OP(CLAIM) | OP(TELL), "the claim's version has no end"},
    {ENDLESS_STATE, OP(BIND) | OP(CLAIM) | OP(TELL), "the claim's state has no end"},
    {ENDLESS_REASON, OP(BIND) | OP(CLAIM) | OP(TELL), "the claim's reason has no end"},
    {TELL_NO_SUCH_SLOT, OP(TELL), "the claim to write: \"slot\" is 16384"},
    {SHORT_GUID, OP(CLAIM), "is not 32 hexadecimal digits"},
    {UPPER_GUID, OP(CLAIM), "is not 32 hexadecimal digits"},
    {ENDLESS_GUID, OP(CLAIM), "is not 32 hexadecimal digits"},
    {TOO_MANY_SLOTS, OP(INIT), "16777216 slots need as many records"},
    {INIT_NO_TOKEN, OP(INIT), "\"\" names no making of the fleet"},
    {NO_WINDOW, OP(INIT), "\"max_window_ms\" is 0, allowed are 1 to 31536000000"},
    {WINDOW_TOO_LARGE, OP(INIT), "\"max_window_ms\" is 31536000001"},
    {REPORT_BELOW_ZERO, OP(HALT), "held_until_ms"},
    {REPORT_TOO_LATE, OP(HALT), "held_until_ms"},
    {REPORT_LAST_NO_TIME, OP(HALT), "\"last_ms\""},
    {REPORT_NO_TIME, OP(HALT), "\"reported_ms\""},
    {REPORT_NO_CLAIM, OP(HALT), "\"\" is not the name of a claim"},
    {REPORT_ENDLESS_NODE, OP(HALT), "the report's node has no end"},
    {REPORT_NO_SUCH_DATACENTER, OP(HALT), "\"datacenter\" is 1024, allowed are 0 to 1023"},
    {REPORT_NO_SUCH_WORKER, OP(HALT), "\"worker\" is 16384, allowed are 0 to 16383"},
    {RESET_NOT_SAID, OP(RESET_SLOT), "belongs to nobody"},
    {RESET_WITH_FENCE, OP(RESET_SLOT), "belongs to nobody"},
    {RESET_WITH_CLAIM, OP(RESET_SLOT), "belongs to nobody"},
    {RESET_FROM_BELOW, OP(RESET_SLOT), "belongs to nobody"},
    {RESET_BELOW_ZERO, OP(RESET_SLOT), "the record to write: \"from_ms\" is -1"},
    {PROBE_NONE, OP(PROBE), "0 slots to probe are not 1 to 16"},
    {PROBE_TOO_MANY, OP(PROBE), "17 slots to probe are not 1 to 16"},
    {PROBE_NO_SUCH_SLOT, OP(PROBE), "no datacenter has a slot 16384"},
    {FIND_NONE, OP(FIND), "0 claims to find are not 1 to 64"},
    {FIND_TOO_MANY, OP(FIND), "65 claims to find are not 1 to 64"},
    {FIND_UPPER_MARK, OP(FIND), "no guid begins with"},
    {FIND_ENDLESS_MARK, OP(FIND), "no guid begins with"},
    {FIND_NO_GUID, OP(FIND), "no guid begins with"},
};

/* Is what is spoilt a part of this request at all? */
static bool holds(int op, enum spoil how)
{
    if (how <= STATE_TOO_LARGE && how >= NO_TOKEN)
        return true;
    return (WRITES & 1U << op) != 0 && how < SHORT_GUID;
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < SF_COUNT(bad); i++)
        for (int op = 0; op < SF_COORD_OPS; op++) {
            const bool wrong = (bad[i].ops & 1U << op) != 0;
            if (!wrong && !holds(op, bad[i].how))
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
    assert_int_equal(sf_request_claim(&bind).slot, 3);
    assert_string_equal(sf_request_claim(&bind).guid, "");
    const struct sf_coord_request claim = good(SF_COORD_CLAIM);
    assert_int_equal(sf_request_claim(&claim).slot, -1);
    assert_string_equal(sf_request_claim(&claim).guid, guid);
    struct sf_coord_request tell = good(SF_COORD_TELL);
    assert_int_equal(sf_request_claim(&tell).slot, -1);
    tell.u.write.claim_slot = 5;
    assert_int_equal(sf_request_claim(&tell).slot, 5);
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
