/* The prober: a thread for each worker asks as any client would, through the client library; every
 * ID goes into one set. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/ticks.h"
#include "cli/histogram.h"
#include "cli/probe.h"
#include "cli/seen.h"
#include "cli/servers.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

struct verify {
    struct sf_cli_servers servers;
    uint64_t seconds, interval_ms, batch, window, skew_ms;
    const char *metrics;
    bool as_json;
    struct sf_probe_shared shared;
    struct sf_probe *probes;
    size_t count;
};

static void print_text(struct verify *verify)
{
    (void)printf("%-24s %10s %10s %10s %9s %9s %9s %9s\n", "SERVER", "IDS", "REQUESTS", "FAILED",
                 "ORDER", "TIME", "P50 US", "P99 US");
    for (size_t i = 0; i < verify->count; i++) {
        const struct sf_probe *probe = &verify->probes[i];
        (void)printf("%-24s %10llu %10llu %10llu %9llu %9llu %9.0f %9.0f\n", probe->server,
                     (unsigned long long)probe->ids, (unsigned long long)probe->requests,
                     (unsigned long long)probe->failures, (unsigned long long)probe->order_errors,
                     (unsigned long long)probe->time_errors,
                     (double)sf_histogram_at(&probe->latency, 0.5) / 1000,
                     (double)sf_histogram_at(&probe->latency, 0.99) / 1000);
    }
    (void)printf("%llu duplicates among the last %llu IDs at any time\n",
                 (unsigned long long)verify->shared.duplicates, (unsigned long long)verify->window);
}

static void print_json(struct verify *verify)
{
    json_t *servers = json_array();
    for (size_t i = 0; i < verify->count; i++) {
        const struct sf_probe *probe = &verify->probes[i];
        json_array_append_new(
            servers, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:f, s:f, s:f}}", "server",
                               probe->server, "ids", (json_int_t)probe->ids, "requests",
                               (json_int_t)probe->requests, "failures", (json_int_t)probe->failures,
                               "duplicates", (json_int_t)probe->duplicates, "order_errors",
                               (json_int_t)probe->order_errors, "time_errors",
                               (json_int_t)probe->time_errors, "latency_us", "p50",
                               (double)sf_histogram_at(&probe->latency, 0.5) / 1000, "p99",
                               (double)sf_histogram_at(&probe->latency, 0.99) / 1000, "max",
                               (double)probe->latency.max_ns / 1000));
    }
    sf_cli_print_json(json_pack(
        "{s:I, s:I, s:s, s:o}", "duplicates", (json_int_t)verify->shared.duplicates, "window",
        (json_int_t)verify->window, "first_finding", verify->shared.finding, "servers", servers));
}

static int verdict(struct verify *verify)
{
    uint64_t ids = 0, failures = 0;
    for (size_t i = 0; i < verify->count; i++) {
        ids += verify->probes[i].ids;
        failures += verify->probes[i].failures;
    }
    if (verify->as_json)
        print_json(verify);
    else
        print_text(verify);
    const int code = sf_cli_end();
    if (verify->shared.finding[0] != '\0')
        return sf_cli_fail(SF_CLI_FAILED, "%s", verify->shared.finding);
    if (ids == 0 && failures > 0)
        return sf_cli_fail(SF_CLI_UNREACHABLE, "no worker gave an ID: %s",
                           verify->probes[0].last_failure);
    return code;
}

static void watch(struct verify *verify)
{
    const bool talk = isatty(STDERR_FILENO);
    const int64_t begin_ns = sf_mono_ns();
    while (!interrupted && !verify->shared.stop) {
        const int64_t gone_ns = sf_mono_ns() - begin_ns;
        if (verify->seconds > 0 && gone_ns >= (int64_t)verify->seconds * SF_NS_PER_S)
            break;
        uint64_t ids = 0, failures = 0;
        for (size_t i = 0; i < verify->count; i++) {
            ids += verify->probes[i].ids;
            failures += verify->probes[i].failures;
        }
        if (talk)
            (void)fprintf(stderr, "\r%6.0f s  %llu IDs, %llu failed requests, %llu duplicates ",
                          (double)gone_ns / 1e9, (unsigned long long)ids,
                          (unsigned long long)failures,
                          (unsigned long long)verify->shared.duplicates);
        sf_sleep_ms(100);
    }
    if (talk)
        (void)fprintf(stderr, "\r\033[K");
}

static int start(struct verify *verify)
{
    verify->shared.interval_ms = verify->interval_ms;
    verify->shared.batch = (uint32_t)verify->batch;
    verify->shared.skew_ms = (int64_t)verify->skew_ms;
    verify->shared.seen = sf_seen_create(verify->window);
    verify->count = verify->servers.list.count;
    verify->probes = calloc(verify->count, sizeof *verify->probes);
    if (verify->shared.seen == NULL || verify->probes == NULL)
        return sf_cli_fail(SF_CLI_CONFIG, "--window: no memory for %llu IDs",
                           (unsigned long long)verify->window);
    verify->shared.probes = verify->probes;
    verify->shared.count = verify->count;
    if (pthread_mutex_init(&verify->shared.mutex, NULL) != 0)
        abort();
    for (size_t i = 0; i < verify->count; i++) {
        struct sf_probe *probe = &verify->probes[i];
        probe->shared = &verify->shared;
        probe->index = (uint32_t)i;
        probe->server = verify->servers.list.items[i];
        const int code = sf_cli_servers_open(&verify->servers, probe->server, &probe->client);
        if (code >= 0)
            return code;
    }
    if (verify->metrics != NULL) {
        const int code =
            sf_probe_metrics_start(&verify->shared, verify->probes, verify->count, verify->metrics);
        if (code >= 0)
            return code;
    }
    for (size_t i = 0; i < verify->count; i++)
        if (pthread_create(&verify->probes[i].thread, NULL, sf_probe_run, &verify->probes[i]) == 0)
            verify->probes[i].running = true;
        else
            return sf_cli_fail(SF_CLI_CONFIG, "no more threads can be made");
    return -1;
}

static void end(struct verify *verify)
{
    verify->shared.stop = true;
    for (size_t i = 0; i < verify->count; i++)
        if (verify->probes != NULL && verify->probes[i].running)
            pthread_join(verify->probes[i].thread, NULL);
    sf_probe_metrics_stop(&verify->shared);
}

static void release(struct verify *verify)
{
    for (size_t i = 0; verify->probes != NULL && i < verify->count; i++)
        sf_client_destroy(verify->probes[i].client);
    free(verify->probes);
    sf_seen_destroy(verify->shared.seen);
    sf_cli_servers_free(&verify->servers);
}

int sf_cli_verify(int argc, char **argv)
{
    struct verify verify = {.servers = SF_CLI_SERVERS,
                            .interval_ms = 10,
                            .batch = 1,
                            .window = 4000000,
                            .skew_ms = 5000,
                            .shared.metrics_fd = -1};
    const struct sf_cli_option options[] = {
        SF_CLI_SERVER_OPTIONS(verify.servers),
        {"seconds", 't', SF_CLI_NUMBER, &verify.seconds, "SECONDS",
         "end after this time [10; with --metrics never]", 1, 86400 * 365},
        {"interval-ms", 'i', SF_CLI_NUMBER, &verify.interval_ms, "MS",
         "between two requests to a worker; 0: none [10]", 0, 3600000},
        {"batch", 'b', SF_CLI_NUMBER, &verify.batch, "N", "IDs of each request [1]", 1, 65536},
        {"window", 'w', SF_CLI_NUMBER, &verify.window, "N",
         "uniqueness is exact among the last N IDs [4000000]", 1, 1 << 30},
        {"skew-ms", 0, SF_CLI_NUMBER, &verify.skew_ms, "MS",
         "how far an ID's time may lie from ours [5000]", 0, 0},
        {"metrics", 0, SF_CLI_TEXT, &verify.metrics, "HOST:PORT",
         "serve snowfleet_verify_* metrics over HTTP here", 0, 0},
        {"json", 0, SF_CLI_FLAG, &verify.as_json, NULL, "a JSON object", 0, 0},
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet verify [--server HOST:PORT]... [-t SECONDS] [--metrics HOST:PORT] "
                "[OPTION]...",
        .text = "Asks every worker as a client would and checks what comes: no ID twice (exactly, "
                "among the last N of\n"
                "all workers together), ascending on each connection, times near ours, answers in "
                "time. Ends with exit\n"
                "code 1 and the two IDs at the first duplicate or disorder. Failed requests are "
                "counted, not fatal.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int code = sf_cli_parse(&usage, argc, argv, NULL);
    if (code >= 0) {
        sf_cli_servers_free(&verify.servers);
        return code;
    }
    if (verify.servers.list.count == 0) {
        verify.servers.list.items[0] = strdup(SF_CLI_DEFAULT_SERVER);
        verify.servers.list.count = 1;
    }
    if (verify.seconds == 0 && verify.metrics == NULL)
        verify.seconds = 10;
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    code = start(&verify);
    if (code < 0)
        watch(&verify);
    end(&verify);
    if (code < 0)
        code = verdict(&verify);
    release(&verify);
    return code;
}
