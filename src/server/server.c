/* The server as other threads see it: creating, draining, reloading, counting. */
#include "server/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/thread.h"
#include "base/ticks.h"
#include "server/internal.h"
#include "server/listener.h"
#include "server/mint.h"
#include "server/quota.h"

static void collect_tokens(struct sf_tokens *tokens, struct sf_metrics_page *page)
{
    for (size_t i = 0; i < sf_tokens_count(tokens); i++) {
        const struct sf_token *token = sf_tokens_at(tokens, i);
        char labels[SF_TOKEN_NAME_MAX + 16]; /* a name has nothing to escape */
        snprintf(labels, sizeof labels, "name=\"%s\"", token->name);
        sf_metrics_emit(page, SF_METRIC_AUTH_LOGINS, labels, (double)atomic_load(&token->logins));
        sf_metrics_emit(page, SF_METRIC_AUTH_REQUESTS, labels,
                        (double)atomic_load(&token->requests));
        sf_metrics_emit(page, SF_METRIC_AUTH_IDS, labels, (double)atomic_load(&token->ids));
        sf_metrics_emit(page, SF_METRIC_AUTH_LIMITED, labels, (double)atomic_load(&token->limited));
    }
}

static void collect(void *ctx, struct sf_metrics_page *page)
{
    struct sf_server *server = ctx;
    pthread_mutex_lock(&server->lock);
    struct sf_tokens *tokens = sf_tokens_ref(server->settings.tokens);
    pthread_mutex_unlock(&server->lock);
    collect_tokens(tokens, page);
    sf_tokens_unref(tokens);
    sf_metrics_emit(page, SF_METRIC_CONNECTIONS, "", sf_server_connections(server));
    sf_metrics_emit(page, SF_METRIC_WAITING_REQUESTS, "", sf_server_waiting(server));
}

static int check_options(const struct sf_server_options *options, struct sf_error *err)
{
    if (options->threads < 1 || options->threads > SF_SERVER_THREADS_MAX)
        return sf_error_set(err, -EINVAL, "listen.threads is %u; allowed are 1 to %d",
                            options->threads, SF_SERVER_THREADS_MAX);
    SF_ASSERT(options->generator_count >= 1 &&
              options->generator_count <= SF_SERVER_GENERATORS_MAX);
    for (size_t i = 1; i < options->generator_count; i++)
        SF_ASSERT(memcmp(&options->generators[i]->layout, &options->generators[0]->layout,
                         sizeof(struct sf_layout)) == 0);
    return 0;
}

static uint32_t max_batch_of(const struct sf_server *server, const struct sf_server_limits *limits)
{
    const uint64_t burst = sf_quota_common_burst(limits);
    const uint32_t fits = sf_mint_max_batch(limits->max_batch, server->sequence_bits);
    return burst < fits ? (uint32_t)burst : fits;
}

static int read_files(const struct sf_server_options *options, struct sf_settings *to,
                      struct sf_error *err)
{
    struct sf_settings settings = *to;
    if (options->token_file != NULL) {
        const int rc =
            sf_tokens_read(options->token_file, "listen.token_file", &settings.tokens, err);
        if (rc != 0)
            return rc;
    }
    if (options->tls_cert != NULL || options->tls_key != NULL || options->tls_client_ca != NULL) {
        const int rc = sf_tls_load(options->tls_cert, options->tls_key, options->tls_client_ca,
                                   &settings.tls, err);
        if (rc != 0) {
            sf_tokens_unref(settings.tokens);
            return rc;
        }
    }
    *to = settings;
    return 0;
}

/* Reads the files and makes the settings that shards take over. */
static int make_settings(const struct sf_server *server, const struct sf_server_options *options,
                         struct sf_settings *ret, struct sf_error *err)
{
    struct sf_settings settings = {.limits = options->limits,
                                   .wants_certificate = options->tls_client_ca != NULL};
    settings.limits.max_batch = max_batch_of(server, &options->limits);
    const int rc = read_files(options, &settings, err);
    if (rc == 0)
        *ret = settings;
    return rc;
}

int sf_server_check(const struct sf_server_options *options, struct sf_error *err)
{
    struct sf_settings settings = {.limits = options->limits};
    const int rc = read_files(options, &settings, err);
    if (rc != 0)
        return rc;
    sf_tokens_unref(settings.tokens);
    sf_tls_unref(settings.tls);
    return sf_unix_check(&options->unix_wish, err);
}

static int create_shards(struct sf_server *server, struct sf_error *err)
{
    for (unsigned i = 0; i < server->options.threads; i++) {
        server->shards[i] = sf_shard_create(server, i);
        if (server->shards[i] == NULL)
            return sf_error_set(err, -ENOMEM, "shard %u: no memory or no descriptors", i);
        server->shard_count++;
    }
    return 0;
}

/* Generators without a word are not set up yet: a width that serves any request until then. */
static void take_layout(struct sf_server *server)
{
    const struct sf_generator *gen = server->options.generators[0];
    const struct sf_layout fallback = SF_DEFAULT_LAYOUT;
    atomic_store(&server->sequence_bits,
                 gen->word != NULL ? gen->layout.sequence_bits : fallback.sequence_bits);
    atomic_store(&server->max_ahead_ms, gen->word != NULL ? gen->max_ahead_ms : 0);
}

void sf_server_layout_known(struct sf_server *server)
{
    take_layout(server);
    pthread_mutex_lock(&server->lock);
    server->settings.limits.max_batch = max_batch_of(server, &server->options.limits);
    atomic_store(&server->max_batch, server->settings.limits.max_batch);
    atomic_fetch_add_explicit(&server->generation, 1, memory_order_release);
    pthread_mutex_unlock(&server->lock);
    sf_info_renew(server);
}

int sf_server_listen(const struct sf_host_port *address, bool http, int *ret_fd,
                     struct sf_error *err)
{
    return sf_listener_open(address, http ? "listen.http_address" : "listen.address", ret_fd, err);
}

/* given: one that was opened before; NULL: none. */
static int take_listener(struct sf_server *server, const struct sf_host_port *address, bool http,
                         int *given, struct sf_error *err)
{
    struct sf_listener *listener = &server->listeners[server->listener_count];
    int rc = 0;
    if (given == NULL) {
        rc = sf_server_listen(address, http, &listener->fd, err);
    } else {
        listener->fd = *given;
        *given = -1;
    }
    if (rc != 0)
        return rc;
    listener->port = sf_listener_port(listener->fd);
    listener->http = http;
    server->listener_count++;
    return 0;
}

static int take_unix_listener(struct sf_server *server, const struct sf_server_options *options,
                              struct sf_error *err)
{
    if (options->unix_wish.path == NULL)
        return 0;
    if (options->unix_listener == NULL) {
        const int rc = sf_unix_listen(&options->unix_wish, &server->unix_socket, err);
        if (rc != 0)
            return rc;
    } else {
        server->unix_socket = *options->unix_listener;
        options->unix_listener->fd = -1;
    }
    server->listeners[server->listener_count++] =
        (struct sf_listener){.fd = server->unix_socket.fd, .local = true};
    return 0;
}

int sf_server_create(const struct sf_server_options *options, struct sf_server **ret_server,
                     struct sf_error *err)
{
    int rc = check_options(options, err);
    if (rc != 0)
        return rc;
    struct sf_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return sf_error_set(err, -ENOMEM, "no memory for the server");
    server->options = *options;
    server->options.tls_cert = server->options.tls_key = server->options.tls_client_ca = NULL;
    server->options.token_file = server->options.hosts = NULL;
    server->options.listener = server->options.http_listener = NULL;
    server->options.unix_wish = (struct sf_unix_wish){0};
    server->options.unix_listener = NULL;
    server->unix_socket.fd = -1;
    take_layout(server);
    pthread_mutex_init(&server->lock, NULL);
    pthread_mutex_init(&server->info_lock, NULL);
    sf_addresses_init(&server->addresses);
    sf_metrics_register(options->metrics, collect, server);
    server->hosts = strdup(options->hosts != NULL ? options->hosts : "");
    rc = server->hosts != NULL ? make_settings(server, options, &server->settings, err)
                               : sf_error_set(err, -ENOMEM, "no memory for the server");
    atomic_store(&server->max_batch, server->settings.limits.max_batch);
    if (rc == 0)
        rc = take_listener(server, &options->address, false, options->listener, err);
    if (rc == 0 && options->has_http)
        rc = take_listener(server, &options->http_address, true, options->http_listener, err);
    if (rc == 0)
        rc = take_unix_listener(server, options, err);
    if (rc == 0)
        rc = create_shards(server, err);
    if (rc != 0) {
        sf_server_destroy(server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

static void stop(struct sf_server *server)
{
    atomic_store_explicit(&server->stopping, true, memory_order_release);
    for (unsigned i = 0; i < server->shard_count; i++)
        sf_inbox_wake(server->shards[i]->inbox);
    for (unsigned i = 0; i < server->shard_count && server->started; i++)
        pthread_join(server->shards[i]->thread, NULL);
    server->started = false;
}

int sf_server_start(struct sf_server *server, struct sf_error *err)
{
    SF_ASSERT(!server->started);
    const unsigned count = server->shard_count;
    if (sf_info_start(server) != 0)
        return sf_error_set(err, -ENOMEM, "no memory for the text of INFO");
    for (unsigned i = 0; i < count; i++) {
        char name[24]; /* the kernel takes 15 */
        snprintf(name, sizeof name, "sf-shard-%u", i % SF_SERVER_THREADS_MAX);
        const int rc =
            sf_thread_start(&server->shards[i]->thread, name, sf_shard_main, server->shards[i]);
        if (rc != 0) {
            server->shard_count = i; /* those that run are stopped */
            server->started = true;
            stop(server);
            server->shard_count = count;
            return sf_error_set(err, rc, "thread %u of the data port cannot be started", i);
        }
    }
    server->started = true;
    return 0;
}

uint16_t sf_server_port(const struct sf_server *server)
{
    return server->listeners[0].port;
}

uint16_t sf_server_http_port(const struct sf_server *server)
{
    return server->options.has_http ? server->listeners[1].port : 0;
}

uint32_t sf_server_max_batch(const struct sf_server *server)
{
    return atomic_load(&server->max_batch);
}

void sf_server_drain(struct sf_server *server, uint32_t deadline_ms, const char *reason)
{
    sf_unix_remove(&server->unix_socket);
    pthread_mutex_lock(&server->lock);
    if (!atomic_load(&server->draining)) {
        server->goaway_end_ms = sf_mono_ns() / SF_NS_PER_MS + deadline_ms;
        snprintf(server->goaway_reason, sizeof server->goaway_reason, "%s", reason);
        atomic_store_explicit(&server->draining, true, memory_order_release);
    }
    pthread_mutex_unlock(&server->lock);
    for (unsigned i = 0; i < server->shard_count; i++)
        sf_inbox_wake(server->shards[i]->inbox);
}

uint32_t sf_server_connections(const struct sf_server *server)
{
    return atomic_load_explicit(&server->connections, memory_order_relaxed);
}

uint64_t sf_server_waiting_ids(const struct sf_server *server)
{
    return atomic_load_explicit(&server->waiting_ids, memory_order_relaxed);
}

uint32_t sf_server_waiting(const struct sf_server *server)
{
    return atomic_load_explicit(&server->waiting, memory_order_relaxed);
}

int sf_server_reload(struct sf_server *server, const struct sf_server_options *options,
                     struct sf_error *err)
{
    int rc = check_options(options, err);
    struct sf_settings settings;
    if (rc == 0)
        rc = make_settings(server, options, &settings, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&server->lock);
    /* Another thread may have made the layout known meanwhile. */
    settings.limits.max_batch = max_batch_of(server, &options->limits);
    const struct sf_settings old = server->settings;
    if (settings.tokens != NULL)
        sf_tokens_inherit(settings.tokens, old.tokens);
    server->settings = settings;
    server->options.limits = options->limits; /* for when the layout is known */
    atomic_store(&server->max_batch, settings.limits.max_batch);
    atomic_fetch_add_explicit(&server->generation, 1, memory_order_release);
    pthread_mutex_unlock(&server->lock);
    sf_tokens_unref(old.tokens);
    sf_tls_unref(old.tls);
    for (unsigned i = 0; i < server->shard_count; i++)
        sf_inbox_wake(server->shards[i]->inbox);
    return 0;
}

size_t sf_server_stalls_ms(const struct sf_server *server, uint32_t ret_ms[SF_SERVER_THREADS_MAX])
{
    const int64_t now_ms = sf_mono_ns() / SF_NS_PER_MS;
    for (unsigned i = 0; i < server->shard_count; i++) {
        const int64_t ms =
            now_ms - atomic_load_explicit(&server->shards[i]->beat_ms, memory_order_relaxed);
        ret_ms[i] = ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    }
    return server->shard_count;
}

void sf_server_destroy(struct sf_server *server)
{
    if (server == NULL)
        return;
    sf_metrics_unregister(server->options.metrics, collect, server);
    stop(server);
    for (unsigned i = 0; i < server->shard_count; i++)
        sf_shard_destroy(server->shards[i]);
    for (unsigned i = 0; i < server->listener_count; i++)
        if (!server->listeners[i].local)
            close(server->listeners[i].fd);
    sf_unix_close(&server->unix_socket);
    sf_tokens_unref(server->settings.tokens);
    sf_tls_unref(server->settings.tls);
    sf_addresses_free(&server->addresses);
    sf_info_unref(server->info);
    pthread_mutex_destroy(&server->info_lock);
    pthread_mutex_destroy(&server->lock);
    free(server->hosts);
    free(server);
}
