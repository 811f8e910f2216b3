/* daemon/reload.h - what a running worker reads again: its options (SIGHUP, POST /reload), and the files they name when those change by
 * themselves. What cannot be used changes nothing where it is used: the log says so, and snowfleet_reloads_total counts.
 *
 * Main's thread, but where it says otherwise. */
#ifndef SF_DAEMON_RELOAD_H
#define SF_DAEMON_RELOAD_H

#include <jansson.h>

#include "daemon/daemon.h"

void sf_reload_init(struct sf_daemon *d);
void sf_reload_destroy(struct sf_daemon *d);

/* Reads everything again. because: who asked, for the log. */
void sf_reload_all(struct sf_daemon *d, const char *because);
/* In each turn of main: does what other threads have asked for, and looks at the files. */
void sf_reload_turn(struct sf_daemon *d);

/* Has main read everything again and waits until it has, SF_RELOAD_WAIT_MS at most. Any thread but main. Returns 0 with a JSON object (members
 * changed and needs_restart, arrays of names), or a negative errno code with sentences for people. */
#define SF_RELOAD_WAIT_MS 5000
int sf_reload_ask(struct sf_daemon *d, struct sf_strbuf *to);

/* Why the last one was refused, for /status; null where it was not. A new reference. Any thread. */
json_t *sf_reload_refusal(struct sf_daemon *d);

/* Emits the counts, and when certificates end. Any thread. */
void sf_reload_collect(struct sf_daemon *d, struct sf_metrics_page *page);

#endif
