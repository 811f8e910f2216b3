/* Records of a coordinator that anybody may have written: refused with a reason, or read, and then
 * writing and reading again gives the same. The first byte chooses the record. */
#include "fuzz.h"

#include "coord/records.h"

static void config_record(const char *bytes, size_t size)
{
    struct sf_error err = {0};
    static struct sf_coord_config one, two;
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
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
    MUST(sf_record_slot_decode(text, strlen(text), 3, &two, &err) == 0);
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
                                                            claim_record, names};
    if (size == 0)
        return 0;
    char *bytes = (char *)fuzz_exact(data + 1, size - 1);
    targets[data[0] % 4](bytes, size - 1);
    free(bytes);
    return 0;
}
