/* coord/etcd/answer.c - see answer.h. */
#include "coord/etcd/answer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "coord/etcd/body.h"

/* gRPC status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
enum {
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_NOT_FOUND = 5,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_UNAUTHENTICATED = 16
};

static bool has(const char *message, const char *part)
{
    return strcasestr(message, part) != NULL;
}

/* A client certificate with a common name, while users are on: the gateway refuses in plain
 * text. */
static bool names_certificate(const char *message)
{
    return has(message, "CommonName of client");
}

static enum sf_etcd_verdict classify_code(int code, const char *message)
{
    switch (code) {
    case GRPC_INVALID_ARGUMENT:
        if (has(message, "revision of auth store is old"))
            return SF_ETCD_BAD_TOKEN;
        if (has(message, "user name is empty") || has(message, "authentication failed") ||
            has(message, "user name not found"))
            return SF_ETCD_DENIED;
        return SF_ETCD_REJECTED;
    case GRPC_NOT_FOUND:
        return has(message, "lease") ? SF_ETCD_NO_LEASE : SF_ETCD_REJECTED;
    case GRPC_PERMISSION_DENIED:
        return SF_ETCD_DENIED;
    case GRPC_RESOURCE_EXHAUSTED: /* the gateway says it too, of an answer that was too large */
        return has(message, "space")               ? SF_ETCD_FULL
               : has(message, "too many requests") ? SF_ETCD_BUSY
                                                   : SF_ETCD_UNAVAILABLE;
    case GRPC_FAILED_PRECONDITION:
        return has(message, "authentication is not enabled") ? SF_ETCD_NO_AUTH : SF_ETCD_REJECTED;
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNIMPLEMENTED:
        return SF_ETCD_REJECTED;
    case GRPC_UNAUTHENTICATED:
        return SF_ETCD_BAD_TOKEN;
    default:
        return SF_ETCD_UNAVAILABLE; /* 1, 2, 4, 10, 13, 14 and what may come */
    }
}

enum sf_etcd_verdict sf_etcd_classify(long http, int code, const char *message)
{
    if (http >= 200 && http < 300 && code < 0)
        return SF_ETCD_OK;
    if (code >= 0)
        return classify_code(code, message);
    if (http == 401)
        return SF_ETCD_BAD_TOKEN;
    if (http == 403 || (http == 400 && names_certificate(message)))
        return SF_ETCD_DENIED;
    if (http == 400 || http == 404 || http == 405 || http == 413)
        return SF_ETCD_REJECTED;
    return SF_ETCD_UNAVAILABLE;
}

int sf_etcd_get_u64(const json_t *object, const char *member, uint64_t *ret)
{
    const json_t *value = json_object_get(object, member);
    if (value == NULL || json_is_null(value)) {
        *ret = 0;
        return 0;
    }
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = (uint64_t)json_integer_value(value);
        return 0;
    }
    if (json_is_string(value) && sf_parse_u64(json_string_value(value), 0, UINT64_MAX, ret) == 0)
        return 0;
    return -EBADMSG;
}

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text == NULL ? "" : text;
}

static int code_of(const json_t *object)
{
    static const char *const members[] = {"code", "grpc_code"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *code = json_object_get(object, members[i]);
        if (json_is_integer(code) && json_integer_value(code) > 0 &&
            json_integer_value(code) < 1000)
            return (int)json_integer_value(code);
    }
    return -1;
}

/* The words of a plain-text answer, on one line. */
static void plain_text(const char *bytes, size_t size, char *to, size_t to_size)
{
    size_t n = 0;
    for (size_t i = 0; i < size && n + 1 < to_size; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        to[n++] = (char)(c < 0x20 || c >= 0x7f ? ' ' : c);
    }
    to[n] = '\0';
}

static void read_header(const json_t *root, struct sf_etcd_answer *answer)
{
    const json_t *header = json_object_get(root, "header");
    if (!json_is_object(header))
        return;
    if (sf_etcd_get_u64(header, "cluster_id", &answer->header.cluster_id) < 0 ||
        sf_etcd_get_u64(header, "revision", &answer->header.revision) < 0 ||
        sf_etcd_get_u64(header, "raft_term", &answer->header.raft_term) < 0) {
        answer->verdict = SF_ETCD_UNAVAILABLE;
        snprintf(answer->text, sizeof answer->text, "the answer's header is damaged");
    }
}

static void refuse(long http, int code, const char *message, struct sf_etcd_answer *ret)
{
    ret->verdict = sf_etcd_classify(http, code, message);
    if (ret->verdict == SF_ETCD_OK)
        ret->verdict = SF_ETCD_UNAVAILABLE;
    if (names_certificate(message))
        snprintf(
            ret->text, sizeof ret->text,
            "the client certificate has a common name, which etcd's gateway refuses while users "
            "are on: issue it without a CN");
    else if (code >= 0)
        snprintf(ret->text, sizeof ret->text, "%.200s (HTTP %ld, code %d)", message, http, code);
    else if (http == 404)
        snprintf(ret->text, sizeof ret->text,
                 "HTTP 404: this port has no JSON gateway: start etcd without "
                 "--enable-grpc-gateway=false, and give its client port (2379)");
    else
        snprintf(ret->text, sizeof ret->text,
                 "HTTP %ld, not an answer of etcd's v3 gateway: %.120s", http, message);
}

void sf_etcd_answer_parse(long http, const char *bytes, size_t size, struct sf_etcd_answer *ret)
{
    *ret = (struct sf_etcd_answer){.verdict = SF_ETCD_OK};
    json_t *root = size == 0 ? NULL : json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) {
        char text[160];
        plain_text(bytes, size, text, sizeof text);
        json_decref(root);
        refuse(http, -1, text, ret);
        return;
    }
    const json_t *error = json_object_get(root, "error");
    const json_t *inner = json_is_object(error) ? error : root;
    const int code = code_of(inner);
    if (code >= 0 || json_is_object(error) || http < 200 || http >= 300) {
        const char *message = text_of(inner, "message");
        refuse(http, code, message[0] ? message : text_of(root, "error"), ret);
        json_decref(root);
        return;
    }
    json_t *result = json_object_get(root, "result");
    ret->root = json_incref(json_is_object(result) ? result : root);
    json_decref(root);
    read_header(ret->root, ret);
    if (ret->verdict != SF_ETCD_OK) {
        json_decref(ret->root);
        ret->root = NULL;
    }
}

void sf_etcd_answer_free(struct sf_etcd_answer *answer)
{
    json_decref(answer->root);
    answer->root = NULL;
}

static int decode_bytes(const json_t *object, const char *member, char **ret, size_t *ret_size)
{
    const json_t *value = json_object_get(object, member);
    if (value != NULL && !json_is_string(value))
        return -EBADMSG;
    const char *text = value == NULL ? "" : json_string_value(value);
    *ret = sf_etcd_base64_decode(text, strlen(text), ret_size);
    return *ret == NULL ? -EBADMSG : 0;
}

static int parse_kv(const json_t *object, struct sf_etcd_kv *kv)
{
    int rc;
    if ((rc = decode_bytes(object, "key", &kv->key, &kv->key_size)) < 0 ||
        (rc = decode_bytes(object, "value", &kv->value, &kv->value_size)) < 0 ||
        (rc = sf_etcd_get_u64(object, "create_revision", &kv->create_revision)) < 0 ||
        (rc = sf_etcd_get_u64(object, "mod_revision", &kv->mod_revision)) < 0 ||
        (rc = sf_etcd_get_u64(object, "lease", &kv->lease)) < 0)
        return rc;
    return kv->create_revision == 0 || kv->mod_revision == 0 ? -EBADMSG : 0;
}

int sf_etcd_range_parse(const json_t *object, struct sf_etcd_range *ret)
{
    struct sf_etcd_range range = {0};
    const json_t *kvs = json_object_get(object, "kvs");
    if (!json_is_object(object) || (kvs != NULL && !json_is_array(kvs)) ||
        sf_etcd_get_u64(object, "count", &range.total) < 0)
        return -EBADMSG;
    const size_t count = json_array_size(kvs);
    range.kvs = calloc(count + 1, sizeof *range.kvs);
    SF_ASSERT(range.kvs != NULL);
    for (; range.count < count; range.count++) {
        if (parse_kv(json_array_get(kvs, range.count), &range.kvs[range.count]) < 0) {
            range.count++;
            sf_etcd_range_free(&range);
            return -EBADMSG;
        }
    }
    *ret = range;
    return 0;
}

void sf_etcd_range_free(struct sf_etcd_range *range)
{
    for (size_t i = 0; i < range->count; i++) {
        free(range->kvs[i].key);
        free(range->kvs[i].value);
    }
    free(range->kvs);
    *range = (struct sf_etcd_range){0};
}

bool sf_etcd_txn_succeeded(const json_t *root)
{
    return json_is_true(json_object_get(root, "succeeded"));
}

int sf_etcd_txn_range(const json_t *root, size_t index, struct sf_etcd_range *ret)
{
    const json_t *one = json_array_get(json_object_get(root, "responses"), index);
    return sf_etcd_range_parse(json_object_get(one, "response_range"), ret);
}

bool sf_etcd_txn_has_tag(const json_t *root, uint32_t tag)
{
    const json_t *responses = json_object_get(root, "responses");
    const size_t count = json_array_size(responses);
    if (count < SF_ETCD_TAG_BITS)
        return false;
    for (unsigned i = 0; i < SF_ETCD_TAG_BITS; i++) {
        const json_t *bit = json_object_get(json_array_get(responses, count - SF_ETCD_TAG_BITS + i),
                                            "response_txn");
        if (!json_is_object(bit) || sf_etcd_txn_succeeded(bit) != ((tag >> i & 1) != 0))
            return false;
    }
    return true;
}

int sf_etcd_txn_wrote(const struct sf_etcd_answer *answer, size_t index, const char *key,
                      const char *value, struct sf_coord_version *ret)
{
    struct sf_etcd_range range = {0};
    if (!sf_etcd_txn_succeeded(answer->root) || sf_etcd_txn_range(answer->root, index, &range) < 0)
        return -EBADMSG;
    bool wrote = false;
    if (range.count == 1) {
        const struct sf_etcd_kv *kv = range.kvs;
        wrote = kv->key != NULL && kv->value != NULL && strcmp(kv->key, key) == 0 &&
                kv->value_size == strlen(value) && strcmp(kv->value, value) == 0 &&
                kv->mod_revision != 0 && kv->mod_revision == answer->header.revision;
        if (wrote)
            *ret = (struct sf_coord_version){kv->create_revision, kv->mod_revision};
    }
    sf_etcd_range_free(&range);
    return wrote ? 0 : -EBADMSG;
}

int sf_etcd_watch_parse(const json_t *root, struct sf_etcd_watch_line *ret)
{
    struct sf_etcd_watch_line line = {.created = json_is_true(json_object_get(root, "created")),
                                      .canceled = json_is_true(json_object_get(root, "canceled"))};
    const json_t *events = json_object_get(root, "events");
    if (!json_is_object(root) || (events != NULL && !json_is_array(events)))
        return -EBADMSG;
    line.events = json_array_size(events);
    uint64_t compacted = 0;
    (void)sf_etcd_get_u64(root, "compact_revision", &compacted);
    if (line.canceled)
        snprintf(line.text, sizeof line.text, "%.150s (compacted at %" PRIu64 ")",
                 text_of(root, "cancel_reason"), compacted);
    *ret = line;
    return 0;
}
