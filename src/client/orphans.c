/* Asynchronous calls that will get no IDs: their client is destroyed, or they are the parent's of the
 * process that has them. */
#include <stdlib.h>

#include "client/client_inner.h"

void sf_client_bequeath(struct sf_client *client, struct sf_engine *engine, const char *why)
{
    if (client->async == engine)
        client->async = NULL;
    struct sf_call **end = &client->orphans;
    while (*end != NULL)
        end = &(*end)->queue_next;
    *end = sf_engine_orphans(engine, why);
    sf_engine_destroy(engine);
}

void sf_client_report_orphans(struct sf_client *client)
{
    while (client->orphans != NULL) {
        struct sf_call *const call = client->orphans;
        client->orphans = call->queue_next;
        sf_client_count_call(client, call->reply.error);
        call->done(call->ctx, &call->reply);
        free(call);
    }
}
