/* coord/etcd/answer.h - what etcd's gateway answers, from bytes of any content to values and a
 * verdict. Pure; thread-safe.
 *
 * Tolerates 3.4 ({"error","message","code"}), 3.5 and 3.6 ({"code","message","details"}, blanks
 * anywhere) and errors inside streams
 * ({"error":{"grpc_code","message"}}). 64-bit numbers may be strings or numbers; a member with the
 * value zero is absent. */
#ifndef SF_COORD_ETCD_ANSWER_H
#define SF_COORD_ETCD_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/types.h"

/* What an answer says about the request. */
enum sf_etcd_verdict {
    SF_ETCD_OK,
    SF_ETCD_NO_LEASE,   /* the lease named does not exist: nothing was done */
    SF_ETCD_BAD_TOKEN,  /* log in (again): nothing was done */
    SF_ETCD_DENIED,     /* password, permission, certificate: nothing was done */
    SF_ETCD_FULL,       /* the database is over its quota: nothing was done */
    SF_ETCD_BUSY,       /* not taken for now: nothing was done */
    SF_ETCD_NO_AUTH,    /* login: the server has no users */
    SF_ETCD_REJECTED,   /* the form of the request, or not a gateway of etcd: nothing was done */
    SF_ETCD_UNAVAILABLE /* no leader, timeout, any 5xx, no JSON: a write may have been done */
};

struct sf_etcd_header {
    uint64_t cluster_id, revision, raft_term; /* 0: not told */
};

struct sf_etcd_answer {
    enum sf_etcd_verdict verdict;
    char text[SF_COORD_TEXT_MAX]; /* empty when OK */
    json_t *root; /* the object; inside {"result":...} for streams. NULL unless OK */
    struct sf_etcd_header header;
};

struct sf_etcd_kv {
    char *key;   /* owned; NUL behind it */
    char *value; /* owned; NUL behind it; "" when absent */
    size_t key_size, value_size;
    uint64_t create_revision, mod_revision, lease;
};

struct sf_etcd_range {
    struct sf_etcd_kv *kvs;
    size_t count;
    uint64_t total; /* "count": also those that a limit kept back */
};

/* Reads one answer. http is the status code. Always fills ret; free it with sf_etcd_answer_free. */
void sf_etcd_answer_parse(long http, const char *bytes, size_t size, struct sf_etcd_answer *ret);
void sf_etcd_answer_free(struct sf_etcd_answer *answer);

/* The verdict on a status code and a gRPC code (-1: none) with its message. For tests: each code is
 * judged by a table. */
enum sf_etcd_verdict sf_etcd_classify(long http, int code, const char *message);

/* A 64-bit number that may be a string, a number or absent (0). Returns 0 or -EBADMSG. */
int sf_etcd_get_u64(const json_t *object, const char *member, uint64_t *ret);

/* A range answer ({"kvs","count"}). Returns 0 or -EBADMSG; free with sf_etcd_range_free. */
int sf_etcd_range_parse(const json_t *object, struct sf_etcd_range *ret);
void sf_etcd_range_free(struct sf_etcd_range *range);

/* A transaction: did its compares hold, and the i-th answer of the branch taken as a range. */
bool sf_etcd_txn_succeeded(const json_t *root);
int sf_etcd_txn_range(const json_t *root, size_t index, struct sf_etcd_range *ret);

/* Does it end with this tag (coord/etcd/body.h)? Then it is the answer to the request that had it, and tells what was so
 * after that was sent. */
bool sf_etcd_txn_has_tag(const json_t *root, uint32_t tag);

/* Does the index-th answer of the branch taken show this key with this value, written by this very transaction?
 * The answer of another request, which a hop held back or gave twice, does not, whatever it says succeeded.
 * Every write reads back what it wrote, and is believed by that alone. ret: of the key. Returns 0 or -EBADMSG. */
int sf_etcd_txn_wrote(const struct sf_etcd_answer *answer, size_t index, const char *key,
                      const char *value, struct sf_coord_version *ret);

/* One line of a watch stream. */
struct sf_etcd_watch_line {
    bool created, canceled;
    size_t events;
    char text[SF_COORD_TEXT_MAX]; /* canceled: why */
};
int sf_etcd_watch_parse(const json_t *root, struct sf_etcd_watch_line *ret);

#endif
