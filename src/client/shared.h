/* client/shared.h - what all engines of one client share: servers, policy, statistics, the layout.
 * The mutex guards everything but the counters (atomic) and what is fixed at creation. A child after
 * fork begins with all of it anew, but for the options, the fleet and causal_id. */
#ifndef SF_CLIENT_SHARED_H
#define SF_CLIENT_SHARED_H

#include <netdb.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <snowfleet/client.h>

#include "base/parse.h"
#include "base/random.h"
#include "base/ticks.h"
#include "client/fork.h"
#include "client/policy.h"

enum sf_client_counter {
    SF_COUNT_IDS,
    SF_COUNT_ATTEMPTS,
    SF_COUNT_RETRIES,
    SF_COUNT_HEDGES,
    SF_COUNT_SILENCES,
    SF_COUNT_LATE_ANSWERS,
    SF_COUNT_BUDGET_WAITS,
    SF_COUNT_CONNECTS,
    SF_COUNT_CONNECT_FAILURES,
    SF_COUNT_DISCONNECTS,
    SF_COUNT_GOAWAYS,
    SF_COUNT_PROBES,
    SF_COUNT_ORDER_ERRORS,
    SF_COUNT_PROTOCOL_ERRORS,
    SF_COUNT_WRONG_FLEET,
    SF_COUNT_PREFETCH_HITS,
    SF_COUNT_PREFETCH_FILLS,
    SF_COUNT_PREFETCH_EXPIRED,
    SF_COUNT_RESOLVES,
    SF_COUNT_RESOLVE_FAILURES,
    SF_COUNT_DISCOVERIES,
    SF_COUNT_PASSED_OVER,
    SF_COUNTERS
};

/* One address. The place (index) is that of the policy's server. */
struct sf_server {
    struct sockaddr_storage address;
    socklen_t address_size;
    char text[64];          /* "127.0.0.1:7450" */
    char host[SF_HOST_MAX]; /* as configured: for the certificate's name */
    int name;               /* index of the configured name it came from */
    uint64_t last_id;       /* largest ID received from it; 0: none */
    uint32_t max_batch;     /* as INFO told; 0: unknown */
};

/* Where servers come from: an entry of options.servers, or an address that a worker told. */
struct sf_name {
    bool in_use;
    bool discovered;
    struct sf_host_port at;
    bool numeric;      /* an address: never resolved again */
    bool resolved;     /* at least once */
    int64_t listed_ns; /* discovered: when a worker told it last */
};
#define SF_NAMES_MAX (SF_CLIENT_NAMES_MAX + SF_CLIENT_DISCOVER_MAX)

struct sf_shared {
    struct sf_client_options options; /* defaults filled in; strings owned */
    SSL_CTX *tls;                     /* NULL: plain */
    struct sf_fork fork;
    _Atomic uint64_t counters[SF_COUNTERS];
    _Atomic uint64_t calls_by_error[SF_CLIENT_ERRORS];

    pthread_mutex_t mutex;
    struct sf_client_policy policy;
    uint64_t rank_seed; /* whose order of servers this is */
    struct sf_server servers[SF_CLIENT_SERVERS_MAX];
    struct sf_name names[SF_NAMES_MAX]; /* those of options.servers come first */
    uint32_t name_count, seed_count;
    int64_t look_at_ns, looked_ns; /* when to ask who is there; when that was asked last */
    struct sf_prng prng;
    /* Of the first worker that told. has_layout is stored last, so that a child whose parent forked
     * in the middle finds all of it or none. */
    _Atomic bool has_layout;
    struct sf_layout layout;
    int64_t epoch_ms;
    char fleet_id[SF_UUID_SIZE];
    uint64_t causal_id; /* the largest ID that was handed out; 0: none */
    char last_protocol_error[SF_CLIENT_DETAIL_MAX];
    bool resolve_now;   /* a connection was lost: look the names up again soon */
    pthread_cond_t resolve_wake;
};

static inline void sf_count(struct sf_shared *shared, enum sf_client_counter counter, uint64_t n)
{
    atomic_fetch_add_explicit(&shared->counters[counter], n, memory_order_relaxed);
}

/* True when both were minted for the same slot. */
bool sf_id_same_slot(const struct sf_layout *layout, uint64_t a, uint64_t b);

/* client/info.c: what of an INFO answer concerns a client. Returns 0 or -EBADMSG. */
struct sf_info {
    char fleet_id[SF_UUID_SIZE];
    struct sf_layout layout;
    int64_t epoch_ms;
    uint32_t max_batch;
    const char *workers, *end; /* what is left of the list of workers; NULL: none was told */
};
int sf_info_parse(const uint8_t *json, size_t size, struct sf_info *ret);
/* The next worker of the list, which lies in the JSON given to sf_info_parse; what is no address is
 * passed over. False at the end. */
bool sf_info_next_worker(struct sf_info *info, struct sf_host_port *ret);

/* client/resolve.c: names to servers. sf_resolve_parse reads options.servers and adds the numeric
 * addresses at once. The resolver is a thread that exists only when there is a name. */
enum sf_client_error sf_resolve_parse(struct sf_shared *shared, char *detail, size_t detail_size);
struct sf_resolver;
struct sf_resolver *sf_resolver_start(struct sf_shared *shared);
void sf_resolver_stop(struct sf_resolver *resolver);
bool sf_resolver_needed(const struct sf_shared *shared);

/* Under the mutex. The servers of names[name] are these addresses, and no others. */
void sf_resolve_take(struct sf_shared *shared, int name, const struct addrinfo *list,
                     int64_t now_ns);
/* Addresses as text are looked up with AI_NUMERICHOST in flags, without waiting. As getaddrinfo. */
int sf_resolve_look_up(const struct sf_host_port *at, int flags, struct addrinfo **ret);

/* client/discover.c: servers that workers tell of. Under the mutex. */

/* Takes the list of an INFO answer. */
void sf_discover_take(struct sf_shared *shared, struct sf_info *info, int64_t now_ns);
/* Is it time to ask who is there? Then the caller must. */
bool sf_discover_due(struct sf_shared *shared, int64_t now_ns);
/* Something has changed: ask soon. */
void sf_discover_soon(struct sf_shared *shared, int64_t now_ns);

#endif
