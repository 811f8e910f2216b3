/* The C library behind the contract of the drivers (docs/clients.md): one JSON object a line on stdin,
 * one a line on stdout. `c-driver` builds and starts it. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <snowfleet/client.h>

#define CALLERS_MAX 1024

/* --- answers --- */

static void answer(json_t *reply, const json_t *n)
{
    if (n != NULL)
        json_object_set(reply, "n", (json_t *)n);
    json_dumpf(reply, stdout, JSON_COMPACT);
    (void)putchar('\n');
    (void)fflush(stdout);
    json_decref(reply);
}

static json_t *failure(enum sf_client_error error, const char *detail)
{
    return json_pack("{s:b, s:s, s:s}", "ok", 0, "error", sf_client_error_name(error), "detail",
                     detail);
}

static json_t *success(void)
{
    return json_pack("{s:b}", "ok", 1);
}

/* --- open --- */

struct option {
    const char *name;
    size_t offset;
    enum { NUMBER, FLAG, TEXT } kind;
};

#define OPTION(name, field, kind)                                                                  \
    {                                                                                              \
        name, offsetof(struct sf_client_options, field), kind                                      \
    }
static const struct option options[] = {
    OPTION("servers", servers, TEXT),
    OPTION("timeout_ms", timeout_ms, NUMBER),
    OPTION("deadline_ms", timeout_ms, NUMBER),
    OPTION("attempt_timeout_ms", attempt_timeout_ms, NUMBER),
    OPTION("connect_timeout_ms", connect_timeout_ms, NUMBER),
    OPTION("hedge_ms", hedge_ms, NUMBER),
    OPTION("hedge_percentile", hedge_percentile, NUMBER),
    OPTION("pool", pool, NUMBER),
    OPTION("resolve_ms", resolve_ms, NUMBER),
    OPTION("discover", discover, FLAG),
    OPTION("discover_ms", discover_ms, NUMBER),
    OPTION("retry_budget_percent", retry_budget_percent, NUMBER),
    OPTION("retry_budget_max", retry_budget_max, NUMBER),
    OPTION("backoff_min_ms", backoff_min_ms, NUMBER),
    OPTION("backoff_max_ms", backoff_max_ms, NUMBER),
    OPTION("breaker_failures", breaker_failures, NUMBER),
    OPTION("breaker_open_min_ms", breaker_open_min_ms, NUMBER),
    OPTION("breaker_open_max_ms", breaker_open_max_ms, NUMBER),
    OPTION("breaker_idle_ms", breaker_idle_ms, NUMBER),
    OPTION("prefetch", prefetch, NUMBER),
    OPTION("prefetch_max_age_ms", prefetch_max_age_ms, NUMBER),
    OPTION("causal", causal, FLAG),
    OPTION("tls", tls, FLAG),
    OPTION("tls_ca", tls_ca, TEXT),
    OPTION("tls_cert", tls_cert, TEXT),
    OPTION("tls_key", tls_key, TEXT),
    OPTION("tls_server_name", tls_server_name, TEXT),
    OPTION("token", token, TEXT),
};

/* False where the value is of the wrong kind. Texts stay the request's. */
static bool set_option(struct sf_client_options *to, const struct option *option,
                       const json_t *value)
{
    char *at = (char *)to + option->offset;
    if (option->kind == FLAG && json_is_boolean(value))
        *(bool *)at = json_is_true(value);
    else if (option->kind == TEXT && json_is_string(value))
        *(const char **)(void *)at = json_string_value(value);
    else if (option->kind == NUMBER && json_is_integer(value) && json_integer_value(value) >= 0 &&
             json_integer_value(value) <= UINT32_MAX)
        *(uint32_t *)(void *)at = (uint32_t)json_integer_value(value);
    else
        return false;
    return true;
}

static json_t *op_open(struct sf_client **client, json_t *request)
{
    struct sf_client_options chosen = SF_CLIENT_OPTIONS;
    char detail[SF_CLIENT_DETAIL_MAX] = "";
    const char *name;
    json_t *value;
    json_object_foreach(request, name, value)
    {
        size_t i = 0;
        if (strcmp(name, "n") == 0 || strcmp(name, "op") == 0)
            continue;
        while (i < sizeof options / sizeof *options && strcmp(options[i].name, name) != 0)
            i++;
        if (i == sizeof options / sizeof *options)
            (void)snprintf(detail, sizeof detail, "%s: there is no such option", name);
        else if (!set_option(&chosen, &options[i], value))
            (void)snprintf(detail, sizeof detail, "%s: the value is of the wrong kind", name);
        if (detail[0] != '\0')
            return failure(SF_CLIENT_INVALID, detail);
    }
    if (*client != NULL)
        return failure(SF_CLIENT_INVALID, "a client is open already");
    const enum sf_client_error error = sf_client_create(&chosen, client, detail, sizeof detail);
    return error == SF_CLIENT_OK ? success() : failure(error, detail);
}

/* --- next --- */

/* One call as a program would make it: the short form where nothing but one ID is asked for, so that
 * prefetch is used. ret_ids has room for the count. */
static enum sf_client_error call(struct sf_client *client, uint32_t count, const uint64_t *after,
                                 uint64_t *ret_ids, char *detail)
{
    (void)snprintf(detail, SF_CLIENT_DETAIL_MAX, "%s", "");
    if (count == 1 && after == NULL)
        return sf_client_next(client, ret_ids);
    const struct sf_client_request request = {
        .count = count, .has_after = after != NULL, .after = after != NULL ? *after : 0};
    struct sf_client_reply reply;
    const enum sf_client_error error = sf_client_ask(client, &request, &reply);
    for (uint32_t i = 0; error == SF_CLIENT_OK && i < reply.run_count; i++)
        for (uint32_t k = 0; k < reply.runs[i].count; k++)
            *ret_ids++ = reply.runs[i].first + k;
    (void)snprintf(detail, SF_CLIENT_DETAIL_MAX, "%s", reply.detail);
    sf_client_reply_free(&reply);
    return error;
}

/* A decimal number in a string, as IDs are written in JSON. */
static bool read_id(const json_t *value, uint64_t *ret)
{
    const char *text = json_string_value(value);
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

static bool read_count(const json_t *request, uint32_t *ret)
{
    const json_t *value = json_object_get(request, "count");
    if (value == NULL)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > SF_CLIENT_COUNT_MAX)
        return false;
    *ret = (uint32_t)json_integer_value(value);
    return true;
}

static json_t *op_next(struct sf_client *client, const json_t *request)
{
    uint32_t count = 1;
    uint64_t after = 0;
    char detail[SF_CLIENT_DETAIL_MAX], text[24];
    const json_t *after_value = json_object_get(request, "after");
    if (!read_count(request, &count))
        return failure(SF_CLIENT_INVALID, "count: 1 to 1048576 are allowed");
    if (after_value != NULL && !read_id(after_value, &after))
        return failure(SF_CLIENT_INVALID, "after: an ID as a decimal string is wanted");
    uint64_t *ids = calloc(count, sizeof *ids);
    if (ids == NULL)
        return failure(SF_CLIENT_MEMORY, "no room for the IDs");
    const enum sf_client_error error =
        call(client, count, after_value != NULL ? &after : NULL, ids, detail);
    json_t *list = json_array();
    for (uint32_t i = 0; error == SF_CLIENT_OK && i < count; i++) {
        (void)snprintf(text, sizeof text, "%" PRIu64, ids[i]);
        json_array_append_new(list, json_string(text));
    }
    free(ids);
    if (error == SF_CLIENT_OK)
        return json_pack("{s:b, s:o}", "ok", 1, "ids", list);
    json_decref(list);
    return failure(error, detail[0] != '\0' ? detail : sf_client_error_text(error));
}

/* --- load --- */

struct load {
    struct sf_client *client;
    FILE *file; /* may be NULL */
    uint32_t count;
    int64_t end_ns;        /* INT64_MAX: none */
    pthread_mutex_t mutex; /* of what follows, and the file */
    int64_t calls_left;
    int64_t calls, ids, failed, longest_ns;
    char detail[SF_CLIENT_DETAIL_MAX]; /* of the first failure */
};

static int64_t now_ns(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static bool may_call(struct load *load)
{
    pthread_mutex_lock(&load->mutex);
    const bool may = load->calls_left > 0 && now_ns() < load->end_ns;
    load->calls_left -= may;
    pthread_mutex_unlock(&load->mutex);
    return may;
}

static void note(struct load *load, enum sf_client_error error, const char *detail,
                 const uint64_t *ids, int64_t took_ns)
{
    pthread_mutex_lock(&load->mutex);
    load->calls++;
    load->longest_ns = took_ns > load->longest_ns ? took_ns : load->longest_ns;
    if (error != SF_CLIENT_OK) {
        if (load->failed++ == 0)
            (void)snprintf(load->detail, sizeof load->detail, "%.20s: %.200s",
                           sf_client_error_name(error), detail);
    } else {
        load->ids += load->count;
        for (uint32_t i = 0; load->file != NULL && i < load->count; i++)
            for (int shift = 56; shift >= 0; shift -= 8)
                (void)putc_unlocked((int)(ids[i] >> shift & 255), load->file);
    }
    pthread_mutex_unlock(&load->mutex);
}

static void *caller(void *ctx)
{
    struct load *load = ctx;
    char detail[SF_CLIENT_DETAIL_MAX];
    uint64_t *ids = calloc(load->count, sizeof *ids);
    while (ids != NULL && may_call(load)) {
        const int64_t begin_ns = now_ns();
        const enum sf_client_error error = call(load->client, load->count, NULL, ids, detail);
        note(load, error, detail, ids, now_ns() - begin_ns);
    }
    free(ids);
    return NULL;
}

static uint64_t order_errors(struct sf_client *client)
{
    struct sf_client_stats stats;
    sf_client_stats(client, &stats);
    return stats.order_errors;
}

static json_t *op_load(struct sf_client *client, const json_t *request)
{
    static pthread_t threads[CALLERS_MAX];
    struct load load = {.client = client,
                        .count = 1,
                        .end_ns = INT64_MAX,
                        .calls_left = INT64_MAX,
                        .mutex = PTHREAD_MUTEX_INITIALIZER};
    const json_t *callers = json_object_get(request, "callers"),
                 *seconds = json_object_get(request, "seconds"),
                 *calls = json_object_get(request, "calls");
    const char *path = json_string_value(json_object_get(request, "file"));
    const json_int_t wanted = callers != NULL ? json_integer_value(callers) : 1;
    if (wanted < 1 || wanted > CALLERS_MAX || !read_count(request, &load.count))
        return failure(SF_CLIENT_INVALID, "callers: 1 to 1024, count: 1 to 1048576 are allowed");
    if (!json_is_number(seconds) && !json_is_integer(calls))
        return failure(SF_CLIENT_INVALID, "seconds or calls is wanted");
    if (json_is_number(seconds))
        load.end_ns = now_ns() + (int64_t)(json_number_value(seconds) * 1e9);
    if (json_is_integer(calls))
        load.calls_left = json_integer_value(calls);
    if (path != NULL && (load.file = fopen(path, "wb")) == NULL)
        return failure(SF_CLIENT_INVALID, "file: cannot be written");
    const uint64_t before = order_errors(client);
    int started = 0;
    while (started < wanted && pthread_create(&threads[started], NULL, caller, &load) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if ((load.file != NULL && fclose(load.file) != 0) || started < wanted)
        return failure(SF_CLIENT_MEMORY, "not every caller could run, or be written down");
    return json_pack("{s:b, s:I, s:I, s:I, s:f, s:I, s:s}", "ok", 1, "calls",
                     (json_int_t)load.calls, "ids", (json_int_t)load.ids, "failed",
                     (json_int_t)load.failed, "longest_ms", (double)load.longest_ns / 1e6,
                     "order_errors", (json_int_t)(order_errors(client) - before), "detail",
                     load.detail);
}

/* --- decode, stats --- */

static json_t *op_decode(struct sf_client *client, const json_t *request)
{
    struct sf_layout layout;
    struct sf_id_parts parts;
    int64_t epoch_ms, unix_ms;
    uint64_t id, any;
    char base32[SF_ID_BASE32_MAX];
    if (!read_id(json_object_get(request, "id"), &id))
        return failure(SF_CLIENT_INVALID, "id: an ID as a decimal string is wanted");
    if (!sf_client_layout(client, &layout, &epoch_ms)) { /* the first answer tells */
        const enum sf_client_error error = sf_client_next(client, &any);
        if (error != SF_CLIENT_OK || !sf_client_layout(client, &layout, &epoch_ms))
            return failure(error, sf_client_error_text(error));
    }
    if (sf_id_decode(&layout, id, &parts) != 0 ||
        sf_id_unix_ms(&layout, epoch_ms, id, &unix_ms) != 0)
        return failure(SF_CLIENT_INVALID, "id: 0 to 9223372036854775807 are allowed");
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:s}", "ok", 1, "unix_ms", (json_int_t)unix_ms,
                     "datacenter", (json_int_t)parts.datacenter, "worker", (json_int_t)parts.worker,
                     "sequence", (json_int_t)parts.sequence, "base32", sf_id_base32(id, base32));
}

static json_t *op_stats(struct sf_client *client)
{
    struct sf_client_stats stats;
    sf_client_stats(client, &stats);
    json_t *by_error = json_object(), *reply = success();
    for (int error = 0; error < SF_CLIENT_ERRORS; error++)
        if (stats.calls_by_error[error] > 0)
            json_object_set_new(by_error, sf_client_error_name((enum sf_client_error)error),
                                json_integer((json_int_t)stats.calls_by_error[error]));
    json_object_set_new(reply, "calls_by_error", by_error);
    json_object_set_new(reply, "last_protocol_error", json_string(stats.last_protocol_error));
#define COUNTER(name) json_object_set_new(reply, #name, json_integer((json_int_t)stats.name))
    COUNTER(calls), COUNTER(ids), COUNTER(attempts), COUNTER(retries), COUNTER(hedges);
    COUNTER(silences), COUNTER(late_answers), COUNTER(budget_waits), COUNTER(connects);
    COUNTER(connect_failures), COUNTER(disconnects), COUNTER(goaways), COUNTER(breaker_opens);
    COUNTER(probes), COUNTER(order_errors), COUNTER(protocol_errors), COUNTER(wrong_fleet);
    COUNTER(prefetch_hits), COUNTER(prefetch_fills), COUNTER(prefetch_expired), COUNTER(resolves);
    COUNTER(resolve_failures), COUNTER(discoveries), COUNTER(servers), COUNTER(servers_usable);
    COUNTER(servers_discovered);
#undef COUNTER
    return reply;
}

static json_t *perform(struct sf_client **client, json_t *request)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    if (op == NULL)
        return failure(SF_CLIENT_INVALID, "no JSON object with an op");
    if (strcmp(op, "open") == 0)
        return op_open(client, request);
    if (*client == NULL)
        return failure(SF_CLIENT_INVALID, "no client is open");
    if (strcmp(op, "next") == 0)
        return op_next(*client, request);
    if (strcmp(op, "load") == 0)
        return op_load(*client, request);
    if (strcmp(op, "decode") == 0)
        return op_decode(*client, request);
    if (strcmp(op, "stats") == 0)
        return op_stats(*client);
    if (strcmp(op, "close") == 0) {
        sf_client_destroy(*client);
        *client = NULL;
        return success();
    }
    return failure(SF_CLIENT_INVALID, "op: open, next, load, decode, stats and close are known");
}

int main(void)
{
    struct sf_client *client = NULL;
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        json_t *request = json_loads(line, 0, NULL);
        answer(perform(&client, request), json_object_get(request, "n"));
        json_decref(request);
    }
    free(line);
    sf_client_destroy(client);
    return 0;
}
