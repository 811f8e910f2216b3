/* coord/zookeeper/wire.c - see wire.h. */
#include "coord/zookeeper/wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

const char *sf_zk_code_text(int code)
{
    static const struct {
        int code;
        const char *text;
    } texts[] = {
        {SF_ZK_OK, "ok"},
        {SF_ZK_NOT_RUN, "not run, since another part failed"},
        {SF_ZK_CONNECTION_LOSS, "the connection was lost"},
        {SF_ZK_MARSHALLING, "the server could not read the request"},
        {SF_ZK_UNIMPLEMENTED, "the server does not know this request"},
        {SF_ZK_TIMEOUT, "the server ran out of time"},
        {SF_ZK_BAD_ARGUMENTS, "bad arguments"},
        {SF_ZK_NO_NODE, "no such node"},
        {SF_ZK_NO_AUTH, "the ACL does not allow it"},
        {SF_ZK_BAD_VERSION, "another version"},
        {SF_ZK_EPHEMERAL_PARENT, "the parent ends with its session and has no children"},
        {SF_ZK_NODE_EXISTS, "the node exists"},
        {SF_ZK_NOT_EMPTY, "the node has children"},
        {SF_ZK_SESSION_EXPIRED, "the session has expired"},
        {SF_ZK_INVALID_ACL, "the ACL is not valid"},
        {SF_ZK_AUTH_FAILED, "the login was refused"},
        {SF_ZK_SESSION_MOVED, "the session has moved to another server"},
        {SF_ZK_NOT_READ_ONLY, "the server is read-only, without a quorum"},
        {SF_ZK_REQUEST_TIMEOUT, "the server ran out of time"},
        {SF_ZK_LOGIN_REQUIRED, "the server demands a login"},
        {SF_ZK_QUOTA_EXCEEDED, "the quota is exceeded"},
        {SF_ZK_THROTTLED, "the server has too much to do"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].code == code)
            return texts[i].text;
    return "an error";
}

/* Bytes to send. */

void sf_zk_bytes_free(struct sf_zk_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct sf_zk_bytes){NULL, 0, 0};
}

void sf_zk_bytes_shift(struct sf_zk_bytes *bytes, size_t count)
{
    SF_ASSERT(count <= bytes->size);
    if (count == 0)
        return;
    memmove(bytes->data, bytes->data + count, bytes->size - count);
    bytes->size -= count;
}

uint8_t *sf_zk_bytes_room(struct sf_zk_bytes *bytes, size_t more)
{
    if (bytes->room - bytes->size < more) {
        bytes->room = (bytes->size + more) * 2;
        bytes->data = realloc(bytes->data, bytes->room);
        SF_ASSERT(bytes->data != NULL);
    }
    return bytes->data + bytes->size;
}

void sf_zk_bytes_move(struct sf_zk_bytes *to, struct sf_zk_bytes *from)
{
    if (from->size > 0)
        memcpy(sf_zk_bytes_room(to, from->size), from->data, from->size);
    to->size += from->size;
    from->size = 0;
}

static uint8_t *put(struct sf_zk_bytes *to, size_t size)
{
    uint8_t *at = sf_zk_bytes_room(to, size);
    to->size += size;
    return at;
}

void sf_zk_put_int(struct sf_zk_bytes *to, int32_t value)
{
    sf_store_be32(put(to, 4), (uint32_t)value);
}

void sf_zk_put_long(struct sf_zk_bytes *to, int64_t value)
{
    sf_store_be64(put(to, 8), (uint64_t)value);
}

void sf_zk_put_bool(struct sf_zk_bytes *to, bool value)
{
    *put(to, 1) = value;
}

void sf_zk_put_buffer(struct sf_zk_bytes *to, const void *data, size_t size)
{
    SF_ASSERT(size <= SF_ZK_FRAME_MAX);
    sf_zk_put_int(to, (int32_t)size);
    if (size > 0)
        memcpy(put(to, size), data, size);
}

void sf_zk_put_text(struct sf_zk_bytes *to, const char *text)
{
    sf_zk_put_buffer(to, text, strlen(text));
}

void sf_zk_put_acl(struct sf_zk_bytes *to, const struct sf_zk_acl *acl)
{
    sf_zk_put_int(to, 1);
    sf_zk_put_int(to, acl->perms);
    sf_zk_put_text(to, acl->scheme);
    sf_zk_put_text(to, acl->id);
}

size_t sf_zk_frame_begin(struct sf_zk_bytes *to)
{
    const size_t place = to->size;
    sf_zk_put_int(to, 0);
    return place;
}

void sf_zk_frame_end(struct sf_zk_bytes *to, size_t place)
{
    sf_store_be32(to->data + place, (uint32_t)(to->size - place - 4));
}

/* What was received. */

static const uint8_t *take(struct sf_zk_reader *from, size_t size)
{
    if (from->broken || from->left < size) {
        from->broken = true;
        from->left = 0;
        return NULL;
    }
    const uint8_t *at = from->at;
    from->at += size;
    from->left -= size;
    return at;
}

int32_t sf_zk_take_int(struct sf_zk_reader *from)
{
    const uint8_t *at = take(from, 4);
    return at != NULL ? (int32_t)sf_load_be32(at) : 0;
}

int64_t sf_zk_take_long(struct sf_zk_reader *from)
{
    const uint8_t *at = take(from, 8);
    return at != NULL ? (int64_t)sf_load_be64(at) : 0;
}

bool sf_zk_take_bool(struct sf_zk_reader *from)
{
    const uint8_t *at = take(from, 1);
    if (at != NULL && *at > 1)
        from->broken = true;
    return at != NULL && *at == 1;
}

const uint8_t *sf_zk_take_buffer(struct sf_zk_reader *from, size_t *ret_size)
{
    const int32_t size = sf_zk_take_int(from);
    *ret_size = 0;
    if (size == -1)
        return NULL;
    const uint8_t *at = size >= 0 ? take(from, (size_t)size) : NULL;
    if (at == NULL)
        from->broken = true;
    else
        *ret_size = (size_t)size;
    return at;
}

char *sf_zk_take_text(struct sf_zk_reader *from)
{
    size_t size = 0;
    const uint8_t *at = sf_zk_take_buffer(from, &size);
    if (at == NULL || memchr(at, '\0', size) != NULL) {
        from->broken = true;
        return NULL;
    }
    char *text = malloc(size + 1);
    SF_ASSERT(text != NULL);
    memcpy(text, at, size);
    text[size] = '\0';
    return text;
}

size_t sf_zk_take_count(struct sf_zk_reader *from, size_t least)
{
    const int32_t count = sf_zk_take_int(from);
    if (count < 0 || (size_t)count > from->left / least) {
        from->broken = true;
        return 0;
    }
    return (size_t)count;
}

void sf_zk_take_stat(struct sf_zk_reader *from, struct sf_zk_stat *ret)
{
    ret->czxid = sf_zk_take_long(from);
    ret->mzxid = sf_zk_take_long(from);
    ret->ctime_ms = sf_zk_take_long(from);
    ret->mtime_ms = sf_zk_take_long(from);
    ret->version = sf_zk_take_int(from);
    (void)sf_zk_take_int(from); /* of the children */
    (void)sf_zk_take_int(from); /* of the ACL */
    ret->ephemeral_owner = sf_zk_take_long(from);
    ret->data_length = sf_zk_take_int(from);
    ret->children = sf_zk_take_int(from);
    ret->pzxid = sf_zk_take_long(from);
    if (ret->czxid <= 0 || ret->mzxid < ret->czxid || ret->pzxid < 0 || ret->data_length < 0 ||
        ret->children < 0)
        from->broken = true;
}
