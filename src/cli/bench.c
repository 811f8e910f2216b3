/* cli/bench.c - `snowfleet bench`: keeps workers busy from several threads and tells how much they
 * did and how long it took. */
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/thread.h"
#include "base/ticks.h"
#include "base/unix_address.h"
#include "cli/cli.h"
#include "cli/load.h"

#define CONNS_MAX   10000
#define THREADS_MAX 256
#define STEP_MS     100

struct bench {
    struct sf_cli_servers servers;
    uint64_t conns, depth, count, seconds, threads, batch;
    const char *max_errors_text;
    double max_errors; /* 1: any */
    bool as_json, library;
    struct sockaddr_storage addresses[SF_CLI_LIST_MAX];
    socklen_t sizes[SF_CLI_LIST_MAX];
    struct sf_load_options load;
    struct sf_load *loads;
    _Atomic uint64_t budget;
    _Atomic bool stop;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static int resolve_one(const char *server, struct sockaddr_storage *ret, socklen_t *ret_size)
{
    struct sf_host_port at;
    char port[8];
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    if (sf_unix_server(server, (struct sockaddr_un *)(void *)ret, ret_size) == 0)
        return -1;
    if (sf_unix_server_meant(server) ||
        sf_parse_host_port(server, SF_WIRE_DEFAULT_PORT, false, &at) != 0)
        return sf_cli_fail(SF_CLI_USAGE,
                           "--server: \"%s\" is not allowed; HOST, HOST:PORT, [IPV6]:PORT, "
                           "unix:/PATH and unix:@NAME are",
                           server);
    (void)snprintf(port, sizeof port, "%u", at.port);
    const int answer = getaddrinfo(at.host, port, &hints, &list);
    if (answer != 0)
        return sf_cli_fail(SF_CLI_UNREACHABLE, "--server: %s: %s", at.host, gai_strerror(answer));
    memcpy(ret, list->ai_addr, list->ai_addrlen);
    *ret_size = list->ai_addrlen;
    freeaddrinfo(list);
    return -1;
}

static int resolve(struct bench *bench)
{
    const struct sf_cli_list *servers = &bench->servers.list;
    for (size_t i = 0; i < servers->count; i++) {
        const int code = resolve_one(servers->items[i], &bench->addresses[i], &bench->sizes[i]);
        if (code >= 0)
            return code;
    }
    return -1;
}

static int open_one(struct bench *bench, struct sf_load *load)
{
    if (bench->library)
        return sf_load_library_open(load, &bench->servers);
    const struct sf_cli_list *servers = &bench->servers.list;
    if (sf_load_connect(load) != 0)
        return sf_cli_fail(SF_CLI_UNREACHABLE, "%s: %s; is snowfleetd running there?",
                           servers->items[load->first % servers->count], load->why);
    return -1;
}

static int open_all(struct bench *bench)
{
    bench->load = (struct sf_load_options){.addresses = bench->addresses,
                                           .sizes = bench->sizes,
                                           .address_count = (uint32_t)bench->servers.list.count,
                                           .depth = (uint32_t)bench->depth,
                                           .batch = (uint32_t)bench->batch,
                                           .connect_timeout_ms = 5000};
    bench->loads = calloc(bench->threads, sizeof *bench->loads);
    if (bench->loads == NULL)
        abort();
    uint32_t first = 0;
    for (uint64_t i = 0; i < bench->threads; i++) {
        struct sf_load *load = &bench->loads[i];
        load->options = &bench->load;
        load->conns = (uint32_t)((bench->conns + bench->threads - 1 - i) / bench->threads);
        load->first = first;
        load->budget = bench->count > 0 ? &bench->budget : NULL;
        load->stop = &bench->stop;
        first += load->conns;
        const int code = open_one(bench, load);
        if (code >= 0)
            return code;
    }
    return -1;
}

static uint64_t answers(const struct bench *bench)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bench->threads; i++)
        sum += bench->loads[i].answers;
    return sum;
}

static bool any_failed(const struct bench *bench)
{
    for (uint64_t i = 0; i < bench->threads; i++)
        if (bench->loads[i].why[0] != '\0')
            return true;
    return false;
}

/* Until the time is up, the requests are answered, or Ctrl-C. */
static void watch(struct bench *bench, int64_t begin_ns)
{
    const bool talk = isatty(STDERR_FILENO);
    uint64_t before = 0;
    int64_t shown_ns = begin_ns;
    while (!interrupted && !any_failed(bench)) {
        const int64_t now_ns = sf_mono_ns();
        const uint64_t done = answers(bench);
        if (bench->count > 0 ? done >= bench->count
                             : now_ns - begin_ns >= (int64_t)bench->seconds * SF_NS_PER_S)
            break;
        if (bench->count > 0 && bench->seconds > 0 &&
            now_ns - begin_ns >= (int64_t)bench->seconds * SF_NS_PER_S)
            break;
        if (talk && now_ns - shown_ns >= SF_NS_PER_S / 2) {
            (void)fprintf(stderr, "\r%5.1f s  %12.0f requests/s ",
                          (double)(now_ns - begin_ns) / 1e9,
                          (double)(done - before) * 1e9 / (double)(now_ns - shown_ns));
            shown_ns = now_ns;
            before = done;
        }
        sf_sleep_ms(bench->count > 0 ? 5 : STEP_MS);
    }
    if (talk)
        (void)fprintf(stderr, "\r\033[K");
}

static double us(uint64_t ns)
{
    return (double)ns / 1000;
}

static void print_status(const char *name, uint64_t count, bool ok, json_t *to)
{
    if (count > 0 && to != NULL)
        json_object_set_new(to, name, json_integer((json_int_t)count));
    else if (count > 0 && !ok)
        (void)printf("%-12s %" PRIu64 " answers\n", name, count);
}

/* What the workers answered; of the library, how the calls ended. */
static void print_statuses(const struct bench *bench, const struct sf_load *sum, json_t *to)
{
    for (unsigned i = 0; bench->library && i < SF_CLIENT_ERRORS; i++)
        print_status(sf_client_error_name((enum sf_client_error)i), sum->outcomes[i],
                     i == SF_CLIENT_OK, to);
    for (unsigned i = 0; !bench->library && i < SF_WIRE_STATUSES; i++)
        print_status(sf_wire_status_name((uint16_t)i), sum->statuses[i], i == SF_WIRE_OK, to);
    print_status("UNKNOWN", sum->unknown_statuses, false, to);
}

static double error_ratio(const struct sf_load *sum)
{
    const uint64_t requests = sum->latency.count + sum->refused.count;
    return requests > 0 ? (double)sum->refused.count / (double)requests : 0;
}

static void print_latency(const char *name, const struct sf_histogram *h)
{
    (void)printf("%-12s p50 %.0f  p90 %.0f  p99 %.0f  p99.9 %.0f  max %.0f\n", name,
                 us(sf_histogram_at(h, 0.5)), us(sf_histogram_at(h, 0.9)),
                 us(sf_histogram_at(h, 0.99)), us(sf_histogram_at(h, 0.999)), us(h->max_ns));
}

static json_t *latency_json(const struct sf_histogram *h)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "mean",
                     h->count > 0 ? us(h->sum_ns) / (double)h->count : 0.0, "p50",
                     us(sf_histogram_at(h, 0.5)), "p90", us(sf_histogram_at(h, 0.9)), "p99",
                     us(sf_histogram_at(h, 0.99)), "p99_9", us(sf_histogram_at(h, 0.999)), "max",
                     us(h->max_ns));
}

static void print_result(const struct bench *bench, const struct sf_load *sum, double seconds)
{
    const struct sf_histogram *h = &sum->latency;
    const uint64_t errors = sum->refused.count, requests = h->count + errors;
    if (!bench->as_json) {
        (void)printf("requests     %" PRIu64 " in %.2f s, %.0f/s\n"
                     "ids          %" PRIu64 ", %.0f/s\n"
                     "errors       %" PRIu64 "\n"
                     "error ratio  %.4f\n",
                     requests, seconds, (double)requests / seconds, sum->ids,
                     (double)sum->ids / seconds, errors, error_ratio(sum));
        print_latency("latency us", h);
        if (errors > 0)
            print_latency("refused us", &sum->refused);
        print_statuses(bench, sum, NULL);
        return;
    }
    json_t *statuses = json_object();
    print_statuses(bench, sum, statuses);
    sf_cli_print_json(json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "requests",
        (json_int_t)requests, "ids", (json_int_t)sum->ids, "errors", (json_int_t)errors,
        "error_ratio", error_ratio(sum), "seconds", seconds, "requests_per_s",
        (double)requests / seconds, "ids_per_s", (double)sum->ids / seconds, "latency_us",
        latency_json(h), "refused_latency_us", latency_json(&sum->refused), "connections",
        (json_int_t)bench->conns, "depth", (json_int_t)bench->depth, "batch",
        (json_int_t)bench->batch, "threads", (json_int_t)bench->threads, "statuses", statuses));
}

static int run(struct bench *bench)
{
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    const int64_t begin_ns = sf_mono_ns();
    uint64_t started = 0;
    void *(*const load_run)(void *) = bench->library ? sf_load_library_run : sf_load_run;
    while (started < bench->threads && sf_thread_start(&bench->loads[started].thread, "load",
                                                       load_run, &bench->loads[started]) == 0)
        started++;
    if (started == bench->threads)
        watch(bench, begin_ns);
    const double seconds = (double)(sf_mono_ns() - begin_ns) / 1e9;
    bench->stop = true;
    struct sf_load sum = {0};
    const char *why = started == bench->threads ? "" : "no more threads can be made";
    for (uint64_t i = 0; i < started; i++) {
        struct sf_load *load = &bench->loads[i];
        pthread_join(load->thread, NULL);
        sf_histogram_merge(&sum.latency, &load->latency);
        sf_histogram_merge(&sum.refused, &load->refused);
        sum.ids += load->ids;
        sum.unknown_statuses += load->unknown_statuses;
        for (int k = 0; k < SF_WIRE_STATUSES; k++)
            sum.statuses[k] += load->statuses[k];
        for (int k = 0; k < SF_CLIENT_ERRORS; k++)
            sum.outcomes[k] += load->outcomes[k];
        why = load->why[0] != '\0' ? load->why : why;
    }
    print_result(bench, &sum, seconds > 0 ? seconds : 1e-9);
    if (why[0] != '\0')
        return sf_cli_fail(SF_CLI_UNREACHABLE, "ended early: %s", why);
    if (error_ratio(&sum) > bench->max_errors)
        return sf_cli_fail(SF_CLI_FAILED,
                           "%.6g of the requests were not answered with IDs; --max-errors is %s",
                           error_ratio(&sum), bench->max_errors_text);
    return sf_cli_end();
}

static int read_max_errors(struct bench *bench)
{
    char *end = NULL;
    bench->max_errors = 1;
    if (bench->max_errors_text == NULL)
        return -1;
    bench->max_errors = strtod(bench->max_errors_text, &end);
    if (end == bench->max_errors_text || *end != '\0' ||
        !(bench->max_errors >= 0 && bench->max_errors <= 1))
        return sf_cli_fail(SF_CLI_USAGE, "--max-errors: \"%s\" is not allowed; 0 to 1 is, as 0.001",
                           bench->max_errors_text);
    return -1;
}

static int check(struct bench *bench)
{
    struct sf_cli_servers *servers = &bench->servers;
    const int code = read_max_errors(bench);
    if (code >= 0)
        return code;
    if (!bench->library &&
        (servers->tls || servers->ca != NULL || servers->cert != NULL || servers->key != NULL ||
         servers->name != NULL || servers->token_file != NULL))
        return sf_cli_fail(SF_CLI_USAGE,
                           "TLS and tokens need --library: bare connections talk plain TCP");
    if (servers->list.count == 0) {
        servers->list.items[0] = strdup(SF_CLI_DEFAULT_SERVER);
        servers->list.count = 1;
    }
    if (bench->count == 0 && bench->seconds == 0)
        bench->seconds = 5;
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (bench->threads == 0)
        bench->threads = cpus > 3 ? (uint64_t)cpus / 2 : 1;
    if (bench->threads > bench->conns)
        bench->threads = bench->conns;
    bench->budget = bench->count;
    return -1;
}

int sf_cli_bench(int argc, char **argv)
{
    struct bench bench = {.servers = SF_CLI_SERVERS, .conns = 8, .depth = 64, .batch = 1};
    const struct sf_cli_option options[] = {
        SF_CLI_SERVER_OPTIONS(bench.servers),
        {"library", 0, SF_CLI_FLAG, &bench.library, NULL,
         "through the client library: CONNS callers with failover, retries, TLS and tokens", 0, 0},
        {"connections", 'c', SF_CLI_NUMBER, &bench.conns, "CONNS", "[8]", 1, CONNS_MAX},
        {"depth", 'd', SF_CLI_NUMBER, &bench.depth, "DEPTH", "requests in flight on each [64]", 1,
         SF_LOAD_DEPTH_MAX},
        {"count", 'n', SF_CLI_NUMBER, &bench.count, "COUNT", "end after so many requests", 1, 0},
        {"seconds", 't', SF_CLI_NUMBER, &bench.seconds, "SECONDS", "end after this time [5]", 1,
         86400 * 365},
        {"batch", 'b', SF_CLI_NUMBER, &bench.batch, "N", "IDs of each request [1]", 1,
         SF_WIRE_COUNT_MAX},
        {"max-errors", 0, SF_CLI_TEXT, &bench.max_errors_text, "RATIO",
         "exit 1 where a larger part of the answers had no IDs, as 0.001 [1: never]", 0, 0},
        {"threads", 0, SF_CLI_NUMBER, &bench.threads, "N", "[half the CPUs]", 1, THREADS_MAX},
        {"json", 0, SF_CLI_FLAG, &bench.as_json, NULL, "a JSON object", 0, 0},
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet bench [--server HOST:PORT]... [-c CONNS] [-d DEPTH] [-n COUNT] [-t "
                "SECONDS] [--batch N] [--max-errors RATIO] [--library] [--json]",
        .text = "Asks as fast as the workers answer (closed loop: each connection keeps DEPTH "
                "requests in flight) and\n"
                "prints throughput and latency, of answers without IDs apart. With -d 1 -c 1 the "
                "latency is that of a single "
                "caller. Bare connections\n"
                "measure the workers, --library what a program that uses the client library "
                "gets.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int code = sf_cli_parse(&usage, argc, argv, NULL);
    if (code < 0)
        code = check(&bench);
    if (code < 0)
        code = bench.library ? -1 : resolve(&bench);
    if (code < 0)
        code = open_all(&bench);
    if (code < 0)
        code = run(&bench);
    for (uint64_t i = 0; bench.loads != NULL && i < bench.threads; i++)
        if (bench.library)
            sf_load_library_free(&bench.loads[i]);
        else
            sf_load_free(&bench.loads[i]);
    free(bench.loads);
    sf_cli_servers_free(&bench.servers);
    return code;
}
