/* minter/options.h - the configuration that a program's options mean: the worker's own table of options
 * judges them. Any thread. */
#ifndef SF_MINTER_OPTIONS_H
#define SF_MINTER_OPTIONS_H

#include <snowfleet/minter.h>

#include "config/config.h"

/* Returns INVALID with a sentence in `detail`, or MEMORY; ret_config is left alone then. */
enum sf_minter_error sf_minter_configure(const struct sf_minter_options *options,
                                         struct sf_config **ret_config, char *detail, size_t size);

#endif
