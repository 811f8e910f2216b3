/* daemon/fitness.h - can a worker be started with these options? One function judges for the start and
 * for --check-config, so that both say the same; and one says which failures pass by themselves. */
#ifndef SF_DAEMON_FITNESS_H
#define SF_DAEMON_FITNESS_H

#include "base/strbuf.h"
#include "config/config.h"

/* Looks at everything that the options name (URLs, certificates, keys, tokens, passwords) and appends a
 * line for each room that refuses. Starts nothing, binds nothing, asks nobody. Returns SF_EXIT_OK,
 * SF_EXIT_CONFIG, or SF_EXIT_TEMPORARY where all that fails may pass by itself. */
int sf_fitness_judge(const struct sf_config *config, struct sf_strbuf *errors);

/* With which code a start ends that failed with rc (a negative errno code): SF_EXIT_CONFIG, which nobody
 * restarts, only where trying again cannot help. */
int sf_fitness_exit_code(int rc); /* SF_EXIT_CONFIG or SF_EXIT_TEMPORARY */

#endif
