/* daemon/info.h - INFO (docs/protocol.md): who this worker is, as JSON. Any thread. */
#ifndef SF_DAEMON_INFO_H
#define SF_DAEMON_INFO_H

#include <jansson.h>

#include "daemon/daemon.h"

/* The object, as a new reference. */
json_t *sf_info_json(struct sf_daemon *d, const struct sf_member_snapshot *member);
/* Its text; returns its length, or 0 where it does not fit. */
size_t sf_info_text(struct sf_daemon *d, char *to, size_t size);
/* The first slot held, or NULL. */
const struct sf_member_slot *sf_info_first_held(const struct sf_member_snapshot *member);

#endif
