/* A thousand IDs through an event loop of one's own: submit, poll the descriptor, process. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include <snowfleet/client.h>

struct sum {
    unsigned ids, failed;
};

static void done(void *ctx, const struct sf_client_reply *reply)
{
    struct sum *sum = ctx;
    sum->ids += reply->count;
    sum->failed += reply->error != SF_CLIENT_OK;
}

int main(int argc, char **argv)
{
    struct sf_client_options options = SF_CLIENT_OPTIONS;
    struct sf_client *client;
    struct sum sum = {0, 0};
    if (argc > 1)
        options.servers = argv[1];
    if (sf_client_create(&options, &client, NULL, 0) != SF_CLIENT_OK)
        return 1;
    for (int i = 0; i < 100; i++) {
        const struct sf_client_request request = {.count = 10};
        if (sf_client_submit(client, &request, done, &sum) != SF_CLIENT_OK)
            return 1;
    }
    while (sf_client_process(client) > 0) {
        struct pollfd loop = {.fd = sf_client_fd(client), .events = POLLIN};
        (void)poll(&loop, 1, -1);
    }
    sf_client_destroy(client);
    printf("%u IDs, %u calls failed\n", sum.ids, sum.failed);
    return sum.failed != 0;
}
