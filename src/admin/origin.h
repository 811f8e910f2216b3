/* admin/origin.h - which web pages may read the admin port's answers (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol): the console, where
 * another worker of the fleet served it. Any of the HTTP threads. */
#ifndef SF_ADMIN_ORIGIN_H
#define SF_ADMIN_ORIGIN_H

#include "admin/answer.h"

/* The request's Origin field where it is the console of another worker, which is served as we are, with TLS or without; NULL: not. */
const char *sf_admin_fleet_origin(const struct sf_admin_pages *pages, struct MHD_Connection *connection);
/* Says in the answer who may read it. Returns false when memory is out. */
bool sf_admin_allow_origin(const struct sf_admin_pages *pages, struct MHD_Connection *connection,
                           struct MHD_Response *response);

#endif
