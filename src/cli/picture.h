/* cli/picture.h - looks at everything of a fleet that can be reached from here, for `snowfleet doctor`: the coordinator,
 * every worker that it or another worker names, and those that were named. One thread, blocking: a worker that stands
 * still costs SF_DOCTOR_ANSWER_MS. */
#ifndef SF_CLI_PICTURE_H
#define SF_CLI_PICTURE_H

#include "cli/diagnosis.h"
#include "cli/fleet.h"
#include "cli/http.h"

struct sf_look;

/* Where to look. */
struct sf_look_at {
    struct sf_cli_fleet *fleet;      /* open; NULL: no coordinator was named */
    const struct sf_cli_list *admins; /* of workers that were named; may be empty */
    struct sf_cli_admin like;        /* token and certificates for all of them; url: with https:// where all have TLS */
};

/* Looks. Never NULL; nothing that fails is an error, it is part of the picture. */
struct sf_look *sf_look_take(const struct sf_look_at *at);
/* What was seen; belongs to the look. */
const struct sf_picture *sf_look_picture(const struct sf_look *look);
void sf_look_free(struct sf_look *look);

#endif
