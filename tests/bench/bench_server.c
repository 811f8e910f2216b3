/* The data plane alone: shards and generators without worker, coordinator and clock policy, to
 * profile and to measure.
 *
 *   bench_server [--port P] [--threads N] [--slots N] [--layout T,D,W,S] [--max-waiting N]
 * [--max-wait-ms N]
 *
 * Prints "port P" and runs until SIGTERM or SIGINT; then prints its metrics to stderr. Not for use:
 * IDs of two runs may be the same. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/ticks.h"
#include "server/server.h"

#define EPOCH_MS INT64_C(1704067200000)

/* As in a worker: the monotonic clock plus an offset. */
static uint64_t now_ms(void *ctx, int64_t mono_ns)
{
    return (uint64_t)((mono_ns + *(const int64_t *)ctx) / SF_NS_PER_MS);
}

static void refusal(void *ctx, bool exhausted, struct sf_server_refusal *ret)
{
    (void)ctx;
    (void)exhausted;
    *ret = (struct sf_server_refusal){
        .status = SF_WIRE_NOT_READY, .retry_after_ms = 1000, .reason = "closed"};
}

static size_t info(void *ctx, char *to, size_t size)
{
    (void)ctx;
    return (size_t)snprintf(to, size, "{\"protocol\":1}");
}

static size_t no_decode(void *ctx, uint64_t id, char *to, size_t size)
{
    (void)ctx, (void)id, (void)to, (void)size;
    return 0;
}

static bool no_time(void *ctx, struct sf_wire_time *ret)
{
    (void)ctx;
    (void)ret;
    return false;
}

static int usage(void)
{
    fprintf(stderr, "usage: bench_server [--port P] [--threads N] [--slots N] [--layout T,D,W,S] "
                    "[--max-waiting N] "
                    "[--max-wait-ms N]\n");
    return 64;
}

static bool parse(int argc, char **argv, struct sf_server_options *options, uint64_t *slots,
                  struct sf_layout *layout)
{
    for (int i = 1; i < argc; i += 2) {
        uint64_t value = 0;
        const char *name = argv[i];
        if (i + 1 >= argc)
            return false;
        if (strcmp(name, "--layout") == 0) {
            if (sf_layout_parse(argv[i + 1], layout) != 0)
                return false;
            continue;
        }
        if (sf_parse_u64(argv[i + 1], 0, UINT32_MAX, &value) != 0)
            return false;
        if (strcmp(name, "--port") == 0 && value <= 65535)
            options->address.port = (uint16_t)value;
        else if (strcmp(name, "--threads") == 0)
            options->threads = (uint32_t)value;
        else if (strcmp(name, "--slots") == 0 && value >= 1 && value <= 32)
            *slots = value;
        else if (strcmp(name, "--max-waiting") == 0)
            options->limits.max_waiting = (uint32_t)value;
        else if (strcmp(name, "--max-wait-ms") == 0)
            options->limits.max_wait_ms = (uint32_t)value;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct sf_generator generators[32];
    static int64_t offset_ns; /* from the monotonic clock to the time since the epoch */
    static struct {
        _Alignas(64) _Atomic uint64_t word;
    } words[32];
    struct sf_layout layout = SF_DEFAULT_LAYOUT;
    uint64_t slots = 1;
    struct sf_server_options options = {
        .address = {.host = "127.0.0.1"},
        .threads = 1,
        .limits = {.max_connections = 20000,
                   .max_batch = 65536,
                   .max_waiting = 65536,
                   .max_wait_ms = 1000,
                   .sequence_jitter = 16,
                   .idle_timeout_ms = 300000,
                   .frame_timeout_ms = 10000,
                   .write_timeout_ms = 10000},
        .host = {&offset_ns, now_ms, refusal, info, no_time, no_decode},
    };
    if (!parse(argc, argv, &options, &slots, &layout))
        return usage();
    const int64_t mono_ns = sf_mono_ns();
    offset_ns = sf_real_ns() - EPOCH_MS * SF_NS_PER_MS - mono_ns;
    for (unsigned i = 0; i < slots; i++) {
        sf_generator_init(&generators[i], &layout, 10, &words[i].word);
        SF_ASSERT(sf_generator_open(&generators[i], 0, i, now_ms(&offset_ns, mono_ns),
                                    UINT64_MAX >> 22) == 0);
        options.generators[options.generator_count++] = &generators[i];
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    options.metrics = sf_metrics_create();
    options.log = sf_log_create(2, SF_LOG_INFO, SF_LOG_TEXT);
    struct sf_server *server = NULL;
    struct sf_error err = {0};
    if (sf_server_create(&options, &server, &err) != 0 || sf_server_start(server, &err) != 0) {
        fprintf(stderr, "bench_server: %s\n", err.text);
        return 1;
    }
    printf("port %u\n", sf_server_port(server));
    fflush(stdout);
    int signal;
    sigwait(&signals, &signal);
    struct sf_strbuf page;
    sf_strbuf_init(&page, 1 << 20);
    sf_metrics_scrape(options.metrics, false, &page);
    sf_server_destroy(server);
    fputs(page.text, stderr);
    sf_strbuf_free(&page);
    sf_metrics_destroy(options.metrics);
    sf_log_destroy(options.log);
    return 0;
}
