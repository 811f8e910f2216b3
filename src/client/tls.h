/* client/tls.h - OpenSSL as a client needs it. Contexts may be shared by threads; a BIO belongs to
 * its connection. */
#ifndef SF_CLIENT_TLS_H
#define SF_CLIENT_TLS_H

#include <openssl/ssl.h>
#include <stddef.h>

#include <snowfleet/client.h>

/* A context for TLS 1.2 or later that verifies the server, with the options' CA and own
 * certificate. */
enum sf_client_error sf_client_tls_create(const struct sf_client_options *options,
                                          SSL_CTX **ret_tls, char *detail, size_t detail_size);
void sf_client_tls_destroy(SSL_CTX *tls);

/* A BIO over a socket (not owned) that never raises SIGPIPE in the program that uses the library.
 * NULL when memory is out. */
BIO *sf_client_bio_create(SSL_CTX *tls, int fd);

#endif
