/* coord/json_fields.c - see json_fields.h. */
#include "coord/json_fields.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "coord/types.h"

int sf_json_member(const json_t *object, const char *key, json_t **ret, struct sf_error *err)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        return sf_error_set(err, -EBADMSG, "\"%s\" is missing", key);
    *ret = value;
    return 0;
}

int sf_json_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                struct sf_error *err)
{
    json_t *value = NULL;
    const int rc = sf_json_member(object, key, &value, err);
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

int sf_json_u64(const json_t *object, const char *key, uint64_t *ret, struct sf_error *err)
{
    int64_t number = 0;
    const int rc = sf_json_int(object, key, 0, INT64_MAX, &number, err);
    if (rc == 0)
        *ret = (uint64_t)number;
    return rc;
}

int sf_json_time(const json_t *object, const char *key, int64_t *ret, struct sf_error *err)
{
    return sf_json_int(object, key, -SF_JSON_TIME_MAX_MS, SF_JSON_TIME_MAX_MS, ret, err);
}

int sf_json_text(const json_t *object, const char *key, size_t size, char *to, struct sf_error *err)
{
    json_t *value = NULL;
    const int rc = sf_json_member(object, key, &value, err);
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

int sf_json_bool(const json_t *object, const char *key, bool *ret, struct sf_error *err)
{
    json_t *value = NULL;
    const int rc = sf_json_member(object, key, &value, err);
    if (rc < 0)
        return rc;
    if (!json_is_boolean(value))
        return sf_error_set(err, -EBADMSG, "\"%s\" is neither true nor false", key);
    *ret = json_is_true(value);
    return 0;
}

int sf_json_load(const char *bytes, size_t size, size_t size_max, json_t **ret,
                 struct sf_error *err)
{
    if (size == 0)
        return sf_error_set(err, -EBADMSG, "the record is empty");
    if (size > size_max)
        return sf_error_set(err, -EBADMSG, "the record has %zu bytes, at most %zu are allowed",
                            size, size_max);
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

bool sf_json_is_hex(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

void sf_json_add_text(struct sf_strbuf *buf, const char *key, const char *text)
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
