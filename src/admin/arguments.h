/* admin/arguments.h - the arguments of a request's query: pages take one at most, and refuse what they do
 * not know. Any thread. */
#ifndef SF_ADMIN_ARGUMENTS_H
#define SF_ADMIN_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include <microhttpd.h>

#define SF_ADMIN_SHOWN_MAX 40 /* bytes of bad input that an error repeats */

struct sf_admin_arguments {
    const char *known; /* the one argument that is allowed */
    const char *value; /* its value, as long as the connection's request; "" without one */
    size_t seen;       /* how often it was given */
    bool broken;       /* unknown or holding a NUL byte */
    char unknown[SF_ADMIN_SHOWN_MAX + 1];
};

/* Returns whether the request has no other argument than `known`, and that once at most. */
bool sf_admin_arguments_read(struct MHD_Connection *connection, const char *known,
                             struct sf_admin_arguments *ret);

/* The sentence for a request of which read returned false; status 400. Returns text. */
#define SF_ADMIN_REFUSAL_MAX 256
const char *sf_admin_arguments_refusal(const struct sf_admin_arguments *arguments,
                                       char text[SF_ADMIN_REFUSAL_MAX]);

#endif
