/* contract/cases_cuts.c - writes while the coordinator changes its leader: what was told of each
 * must be what is found afterwards. */
#include "harness.h"

#include <inttypes.h>
#include <string.h>

#include "base/ticks.h"

#define CUTS            2
#define WRITES_AFTER    5 /* that go well, when it is over */
#define WRITE_MS        4000
#define OUTSTANDING_MAX 64

/* The cut, from before it begins until some writes have gone well after it. */
struct cut {
    unsigned well;
};

static bool goes_on(struct cut *cut, const struct sf_coord_completion *last)
{
    const bool over = ct_cut_is_over();
    cut->well = over && last->outcome == SF_COORD_DONE ? cut->well + 1 : 0;
    return cut->well < WRITES_AFTER;
}

/* A slot as its holder knows it: what was acknowledged, and which nonces may have been written
 * since. */
struct holder {
    struct ct_handle *handle;
    struct sf_coord_config config;
    struct sf_coord_claim claim;
    struct sf_coord_slot slot;
    unsigned outstanding;
    char nonces[OUTSTANDING_MAX][SF_HEX128_SIZE];
};

static void take_slot(struct holder *h, uint64_t worker)
{
    for (;;) {
        struct sf_coord_request request = ct_request(SF_COORD_CLAIM);
        ct_guid(request.u.claim.guid);
        struct sf_coord_completion *c = ct_call(h->handle, &request);
        if (c->outcome != SF_COORD_DONE)
            continue;
        h->claim = c->claims[0];
        h->slot = ct_read_slot(h->handle, worker);
        request = ct_write(SF_COORD_BIND, &h->slot, &h->claim, &h->config);
        if (ct_call(h->handle, &request)->outcome == SF_COORD_DONE)
            break;
    }
    h->slot = ct_read_slot(h->handle, worker);
    h->outstanding = 0;
}

/* What a confirmed read may show: what was acknowledged, or what was left unknown. A late one may
 * still come after it, so all stay outstanding until a write has been acknowledged. */
static void look(struct holder *h)
{
    const struct sf_coord_slot there = ct_read_slot(h->handle, h->slot.worker);
    assert_int_equal(there.state, SF_COORD_RECORD_OK);
    bool known = strcmp(there.nonce, h->slot.nonce) == 0 &&
                 ct_same_version(&there.version, &h->slot.version);
    for (unsigned i = 0; i < h->outstanding; i++)
        known = known || strcmp(there.nonce, h->nonces[i]) == 0;
    if (!known)
        fail_msg("slot %" PRIu64 " shows a nonce that was neither acknowledged nor left unknown",
                 there.worker);
    h->slot = there;
}

static void renewed(struct holder *h, const struct sf_coord_request *request,
                    const struct sf_coord_completion *c)
{
    switch (c->outcome) {
    case SF_COORD_DONE:
        h->slot = request->u.write.slot;
        h->slot.version = c->version;
        h->outstanding = 0;
        return;
    case SF_COORD_UNKNOWN:
        assert_true(h->outstanding < OUTSTANDING_MAX);
        memcpy(h->nonces[h->outstanding++], request->u.write.slot.nonce, SF_HEX128_SIZE);
        look(h);
        return;
    case SF_COORD_LOST:
        look(h);
        return;
    case SF_COORD_REFUSED:
        if (c->reason == SF_COORD_CLAIM_GONE && ct_notices(h->handle, SF_COORD_SESSION_LOST) > 0) {
            look(h);
            take_slot(h, h->slot.worker);
            return;
        }
        assert_int_equal(c->reason, SF_COORD_VERSION);
        assert_true(h->outstanding > 0);
        look(h);
        return;
    }
}

static void test_cut_in_mid_renewal(void **state)
{
    (void)state;
    struct holder h = {.handle = ct_open()};
    struct ct_handle *other = ct_open();
    h.config = ct_init(h.handle, 2);
    take_slot(&h, 1);
    for (unsigned i = 0; i < CUTS; i++) {
        struct cut cut = {0};
        struct sf_coord_completion *c = NULL;
        if (!ct_cut())
            skip();
        do {
            struct sf_coord_request renew = ct_write(SF_COORD_RENEW, &h.slot, &h.claim, &h.config);
            renew.deadline_ms = WRITE_MS;
            c = ct_call(h.handle, &renew);
            renewed(&h, &renew, c);
        } while (goes_on(&cut, c));
        const struct sf_coord_slot there = ct_read_slot(other, 1);
        assert_string_equal(there.nonce, h.slot.nonce);
        assert_true(ct_same_version(&there.version, &h.slot.version));
    }
}

static size_t count_guid(const struct sf_coord_completion *list, const char *guid)
{
    size_t count = 0;
    for (size_t i = 0; i < list->claim_count; i++)
        count += strcmp(list->claims[i].guid, guid) == 0;
    return count;
}

static void test_cut_in_mid_claim(void **state)
{
    (void)state;
    enum { CLAIMS = 4096 };
    static struct {
        char guid[SF_HEX128_SIZE];
        enum sf_coord_outcome outcome;
    } made[CLAIMS];
    size_t count = 0;
    struct ct_handle *a = ct_open(), *b = ct_open();
    ct_init(a, 2);
    struct cut cut = {0};
    struct sf_coord_completion *c = NULL;
    if (!ct_cut())
        skip();
    do {
        struct sf_coord_request request = ct_request(SF_COORD_CLAIM);
        ct_guid(request.u.claim.guid);
        request.deadline_ms = WRITE_MS;
        c = ct_call(a, &request);
        assert_int_not_equal(c->outcome, SF_COORD_REFUSED);
        assert_true(count < CLAIMS);
        memcpy(made[count].guid, request.u.claim.guid, SF_HEX128_SIZE);
        made[count++].outcome = c->outcome;
        ct_pass_ms(5);
    } while (goes_on(&cut, c));
    const bool session_lost = ct_notices(a, SF_COORD_SESSION_LOST) > 0;
    struct sf_coord_completion *list = ct_list(b);
    for (size_t i = 0; i < count; i++) {
        const size_t there = count_guid(list, made[i].guid);
        assert_true(there <= 1);
        if (made[i].outcome == SF_COORD_LOST)
            assert_int_equal(there, 0);
        if (made[i].outcome == SF_COORD_DONE && !session_lost)
            assert_int_equal(there, 1);
    }
}

/* The tokens that the config may name: the one that was seen last, and those left unknown since. */
struct tokens {
    unsigned count;
    char text[OUTSTANDING_MAX][SF_HEX128_SIZE];
};

static void add_token(struct tokens *tokens, const char *token)
{
    assert_true(tokens->count < OUTSTANDING_MAX);
    memcpy(tokens->text[tokens->count++], token, SF_HEX128_SIZE);
}

static void expect_token(struct tokens *tokens, const char *token)
{
    unsigned i = 0;
    while (i < tokens->count && strcmp(tokens->text[i], token) != 0)
        i++;
    if (i == tokens->count)
        fail_msg("the config names %s, which nobody may have made", token);
}

/* Whatever became of each making: never two that grant, and what is told to be made is. */
static void test_cut_in_mid_making(void **state)
{
    (void)state;
    struct ct_handle *a = ct_open(), *b = ct_open();
    const struct sf_coord_config config = ct_init(a, 2);
    struct tokens tokens = {0};
    struct cut cut = {0};
    struct sf_coord_completion *c = NULL;
    add_token(&tokens, config.token);
    if (!ct_cut())
        skip();
    do {
        struct sf_coord_request init = ct_init_request(2);
        memcpy(init.u.init.config.fleet_id, config.fleet_id, sizeof config.fleet_id);
        init.u.init.after_data_loss = true;
        init.deadline_ms = WRITE_MS;
        ct_survey(a, &init.u.init);
        c = ct_call(a, &init);
        if (c->outcome == SF_COORD_DONE)
            tokens.count = 0;
        if (c->outcome == SF_COORD_DONE || c->outcome == SF_COORD_UNKNOWN)
            add_token(&tokens, init.u.init.config.token);
        struct sf_coord_request survey = ct_request(SF_COORD_SURVEY);
        const struct sf_coord_completion *found =
            ct_expect(b, &survey, SF_COORD_DONE, SF_COORD_NO_REASON);
        assert_non_null(found->config);
        assert_true(found->survey->currents <= 1);
        expect_token(&tokens, found->config->token);
        if (c->outcome == SF_COORD_DONE)
            assert_true(found->current);
    } while (goes_on(&cut, c));
    assert_true(ct_learn(b)->current);
}

const struct CMUnitTest ct_cut_cases[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, ct_setup, ct_teardown)
    CASE(cut_in_mid_renewal),
    CASE(cut_in_mid_claim),
    CASE(cut_in_mid_making),
};
const size_t ct_cut_case_count = sizeof ct_cut_cases / sizeof ct_cut_cases[0];
