/* config/combinations.h - values that are fine alone and cannot work together. One thread. */
#ifndef SF_CONFIG_COMBINATIONS_H
#define SF_CONFIG_COMBINATIONS_H

#include "config/loader.h"

/* Complains about each that holds, unless one of its values was refused anyway. */
void sf_config_check_combinations(struct sf_config_loader *loader);

/* One, for documentation: these two options, and why. */
struct sf_config_combination {
    const char *first, *second, *why;
};
extern const struct sf_config_combination sf_config_combinations[];
extern const unsigned sf_config_combination_count;

#endif
