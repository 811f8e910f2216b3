/* client_endurance [CALLS [RECONNECTS]]: a client makes so many calls and loses its connection so
 * often, against servers in this process; memory and descriptors must not grow. Run it under a leak
 * checker, too. */
#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>

#include <snowfleet/client.h>

#include "base/ticks.h"
#include "unit/fake_server.h"

#define SERVERS 3
/* Between the first tenth and the end; an allocation that every call or connection left behind
 * would come to a multiple. */
#define GROWTH_MAX (128 * 1024)

struct endurance {
    struct sf_client *client;
    uint64_t left, failed;
};

static struct fake_server servers[SERVERS];

static size_t memory(void)
{
    return mallinfo2().uordblks;
}

static int descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void on_done(void *ctx, const struct sf_client_reply *reply)
{
    struct endurance *e = ctx;
    const struct sf_client_request request = {.count = 1};
    e->failed += reply->error != SF_CLIENT_OK;
    if (e->left == 0)
        return;
    e->left--;
    if (sf_client_submit(e->client, &request, on_done, e) != SF_CLIENT_OK)
        abort();
}

/* Many calls under way at a time. */
static void make_calls(struct endurance *e, uint64_t count)
{
    const struct sf_client_request request = {.count = 1};
    e->left = count;
    for (int i = 0; i < 64 && e->left > 0; i++, e->left--)
        if (sf_client_submit(e->client, &request, on_done, e) != SF_CLIENT_OK)
            abort();
    do {
        struct pollfd pollfd = {.fd = sf_client_fd(e->client), .events = POLLIN};
        (void)poll(&pollfd, 1, 1000);
    } while (sf_client_process(e->client) > 0);
}

/* Each call ends its connection, or the next one does, if that is quicker than the GOAWAY. */
static void make_reconnects(struct endurance *e, uint64_t count)
{
    for (int i = 0; i < SERVERS; i++)
        servers[i].mode = FAKE_GOAWAY;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t id;
        e->failed += sf_client_next(e->client, &id) != SF_CLIENT_OK;
    }
    for (int i = 0; i < SERVERS; i++)
        servers[i].mode = FAKE_SERVE;
}

static uint64_t argument(int argc, char **argv, int index, uint64_t standard)
{
    return argc > index ? strtoull(argv[index], NULL, 10) : standard;
}

int main(int argc, char **argv)
{
    const uint64_t calls = argument(argc, argv, 1, 1000000);
    const uint64_t reconnects = argument(argc, argv, 2, 1200);
    char text[128] = "";
    for (int i = 0; i < SERVERS; i++) {
        servers[i].worker = (uint64_t)i + 1;
        fake_start(&servers[i], 0);
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "127.0.0.1:%u,",
                       servers[i].port);
    }
    /* Long times: what is looked for is leaks, however slow the checker makes it. */
    const struct sf_client_options options = {
        .servers = text, .timeout_ms = 60000, .attempt_timeout_ms = 20000, .discover = true};
    struct endurance e = {0};
    if (sf_client_create(&options, &e.client, NULL, 0) != SF_CLIENT_OK)
        abort();
    size_t memory_before = 0;
    int descriptors_before = 0;
    for (int tenth = 0; tenth < 10; tenth++) {
        make_calls(&e, calls / 10);
        make_reconnects(&e, reconnects / 10);
        make_calls(&e, 100); /* with all connections as they usually are */
        if (tenth == 0) {
            memory_before = memory();
            descriptors_before = descriptors();
        }
    }
    const size_t memory_after = memory();
    const int descriptors_after = descriptors();
    struct sf_client_stats stats;
    sf_client_stats(e.client, &stats);
    sf_client_destroy(e.client);
    for (int i = 0; i < SERVERS; i++)
        fake_end(&servers[i]);
    printf("%" PRIu64 " calls, %" PRIu64 " connections, %" PRIu64
           " failed; memory %zu then %zu bytes, descriptors %d then "
           "%d\n",
           stats.calls, stats.connects, e.failed, memory_before, memory_after, descriptors_before,
           descriptors_after);
    const bool fine = e.failed == 0 && stats.calls >= calls &&
                      stats.connects >= reconnects * 5 / 6 &&
                      memory_after < memory_before + GROWTH_MAX &&
                      descriptors_after <= descriptors_before + SERVERS;
    return fine ? 0 : 1;
}
