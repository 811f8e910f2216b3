/* coord/etcd/http.c - see http.h.
 *
 * libcurl has habits that this file takes away from it:
 * - it sends a request a second time by itself when a kept connection turns out to be closed. For a
 * write that could apply it twice. A write's body therefore comes from a callback that cannot be
 * rewound: once the body has been handed over, libcurl gives up with CURLE_SEND_FAIL_REWIND instead
 * (before that the server cannot have done anything: the body is missing);
 * - it waits for a name lookup to end before it lets go of a request (CURLOPT_QUICK_EXIT ends
 * that);
 * - it takes proxies from the environment, and speaks HTTP/2 over TLS, where one stuck connection
 * would hold up everything. */
#include "coord/etcd/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/tls_policy.h"
#include "coord/etcd/belief.h"

#define CONNECT_MS     300
#define PATIENCE_MAX   8 /* so many times what an answer should take at most */
#define ANSWER_MAX     (32 << 20)
#define WATCH_LINE_MAX (4 << 20)

struct sf_etcd_transfer {
    struct sf_etcd_transfer *next;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    size_t body_size, body_sent;
    bool body_done; /* handed over once: never again */
    bool write;
    bool too_large;
    char *answer; /* streams: the line that is not complete yet */
    size_t answer_size, answer_capacity;
    int64_t start_ns;
    int64_t date_s; /* of the Date header; -1: none */
    uint64_t token_serial;
    unsigned endpoint;
    sf_etcd_done *done;
    sf_etcd_line *line;
    void *ctx;
    struct sf_etcd *etcd;
    bool cancelled;
    char error[CURL_ERROR_SIZE];
};

static void global_init(void)
{
    SF_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

void sf_etcd_http_global(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
}

static size_t on_read(char *to, size_t size, size_t count, void *ctx)
{
    struct sf_etcd_transfer *transfer = ctx;
    size_t n = transfer->body_size - transfer->body_sent;
    if (n == 0 && transfer->body_done)
        return 0;
    if (n > size * count)
        n = size * count;
    memcpy(to, transfer->body + transfer->body_sent, n);
    transfer->body_sent += n;
    transfer->body_done = transfer->body_sent == transfer->body_size;
    return n;
}

static bool append(struct sf_etcd_transfer *transfer, const char *bytes, size_t size)
{
    const size_t max = transfer->line != NULL ? WATCH_LINE_MAX : ANSWER_MAX;
    if (size > max - transfer->answer_size) {
        transfer->too_large = true;
        return false;
    }
    const size_t needed = transfer->answer_size + size + 1;
    if (needed > transfer->answer_capacity) {
        const size_t capacity = needed * 2 < 4096 ? 4096 : needed * 2;
        char *grown = realloc(transfer->answer, capacity);
        SF_ASSERT(grown != NULL);
        transfer->answer = grown;
        transfer->answer_capacity = capacity;
    }
    memcpy(transfer->answer + transfer->answer_size, bytes, size);
    transfer->answer_size += size;
    transfer->answer[transfer->answer_size] = '\0';
    return true;
}

static size_t on_write(char *bytes, size_t size, size_t count, void *ctx)
{
    struct sf_etcd_transfer *transfer = ctx;
    const size_t total = size * count;
    if (transfer->line == NULL)
        return append(transfer, bytes, total) ? total : 0;
    size_t at = 0;
    while (at < total && !transfer->cancelled) {
        const char *end = memchr(bytes + at, '\n', total - at);
        const size_t n = end == NULL ? total - at : (size_t)(end - bytes) - at;
        if (!append(transfer, bytes + at, n))
            return 0;
        at += n;
        if (end == NULL)
            break;
        at++;
        transfer->etcd->http->called = true;
        if (transfer->answer_size > 0)
            transfer->line(transfer->etcd, transfer->ctx, transfer->answer, transfer->answer_size);
        transfer->answer_size = 0;
    }
    return total;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *ctx)
{
    struct sf_etcd_transfer *transfer = ctx;
    const size_t total = size * count;
    char text[64];
    if (total > 5 && total < sizeof text && strncasecmp(bytes, "date:", 5) == 0) {
        memcpy(text, bytes + 5, total - 5);
        text[total - 5] = '\0';
        transfer->date_s = (int64_t)curl_getdate(text, NULL);
    }
    return total;
}

static void set_tls(CURL *easy, const struct sf_etcd_options *options)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, SF_TLS12_CIPHERS);
    /* Each new connection reads the files: they may have been replaced. libcurl would keep the CA
     * for a day. */
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    /* The files are read again for every connection, and no connection rests on what was believed
     * before: certificates are replaced while we run. */
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
    if (options->tls_ca != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->tls_ca);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (options->tls_cert != NULL) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, options->tls_cert);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, options->tls_key);
    }
}

static void set_body(struct sf_etcd_transfer *transfer)
{
    curl_easy_setopt(transfer->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body_size);
    if (transfer->write) {
        curl_easy_setopt(transfer->easy, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(transfer->easy, CURLOPT_READDATA, transfer);
    } else {
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, transfer->body);
    }
}

static void set_options(struct sf_etcd *etcd, struct sf_etcd_transfer *transfer,
                        const struct sf_etcd_send *send)
{
    CURL *easy = transfer->easy;
    char url[SF_COORD_ADDRESS_MAX + 64];
    snprintf(url, sizeof url, "%s%s", etcd->options.endpoints[send->endpoint].url, send->path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 10L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 2L); /* members move */
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)sf_etcd_patient_ms(etcd, CONNECT_MS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)send->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    if (etcd->options.tls)
        set_tls(easy, &etcd->options);
    set_body(transfer);
}

static void add_header(struct sf_etcd_transfer *transfer, const char *text)
{
    struct curl_slist *more = curl_slist_append(transfer->headers, text);
    SF_ASSERT(more != NULL);
    transfer->headers = more;
}

struct sf_etcd_transfer *sf_etcd_http_send(struct sf_etcd *etcd, const struct sf_etcd_send *send)
{
    struct sf_etcd_transfer *transfer = calloc(1, sizeof *transfer);
    SF_ASSERT(transfer != NULL);
    transfer->easy = curl_easy_init();
    SF_ASSERT(transfer->easy != NULL);
    transfer->etcd = etcd;
    transfer->body = send->body;
    transfer->body_size = strlen(send->body);
    transfer->write = send->write;
    transfer->start_ns = sf_etcd_now_ns(etcd);
    transfer->date_s = -1;
    transfer->endpoint = send->endpoint;
    transfer->done = send->done;
    transfer->line = send->line;
    transfer->ctx = send->ctx;
    transfer->token_serial = etcd->belief->token_serial;
    add_header(transfer, "Content-Type: application/json");
    add_header(transfer, "Accept: application/json");
    add_header(transfer, "Expect:");
    if (send->with_token && etcd->belief->token != NULL) {
        char *text = NULL;
        SF_ASSERT(asprintf(&text, "Authorization: %s", etcd->belief->token) > 0);
        add_header(transfer, text);
        free(text);
    }
    set_options(etcd, transfer, send);
    transfer->next = etcd->http->transfers;
    etcd->http->transfers = transfer;
    SF_ASSERT(curl_multi_add_handle(etcd->http->multi, transfer->easy) == CURLM_OK);
    return transfer;
}

static void unlink_transfer(struct sf_etcd *etcd, struct sf_etcd_transfer *transfer)
{
    struct sf_etcd_transfer **at = &etcd->http->transfers;
    while (*at != transfer)
        at = &(*at)->next;
    *at = transfer->next;
}

static void free_transfer(struct sf_etcd *etcd, struct sf_etcd_transfer *transfer)
{
    unlink_transfer(etcd, transfer);
    curl_multi_remove_handle(etcd->http->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    free(transfer->body);
    free(transfer->answer);
    free(transfer);
}

/* A transfer may be cancelled from one of its own callbacks (a stream's line), where libcurl does
 * not allow its removal: it is only marked, and freed at the next turn. */
void sf_etcd_http_cancel(struct sf_etcd *etcd, struct sf_etcd_transfer *transfer)
{
    (void)etcd;
    if (transfer != NULL)
        transfer->cancelled = true;
}

static void free_cancelled(struct sf_etcd *etcd)
{
    struct sf_etcd_transfer *next;
    for (struct sf_etcd_transfer *transfer = etcd->http->transfers; transfer != NULL;
         transfer = next) {
        next = transfer->next;
        if (transfer->cancelled)
            free_transfer(etcd, transfer);
    }
}

/* Did no byte of the request leave? Only errors that come before the first byte, and only when
 * libcurl counted none. */
static bool surely_not_sent(struct sf_etcd_transfer *transfer, CURLcode code)
{
    long sent = 0;
    if (curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent) != CURLE_OK || sent != 0 ||
        transfer->body_sent != 0)
        return false;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_OPERATION_TIMEDOUT:
        return true;
    default:
        return false;
    }
}

static bool is_tls_refusal(CURLcode code, const char *error)
{
    switch (code) {
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
        return true;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return strstr(error, "alert") != NULL || strstr(error, "certificate") != NULL ||
               strstr(error, "wrong version number") != NULL;
    default:
        return false;
    }
}

static void failed(struct sf_etcd_transfer *transfer, CURLcode code, struct sf_etcd_result *result)
{
    const struct sf_etcd *etcd = transfer->etcd;
    result->fate = surely_not_sent(transfer, code) ? SF_ETCD_NOT_SENT : SF_ETCD_NO_ANSWER;
    result->reason = SF_COORD_UNREACHABLE;
    const char *what = transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(code);
    if (etcd->options.tls && is_tls_refusal(code, what))
        result->reason = SF_COORD_AUTH;
    snprintf(result->text, sizeof result->text, "%s%.200s",
             result->reason == SF_COORD_AUTH ? "TLS: " : "",
             transfer->too_large ? "the answer is too large" : what);
}

static void answered(struct sf_etcd *etcd, struct sf_etcd_transfer *transfer,
                     struct sf_etcd_result *result)
{
    long http = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &http);
    sf_etcd_answer_parse(http, transfer->answer == NULL ? "" : transfer->answer,
                         transfer->answer_size, &result->answer);
    if (transfer->date_s >= 0) {
        const int64_t took_ns = sf_etcd_now_ns(etcd) - transfer->start_ns;
        result->server_ms = transfer->date_s * 1000 + 500;
        result->server_error_ms = (uint32_t)(500 + took_ns / SF_NS_PER_MS + 1);
    }
    if (result->answer.verdict == SF_ETCD_OK &&
        !sf_etcd_believes(etcd, &result->answer.header, result->text)) {
        result->fate = SF_ETCD_NO_ANSWER;
        result->reason = SF_COORD_UNREACHABLE;
        result->server_ms = -1;
        return;
    }
    if (result->answer.verdict == SF_ETCD_BAD_TOKEN)
        sf_etcd_relogin(etcd, transfer->token_serial);
}

int64_t sf_etcd_patient_ms(const struct sf_etcd *etcd, int64_t ms)
{
    return ms * etcd->http->patience;
}

/* Doubled by each answer that did not come in time, halved by each that came in a fraction of it. */
static void learn_patience(struct sf_etcd *etcd, const struct sf_etcd_transfer *transfer,
                           CURLcode code)
{
    struct sf_etcd_http *http = etcd->http;
    const int64_t took_ms = (sf_etcd_now_ns(etcd) - transfer->start_ns) / SF_NS_PER_MS;
    if (transfer->line != NULL)
        return;
    if (code == CURLE_OPERATION_TIMEDOUT && http->patience < PATIENCE_MAX)
        http->patience *= 2;
    else if (code == CURLE_OK && http->patience > 1 &&
             took_ms < sf_etcd_patient_ms(etcd, SF_ETCD_REQUEST_MS) / 4)
        http->patience /= 2;
}

static void ended(struct sf_etcd *etcd, struct sf_etcd_transfer *transfer, CURLcode code)
{
    struct sf_etcd_result result = {
        .fate = SF_ETCD_ANSWERED, .server_ms = -1, .endpoint = transfer->endpoint};
    curl_socket_t socket = CURL_SOCKET_BAD;
    if (curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &socket) != CURLE_OK)
        socket = CURL_SOCKET_BAD;
    result.socket = socket;
    result.answer.verdict = SF_ETCD_UNAVAILABLE;
    learn_patience(etcd, transfer, code);
    if (code == CURLE_OK && transfer->line == NULL)
        answered(etcd, transfer, &result);
    else if (code == CURLE_OK)
        snprintf(result.text, sizeof result.text, "the stream ended");
    else
        failed(transfer, code, &result);
    if (result.text[0] != '\0')
        sf_etcd_tell(etcd, transfer->endpoint, result.text, result.text);
    if (result.answer.text[0] != '\0')
        sf_etcd_tell(etcd, transfer->endpoint, result.answer.text, result.answer.text);
    if (!transfer->cancelled && transfer->line != NULL && transfer->answer_size > 0)
        transfer->line(etcd, transfer->ctx, transfer->answer, transfer->answer_size);
    if (!transfer->cancelled) {
        etcd->http->called = true;
        transfer->cancelled = true;
        transfer->done(etcd, transfer->ctx, &result);
    }
    sf_etcd_answer_free(&result.answer);
}

void sf_etcd_http_distrust(const struct sf_etcd_result *result)
{
    if (result->socket >= 0)
        (void)shutdown(result->socket, SHUT_RDWR);
}

bool sf_etcd_http_turn(struct sf_etcd *etcd)
{
    int running = 0;
    etcd->http->called = false;
    free_cancelled(etcd);
    curl_multi_perform(etcd->http->multi, &running);
    int left = 0;
    for (CURLMsg *message = curl_multi_info_read(etcd->http->multi, &left); message != NULL;
         message = curl_multi_info_read(etcd->http->multi, &left)) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct sf_etcd_transfer *transfer = NULL;
        const CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        ended(etcd, transfer, code);
    }
    free_cancelled(etcd);
    return etcd->http->called;
}

void sf_etcd_http_end(struct sf_etcd *etcd)
{
    for (struct sf_etcd_transfer *transfer = etcd->http->transfers; transfer != NULL;
         transfer = transfer->next)
        transfer->cancelled = true;
    free_cancelled(etcd);
}
