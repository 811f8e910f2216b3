/* coord/zookeeper/tls.c - see tls.h. */
#include "coord/zookeeper/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/secret.h"
#include "base/tls_policy.h"

#define PIECE 16384 /* a record's plain bytes */

struct sf_zk_tls {
    SSL_CTX *context;
    SSL *ssl;
    BIO *in, *out; /* the connection's */
};

/* Nobody is asked for a pass phrase. */
static int no_passphrase(char *to, int size, int writing, void *ctx)
{
    (void)to, (void)size, (void)writing, (void)ctx;
    return -1;
}

static const char *reason_of(unsigned long code)
{
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    return reason != NULL ? reason : "OpenSSL does not say why";
}

static int refuse(struct sf_error *err, const char *option, const char *path)
{
    const unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    return sf_error_set(err, -EINVAL, "%s: %s cannot be used: %s", option, path, reason_of(code));
}

static int use_ca(SSL_CTX *context, const char *path, struct sf_error *err)
{
    if (path == NULL)
        return SSL_CTX_set_default_verify_paths(context) == 1
                   ? 0
                   : refuse(err, "coordinator.tls_ca", "what the system trusts");
    const int rc = sf_plain_check_path(path, "coordinator.tls_ca", err);
    if (rc < 0)
        return rc;
    return SSL_CTX_load_verify_file(context, path) == 1 ? 0
                                                        : refuse(err, "coordinator.tls_ca", path);
}

static int use_certificate(SSL_CTX *context, const struct sf_zk_tls_files *files,
                           struct sf_error *err)
{
    if (files->cert == NULL)
        return 0;
    int rc = sf_plain_check_path(files->cert, "coordinator.tls_cert", err);
    if (rc == 0)
        rc = sf_secret_check_path(files->key, "coordinator.tls_key", err);
    if (rc < 0)
        return rc;
    if (SSL_CTX_use_certificate_chain_file(context, files->cert) != 1)
        return refuse(err, "coordinator.tls_cert", files->cert);
    if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return refuse(err, "coordinator.tls_key", files->key);
    return 0;
}

static int make_context(const struct sf_zk_tls_files *files, SSL_CTX **ret, struct sf_error *err)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SF_ASSERT(context != NULL);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SF_ASSERT(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
              SSL_CTX_set_cipher_list(context, SF_TLS12_CIPHERS) == 1);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    int rc = use_ca(context, files->ca, err);
    if (rc == 0)
        rc = use_certificate(context, files, err);
    if (rc < 0) {
        SSL_CTX_free(context);
        return rc;
    }
    *ret = context;
    return 0;
}

int sf_zk_tls_check(const struct sf_zk_tls_files *files, struct sf_error *err)
{
    SSL_CTX *context = NULL;
    const int rc = make_context(files, &context, err);
    SSL_CTX_free(context);
    return rc;
}

/* Whom the certificate must name. */
static void expect_host(SSL *ssl, const char *host)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1)
        return;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SF_ASSERT(SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1);
}

struct sf_zk_tls *sf_zk_tls_open(const struct sf_zk_tls_files *files, const char *host,
                                 struct sf_error *err)
{
    SSL_CTX *context = NULL;
    if (make_context(files, &context, err) < 0)
        return NULL;
    struct sf_zk_tls *tls = calloc(1, sizeof *tls);
    SF_ASSERT(tls != NULL);
    *tls =
        (struct sf_zk_tls){context, SSL_new(context), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};
    SF_ASSERT(tls->ssl != NULL && tls->in != NULL && tls->out != NULL);
    BIO_set_mem_eof_return(tls->in, -1); /* empty: not yet */
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    SSL_set_connect_state(tls->ssl);
    expect_host(tls->ssl, host);
    return tls;
}

void sf_zk_tls_close(struct sf_zk_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl); /* and its BIOs */
    SSL_CTX_free(tls->context);
    free(tls);
}

bool sf_zk_tls_is_up(const struct sf_zk_tls *tls)
{
    return SSL_is_init_finished(tls->ssl);
}

/* After a call that did not do what it should. */
static int judge(struct sf_zk_tls *tls, int rc, struct sf_error *err)
{
    const int error = SSL_get_error(tls->ssl, rc);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 0;
    if (error == SSL_ERROR_ZERO_RETURN)
        return -ECONNRESET;
    const unsigned long code = ERR_peek_last_error();
    const long verdict = SSL_get_verify_result(tls->ssl);
    ERR_clear_error();
    return sf_error_set(err, -EPROTO, "TLS: %s%s%s", reason_of(code),
                        verdict != X509_V_OK ? ": " : "",
                        verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : "");
}

int sf_zk_tls_take(struct sf_zk_tls *tls, const uint8_t *bytes, size_t size,
                   struct sf_zk_bytes *plain, struct sf_error *err)
{
    ERR_clear_error();
    SF_ASSERT(BIO_write(tls->in, bytes, (int)size) == (int)size);
    for (;;) {
        const int got = SSL_read(tls->ssl, sf_zk_bytes_room(plain, PIECE), PIECE);
        if (got <= 0)
            return judge(tls, got, err);
        plain->size += (size_t)got;
    }
}

int sf_zk_tls_put(struct sf_zk_tls *tls, struct sf_zk_bytes *plain, struct sf_zk_bytes *to,
                  struct sf_error *err)
{
    int rc = 0;
    ERR_clear_error();
    if (!sf_zk_tls_is_up(tls)) {
        const int done = SSL_do_handshake(tls->ssl);
        rc = done == 1 ? 0 : judge(tls, done, err);
    }
    while (rc == 0 && plain->size > 0 && sf_zk_tls_is_up(tls)) {
        const int piece = plain->size < PIECE ? (int)plain->size : PIECE;
        const int put = SSL_write(tls->ssl, plain->data, piece);
        if (put <= 0)
            rc = judge(tls, put, err);
        else
            sf_zk_bytes_shift(plain, (size_t)put);
        if (put <= 0 && rc == 0)
            break;
    }
    for (size_t left; (left = BIO_ctrl_pending(tls->out)) > 0;) {
        const int got = BIO_read(tls->out, sf_zk_bytes_room(to, left), (int)left);
        SF_ASSERT(got > 0);
        to->size += (size_t)got;
    }
    return rc;
}
