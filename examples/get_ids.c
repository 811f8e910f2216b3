/* Ten IDs from a fleet. cc get_ids.c $(pkg-config --cflags --libs snowfleet) && ./a.out
 * ids-0:7450,ids-1:7450 */
#include <inttypes.h>
#include <stdio.h>

#include <snowfleet/client.h>

int main(int argc, char **argv)
{
    struct sf_client_options options = SF_CLIENT_OPTIONS;
    struct sf_client *client;
    char detail[SF_CLIENT_DETAIL_MAX];
    if (argc > 1)
        options.servers = argv[1];
    if (sf_client_create(&options, &client, detail, sizeof detail) != SF_CLIENT_OK) {
        fprintf(stderr, "%s\n", detail);
        return 1;
    }
    for (int i = 0; i < 10; i++) {
        uint64_t id;
        enum sf_client_error error = sf_client_next(client, &id);
        if (error != SF_CLIENT_OK) {
            fprintf(stderr, "no ID: %s\n", sf_client_error_text(error));
            sf_client_destroy(client);
            return 1;
        }
        printf("%" PRIu64 "\n", id);
    }
    sf_client_destroy(client);
    return 0;
}
