/* server/tokens.h - the tokens that AUTH accepts: lines `name:token` of a file; blank lines and
 * lines that start with # are skipped. Immutable once read, counted references; check from any
 * thread. */
#ifndef SF_SERVER_TOKENS_H
#define SF_SERVER_TOKENS_H

#include <stddef.h>

#include "base/error.h"

#define SF_TOKENS_MAX     1024
#define SF_TOKEN_NAME_MAX 63
#define SF_TOKEN_FILE_MAX (1U << 20)

struct sf_tokens;

/* Reads and checks the whole file; err names file, line and what is wrong, never a token. Returns
 * 0, -ENOENT and the like, -EINVAL. A file that others than its owner may write, or that everybody
 * may read, is refused with -EPERM. */
int sf_tokens_read(const char *path, struct sf_tokens **ret_tokens, struct sf_error *err);
struct sf_tokens *sf_tokens_ref(struct sf_tokens *tokens); /* NULL gives NULL */
void sf_tokens_unref(struct sf_tokens *tokens);            /* NULL is fine */

/* The name that the token belongs to, or NULL. Takes the same time whichever token it is, or none.
 */
const char *sf_tokens_check(const struct sf_tokens *tokens, const void *token, size_t size);

#endif
