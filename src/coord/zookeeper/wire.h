/* coord/zookeeper/wire.h - ZooKeeper's protocol as bytes: numbers in network order, strings and
 * lists behind their lengths, a frame behind its own. What came from a server is read strictly: a
 * length that does not fit what is there spoils the whole. Pure; any thread. */
#ifndef SF_COORD_ZOOKEEPER_WIRE_H
#define SF_COORD_ZOOKEEPER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_ZK_FRAME_MAX     (16 << 20) /* bytes of a frame that is believed; servers allow 1 MiB */
#define SF_ZK_PASSWORD_SIZE 16         /* of a session */

/* Versions above this are refused: the protocol's are signed 32 bits. */
#define SF_ZK_VERSION_MAX (UINT64_C(1) << 30)

/* What a request is, and a part of a multi. */
enum sf_zk_op {
    SF_ZK_CLOSE = -11,
    SF_ZK_ERROR = -1, /* in the answer to a multi */
    SF_ZK_CREATE_PART = 1,
    SF_ZK_DELETE = 2,
    SF_ZK_EXISTS = 3,
    SF_ZK_GET = 4,
    SF_ZK_SET_PART = 5,
    SF_ZK_PING = 11,
    SF_ZK_CHILDREN = 12,
    SF_ZK_CHECK_PART = 13,
    SF_ZK_MULTI = 14,
    SF_ZK_CREATE = 15,
    SF_ZK_LOGIN = 100
};

/* Numbers of what is no answer to a request of ours. */
enum { SF_ZK_XID_EVENT = -1, SF_ZK_XID_PING = -2, SF_ZK_XID_LOGIN = -4 };

/* How a request ended: what servers say, and the two that we say ourselves. */
enum sf_zk_code {
    SF_ZK_OK = 0,
    SF_ZK_NOT_RUN = -2,         /* of an op: another one of the multi failed */
    SF_ZK_CONNECTION_LOSS = -4, /* ours: not sent, or not answered */
    SF_ZK_MARSHALLING = -5,
    SF_ZK_UNIMPLEMENTED = -6,
    SF_ZK_TIMEOUT = -7,
    SF_ZK_BAD_ARGUMENTS = -8,
    SF_ZK_NO_NODE = -101,
    SF_ZK_NO_AUTH = -102,
    SF_ZK_BAD_VERSION = -103,
    SF_ZK_EPHEMERAL_PARENT = -108,
    SF_ZK_NODE_EXISTS = -110,
    SF_ZK_NOT_EMPTY = -111,
    SF_ZK_SESSION_EXPIRED = -112, /* also ours: the session was lost */
    SF_ZK_INVALID_ACL = -114,
    SF_ZK_AUTH_FAILED = -115,
    SF_ZK_SESSION_MOVED = -118,
    SF_ZK_NOT_READ_ONLY = -119,
    SF_ZK_REQUEST_TIMEOUT = -122,
    SF_ZK_LOGIN_REQUIRED = -124,
    SF_ZK_QUOTA_EXCEEDED = -125,
    SF_ZK_THROTTLED = -127
};
/* "no such node", ...; static strings. */
const char *sf_zk_code_text(int code);

/* How a node is made: bits. */
enum { SF_ZK_EPHEMERAL = 1, SF_ZK_SEQUENTIAL = 2 };

struct sf_zk_stat {
    int64_t czxid, mzxid;
    int64_t ctime_ms, mtime_ms;
    int32_t version;
    int64_t ephemeral_owner; /* a session; 0: none */
    int32_t data_length;
    int64_t pzxid;
    int32_t children;
};

/* Who may do what: the one entry of an ACL. perms: ZooKeeper's bits. */
struct sf_zk_acl {
    int perms;
    const char *scheme, *id;
};

/* Bytes to send. All zero is empty. */
struct sf_zk_bytes {
    uint8_t *data;
    size_t size, room;
};
void sf_zk_bytes_free(struct sf_zk_bytes *bytes);
/* Drops the first ones. */
void sf_zk_bytes_shift(struct sf_zk_bytes *bytes, size_t count);
/* Appends all of `from`, which is empty then. */
void sf_zk_bytes_move(struct sf_zk_bytes *to, struct sf_zk_bytes *from);
/* Room for more behind the last one: where they are to be put; then add to size. */
uint8_t *sf_zk_bytes_room(struct sf_zk_bytes *bytes, size_t more);

void sf_zk_put_int(struct sf_zk_bytes *to, int32_t value);
void sf_zk_put_long(struct sf_zk_bytes *to, int64_t value);
void sf_zk_put_bool(struct sf_zk_bytes *to, bool value);
void sf_zk_put_buffer(struct sf_zk_bytes *to, const void *data, size_t size);
void sf_zk_put_text(struct sf_zk_bytes *to, const char *text);
void sf_zk_put_acl(struct sf_zk_bytes *to, const struct sf_zk_acl *acl);
/* A frame is begun, and ended by the place that begin gave. */
size_t sf_zk_frame_begin(struct sf_zk_bytes *to);
void sf_zk_frame_end(struct sf_zk_bytes *to, size_t place);

/* What was received. Once something does not fit, `broken` is set and all that follows is zero. */
struct sf_zk_reader {
    const uint8_t *at;
    size_t left;
    bool broken;
};
int32_t sf_zk_take_int(struct sf_zk_reader *from);
int64_t sf_zk_take_long(struct sf_zk_reader *from);
bool sf_zk_take_bool(struct sf_zk_reader *from);
/* Borrowed bytes; NULL for a length of -1, which is size 0, and when it is broken. */
const uint8_t *sf_zk_take_buffer(struct sf_zk_reader *from, size_t *ret_size);
/* A copy, to be freed; NULL when it is broken, also by a NUL within. */
char *sf_zk_take_text(struct sf_zk_reader *from);
/* How many entries of at least `least` bytes follow. */
size_t sf_zk_take_count(struct sf_zk_reader *from, size_t least);
/* Broken too when it is no stat of a node that somebody made: zxids begin at 1. */
void sf_zk_take_stat(struct sf_zk_reader *from, struct sf_zk_stat *ret);

#endif
