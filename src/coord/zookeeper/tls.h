/* coord/zookeeper/tls.h - TLS for one connection to a server: bytes of the wire to plain bytes and back. Touches no socket, so
 * nothing here waits and nothing raises SIGPIPE. Backend thread only, but for sf_zk_tls_check. */
#ifndef SF_COORD_ZOOKEEPER_TLS_H
#define SF_COORD_ZOOKEEPER_TLS_H

#include <stdbool.h>

#include "coord/zookeeper/options.h"
#include "coord/zookeeper/wire.h"

struct sf_zk_tls;

/* Whether the files can be used. Returns 0, or a negative errno code with the reason, which names the option and the file. */
int sf_zk_tls_check(const struct sf_zk_tls_files *files, struct sf_error *err);
/* Reads the files as they are now. host: the name or address that the server's certificate must bear. NULL: err says why. */
struct sf_zk_tls *sf_zk_tls_open(const struct sf_zk_tls_files *files, const char *host,
                                 struct sf_error *err);
/* NULL is fine. */
void sf_zk_tls_close(struct sf_zk_tls *tls);

/* Takes what came, and appends what it means to plain. Returns 0, -ECONNRESET once the peer has said that it ends, or -EPROTO with
 * the reason; what there was before that is appended all the same. */
int sf_zk_tls_take(struct sf_zk_tls *tls, const uint8_t *bytes, size_t size,
                   struct sf_zk_bytes *plain, struct sf_error *err);
/* The server is who it should be, and plain bytes may go. */
bool sf_zk_tls_is_up(const struct sf_zk_tls *tls);
/* Makes of plain (empty then) what is to be sent, behind what of it there is already; until it is up, only what the handshake has to
 * say. Returns 0 or -EPROTO with the reason. */
int sf_zk_tls_put(struct sf_zk_tls *tls, struct sf_zk_bytes *plain, struct sf_zk_bytes *to,
                  struct sf_error *err);

#endif
