/* config/defaults.h - what an option is when nobody says. One thread. */
#ifndef SF_CONFIG_DEFAULTS_H
#define SF_CONFIG_DEFAULTS_H

#include "config/loader.h"

/* Fills every option that was neither given nor refused: from its row, or worked out from the
 * machine, the environment and other options. */
void sf_config_fill_defaults(struct sf_config_loader *loader);

#endif
