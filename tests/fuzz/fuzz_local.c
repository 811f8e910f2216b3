/* Sealed files of the local coordinator: whatever is in one, it is refused with a reason or its
 * record is the one that was sealed; one byte changed anywhere is noticed. */
#include "fuzz.h"

#include "coord/local/disk.h"
#include "coord/records.h"

#define IDENTITY "fleet/dc/1/slots/3"

static void any_bytes(const uint8_t *data, size_t size)
{
    char *bytes = (char *)fuzz_exact(data, size);
    struct sf_coord_version version;
    struct sf_coord_slot slot = {0};
    struct sf_error err = {0};
    const char *record = NULL;
    size_t length = 0;
    if (sf_disk_unseal(IDENTITY, bytes, size, &version, &record, &length, &err) != 0) {
        MUST(err.text[0]);
    } else {
        MUST(record >= bytes && record + length < bytes + size && record[length] == '\0');
        (void)sf_record_slot_decode(record, length, 3, &slot, &err);
    }
    free(bytes);
}

static void sealed(const uint8_t *data, size_t size)
{
    struct sf_coord_version version = {size + 1, 7}, got;
    struct sf_error err = {0};
    const char *record = NULL;
    size_t length = 0, whole = 0;
    char *text = fuzz_text(data, size);
    text[strcspn(text, "\n")] = '\0';
    char *bytes = sf_disk_seal(IDENTITY, &version, text, &whole);
    MUST(bytes);
    uint8_t *changed = fuzz_exact((const uint8_t *)bytes, whole);
    uint8_t *moved = fuzz_exact((const uint8_t *)bytes, whole);
    MUST(sf_disk_unseal(IDENTITY, bytes, whole, &got, &record, &length, &err) == 0);
    MUST(got.incarnation == version.incarnation && got.version == version.version);
    MUST(strcmp(record, text) == 0);
    MUST(sf_disk_unseal(IDENTITY "0", (char *)moved, whole, &got, &record, &length, &err) != 0);
    /* The byte to change and how are of the input too. A blank in the seal's line is one that JSON
     * allows: the record and its numbers are still those that were sealed. */
    const size_t at = size > 2 ? (data[0] * 256u + data[1]) % whole : 0;
    changed[at] ^= (uint8_t)(size > 2 && data[2] != 0 ? data[2] : 1);
    if (sf_disk_unseal(IDENTITY, (char *)changed, whole, &got, &record, &length, &err) == 0) {
        MUST(got.incarnation == version.incarnation && got.version == version.version);
        MUST(strcmp(record, text) == 0);
    }
    free(changed);
    free(moved);
    free(bytes);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    any_bytes(data, size);
    sealed(data, size);
    return 0;
}
