/* base/tokens.h - the tokens that AUTH and the admin port accept: lines
 * `name:token[:ids_per_s[:burst]]` of a file; blank lines and lines that start with # are skipped.
 *
 * A set is immutable once read, with counted references; check from any thread. A token is counted
 * by itself, so that a connection can keep the one it has shown while the file is read again. */
#ifndef SF_BASE_TOKENS_H
#define SF_BASE_TOKENS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bucket.h"
#include "base/error.h"

#define SF_TOKENS_MAX     1024
#define SF_TOKEN_NAME_MAX 63
#define SF_TOKEN_MAX      256 /* bytes; no colon among them */
#define SF_TOKEN_FILE_MAX (1U << 20)

struct sf_token {
    atomic_uint references;
    atomic_bool revoked;               /* a newer file does not have it any more */
    char name[SF_TOKEN_NAME_MAX + 1];  /* of A-Z a-z 0-9 . _ - */
    _Atomic uint64_t ids_per_s, burst; /* 0: no limit; 0: one second's worth */
    struct sf_bucket bucket;           /* of all connections that have shown it */
    _Atomic uint64_t requests, ids;    /* NEXT answered OK */
    _Atomic uint64_t logins, limited;  /* AUTH answered OK; NEXT over the limit */
    uint16_t size;
    uint8_t bytes[SF_TOKEN_MAX]; /* zeros behind size */
};

struct sf_tokens;

/* Reads and checks the whole file; err names `what` (the option), file, line and what is wrong,
 * never a token. Returns 0, -ENOENT and the like, -EINVAL, -EACCES (sf_secret_check). */
int sf_tokens_read(const char *path, const char *what, struct sf_tokens **ret_tokens,
                   struct sf_error *err);
struct sf_tokens *sf_tokens_ref(struct sf_tokens *tokens); /* NULL gives NULL */
void sf_tokens_unref(struct sf_tokens *tokens);            /* NULL is fine */

/* Tokens that are in the older set too stay the same objects, with the limits of the newer one; a
 * name with another token keeps its counters. Those of the older set that are gone become revoked.
 * Before the newer set is shown to other threads. older may be NULL. */
void sf_tokens_inherit(struct sf_tokens *newer, struct sf_tokens *older);

/* The token that these bytes are, or NULL; borrowed from the set. Takes the same time whichever
 * token it is, or none. */
struct sf_token *sf_tokens_check(const struct sf_tokens *tokens, const void *token, size_t size);
/* Whether these bytes are this token. Takes the same time whether or not. */
bool sf_token_is(const struct sf_token *token, const void *bytes, size_t size);
struct sf_token *sf_token_ref(struct sf_token *token);
void sf_token_unref(struct sf_token *token); /* NULL is fine */

size_t sf_tokens_count(const struct sf_tokens *tokens); /* NULL: 0 */
const struct sf_token *sf_tokens_at(const struct sf_tokens *tokens, size_t index);

#endif
