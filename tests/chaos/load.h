/* chaos/load.h - what the kinds of collectors of chaos_load share. */
#ifndef SF_TESTS_CHAOS_LOAD_H
#define SF_TESTS_CHAOS_LOAD_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <snowfleet/client.h>

enum { SERVERS_MAX = 64, STATUSES = 13, DEPTH = 4, ATTEMPT_MS = 100, RAW_TIMEOUT_MS = 2000 };
enum { OTHER = 12, FRAME_MAX = 65540, BROKEN_TOLD = 20 };

struct load {
    const char *servers, *directory;
    struct sockaddr_in addresses[SERVERS_MAX];
    int server_count, client_count, raw_per_server;
    uint32_t batch;
    double rate;
    uint64_t seed;
    FILE *events;
    pthread_mutex_t events_lock;
    atomic_bool stop;
    atomic_uint_fast64_t ids, calls, failed;
    char broken[BROKEN_TOLD][400]; /* the first answers that break the protocol; with events_lock */
    int broken_count;
};

struct collector {
    struct load *load;
    int number;
    pthread_t thread;
    FILE *file;
    uint64_t random;
    const struct sockaddr_in *address; /* raw */
    uint32_t connection;               /* raw: number of the present one */
    uint64_t ids, order_errors, bad;   /* bad: what no answer may look like */
    uint64_t statuses[STATUSES];       /* raw */
    uint64_t connects, lost, silent;   /* raw */
    uint64_t errors[SF_CLIENT_ERRORS]; /* clients */
    double outage_ms, longest_after_ms, longest_total_ms, total_began_ms;
    uint64_t silences, hedges, outages, told; /* told: of the client's broken answers */
};

double load_now_ms(void);
void load_sleep_ms(double ms);
uint64_t load_random(uint64_t *state);
/* Is one of these events there within so many ms? */
bool load_wait_for(int fd, short events, int ms);

/* Writes down a run that was received. */
void load_keep(struct collector *c, uint64_t first, uint32_t count, uint32_t connection);

/* What was wrong with an answer: which rule, which bytes, in which state. The first of them stand in
 * the result. */
__attribute__((format(printf, 2, 3))) void load_tell_broken(struct load *load, const char *format,
                                                            ...);

/* raw.c: the thread of a raw connection; ctx is its collector. */
void *load_run_raw(void *ctx);

#endif
