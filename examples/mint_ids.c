/* Ten IDs minted in this process. cc mint_ids.c $(pkg-config --cflags --libs snowfleet-minter) &&
 * ./a.out local:///tmp/ids */
#include <inttypes.h>
#include <stdio.h>

#include <snowfleet/minter.h>

int main(int argc, char **argv)
{
    struct sf_minter_options options = SF_MINTER_OPTIONS;
    struct sf_minter *minter;
    char detail[SF_MINTER_DETAIL_MAX];
    options.coordinator = argc > 1 ? argv[1] : "local:///tmp/ids";
    if (sf_minter_open(&options, &minter, detail, sizeof detail) != SF_MINTER_OK) {
        fprintf(stderr, "%s\n", detail);
        return 1;
    }
    enum sf_minter_error error = sf_minter_wait(minter, 30000);
    for (int i = 0; i < 10 && error == SF_MINTER_OK; i++) {
        uint64_t id;
        error = sf_minter_next(minter, &id);
        if (error == SF_MINTER_OK)
            printf("%" PRIu64 "\n", id);
    }
    if (error != SF_MINTER_OK)
        fprintf(stderr, "no ID: %s\n", sf_minter_error_text(error));
    if (sf_minter_close(minter) != SF_MINTER_OK)
        fprintf(stderr, "the slot was not given back: it rests until its reservation ends\n");
    return error != SF_MINTER_OK;
}
