/* coord/open.h - a handle for a coordinator's URL. A header of its own: open.c alone knows which
 * backends this build has; the rest of the room links without any of them. */
#ifndef SF_COORD_OPEN_H
#define SF_COORD_OPEN_H

#include "coord/coord.h"

/* Opens a handle for the URL's backend. Starts connecting at once, in the background: a coordinator
 * that does not answer is no error here. Returns 0; -EINVAL for a URL or option that cannot work
 * (err says which); -ENOTSUP for a backend or TLS that this build lacks; -EACCES/-ENOENT for
 * password or TLS files. Options are copied. */
int sf_coord_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                  struct sf_error *err);

/* Would sf_coord_open refuse the URL, an option or a file? For --check-config: nothing is started.
 * sink, ticks and log are not looked at. Returns what it would return, with the same text. */
int sf_coord_check(const struct sf_coord_options *options, struct sf_error *err);

#endif
