/* admin/rights.h - who may ask for what on the admin port (docs/security.md). Any of the HTTP threads. */
#ifndef SF_ADMIN_RIGHTS_H
#define SF_ADMIN_RIGHTS_H

#include <stdbool.h>

#include <microhttpd.h>

struct sf_admin_pages;

/* No token is asked for, or one that counts was shown. */
bool sf_admin_is_let_in(struct sf_admin_pages *pages, struct MHD_Connection *connection);
/* What changes a worker is asked for from this machine or with a token, and by no web page. Returns NULL, or why it is refused. For who is let in. */
const char *sf_admin_order_refusal(struct sf_admin_pages *pages, struct MHD_Connection *connection);

#endif
