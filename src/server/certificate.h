/* server/certificate.h - when the certificates of a file end. Any thread. */
#ifndef SF_SERVER_CERTIFICATE_H
#define SF_SERVER_CERTIFICATE_H

#include <stdint.h>

#include "base/error.h"

enum sf_certificate_use {
    SF_CERTIFICATE_CHAIN, /* shown to peers: broken when the first of them ends */
    SF_CERTIFICATE_CAS    /* trusted: one that is being replaced stands beside its successor, so of use until the last ends */
};

/* Reads a PEM file, at most 1 MiB. ret_unix_s: when it ends, in Unix seconds. Returns 0, or -EINVAL for what cannot be read or
 * holds no certificate; err names the path. */
int sf_certificate_end(const char *path, enum sf_certificate_use use, int64_t *ret_unix_s, struct sf_error *err);

#endif
