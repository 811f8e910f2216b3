/* What etcd's gateway may answer: any status, any bytes. Accepted or refused with a reason; what is
 * inside is read by every reader there is. The first byte chooses the HTTP status. */
#include "fuzz.h"

#include "coord/etcd/answer.h"
#include "coord/etcd/body.h"

static void range(const struct sf_etcd_range *range)
{
    for (size_t i = 0; i < range->count; i++) {
        const struct sf_etcd_kv *kv = &range->kvs[i];
        MUST(kv->key[kv->key_size] == '\0' && kv->value[kv->value_size] == '\0');
        MUST(kv->create_revision > 0 && kv->mod_revision > 0);
    }
}

static void read_all(const json_t *root)
{
    struct sf_etcd_range found;
    struct sf_etcd_watch_line line;
    if (sf_etcd_range_parse(root, &found) == 0) {
        range(&found);
        sf_etcd_range_free(&found);
    }
    (void)sf_etcd_txn_succeeded(root);
    MUST(!sf_etcd_txn_has_tag(root, 1) || !sf_etcd_txn_has_tag(root, 2));
    for (size_t i = 0; i < 3; i++) {
        if (sf_etcd_txn_range(root, i, &found) != 0)
            continue;
        range(&found);
        sf_etcd_range_free(&found);
    }
    if (sf_etcd_watch_parse(root, &line) == 0)
        MUST(memchr(line.text, '\0', sizeof line.text));
}

static void base64(const uint8_t *bytes, size_t size)
{
    size_t length = 0;
    char *text = sf_etcd_base64_encode(bytes, size);
    char *again = sf_etcd_base64_decode(text, strlen(text), &length);
    MUST(again && length == size && (size == 0 || memcmp(again, bytes, size) == 0));
    free(again);
    free(text);
    char *decoded = sf_etcd_base64_decode((const char *)bytes, size, &length);
    if (decoded) {
        MUST(length <= size && decoded[length] == '\0');
        char *encoded = sf_etcd_base64_encode(decoded, length);
        MUST(strlen(encoded) == size);
        free(encoded);
    }
    free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long statuses[] = {200, 400, 401, 404, 408, 429, 500, 503, 0, 302};
    if (size == 0)
        return 0;
    uint8_t *bytes = fuzz_exact(data + 1, size - 1);
    struct sf_etcd_answer answer;
    sf_etcd_answer_parse(statuses[data[0] % (sizeof statuses / sizeof *statuses)],
                         (const char *)bytes, size - 1, &answer);
    MUST(answer.verdict <= SF_ETCD_UNAVAILABLE);
    MUST(memchr(answer.text, '\0', sizeof answer.text));
    MUST((answer.verdict == SF_ETCD_OK) == (answer.root != NULL));
    MUST((answer.verdict == SF_ETCD_OK) == (answer.text[0] == '\0'));
    if (answer.root)
        read_all(answer.root);
    sf_etcd_answer_free(&answer);
    base64(bytes, size - 1);
    free(bytes);
    return 0;
}
