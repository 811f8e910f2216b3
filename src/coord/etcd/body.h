/* coord/etcd/body.h - every request body that the etcd backend sends, built in this one place.
 * etcd's gateway ignores members that it does not know: a misspelt "compare" would be an
 * unconditional write, so tests/unit/test_etcd_body.c pins every byte.
 *
 * Keys and values are text; the gateway wants them in base64. 64-bit numbers are sent as strings.
 * Pure; thread-safe. Builders return memory that the caller frees, never NULL (they abort when
 * memory is out). Source: etcd api/etcdserverpb/rpc.proto,
 * https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/ */
#ifndef SF_COORD_ETCD_BODY_H
#define SF_COORD_ETCD_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a transaction asks about one key. Revision 0 with CREATE EQUAL: "does not exist". */
enum sf_etcd_target { SF_ETCD_CREATE, SF_ETCD_MOD, SF_ETCD_VALUE };
struct sf_etcd_compare {
    const char *key;
    enum sf_etcd_target target;
    bool greater;      /* instead of equal; CREATE, MOD */
    uint64_t revision; /* CREATE, MOD */
    const char *value; /* VALUE */
};

enum sf_etcd_op_kind {
    SF_ETCD_PUT,
    SF_ETCD_DELETE,
    SF_ETCD_GET,       /* one key */
    SF_ETCD_GET_PREFIX /* every key that starts with `key` */
};
struct sf_etcd_op {
    enum sf_etcd_op_kind kind;
    const char *key;
    const char *value; /* PUT */
    uint64_t lease;    /* PUT; 0: none */
    bool keys_only;    /* GET, GET_PREFIX: revisions without values */
    bool count_only;   /* GET_PREFIX: how many there are, and nothing else */
    const char *after; /* GET_PREFIX: only the keys behind this one; NULL: all */
    const char *from;  /* GET_PREFIX: only the keys from this one on; NULL: all */
    uint64_t limit;    /* GET_PREFIX: at most so many; 0: all */
};

/* A number that the answer gives back, whichever branch is taken: behind its operations stand as many
 * transactions that read nothing, each of which succeeds where its bit is set. */
#define SF_ETCD_TAG_BITS 16

struct sf_etcd_txn {
    const char *tag_key; /* a key that may be read, whether it is there or not; NULL: no tag */
    uint32_t tag;
    const struct sf_etcd_compare *compares;
    size_t compare_count;
    const struct sf_etcd_op *success;
    size_t success_count;
    const struct sf_etcd_op *failure;
    size_t failure_count;
};

char *sf_etcd_body_txn(const struct sf_etcd_txn *txn);
/* The highest mod_revision and the number of keys, of the same keys as a watch. */
char *sf_etcd_body_newest(const char *first, const char *end);
/* From `first` on, up to but without `end`; NULL: what starts with `first`. */
char *sf_etcd_body_watch(const char *first, const char *end);
char *sf_etcd_body_grant(uint64_t ttl_s);
/* For /v3/lease/keepalive and /v3/lease/revoke. */
char *sf_etcd_body_lease(uint64_t lease);
char *sf_etcd_body_login(const char *name, const char *password);

/* For tests: the bodies that they take apart are made of it. */
char *sf_etcd_base64_encode(const void *bytes, size_t size);

/* Standard alphabet with padding. Returns memory with a NUL behind ret_size bytes, or NULL for
 * anything else. */
char *sf_etcd_base64_decode(const char *text, size_t length, size_t *ret_size);

#endif
