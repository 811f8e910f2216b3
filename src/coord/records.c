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
#include "coord/json_fields.h"
#include "coord/layout_json.h"

#define FORMAT           2
#define FORMAT_OLDEST    1 /* before makings had tokens: only SURVEY reads it */
#define CLAIM_PREFIX     "claim-"
#define CLAIM_DIGITS_MIN 10
#define CLAIMS_FEW       64 /* of so many each is looked at: PROBE's stand in no order */
#define ENCODE_SIZE_MAX  (64 * 1024)

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
    sf_strbuf_addf(&buf, "{\"format\":%d,", FORMAT);
    sf_json_add_text(&buf, "token", config->token);
    sf_strbuf_addf(&buf, ",");
    sf_json_add_text(&buf, "fleet_id", config->fleet_id);
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
    sf_strbuf_addf(&buf,
                   ",\"floor_ms\":%" PRId64 ",\"max_window_ms\":%" PRId64
                   ",\"incarnation\":%" PRIu64 ",\"created_ms\":%" PRId64 "}",
                   config->floor_ms, config->max_window_ms, config->incarnation,
                   config->created_ms);
    return finish(&buf);
}

static int get_layout(const json_t *root, struct sf_layout *ret, struct sf_error *err)
{
    json_t *object = NULL;
    int rc = sf_json_member(root, "layout", &object, err);
    if (rc == 0 && (rc = sf_layout_from_json(object, ret, err)) < 0)
        sf_error_prefix(err, "\"layout\"");
    return rc;
}

static int get_datacenters(const json_t *root, struct sf_coord_config *config, struct sf_error *err)
{
    json_t *list = NULL;
    const int rc = sf_json_member(root, "datacenters", &list, err);
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

/* What names the making, which format 1 has not. */
static int get_making(const json_t *root, struct sf_coord_config *config, struct sf_error *err)
{
    int rc = sf_json_text(root, "token", sizeof config->token, config->token, err);
    if (rc == 0 && !sf_token_is_valid(config->token))
        rc = sf_error_set(err, -EBADMSG, "\"token\" is not %d hexadecimal digits in lower case",
                          SF_COORD_TOKEN_SIZE - 1);
    if (rc == 0)
        rc = sf_json_int(root, "max_window_ms", 1, SF_COORD_WINDOW_MAX_MS, &config->max_window_ms,
                         err);
    return rc;
}

static int get_config(const json_t *root, struct sf_coord_config *config, struct sf_error *err)
{
    int64_t format = 0;
    int rc = sf_json_int(root, "format", FORMAT_OLDEST, FORMAT, &format, err);
    if (rc < 0)
        return rc;
    config->format = (unsigned)format;
    if ((config->format == FORMAT && (rc = get_making(root, config, err)) < 0) ||
        (rc = sf_json_text(root, "fleet_id", sizeof config->fleet_id, config->fleet_id, err)) < 0 ||
        (rc = sf_json_time(root, "epoch_ms", &config->epoch_ms, err)) < 0 ||
        (rc = get_layout(root, &config->layout, err)) < 0 ||
        (rc = get_datacenters(root, config, err)) < 0 ||
        (rc = sf_json_int(root, "floor_ms", 0, SF_JSON_TIME_MAX_MS, &config->floor_ms, err)) < 0 ||
        (rc = sf_json_u64(root, "incarnation", &config->incarnation, err)) < 0 ||
        (rc = sf_json_time(root, "created_ms", &config->created_ms, err)) < 0)
        return rc;
    if (!sf_uuid_is_valid(config->fleet_id))
        return sf_error_set(err, -EBADMSG, "\"fleet_id\" is not a UUID in lower case");
    return 0;
}

int sf_record_config_decode_any(const char *bytes, size_t size, struct sf_coord_config *ret,
                                struct sf_error *err)
{
    json_t *root = NULL;
    int rc = sf_json_load(bytes, size, SF_COORD_RECORD_SIZE_MAX, &root, err);
    if (rc < 0)
        return rc;
    struct sf_coord_config config = {.version = ret->version};
    rc = get_config(root, &config, err);
    json_decref(root);
    if (rc == 0)
        *ret = config;
    return rc;
}

int sf_config_check_format(const struct sf_coord_config *config, struct sf_error *err)
{
    if (config->format == FORMAT)
        return 0;
    return sf_error_set(err, -EBADMSG,
                        "it is of format %u, made by an older version; stop its workers, then "
                        "snowfleet init --after-data-loss makes the fleet anew",
                        config->format);
}

int sf_record_config_decode(const char *bytes, size_t size, struct sf_coord_config *ret,
                            struct sf_error *err)
{
    struct sf_coord_config config = {.version = ret->version};
    const int rc = sf_record_config_decode_any(bytes, size, &config, err);
    if (rc < 0)
        return rc;
    if (sf_config_check_format(&config, err) < 0)
        return -EBADMSG;
    *ret = config;
    return 0;
}

int64_t sf_config_last_ms(const struct sf_coord_config *config)
{
    int64_t last_ms;
    /* At most 63 bits. */
    const int64_t span_ms = (int64_t)sf_layout_max_timestamp(&config->layout);
    return __builtin_add_overflow(config->epoch_ms, span_ms, &last_ms) ? INT64_MAX : last_ms;
}

/* Slot. */

char *sf_record_slot_encode(const struct sf_coord_slot *slot)
{
    SF_ASSERT(slot->fence <= INT64_MAX);
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, ENCODE_SIZE_MAX);
    sf_strbuf_addf(&buf, "{\"fence\":%" PRIu64 ",\"from_ms\":%" PRId64 ",", slot->fence,
                   slot->from_ms);
    sf_json_add_text(&buf, "claim", slot->claim);
    sf_strbuf_addf(&buf, ",\"reserved_until_ms\":%" PRId64 ",\"last_ms\":%" PRId64 ",",
                   slot->reserved_until_ms, slot->last_ms);
    sf_json_add_text(&buf, "nonce", slot->nonce);
    sf_strbuf_addf(&buf, ",");
    sf_json_add_text(&buf, "node", slot->node);
    sf_strbuf_addf(&buf, ",\"updated_ms\":%" PRId64 "%s}", slot->updated_ms,
                   slot->reset ? ",\"reset\":true" : "");
    return finish(&buf);
}

static int get_slot(const json_t *root, struct sf_coord_slot *slot, struct sf_error *err)
{
    int rc;
    if ((rc = sf_json_u64(root, "fence", &slot->fence, err)) < 0 ||
        (rc = sf_json_int(root, "from_ms", 0, SF_JSON_TIME_MAX_MS, &slot->from_ms, err)) < 0 ||
        (rc = sf_json_text(root, "claim", sizeof slot->claim, slot->claim, err)) < 0 ||
        (rc = sf_json_int(root, "reserved_until_ms", 0, SF_JSON_TIME_MAX_MS,
                          &slot->reserved_until_ms, err)) < 0 ||
        (rc = sf_json_time(root, "last_ms", &slot->last_ms, err)) < 0 ||
        (rc = sf_json_text(root, "nonce", sizeof slot->nonce, slot->nonce, err)) < 0 ||
        (rc = sf_json_text(root, "node", sizeof slot->node, slot->node, err)) < 0 ||
        (rc = sf_json_time(root, "updated_ms", &slot->updated_ms, err)) < 0)
        return rc;
    if (json_object_get(root, "reset") != NULL &&
        (rc = sf_json_bool(root, "reset", &slot->reset, err)) < 0)
        return rc;
    char guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    if (slot->claim[0] != '\0' && sf_claim_name_parse(slot->claim, guid, &sequence) < 0)
        return sf_error_set(err, -EBADMSG, "\"claim\" is not the name of a claim");
    const size_t digits = strlen(slot->nonce);
    if (digits != 0 && (digits != SF_HEX128_SIZE - 1 || !sf_json_is_hex(slot->nonce, digits)))
        return sf_error_set(err, -EBADMSG, "\"nonce\" is not 32 hexadecimal digits");
    return 0;
}

int sf_record_slot_decode(const char *bytes, size_t size, uint64_t worker,
                          struct sf_coord_slot *ret, struct sf_error *err)
{
    json_t *root = NULL;
    int rc = sf_json_load(bytes, size, SF_COORD_RECORD_SIZE_MAX, &root, err);
    if (rc < 0)
        return rc;
    struct sf_coord_slot slot = {
        .worker = worker, .state = SF_COORD_RECORD_OK, .version = ret->version};
    rc = get_slot(root, &slot, err);
    json_decref(root);
    if (rc < 0)
        return rc;
    char *again = sf_record_slot_encode(&slot);
    slot.canonical = strlen(again) == size && memcmp(again, bytes, size) == 0;
    free(again);
    *ret = slot;
    return 0;
}

bool sf_slot_content_same(const struct sf_coord_slot *a, const struct sf_coord_slot *b)
{
    return a->fence == b->fence && a->from_ms == b->from_ms &&
           a->reserved_until_ms == b->reserved_until_ms && strcmp(a->claim, b->claim) == 0 &&
           strcmp(a->nonce, b->nonce) == 0;
}

/* The first claim whose fence is not below this one. They stand in the order of their fences. */
static size_t first_from(const struct sf_coord_claim *claims, size_t count, uint64_t fence)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (claims[middle].fence < fence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A record has the name and the fence of one claim. Of many, which are a list, only those of that fence are
 * looked at: a datacenter is counted in slots times the logarithm of its claims. */
static const struct sf_coord_claim *holder_of(const struct sf_coord_slot *slot,
                                              const struct sf_coord_claim *claims, size_t count)
{
    const bool many = count > CLAIMS_FEW;
    size_t i = many ? first_from(claims, count, slot->fence) : 0;
    for (; slot->claim[0] != '\0' && i < count && (!many || claims[i].fence == slot->fence); i++)
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
    sf_json_add_text(&buf, "node", claim->node);
    sf_strbuf_addf(&buf, ",");
    sf_json_add_text(&buf, "address", claim->address);
    sf_strbuf_addf(&buf, ",");
    sf_json_add_text(&buf, "admin", claim->admin);
    sf_strbuf_addf(&buf, ",\"since_ms\":%" PRId64 ",", claim->since_ms);
    sf_json_add_text(&buf, "version", claim->version);
    sf_strbuf_addf(&buf, ",");
    sf_json_add_text(&buf, "state", claim->state);
    sf_strbuf_addf(&buf, ",");
    sf_json_add_text(&buf, "reason", claim->reason);
    sf_strbuf_addf(&buf, ",\"made_ms\":%" PRId64 ",\"seeks\":%s}", claim->made_ms,
                   claim->seeks ? "true" : "false");
    return finish(&buf);
}

/* What claims of older workers do not have: whoever holds no slot seeks one. */
static int get_claim_state(const json_t *root, struct sf_coord_claim *claim, struct sf_error *err)
{
    memset(claim->state, 0, sizeof claim->state);
    memset(claim->reason, 0, sizeof claim->reason);
    claim->made_ms = claim->since_ms;
    claim->seeks = claim->slot < 0;
    if (json_object_get(root, "state") == NULL)
        return 0;
    int rc;
    if ((rc = sf_json_text(root, "state", sizeof claim->state, claim->state, err)) < 0 ||
        (rc = sf_json_text(root, "reason", sizeof claim->reason, claim->reason, err)) < 0 ||
        (rc = sf_json_time(root, "made_ms", &claim->made_ms, err)) < 0)
        return rc;
    return sf_json_bool(root, "seeks", &claim->seeks, err);
}

static int get_claim(const json_t *root, struct sf_coord_claim *claim, struct sf_error *err)
{
    json_t *slot = NULL;
    int rc = sf_json_member(root, "slot", &slot, err);
    if (rc < 0)
        return rc;
    claim->slot = -1;
    if (!json_is_null(slot) &&
        (rc = sf_json_int(root, "slot", 0, (INT64_C(1) << SF_COORD_WORKER_BITS_MAX) - 1,
                          &claim->slot, err)) < 0)
        return rc;
    if ((rc = sf_json_text(root, "node", sizeof claim->node, claim->node, err)) < 0 ||
        (rc = sf_json_text(root, "address", sizeof claim->address, claim->address, err)) < 0 ||
        (rc = sf_json_text(root, "admin", sizeof claim->admin, claim->admin, err)) < 0 ||
        (rc = sf_json_time(root, "since_ms", &claim->since_ms, err)) < 0 ||
        (rc = sf_json_text(root, "version", sizeof claim->version, claim->version, err)) < 0)
        return rc;
    return get_claim_state(root, claim, err);
}

int sf_record_claim_decode(const char *bytes, size_t size, struct sf_coord_claim *ret,
                           struct sf_error *err)
{
    json_t *root = NULL;
    int rc = sf_json_load(bytes, size, SF_COORD_RECORD_SIZE_MAX, &root, err);
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

bool sf_token_is_valid(const char *token)
{
    const size_t digits = SF_COORD_TOKEN_SIZE - 1;
    return strnlen(token, SF_COORD_TOKEN_SIZE) == digits && sf_json_is_hex(token, digits);
}

int sf_claim_name_parse(const char *name, char ret_guid[SF_HEX128_SIZE], uint64_t *ret_sequence)
{
    const size_t prefix = strlen(CLAIM_PREFIX);
    const size_t guid = SF_HEX128_SIZE - 1;
    const size_t length = strnlen(name, SF_COORD_CLAIM_MAX);
    if (length >= SF_COORD_CLAIM_MAX || length < prefix + guid + 1 + CLAIM_DIGITS_MIN ||
        memcmp(name, CLAIM_PREFIX, prefix) != 0 || !sf_json_is_hex(name + prefix, guid) ||
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
