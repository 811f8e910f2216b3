/* coord/json_fields.h - members of a record's JSON object, read strictly: every getter names the
 * member, what was found and what is allowed. For the files that read records (coord/records.c,
 * coord/state_record.c). Pure; any thread. Return 0 or -EBADMSG; outputs are left alone on failure.
 */
#ifndef SF_COORD_JSON_FIELDS_H
#define SF_COORD_JSON_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"

#define SF_JSON_TIME_MAX_MS (INT64_C(1) << 62) /* so that adding a window never overflows */

/* The object in bytes, of at most size_max; keys that stand there twice are refused. The caller
 * gives it up with json_decref. */
int sf_json_load(const char *bytes, size_t size, size_t size_max, json_t **ret,
                 struct sf_error *err);
/* ret is borrowed. */
int sf_json_member(const json_t *object, const char *key, json_t **ret, struct sf_error *err);
int sf_json_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                struct sf_error *err);
/* 0 to INT64_MAX. */
int sf_json_u64(const json_t *object, const char *key, uint64_t *ret, struct sf_error *err);
int sf_json_bool(const json_t *object, const char *key, bool *ret, struct sf_error *err);
/* Unix milliseconds, -SF_JSON_TIME_MAX_MS to SF_JSON_TIME_MAX_MS. */
int sf_json_time(const json_t *object, const char *key, int64_t *ret, struct sf_error *err);
/* At most size - 1 bytes; what is left of `to` is zeroed. */
int sf_json_text(const json_t *object, const char *key, size_t size, char *to,
                 struct sf_error *err);
/* Lower-case hexadecimal digits only? */
bool sf_json_is_hex(const char *text, size_t length);

/* Adds "key":"text", with bytes that are not part of UTF-8 text as '?', one for one, so that a text
 * that fits its field still fits when it is read back. */
void sf_json_add_text(struct sf_strbuf *buf, const char *key, const char *text);

#endif
