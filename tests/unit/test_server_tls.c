/* TLS on the data port: what is let in, what is not, and that new files take effect without
 * disturbing anybody. */
#include "unit/server_fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct files {
    char dir[64], cert[96], key[96], ca[96], other_cert[96], other_key[96];
};

static X509 *make_cert(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1 + (long)strlen(name));
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL ? issuer : cert));
    X509_set_pubkey(cert, key);
    if (issuer == NULL) {
        X509_EXTENSION *extension =
            X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
        X509_add_ext(cert, extension, -1);
        X509_EXTENSION_free(extension);
    }
    assert_true(X509_sign(cert, issuer != NULL ? issuer_key : key, EVP_sha256()) > 0);
    return cert;
}

static void write_pem(const char *path, X509 *cert, EVP_PKEY *key)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fchmod(fileno(file), 0600);
    if (cert != NULL)
        assert_int_equal(PEM_write_X509(file, cert), 1);
    else
        assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
}

static void make_files(struct files *f)
{
    snprintf(f->dir, sizeof f->dir, "/tmp/sf-tls-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->cert, sizeof f->cert, "%s/cert.pem", f->dir);
    snprintf(f->key, sizeof f->key, "%s/key.pem", f->dir);
    snprintf(f->ca, sizeof f->ca, "%s/ca.pem", f->dir);
    snprintf(f->other_cert, sizeof f->other_cert, "%s/other.pem", f->dir);
    snprintf(f->other_key, sizeof f->other_key, "%s/other-key.pem", f->dir);
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256"),
             *other_key = EVP_EC_gen("P-256");
    X509 *ca = make_cert(ca_key, "ca", NULL, NULL), *cert = make_cert(key, "worker", ca, ca_key);
    X509 *other = make_cert(other_key, "stranger", NULL, NULL);
    write_pem(f->ca, ca, NULL);
    write_pem(f->cert, cert, NULL);
    write_pem(f->key, NULL, key);
    write_pem(f->other_cert, other, NULL);
    write_pem(f->other_key, NULL, other_key);
    X509_free(ca);
    X509_free(cert);
    X509_free(other);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other_key);
}

static void remove_files(const struct files *f)
{
    unlink(f->cert);
    unlink(f->key);
    unlink(f->ca);
    unlink(f->other_cert);
    unlink(f->other_key);
    rmdir(f->dir);
}

/* A blocking client; cert NULL: none is shown. version 0: any. */
static SSL *tls_connect(const struct fixture *f, const char *cert, const char *key, int version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (cert != NULL) {
        assert_int_equal(SSL_CTX_use_certificate_file(context, cert, SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM), 1);
    }
    if (version != 0) {
        SSL_CTX_set_min_proto_version(context, version);
        SSL_CTX_set_max_proto_version(context, version);
        SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
    }
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(ssl, client_connect(f));
    SSL_connect(ssl);
    return ssl;
}

static void tls_close(SSL *ssl)
{
    const int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    close(fd);
}

static bool read_all(SSL *ssl, uint8_t *to, size_t size)
{
    while (size > 0) {
        const int got = SSL_read(ssl, to, (int)size);
        if (got <= 0)
            return false;
        to += got;
        size -= (size_t)got;
    }
    return true;
}

/* Asks for one ID; false when the connection is no good. */
static bool tls_next(SSL *ssl)
{
    uint8_t frame[24];
    const struct sf_wire_next next = {.count = 1};
    sf_wire_put_next(frame, sizeof frame, 3, &next);
    if (SSL_write(ssl, frame, 16) != 16 || !read_all(ssl, frame, 24))
        return false;
    return sf_load_be16(frame + 6) == SF_WIRE_OK && sf_load_be32(frame + 8) == 3 &&
           sf_load_be64(frame + 12) > 0;
}

static bool tls_try(const struct fixture *f, const char *cert, const char *key, int version)
{
    SSL *ssl = tls_connect(f, cert, key, version);
    const bool good = tls_next(ssl);
    tls_close(ssl);
    return good;
}

static void start(struct fixture *f, const struct files *files, bool mutual)
{
    fixture_prepare(f, SF_DEFAULT_LAYOUT, 10, 1);
    f->options.tls_cert = files->cert;
    f->options.tls_key = files->key;
    f->options.tls_client_ca = mutual ? files->ca : NULL;
    signal(SIGPIPE, SIG_IGN); /* a connection that was closed fails its test, not the program */
    fixture_start(f);
}

static void test_tls(void **state)
{
    const struct files *files = *state;
    struct fixture f;
    start(&f, files, false);
    assert_true(tls_try(&f, NULL, NULL, 0));
    assert_true(tls_try(&f, NULL, NULL, TLS1_3_VERSION));
    assert_true(tls_try(&f, NULL, NULL, TLS1_2_VERSION));
    assert_false(tls_try(&f, NULL, NULL, TLS1_1_VERSION));
    /* Plain frames are no TLS. */
    const int plain = client_connect(&f);
    client_next(plain, 1, 1);
    uint8_t bytes[64];
    while (recv(plain, bytes, sizeof bytes, 0) > 0)
        ;
    close(plain);
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_CONNECTION_REFUSED, SF_CONN_REFUSED_TLS) == 2);
    fixture_stop(&f);
}

static void test_mutual(void **state)
{
    const struct files *files = *state;
    struct fixture f;
    start(&f, files, true);
    assert_true(tls_try(&f, files->cert, files->key, 0));
    assert_false(tls_try(&f, NULL, NULL, 0));
    assert_false(tls_try(&f, files->other_cert, files->other_key, 0));
    fixture_stop(&f);
}

/* Much in both directions, in records of every size, with answers that come in order. */
static void test_much(void **state)
{
    const struct files *files = *state;
    struct fixture f;
    start(&f, files, false);
    SSL *ssl = tls_connect(&f, NULL, NULL, 0);
    enum { FRAMES = 1000, ROUNDS = 30 };
    static uint8_t out[FRAMES * 16], in[FRAMES * 24];
    uint64_t last = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const struct sf_wire_next next = {.count = 1};
        for (uint32_t i = 0; i < FRAMES; i++)
            sf_wire_put_next(out + i * 16, 16, i, &next);
        for (size_t at = 0, part = 1; at < sizeof out; at += part, part = part * 3 % 5003 + 1) {
            if (part > sizeof out - at)
                part = sizeof out - at;
            assert_int_equal(SSL_write(ssl, out + at, (int)part), part);
        }
        assert_true(read_all(ssl, in, sizeof in));
        for (uint32_t i = 0; i < FRAMES; i++) {
            assert_int_equal(sf_load_be32(in + i * 24 + 8), i);
            assert_true(sf_load_be64(in + i * 24 + 12) > last);
            last = sf_load_be64(in + i * 24 + 12);
        }
    }
    tls_close(ssl);
    EVENTUALLY(sf_server_connections(f.server) == 0);
    fixture_stop(&f);
}

/* A reader that comes late finds every byte: what the socket did not take is sent again as it
 * was. */
static void test_late_reader(void **state)
{
    const struct files *files = *state;
    struct fixture f;
    start(&f, files, false);
    f.options.limits.write_timeout_ms = 20000;
    struct sf_error err = {0};
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), 0);
    SSL *ssl = tls_connect(&f, NULL, NULL, 0);
    const int fd = SSL_get_fd(ssl), small = 65536;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    /* Much goes out per byte that comes in, so that the server's side is full long before the
     * client's. */
    static uint8_t frame[SF_WIRE_FRAME_MAX];
    uint8_t body[256];
    enum { PINGS = 40000 };
    fcntl(fd, F_SETFL, O_NONBLOCK);
    uint32_t sent = 0, answered = 0;
    size_t have = 0;
    for (int64_t end = sf_mono_ns() + PATIENCE_MS * SF_NS_PER_MS;
         answered < PINGS && sf_mono_ns() < end;) {
        if (sent < PINGS) {
            memset(body, (int)(sent % 251), sizeof body);
            const size_t size =
                sf_wire_put_request(frame, sizeof frame, SF_WIRE_PING, sent, body, sizeof body);
            if (SSL_write(ssl, frame, (int)size) > 0) {
                sent++;
                continue;
            }
            /* Everything is full on both sides: now reading begins. */
            if (answered == 0 && have == 0)
                sf_sleep_ms(100);
        }
        static uint8_t answer[268];
        const int got = SSL_read(ssl, answer + have, (int)(sizeof answer - have));
        if (got <= 0) {
            sf_sleep_ms(answered == 0 ? 1 : 0);
            continue;
        }
        have += (size_t)got;
        if (have < sizeof answer)
            continue;
        assert_int_equal(sf_load_be32(answer + 8), answered);
        assert_int_equal(answer[100], answered % 251);
        answered++;
        have = 0;
    }
    assert_int_equal(answered, PINGS);
    tls_close(ssl);
    fixture_stop(&f);
}

static void test_half_open_handshakes(void **state)
{
    const struct files *files = *state;
    struct fixture f;
    start(&f, files, false);
    f.options.limits.frame_timeout_ms = 3000; /* a handshake on a busy machine takes its time */
    struct sf_error err = {0};
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), 0);
    enum { HALF = 200 };
    int fds[HALF];
    for (int i = 0; i < HALF; i++) {
        fds[i] = client_connect(&f);
        if (i % 2 == 0)
            client_send(fds[i], "\x16\x03\x01", 3);
    }
    assert_true(tls_try(&f, NULL, NULL, 0));
    /* They end at the deadline of half a frame. */
    EVENTUALLY(sf_metrics_sum(f.metrics, SF_METRIC_CONNECTION_CLOSED,
                              SF_CONN_CLOSED_FRAME_TIMEOUT) == HALF);
    assert_true(tls_try(&f, NULL, NULL, 0));
    for (int i = 0; i < HALF; i++)
        close(fds[i]);
    fixture_stop(&f);
}

static int count_closed(const int *fds, int count)
{
    int closed = 0;
    for (int i = 0; i < count; i++) {
        char byte;
        const ssize_t got = recv(fds[i], &byte, 1, MSG_DONTWAIT);
        closed += got == 0 || (got < 0 && errno != EAGAIN);
    }
    return closed;
}

/* However many connections say nothing, or begin a handshake and leave it, those who come are let
 * in: the silent ones give way, the oldest first. Their number is bounded, and who was let in before
 * is not touched. */
static void test_half_open_ones_give_way(void **state)
{
    const struct files *files = *state;
    struct fixture f;
    enum { MOST = 2 * 1024, MORE = 20, CLIENTS = 50 };
    const struct rlimit descriptors = {.rlim_cur = 8192, .rlim_max = 8192};
    if (setrlimit(RLIMIT_NOFILE, &descriptors) != 0)
        skip();
    start(&f, files, false);
    f.options.limits.frame_timeout_ms = 60000;
    f.options.limits.max_connections = 2 * MOST;
    struct sf_error err = {0};
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), 0);
    SSL *open = tls_connect(&f, NULL, NULL, 0);
    assert_true(tls_next(open));
    static int fds[MOST + MORE];
    for (int i = 0; i < MOST + MORE; i++)
        fds[i] = client_connect(&f);
    for (int i = 0; i < CLIENTS; i++)
        assert_true(tls_try(&f, NULL, NULL, 0));
    EVENTUALLY(count_closed(fds, MOST + MORE) >= MORE);
    assert_true(sf_server_connections(f.server) <= MOST + 1);
    assert_true(tls_next(open));
    for (int i = 0; i < MOST + MORE; i++)
        close(fds[i]);
    EVENTUALLY(sf_server_connections(f.server) == 1);
    assert_true(tls_try(&f, NULL, NULL, 0));
    tls_close(open);
    fixture_stop(&f);
}

/* One address that begins handshakes and leaves them has a quarter of what there is room for; others
 * come in beside it. */
static void test_one_address_has_its_share(void **state)
{
    const struct files *files = *state;
    struct fixture f;
    enum { FLOOD = 100, ROOM = 32, CLIENTS = 10 };
    start(&f, files, false);
    f.options.limits.frame_timeout_ms = 60000;
    f.options.limits.max_handshakes = ROOM;
    struct sf_error err = {0};
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), 0);
    int fds[FLOOD];
    for (int i = 0; i < FLOOD; i++) {
        fds[i] = client_connect_from(&f, "127.0.0.2");
        (void)send(fds[i], "\x16\x03\x01", 3, MSG_NOSIGNAL); /* turned away, perhaps, by now */
    }
    EVENTUALLY(count_closed(fds, FLOOD) >= FLOOD - ROOM / 4);
    for (int i = 0; i < CLIENTS; i++)
        assert_true(tls_try(&f, NULL, NULL, 0));
    assert_true(sf_server_connections(f.server) <= ROOM / 4 + 1);
    for (int i = 0; i < FLOOD; i++)
        close(fds[i]);
    fixture_stop(&f);
}

static int count_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)session;
    ++*(int *)SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    return 0;
}

static void test_no_tickets(void **state)
{
    const struct files *files = *state;
    struct fixture f;
    start(&f, files, false);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int tickets = 0;
    SSL_CTX_set_app_data(context, &tickets);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(context, count_ticket);
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(ssl, client_connect(&f));
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_version(ssl), TLS1_3_VERSION);
    assert_true(tls_next(ssl)); /* tickets come before the first answer */
    assert_int_equal(tickets, 0);
    tls_close(ssl);
    fixture_stop(&f);
}

static void test_reload(void **state)
{
    const struct files *files = *state;
    struct fixture f;
    start(&f, files, false);
    SSL *old = tls_connect(&f, NULL, NULL, 0);
    assert_true(tls_next(old));
    struct sf_error err = {0};
    /* Wrong files change nothing. */
    f.options.tls_key = files->other_key;
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), -EINVAL);
    assert_non_null(strstr(err.text, "listen.tls_key"));
    assert_true(tls_try(&f, NULL, NULL, 0));
    f.options.tls_key = NULL;
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), -EINVAL);
    chmod(files->key, 0644);
    f.options.tls_key = files->key;
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), -EACCES);
    chmod(files->key, 0600);
    f.options.tls_cert = files->other_cert;
    f.options.tls_key = files->other_key;
    assert_int_equal(sf_server_reload(f.server, &f.options, &err), 0);
    char name[64] = "";
    for (int64_t end = sf_mono_ns() + PATIENCE_MS * SF_NS_PER_MS;
         strcmp(name, "stranger") != 0 && sf_mono_ns() < end;) {
        SSL *fresh = tls_connect(&f, NULL, NULL, 0);
        X509 *shown = SSL_get1_peer_certificate(fresh);
        assert_non_null(shown);
        X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name, sizeof name);
        X509_free(shown);
        tls_close(fresh);
    }
    assert_string_equal(name, "stranger");
    assert_true(tls_next(old));
    tls_close(old);
    fixture_stop(&f);
}

int main(void)
{
    struct files files;
    make_files(&files);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_tls, &files),
        cmocka_unit_test_prestate(test_mutual, &files),
        cmocka_unit_test_prestate(test_much, &files),
        cmocka_unit_test_prestate(test_late_reader, &files),
        cmocka_unit_test_prestate(test_half_open_handshakes, &files),
        cmocka_unit_test_prestate(test_half_open_ones_give_way, &files),
        cmocka_unit_test_prestate(test_one_address_has_its_share, &files),
        cmocka_unit_test_prestate(test_no_tickets, &files),
        cmocka_unit_test_prestate(test_reload, &files),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_files(&files);
    return failed;
}
