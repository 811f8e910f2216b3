/* admin/head.h - the head of a request as libmicrohttpd read it, written down again: for the strict reader of http/request.h, and for the
 * data port's path. What libmicrohttpd takes that the strict reader does not (two lengths, two hosts, percent-encoding) is refused so.
 *
 * Any of the HTTP threads, for the request that it is at. */
#ifndef SF_ADMIN_HEAD_H
#define SF_ADMIN_HEAD_H

#include <microhttpd.h>

#include "base/strbuf.h"

#define SF_ADMIN_HEAD_MAX 16384

/* Appends request line and fields to `to`, without the blank line. target: as it was sent. to->failed: it was too long, or memory was out. */
void sf_admin_head(struct MHD_Connection *connection, const char *method, const char *target, const char *version,
                   struct sf_strbuf *to);

#endif
