/* server/tls.h - TLS on the data port (OpenSSL 3): 1.2 or later, optionally with client
 * certificates, no renegotiation, no tickets.
 *
 * A context is immutable and counted; connections keep the one they began with, so that new files
 * only concern new connections. Contexts: any thread. Sessions: the thread of their shard, which
 * must have SIGPIPE blocked (OpenSSL writes with write(2)). */
#ifndef SF_SERVER_TLS_H
#define SF_SERVER_TLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct sf_tls;
struct sf_tls_session;

/* Loads certificate chain and key (PEM), and, unless client_ca is NULL, the authorities that must
 * have signed a client's certificate. A key file that everybody may read is refused. err names the
 * option and the file. Returns 0 or a negative errno code. */
int sf_tls_load(const char *cert, const char *key, const char *client_ca, struct sf_tls **ret_tls,
                struct sf_error *err);
struct sf_tls *sf_tls_ref(struct sf_tls *tls); /* NULL gives NULL */
void sf_tls_unref(struct sf_tls *tls);         /* NULL is fine */

/* For a non-blocking socket, which stays the caller's. NULL when memory is out. */
struct sf_tls_session *sf_tls_session_create(struct sf_tls *tls, int fd);
void sf_tls_session_destroy(struct sf_tls_session *session); /* NULL is fine */

/* 0: done; -EAGAIN: when the socket is ready again; -EPROTO: failed, `reason` (may be cut) says
 * why. */
int sf_tls_handshake(struct sf_tls_session *session, char *reason, size_t size);
/* As recv and send: bytes, 0 at the end of the stream (receive) or when the socket takes nothing
 * now (send), -EAGAIN (receive), -EPROTO. A send that took nothing must be repeated with the same
 * bytes. */
ssize_t sf_tls_receive(struct sf_tls_session *session, void *to, size_t size);
ssize_t sf_tls_send(struct sf_tls_session *session, const void *from, size_t size);
/* Bytes that were taken from the socket so far, records and all. */
uint64_t sf_tls_bytes_read(const struct sf_tls_session *session);
/* Says that no more will be sent. */
void sf_tls_finish(struct sf_tls_session *session);

#endif
