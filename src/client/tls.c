/* client/tls.c - contexts of OpenSSL, and a BIO that sends without raising SIGPIPE. */
#include "client/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/tls_policy.h"

static int bio_write(BIO *bio, const char *from, int size)
{
    int fd = -1;
    BIO_get_fd(bio, &fd);
    BIO_clear_retry_flags(bio);
    const ssize_t sent = send(fd, from, (size_t)size, MSG_NOSIGNAL);
    /* A peer that has closed may have said why: reading brings its alert, or the end of the
     * connection. */
    if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == EPIPE || errno == ECONNRESET))
        BIO_set_retry_write(bio);
    return (int)sent;
}

/* The socket BIO of OpenSSL with another write. The method lives as long as the context, as its app
 * data. */
static BIO_METHOD *method_create(void)
{
    const BIO_METHOD *base = BIO_s_socket();
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOCKET, "snowfleet socket");
    if (method == NULL)
        return NULL;
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, BIO_meth_get_read(base));
    BIO_meth_set_puts(method, BIO_meth_get_puts(base));
    BIO_meth_set_ctrl(method, BIO_meth_get_ctrl(base));
    BIO_meth_set_create(method, BIO_meth_get_create(base));
    BIO_meth_set_destroy(method, BIO_meth_get_destroy(base));
    return method;
}

BIO *sf_client_bio_create(SSL_CTX *tls, int fd)
{
    BIO *bio = BIO_new(SSL_CTX_get_app_data(tls));
    if (bio != NULL)
        BIO_set_fd(bio, fd, BIO_NOCLOSE);
    return bio;
}

void sf_client_tls_destroy(SSL_CTX *tls)
{
    if (tls == NULL)
        return;
    BIO_METHOD *method = SSL_CTX_get_app_data(tls);
    SSL_CTX_free(tls);
    BIO_meth_free(method);
}

static enum sf_client_error refuse(SSL_CTX *tls, char *detail, size_t size, const char *option,
                                   const char *value)
{
    const unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    if (detail != NULL)
        (void)snprintf(detail, size, "%s: cannot use %s: %s", option, value,
                       reason != NULL ? reason : "OpenSSL does not say why");
    ERR_clear_error();
    sf_client_tls_destroy(tls);
    return SF_CLIENT_TLS;
}

/* A library asks nobody for a pass phrase. */
static int no_passphrase(char *to, int size, int writing, void *ctx)
{
    (void)to, (void)size, (void)writing, (void)ctx;
    return -1;
}

enum sf_client_error sf_client_tls_create(const struct sf_client_options *options,
                                          SSL_CTX **ret_tls, char *detail, size_t detail_size)
{
    ERR_clear_error();
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    BIO_METHOD *method = method_create();
    if (tls == NULL || method == NULL || SSL_CTX_set_app_data(tls, method) != 1) {
        SSL_CTX_free(tls);
        BIO_meth_free(method);
        return SF_CLIENT_MEMORY;
    }
    SSL_CTX_set_default_passwd_cb(tls, no_passphrase);
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    if (SSL_CTX_set_cipher_list(tls, SF_TLS12_CIPHERS) != 1)
        return refuse(tls, detail, detail_size, "TLS", SF_TLS12_CIPHERS);
    SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    if (options->tls_ca == NULL) {
        if (SSL_CTX_set_default_verify_paths(tls) != 1)
            return refuse(tls, detail, detail_size, "tls_ca", "the system's certificates");
    } else if (SSL_CTX_load_verify_locations(tls, options->tls_ca, NULL) != 1) {
        return refuse(tls, detail, detail_size, "tls_ca", options->tls_ca);
    }
    if (options->tls_cert != NULL &&
        SSL_CTX_use_certificate_chain_file(tls, options->tls_cert) != 1)
        return refuse(tls, detail, detail_size, "tls_cert", options->tls_cert);
    if (options->tls_key != NULL &&
        (SSL_CTX_use_PrivateKey_file(tls, options->tls_key, SSL_FILETYPE_PEM) != 1 ||
         SSL_CTX_check_private_key(tls) != 1))
        return refuse(tls, detail, detail_size, "tls_key", options->tls_key);
    *ret_tls = tls;
    return SF_CLIENT_OK;
}
