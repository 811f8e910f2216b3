/* Calls from somebody else's event loop: one engine, used by one thread at a time. */
#include <stdlib.h>

#include "client/client_inner.h"

/* The engine, in use from now on; NULL when memory or descriptors are out. */
static struct sf_engine *enter(struct sf_client *client)
{
    (void)sf_client_here(client);
    if (client->async == NULL)
        client->async = sf_engine_create(&client->shared);
    if (client->async != NULL)
        sf_engine_enter(client->async);
    return client->async;
}

int sf_client_fd(struct sf_client *client)
{
    struct sf_engine *const engine = enter(client);
    if (engine == NULL)
        return -1;
    const int fd = sf_engine_fd(engine);
    if (client->orphans != NULL)
        sf_engine_wake(engine);
    sf_engine_leave(engine);
    return fd;
}

static enum sf_client_error start(struct sf_engine *engine, const struct sf_client_request *request,
                                  sf_client_done *done, void *ctx)
{
    if (sf_engine_fd(engine) < 0)
        return SF_CLIENT_MEMORY;
    if (sf_engine_calls(engine) >= SF_CLIENT_CALLS_MAX)
        return SF_CLIENT_BUSY;
    struct sf_call *const call = calloc(1, sizeof *call);
    if (call == NULL)
        return SF_CLIENT_MEMORY;
    call->request = *request;
    call->done = done;
    call->ctx = ctx;
    sf_engine_start(engine, call);
    return SF_CLIENT_OK;
}

enum sf_client_error sf_client_submit(struct sf_client *client,
                                      const struct sf_client_request *request, sf_client_done *done,
                                      void *ctx)
{
    if (!sf_client_request_is_valid(request) || done == NULL)
        return SF_CLIENT_INVALID;
    struct sf_engine *const engine = enter(client);
    if (engine == NULL)
        return SF_CLIENT_MEMORY;
    const enum sf_client_error error = start(engine, request, done, ctx);
    sf_engine_leave(engine);
    return error;
}

uint32_t sf_client_process(struct sf_client *client)
{
    for (;;) {
        struct sf_engine *const engine = enter(client);
        sf_client_report_orphans(client);
        if (engine == NULL)
            return 0;
        const bool ours = sf_engine_turn(engine, false);
        sf_engine_leave(engine);
        if (ours)
            return sf_engine_calls(engine);
        /* This is a child: a callback forked. Has it set itself right already (the callback used
         * the client), then the engine was left to us; else the next round does all. */
        if (client->async != engine)
            sf_client_bequeath(client, engine, sf_client_forked);
    }
}
