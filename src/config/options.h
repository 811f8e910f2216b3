/* config/options.h - the rows of table.h as data, for the files of this room: none of them can know
 * an option that another does not. Pure; any thread. */
#ifndef SF_CONFIG_OPTIONS_H
#define SF_CONFIG_OPTIONS_H

#include "config/config.h"
#include "config/option.h"

extern const struct sf_option sf_options[];
extern const unsigned sf_option_count;

#define SF_OPTIONS_MAX 80

/* "SNOWFLEET_LISTEN_MAX_BATCH" and "listen-max-batch" of an option, in a buffer of the caller's. */
const char *sf_option_variable(const struct sf_option *option, char buffer[SF_OPTION_NAME_MAX]);
const char *sf_option_flag(const struct sf_option *option, char buffer[SF_OPTION_NAME_MAX]);

/* The option's index, or -1. */
int sf_option_by_name(const char *name);
int sf_option_by_variable(const char *variable);
int sf_option_by_flag(const char *flag);

/* The field of an option. */
void *sf_option_field(const struct sf_option *option, struct sf_config *config);
const void *sf_option_field_const(const struct sf_option *option, const struct sf_config *config);

#endif
