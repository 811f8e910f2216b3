/* Paths, methods, arguments, headers: from a request to an answer. */
#include "admin/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "admin/arguments.h"
#include "admin/asks.h"
#include "admin/head.h"
#include "admin/origin.h"
#include "admin/rights.h"
#include "base/assert.h"

extern const unsigned char sf_admin_console[];
extern const size_t sf_admin_console_size;

#define TEXT_TYPE       "text/plain; charset=utf-8"
#define JSON_TYPE       "application/json"
#define METRICS_TYPE    "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS     "application/openmetrics-text"
#define REASON_TEXT_MAX 256

/* Inline script and style are the page itself; it may only talk to workers. */
#define CONSOLE_POLICY                                                                             \
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "   \
    "connect-src 'self' http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct call {
    struct sf_admin_pages *pages;
    struct MHD_Connection *connection;
    struct sf_admin_request *request;
};

typedef enum MHD_Result page(const struct call *call);

/* --- sending --- */

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status, const char *type,
                             struct MHD_Response *response)
{
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (MHD_get_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL) == NULL && ok == MHD_YES)
        ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (ok == MHD_YES)
        ok = MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (ok == MHD_YES)
        ok = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return ok;
}

static struct MHD_Response *copied(const char *text, size_t length)
{
    return MHD_create_response_from_buffer(length, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
}

enum MHD_Result sf_admin_answer_text(struct MHD_Connection *connection, unsigned status,
                                     const char *text)
{
    return queue(connection, status, TEXT_TYPE, copied(text, strlen(text)));
}

enum MHD_Result sf_admin_answer_bad(struct MHD_Connection *connection, unsigned status,
                                    const char *why)
{
    char text[REASON_TEXT_MAX];
    const int length = snprintf(text, sizeof text, "%s\n", why);
    struct MHD_Response *response = copied(text, (size_t)length);
    if (response == NULL)
        return MHD_NO;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") != MHD_YES) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return queue(connection, status, TEXT_TYPE, response);
}

/* A long answer that MHD holds until its peer has read it. */
struct held {
    struct sf_admin_pages *pages;
    char *text;
    size_t size;
};

static void release_held(void *ctx)
{
    struct held *held = ctx;
    atomic_fetch_sub(&held->pages->unsent, held->size);
    free(held->text);
    free(held);
}

/* Takes the buffer's text. Returns NULL when it failed to be written. */
static struct MHD_Response *hold(struct sf_admin_pages *pages, struct sf_strbuf *buf)
{
    if (buf->failed || buf->text == NULL)
        return NULL;
    struct held *held = malloc(sizeof *held);
    if (held == NULL)
        return NULL;
    *held = (struct held){.pages = pages, .text = buf->text, .size = buf->capacity};
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        buf->length, buf->text, release_held, held);
    if (response == NULL) {
        free(held);
        return NULL;
    }
    atomic_fetch_add(&pages->unsent, held->size);
    buf->text = NULL;
    return response;
}

/* --- pages --- */

static enum MHD_Result long_page(const struct call *call, const char *type, struct sf_strbuf *buf)
{
    struct MHD_Response *response = hold(call->pages, buf);
    sf_strbuf_free(buf);
    if (response == NULL)
        return sf_admin_answer_text(call->connection, MHD_HTTP_INTERNAL_SERVER_ERROR,
                                    "the answer does not fit into 8 MiB, or memory is out\n");
    if (!sf_admin_allow_origin(call->pages, call->connection, response)) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return queue(call->connection, MHD_HTTP_OK, type, response);
}

/* Health answers are small and always allowed; these are not. */
static bool too_much_unsent(const struct call *call)
{
    return atomic_load(&call->pages->unsent) > SF_ADMIN_UNSENT_MAX;
}

static enum MHD_Result busy(const struct call *call)
{
    return sf_admin_answer_text(call->connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                                "too many long answers wait for slow readers; try again\n");
}

static enum MHD_Result short_page(const struct call *call, unsigned status, struct sf_strbuf *buf)
{
    const enum MHD_Result result =
        buf->failed || buf->text == NULL
            ? sf_admin_answer_text(call->connection, MHD_HTTP_INTERNAL_SERVER_ERROR,
                                   "out of memory\n")
            : sf_admin_answer_text(call->connection, status, buf->text);
    sf_strbuf_free(buf);
    return result;
}

static enum MHD_Result page_livez(const struct call *call)
{
    const struct sf_admin_host *host = &call->pages->host;
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, SF_ADMIN_PAGE_MAX);
    const bool live = host->live(host->ctx, &buf);
    if (!live && buf.length == 0)
        sf_strbuf_addf(&buf, "a loop stalled\n");
    if (!live)
        return short_page(call, MHD_HTTP_SERVICE_UNAVAILABLE, &buf);
    sf_strbuf_free(&buf);
    return sf_admin_answer_text(call->connection, MHD_HTTP_OK, "ok\n");
}

static void add_check(struct sf_strbuf *buf, const struct sf_readiness *readiness, unsigned check)
{
    const char *name = sf_check_name((enum sf_check)check);
    const char *text = readiness->checks[check].text;
    const bool ok = readiness->checks[check].ok;
    sf_strbuf_addf(buf, "[%c]%s %s%s%s\n", ok ? '+' : '-', name, ok ? "ok" : "failed",
                   text[0] != '\0' ? ": " : "", text);
}

/* What failed, or, when nothing did, what people should know all the same. */
static void add_reasons(struct sf_strbuf *buf, const struct sf_readiness *readiness)
{
    for (unsigned i = 0; i < SF_CHECKS; i++) {
        if (readiness->checks[i].ok && !(readiness->ready && readiness->checks[i].note))
            continue;
        sf_strbuf_addf(buf, "%s: %s\n", sf_check_name((enum sf_check)i), readiness->checks[i].text);
    }
}

static enum MHD_Result refuse_arguments(const struct call *call,
                                        const struct sf_admin_arguments *arguments)
{
    char text[SF_ADMIN_REFUSAL_MAX];
    return sf_admin_answer_text(call->connection, MHD_HTTP_BAD_REQUEST,
                                sf_admin_arguments_refusal(arguments, text));
}

static enum MHD_Result page_readyz(const struct call *call)
{
    struct sf_admin_arguments arguments;
    if (!sf_admin_arguments_read(call->connection, "verbose", &arguments))
        return refuse_arguments(call, &arguments);
    const struct sf_admin_host *host = &call->pages->host;
    struct sf_readiness readiness = {0};
    host->readiness(host->ctx, &readiness);
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, SF_ADMIN_PAGE_MAX);
    if (arguments.seen > 0) {
        for (unsigned i = 0; i < SF_CHECKS; i++)
            add_check(&buf, &readiness, i);
    } else if (readiness.ready) {
        sf_strbuf_addf(&buf, "ready\n");
        add_reasons(&buf, &readiness);
    } else {
        add_reasons(&buf, &readiness);
    }
    return short_page(call, readiness.ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, &buf);
}

static enum MHD_Result page_startupz(const struct call *call)
{
    const struct sf_admin_host *host = &call->pages->host;
    if (host->started(host->ctx))
        return sf_admin_answer_text(call->connection, MHD_HTTP_OK, "started\n");
    struct sf_readiness readiness = {0};
    host->readiness(host->ctx, &readiness);
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, SF_ADMIN_PAGE_MAX);
    sf_strbuf_addf(&buf, "not ready yet\n");
    add_reasons(&buf, &readiness);
    return short_page(call, MHD_HTTP_SERVICE_UNAVAILABLE, &buf);
}

/* The weight (0 to 1) that an Accept header gives exactly this type; -1 where it does not name it
 * (RFC 9110, 12.5.1). */
static double accept_weight(const char *accept, const char *type)
{
    double best = -1;
    const size_t length = strlen(type);
    while (accept != NULL && *accept != '\0') {
        accept += strspn(accept, " \t,");
        const size_t item = strcspn(accept, ",");
        if (item >= length && strncasecmp(accept, type, length) == 0 &&
            (item == length || strchr("; \t", accept[length]) != NULL)) {
            double weight = 1;
            for (const char *p = accept;
                 (p = memchr(p, ';', (size_t)(accept + item - p))) != NULL;) {
                p++;
                p += strspn(p, " \t");
                if (p + 2 < accept + item && (p[0] == 'q' || p[0] == 'Q') && p[1] == '=')
                    weight = strtod(p + 2, NULL);
            }
            if (weight > best)
                best = weight;
        }
        accept += item;
    }
    return best;
}

static enum MHD_Result page_metrics(const struct call *call)
{
    if (too_much_unsent(call))
        return busy(call);
    const char *accept =
        MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    const double weight = accept_weight(accept, OPENMETRICS);
    const bool openmetrics = weight > 0 && weight >= accept_weight(accept, "text/plain");
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, SF_ADMIN_PAGE_MAX);
    sf_metrics_scrape(call->pages->metrics, openmetrics, &buf);
    return long_page(
        call, openmetrics ? OPENMETRICS "; version=1.0.0; charset=utf-8" : METRICS_TYPE, &buf);
}

static enum MHD_Result json_page(const struct call *call,
                                 void (*fill)(void *ctx, struct sf_strbuf *to))
{
    if (too_much_unsent(call))
        return busy(call);
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, SF_ADMIN_PAGE_MAX);
    fill(call->pages->host.ctx, &buf);
    return long_page(call, JSON_TYPE, &buf);
}

static enum MHD_Result page_status(const struct call *call)
{
    return json_page(call, call->pages->host.status);
}

static enum MHD_Result page_fleet(const struct call *call)
{
    return json_page(call, call->pages->host.fleet);
}

static enum MHD_Result page_history(const struct call *call)
{
    struct sf_admin_arguments arguments;
    uint64_t after = 0;
    if (!sf_admin_arguments_read(call->connection, "after", &arguments))
        return refuse_arguments(call, &arguments);
    if (arguments.seen > 0 && sf_parse_u64(arguments.value, 0, UINT64_MAX, &after) != 0)
        return sf_admin_answer_text(call->connection, MHD_HTTP_BAD_REQUEST,
                                    "after: a whole number, the last that was had\n");
    if (too_much_unsent(call))
        return busy(call);
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, SF_ADMIN_PAGE_MAX);
    call->pages->host.history(call->pages->host.ctx, after, &buf);
    return long_page(call, JSON_TYPE, &buf);
}

/* --- IDs: the data port's answer, handed on --- */

/* Its fields, but for those that MHD writes itself. `at` begins with the first one and ends with a blank line. */
static bool copy_fields(char *at, struct MHD_Response *response)
{
    for (char *end; (end = strstr(at, "\r\n")) != NULL && end != at; at = end + 2) {
        *end = '\0';
        char *colon = strchr(at, ':');
        if (colon == NULL)
            return false;
        *colon = '\0';
        if (strcmp(at, MHD_HTTP_HEADER_CONTENT_LENGTH) != 0 &&
            strcmp(at, MHD_HTTP_HEADER_CONNECTION) != 0 &&
            MHD_add_response_header(response, at, colon + 2) != MHD_YES)
            return false;
    }
    return true;
}

static enum MHD_Result hand_on(const struct call *call, char *answer, size_t size)
{
    char *fields = strstr(answer, "\r\n");
    char *body = strstr(answer, "\r\n\r\n");
    uint64_t status = 0;
    if (body == NULL || strncmp(answer, "HTTP/1.1 ", 9) != 0)
        return MHD_NO;
    answer[12] = '\0';
    body += 4;
    struct sf_strbuf rest; /* MHD holds it, and it counts as unsent */
    sf_strbuf_init(&rest, SF_ADMIN_PAGE_MAX);
    sf_strbuf_add(&rest, body, size - (size_t)(body - answer));
    struct MHD_Response *response =
        sf_parse_u64(answer + 9, 100, 599, &status) == 0 ? hold(call->pages, &rest) : NULL;
    sf_strbuf_free(&rest);
    if (response == NULL)
        return MHD_NO;
    const enum MHD_Result result =
        copy_fields(fields + 2, response)
            ? MHD_queue_response(call->connection, (unsigned)status, response)
            : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result not_now(const struct call *call, const char *why)
{
    struct MHD_Response *response = copied(why, strlen(why));
    if (response == NULL)
        return MHD_NO;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1") != MHD_YES) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return queue(call->connection, MHD_HTTP_SERVICE_UNAVAILABLE, TEXT_TYPE, response);
}

/* The request as it came, but for the end of its connection, which says where the answer ends. */
static enum MHD_Result ask(const struct call *call)
{
    const struct sf_admin_host *host = &call->pages->host;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    int fd = -1;
    if (info == NULL || host->connect(host->ctx, info->client_addr, &fd) != 0)
        return not_now(call, "this worker has as many connections as it may\n");
    struct sf_strbuf head;
    sf_strbuf_init(&head, SF_ADMIN_HEAD_MAX);
    sf_admin_head(call->connection, MHD_HTTP_METHOD_GET, call->request->target,
                  MHD_HTTP_VERSION_1_1, &head);
    sf_strbuf_addf(&head, "Connection: close\r\n\r\n");
    if (head.failed)
        (void)close(fd);
    else
        call->request->ask =
            sf_admin_ask_begin(call->pages->asks, call->connection, fd, head.text, head.length);
    sf_strbuf_free(&head);
    return call->request->ask != NULL ? MHD_YES
                                      : not_now(call, "IDs cannot be asked for just now\n");
}

static enum MHD_Result page_ids(const struct call *call)
{
    size_t size = 0;
    if (call->request->ask == NULL)
        return too_much_unsent(call) ? busy(call) : ask(call);
    char *answer = sf_admin_ask_take(call->request->ask, &size);
    if (answer == NULL)
        return not_now(call, "this worker is shutting down: use another one\n");
    const enum MHD_Result result = hand_on(call, answer, size);
    free(answer);
    return result;
}

static enum MHD_Result page_drain(const struct call *call)
{
    const struct sf_admin_host *host = &call->pages->host;
    const char *refusal = sf_admin_order_refusal(call->pages, call->connection);
    if (refusal != NULL)
        return sf_admin_answer_text(call->connection, MHD_HTTP_FORBIDDEN, refusal);
    host->drain(host->ctx);
    return sf_admin_answer_text(call->connection, MHD_HTTP_ACCEPTED, "draining\n");
}

static enum MHD_Result page_reload(const struct call *call)
{
    const struct sf_admin_host *host = &call->pages->host;
    const char *refusal = sf_admin_order_refusal(call->pages, call->connection);
    if (refusal != NULL)
        return sf_admin_answer_text(call->connection, MHD_HTTP_FORBIDDEN, refusal);
    struct sf_strbuf text;
    sf_strbuf_init(&text, SF_ADMIN_PAGE_MAX);
    return host->reload(host->ctx, &text) == 0 ? long_page(call, JSON_TYPE, &text)
                                               : short_page(call, MHD_HTTP_CONFLICT, &text);
}

static enum MHD_Result page_console(const struct call *call)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        sf_admin_console_size, (void *)(uintptr_t)sf_admin_console, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache") != MHD_YES ||
        MHD_add_response_header(response, "Content-Security-Policy", CONSOLE_POLICY) != MHD_YES ||
        MHD_add_response_header(response, "Referrer-Policy", "no-referrer") != MHD_YES) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return queue(call->connection, MHD_HTTP_OK, "text/html; charset=utf-8", response);
}

/* A browser asks this before a page of another worker may send its token (Fetch, "CORS-preflight fetch"). It has no token itself. */
static enum MHD_Result answer_preflight(const struct call *call)
{
    struct MHD_Response *response = copied("", 0);
    if (response == NULL)
        return MHD_NO;
    const bool allowed = sf_admin_fleet_origin(call->pages, call->connection) != NULL;
    if (!sf_admin_allow_origin(call->pages, call->connection, response) ||
        (allowed &&
         (MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET") != MHD_YES ||
          MHD_add_response_header(response, "Access-Control-Allow-Headers",
                                  MHD_HTTP_HEADER_AUTHORIZATION) != MHD_YES ||
          MHD_add_response_header(response, "Access-Control-Max-Age", "600") != MHD_YES))) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return queue(call->connection, allowed ? MHD_HTTP_OK : MHD_HTTP_FORBIDDEN, TEXT_TYPE, response);
}

/* --- which page --- */

static const struct route {
    const char *path;
    const char *allow; /* the first one decides; "GET, HEAD" pages change nothing */
    page *page;
    bool is_open; /* needs no token: probes, Prometheus, and the console, which asks for one */
    bool shared;  /* the console of another worker reads it */
    bool
        probe; /* tells nothing that a stranger's page could use, and is asked for under any name */
} routes[] = {
    {"/livez", "GET, HEAD", page_livez, .is_open = true, .probe = true},
    {"/readyz", "GET, HEAD", page_readyz, .is_open = true, .probe = true},
    {"/healthz", "GET, HEAD", page_readyz, .is_open = true, .probe = true},
    {"/startupz", "GET, HEAD", page_startupz, .is_open = true, .probe = true},
    {"/metrics", "GET, HEAD", page_metrics, .is_open = true},
    {"/status", "GET, HEAD", page_status, .shared = true},
    {"/fleet", "GET, HEAD", page_fleet, .shared = true},
    {"/history", "GET, HEAD", page_history, .shared = true},
    {"/v1/ids", "GET", page_ids, .is_open = false},
    {"/drain", "POST", page_drain, .is_open = false},
    {"/reload", "POST", page_reload, .is_open = false},
    {"/", "GET, HEAD", page_console, .is_open = true},
};

static enum MHD_Result refuse_stranger(const struct call *call)
{
    static const char text[] =
        "a token of admin.token_file is needed: Authorization: Bearer TOKEN (--token-file)\n";
    struct MHD_Response *response = copied(text, sizeof text - 1);
    if (response == NULL)
        return MHD_NO;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer") != MHD_YES ||
        !sf_admin_allow_origin(call->pages, call->connection, response)) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return queue(call->connection, MHD_HTTP_UNAUTHORIZED, TEXT_TYPE, response);
}

static bool allows(const char *allow, const char *method)
{
    const size_t length = strlen(method);
    const char *p = length > 0 ? strstr(allow, method) : NULL;
    return p != NULL && (p == allow || p[-1] == ' ') && (p[length] == ',' || p[length] == '\0');
}

static enum MHD_Result refuse_method(struct MHD_Connection *connection, const struct route *route)
{
    char text[REASON_TEXT_MAX];
    const int length =
        snprintf(text, sizeof text, "%s: allowed is %s\n", route->path, route->allow);
    struct MHD_Response *response = copied(text, (size_t)length);
    if (response == NULL)
        return MHD_NO;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, route->allow) != MHD_YES) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return queue(connection, MHD_HTTP_METHOD_NOT_ALLOWED, TEXT_TYPE, response);
}

enum MHD_Result sf_admin_answer(struct sf_admin_pages *pages, struct MHD_Connection *connection,
                                struct sf_admin_request *request, const char *path,
                                const char *method)
{
    SF_ASSERT(request->seen);
    const struct call call = {.pages = pages, .connection = connection, .request = request};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const struct route *route = &routes[i];
        if (strcmp(route->path, path) != 0)
            continue;
        if (request->stranger && !route->probe)
            return sf_admin_answer_text(
                connection, MHD_HTTP_FORBIDDEN,
                "this worker does not go by the name in the field Host: ask by its address, or "
                "name it in admin.allowed_hosts\n");
        if (route->shared && strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0)
            return answer_preflight(&call);
        if (!route->is_open && !sf_admin_is_let_in(pages, connection))
            return refuse_stranger(&call);
        return allows(route->allow, method) ? route->page(&call) : refuse_method(connection, route);
    }
    return sf_admin_answer_text(
        connection, MHD_HTTP_NOT_FOUND,
        "no such page; there are /livez /readyz /healthz /startupz /metrics "
        "/status /fleet /history /v1/ids / and, for POST, /drain /reload\n");
}
