/* cli/http.c - one request to an admin port, through libcurl. */
#include "cli/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/strbuf.h"
#include "base/tls_policy.h"
#include "cli/token.h"

#define URL_MAX 512

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct sf_strbuf *body = ctx;
    sf_strbuf_add(body, bytes, size * count);
    return body->failed ? 0 : size * count;
}

/* "http://HOST:PORT", "https://HOST:PORT" or "HOST:PORT", with the path behind it. */
static int full_url(const char *url, const char *path, char to[URL_MAX], struct sf_error *err)
{
    struct sf_host_port at;
    char place[SF_HOST_MAX + 16];
    const char *scheme = strncmp(url, "https://", 8) == 0 ? "https" : "http";
    const char *rest = strncmp(url, "https://", 8) == 0  ? url + 8
                       : strncmp(url, "http://", 7) == 0 ? url + 7
                                                         : url;
    const char *behind = rest + strcspn(rest, "/");
    (void)snprintf(place, sizeof place, "%.*s", (int)(behind - rest), rest);
    if (strstr(rest, "://") != NULL || (behind[0] == '/' && behind[1] != '\0') ||
        sf_parse_host_port(place, 7451, false, &at) != 0)
        return sf_error_set(
            err, -EINVAL,
            "\"%s\" is no admin address; allowed are http://HOST:PORT, https://HOST:PORT "
            "and HOST:PORT",
            url);
    (void)snprintf(to, URL_MAX, strchr(at.host, ':') != NULL ? "%s://[%s]:%u%s" : "%s://%s:%u%s",
                   scheme, at.host, at.port, path);
    return 0;
}

int sf_cli_curl_code(CURL *curl, CURLcode result)
{
    long os_errno = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
    if (result == CURLE_COULDNT_RESOLVE_HOST)
        return -ENOENT;
    if (result == CURLE_OPERATION_TIMEDOUT)
        return -ETIMEDOUT;
    if (result == CURLE_COULDNT_CONNECT && os_errno != 0)
        return (int)-os_errno;
    if (result == CURLE_RECV_ERROR || result == CURLE_GOT_NOTHING || result == CURLE_SEND_ERROR)
        return -ECONNRESET;
    return -EPROTO;
}

bool sf_cli_admin_has_tls(const struct sf_cli_admin *admin)
{
    return admin->ca != NULL || admin->cert != NULL;
}

void sf_cli_curl_certificates(CURL *curl, const struct sf_cli_admin *admin)
{
    if (admin->ca != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, admin->ca);
    if (admin->cert != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_SSLCERT, admin->cert);
    if (admin->key != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_SSLKEY, admin->key);
}

static int perform(CURL *curl, const char *url, struct sf_strbuf *body, struct sf_cli_answer *ret,
                   struct sf_error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    const CURLcode result = curl_easy_perform(curl);
    if (result != CURLE_OK)
        return sf_error_set(err, sf_cli_curl_code(curl, result), "%s: %s", url,
                            detail[0] != '\0' ? detail : curl_easy_strerror(result));
    long status = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    sf_strbuf_add(body, "", 0);
    char *copy = malloc(body->length + 1);
    if (copy == NULL)
        return sf_error_set(err, -ENOMEM, "no memory for the answer of %s", url);
    if (body->length > 0)
        memcpy(copy, body->text, body->length);
    copy[body->length] = '\0';
    *ret = (struct sf_cli_answer){.status = (int)status, .body = copy, .size = body->length};
    return 0;
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *text)
{
    struct curl_slist *longer = curl_slist_append(headers, text);
    if (longer == NULL)
        abort();
    return longer;
}

static int make_headers(const struct sf_cli_admin *admin, struct curl_slist **ret_headers,
                        struct sf_error *err)
{
    char token[SF_CLI_TOKEN_MAX], header[SF_CLI_TOKEN_MAX + 32];
    struct curl_slist *headers = NULL;
    if (admin->token_file != NULL) {
        const int rc = sf_cli_token_read(admin->token_file, token, err);
        if (rc != 0)
            return rc;
        (void)snprintf(header, sizeof header, "Authorization: Bearer %s", token);
        headers = add_header(headers, header);
        explicit_bzero(token, sizeof token);
        explicit_bzero(header, sizeof header);
    }
    *ret_headers = add_header(headers, "Accept: application/json");
    return 0;
}

int sf_cli_http(const char *method, const struct sf_cli_admin *admin, const char *path,
                uint32_t timeout_ms, struct sf_cli_answer *ret, struct sf_error *err)
{
    char url[URL_MAX];
    struct curl_slist *headers = NULL;
    int rc = full_url(admin->url, path, url, err);
    if (rc == 0)
        rc = make_headers(admin, &headers, err);
    if (rc != 0)
        return rc;
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        abort();
    struct sf_strbuf body;
    sf_strbuf_init(&body, SF_CLI_HTTP_BODY_MAX);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); /* workers are asked directly */
    (void)curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(curl, CURLOPT_SSL_CIPHER_LIST, SF_TLS12_CIPHERS);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    sf_cli_curl_certificates(curl, admin);
    if (strcmp(method, "POST") == 0)
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    rc = perform(curl, url, &body, ret, err);
    sf_strbuf_free(&body);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return rc;
}

void sf_cli_answer_free(struct sf_cli_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}
