/* admin/asks.h - requests for IDs on the admin port: each goes to the data port's own path over a pair of sockets, and waits there as any
 * other. One thread waits for all answers; libmicrohttpd's threads do not, since they have probes to answer.
 *
 * Threads: create, end and destroy by one; the others on the HTTP threads. */
#ifndef SF_ADMIN_ASKS_H
#define SF_ADMIN_ASKS_H

#include <stdbool.h>
#include <stddef.h>

#include <microhttpd.h>

#include "base/error.h"

struct sf_admin_asks;
struct sf_admin_ask; /* one of them; belongs to its request */

/* Returns 0 or a negative errno code. */
int sf_admin_asks_create(struct sf_admin_asks **ret_asks, struct sf_error *err);
/* Gives all up that have no answer yet (their connections go on), and ends the thread. Further ones are refused. NULL: nothing. */
void sf_admin_asks_end(struct sf_admin_asks *asks);
/* After the end, and after the last ask was freed. NULL: nothing. */
void sf_admin_asks_destroy(struct sf_admin_asks *asks);

/* Sends the request to `fd`, which it takes over, and suspends the connection until the answer is there: its handler is called again then.
 * NULL: it cannot be asked now; the connection is not suspended, the descriptor closed. */
struct sf_admin_ask *sf_admin_ask_begin(struct sf_admin_asks *asks, struct MHD_Connection *connection, int fd,
                                        const char *request, size_t size);
/* The whole answer as it came, taken out of the ask (the caller frees it); NULL: there is none. Once the handler was called again. */
char *sf_admin_ask_take(struct sf_admin_ask *ask, size_t *ret_size);
/* NULL: nothing. */
void sf_admin_ask_free(struct sf_admin_ask *ask);

#endif
