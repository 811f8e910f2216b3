/* cli/verify.c - `snowfleet verify`, the prober: a thread for each worker asks as any client would,
 * through the client library; every ID goes into one set. */
#include <inttypes.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/parse.h"
#include "base/thread.h"
#include "base/ticks.h"
#include "base/unix_address.h"
#include "cli/fleet.h"
#include "cli/histogram.h"
#include "cli/probe.h"
#include "cli/seen.h"
#include "cli/servers.h"
#include "coord/expected.h"

/* How many workers a prober asks over its life, at most. */
#define PROBES_MAX 4096
/* Between two looks at who is in the fleet. */
#define LOOK_MS 5000

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
    bool as_json, each_address;
    struct sf_probe_shared shared;
    struct sf_probe *probes; /* room for `room` */
    size_t room;
    struct sf_cli_fleet_options to;
    struct sf_cli_fleet fleet; /* with --coordinator */
    struct sf_coord_config config;
};

/* By the last look: whoever gave its slot back, or is about to, need not. */
static bool must_answer(const struct sf_probe *probe)
{
    return (probe->listed && !probe->leaving) || probe->lost;
}

static void print_text(struct verify *verify)
{
    (void)printf("%-24s %10s %10s %10s %9s %9s %9s %9s\n", "SERVER", "IDS", "REQUESTS", "FAILED",
                 "ORDER", "TIME", "P50 US", "P99 US");
    for (size_t i = 0; i < verify->shared.count; i++) {
        const struct sf_probe *probe = &verify->probes[i];
        (void)printf("%-24s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %9" PRIu64 " %9" PRIu64
                     " %9.0f %9.0f\n",
                     probe->server, probe->ids, probe->requests, probe->failures,
                     probe->order_errors, probe->time_errors,
                     (double)sf_histogram_at(&probe->latency, 0.5) / 1000,
                     (double)sf_histogram_at(&probe->latency, 0.99) / 1000);
    }
    (void)printf("%" PRIu64 " duplicates among the last %" PRIu64 " IDs at any time\n",
                 verify->shared.duplicates, verify->window);
}

static void print_json(struct verify *verify)
{
    json_t *servers = json_array();
    for (size_t i = 0; i < verify->shared.count; i++) {
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
    for (size_t i = 0; i < verify->shared.count; i++) {
        sf_probe_judge(&verify->probes[i], must_answer(&verify->probes[i]));
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
    for (size_t i = 0; i < verify->shared.count && verify->each_address; i++)
        if (verify->probes[i].ids == 0)
            return sf_cli_fail(SF_CLI_UNREACHABLE, "%s gave no ID: %s", verify->probes[i].server,
                               verify->probes[i].last_failure);
    return code;
}

static bool is_over(struct verify *verify, int64_t begin_ns)
{
    return interrupted || verify->shared.stop ||
           (verify->seconds > 0 &&
            sf_mono_ns() - begin_ns >= (int64_t)verify->seconds * SF_NS_PER_S);
}

static int add_probe(struct verify *verify, const char *server, bool from_fleet)
{
    if (verify->shared.count == verify->room)
        return sf_cli_fail(SF_CLI_CONFIG, "over %zu workers in one run; start it again",
                           verify->room);
    struct sf_probe *probe = &verify->probes[verify->shared.count];
    probe->shared = &verify->shared;
    probe->index = (uint32_t)verify->shared.count;
    probe->from_fleet = from_fleet;
    probe->listed = true;
    probe->server = strdup(server);
    if (probe->server == NULL)
        abort();
    const int code = sf_cli_servers_open(&verify->servers, probe->server, &probe->client);
    if (code >= 0)
        free(probe->server);
    else
        verify->shared.count++;
    return code;
}

/* Whose claim is gone without that they gave their slots back. */
static void find_lost(struct verify *verify, const struct sf_coord_completion *found)
{
    struct sf_expected all;
    sf_expected_take(found->slots, found->slot_count, found->claims, found->claim_count,
                     sf_real_ns() / SF_NS_PER_MS, SF_REMEMBER_DEFAULT_MS, &all);
    for (size_t i = 0; i < all.count; i++)
        for (size_t k = 0; k < verify->shared.count && all.members[i].claim == NULL; k++)
            if (all.members[i].expected && all.members[i].slot->fence == verify->probes[k].fence)
                verify->probes[k].lost = true;
    sf_expected_free(&all);
}

static int find_workers(void *ctx, uint64_t datacenter, const struct sf_coord_completion *found)
{
    (void)datacenter;
    struct verify *verify = ctx;
    int code = -1;
    for (size_t i = 0; i < found->claim_count && code < 0; i++) {
        const struct sf_coord_claim *claim = &found->claims[i];
        if (claim->slot < 0)
            continue; /* it waits for a slot and mints nothing */
        struct sf_probe *probe = NULL;
        for (size_t k = 0; k < verify->shared.count && probe == NULL; k++)
            if (strcmp(verify->probes[k].server, claim->address) == 0)
                probe = &verify->probes[k];
        if (probe == NULL) {
            code = add_probe(verify, claim->address, true);
            probe = code < 0 ? &verify->probes[verify->shared.count - 1] : NULL;
        }
        if (probe == NULL)
            break;
        probe->listed = true;
        probe->leaving = strcmp(claim->state, "draining") == 0;
        probe->fence = claim->fence;
    }
    find_lost(verify, found);
    return code;
}

/* Ends the probes of workers that left, and starts those of workers that came. */
static int run_probes(struct verify *verify)
{
    for (size_t i = 0; i < verify->shared.count; i++) {
        struct sf_probe *probe = &verify->probes[i];
        if (probe->running && !probe->listed) {
            probe->gone = true;
            pthread_join(probe->thread, NULL);
            sf_probe_judge(probe, must_answer(probe));
            probe->running = false;
        } else if (!probe->running && probe->listed) {
            probe->gone = false;
            if (sf_thread_start(&probe->thread, "probe", sf_probe_run, probe) != 0)
                return sf_cli_fail(SF_CLI_CONFIG, "no more threads can be made");
            probe->running = true;
        }
    }
    return -1;
}

/* Asks the coordinator who is there. When it does not answer, the workers known so far are asked
 * on. */
static int look(struct verify *verify)
{
    for (size_t i = 0; i < verify->shared.count; i++) {
        verify->probes[i].listed = !verify->probes[i].from_fleet;
        verify->probes[i].leaving = verify->probes[i].lost = false;
    }
    const int code = sf_cli_fleet_list(&verify->fleet, &verify->config, NULL, find_workers, verify);
    if (code >= 0)
        for (size_t i = 0; i < verify->shared.count; i++)
            verify->probes[i].listed = true;
    for (size_t i = 0; i < verify->shared.count; i++)
        sf_probe_judge(&verify->probes[i], must_answer(&verify->probes[i]));
    return code;
}

static void watch(struct verify *verify)
{
    const bool talk = isatty(STDERR_FILENO);
    const int64_t begin_ns = sf_mono_ns();
    int64_t looked_ns = begin_ns;
    while (!is_over(verify, begin_ns)) {
        uint64_t ids = 0, failures = 0;
        for (size_t i = 0; i < verify->shared.count; i++) {
            ids += verify->probes[i].ids;
            failures += verify->probes[i].failures;
        }
        if (talk)
            (void)fprintf(
                stderr,
                "\r%6.0f s  %" PRIu64 " IDs, %" PRIu64 " failed requests, %" PRIu64 " duplicates ",
                (double)(sf_mono_ns() - begin_ns) / 1e9, ids, failures, verify->shared.duplicates);
        if (verify->fleet.coord != NULL && sf_mono_ns() - looked_ns >= LOOK_MS * SF_NS_PER_MS) {
            if (look(verify) >= 0)
                (void)fprintf(stderr, "snowfleet: the workers known so far are asked on\n");
            (void)run_probes(verify); /* a thread that cannot be made now may be later */
            looked_ns = sf_mono_ns();
        }
        sf_sleep_ms(100);
    }
    if (talk)
        (void)fprintf(stderr, "\r\033[K");
}

/* Every address behind a name, as a server of its own: each pod behind a headless Service. */
static int expand(struct verify *verify)
{
    struct sf_cli_list all = {0};
    int code = -1;
    for (size_t i = 0; i < verify->servers.list.count && code < 0; i++) {
        const char *server = verify->servers.list.items[i];
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        struct addrinfo *found = NULL;
        struct sf_host_port to;
        if (sf_unix_server_meant(server)) {        /* one worker's, whoever it is */
            all.items[all.count] = strdup(server); /* as many as there were fit */
            if (all.items[all.count++] == NULL)
                abort();
            continue;
        }
        if (sf_parse_host_port(server, -1, false, &to) != 0)
            code = sf_cli_fail(SF_CLI_USAGE, "--server: \"%s\" is not HOST:PORT", server);
        else if (getaddrinfo(to.host, NULL, &hints, &found) != 0 || found == NULL)
            code = sf_cli_fail(SF_CLI_UNREACHABLE, "%s: the name has no address", server);
        for (const struct addrinfo *a = found; a != NULL && code < 0; a = a->ai_next) {
            char host[NI_MAXHOST], *item = NULL;
            if (getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, NULL, 0,
                            NI_NUMERICHOST) != 0)
                code = sf_cli_fail(SF_CLI_UNREACHABLE, "%s: an address cannot be read", server);
            else if (all.count == sizeof all.items / sizeof *all.items)
                code = sf_cli_fail(SF_CLI_USAGE, "--each-address: more than %zu addresses",
                                   sizeof all.items / sizeof *all.items);
            else if (asprintf(&item, a->ai_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
                              (unsigned)to.port) < 0)
                abort();
            else
                all.items[all.count++] = item;
        }
        if (found != NULL)
            freeaddrinfo(found);
    }
    sf_cli_list_free(&verify->servers.list);
    verify->servers.list = all;
    return code;
}

/* The workers given, and those that the coordinator lists. */
static int choose(struct verify *verify)
{
    int code = -1;
    for (size_t i = 0; i < verify->servers.list.count && code < 0; i++)
        code = add_probe(verify, verify->servers.list.items[i], false);
    if (code < 0 && verify->to.coordinator != NULL) {
        verify->to.timeout_ms = 10000;
        code = sf_cli_fleet_open(&verify->to, &verify->fleet);
        if (code < 0)
            code = sf_cli_fleet_config(&verify->fleet, &verify->config);
        if (code < 0)
            code = look(verify);
    }
    if (code < 0 && verify->shared.count == 0)
        code = sf_cli_fail(SF_CLI_UNREACHABLE, "%s: no worker of fleet %s holds a slot",
                           verify->fleet.url, verify->to.fleet);
    return code;
}

static int start(struct verify *verify)
{
    if (verify->each_address) {
        const int code = expand(verify);
        if (code >= 0)
            return code;
    }
    verify->shared.interval_ms = verify->interval_ms;
    verify->shared.batch = (uint32_t)verify->batch;
    verify->shared.skew_ms = (int64_t)verify->skew_ms;
    verify->shared.go_on = verify->metrics != NULL;
    verify->shared.seen = sf_seen_create(verify->window);
    verify->room = verify->to.coordinator != NULL ? PROBES_MAX : verify->servers.list.count;
    SF_ASSERT(verify->room > 0); /* no server named means the default one */
    verify->probes = calloc(verify->room, sizeof *verify->probes);
    if (verify->shared.seen == NULL || verify->probes == NULL)
        return sf_cli_fail(SF_CLI_CONFIG, "--window: no memory for %" PRIu64 " IDs",
                           verify->window);
    verify->shared.probes = verify->probes;
    if (pthread_mutex_init(&verify->shared.mutex, NULL) != 0)
        abort();
    int code = choose(verify);
    if (code < 0 && verify->metrics != NULL)
        code = sf_probe_metrics_start(&verify->shared, verify->metrics);
    return code < 0 ? run_probes(verify) : code;
}

static void end(struct verify *verify)
{
    verify->shared.stop = true;
    for (size_t i = 0; i < verify->shared.count; i++)
        if (verify->probes != NULL && verify->probes[i].running)
            pthread_join(verify->probes[i].thread, NULL);
    sf_probe_metrics_stop(&verify->shared);
}

static void release(struct verify *verify)
{
    for (size_t i = 0; verify->probes != NULL && i < verify->shared.count; i++) {
        sf_client_destroy(verify->probes[i].client);
        free(verify->probes[i].server);
    }
    free(verify->probes);
    sf_cli_fleet_close(&verify->fleet);
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
                            .to = SF_CLI_FLEET,
                            .shared.metrics_fd = -1};
    const struct sf_cli_option options[] = {
        SF_CLI_SERVER_OPTIONS(verify.servers),
        SF_CLI_FLEET_ACCESS_OPTIONS(verify.to),
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
        {"each-address", 0, SF_CLI_FLAG, &verify.each_address, NULL,
         "ask every address that a server's name has now", 0, 0},
        {"json", 0, SF_CLI_FLAG, &verify.as_json, NULL, "a JSON object", 0, 0},
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet verify [--server HOST:PORT]... [--coordinator URL [--fleet NAME]] "
                "[-t SECONDS]\n       [--metrics HOST:PORT] [OPTION]...",
        .text = "Asks every worker as a client would and checks what comes: no ID twice (exactly, "
                "among the last N of\n"
                "all workers together), ascending on each connection, times near ours, answers in "
                "time. Ends with exit\n"
                "code 1 and the two IDs at the first duplicate or disorder; with --metrics it "
                "tells them, goes on, and\n"
                "has that code in the end. Failed requests are counted, not fatal. With "
                "--coordinator it asks every\n"
                "live worker of the fleet, and follows those that come and go.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int code = sf_cli_parse(&usage, argc, argv, NULL);
    if (code >= 0) {
        sf_cli_servers_free(&verify.servers);
        return code;
    }
    if (verify.servers.list.count == 0 && verify.to.coordinator == NULL) {
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
