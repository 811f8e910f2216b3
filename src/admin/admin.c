/* The HTTP daemon: its socket, its threads, and how many connections it keeps. */
#include "admin/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/answer.h"
#include "admin/asks.h"
#include "admin/certificate.h"
#include "admin/head.h"
#include "base/assert.h"
#include "base/ticks.h"
#include "http/hosts.h"
#include "http/request.h"

#define CONNECTIONS_MAX   64
#define THREADS           2
#define CONNECTION_MEMORY 8192 /* request line, headers and reading, of one connection */
#define IDLE_TIMEOUT_S    10
#define REQUEST_MAX_MS    60000
#define LISTEN_BACKLOG    128
#define FINISH_MS         1000 /* how long the end waits for answers that were begun */
#define LOG_INTERVAL_MS   10000
/* GnuTLS: TLS 1.2 or later, authenticated encryption and forward secrecy. */
#define TLS_PRIORITIES                                                                             \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:"   \
    "+AES-128-GCM:-RSA"
#define MHD_CONNECTIONS_MAX (CONNECTIONS_MAX * 2) /* ours comes first: MHD would stop accepting */

/* An open connection, in the order in which they last began something. */
struct connection {
    struct connection *before, *after;
    int fd;
    int64_t since_mono_ms;
    bool ended; /* shut down by us, not yet noticed by MHD */
};

struct sf_admin {
    struct sf_admin_pages pages;
    struct sf_log *log;
    struct sf_log_limiter crowded;
    struct MHD_Daemon *daemon;
    uint16_t port;
    struct sf_admin_certificate *certificate; /* NULL: no TLS */
    _Atomic unsigned answering;               /* requests that are being answered */

    pthread_mutex_t lock; /* guards what follows */
    struct connection *oldest, *newest;
    unsigned open; /* those not ended */
};

static int64_t now_ms(void)
{
    return sf_mono_ns() / SF_NS_PER_MS;
}

static void unlink_connection(struct sf_admin *admin, struct connection *connection)
{
    if (connection->before != NULL)
        connection->before->after = connection->after;
    else
        admin->oldest = connection->after;
    if (connection->after != NULL)
        connection->after->before = connection->before;
    else
        admin->newest = connection->before;
}

static void append_connection(struct sf_admin *admin, struct connection *connection)
{
    connection->since_mono_ms = now_ms();
    connection->after = NULL;
    connection->before = admin->newest;
    if (admin->newest != NULL)
        admin->newest->after = connection;
    else
        admin->oldest = connection;
    admin->newest = connection;
}

/* Ends the oldest connections while there are too many, and those that have been at one request for
 * too long. Only shuts the socket down: MHD owns it, notices, and tells us. */
static unsigned end_old(struct sf_admin *admin)
{
    unsigned ended = 0;
    const int64_t limit = now_ms() - REQUEST_MAX_MS;
    for (struct connection *c = admin->oldest; c != NULL; c = c->after) {
        if (c->ended)
            continue;
        if (admin->open <= CONNECTIONS_MAX && c->since_mono_ms > limit)
            break;
        c->ended = true;
        admin->open--;
        ended++;
        (void)shutdown(c->fd, SHUT_RDWR); /* fails only where the peer was faster */
    }
    return ended;
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode code)
{
    struct sf_admin *admin = ctx;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct connection *connection = *socket_ctx;
        if (connection == NULL)
            return;
        pthread_mutex_lock(&admin->lock);
        unlink_connection(admin, connection);
        if (!connection->ended)
            admin->open--;
        pthread_mutex_unlock(&admin->lock);
        free(connection);
        *socket_ctx = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL || info == NULL) {
        if (info != NULL)
            (void)shutdown(info->connect_fd, SHUT_RDWR);
        free(connection);
        *socket_ctx = NULL;
        return;
    }
    connection->fd = info->connect_fd;
    const union MHD_ConnectionInfo *tls =
        admin->certificate != NULL
            ? MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)
            : NULL;
    if (tls != NULL)
        sf_admin_certificate_attach(admin->certificate, tls->tls_session);
    pthread_mutex_lock(&admin->lock);
    append_connection(admin, connection);
    admin->open++;
    const unsigned ended = end_old(admin);
    pthread_mutex_unlock(&admin->lock);
    *socket_ctx = connection;
    if (ended > 0)
        sf_log_limited(
            admin->log, &admin->crowded, LOG_INTERVAL_MS, SF_LOG_WARN, "admin.crowded",
            "ended %u connections: more than %d are open, or one request took over %d ms", ended,
            CONNECTIONS_MAX, REQUEST_MAX_MS);
}

/* Called before the headers of a request are read: its result is the context of the request. */
static void *on_request(void *ctx, const char *uri, struct MHD_Connection *mhd)
{
    struct sf_admin *admin = ctx;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *connection = info != NULL ? info->socket_context : NULL;
    if (connection != NULL) {
        pthread_mutex_lock(&admin->lock);
        unlink_connection(admin, connection);
        append_connection(admin, connection);
        pthread_mutex_unlock(&admin->lock);
    }
    const size_t length = strlen(uri);
    const size_t kept = length <= SF_HTTP_TARGET_MAX ? length : SF_HTTP_TARGET_MAX + 1;
    struct sf_admin_request *request = calloc(1, sizeof *request + kept + 1);
    if (request != NULL)
        memcpy(request->target, uri, kept);
    return request;
}

static void on_completed(void *ctx, struct MHD_Connection *mhd, void **request_ctx,
                         enum MHD_RequestTerminationCode code)
{
    (void)mhd;
    (void)code;
    struct sf_admin *admin = ctx;
    const struct sf_admin_request *request = *request_ctx;
    if (request != NULL && request->answering)
        atomic_fetch_sub(&admin->answering, 1);
    if (request != NULL)
        sf_admin_ask_free(request->ask);
    free(*request_ctx);
    *request_ctx = NULL;
}

/* What the strict reader says of it. */
static enum MHD_Result check_head(const struct sf_admin_pages *pages, struct MHD_Connection *mhd,
                                  struct sf_admin_request *request, const char *method,
                                  const char *version)
{
    struct sf_strbuf head;
    struct sf_http_request parsed = {0};
    struct sf_http_problem problem = {MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
                                      "request line and header fields: at most 8192 bytes"};
    size_t size;
    sf_strbuf_init(&head, SF_ADMIN_HEAD_MAX);
    sf_admin_head(mhd, method, request->target, version, &head);
    sf_strbuf_add(&head, "\r\n", 2);
    const bool good = !head.failed && sf_http_parse((const uint8_t *)head.text, head.length,
                                                    &parsed, &size, &problem) == SF_HTTP_COMPLETE;
    request->stranger = good && !sf_http_host_allowed(pages->hosts, parsed.host);
    sf_strbuf_free(&head);
    if (!good)
        return sf_admin_answer_bad(mhd, problem.status, problem.text);
    if (parsed.length > SF_ADMIN_BODY_MAX)
        return sf_admin_answer_text(mhd, MHD_HTTP_CONTENT_TOO_LARGE,
                                    "body: at most 4096 bytes; none is needed\n");
    return MHD_YES;
}

/* MHD calls this with the headers, once for each part of a body, and once more at the end. */
static enum MHD_Result on_handle(void *ctx, struct MHD_Connection *mhd, const char *path,
                                 const char *method, const char *version, const char *body,
                                 size_t *body_size, void **request_ctx)
{
    (void)body;
    struct sf_admin *admin = ctx;
    struct sf_admin_request *request = *request_ctx;
    if (request == NULL)
        return MHD_NO; /* memory was out */
    if (!request->seen) {
        request->seen = true;
        return check_head(&admin->pages, mhd, request, method, version);
    }
    if (*body_size > 0) {
        request->body_length += *body_size;
        *body_size = 0;
        return request->body_length <= SF_ADMIN_BODY_MAX ? MHD_YES : MHD_NO;
    }
    if (!request->answering) { /* a second time: its IDs are there */
        request->answering = true;
        atomic_fetch_add(&admin->answering, 1);
    }
    return sf_admin_answer(&admin->pages, mhd, request, path, method);
}

static void on_mhd_error(void *ctx, const char *format, va_list arguments)
{
    struct sf_admin *admin = ctx;
    char text[256];
    (void)vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\r\n")] = '\0';
    sf_log_write(admin->log, SF_LOG_DEBUG, "admin.http", "%s", text);
}

static int listen_on(const struct addrinfo *address, int *ret_fd)
{
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    const int on = 1, off = 0;
    int rc = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (rc == 0 && address->ai_family == AF_INET6)
        rc = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (rc == 0)
        rc = bind(fd, address->ai_addr, address->ai_addrlen);
    if (rc == 0)
        rc = listen(fd, LISTEN_BACKLOG);
    if (rc != 0) {
        rc = -errno;
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* IPv6 first where any address is meant: one such socket takes both families. */
int sf_admin_listen(const struct sf_host_port *at, int *ret_fd, struct sf_error *err)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%" PRIu16, at->port);
    const bool any = at->host[0] == '\0';
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const int failed = getaddrinfo(any ? NULL : at->host, service, &hints, &found);
    if (failed != 0)
        return sf_error_set(err, -EADDRNOTAVAIL, "admin.address: %s: %s", at->host,
                            gai_strerror(failed));
    int rc = -EADDRNOTAVAIL;
    for (int pass = 0; rc != 0 && pass < 2; pass++) {
        for (const struct addrinfo *a = found; rc != 0 && a != NULL; a = a->ai_next) {
            if (any && (a->ai_family == AF_INET6) != (pass == 0))
                continue;
            rc = listen_on(a, ret_fd);
        }
    }
    freeaddrinfo(found);
    if (rc == 0)
        return 0;
    char text[128];
    return sf_error_set(err, rc, "admin.address %s:%s: cannot listen: %s", any ? "*" : at->host,
                        service, sf_errno_text(rc, text, sizeof text));
}

union bound_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static union bound_address bound_to(int fd)
{
    union bound_address address;
    memset(&address, 0, sizeof address);
    socklen_t size = sizeof address;
    SF_ASSERT(getsockname(fd, &address.any, &size) == 0);
    return address;
}

static uint16_t port_of(int fd)
{
    const union bound_address address = bound_to(fd);
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* Signals belong to the daemon's main thread: the HTTP threads inherit a mask that blocks them
 * all. */
static struct MHD_Daemon *start(struct sf_admin *admin, int fd)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)sf_admin_certificate_retrieve},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    /* ITC: so that the threads hear of the end of accepting. */
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME;
    if (admin->certificate != NULL)
        flags |= MHD_USE_TLS;
    else
        tls[0].option = MHD_OPTION_END;
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_handle, admin, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_error, admin,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)MHD_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, admin, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, admin, MHD_OPTION_URI_LOG_CALLBACK, on_request, admin,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

/* Only this machine can connect to such an address. */
static bool is_loopback(int fd)
{
    const union bound_address address = bound_to(fd);
    if (address.any.sa_family == AF_INET)
        return ntohl(address.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    const struct in6_addr *ipv6 = &address.v6.sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(ipv6) ||
           (IN6_IS_ADDR_V4MAPPED(ipv6) && ipv6->s6_addr[12] == IN_LOOPBACKNET);
}

static int read_files(struct sf_admin *admin, const struct sf_admin_options *options,
                      struct sf_error *err)
{
    int rc = 0;
    if (options->token_file != NULL)
        rc = sf_tokens_read(options->token_file, "admin.token_file", &admin->pages.tokens, err);
    if (rc != 0 || options->tls_cert == NULL)
        return rc;
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return sf_error_set(err, -ENOTSUP,
                            "admin.tls_cert: the HTTP library of this build has no TLS");
    return sf_admin_certificate_create(options->tls_cert, options->tls_key, &admin->certificate,
                                       err);
}

static void free_admin(struct sf_admin *admin)
{
    free(admin->pages.hosts);
    sf_admin_certificate_destroy(admin->certificate);
    sf_tokens_unref(admin->pages.tokens);
    pthread_mutex_destroy(&admin->pages.tokens_lock);
    sf_admin_asks_destroy(admin->pages.asks);
    pthread_mutex_destroy(&admin->lock);
    free(admin);
}

int sf_admin_check(const struct sf_admin_options *options, struct sf_error *err)
{
    struct sf_admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return sf_error_set(err, -ENOMEM, "admin: out of memory");
    pthread_mutex_init(&admin->lock, NULL);
    pthread_mutex_init(&admin->pages.tokens_lock, NULL);
    const int rc = read_files(admin, options, err);
    free_admin(admin);
    return rc;
}

int sf_admin_create(const struct sf_admin_options *options, struct sf_admin **ret_admin,
                    struct sf_error *err)
{
    const struct sf_admin_host *host = &options->host;
    SF_ASSERT(host->readiness != NULL && host->live != NULL && host->started != NULL &&
              host->status != NULL && host->fleet != NULL && host->history != NULL &&
              host->connect != NULL && host->drain != NULL && host->reload != NULL &&
              host->is_fleet_admin != NULL);
    struct sf_admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return sf_error_set(err, -ENOMEM, "admin: out of memory");
    pthread_mutex_init(&admin->lock, NULL);
    pthread_mutex_init(&admin->pages.tokens_lock, NULL);
    admin->pages.host = options->host;
    admin->pages.metrics = options->metrics;
    admin->pages.tls = options->tls_cert != NULL;
    admin->pages.hosts = strdup(options->hosts != NULL ? options->hosts : "");
    admin->log = options->log;
    int fd = -1;
    int rc = admin->pages.hosts != NULL ? read_files(admin, options, err)
                                        : sf_error_set(err, -ENOMEM, "admin: out of memory");
    if (rc == 0 && options->listener == NULL)
        rc = sf_admin_listen(&options->address, &fd, err);
    if (rc == 0)
        rc = sf_admin_asks_create(&admin->pages.asks, err);
    if (rc != 0) {
        if (fd >= 0)
            (void)close(fd);
        free_admin(admin);
        return rc;
    }
    if (options->listener != NULL) {
        fd = *options->listener;
        *options->listener = -1;
    }
    admin->port = port_of(fd);
    admin->pages.loopback = is_loopback(fd);
    admin->daemon = start(admin, fd);
    if (admin->daemon == NULL) {
        (void)close(fd);
        sf_admin_asks_end(admin->pages.asks);
        free_admin(admin);
        return sf_error_set(err, -EAGAIN, "admin.address %s:%u: the HTTP daemon does not start",
                            options->address.host, (unsigned)options->address.port);
    }
    *ret_admin = admin;
    return 0;
}

int sf_admin_reload(struct sf_admin *admin, const struct sf_admin_options *options,
                    struct sf_error *err)
{
    struct sf_tokens *tokens = NULL;
    int rc = 0;
    if ((options->tls_cert != NULL) != (admin->certificate != NULL))
        return sf_error_set(err, -EINVAL,
                            "admin.tls_cert: TLS is switched on and off by a restart only");
    if (options->token_file != NULL)
        rc = sf_tokens_read(options->token_file, "admin.token_file", &tokens, err);
    if (rc == 0 && admin->certificate != NULL)
        rc = sf_admin_certificate_reload(admin->certificate, options->tls_cert, options->tls_key,
                                         err);
    if (rc != 0) {
        sf_tokens_unref(tokens);
        return rc;
    }
    pthread_mutex_lock(&admin->pages.tokens_lock);
    struct sf_tokens *old = admin->pages.tokens;
    admin->pages.tokens = tokens;
    pthread_mutex_unlock(&admin->pages.tokens_lock);
    sf_tokens_unref(old);
    return 0;
}

uint16_t sf_admin_port(const struct sf_admin *admin)
{
    return admin->port;
}

/* Who asked for the end (POST /drain) is told that it was heard: MHD_stop_daemon would drop the
 * answer. */
static void finish_answers(struct sf_admin *admin)
{
    const MHD_socket fd = MHD_quiesce_daemon(admin->daemon);
    const int64_t end_ms = now_ms() + FINISH_MS;
    while (atomic_load(&admin->answering) > 0 && now_ms() < end_ms)
        sf_sleep_ms(1);
    if (fd != MHD_INVALID_SOCKET)
        (void)close(fd);
}

void sf_admin_destroy(struct sf_admin *admin)
{
    if (admin == NULL)
        return;
    finish_answers(admin);
    sf_admin_asks_end(admin->pages.asks); /* none may be suspended */
    MHD_stop_daemon(admin->daemon);       /* joins the threads and closes every socket */
    SF_ASSERT(admin->oldest == NULL && admin->pages.unsent == 0);
    free_admin(admin);
}
