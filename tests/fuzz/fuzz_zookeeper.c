/* What a ZooKeeper server may answer: any bytes, to each kind of request. The first byte chooses the
 * request and whether it is a multi of which parts; then the code and the body follow. An answer is
 * taken whole or not at all. */
#include "fuzz.h"

#include "coord/zookeeper/reply.h"

static struct sf_zk_multi *make_multi(unsigned kind)
{
    static const struct sf_zk_acl acl = {31, "world", "anyone"};
    struct sf_zk_multi *multi = sf_zk_multi_create(4);
    if (kind & 1)
        sf_zk_multi_check_exists(multi, SF_ZK_ROOT, "/a");
    if (kind & 2)
        sf_zk_multi_set(multi, SF_ZK_SLOT, "/b", "text", 3);
    if (kind & 4)
        sf_zk_multi_make(multi, SF_ZK_CLAIMS, "/c", "", &acl, SF_ZK_EPHEMERAL | SF_ZK_SEQUENTIAL);
    if (kind & 8)
        sf_zk_multi_delete(multi, SF_ZK_CLAIM, "/d", 0);
    return multi;
}

static void look(const struct sf_zk_call *call)
{
    const bool has_stat = call->has_stat;
    MUST(!has_stat || (call->stat.czxid > 0 && call->stat.mzxid >= call->stat.czxid));
    MUST(call->data == NULL || call->data[call->size] == '\0' || call->op == SF_ZK_CREATE);
    MUST(call->op != SF_ZK_GET || call->rc != 0 || call->size == (size_t)call->stat.data_length);
    for (size_t i = 0; i < call->name_count; i++)
        MUST(call->names[i] != NULL);
    if (call->op != SF_ZK_MULTI || call->rc != SF_ZK_OK)
        return;
    for (int i = 0; i < call->multi->count; i++) {
        const struct sf_zk_part *part = &call->multi->parts[i];
        MUST(part->rc == SF_ZK_OK);
        MUST(part->op != SF_ZK_CREATE_PART || part->made != NULL);
        MUST(part->op != SF_ZK_SET_PART || part->stat.czxid > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum sf_zk_op ops[] = {SF_ZK_GET,    SF_ZK_EXISTS, SF_ZK_CHILDREN,
                                        SF_ZK_CREATE, SF_ZK_DELETE, SF_ZK_MULTI};
    if (size == 0)
        return 0;
    uint8_t *bytes = fuzz_exact(data + 1, size - 1);
    struct sf_zk_call *call = calloc(1, sizeof *call);
    MUST(call != NULL);
    call->op = ops[(data[0] & 15) % (sizeof ops / sizeof ops[0])];
    if (call->op == SF_ZK_MULTI)
        call->multi = make_multi(data[0] >> 4);
    struct sf_zk_reader from = {bytes, size - 1, false};
    const int code = sf_zk_take_int(&from);
    if (sf_zk_reply_take(call, code, &from)) {
        look(call);
        MUST(from.left == 0);
    } else {
        MUST(call->data == NULL && call->name_count == 0 && !call->has_stat);
    }
    sf_zk_call_free(call);
    free(bytes);
    return 0;
}
