/* admin/admin.h - HTTP on the admin port: health, metrics, status, fleet, a few IDs, drain, the
 * console.
 *
 * A libmicrohttpd daemon with its own thread (two at most serve slow readers), bounded in
 * connections and time. What it says comes from struct sf_admin_host; callbacks run on admin
 * threads and take their own locks. Health answers are under 100 ms and never wait for control,
 * coordinator or clock. */
#ifndef SF_ADMIN_ADMIN_H
#define SF_ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "metrics/metrics.h"
#include "worker/readiness.h"

struct sf_admin_host {
    void *ctx;
    /* The checks of /readyz, in their fixed order. */
    void (*readiness)(void *ctx, struct sf_readiness *ret);
    /* Names what stalled into `to`, one a line; returns true when every loop turns. */
    bool (*live)(void *ctx, struct sf_strbuf *to);
    bool (*started)(void *ctx);                      /* has been ready once */
    void (*status)(void *ctx, struct sf_strbuf *to); /* JSON object */
    void (*fleet)(void *ctx, struct sf_strbuf *to);  /* JSON object */
    /* JSON object: the points of the last hour whose serial is above `after`. */
    void (*history)(void *ctx, uint64_t after, struct sf_strbuf *to);
    /* A connection to the data port's path for /v1, on behalf of this peer (server.h, sf_server_connect): a socket that the caller
     * closes. Returns 0 or a negative errno code. */
    int (*connect)(void *ctx, const struct sockaddr *peer, int *ret_fd);
    void (*drain)(void *ctx);
    /* Reads configuration, certificates and tokens again, within some milliseconds. Returns 0 with a JSON object of what was and what was not
     * taken, or a negative errno code with sentences for people; the old ones stay then. */
    int (*reload)(void *ctx, struct sf_strbuf *to);
    /* Is this HOST:PORT the admin address of a live worker of the fleet, as last read? Pages of those may read ours. */
    bool (*is_fleet_admin)(void *ctx, const char *address);
};

struct sf_admin_options {
    struct sf_host_port address;
    int *listener; /* of sf_admin_listen: taken over by create, -1 then; NULL: create listens */
    struct sf_admin_host host;
    struct sf_metrics *metrics;
    struct sf_log *log;
    const char *tls_cert, *tls_key; /* both or none (NULL): TLS */
    const char *token_file;         /* NULL: no tokens; base/tokens.h */
    const char *hosts;              /* names that requests may come under (hosts.h); NULL: no further ones */
};

struct sf_admin;
/* Binds and listens alone, for who does it before there are threads. ret_fd: the caller's until create has taken it. Returns 0
 * or a negative errno code; err names admin.address. */
int sf_admin_listen(const struct sf_host_port *address, int *ret_fd, struct sf_error *err);
/* Would sf_admin_create refuse a file? For --check-config: only the names of files are looked at.
 * Returns 0, or what it would return, with the same text. */
int sf_admin_check(const struct sf_admin_options *options, struct sf_error *err);
int sf_admin_create(const struct sf_admin_options *options, struct sf_admin **ret_admin,
                    struct sf_error *err);
/* Reads certificate, key and tokens again, from the files that these options name; nothing else of them counts. On failure everything stays
 * as it is. Returns 0 or a negative errno code; err names the option and the file. By the thread that made it. */
int sf_admin_reload(struct sf_admin *admin, const struct sf_admin_options *options, struct sf_error *err);
uint16_t sf_admin_port(const struct sf_admin *admin);

/* Takes no more connections, sends the answers that were begun (for a second at most), ends the
 * threads. NULL: nothing. Not from a callback of the host. */
void sf_admin_destroy(struct sf_admin *admin);

#endif
