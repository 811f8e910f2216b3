/* admin/certificate.h - the certificate that the admin port shows, by GnuTLS, which libmicrohttpd speaks TLS with. It can be replaced under
 * open connections: new ones get the new one.
 *
 * Threads: create, reload and destroy by one; attach on the HTTP threads. */
#ifndef SF_ADMIN_CERTIFICATE_H
#define SF_ADMIN_CERTIFICATE_H

#include <gnutls/abstract.h>

#include "base/error.h"

struct sf_admin_certificate;

/* Reads chain and key (PEM, at most 1 MiB each; the key must be a secret file, base/secret.h), and checks that they fit each other. err names
 * the option and the file. Returns 0 or a negative errno code. */
int sf_admin_certificate_create(const char *cert, const char *key, struct sf_admin_certificate **ret,
                                struct sf_error *err);
/* The same for an existing one; on failure it stays as it is. */
int sf_admin_certificate_reload(struct sf_admin_certificate *certificate, const char *cert, const char *key,
                                struct sf_error *err);
/* When no session is left. NULL: nothing. */
void sf_admin_certificate_destroy(struct sf_admin_certificate *certificate);

/* Tells a new session, before its handshake, where its certificate comes from. */
void sf_admin_certificate_attach(struct sf_admin_certificate *certificate, gnutls_session_t session);
/* What GnuTLS asks for one in each handshake (gnutls_certificate_retrieve_function2). */
gnutls_certificate_retrieve_function2 sf_admin_certificate_retrieve;

#endif
