/* client_loop SERVERS THREADS PAUSE_US [discover] [watch]: asks for IDs in THREADS loops until
 * stdin closes. IDs are checked for repetition by the caller: every ID goes to stdout as 8 bytes.
 * For every line on stdin, and at the end, one line of figures to stderr. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <snowfleet/client.h>

struct loop {
    pthread_t thread;
    struct sf_client *client;
    useconds_t pause_us;
    _Atomic uint64_t calls, failed;
    _Atomic double longest_ms;
};

static atomic_bool stop;
static _Atomic double hiccup_ms; /* how late the machine woke a sleeper, at most */

static double now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static void *run(void *ctx)
{
    struct loop *loop = ctx;
    while (!stop) {
        struct sf_client_reply reply;
        const struct sf_client_request request = {.count = 1};
        const double begin = now_ms();
        const enum sf_client_error error = sf_client_ask(loop->client, &request, &reply);
        const double took = now_ms() - begin; /* before stdout, whose reader may be slow */
        if (took > loop->longest_ms)
            loop->longest_ms = took;
        if (error == SF_CLIENT_OK) {
            if (write(STDOUT_FILENO, &reply.runs[0].first, 8) != 8)
                abort();
        } else {
            loop->failed++;
            fprintf(stderr, "failed: %s: %s\n", sf_client_error_name(error), reply.detail);
        }
        sf_client_reply_free(&reply);
        loop->calls++;
        if (loop->pause_us > 0)
            usleep(loop->pause_us);
    }
    return NULL;
}

/* A sleeper beside the calls: what the machine does to it, it does to them as well. */
static void *watch_machine(void *ctx)
{
    (void)ctx;
    while (!stop) {
        const double begin = now_ms();
        usleep(1000);
        const double late = now_ms() - begin - 1;
        if (late > hiccup_ms)
            hiccup_ms = late;
    }
    return NULL;
}

static void print_figures(struct sf_client *client, const struct loop *loops, int threads)
{
    uint64_t calls = 0, failed = 0;
    double longest_ms = 0;
    for (int i = 0; i < threads; i++) {
        calls += loops[i].calls;
        failed += loops[i].failed;
        if (loops[i].longest_ms > longest_ms)
            longest_ms = loops[i].longest_ms;
    }
    struct sf_client_stats stats;
    sf_client_stats(client, &stats);
    fprintf(stderr,
            "{\"calls\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"longest_ms\":%.1f,\"hiccup_ms\":%.1f,"
            "\"retries\":%" PRIu64 ",\"silences\":%" PRIu64 ",\"hedges\":%" PRIu64
            ",\"breaker_opens\":%" PRIu64 ",\"order_errors\":%" PRIu64 ",\"connects\":%" PRIu64
            ",\"goaways\":%" PRIu64 ",\"late\":%" PRIu64
            ",\"servers\":%u,\"usable\":%u,\"discovered\":%u}\n",
            calls, failed, longest_ms, (double)hiccup_ms, stats.retries, stats.silences,
            stats.hedges, stats.breaker_opens, stats.order_errors, stats.connects, stats.goaways,
            stats.late_answers, stats.servers, stats.servers_usable, stats.servers_discovered);
}

int main(int argc, char **argv)
{
    char detail[SF_CLIENT_DETAIL_MAX], byte;
    struct sf_client_options options = SF_CLIENT_OPTIONS;
    struct sf_client *client;
    static struct loop loops[64];
    pthread_t watcher;
    bool watch = false;
    if (argc < 4)
        return 64;
    const int threads = atoi(argv[2]);
    options.servers = argv[1];
    options.discover_ms = 1000;
    for (int i = 4; i < argc; i++) {
        options.discover = options.discover || strcmp(argv[i], "discover") == 0;
        watch = watch || strcmp(argv[i], "watch") == 0;
    }
    if (sf_client_create(&options, &client, detail, sizeof detail) != SF_CLIENT_OK) {
        fprintf(stderr, "%s\n", detail);
        return 1;
    }
    if (watch && pthread_create(&watcher, NULL, watch_machine, NULL) != 0)
        abort();
    for (int i = 0; i < threads; i++) {
        loops[i].client = client;
        loops[i].pause_us = (useconds_t)atoi(argv[3]);
        if (pthread_create(&loops[i].thread, NULL, run, &loops[i]) != 0)
            abort();
    }
    while (read(STDIN_FILENO, &byte, 1) > 0)
        if (byte == '\n')
            print_figures(client, loops, threads);
    stop = true;
    for (int i = 0; i < threads; i++)
        pthread_join(loops[i].thread, NULL);
    if (watch)
        pthread_join(watcher, NULL);
    print_figures(client, loops, threads);
    sf_client_destroy(client);
    return 0;
}
