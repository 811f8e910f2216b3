/* fuzz/fuzz_records.c - records of a coordinator that anybody may have written: refused with a reason,
 * or read, and then writing and reading again gives the same. The first byte chooses the record. */
#include "fuzz.h"

#include "coord/records.h"
#include "coord/state_record.h"
#include "coord/survey.h"

/* Of any format: who makes the fleet anew uses what is there. */
static void any_config(const char *bytes, size_t size)
{
    struct sf_error err = {0};
    static struct sf_coord_config any;
    memset(&any, 0, sizeof any);
    if (sf_record_config_decode_any(bytes, size, &any, &err) != 0) {
        MUST(err.text[0]);
        return;
    }
    MUST(sf_layout_validate(&any.layout, NULL) == 0);
    MUST(any.format == 1 || any.format == 2);
    MUST((any.format == 1) == (any.token[0] == '\0'));
    MUST((any.format == 2) == (any.max_window_ms > 0));
    MUST((any.format == 2) == (sf_config_check_format(&any, &err) == 0));
    MUST(any.format == 1 || sf_token_is_valid(any.token));
}

static void config_record(const char *bytes, size_t size)
{
    struct sf_error err = {0};
    static struct sf_coord_config one, two;
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    any_config(bytes, size);
    if (sf_record_config_decode(bytes, size, &one, &err) != 0) {
        MUST(err.text[0]);
        return;
    }
    MUST(sf_layout_validate(&one.layout, NULL) == 0);
    MUST(one.datacenter_count <= SF_COORD_DATACENTERS_MAX);
    char *text = sf_record_config_encode(&one);
    MUST(text);
    if (strlen(text) <= SF_COORD_RECORD_SIZE_MAX) {
        MUST(sf_record_config_decode(text, strlen(text), &two, &err) == 0);
        char *again = sf_record_config_encode(&two);
        MUST(again && strcmp(text, again) == 0);
        free(again);
    }
    free(text);
}

static void slot_record(const char *bytes, size_t size)
{
    struct sf_error err = {0};
    struct sf_coord_slot one = {0}, two = {0};
    if (sf_record_slot_decode(bytes, size, 3, &one, &err) != 0) {
        MUST(err.text[0]);
        return;
    }
    MUST(one.worker == 3);
    char *text = sf_record_slot_encode(&one);
    MUST(text);
    MUST(one.canonical == (strlen(text) == size && memcmp(text, bytes, size) == 0));
    MUST(sf_record_slot_decode(text, strlen(text), 3, &two, &err) == 0);
    MUST(two.canonical && sf_slot_content_same(&one, &two));
    struct sf_coord_survey survey;
    sf_survey_begin(&survey);
    sf_survey_slot(&survey, "0123456789abcdef0123456789abcdef", 1023, &one, "");
    MUST(survey.reserved_until_ms == one.reserved_until_ms);
    char *again = sf_record_slot_encode(&two);
    MUST(again && strcmp(text, again) == 0);
    free(again);
    free(text);
}

static void claim_record(const char *bytes, size_t size)
{
    struct sf_error err = {0};
    struct sf_coord_claim one = {0}, two = {0};
    if (sf_record_claim_decode(bytes, size, &one, &err) != 0) {
        MUST(err.text[0]);
        return;
    }
    char *text = sf_record_claim_encode(&one);
    MUST(text);
    MUST(sf_record_claim_decode(text, strlen(text), &two, &err) == 0);
    char *again = sf_record_claim_encode(&two);
    MUST(again && strcmp(text, again) == 0);
    free(again);
    free(text);
}

/* Whatever others have said, there is room to say one thing more. */
static void state_record(const char *bytes, size_t size)
{
    struct sf_error err = {0};
    static struct sf_coord_state one, two;
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    if (sf_record_state_decode(bytes, size, &one, &err) != 0) {
        MUST(err.text[0]);
        return;
    }
    MUST(one.report_count <= SF_COORD_REPORTS_MAX);
    MUST(sf_state_reported_until_ms(&one) >= -1);
    const struct sf_coord_report ours = {.worker = 3,
                                         .claim =
                                             "claim-00112233445566778899aabbccddeeff-0000000007",
                                         .held_until_ms = 5};
    sf_state_report(&one, &ours);
    MUST(one.halted && sf_state_held_until_ms(&one, 0, 3, "") >= 5);
    char *text = sf_record_state_encode(&one);
    MUST(text && strlen(text) <= SF_COORD_STATE_SIZE_MAX);
    MUST(sf_record_state_decode(text, strlen(text), &two, &err) == 0);
    char *again = sf_record_state_encode(&two);
    MUST(again && strcmp(text, again) == 0);
    free(again);
    free(text);
}

static void names(const char *bytes, size_t size)
{
    char *name = fuzz_text((const uint8_t *)bytes, size);
    char guid[SF_HEX128_SIZE], again[SF_COORD_CLAIM_MAX];
    uint64_t sequence = 0;
    struct sf_error err = {0};
    if (sf_claim_name_parse(name, guid, &sequence) == 0) {
        uint64_t second = 0;
        sf_claim_name_format(guid, sequence, again);
        MUST(sf_claim_name_parse(again, guid, &second) == 0 && second == sequence);
    }
    MUST(sf_fleet_name_check(name, &err) == 0 || err.text[0]);
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const char *, size_t) = {config_record, slot_record,
                                                            claim_record, names, state_record};
    if (size == 0)
        return 0;
    char *bytes = (char *)fuzz_exact(data + 1, size - 1);
    targets[data[0] % (sizeof targets / sizeof *targets)](bytes, size - 1);
    free(bytes);
    return 0;
}
