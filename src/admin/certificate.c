/* The certificate of the admin port. */
#include "admin/certificate.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/secret.h"
#include "base/ticks.h"

#define PEM_MAX   (1 << 20)
#define CHAIN_MAX 16
#define ID_MAX    64
#define KEPT_MS   600000 /* one that was replaced: a handshake may be under way with it */

/* One that was read. */
struct generation {
    struct generation *older;
    int64_t replaced_mono_ms;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned count;
    gnutls_privkey_t key;
};

struct sf_admin_certificate {
    pthread_mutex_t lock; /* guards what follows */
    struct generation *newest;
};

static void free_generation(struct generation *generation)
{
    for (unsigned i = 0; i < generation->count; i++)
        gnutls_pcert_deinit(&generation->chain[i]);
    if (generation->key != NULL)
        gnutls_privkey_deinit(generation->key);
    free(generation);
}

/* Reads a whole PEM file; ret_text is wiped and freed by the caller. */
static int read_pem(const char *path, const char *what, bool secret, gnutls_datum_t *ret_text,
                    struct sf_error *err)
{
    int fd = -1;
    const int rc =
        secret ? sf_secret_open(path, what, &fd, err) : sf_plain_open(path, what, &fd, err);
    if (rc != 0)
        return rc;
    unsigned char *text = calloc(1, PEM_MAX);
    const ssize_t size = text != NULL ? read(fd, text, PEM_MAX - 1) : -1;
    (void)close(fd);
    if (size <= 0 || size == PEM_MAX - 1) {
        free(text);
        return sf_error_set(err, -EINVAL, "%s: %s cannot be read, is empty or over 1 MiB", what,
                            path);
    }
    *ret_text = (gnutls_datum_t){.data = text, .size = (unsigned)size};
    return 0;
}

static void forget(gnutls_datum_t *text)
{
    if (text->data != NULL)
        explicit_bzero(text->data, text->size);
    free(text->data);
    text->data = NULL;
}

static bool fit_each_other(const struct generation *generation)
{
    unsigned char ours[ID_MAX], theirs[ID_MAX];
    size_t our_size = sizeof ours, their_size = sizeof theirs;
    gnutls_pubkey_t ours_public = NULL;
    if (gnutls_pubkey_init(&ours_public) < 0)
        return false;
    const bool ok =
        gnutls_pubkey_import_privkey(ours_public, generation->key, 0, 0) >= 0 &&
        gnutls_pubkey_get_key_id(ours_public, 0, ours, &our_size) >= 0 &&
        gnutls_pubkey_get_key_id(generation->chain[0].pubkey, 0, theirs, &their_size) >= 0 &&
        our_size == their_size && memcmp(ours, theirs, our_size) == 0;
    gnutls_pubkey_deinit(ours_public);
    return ok;
}

static int import(struct generation *generation, const char *cert, const char *key,
                  const gnutls_datum_t *cert_text, const gnutls_datum_t *key_text,
                  struct sf_error *err)
{
    unsigned count = CHAIN_MAX;
    int rc =
        gnutls_pcert_list_import_x509_raw(generation->chain, &count, cert_text, GNUTLS_X509_FMT_PEM,
                                          GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (rc < 0)
        return sf_error_set(err, -EINVAL, "admin.tls_cert: %s cannot be used: %s", cert,
                            gnutls_strerror(rc));
    generation->count = count;
    rc = gnutls_privkey_init(&generation->key);
    if (rc >= 0)
        rc =
            gnutls_privkey_import_x509_raw(generation->key, key_text, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc < 0)
        return sf_error_set(err, -EINVAL, "admin.tls_key: %s cannot be used: %s", key,
                            gnutls_strerror(rc));
    if (!fit_each_other(generation))
        return sf_error_set(
            err, -EINVAL, "admin.tls_key: %s cannot be used with %s: it is another key", key, cert);
    return 0;
}

static int load(const char *cert, const char *key, struct generation **ret, struct sf_error *err)
{
    gnutls_datum_t cert_text = {0}, key_text = {0};
    struct generation *generation = calloc(1, sizeof *generation);
    if (generation == NULL)
        return sf_error_set(err, -ENOMEM, "no memory for the admin port's certificate");
    int rc = read_pem(cert, "admin.tls_cert", false, &cert_text, err);
    if (rc == 0)
        rc = read_pem(key, "admin.tls_key", true, &key_text, err);
    if (rc == 0)
        rc = import(generation, cert, key, &cert_text, &key_text, err);
    forget(&cert_text);
    forget(&key_text);
    if (rc != 0)
        free_generation(generation);
    else
        *ret = generation;
    return rc;
}

int sf_admin_certificate_create(const char *cert, const char *key,
                                struct sf_admin_certificate **ret, struct sf_error *err)
{
    struct sf_admin_certificate *certificate = calloc(1, sizeof *certificate);
    if (certificate == NULL)
        return sf_error_set(err, -ENOMEM, "no memory for the admin port's certificate");
    const int rc = load(cert, key, &certificate->newest, err);
    if (rc != 0) {
        free(certificate);
        return rc;
    }
    pthread_mutex_init(&certificate->lock, NULL);
    *ret = certificate;
    return 0;
}

int sf_admin_certificate_reload(struct sf_admin_certificate *certificate, const char *cert,
                                const char *key, struct sf_error *err)
{
    struct generation *fresh = NULL;
    const int rc = load(cert, key, &fresh, err);
    if (rc != 0)
        return rc;
    SF_ASSERT(fresh != NULL);
    const int64_t now_ms = sf_mono_ns() / SF_NS_PER_MS;
    pthread_mutex_lock(&certificate->lock);
    fresh->older = certificate->newest;
    fresh->older->replaced_mono_ms = now_ms;
    certificate->newest = fresh;
    /* The oldest are behind; whatever is behind one that may go, may go too. */
    struct generation **at = &fresh->older;
    while (*at != NULL && now_ms - (*at)->replaced_mono_ms < KEPT_MS)
        at = &(*at)->older;
    struct generation *gone = *at;
    *at = NULL;
    pthread_mutex_unlock(&certificate->lock);
    while (gone != NULL) {
        struct generation *next = gone->older;
        free_generation(gone);
        gone = next;
    }
    return 0;
}

void sf_admin_certificate_destroy(struct sf_admin_certificate *certificate)
{
    if (certificate == NULL)
        return;
    for (struct generation *one = certificate->newest, *next; one != NULL; one = next) {
        next = one->older;
        free_generation(one);
    }
    pthread_mutex_destroy(&certificate->lock);
    free(certificate);
}

void sf_admin_certificate_attach(struct sf_admin_certificate *certificate, gnutls_session_t session)
{
    gnutls_session_set_ptr(session, certificate);
}

int sf_admin_certificate_retrieve(gnutls_session_t session, const gnutls_datum_t *authorities,
                                  int authority_count, const gnutls_pk_algorithm_t *algorithms,
                                  int algorithm_count, gnutls_pcert_st **chain, unsigned *count,
                                  gnutls_privkey_t *key)
{
    (void)authorities, (void)authority_count, (void)algorithms, (void)algorithm_count;
    struct sf_admin_certificate *certificate = gnutls_session_get_ptr(session);
    pthread_mutex_lock(&certificate->lock);
    struct generation *newest = certificate->newest;
    *chain = newest->chain;
    *count = newest->count;
    *key = newest->key;
    pthread_mutex_unlock(&certificate->lock);
    return 0;
}
