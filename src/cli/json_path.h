/* cli/json_path.h - members of what a worker says, by their path. Pure. */
#ifndef SF_CLI_JSON_PATH_H
#define SF_CLI_JSON_PATH_H

#include <jansson.h>

/* Members by path ("clock.offset_ns"); the fallback when missing or of another type. object may be NULL. Texts belong
 * to the object. */
const char *sf_cli_text_at(const json_t *object, const char *path, const char *fallback);
double sf_cli_number_at(const json_t *object, const char *path, double fallback);

#endif
