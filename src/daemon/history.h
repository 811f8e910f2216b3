/* daemon/history.h - /history (docs/http.md): the last hour of this worker, as JSON. */
#ifndef SF_DAEMON_HISTORY_H
#define SF_DAEMON_HISTORY_H

#include <stdint.h>

#include "base/strbuf.h"
#include "daemon/daemon.h"
#include "metrics/window.h"

/* Keeps a point of the ten seconds that are just over. figures: of these; saturation: -1 where it is not
 * known. Main's thread. */
void sf_history_note(struct sf_daemon *d, const struct sf_window_figures *figures, double saturation);

/* Writes the points later than the serial `after` (0: all). Any thread. */
void sf_history_json(struct sf_daemon *d, uint64_t after, struct sf_strbuf *to);

#endif
