/* unit/test_coord_records.c - the coordinator's documents: what is read back is what was written,
 * and what is not ours is refused with a reason. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coord/layout_json.h"
#include "coord/records.h"

#define GUID  "0123456789abcdef0123456789abcdef"
#define CLAIM "claim-" GUID "-0000000042"
#define UUID  "01234567-89ab-4def-8123-456789abcdef"

/* As text and as an object: the same members, in the same order. */
static void test_layout_json(void **state)
{
    (void)state;
    struct sf_strbuf text;
    sf_strbuf_init(&text, 200);
    sf_layout_json_add(&SF_DEFAULT_LAYOUT, &text);
    assert_string_equal(text.text,
                        "{\"timestamp\":41,\"datacenter\":5,\"worker\":5,\"sequence\":12}");
    json_t *object = sf_layout_json(&SF_DEFAULT_LAYOUT);
    char *dumped = json_dumps(object, JSON_COMPACT);
    assert_string_equal(dumped, text.text);
    free(dumped);
    json_decref(object);
    sf_strbuf_free(&text);
}

static void test_slot_round_trip(void **state)
{
    (void)state;
    struct sf_coord_slot slot = {.worker = 7,
                                 .fence = INT64_MAX,
                                 .from_ms = (INT64_C(1) << 62) - 1,
                                 .claim = CLAIM,
                                 .reserved_until_ms = INT64_C(1) << 62,
                                 .last_ms = -1,
                                 .nonce = GUID,
                                 .updated_ms = 1700000000000};
    memset(slot.node, 1, sizeof slot.node - 1); /* every byte needs six in JSON */
    char *text = sf_record_slot_encode(&slot);
    struct sf_coord_slot back = {.version = {3, 4}};
    struct sf_error err = {0, ""};
    assert_int_equal(sf_record_slot_decode(text, strlen(text), 7, &back, &err), 0);
    slot.version = (struct sf_coord_version){3, 4}; /* left alone */
    assert_int_equal(back.worker, 7);
    assert_int_equal(back.fence, slot.fence);
    assert_string_equal(back.claim, slot.claim);
    assert_int_equal(back.from_ms, slot.from_ms);
    assert_int_equal(back.reserved_until_ms, slot.reserved_until_ms);
    assert_false(back.reset);
    assert_true(back.canonical);
    assert_true(sf_slot_content_same(&back, &slot));
    assert_int_equal(back.last_ms, -1);
    assert_string_equal(back.nonce, slot.nonce);
    assert_string_equal(back.node, slot.node);
    assert_int_equal(back.updated_ms, slot.updated_ms);
    assert_int_equal(back.version.version, 4);
    free(text);
}

/* Only what encodes to the very bytes again can be compared with in a write. */
static void test_canonical(void **state)
{
    (void)state;
    struct sf_coord_slot slot = {.fence = 1, .claim = CLAIM, .nonce = GUID, .node = "n"};
    for (int reset = 0; reset < 2; reset++) {
        slot.reset = reset == 1;
        char *text = sf_record_slot_encode(&slot);
        assert_int_equal(strstr(text, "\"reset\":true") != NULL, slot.reset);
        struct sf_coord_slot back = {0};
        assert_int_equal(sf_record_slot_decode(text, strlen(text), 0, &back, NULL), 0);
        assert_true(back.canonical);
        assert_int_equal(back.reset, slot.reset);
        static const struct {
            const char *from, *to;
        } edits[] = {
            {"\"fence\":1", "\"fence\": 1"},                            /* blanks */
            {"\"fence\":1,\"from_ms\":0", "\"from_ms\":0,\"fence\":1"}, /* another order */
            {"{\"fence\"", "{\"more\":1,\"fence\""},    /* members of a later version */
            {"\"node\":\"n\"", "\"node\":\"\\u006e\""}, /* another way to write it */
        };
        for (size_t i = 0; i < SF_COUNT(edits); i++) {
            const char *at = strstr(text, edits[i].from);
            char *other = NULL;
            assert_non_null(at);
            assert_true(asprintf(&other, "%.*s%s%s", (int)(at - text), text, edits[i].to,
                                 at + strlen(edits[i].from)) > 0);
            assert_int_equal(sf_record_slot_decode(other, strlen(other), 0, &back, NULL), 0);
            assert_false(back.canonical);
            assert_true(sf_slot_content_same(&back, &slot));
            free(other);
        }
        free(text);
    }
}

static void test_content_same(void **state)
{
    (void)state;
    const struct sf_coord_slot slot = {
        .fence = 1, .from_ms = 2, .reserved_until_ms = 3, .claim = CLAIM, .nonce = GUID};
    struct sf_coord_slot other = slot;
    other.last_ms = 9; /* what people read only */
    other.updated_ms = 9;
    strcpy(other.node, "n");
    other.version = (struct sf_coord_version){3, 4};
    assert_true(sf_slot_content_same(&slot, &other));
    struct sf_coord_slot others[] = {slot, slot, slot, slot, slot};
    others[0].fence++;
    others[1].from_ms++;
    others[2].reserved_until_ms++;
    others[3].claim[0] = '\0';
    others[4].nonce[0] = 'f';
    for (size_t i = 0; i < SF_COUNT(others); i++)
        assert_false(sf_slot_content_same(&slot, &others[i]));
}

static void test_invalid_utf8_still_fits(void **state)
{
    (void)state;
    struct sf_coord_slot slot = {.fence = 0}, back = {.fence = 1};
    memset(slot.node, 0xff, sizeof slot.node - 1);
    char *text = sf_record_slot_encode(&slot);
    assert_int_equal(sf_record_slot_decode(text, strlen(text), 0, &back, NULL), 0);
    assert_int_equal(strlen(back.node), sizeof slot.node - 1);
    assert_int_equal(back.node[0], '?');
    free(text);
}

static void fill_config(struct sf_coord_config *config)
{
    memset(config, 0, sizeof *config);
    strcpy(config->fleet_id, UUID);
    strcpy(config->token, GUID);
    config->max_window_ms = SF_COORD_WINDOW_MAX_MS;
    config->epoch_ms = -5;
    config->layout = (struct sf_layout){41, 10, 4, 8};
    config->datacenter_count = SF_COORD_DATACENTERS_MAX;
    for (size_t i = 0; i < SF_COORD_DATACENTERS_MAX; i++)
        config->datacenters[i] = (uint16_t)(SF_COORD_DATACENTERS_MAX - 1 - i);
    config->floor_ms = INT64_C(1) << 62;
    config->incarnation = INT64_MAX;
    config->created_ms = 1700000000000;
}

static void test_config_round_trip(void **state)
{
    (void)state;
    static struct sf_coord_config config, back;
    fill_config(&config);
    char *text = sf_record_config_encode(&config);
    assert_true(strlen(text) <= SF_COORD_RECORD_SIZE_MAX); /* the largest there is */
    struct sf_error err = {0, ""};
    assert_int_equal(sf_record_config_decode(text, strlen(text), &back, &err), 0);
    assert_int_equal(back.format, 2);
    assert_string_equal(back.token, GUID);
    assert_int_equal(back.max_window_ms, SF_COORD_WINDOW_MAX_MS);
    assert_string_equal(back.fleet_id, UUID);
    assert_int_equal(back.epoch_ms, -5);
    assert_memory_equal(&back.layout, &config.layout, sizeof back.layout);
    assert_int_equal(back.datacenter_count, SF_COORD_DATACENTERS_MAX);
    assert_memory_equal(back.datacenters, config.datacenters, sizeof back.datacenters);
    assert_int_equal(back.floor_ms, config.floor_ms);
    assert_int_equal(back.incarnation, config.incarnation);
    free(text);
    config.any_datacenter = true;
    text = sf_record_config_encode(&config);
    assert_non_null(strstr(text, "\"datacenters\":null"));
    assert_int_equal(sf_record_config_decode(text, strlen(text), &back, &err), 0);
    assert_true(back.any_datacenter);
    free(text);
}

/* Of a fleet that an older version made: only who makes it anew reads it, and a worker is told how. */
static void test_config_of_format_1(void **state)
{
    (void)state;
    static struct sf_coord_config config, before;
    static const char text[] =
        "{\"format\":1,\"fleet_id\":\"" UUID
        "\",\"epoch_ms\":7,\"layout\":{\"timestamp\":41,\"datacenter\":5,\"worker\":5,"
        "\"sequence\":12},\"datacenters\":[0,31],\"floor_ms\":5,\"incarnation\":3,"
        "\"created_ms\":9}";
    struct sf_error err = {0};
    config.version = (struct sf_coord_version){3, 4};
    assert_int_equal(sf_record_config_decode_any(text, sizeof text - 1, &config, &err), 0);
    assert_int_equal(config.format, 1);
    assert_string_equal(config.token, "");
    assert_string_equal(config.fleet_id, UUID);
    assert_int_equal(config.epoch_ms, 7);
    assert_int_equal(config.layout.sequence_bits, 12);
    assert_int_equal(config.datacenters[1], 31);
    assert_int_equal(config.floor_ms, 5);
    assert_int_equal(config.max_window_ms, 0);
    assert_int_equal(config.incarnation, 3);
    assert_int_equal(config.created_ms, 9);
    assert_int_equal(config.version.version, 4);
    assert_int_equal(sf_config_check_format(&config, &err), -EBADMSG);
    before = config;
    err = (struct sf_error){0};
    assert_int_equal(sf_record_config_decode(text, sizeof text - 1, &config, &err), -EBADMSG);
    assert_memory_equal(&config, &before, sizeof config);
    assert_string_equal(err.text, "it is of format 1, made by an older version; stop its workers, "
                                  "then snowfleet init --after-data-loss makes the fleet anew");
    config.format = 2;
    assert_int_equal(sf_config_check_format(&config, &err), 0);
}

static void test_tokens(void **state)
{
    (void)state;
    assert_true(sf_token_is_valid(GUID));
    static const char *const bad[] = {"",
                                      "0",
                                      "0123456789abcdef0123456789abcde",
                                      GUID "0",
                                      "0123456789ABCDEF0123456789ABCDEF",
                                      "0123456789abcdef/123456789abcdef",
                                      "0123456789abcdef-123456789abcdef"};
    for (size_t i = 0; i < SF_COUNT(bad); i++)
        assert_false(sf_token_is_valid(bad[i]));
}

static void test_claim_round_trip(void **state)
{
    (void)state;
    for (int64_t slot = -1; slot < 2; slot++) {
        struct sf_coord_claim claim = {.name = CLAIM,
                                       .fence = 42,
                                       .slot = slot,
                                       .node = "n \"\\\t",
                                       .address = "h:1",
                                       .admin = "",
                                       .version = "0.1.0",
                                       .state = "fifteen letters",
                                       .reason = "offset \"+45s\"",
                                       .since_ms = 9,
                                       .made_ms = 8,
                                       .seeks = slot == 0};
        char *text = sf_record_claim_encode(&claim);
        struct sf_coord_claim back = {.name = CLAIM, .fence = 42};
        assert_int_equal(sf_record_claim_decode(text, strlen(text), &back, NULL), 0);
        assert_memory_equal(&claim, &back, sizeof claim);
        free(text);
    }
}

/* One that was written before claims told a state: whoever holds no slot waits for one. */
static void test_claim_without_state(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool seeks;
    } old[] = {{"{\"slot\":null,\"node\":\"n\",\"address\":\"a\",\"admin\":\"b\",\"since_ms\":7,"
                "\"version\":\"v\"}",
                true},
               {"{\"slot\":3,\"node\":\"n\",\"address\":\"a\",\"admin\":\"b\",\"since_ms\":7,"
                "\"version\":\"v\"}",
                false}};
    for (size_t i = 0; i < SF_COUNT(old); i++) {
        struct sf_coord_claim claim = {.state = "stale", .reason = "stale"};
        assert_int_equal(sf_record_claim_decode(old[i].text, strlen(old[i].text), &claim, NULL), 0);
        assert_string_equal(claim.state, "");
        assert_string_equal(claim.reason, "");
        assert_int_equal(claim.made_ms, 7);
        assert_int_equal(claim.seeks, old[i].seeks);
    }
}

static const char good_slot[] = "{\"fence\":1,\"from_ms\":3,\"claim\":\"" CLAIM
                                "\",\"reserved_until_ms\":5,\"last_ms\":4,\"nonce\":\"" GUID
                                "\",\"node\":\"n\",\"updated_ms\":1,\"more\":[1,{}]}";
static const char good_config[] =
    "{\"format\":2,\"token\":\"" GUID "\",\"fleet_id\":\"" UUID
    "\",\"epoch_ms\":0,\"layout\":{\"timestamp\":41,\"datacenter\":5,"
    "\"worker\":5,\"sequence\":12},\"datacenters\":[0,31],\"floor_ms\":0,"
    "\"max_window_ms\":600000,\"incarnation\":1,\"created_ms\":0,\"x\":null}";
static const char good_claim[] =
    "{\"slot\":3,\"node\":\"n\",\"address\":\"a\",\"admin\":\"b\","
    "\"since_ms\":1,\"version\":\"v\",\"state\":\"s\",\"reason\":\"r\","
    "\"made_ms\":0,\"seeks\":false}";

enum kind { SLOT, CONFIG, CLAIM_RECORD };

static int decode(enum kind kind, const char *text, size_t size, struct sf_error *err)
{
    static struct sf_coord_config config, config_before;
    struct sf_coord_slot slot, slot_before;
    struct sf_coord_claim claim, claim_before;
    memset(&config, 0x5a, sizeof config);
    memset(&slot, 0x5a, sizeof slot);
    memset(&claim, 0x5a, sizeof claim);
    config_before = config;
    slot_before = slot;
    claim_before = claim;
    int rc = kind == SLOT     ? sf_record_slot_decode(text, size, 0, &slot, err)
             : kind == CONFIG ? sf_record_config_decode(text, size, &config, err)
                              : sf_record_claim_decode(text, size, &claim, err);
    if (rc < 0) { /* left alone */
        assert_memory_equal(&config, &config_before, sizeof config);
        assert_memory_equal(&slot, &slot_before, sizeof slot);
        assert_memory_equal(&claim, &claim_before, sizeof claim);
    }
    return rc;
}

/* `good` with its first `from` replaced by `to`. */
static char *edited(const char *good, const char *from, const char *to)
{
    const char *at = strstr(good, from);
    assert_non_null(at);
    char *text = NULL;
    assert_true(asprintf(&text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from)) > 0);
    return text;
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const good[] = {good_slot, good_config, good_claim};
    static const struct {
        enum kind kind;
        const char *from, *to, *says;
    } rows[] = {
        {SLOT, "\"fence\":1", "\"fence\":-1", "\"fence\""},
        {SLOT, "\"fence\":1", "\"fence\":1.5", "\"fence\""},
        {SLOT, "\"fence\":1", "\"fence\":\"1\"", "\"fence\""},
        {SLOT, "\"fence\":1", "\"fence\":9223372036854775808", "JSON"},
        {SLOT, "\"fence\":1,", "\"fence\":1,\"fence\":2,", "JSON"},
        {SLOT, "\"fence\":1,", "", "\"fence\" is missing"},
        {SLOT, "\"from_ms\":3", "\"from_ms\":-1", "\"from_ms\" is -1, allowed are 0 to"},
        {SLOT, "\"from_ms\":3", "\"from_ms\":4611686018427387905", "\"from_ms\""},
        {SLOT, "\"from_ms\":3,", "", "\"from_ms\" is missing"},
        {SLOT, "\"fence\":1", "\"reset\":1,\"fence\":1", "\"reset\" is neither true nor false"},
        {SLOT, CLAIM, "claim-1", "\"claim\""},
        {SLOT, CLAIM, CLAIM CLAIM, "\"claim\""},
        {SLOT, "\"reserved_until_ms\":5", "\"reserved_until_ms\":-1", "\"reserved_until_ms\""},
        {SLOT, "\"reserved_until_ms\":5", "\"reserved_until_ms\":4611686018427387905", "allowed"},
        {SLOT, "\"reserved_until_ms\":5", "\"reserved_until_ms\":null", "not an integer"},
        {SLOT, "\"nonce\":\"" GUID, "\"nonce\":\"0123", "\"nonce\""},
        {SLOT, "\"node\":\"n\"", "\"node\":\"\\u0000\"", "JSON"},
        {SLOT, "\"node\":\"n\"", "\"node\":\"\xff\"", "JSON"},
        {SLOT, "\"node\":\"n\"", "\"node\":{}", "\"node\" is not a string"},
        {SLOT, "{}]}", "{}]", "JSON"},
        {SLOT, "{}]}", "{}]} x", "JSON"},
        {CONFIG, "\"format\":2", "\"format\":3", "\"format\" is 3, allowed are 1 to 2"},
        {CONFIG, "\"format\":2", "\"format\":0", "\"format\" is 0"},
        {CONFIG, "\"format\":2", "\"format\":1", "it is of format 1, made by an older version"},
        {CONFIG, "\"format\":2,", "", "\"format\" is missing"},
        {CONFIG, "\"token\":\"" GUID, "\"token\":\"0123456789ABCDEF0123456789ABCDEF",
         "\"token\" is not 32 hexadecimal digits"},
        {CONFIG, "\"token\":\"" GUID, "\"token\":\"0123456789abcdef", "\"token\" is not 32"},
        {CONFIG, "\"token\":\"" GUID, "\"token\":\"" GUID "0", "\"token\" has 33 bytes"},
        {CONFIG, "\"token\":\"" GUID "\",", "", "\"token\" is missing"},
        {CONFIG, "\"max_window_ms\":600000", "\"max_window_ms\":0",
         "\"max_window_ms\" is 0, allowed are 1 to 31536000000"},
        {CONFIG, "\"max_window_ms\":600000", "\"max_window_ms\":31536000001", "31536000001"},
        {CONFIG, "\"max_window_ms\":600000,", "", "\"max_window_ms\" is missing"},
        {CONFIG, UUID, "01234567-89AB-4def-8123-456789abcdef", "UUID"},
        {CONFIG, UUID, "0123", "UUID"},
        {CONFIG, UUID, UUID "0", "\"fleet_id\""},
        {CONFIG, "\"sequence\":12", "\"sequence\":13", "layout"},
        {CONFIG, "\"worker\":5", "\"worker\":15", "\"worker\""},
        {CONFIG, "\"datacenter\":5", "\"datacenter\":11", "\"datacenter\""},
        {CONFIG, "\"timestamp\":41", "\"timestamp\":0", "\"timestamp\""},
        {CONFIG, "[0,31]", "[]", "\"datacenters\""},
        {CONFIG, "[0,31]", "[0,32]", "entry 2"},
        {CONFIG, "[0,31]", "[0,0]", "twice"},
        {CONFIG, "[0,31]", "[\"0\"]", "entry 1"},
        {CONFIG, "[0,31]", "7", "neither"},
        {CONFIG, "\"floor_ms\":0", "\"floor_ms\":-1", "\"floor_ms\""},
        {CONFIG, "\"epoch_ms\":0", "\"epoch_ms\":true", "\"epoch_ms\""},
        {CLAIM_RECORD, "\"slot\":3", "\"slot\":-1", "\"slot\""},
        {CLAIM_RECORD, "\"slot\":3", "\"slot\":16384", "\"slot\""},
        {CLAIM_RECORD, "\"slot\":3,", "", "\"slot\" is missing"},
        {CLAIM_RECORD, "\"version\":\"v\"", "\"version\":\"12345678901234567890123456789012\"",
         "at most 31"},
        {CLAIM_RECORD, "\"state\":\"s\"", "\"state\":7", "\"state\" is not a string"},
        {CLAIM_RECORD, "\"state\":\"s\"", "\"state\":\"1234567890123456\"", "at most 15"},
        {CLAIM_RECORD, "\"reason\":\"r\",", "", "\"reason\" is missing"},
        {CLAIM_RECORD, "\"made_ms\":0", "\"made_ms\":null", "\"made_ms\""},
        {CLAIM_RECORD, "\"seeks\":false", "\"seeks\":0", "\"seeks\" is neither true nor false"},
    };
    struct sf_error err = {0, ""};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(decode((enum kind)i, good[i], strlen(good[i]), &err), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = edited(good[rows[i].kind], rows[i].from, rows[i].to);
        err = (struct sf_error){0, ""};
        if (decode(rows[i].kind, text, strlen(text), &err) != -EBADMSG ||
            strstr(err.text, rows[i].says) == NULL)
            fail_msg("row %zu: \"%s\" lacks \"%s\"", i, err.text, rows[i].says);
        free(text);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static char large[SF_COORD_RECORD_SIZE_MAX + 1];
    struct sf_error err = {0, ""};
    memset(large, ' ', sizeof large);
    memcpy(large, good_slot, sizeof good_slot - 1);
    assert_int_equal(decode(SLOT, large, sizeof large - 1, &err), 0);
    assert_int_equal(decode(SLOT, large, sizeof large, &err), -EBADMSG);
    assert_int_equal(decode(SLOT, "", 0, &err), -EBADMSG);
    memset(large, '[', sizeof large); /* as deep as it can be */
    assert_int_equal(decode(SLOT, large, sizeof large - 1, &err), -EBADMSG);
    for (size_t cut = 0; cut < sizeof good_config - 1; cut++)
        assert_int_equal(decode(CONFIG, good_config, cut, &err), -EBADMSG);
}

static void test_claim_names(void **state)
{
    (void)state;
    char guid[SF_HEX128_SIZE], name[SF_COORD_CLAIM_MAX];
    uint64_t sequence = 0;
    assert_int_equal(sf_claim_name_parse(CLAIM, guid, &sequence), 0);
    assert_string_equal(guid, GUID);
    assert_int_equal(sequence, 42);
    sf_claim_name_format(GUID, 42, name);
    assert_string_equal(name, CLAIM);
    sf_claim_name_format(GUID, INT64_MAX, name);
    assert_int_equal(sf_claim_name_parse(name, guid, &sequence), 0);
    assert_int_equal(sequence, INT64_MAX);
    static const char *const bad[] = {"",
                                      "claim-",
                                      "claim-" GUID,
                                      "claim-" GUID "-",
                                      "claim-" GUID "-42",
                                      "claim-" GUID "-00000000x2",
                                      "claim-" GUID "--000000042",
                                      "claim-" GUID "-9223372036854775808",
                                      "Claim-" GUID "-0000000042",
                                      "claim-0123456789ABCDEF0123456789ABCDEF-0000000042",
                                      CLAIM "/..",
                                      "claim-" GUID "-000000000000000000000000000000000000000042"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(sf_claim_name_parse(bad[i], guid, &sequence), -EBADMSG);
}

static void test_fleet_names(void **state)
{
    (void)state;
    char name[SF_COORD_FLEET_MAX + 1];
    struct sf_error err = {0, ""};
    memset(name, 'a', sizeof name);
    name[SF_COORD_FLEET_MAX - 1] = '\0';
    assert_int_equal(sf_fleet_name_check(name, &err), 0);
    name[SF_COORD_FLEET_MAX - 1] = 'a';
    name[SF_COORD_FLEET_MAX] = '\0';
    assert_int_equal(sf_fleet_name_check(name, &err), -EINVAL);
    static const char *const good[] = {"a", "default", "A.b_c-9", "-"};
    static const char *const bad[] = {"", ".", "..", ".a", "a/b", "a b", "\xc3\xa4", "a\n"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(sf_fleet_name_check(good[i], &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(sf_fleet_name_check(bad[i], &err), -EINVAL);
}

static void test_slot_states(void **state)
{
    (void)state;
    static const struct {
        enum sf_coord_record_state record;
        const char *claim;
        int64_t reserved_until_ms;
        enum sf_slot_state wanted;
        int holder; /* index; -1: none */
    } table[] = {
        {SF_COORD_RECORD_OK, "", 0, SF_SLOT_FREE, -1},
        {SF_COORD_RECORD_OK, "", 1000, SF_SLOT_FREE, -1}, /* its last ms has passed */
        {SF_COORD_RECORD_OK, "", 1001, SF_SLOT_QUARANTINED, -1},
        {SF_COORD_RECORD_OK, "gone", 1000, SF_SLOT_FREE, -1},
        {SF_COORD_RECORD_OK, "gone", 1001, SF_SLOT_QUARANTINED, -1},
        {SF_COORD_RECORD_OK, "b", 5000, SF_SLOT_HELD, 1},
        {SF_COORD_RECORD_OK, "b", 0, SF_SLOT_HELD, 1}, /* held and suspended */
        {SF_COORD_RECORD_MISSING, "b", 0, SF_SLOT_BROKEN, -1},
        {SF_COORD_RECORD_GARBAGE, "", 0, SF_SLOT_BROKEN, -1},
    };
    const struct sf_coord_claim claims[] = {{.name = "a"}, {.name = "b"}, {.name = ""}};
    for (size_t i = 0; i < SF_COUNT(table); i++) {
        struct sf_coord_slot slot = {.state = table[i].record,
                                     .reserved_until_ms = table[i].reserved_until_ms};
        snprintf(slot.claim, sizeof slot.claim, "%s", table[i].claim);
        const struct sf_coord_claim *holder = &claims[0];
        const enum sf_slot_state found =
            sf_slot_state(&slot, claims, SF_COUNT(claims), 1000, &holder);
        if (found != table[i].wanted)
            fail_msg("%zu: %s", i, sf_slot_state_name(found));
        assert_ptr_equal(holder, table[i].holder < 0 ? NULL : &claims[table[i].holder]);
    }
    static const char *const names[] = {"free", "held", "quarantined", "broken"};
    for (int i = 0; i < SF_SLOT_STATES; i++)
        assert_string_equal(sf_slot_state_name(i), names[i]);
}

/* Thousands of claims, some of one fence (none has two, but who knows): each slot finds its own. */
static void test_slot_states_of_many(void **state)
{
    (void)state;
    enum { MANY = 5000, SAME = 4 };
    struct sf_coord_claim *claims = calloc(MANY, sizeof *claims);
    assert_non_null(claims);
    for (unsigned i = 0; i < MANY; i++) {
        claims[i].fence = 10 + i / SAME * 3;
        snprintf(claims[i].name, sizeof claims[i].name, "claim-%032x-%010u", i, i);
    }
    const struct sf_coord_claim *holder = NULL;
    for (unsigned i = 0; i < MANY; i++) {
        struct sf_coord_slot slot = {.fence = claims[i].fence, .reserved_until_ms = 500};
        memcpy(slot.claim, claims[i].name, sizeof slot.claim);
        assert_int_equal(sf_slot_state(&slot, claims, MANY, 1000, &holder), SF_SLOT_HELD);
        assert_ptr_equal(holder, &claims[i]);
        slot.claim[8] = 'f'; /* of that fence, but of another name */
        assert_int_equal(sf_slot_state(&slot, claims, MANY, 1000, &holder), SF_SLOT_FREE);
        assert_null(holder);
        slot.fence++; /* between two */
        assert_int_equal(sf_slot_state(&slot, claims, MANY, 1000, NULL), SF_SLOT_FREE);
    }
    const struct sf_coord_slot never = {.fence = 0};
    assert_int_equal(sf_slot_state(&never, claims, MANY, 1000, NULL), SF_SLOT_FREE);
    free(claims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_json),
        cmocka_unit_test(test_slot_round_trip),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_content_same),
        cmocka_unit_test(test_invalid_utf8_still_fits),
        cmocka_unit_test(test_config_round_trip),
        cmocka_unit_test(test_config_of_format_1),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_claim_round_trip),
        cmocka_unit_test(test_claim_without_state),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_claim_names),
        cmocka_unit_test(test_slot_states),
        cmocka_unit_test(test_slot_states_of_many),
        cmocka_unit_test(test_fleet_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
