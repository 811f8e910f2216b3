/* Fake servers, one process's worth of them, and clients that ask them. Whoever includes this says
 * how many before: #define SERVERS 3. */
#ifndef SF_TESTS_CLIENT_FIXTURE_H
#define SF_TESTS_CLIENT_FIXTURE_H

#include "unit/cmocka_all.h"

#include <snowfleet/client.h>

#include "base/ticks.h"
#include "unit/fake_server.h"

static struct fake_server servers[SERVERS];

static int setup(void **state)
{
    (void)state;
    memset(servers, 0, sizeof servers);
    for (int i = 0; i < SERVERS; i++) {
        servers[i].worker = (uint64_t)i + 1;
        fake_start(&servers[i], 0);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < SERVERS; i++)
        fake_end(&servers[i]);
    return 0;
}

/* A client of the first `count` servers, unless the options name others. */
static struct sf_client *client_of(int count, struct sf_client_options options)
{
    char text[256] = "", detail[SF_CLIENT_DETAIL_MAX];
    for (int i = 0; i < count; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "127.0.0.1:%u,",
                       servers[i].port);
    if (options.servers == NULL)
        options.servers = text;
    struct sf_client *client = NULL;
    const enum sf_client_error error = sf_client_create(&options, &client, detail, sizeof detail);
    if (error != SF_CLIENT_OK)
        fail_msg("create: %s: %s", sf_client_error_name(error), detail);
    return client;
}

/* Returns the longest call, in ms. */
static inline int64_t must_serve(struct sf_client *client, int calls)
{
    int64_t longest = 0;
    for (int i = 0; i < calls; i++) {
        struct sf_client_reply reply;
        if (sf_client_ask(client, &(struct sf_client_request){.count = 1}, &reply) != SF_CLIENT_OK)
            fail_msg("call %d: %s: %s", i, sf_client_error_name(reply.error), reply.detail);
        longest = reply.duration_ns > longest ? reply.duration_ns : longest;
        sf_client_reply_free(&reply);
    }
    return longest / SF_NS_PER_MS;
}

static inline struct sf_client_stats stats_of(struct sf_client *client)
{
    struct sf_client_stats stats;
    sf_client_stats(client, &stats);
    return stats;
}

#endif
