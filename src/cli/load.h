/* cli/load.h - the load of `snowfleet bench`: one thread that keeps a number of connections filled
 * with requests (closed loop: a request is sent when one has been answered). The options are read
 * only; counters may be read by others while it runs. */
#ifndef SF_CLI_LOAD_H
#define SF_CLI_LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <snowfleet/client.h>

#include "cli/histogram.h"
#include "cli/servers.h"
#include "wire/frame.h"

#define SF_LOAD_DEPTH_MAX 4096

struct sf_load_options {
    const struct sockaddr_storage *addresses; /* connections go round them */
    const socklen_t *sizes;
    uint32_t address_count;
    uint32_t depth, batch;
    int64_t connect_timeout_ms;
};

struct sf_load_conn;

struct sf_load {
    const struct sf_load_options *options;
    uint32_t conns, first;    /* how many, and which address the first takes */
    _Atomic uint64_t *budget; /* requests left to send, of all threads; NULL: no end */
    const _Atomic bool *stop;
    pthread_t thread;
    struct sf_load_conn *all;       /* bare connections */
    struct sf_load_caller *callers; /* or clients of the library */

    _Atomic uint64_t answers;                                   /* while it runs */
    uint64_t ids, statuses[SF_WIRE_STATUSES], unknown_statuses; /* after it ended; bare */
    uint64_t outcomes[SF_CLIENT_ERRORS];                        /* of the library's calls */
    struct sf_histogram latency, refused; /* of answers with IDs, and of all others */
    char why[160]; /* why it ended early; empty: it did not */
};

/* Connects (blocking). Returns 0 or a negative errno code, with `why`. */
int sf_load_connect(struct sf_load *load);
/* The thread's function: runs until *stop, until the budget is spent and answered, or until a
 * connection fails. */
void *sf_load_run(void *load);
void sf_load_free(struct sf_load *load);

/* How many of `want` requests may still be sent; they are taken from the budget. */
uint32_t sf_load_take_budget(struct sf_load *load, uint32_t want);

/* The same through the client library (load_library.c): conns clients, each with depth calls under
 * way. open returns -1, or the exit code after saying what is wrong. */
int sf_load_library_open(struct sf_load *load, struct sf_cli_servers *servers);
void *sf_load_library_run(void *load);
void sf_load_library_free(struct sf_load *load);

#endif
