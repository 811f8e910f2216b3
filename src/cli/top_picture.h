/* cli/top_picture.h - what `snowfleet top` shows: everybody who is to be there, and what each says of
 * itself. One thread, blocking. */
#ifndef SF_CLI_TOP_PICTURE_H
#define SF_CLI_TOP_PICTURE_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/fleet.h"
#include "cli/http.h"

/* Who is asked. */
struct sf_top_source {
    const struct sf_cli_admin *admin; /* a worker, and how the others are reached */
    struct sf_cli_fleet *fleet;       /* NULL: who there is, that worker says */
    bool fresh; /* one look only: the worker is to read the coordinator first, which may take two seconds;
                   who looks again each second sees what is no older anyway */
    atomic_bool *stop; /* true: nobody else is asked */
};

struct sf_top_member {
    json_t *entry;  /* as a worker's /fleet tells of it (docs/http.md) */
    json_t *status; /* what it says; NULL: it was not asked, or did not answer */
    char why[256];  /* no status: why not; "": it is gone, and nobody is asked */
};

struct sf_top_picture {
    struct sf_top_member *members;
    size_t count;
    struct sf_cli_census census;
    char where[32];   /* " of datacenter 0", or of how many; "": by the coordinator, of all */
    char halted[256]; /* by the coordinator: why the fleet grants nothing; "": it does, or nobody told */
    int64_t at_ms;    /* Unix ms */
};

/* Asks. Returns -1 with a picture to be freed, or the exit code after a line to stderr. */
int sf_top_take(const struct sf_top_source *source, struct sf_top_picture *ret);
/* An empty picture is all zeros; it may be freed too. */
void sf_top_free(struct sf_top_picture *picture);

#endif
