/* Both libraries in one program: an ID that the one minted is taken apart by the other. */
#include <inttypes.h>
#include <stdio.h>

#include <snowfleet/client.h>
#include <snowfleet/minter.h>

int main(int argc, char **argv)
{
    struct sf_minter_options options = SF_MINTER_OPTIONS;
    struct sf_client_options client_options = SF_CLIENT_OPTIONS;
    struct sf_minter_view status;
    struct sf_minter *minter = NULL;
    struct sf_client *client = NULL;
    struct sf_id_parts parts;
    char detail[SF_MINTER_DETAIL_MAX];
    uint64_t id = 0;
    options.coordinator = argc > 1 ? argv[1] : "";
    if (sf_client_create(&client_options, &client, detail, sizeof detail) != SF_CLIENT_OK ||
        sf_minter_open(&options, &minter, detail, sizeof detail) != SF_MINTER_OK) {
        fprintf(stderr, "%s\n", detail);
        return 1;
    }
    const enum sf_minter_error error = sf_minter_wait(minter, 30000);
    if (error != SF_MINTER_OK || sf_minter_next(minter, &id) != SF_MINTER_OK ||
        sf_minter_status(minter, &status, sizeof status) != SF_MINTER_OK ||
        sf_id_decode(&status.layout, id, &parts) != 0) {
        fprintf(stderr, "%s\n", sf_minter_error_text(error));
        return 1;
    }
    printf("%" PRIu64 " %u\n", parts.worker, status.slots[0].worker);
    sf_client_destroy(client);
    return sf_minter_close(minter) != SF_MINTER_OK;
}
