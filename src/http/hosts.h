/* http/hosts.h - whose name a request may come under (its Host field). A page of a stranger's site can have that site's name lead to this
 * worker (DNS rebinding); its requests then carry that name, and get nothing. Pure; any thread. */
#ifndef SF_HTTP_HOSTS_H
#define SF_HTTP_HOSTS_H

#include <stdbool.h>

#include "http/request.h"

/* Whether this Host field (a port behind it does not matter) is an address, a name without a dot (localhost, a container's, a service's: no stranger
 * owns one), or one of `names`, which are separated by commas; "*" among them: any. Without one (HTTP/1.0): yes, browsers send it. */
bool sf_http_host_allowed(const char *names, struct sf_http_text host);

#endif
