/* coord/records.c - see records.h. Decoding is strict about what we use and blind to what we do not
 * know. */
#include "coord/records.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/coordinator.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "coord/layout_json.h"

#define RECORD_FORMAT    1
#define CLAIM_PREFIX     "claim-"
#define CLAIM_DIGITS_MIN 10
#define TIME_ABS_MAX_MS  (INT64_C(1) << 62) /* so that adding a window never overflows */
#define ENCODE_SIZE_MAX  (64 * 1024)

/* Decoding: every getter names the member, what was found and what is allowed. */

static int get_member(const json_t *object, const char *key, json_t **ret, struct sf_error *err)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        return sf_error_set(err, -EBADMSG, "\"%s\" is missing", key);
    *ret = value;
    return 0;
}

static int get_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                   struct sf_error *err)
{
    json_t *value = NULL;
    const int rc = get_member(object, key, &value, err);
    if (rc < 0)
        return rc;
    if (!json_is_integer(value))
        return sf_error_set(err, -EBADMSG, "\"%s\" is not an integer", key);
    const int64_t number = json_integer_value(value);
    if (number < min || number > max)
        return sf_error_set(err, -EBADMSG,
                            "\"%s\" is %" PRId64 ", allowed are %" PRId64 " to %" PRId64, key,
                            number, min, max);
    *ret = number;
    return 0;
}

static int get_u64(const json_t *object, const char *key, uint64_t *ret, struct sf_error *err)
{
    int64_t number = 0;
    const int rc = get_int(object, key, 0, INT64_MAX, &number, err);
    if (rc == 0)
        *ret = (uint64_t)number;
    return rc;
}

static int get_time(const json_t *object, const char *key, int64_t *ret, struct sf_error *err)
{
    return get_int(object, key, -TIME_ABS_MAX_MS, TIME_ABS_MAX_MS, ret, err);
}

static int get_text(const json_t *object, const char *key, size_t size, char *to,
                    struct sf_error *err)
{
    json_t *value = NULL;
    const int rc = get_member(object, key, &value, err);
    if (rc < 0)
        return rc;
    if (!json_is_string(value))
        return sf_error_set(err, -EBADMSG, "\"%s\" is not a string", key);
    const size_t length = json_string_length(value);
    if (length >= size)
        return sf_error_set(err, -EBADMSG, "\"%s\" has %zu bytes, at most %zu are allowed", key,
                            length, size - 1);
    memset(to, 0, size);
    memcpy(to, json_string_value(value), length);
    return 0;
}

static int load_object(const char *bytes, size_t size, json_t **ret, struct sf_error *err)
{
    if (size == 0)
        return sf_error_set(err, -EBADMSG, "the record is empty");
    if (size > SF_COORD_RECORD_SIZE_MAX)
        return sf_error_set(err, -EBADMSG, "the record has %zu bytes, at most %d are allowed", size,
                            SF_COORD_RECORD_SIZE_MAX);
    json_error_t why;
    json_t *root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL)
        return sf_error_set(err, -EBADMSG, "not JSON: %s (byte %d)", why.text, why.position);
    if (!json_is_object(root)) {
        json_decref(root);
        return sf_error_set(err, -EBADMSG, "not a JSON object");
    }
    *ret = root;
    return 0;
}

static bool is_hex(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

static bool is_uuid(const char *text)
{
    if (strlen(text) != SF_UUID_SIZE - 1)
        return false;
    for (size_t i = 0; i < SF_UUID_SIZE - 1; i++) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hex(text + i, 1))
            return false;
    }
    return true;
}

/* Encoding: json text of strings that may not be UTF-8. Bytes that are not part of UTF-8 text
 * become '?', one for one, so that a name that fits its field still fits when it is read back. */
static void add_text(struct sf_strbuf *buf, const char *key, const char *text)
{
    char clean[SF_COORD_ADDRESS_MAX];
    const size_t length = strnlen(text, sizeof clean - 1);
    memcpy(clean, text, length);
    clean[length] = '\0';
    json_t *probe = json_stringn(clean, length);
    if (probe == NULL)
        for (size_t i = 0; i < length; i++)
            if ((unsigned char)clean[i] >= 0x80)
                clean[i] = '?';
    json_decref(probe);
    sf_strbuf_addf(buf, "\"%s\":", key);
    sf_strbuf_add_json(buf, clean);
}

static char *finish(struct sf_strbuf *buf)
{
    SF_ASSERT(!buf->failed);
    return buf->text;
}

/* Config. */

char *sf_record_config_encode(const struct sf_coord_config *config)
{
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, ENCODE_SIZE_MAX);
    sf_strbuf_addf(&buf, "{\"format\":%d,", RECORD_FORMAT);
    add_text(&buf, "fleet_id", config->fleet_id);
    sf_strbuf_addf(&buf, ",\"epoch_ms\":%" PRId64 ",\"layout\":", config->epoch_ms);
    sf_layout_json_add(&config->layout, &buf);
    sf_strbuf_addf(&buf, ",\"datacenters\":");
    if (config->any_datacenter) {
        sf_strbuf_addf(&buf, "null");
    } else {
        for (size_t i = 0; i < config->datacenter_count; i++)
            sf_strbuf_addf(&buf, "%c%u", i == 0 ? '[' : ',', config->datacenters[i]);
        sf_strbuf_addf(&buf, config->datacenter_count == 0 ? "[]" : "]");
    }
    sf_strbuf_addf(
        &buf, ",\"floor_ms\":%" PRId64 ",\"incarnation\":%" PRIu64 ",\"created_ms\":%" PRId64 "}",
        config->floor_ms, config->incarnation, config->created_ms);
    return finish(&buf);
}

static int get_layout(const json_t *root, struct sf_layout *ret, struct sf_error *err)
{
    json_t *object = NULL;
    int rc = get_member(root, "layout", &object, err);
    if (rc < 0)
        return rc;
    if (!json_is_object(object))
        return sf_error_set(err, -EBADMSG, "\"layout\" is not an object");
    int64_t t = 0, d = 0, w = 0, s = 0;
    if ((rc = get_int(object, "timestamp", 1, SF_ID_BITS, &t, err)) < 0 ||
        (rc = get_int(object, "datacenter", 0, SF_COORD_DATACENTER_BITS_MAX, &d, err)) < 0 ||
        (rc = get_int(object, "worker", 0, SF_COORD_WORKER_BITS_MAX, &w, err)) < 0 ||
        (rc = get_int(object, "sequence", 0, SF_ID_BITS - 1, &s, err)) < 0) {
        sf_error_prefix(err, "\"layout\"");
        return rc;
    }
    struct sf_layout layout = {(uint8_t)t, (uint8_t)d, (uint8_t)w, (uint8_t)s};
    const char *reason = NULL;
    if (sf_layout_validate(&layout, &reason) < 0)
        return sf_error_set(err, -EBADMSG, "\"layout\": %s", reason);
    *ret = layout;
    return 0;
}

static int get_datacenters(const json_t *root, struct sf_coord_config *config, struct sf_error *err)
{
    json_t *list = NULL;
    const int rc = get_member(root, "datacenters", &list, err);
    if (rc < 0)
        return rc;
    config->any_datacenter = json_is_null(list);
    config->datacenter_count = 0;
    if (config->any_datacenter)
        return 0;
    if (!json_is_array(list))
        return sf_error_set(err, -EBADMSG, "\"datacenters\" is neither a list nor null");
    const size_t count = json_array_size(list);
    if (count == 0 || count > SF_COORD_DATACENTERS_MAX)
        return sf_error_set(err, -EBADMSG, "\"datacenters\" has %zu entries, allowed are 1 to %d",
                            count, SF_COORD_DATACENTERS_MAX);
    bool seen[SF_COORD_DATACENTERS_MAX] = {false};
    const uint64_t max = sf_layout_max_datacenter(&config->layout);
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(list, i);
        const int64_t number = json_is_integer(entry) ? json_integer_value(entry) : -1;
        if (number < 0 || (uint64_t)number > max)
            return sf_error_set(err, -EBADMSG,
                                "\"datacenters\": entry %zu is not a number from 0 to %" PRIu64,
                                i + 1, max);
        if (seen[number])
            return sf_error_set(err, -EBADMSG, "\"datacenters\": %" PRId64 " stands there twice",
                                number);
        seen[number] = true;
        config->datacenters[i] = (uint16_t)number;
    }
    config->datacenter_count = (uint16_t)count;
    return 0;
}

static int get_config(const json_t *root, struct sf_coord_config *config, struct sf_error *err)
{
    int64_t format = 0;
    int rc;
    if ((rc = get_int(root, "format", RECORD_FORMAT, RECORD_FORMAT, &format, err)) < 0 ||
        (rc = get_text(root, "fleet_id", sizeof config->fleet_id, config->fleet_id, err)) < 0 ||
        (rc = get_time(root, "epoch_ms", &config->epoch_ms, err)) < 0 ||
        (rc = get_layout(root, &config->layout, err)) < 0 ||
        (rc = get_datacenters(root, config, err)) < 0 ||
        (rc = get_int(root, "floor_ms", 0, TIME_ABS_MAX_MS, &config->floor_ms, err)) < 0 ||
        (rc = get_u64(root, "incarnation", &config->incarnation, err)) < 0 ||
        (rc = get_time(root, "created_ms", &config->created_ms, err)) < 0)
        return rc;
    if (!is_uuid(config->fleet_id))
        return sf_error_set(err, -EBADMSG, "\"fleet_id\" is not a UUID in lower case");
    return 0;
}

int sf_record_config_decode(const char *bytes, size_t size, struct sf_coord_config *ret,
                            struct sf_error *err)
{
    json_t *root = NULL;
    int rc = load_object(bytes, size, &root, err);
    if (rc < 0)
        return rc;
    struct sf_coord_config config = {.version = ret->version};
    rc = get_config(root, &config, err);
    json_decref(root);
    if (rc == 0)
        *ret = config;
    return rc;
}

/* Slot. */

char *sf_record_slot_encode(const struct sf_coord_slot *slot)
{
    SF_ASSERT(slot->fence <= INT64_MAX);
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, ENCODE_SIZE_MAX);
    sf_strbuf_addf(&buf, "{\"fence\":%" PRIu64 ",", slot->fence);
    add_text(&buf, "claim", slot->claim);
    sf_strbuf_addf(&buf, ",\"reserved_until_ms\":%" PRId64 ",\"last_ms\":%" PRId64 ",",
                   slot->reserved_until_ms, slot->last_ms);
    add_text(&buf, "nonce", slot->nonce);
    sf_strbuf_addf(&buf, ",");
    add_text(&buf, "node", slot->node);
    sf_strbuf_addf(&buf, ",\"updated_ms\":%" PRId64 "}", slot->updated_ms);
    return finish(&buf);
}

static int get_slot(const json_t *root, struct sf_coord_slot *slot, struct sf_error *err)
{
    int rc;
    if ((rc = get_u64(root, "fence", &slot->fence, err)) < 0 ||
        (rc = get_text(root, "claim", sizeof slot->claim, slot->claim, err)) < 0 ||
        (rc = get_int(root, "reserved_until_ms", 0, TIME_ABS_MAX_MS, &slot->reserved_until_ms,
                      err)) < 0 ||
        (rc = get_time(root, "last_ms", &slot->last_ms, err)) < 0 ||
        (rc = get_text(root, "nonce", sizeof slot->nonce, slot->nonce, err)) < 0 ||
        (rc = get_text(root, "node", sizeof slot->node, slot->node, err)) < 0 ||
        (rc = get_time(root, "updated_ms", &slot->updated_ms, err)) < 0)
        return rc;
    char guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    if (slot->claim[0] != '\0' && sf_claim_name_parse(slot->claim, guid, &sequence) < 0)
        return sf_error_set(err, -EBADMSG, "\"claim\" is not the name of a claim");
    const size_t digits = strlen(slot->nonce);
    if (digits != 0 && (digits != SF_HEX128_SIZE - 1 || !is_hex(slot->nonce, digits)))
        return sf_error_set(err, -EBADMSG, "\"nonce\" is not 32 hexadecimal digits");
    return 0;
}

int sf_record_slot_decode(const char *bytes, size_t size, uint64_t worker,
                          struct sf_coord_slot *ret, struct sf_error *err)
{
    json_t *root = NULL;
    int rc = load_object(bytes, size, &root, err);
    if (rc < 0)
        return rc;
    struct sf_coord_slot slot = {
        .worker = worker, .state = SF_COORD_RECORD_OK, .version = ret->version};
    rc = get_slot(root, &slot, err);
    json_decref(root);
    if (rc == 0)
        *ret = slot;
    return rc;
}

void sf_record_slot_fresh(uint64_t worker, int64_t floor_ms, int64_t now_ms,
                          struct sf_coord_slot *ret)
{
    *ret = (struct sf_coord_slot){.worker = worker,
                                  .state = SF_COORD_RECORD_OK,
                                  .reserved_until_ms = floor_ms,
                                  .updated_ms = now_ms};
}

static const struct sf_coord_claim *holder_of(const struct sf_coord_slot *slot,
                                              const struct sf_coord_claim *claims, size_t count)
{
    for (size_t i = 0; slot->claim[0] != '\0' && i < count; i++)
        if (strcmp(claims[i].name, slot->claim) == 0)
            return &claims[i];
    return NULL;
}

enum sf_slot_state sf_slot_state(const struct sf_coord_slot *slot,
                                 const struct sf_coord_claim *claims, size_t claim_count,
                                 int64_t now_ms, const struct sf_coord_claim **ret_holder)
{
    const bool readable = slot->state == SF_COORD_RECORD_OK;
    const struct sf_coord_claim *holder = readable ? holder_of(slot, claims, claim_count) : NULL;
    if (ret_holder != NULL)
        *ret_holder = holder;
    if (!readable)
        return SF_SLOT_BROKEN;
    if (holder != NULL)
        return SF_SLOT_HELD;
    return slot->reserved_until_ms > now_ms ? SF_SLOT_QUARANTINED : SF_SLOT_FREE;
}

const char *sf_slot_state_name(enum sf_slot_state state)
{
    static const char *const names[SF_SLOT_STATES] = {"free", "held", "quarantined", "broken"};
    SF_ASSERT(state >= 0 && state < SF_SLOT_STATES);
    return names[state];
}

/* Claim. */

char *sf_record_claim_encode(const struct sf_coord_claim *claim)
{
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, ENCODE_SIZE_MAX);
    if (claim->slot < 0)
        sf_strbuf_addf(&buf, "{\"slot\":null,");
    else
        sf_strbuf_addf(&buf, "{\"slot\":%" PRId64 ",", claim->slot);
    add_text(&buf, "node", claim->node);
    sf_strbuf_addf(&buf, ",");
    add_text(&buf, "address", claim->address);
    sf_strbuf_addf(&buf, ",");
    add_text(&buf, "admin", claim->admin);
    sf_strbuf_addf(&buf, ",\"since_ms\":%" PRId64 ",", claim->since_ms);
    add_text(&buf, "version", claim->version);
    sf_strbuf_addf(&buf, "}");
    return finish(&buf);
}

static int get_claim(const json_t *root, struct sf_coord_claim *claim, struct sf_error *err)
{
    json_t *slot = NULL;
    int rc = get_member(root, "slot", &slot, err);
    if (rc < 0)
        return rc;
    claim->slot = -1;
    if (!json_is_null(slot) &&
        (rc = get_int(root, "slot", 0, (INT64_C(1) << SF_COORD_WORKER_BITS_MAX) - 1, &claim->slot,
                      err)) < 0)
        return rc;
    if ((rc = get_text(root, "node", sizeof claim->node, claim->node, err)) < 0 ||
        (rc = get_text(root, "address", sizeof claim->address, claim->address, err)) < 0 ||
        (rc = get_text(root, "admin", sizeof claim->admin, claim->admin, err)) < 0 ||
        (rc = get_time(root, "since_ms", &claim->since_ms, err)) < 0)
        return rc;
    return get_text(root, "version", sizeof claim->version, claim->version, err);
}

int sf_record_claim_decode(const char *bytes, size_t size, struct sf_coord_claim *ret,
                           struct sf_error *err)
{
    json_t *root = NULL;
    int rc = load_object(bytes, size, &root, err);
    if (rc < 0)
        return rc;
    struct sf_coord_claim claim = *ret;
    rc = get_claim(root, &claim, err);
    json_decref(root);
    if (rc == 0)
        *ret = claim;
    return rc;
}

/* Names. */

int sf_claim_name_parse(const char *name, char ret_guid[SF_HEX128_SIZE], uint64_t *ret_sequence)
{
    const size_t prefix = strlen(CLAIM_PREFIX);
    const size_t guid = SF_HEX128_SIZE - 1;
    const size_t length = strnlen(name, SF_COORD_CLAIM_MAX);
    if (length >= SF_COORD_CLAIM_MAX || length < prefix + guid + 1 + CLAIM_DIGITS_MIN ||
        memcmp(name, CLAIM_PREFIX, prefix) != 0 || !is_hex(name + prefix, guid) ||
        name[prefix + guid] != '-')
        return -EBADMSG;
    uint64_t sequence = 0;
    if (sf_parse_u64(name + prefix + guid + 1, 0, INT64_MAX, &sequence) < 0)
        return -EBADMSG;
    memcpy(ret_guid, name + prefix, guid);
    ret_guid[guid] = '\0';
    *ret_sequence = sequence;
    return 0;
}

void sf_claim_name_format(const char *guid, uint64_t sequence, char to[SF_COORD_CLAIM_MAX])
{
    SF_ASSERT(strlen(guid) == SF_HEX128_SIZE - 1 && sequence <= INT64_MAX);
    snprintf(to, SF_COORD_CLAIM_MAX, CLAIM_PREFIX "%.32s-%0*" PRIu64, guid, CLAIM_DIGITS_MIN,
             sequence);
}

int sf_fleet_name_check(const char *name, struct sf_error *err)
{
    if (!sf_fleet_name_ok(name))
        return sf_error_set(err, -EINVAL, "fleet name \"%.64s\": must be " SF_FLEET_NAME_RULE,
                            name);
    return 0;
}
