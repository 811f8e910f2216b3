/* coord/etcd/body.c - see body.h. */
#include "coord/etcd/body.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"

#define BODY_SIZE_MAX (4 << 20)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *sf_etcd_base64_encode(const void *bytes, size_t size)
{
    const unsigned char *from = bytes;
    char *text = malloc((size + 2) / 3 * 4 + 1);
    SF_ASSERT(text != NULL);
    char *to = text;
    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i;
        const uint32_t bits = (uint32_t)from[i] << 16 |
                              (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
                              (left > 2 ? from[i + 2] : 0);
        *to++ = alphabet[bits >> 18];
        *to++ = alphabet[bits >> 12 & 63];
        *to++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? alphabet[bits & 63] : '=';
    }
    *to = '\0';
    return text;
}

static int base64_value(char c)
{
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);
    return at == NULL ? -1 : (int)(at - alphabet);
}

char *sf_etcd_base64_decode(const char *text, size_t length, size_t *ret_size)
{
    if (length % 4 != 0)
        return NULL;
    size_t padding = 0;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
        padding++;
    unsigned char *bytes = malloc(length / 4 * 3 + 1);
    SF_ASSERT(bytes != NULL);
    size_t size = 0;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            const bool pad = i + k >= length - padding;
            const int value = pad ? 0 : base64_value(text[i + k]);
            if (value < 0) {
                free(bytes);
                return NULL;
            }
            bits = bits << 6 | (uint32_t)value;
        }
        bytes[size++] = (unsigned char)(bits >> 16);
        bytes[size++] = (unsigned char)(bits >> 8);
        bytes[size++] = (unsigned char)bits;
    }
    size -= padding;
    bytes[size] = '\0';
    *ret_size = size;
    return (char *)bytes;
}

/* The key behind the last one that starts with prefix: its last byte + 1. */
static char *prefix_end(const char *prefix)
{
    const size_t length = strlen(prefix);
    SF_ASSERT(length > 0 && (unsigned char)prefix[length - 1] != 0xff);
    char *end = strdup(prefix);
    SF_ASSERT(end != NULL);
    end[length - 1]++;
    return end;
}

static void add_base64(struct sf_strbuf *buf, const char *member, const char *text)
{
    char *encoded = sf_etcd_base64_encode(text, strlen(text));
    sf_strbuf_addf(buf, "\"%s\":\"%s\"", member, encoded);
    free(encoded);
}

static void add_key(struct sf_strbuf *buf, const char *key, bool prefix)
{
    add_base64(buf, "key", key);
    if (!prefix)
        return;
    char *end = prefix_end(key);
    sf_strbuf_addf(buf, ",");
    add_base64(buf, "range_end", end);
    free(end);
}

static void add_compare(struct sf_strbuf *buf, const struct sf_etcd_compare *compare)
{
    const bool create = compare->target == SF_ETCD_CREATE;
    sf_strbuf_addf(buf, "{");
    add_key(buf, compare->key, false);
    if (compare->target == SF_ETCD_VALUE) {
        sf_strbuf_addf(buf, ",\"target\":\"VALUE\",\"result\":\"EQUAL\",");
        add_base64(buf, "value", compare->value);
        sf_strbuf_addf(buf, "}");
        return;
    }
    sf_strbuf_addf(buf, ",\"target\":\"%s\",\"result\":\"%s\",\"%s\":\"%" PRIu64 "\"}",
                   create ? "CREATE" : "MOD", compare->greater ? "GREATER" : "EQUAL",
                   create ? "create_revision" : "mod_revision", compare->revision);
}

/* No key of ours goes on with a byte below '\1' behind another one. */
static void add_range(struct sf_strbuf *buf, const struct sf_etcd_op *op)
{
    if (op->from != NULL) {
        char *end = prefix_end(op->key);
        add_base64(buf, "key", op->from);
        sf_strbuf_addf(buf, ",");
        add_base64(buf, "range_end", end);
        free(end);
    } else if (op->after == NULL) {
        add_key(buf, op->key, op->kind == SF_ETCD_GET_PREFIX);
    } else {
        char *end = prefix_end(op->key), *from = NULL;
        SF_ASSERT(asprintf(&from, "%s\1", op->after) > 0);
        add_base64(buf, "key", from);
        sf_strbuf_addf(buf, ",");
        add_base64(buf, "range_end", end);
        free(from);
        free(end);
    }
    if (op->limit != 0)
        sf_strbuf_addf(buf, ",\"limit\":\"%" PRIu64 "\"", op->limit);
    if (op->keys_only)
        sf_strbuf_addf(buf, ",\"keys_only\":true");
    if (op->count_only)
        sf_strbuf_addf(buf, ",\"count_only\":true");
}

static void add_op(struct sf_strbuf *buf, const struct sf_etcd_op *op)
{
    switch (op->kind) {
    case SF_ETCD_PUT:
        sf_strbuf_addf(buf, "{\"request_put\":{");
        add_key(buf, op->key, false);
        sf_strbuf_addf(buf, ",");
        add_base64(buf, "value", op->value);
        if (op->lease != 0)
            sf_strbuf_addf(buf, ",\"lease\":\"%" PRIu64 "\"", op->lease);
        break;
    case SF_ETCD_DELETE:
        sf_strbuf_addf(buf, "{\"request_delete_range\":{");
        add_key(buf, op->key, false);
        break;
    case SF_ETCD_GET:
    case SF_ETCD_GET_PREFIX:
        sf_strbuf_addf(buf, "{\"request_range\":{");
        add_range(buf, op);
        break;
    }
    sf_strbuf_addf(buf, "}}");
}

/* No revision is -1 or less, also that of a key which is not there. */
static void add_bit(struct sf_strbuf *buf, const char *key, bool set)
{
    sf_strbuf_addf(buf, "{\"request_txn\":{\"compare\":[{");
    add_key(buf, key, false);
    sf_strbuf_addf(buf, ",\"target\":\"CREATE\",\"result\":\"%s\",\"create_revision\":\"-1\"}]}}",
                   set ? "GREATER" : "LESS");
}

static void add_branch(struct sf_strbuf *buf, const char *member, const struct sf_etcd_op *ops,
                       size_t count, const struct sf_etcd_txn *txn)
{
    const char *comma = "";
    sf_strbuf_addf(buf, ",\"%s\":[", member);
    for (size_t i = 0; i < count; i++, comma = ",") {
        sf_strbuf_addf(buf, "%s", comma);
        add_op(buf, &ops[i]);
    }
    for (unsigned i = 0; txn->tag_key != NULL && i < SF_ETCD_TAG_BITS; i++, comma = ",") {
        sf_strbuf_addf(buf, "%s", comma);
        add_bit(buf, txn->tag_key, (txn->tag >> i & 1) != 0);
    }
    sf_strbuf_addf(buf, "]");
}

static char *finish(struct sf_strbuf *buf)
{
    SF_ASSERT(!buf->failed);
    return buf->text;
}

char *sf_etcd_body_txn(const struct sf_etcd_txn *txn)
{
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, BODY_SIZE_MAX);
    sf_strbuf_addf(&buf, "{\"compare\":[");
    for (size_t i = 0; i < txn->compare_count; i++) {
        sf_strbuf_addf(&buf, "%s", i == 0 ? "" : ",");
        add_compare(&buf, &txn->compares[i]);
    }
    sf_strbuf_addf(&buf, "]");
    add_branch(&buf, "success", txn->success, txn->success_count, txn);
    add_branch(&buf, "failure", txn->failure, txn->failure_count, txn);
    sf_strbuf_addf(&buf, "}");
    return finish(&buf);
}

/* end NULL: what starts with first. */
static void add_keys(struct sf_strbuf *buf, const char *first, const char *end)
{
    add_key(buf, first, end == NULL);
    if (end == NULL)
        return;
    sf_strbuf_addf(buf, ",");
    add_base64(buf, "range_end", end);
}

char *sf_etcd_body_newest(const char *first, const char *end)
{
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, BODY_SIZE_MAX);
    sf_strbuf_addf(&buf, "{");
    add_keys(&buf, first, end);
    sf_strbuf_addf(&buf, ",\"limit\":\"1\",\"sort_order\":\"DESCEND\",\"sort_target\":\"MOD\","
                         "\"keys_only\":true}");
    return finish(&buf);
}

char *sf_etcd_body_watch(const char *first, const char *end)
{
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, BODY_SIZE_MAX);
    sf_strbuf_addf(&buf, "{\"create_request\":{");
    add_keys(&buf, first, end);
    sf_strbuf_addf(&buf, "}}");
    return finish(&buf);
}

char *sf_etcd_body_grant(uint64_t ttl_s)
{
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, BODY_SIZE_MAX);
    sf_strbuf_addf(&buf, "{\"TTL\":\"%" PRIu64 "\"}", ttl_s);
    return finish(&buf);
}

char *sf_etcd_body_lease(uint64_t lease)
{
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, BODY_SIZE_MAX);
    sf_strbuf_addf(&buf, "{\"ID\":\"%" PRIu64 "\"}", lease);
    return finish(&buf);
}

char *sf_etcd_body_login(const char *name, const char *password)
{
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, BODY_SIZE_MAX);
    sf_strbuf_addf(&buf, "{\"name\":");
    sf_strbuf_add_json(&buf, name);
    sf_strbuf_addf(&buf, ",\"password\":");
    sf_strbuf_add_json(&buf, password);
    sf_strbuf_addf(&buf, "}");
    return finish(&buf);
}
