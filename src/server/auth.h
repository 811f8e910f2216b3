/* server/auth.h - tokens that a connection shows, with AUTH or in a field of HTTP: comparing them, and bounding the guesses of an address.
 * Its shard's thread. */
#ifndef SF_SERVER_AUTH_H
#define SF_SERVER_AUTH_H

#include "server/session.h"

/* What is said where sf_auth_look names a time. */
#define SF_AUTH_TOO_MANY "too many unknown tokens came from this address"

/* Whether the session has shown a token that still counts. */
static inline bool sf_auth_is_valid(const struct sf_session *session)
{
    return session->token != NULL && !atomic_load_explicit(&session->token->revoked, memory_order_relaxed);
}

/* The token that these bytes are, borrowed; there is a token file. NULL: not known, or (ret_wait_ns over 0) not compared, because too
 * many from its address were not known: so long until one may be. */
struct sf_token *sf_auth_look(struct sf_session *session, const void *bytes, size_t size, int64_t *ret_wait_ns);
/* The session has shown this one. */
void sf_auth_accept(struct sf_session *session, struct sf_token *token);
/* Its peer was told that it is refused: it has no token, and is ended after SF_AUTH_TRIES_MAX. guessed: it was compared and not known. */
void sf_auth_refuse(struct sf_session *session, bool guessed);
/* The answer had no place: the same will be looked at again, and is not to count twice. */
void sf_auth_forget(struct sf_session *session);

#endif
