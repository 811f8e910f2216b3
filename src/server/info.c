/* The text of INFO: built as often as a bucket allows, sent as it is. */
#include "server/info.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "server/internal.h"

void sf_info_unref(struct sf_info *info)
{
    if (info != NULL && atomic_fetch_sub(&info->references, 1) == 1)
        free(info);
}

/* Quotes within a text are escaped, so this can only be the member. */
static void find_max_batch(struct sf_info *info)
{
    static const char member[] = "\"max_batch\":";
    const char *found = memmem(info->text, info->size, member, sizeof member - 1);
    if (found == NULL)
        return;
    info->number_at = (size_t)(found - info->text) + sizeof member - 1;
    uint64_t value = 0;
    size_t at = info->number_at;
    for (; at < info->size && info->text[at] >= '0' && info->text[at] <= '9'; at++)
        value = value * 10 + (uint64_t)(info->text[at] - '0');
    SF_ASSERT(value <= SF_WIRE_COUNT_MAX);
    info->max_batch = (uint32_t)value;
    info->number_size = at - info->number_at;
}

size_t sf_info_lower(const struct sf_info *info, uint32_t max_batch, char *to)
{
    const size_t behind = info->number_at + info->number_size;
    SF_ASSERT(max_batch < info->max_batch && info->number_size > 0);
    memcpy(to, info->text, info->number_at);
    const int written =
        snprintf(to + info->number_at, info->number_size + 1, "%" PRIu32, max_batch);
    const size_t at = info->number_at + (size_t)written;
    memcpy(to + at, info->text + behind, info->size - behind);
    return at + info->size - behind;
}

static struct sf_info *build(const struct sf_server *server)
{
    const struct sf_server_host *host = &server->options.host;
    char text[SF_INFO_MAX];
    const size_t size = host->info(host->ctx, text, sizeof text);
    SF_ASSERT(size <= sizeof text);
    struct sf_info *info = malloc(sizeof *info + size);
    if (info == NULL)
        return NULL;
    *info = (struct sf_info){.size = size};
    atomic_init(&info->references, 1);
    memcpy(info->text, text, size);
    find_max_batch(info);
    return info;
}

int sf_info_start(struct sf_server *server)
{
    sf_info_unref(server->info);
    server->info = build(server);
    return server->info != NULL ? 0 : -ENOMEM;
}

/* Everybody's text is this one from now on, unless a shard that began later was faster. */
static void publish(struct sf_server *server, struct sf_info *info, uint32_t wanted)
{
    pthread_mutex_lock(&server->info_lock);
    struct sf_info *old = info;
    if ((int32_t)(wanted - atomic_load(&server->info_built)) >= 0) {
        old = server->info;
        server->info = info;
        atomic_store(&server->info_built, wanted);
        atomic_fetch_add_explicit(&server->info_generation, 1, memory_order_release);
    }
    pthread_mutex_unlock(&server->info_lock);
    sf_info_unref(old);
}

void sf_info_renew(struct sf_server *server)
{
    atomic_fetch_add(&server->info_wanted, 1);
}

static void take(struct sf_shard *shard)
{
    struct sf_server *server = shard->server;
    struct sf_info *old = shard->info;
    pthread_mutex_lock(&server->info_lock);
    shard->info = server->info;
    atomic_fetch_add(&shard->info->references, 1);
    shard->info_generation = atomic_load(&server->info_generation);
    pthread_mutex_unlock(&server->info_lock);
    sf_info_unref(old);
}

const struct sf_info *sf_info_get(struct sf_shard *shard)
{
    struct sf_server *server = shard->server;
    const uint32_t wanted = atomic_load(&server->info_wanted);
    if (wanted != atomic_load(&server->info_built) ||
        sf_bucket_take(&server->info_bucket, 1, SF_INFO_BURST, 1, shard->now_ns) == 0) {
        struct sf_info *info = build(server);
        if (info != NULL)
            publish(server, info, wanted);
    }
    if (shard->info == NULL ||
        shard->info_generation !=
            atomic_load_explicit(&server->info_generation, memory_order_acquire))
        take(shard);
    return shard->info;
}
