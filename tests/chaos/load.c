/* load --servers H:P,... --out DIR [--clients N] [--raw N] [--rate IDS] [--batch N] [--seed S]
 *
 * Collectors for the chaos runs: they ask the whole fleet for IDs and write down every one that
 * they received, until stdin is closed. Two kinds:
 *
 * clients (N in all)       applications with the client library, one call after the other, of 1 to
 *                          1000 IDs. Their runs promise no order (calls go to any worker); inside a
 *                          reply IDs must ascend, which is checked here.
 * raw (N for each server)  one connection each, pipelined, batches of 1 to `batch`, together `rate`
 *                          IDs/s: they make the mass, and check the order on each connection.
 *
 * Files in DIR: client-K.runs, raw-K.runs (record.h), events.jsonl: one line for each second, one
 * for each call that met a fault. At the end one JSON object with all figures on stdout.
 *
 * Without service: a client's outage begins when it notices (its first attempt was refused, lost,
 * or silent for attempt_timeout) and ends with its next success. after_ms counts from there,
 * total_ms from the beginning of the call. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <snowfleet/client.h>

#include "load.h"
#include "record.h"

static const char *const status_names[STATUSES] = {
    "OK",           "BAD_REQUEST", "UNSUPPORTED", "TOO_LARGE", "NOT_READY", "CLOCK", "OVERLOADED",
    "RATE_LIMITED", "DRAINING",    "DENIED",      "CAUSALITY", "INTERNAL",  "OTHER"};

double load_now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static double unix_s(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

void load_sleep_ms(double ms)
{
    if (ms > 0)
        usleep((useconds_t)(ms * 1e3));
}

uint64_t load_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

void load_keep(struct collector *c, uint64_t first, uint32_t count, uint32_t connection)
{
    const struct run run = {.first = first, .count = count, .connection = connection};
    if (fwrite(&run, sizeof run, 1, c->file) != 1) {
        perror("load: cannot write down an ID");
        abort();
    }
    if (c->ids == 0)
        fflush(c->file); /* whoever waits for the first one sees it */
    c->ids += count;
    atomic_fetch_add_explicit(&c->load->ids, count, memory_order_relaxed);
}

bool load_wait_for(int fd, short events, int ms)
{
    struct pollfd pollfd = {.fd = fd, .events = events};
    return poll(&pollfd, 1, ms) == 1 && (pollfd.revents & events) != 0;
}

void load_tell_broken(struct load *load, const char *format, ...)
{
    pthread_mutex_lock(&load->events_lock);
    if (load->broken_count < BROKEN_TOLD) {
        char *to = load->broken[load->broken_count++];
        const int at = snprintf(to, sizeof load->broken[0], "%.3f ", unix_s());
        va_list args;
        va_start(args, format);
        vsnprintf(to + at, sizeof load->broken[0] - (size_t)at, format, args);
        va_end(args);
    }
    pthread_mutex_unlock(&load->events_lock);
}

/* --- clients --- */

static void outage_ends(struct collector *c, double end_ms)
{
    const double after = end_ms - c->outage_ms, total = end_ms - c->total_began_ms;
    if (after > c->longest_after_ms)
        c->longest_after_ms = after;
    if (total > c->longest_total_ms)
        c->longest_total_ms = total;
    c->outages++;
    c->outage_ms = 0;
    pthread_mutex_lock(&c->load->events_lock);
    fprintf(c->load->events,
            "{\"t\": %.3f, \"client\": %d, \"after_ms\": %.1f, \"total_ms\": %.1f}\n", unix_s(),
            c->number, after, total);
    pthread_mutex_unlock(&c->load->events_lock);
}

/* What a call of the client says about its service. */
static void note_call(struct collector *c, struct sf_client *client, double begin_ms,
                      const struct sf_client_reply *reply)
{
    struct sf_client_stats stats;
    const double end_ms = load_now_ms();
    sf_client_stats(client, &stats);
    const uint64_t broken = stats.protocol_errors + stats.order_errors + stats.wrong_fleet;
    if (broken > c->told)
        load_tell_broken(c->load, "client %d: %s", c->number, stats.last_protocol_error);
    c->told = broken;
    const uint64_t silences = stats.silences - c->silences, hedges = stats.hedges - c->hedges;
    c->silences = stats.silences;
    c->hedges = stats.hedges;
    const bool noticed = reply->attempts > 1 || reply->error != SF_CLIENT_OK;
    if (noticed && c->outage_ms <= 0) {
        const bool all_silent = silences > 0 && reply->attempts <= silences + hedges + 1;
        c->outage_ms = begin_ms + (all_silent ? ATTEMPT_MS : 0);
        c->total_began_ms = begin_ms;
    } else if (end_ms - begin_ms > c->longest_total_ms) {
        c->longest_total_ms = end_ms - begin_ms;
    }
    if (reply->error == SF_CLIENT_OK && c->outage_ms > 0)
        outage_ends(c, end_ms);
}

static void keep_reply(struct collector *c, const struct sf_client_reply *reply)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < reply->run_count; i++) {
        const struct sf_client_run *run = &reply->runs[i];
        if (run->first <= last)
            c->order_errors++;
        last = run->first + run->count - 1;
        load_keep(c, run->first, run->count, 0);
    }
}

static void *run_client(void *ctx)
{
    static const uint32_t counts[] = {1, 1, 1, 1, 2, 10, 100, 1000};
    struct collector *c = ctx;
    struct sf_client_options options = SF_CLIENT_OPTIONS;
    struct sf_client *client;
    char detail[SF_CLIENT_DETAIL_MAX];
    options.servers = c->load->servers;
    options.pool = 1;
    options.attempt_timeout_ms = ATTEMPT_MS;
    if (sf_client_create(&options, &client, detail, sizeof detail) != SF_CLIENT_OK) {
        fprintf(stderr, "load: %s\n", detail);
        abort();
    }
    while (!c->load->stop) {
        const struct sf_client_request request = {.count = counts[load_random(&c->random) % 8]};
        struct sf_client_reply reply;
        const double begin_ms = load_now_ms();
        c->errors[sf_client_ask(client, &request, &reply)]++;
        note_call(c, client, begin_ms, &reply);
        keep_reply(c, &reply);
        atomic_fetch_add(&c->load->calls, 1);
        if (reply.error != SF_CLIENT_OK)
            atomic_fetch_add(&c->load->failed, 1);
        sf_client_reply_free(&reply);
        load_sleep_ms((double)(load_random(&c->random) % 8));
    }
    struct sf_client_stats stats;
    sf_client_stats(client, &stats);
    c->order_errors += stats.order_errors;
    c->bad += stats.protocol_errors + stats.wrong_fleet;
    sf_client_destroy(client);
    return NULL;
}

/* --- the whole --- */

static void parse_servers(struct load *load)
{
    char *copy = strdup(load->servers), *rest = copy;
    for (char *one; (one = strsep(&rest, ",")) != NULL;) {
        char *colon = strchr(one, ':');
        struct sockaddr_in *address = &load->addresses[load->server_count];
        if (colon == NULL || load->server_count == SERVERS_MAX)
            exit(64);
        *colon = 0;
        address->sin_family = AF_INET;
        address->sin_port = htons((uint16_t)atoi(colon + 1));
        if (inet_pton(AF_INET, one, &address->sin_addr) != 1)
            exit(64);
        load->server_count++;
    }
    free(copy);
}

static void start(struct collector *c, struct load *load, int number, const char *kind,
                  void *(*run)(void *))
{
    char path[4096];
    c->load = load;
    c->number = number;
    c->random = load->seed ^ (uint64_t)(number + 1) << 40 ^ (uint64_t)kind[0] << 56;
    snprintf(path, sizeof path, "%s/%s-%d.runs", load->directory, kind, number);
    c->file = fopen(path, "wb");
    if (c->file == NULL || pthread_create(&c->thread, NULL, run, c) != 0) {
        perror(path);
        exit(1);
    }
}

/* A line each second, until stdin ends. */
static void watch(struct load *load)
{
    uint64_t ids = 0, calls = 0, failed = 0;
    char byte;
    for (;;) {
        if (load_wait_for(STDIN_FILENO, POLLIN | POLLHUP, 1000) &&
            read(STDIN_FILENO, &byte, 1) <= 0)
            return;
        const uint64_t i = load->ids, n = load->calls, f = load->failed;
        pthread_mutex_lock(&load->events_lock);
        fprintf(load->events,
                "{\"t\": %.3f, \"ids\": %" PRIu64 ", \"calls\": %" PRIu64 ", \"failed\": %" PRIu64
                "}\n",
                unix_s(), i - ids, n - calls, f - failed);
        fflush(load->events);
        pthread_mutex_unlock(&load->events_lock);
        ids = i;
        calls = n;
        failed = f;
    }
}

static void print_counts(const char *name, const char *const *names, const uint64_t *counts, int n)
{
    bool comma = false;
    printf(", \"%s\": {", name);
    for (int i = 0; i < n; i++) {
        if (counts[i] == 0)
            continue;
        printf("%s\"%s\": %" PRIu64, comma ? ", " : "", names[i], counts[i]);
        comma = true;
    }
    printf("}");
}

static void print_text(const char *text, bool comma)
{
    printf(comma ? ", \"" : "\"");
    for (; *text != 0; text++)
        putchar(*text == '"' || *text == '\\' || (unsigned char)*text < ' ' ? '\'' : *text);
    putchar('"');
}

static void print(const struct load *load, const struct collector *clients,
                  const struct collector *raws)
{
    const char *error_names[SF_CLIENT_ERRORS];
    uint64_t errors[SF_CLIENT_ERRORS] = {0}, statuses[STATUSES] = {0};
    uint64_t order_errors = 0, bad = 0, connects = 0, lost = 0, silent = 0;
    for (int e = 0; e < SF_CLIENT_ERRORS; e++)
        error_names[e] = sf_client_error_name((enum sf_client_error)e);
    printf("{\"ids\": %" PRIu64 ", \"clients\": [", (uint64_t)load->ids);
    for (int i = 0; i < load->client_count; i++) {
        const struct collector *c = &clients[i];
        printf("%s{\"ids\": %" PRIu64 ", \"outages\": %" PRIu64
               ", \"longest_after_ms\": %.1f, \"longest_total_ms\": %.1f}",
               i > 0 ? ", " : "", c->ids, c->outages, c->longest_after_ms, c->longest_total_ms);
        for (int e = 0; e < SF_CLIENT_ERRORS; e++)
            errors[e] += c->errors[e];
        order_errors += c->order_errors;
        bad += c->bad;
    }
    printf("]");
    for (int i = 0; i < load->raw_per_server * load->server_count; i++) {
        const struct collector *c = &raws[i];
        for (int s = 0; s < STATUSES; s++)
            statuses[s] += c->statuses[s];
        bad += c->bad;
        connects += c->connects;
        lost += c->lost;
        silent += c->silent;
    }
    print_counts("client_errors", error_names, errors, SF_CLIENT_ERRORS);
    print_counts("raw_statuses", status_names, statuses, STATUSES);
    printf(", \"raw_connects\": %" PRIu64 ", \"raw_lost\": %" PRIu64 ", \"raw_silent\": %" PRIu64
           ", \"order_errors\": %" PRIu64 ", \"protocol_errors\": %" PRIu64
           ", \"broken_answers\": [",
           connects, lost, silent, order_errors, bad);
    for (int i = 0; i < load->broken_count; i++)
        print_text(load->broken[i], i > 0);
    printf("]}\n");
}

static void parse(struct load *load, int argc, char **argv)
{
    static const struct option options[] = {
        {"servers", required_argument, NULL, 's'}, {"out", required_argument, NULL, 'o'},
        {"clients", required_argument, NULL, 'c'}, {"raw", required_argument, NULL, 'r'},
        {"rate", required_argument, NULL, 'i'},    {"batch", required_argument, NULL, 'b'},
        {"seed", required_argument, NULL, 'S'},    {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            load->servers = optarg;
            break;
        case 'o':
            load->directory = optarg;
            break;
        case 'c':
            load->client_count = atoi(optarg);
            break;
        case 'r':
            load->raw_per_server = atoi(optarg);
            break;
        case 'i':
            load->rate = atof(optarg);
            break;
        case 'b':
            load->batch = (uint32_t)atoi(optarg);
            break;
        case 'S':
            load->seed = strtoull(optarg, NULL, 10);
            break;
        default:
            exit(64);
        }
    }
    if (load->servers == NULL || load->directory == NULL || load->batch < 1)
        exit(64);
    parse_servers(load);
}

int main(int argc, char **argv)
{
    static struct load load = {.client_count = 8,
                               .raw_per_server = 2,
                               .rate = 1e6,
                               .batch = 4096,
                               .events_lock = PTHREAD_MUTEX_INITIALIZER};
    char path[4096];
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* the runner ends us */
    parse(&load, argc, argv);
    snprintf(path, sizeof path, "%s/events.jsonl", load.directory);
    load.events = fopen(path, "w");
    const int raw_count = load.raw_per_server * load.server_count;
    struct collector *clients = calloc((size_t)load.client_count + 1, sizeof clients[0]);
    struct collector *raws = calloc((size_t)raw_count + 1, sizeof raws[0]);
    if (load.events == NULL || clients == NULL || raws == NULL)
        return 1;
    for (int i = 0; i < load.client_count; i++)
        start(&clients[i], &load, i, "client", run_client);
    for (int i = 0; i < raw_count; i++) {
        raws[i].address = &load.addresses[i % load.server_count];
        start(&raws[i], &load, i, "raw", load_run_raw);
    }
    watch(&load);
    load.stop = true;
    int wrong = 0;
    for (int i = 0; i < load.client_count; i++) {
        pthread_join(clients[i].thread, NULL);
        wrong |= fclose(clients[i].file);
    }
    for (int i = 0; i < raw_count; i++) {
        pthread_join(raws[i].thread, NULL);
        wrong |= fclose(raws[i].file);
    }
    wrong |= fclose(load.events);
    print(&load, clients, raws);
    return wrong != 0;
}
