/* client_loop SERVERS THREADS PAUSE_US: calls sf_client_next in THREADS loops until stdin closes.
 * IDs are checked for repetition by the caller: every ID goes to stdout as 8 bytes. At the end one
 * line of figures to stderr. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <snowfleet/client.h>

struct loop {
    pthread_t thread;
    struct sf_client *client;
    useconds_t pause_us;
    uint64_t calls, failed;
    double longest_ms;
};

static atomic_bool stop;

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
        if (sf_client_ask(loop->client, &request, &reply) == SF_CLIENT_OK) {
            if (write(STDOUT_FILENO, &reply.runs[0].first, 8) != 8)
                abort();
        } else {
            loop->failed++;
            fprintf(stderr, "failed: %s: %s\n", sf_client_error_name(reply.error), reply.detail);
        }
        sf_client_reply_free(&reply);
        loop->calls++;
        const double took = now_ms() - begin;
        if (took > loop->longest_ms)
            loop->longest_ms = took;
        if (loop->pause_us > 0)
            usleep(loop->pause_us);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    char detail[SF_CLIENT_DETAIL_MAX], byte;
    struct sf_client_options options = SF_CLIENT_OPTIONS;
    struct sf_client *client;
    struct loop loops[64] = {0}, sum = {0};
    if (argc != 4)
        return 64;
    const int threads = atoi(argv[2]);
    options.servers = argv[1];
    if (sf_client_create(&options, &client, detail, sizeof detail) != SF_CLIENT_OK) {
        fprintf(stderr, "%s\n", detail);
        return 1;
    }
    for (int i = 0; i < threads; i++) {
        loops[i].client = client;
        loops[i].pause_us = (useconds_t)atoi(argv[3]);
        if (pthread_create(&loops[i].thread, NULL, run, &loops[i]) != 0)
            abort();
    }
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    stop = true;
    for (int i = 0; i < threads; i++) {
        pthread_join(loops[i].thread, NULL);
        sum.calls += loops[i].calls;
        sum.failed += loops[i].failed;
        if (loops[i].longest_ms > sum.longest_ms)
            sum.longest_ms = loops[i].longest_ms;
    }
    struct sf_client_stats stats;
    sf_client_stats(client, &stats);
    fprintf(stderr,
            "{\"calls\":%llu,\"failed\":%llu,\"longest_ms\":%.1f,\"retries\":%llu,\"silences\":%"
            "llu,\"breaker_opens\":%llu,"
            "\"order_errors\":%llu,\"connects\":%llu,\"goaways\":%llu,\"late\":%llu}\n",
            (unsigned long long)sum.calls, (unsigned long long)sum.failed, sum.longest_ms,
            (unsigned long long)stats.retries, (unsigned long long)stats.silences,
            (unsigned long long)stats.breaker_opens, (unsigned long long)stats.order_errors,
            (unsigned long long)stats.connects, (unsigned long long)stats.goaways,
            (unsigned long long)stats.late_answers);
    sf_client_destroy(client);
    return 0;
}
