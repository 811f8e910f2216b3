/* client/policy.h - whom to ask, when to ask again, and whom to leave alone. Pure: time and random
 * numbers are arguments, nothing is sent or waited for here, so that a simulation can run it. Times
 * are CLOCK_MONOTONIC nanoseconds or any other that only grows. One thread at a time (the client
 * holds its mutex around it). */
#ifndef SF_CLIENT_POLICY_H
#define SF_CLIENT_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define SF_CLIENT_POLICY_SERVERS_MAX 256

/* The circuit breaker of one server.
 *
 *               refusal, silence, enough losses
 *     CLOSED ---------------------------------------> OPEN <---+
 *       ^ ^                                            |  |    |
 *       | +------------------ late answer -------------+  |    | probe failed: the wait doubles
 *       |                                       probe due |    |
 *       +---------- answer ------------ PROBING <---------+    |
 *                                          +-------------------+
 *
 * While some server is CLOSED, probes run beside the calls and cost them nothing. While none is,
 * calls are the probes. */
enum sf_breaker { SF_BREAKER_CLOSED, SF_BREAKER_OPEN, SF_BREAKER_PROBING };

/* What an attempt, a probe or a connection came to. */
enum sf_outcome {
    SF_OUTCOME_OK,         /* it answers and mints, or refused for a reason that is the caller's */
    SF_OUTCOME_UNUSABLE,   /* NOT_READY, CLOCK, DRAINING: it says itself that others may do */
    SF_OUTCOME_OVERLOADED, /* full: leave it alone for retry_after */
    SF_OUTCOME_FAULT,      /* INTERNAL */
    SF_OUTCOME_UNREACHED,  /* connecting failed */
    SF_OUTCOME_LOST,       /* the connection broke */
    SF_OUTCOME_SILENT,     /* no answer in time */
    SF_OUTCOME_BROKEN,     /* answered nonsense, IDs out of order, another fleet */
    SF_OUTCOMES
};

struct sf_client_policy_options {
    uint32_t breaker_failures;
    int64_t open_min_ns, open_max_ns, idle_probe_ns;
    int64_t backoff_min_ns, backoff_max_ns;
    uint32_t budget_percent, budget_max;
    uint32_t hedge_percentile; /* 0: no estimate is kept */
    int64_t hedge_ns;          /* never earlier than this; 0 with hedge_percentile 0: never */
    uint32_t subset;           /* so many are enough, by rank; 0: all are used */
};

struct sf_client_policy_server {
    bool in_use;
    uint32_t generation; /* grows when the place is given to another server */
    uint64_t rank;       /* of a subset those with the highest are used */
    enum sf_breaker state;
    uint32_t failures;   /* in a row */
    uint32_t load;       /* requests in flight */
    int64_t open_ns;     /* the present wait */
    int64_t opened_ns;   /* when it opened, or the last probe failed */
    int64_t probe_at_ns; /* when the next probe is due */
    int64_t probing_since_ns;
    int64_t busy_until_ns; /* OVERLOADED: not before this */
};

struct sf_client_policy {
    struct sf_client_policy_options options;
    struct sf_client_policy_server servers[SF_CLIENT_POLICY_SERVERS_MAX];
    uint32_t places; /* servers[0 .. places-1] have ever been used */
    int64_t budget_milli;
    int64_t
        latency_ns; /* about hedge_percentile of the answers come within this; 0: none came yet */
    uint64_t opens; /* counts transitions to OPEN from CLOSED */
    uint64_t removals; /* counts servers removed */
};

/* The servers that a call has asked already in this round. */
struct sf_client_policy_tried {
    uint64_t bits[SF_CLIENT_POLICY_SERVERS_MAX / 64];
};

void sf_client_policy_init(struct sf_client_policy *policy,
                           const struct sf_client_policy_options *options);

/* A place for a server: 0 to SF_CLIENT_POLICY_SERVERS_MAX - 1, or -1 when all are taken. */
int sf_client_policy_add(struct sf_client_policy *policy);
/* Its rank for this client, which decides whether it is in the subset. 0 until it is told. */
void sf_client_policy_rank(struct sf_client_policy *policy, int server, uint64_t rank);
/* A client's rank of a server: of its seed and the server's address. Of many clients each server has
 * the highest ranks equally often. */
uint64_t sf_client_policy_rank_of(uint64_t seed, const char *address);
/* The server of the lowest rank that is in use; -1: none is. */
int sf_client_policy_last(const struct sf_client_policy *policy);
void sf_client_policy_remove(struct sf_client_policy *policy, int server);
/* A server just added that nobody has heard yet: it is probed before calls are sent to it. */
void sf_client_policy_doubt(struct sf_client_policy *policy, int server, int64_t now_ns);

/* A call begins: its share of a retry token is added. */
void sf_client_policy_call(struct sf_client_policy *policy);

/* Picks a server that has not been tried: of two random usable ones of the subset the less loaded. When
 * no server at all is usable, one that is due for a probe, which then is PROBING. -1: nobody can be asked
 * now. */
int sf_client_policy_choose(struct sf_client_policy *policy, int64_t now_ns,
                            const struct sf_client_policy_tried *tried, uint64_t random);

/* A server to be probed beside the calls (it is PROBING from now on), or -1. Only while some server
 * is CLOSED, and of a subset only one that would be in it. */
int sf_client_policy_probe(struct sf_client_policy *policy, int64_t now_ns);

/* When asking again makes sense if choose found nobody: later than now_ns, at most one idle probe
 * interval away. */
int64_t sf_client_policy_wake_ns(const struct sf_client_policy *policy, int64_t now_ns);

/* A request is in flight; it has ended. */
void sf_client_policy_begin(struct sf_client_policy *policy, int server);
void sf_client_policy_end(struct sf_client_policy *policy, int server);

/* What came of it. retry_after_ns: for OVERLOADED. */
void sf_client_policy_report(struct sf_client_policy *policy, int server, enum sf_outcome outcome,
                             int64_t retry_after_ns, int64_t now_ns, uint64_t random);

/* How long a call waits before it tries again after its `round`-th fruitless round (0, 1, ...). 0:
 * another server can be asked at once and the budget allows it (a token is taken). */
int64_t sf_client_policy_retry_wait_ns(struct sf_client_policy *policy, int64_t now_ns,
                                       const struct sf_client_policy_tried *tried, uint32_t round,
                                       uint64_t random, bool *ret_no_budget);

/* An answer came after this time. */
void sf_client_policy_answered(struct sf_client_policy *policy, int64_t latency_ns);
/* How long to wait for an answer before another server is asked beside; INT64_MAX: for ever. */
int64_t sf_client_policy_hedge_ns(const struct sf_client_policy *policy);
/* May a request be sent beside one that is not answered yet? Takes a token. */
bool sf_client_policy_may_hedge(struct sf_client_policy *policy);

uint32_t sf_client_policy_usable(const struct sf_client_policy *policy, int64_t now_ns);

static inline void sf_client_policy_tried_add(struct sf_client_policy_tried *tried, int server)
{
    tried->bits[server / 64] |= UINT64_C(1) << (server % 64);
}

static inline bool sf_client_policy_tried_has(const struct sf_client_policy_tried *tried,
                                              int server)
{
    return (tried->bits[server / 64] >> (server % 64)) & 1;
}

#endif
