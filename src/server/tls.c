/* TLS by OpenSSL: contexts from files, and sessions on sockets. */
#include "server/tls.h"

#include <errno.h>
#include <limits.h>

#include "base/assert.h"
#include "base/secret.h"
#include "base/tls_policy.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

/* Both are OpenSSL's own objects under names of ours. */
static SSL_CTX *context_of(struct sf_tls *tls)
{
    return (SSL_CTX *)(void *)tls;
}

static SSL *ssl_of(struct sf_tls_session *session)
{
    return (SSL *)(void *)session;
}

static void last_error(char *text, size_t size)
{
    const unsigned long code = ERR_peek_last_error();
    if (code == 0)
        snprintf(text, size, "the connection ended");
    else
        ERR_error_string_n(code, text, size);
    ERR_clear_error();
}

/* Keeps the certificate that is refused, for the log: OpenSSL forgets it. */
static int on_verified(int ok, X509_STORE_CTX *context)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *peer = X509_STORE_CTX_get0_cert(context);
    if (ok == 0 && peer != NULL && SSL_get_app_data(ssl) == NULL && X509_up_ref(peer) == 1)
        SSL_set_app_data(ssl, peer);
    return ok;
}

/* Why a handshake failed: of a certificate that is not accepted, what is wrong with it and whose it
 * is. */
static void handshake_error(SSL *ssl, char *text, size_t size)
{
    const long verdict = SSL_get_verify_result(ssl);
    const X509 *refused = SSL_get_app_data(ssl);
    char name[128] = "";
    if (refused != NULL)
        (void)X509_NAME_get_text_by_NID(X509_get_subject_name(refused), NID_commonName, name,
                                        sizeof name);
    if (verdict == X509_V_OK) {
        last_error(text, size);
        return;
    }
    snprintf(text, size, "the client's certificate%s%s%s is refused: %s",
             name[0] != '\0' ? " \"" : "", name, name[0] != '\0' ? "\"" : "",
             X509_verify_cert_error_string(verdict));
    ERR_clear_error();
}

/* Nobody sits there who could type one. */
static int no_passphrase(char *to, int size, int writing, void *ctx)
{
    (void)to, (void)size, (void)writing, (void)ctx;
    return -1;
}

static int load_files(SSL_CTX *context, const char *cert, const char *key, const char *client_ca,
                      struct sf_error *err)
{
    char text[200];
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1) {
        last_error(text, sizeof text);
        return sf_error_set(err, -EINVAL, "listen.tls_cert: %s cannot be used: %s", cert, text);
    }
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        last_error(text, sizeof text);
        return sf_error_set(err, -EINVAL, "listen.tls_key: %s cannot be used with %s: %s", key,
                            cert, text);
    }
    if (client_ca == NULL)
        return 0;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);
    if (names == NULL || SSL_CTX_load_verify_file(context, client_ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        last_error(text, sizeof text);
        return sf_error_set(err, -EINVAL, "listen.tls_client_ca: %s cannot be used: %s", client_ca,
                            text);
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verified);
    return 0;
}

int sf_tls_load(const char *cert, const char *key, const char *client_ca, struct sf_tls **ret_tls,
                struct sf_error *err)
{
    if (cert == NULL || key == NULL)
        return sf_error_set(err, -EINVAL, "listen.tls_cert and listen.tls_key belong together%s",
                            client_ca != NULL ? ", and listen.tls_client_ca needs both" : "");
    int rc = sf_plain_check_path(cert, "listen.tls_cert", err);
    if (rc == 0)
        rc = sf_secret_check_path(key, "listen.tls_key", err);
    if (rc == 0 && client_ca != NULL)
        rc = sf_plain_check_path(client_ca, "listen.tls_client_ca", err);
    if (rc != 0)
        return rc;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return sf_error_set(err, -ENOMEM, "no memory for TLS");
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SF_ASSERT(SSL_CTX_set_cipher_list(context, SF_TLS12_CIPHERS) == 1);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_num_tickets(context, 0); /* TLS 1.3 would send two all the same */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    rc = load_files(context, cert, key, client_ca, err);
    if (rc != 0) {
        SSL_CTX_free(context);
        return rc;
    }
    *ret_tls = (struct sf_tls *)(void *)context;
    return 0;
}

struct sf_tls *sf_tls_ref(struct sf_tls *tls)
{
    if (tls != NULL)
        SSL_CTX_up_ref(context_of(tls));
    return tls;
}

void sf_tls_unref(struct sf_tls *tls)
{
    SSL_CTX_free(context_of(tls));
}

struct sf_tls_session *sf_tls_session_create(struct sf_tls *tls, int fd)
{
    SSL *ssl = SSL_new(context_of(tls));
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return (struct sf_tls_session *)(void *)ssl;
}

void sf_tls_session_destroy(struct sf_tls_session *session)
{
    if (session == NULL)
        return;
    X509_free(SSL_get_app_data(ssl_of(session)));
    SSL_free(ssl_of(session));
}

int sf_tls_handshake(struct sf_tls_session *session, char *reason, size_t size)
{
    ERR_clear_error();
    const int rc = SSL_do_handshake(ssl_of(session));
    if (rc == 1)
        return 0;
    const int error = SSL_get_error(ssl_of(session), rc);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    handshake_error(ssl_of(session), reason, size);
    return -EPROTO;
}

static int clip(size_t size)
{
    return size > INT_MAX ? INT_MAX : (int)size;
}

uint64_t sf_tls_bytes_read(const struct sf_tls_session *session)
{
    return BIO_number_read(SSL_get_rbio((const SSL *)(const void *)session));
}

ssize_t sf_tls_receive(struct sf_tls_session *session, void *to, size_t size)
{
    ERR_clear_error();
    const int got = SSL_read(ssl_of(session), to, clip(size));
    if (got > 0)
        return got;
    switch (SSL_get_error(ssl_of(session), got)) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    default:
        ERR_clear_error();
        return -EPROTO;
    }
}

ssize_t sf_tls_send(struct sf_tls_session *session, const void *from, size_t size)
{
    ERR_clear_error();
    const int sent = SSL_write(ssl_of(session), from, clip(size));
    if (sent > 0)
        return sent;
    const int error = SSL_get_error(ssl_of(session), sent);
    if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ)
        return 0;
    ERR_clear_error();
    return -EPROTO;
}

void sf_tls_finish(struct sf_tls_session *session)
{
    ERR_clear_error();
    SSL_shutdown(ssl_of(session));
    ERR_clear_error();
}
