/* coord/zookeeper/reply.c - see reply.h. */
#include "coord/zookeeper/reply.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static void take_data(struct sf_zk_call *call, struct sf_zk_reader *from)
{
    const uint8_t *data = sf_zk_take_buffer(from, &call->size);
    call->data = malloc(call->size + 1);
    SF_ASSERT(call->data != NULL);
    if (call->size > 0)
        memcpy(call->data, data, call->size);
    call->data[call->size] = '\0';
}

static void take_names(struct sf_zk_call *call, struct sf_zk_reader *from)
{
    const size_t count = sf_zk_take_count(from, sizeof(int32_t));
    call->names = calloc(count > 0 ? count : 1, sizeof *call->names);
    SF_ASSERT(call->names != NULL);
    while (call->name_count < count && !from->broken)
        call->names[call->name_count++] = sf_zk_take_text(from);
}

static void take_stat(struct sf_zk_call *call, struct sf_zk_reader *from)
{
    sf_zk_take_stat(from, &call->stat);
    call->has_stat = true;
}

static void take_body(struct sf_zk_call *call, struct sf_zk_reader *from)
{
    switch (call->op) {
    case SF_ZK_GET:
        take_data(call, from);
        take_stat(call, from);
        if ((size_t)call->stat.data_length != call->size)
            from->broken = true;
        return;
    case SF_ZK_CHILDREN:
        take_names(call, from);
        take_stat(call, from);
        return;
    case SF_ZK_EXISTS:
        take_stat(call, from);
        return;
    case SF_ZK_CREATE:
        call->data = sf_zk_take_text(from);
        take_stat(call, from);
        return;
    case SF_ZK_MULTI:
        call->rc = sf_zk_multi_take(call->multi, from);
        return;
    default:
        SF_ASSERT(call->op == SF_ZK_DELETE);
    }
}

static void drop_answer(struct sf_zk_call *call)
{
    for (size_t i = 0; i < call->name_count; i++)
        free(call->names[i]);
    free(call->names);
    free(call->data);
    call->names = NULL;
    call->data = NULL;
    call->name_count = call->size = 0;
    call->has_stat = false;
}

bool sf_zk_reply_take(struct sf_zk_call *call, int code, struct sf_zk_reader *from)
{
    call->rc = code;
    if (code == SF_ZK_OK)
        take_body(call, from);
    const bool fits = code <= 0 && !from->broken && from->left == 0;
    if (!fits)
        drop_answer(call);
    return fits;
}

void sf_zk_call_free(struct sf_zk_call *call)
{
    sf_zk_multi_free(call->multi);
    drop_answer(call);
    free(call);
}
