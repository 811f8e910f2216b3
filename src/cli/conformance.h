/* cli/conformance.h - a server for authors of clients: it plays every scenario, well and badly, each
 * on a port of its own, and says at the end what the client under test did wrong. A thread for each
 * connection; what they share is behind each stage's mutex. */
#ifndef SF_CLI_CONFORMANCE_H
#define SF_CLI_CONFORMANCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

#define SF_STAGE_RUNS_MAX 4096 /* runs of one answer of ours */
#define SF_STAGE_TOKEN    "s3cret"

struct sf_stage;

/* One connection of the client under test. Of its thread alone. */
struct sf_visit {
    struct sf_stage *stage;
    int fd;
    uint32_t nexts; /* requests for IDs on it, this one included */
    bool left;      /* GOAWAY was sent */
    bool shown;     /* the token was */
    bool told;      /* INFO was answered */
};

/* One scenario: what the client is to do, and what is to come of it. */
struct sf_scenario {
    const char *name;
    const char *text;     /* what the server does; then what the client must do */
    uint32_t calls;       /* calls that must succeed */
    uint32_t count;       /* IDs of each */
    const char *error;    /* what the next call must fail with, alternatives between '|'; NULL: it is not made */
    uint32_t timeout_ms;  /* the deadline to give a call */
    bool beside_good;     /* the client is given the stage of "good", too */
    bool after;           /* the calls carry AFTER: 5 s ahead of now */
    uint32_t max_batch;   /* 0: 65,536 */
    const char *fleet_id; /* NULL: the one of all others */
    /* Answers a NEXT. false: the connection is to be closed. */
    bool (*next)(struct sf_visit *visit, const struct sf_wire_header *header,
                 const struct sf_wire_next *next);
    const char *info; /* INFO is answered with this; NULL: as a worker does */
};

/* A scenario on its port. */
struct sf_stage {
    const struct sf_scenario *scenario;
    int fd;
    uint16_t port;
    pthread_mutex_t mutex; /* of what follows */
    uint64_t word;         /* timestamp << 12 | sequence of the next ID */
    uint32_t connections, asked;
    int64_t begun_ms; /* of the first connection, 0: none yet */
    int64_t wait_ms;  /* no request for IDs before this, 0: any time */
    char wrong[160];  /* what the client did that it must not; empty: nothing */
};

extern const struct sf_scenario sf_scenarios[];
extern const size_t sf_scenario_count;

/* Listens and serves until the process ends; port 0: any that is free. 0 or a negative errno code. */
int sf_stage_start(struct sf_stage *stage, const struct sf_scenario *scenario, const char *host,
                   uint16_t port);

/* For scenarios: */
void sf_visit_send(struct sf_visit *visit, const void *bytes, size_t size);
/* An answer to the request with these runs; their number at most SF_STAGE_RUNS_MAX. */
void sf_visit_runs(struct sf_visit *visit, const struct sf_wire_header *header,
                   const struct sf_wire_run *runs, size_t count);
void sf_visit_refuse(struct sf_visit *visit, const struct sf_wire_header *header,
                     enum sf_wire_status status, uint32_t retry_after_ms);
/* As a worker answers. */
void sf_visit_mint(struct sf_visit *visit, const struct sf_wire_header *header,
                   const struct sf_wire_next *next);
/* The first mistake is kept. */
void sf_stage_wrong(struct sf_stage *stage, const char *text);
int64_t sf_stage_now_ms(void);
void sf_stage_sleep_ms(uint32_t ms);

#endif
