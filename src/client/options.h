/* client/options.h - the options of a client: defaults filled in, checked, and copied. One
 * thread. */
#ifndef SF_CLIENT_OPTIONS_H
#define SF_CLIENT_OPTIONS_H

#include <stddef.h>

#include <snowfleet/client.h>

/* Copies with defaults in place of zeros; the strings of ret are owned. On failure (INVALID,
 * MEMORY) ret is left alone and detail says which option, which value and what is allowed. */
enum sf_client_error sf_options_copy(const struct sf_client_options *from,
                                     struct sf_client_options *ret, char *detail,
                                     size_t detail_size);
void sf_options_free(struct sf_client_options *options);

#endif
