/* daemon/figures.h - what happened in the last seconds and minutes, for /status, and how near to its
 * ceiling the worker is. */
#ifndef SF_DAEMON_FIGURES_H
#define SF_DAEMON_FIGURES_H

#include <jansson.h>

#include "daemon/daemon.h"

/* Notes what was counted since the last second. Main's thread, at least once a second. */
void sf_figures_turn(struct sf_daemon *d);

/* The share of what the slots can mint that was asked for in the last ten seconds, waiting included; -1:
 * not known yet. Any thread. */
double sf_figures_saturation(struct sf_daemon *d);

/* Puts "latency_us", "rates" and "saturation" into /status. Any thread. */
void sf_figures_add(struct sf_daemon *d, json_t *status);

#endif
