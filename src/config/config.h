/* config/config.h - the options of snowfleetd: one table (config/table.h), four places to set them
 * (flag over environment over file over default).
 *
 * One name everywhere: listen.address in the file (JSON, nested objects), SNOWFLEET_LISTEN_ADDRESS
 * in the environment, --listen-address as a flag, listen_address in struct sf_config. One thread.
 * Strings belong to the config. */
#ifndef SF_CONFIG_CONFIG_H
#define SF_CONFIG_CONFIG_H

#include <stdio.h>

#include "base/strbuf.h"
#include "config/table.h"

/* One field for each row of the table: listen.max_batch is listen_max_batch. */
struct sf_config {
#define SF_CONFIG_FIELD(type, group, key, ...) SF_OPTION_C_##type group##_##key;
    SF_OPTION_TABLE(SF_CONFIG_FIELD)
#undef SF_CONFIG_FIELD
};

enum sf_config_action {
    SF_CONFIG_RUN,
    SF_CONFIG_CHECK,  /* --check-config */
    SF_CONFIG_HELP,   /* --help */
    SF_CONFIG_VERSION /* --version */
};

/* Reads flags, environment (name=value strings as in environ) and the file that --config names. All
 * errors are appended to `errors`, one a line: option, where it came from, value, what is allowed.
 * Returns 0; -EDOM for a usage error (unknown flag, missing value), -EINVAL for other lines in
 * `errors`, a file that cannot be read among them, -ENOMEM. ret_config: to be freed; NULL for --help
 * and --version. It and ret_action are left alone on failure. */
int sf_config_load(int argc, char *const argv[], char *const environment[],
                   struct sf_config **ret_config, enum sf_config_action *ret_action,
                   struct sf_strbuf *errors);
void sf_config_free(struct sf_config *config); /* NULL is fine */

#define SF_CONFIG_VALUE_MAX (1U << 20) /* a value as JSON */

/* Tells each option whose value is another one in `to`, in the table's order; reloaded: it takes effect without a restart. */
typedef void sf_config_change(void *ctx, const char *name, bool reloaded);
void sf_config_changes(const struct sf_config *from, const struct sf_config *to, sf_config_change *tell, void *ctx);

/* The effective options as a JSON object, nested as in the file. Secrets are file names, so nothing
 * is hidden. */
void sf_config_json(const struct sf_config *config, struct sf_strbuf *to);
/* --help. */
void sf_config_help(FILE *to);
/* For tests: one writes docs/configuration.md with it and compares. */
void sf_config_markdown(FILE *to);

#endif
