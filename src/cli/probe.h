/* cli/probe.h - one worker under observation by `snowfleet verify`, and the HTTP side of its
 * figures. Counters are written by the probe's thread and may be read by any; what the mutex guards
 * is marked. */
#ifndef SF_CLI_PROBE_H
#define SF_CLI_PROBE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <snowfleet/client.h>

#include "cli/histogram.h"
#include "cli/seen.h"

struct sf_probe_shared {
    uint64_t interval_ms;
    uint32_t batch;
    int64_t skew_ms;
    bool go_on; /* after a finding: it is told at once, and whoever scrapes sees it counted */
    _Atomic bool stop;
    _Atomic uint64_t duplicates;

    pthread_mutex_t mutex;
    struct sf_seen *seen; /* mutex */
    char finding[320];    /* mutex: the first thing that must not be; empty: none */

    int metrics_fd; /* -1: none */
    pthread_t metrics_thread;
    const struct sf_probe *probes;
    _Atomic size_t count; /* grows only; those below it stay where they are */
};

struct sf_probe {
    struct sf_probe_shared *shared;
    uint32_t index;
    char *server;
    struct sf_client *client;
    pthread_t thread;
    bool running;
    bool from_fleet;   /* comes and goes with its claim */
    bool listed;       /* its claim was there at the last look */
    bool leaving;      /* and said then that it is about to go */
    bool lost;         /* it was not, and its slot was not given back */
    uint64_t fence;    /* of its claim */
    _Atomic bool gone; /* ends the thread */
    /* Failures of one from the fleet since the last look: it may be about to leave, and then they are none. */
    _Atomic uint64_t unjudged;
    _Atomic uint64_t ids, requests, failures, duplicates, order_errors, time_errors;
    struct sf_histogram latency;             /* mutex, while it runs */
    char last_failure[SF_CLIENT_DETAIL_MAX]; /* after it ended */
};

void *sf_probe_run(void *probe);

/* What failed since the last look was a failure; or it was not, for the worker has left as it should. */
void sf_probe_judge(struct sf_probe *probe, bool failed);

/* Serves /metrics on HOST:PORT from a thread. Returns -1, or the exit code after saying what is
 * wrong. */
int sf_probe_metrics_start(struct sf_probe_shared *shared, const char *address);
void sf_probe_metrics_stop(struct sf_probe_shared *shared);

#endif
