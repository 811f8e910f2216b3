/* Which web pages may read the answers. */
#include "admin/origin.h"

#include <stdio.h>
#include <string.h>

/* Is <authority> the admin address of a live worker of our fleet? localhost stands for
 * 127.0.0.1. */
static bool is_fleet_admin(const struct sf_admin_host *host, const char *authority)
{
    char local[32];
    static const char localhost[] = "localhost:";
    if (strncmp(authority, localhost, sizeof localhost - 1) == 0 &&
        strlen(authority) < sizeof localhost + 5) {
        (void)snprintf(local, sizeof local, "127.0.0.1:%.5s", authority + sizeof localhost - 1);
        authority = local;
    }
    return *authority != '\0' && host->is_fleet_admin(host->ctx, authority);
}

const char *sf_admin_fleet_origin(const struct sf_admin_pages *pages,
                                  struct MHD_Connection *connection)
{
    const char *scheme = pages->tls ? "https://" : "http://";
    const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
    return origin != NULL && strncmp(origin, scheme, strlen(scheme)) == 0 &&
                   is_fleet_admin(&pages->host, origin + strlen(scheme))
               ? origin
               : NULL;
}

bool sf_admin_allow_origin(const struct sf_admin_pages *pages, struct MHD_Connection *connection,
                           struct MHD_Response *response)
{
    const char *origin = sf_admin_fleet_origin(pages, connection);
    return MHD_add_response_header(response, "Vary", "Origin") == MHD_YES &&
           (origin == NULL ||
            MHD_add_response_header(response, "Access-Control-Allow-Origin", origin) == MHD_YES);
}
