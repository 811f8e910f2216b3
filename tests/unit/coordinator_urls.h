/* unit/coordinator_urls.h - URLs of coordinators, and why each is refused: one table for the parser, the
 * configuration and every backend, which must refuse the same ones with the same words. */
#ifndef SF_TESTS_COORDINATOR_URLS_H
#define SF_TESTS_COORDINATOR_URLS_H

#include "unit/cmocka_all.h"

#include "base/coordinator.h"

#define URL_PASSWORD "hunter2"

static const char url_scheme_reason[] =
    "it begins with none of local://, zk://, zks://, etcd:// and etcds://";
static const char url_user_reason[] =
    "no user and no password may stand in it (there is an @): coordinator.username and "
    "coordinator.password_file are for them";
static const char url_path_reason[] =
    "the path behind the hosts may hold printable ASCII without blanks and ? # % \" \\ only";

#define URL_HOST_REASON(text)                                                                      \
    "\"" text "\" is not host, host:port or [address]:port with a port from 1 to 65535"

/* Behind one of the schemes with servers. */
static const struct {
    const char *rest, *why;
} bad_servers[] = {
    {"", URL_HOST_REASON("")},
    {"/chroot", URL_HOST_REASON("")},
    {",", URL_HOST_REASON("")},
    {"h,", URL_HOST_REASON("")},
    {",h", URL_HOST_REASON("")},
    {"h,,i", URL_HOST_REASON("")},
    {"h:1,i:/c", URL_HOST_REASON("i:")},
    {"h:0", URL_HOST_REASON("h:0")},
    {"h:65536", URL_HOST_REASON("h:65536")},
    {"h:x", URL_HOST_REASON("h:x")},
    {"h:1:2", URL_HOST_REASON("h:1:2")},
    {"h i", URL_HOST_REASON("h i")},
    {"h;i", URL_HOST_REASON("h;i")},
    {"::1", URL_HOST_REASON("::1")},
    {"[::1", URL_HOST_REASON("[::1")},
    {"[::1]x", URL_HOST_REASON("[::1]x")},
    {"[fe80::1%eth0]:1", URL_HOST_REASON("[fe80::1%eth0]:1")},
    {"h?x", URL_HOST_REASON("h?x")},
    {"h#x", URL_HOST_REASON("h#x")},
    {"h,h", "\"h\" stands there twice"},
    {"h:7,[::1]:7,h:7/c", "\"h:7\" stands there twice"},
    {"user:" URL_PASSWORD "@h", url_user_reason},
    {"user:" URL_PASSWORD "@h:1,i:2/c", url_user_reason},
    {"h:1,user:" URL_PASSWORD "@i", url_user_reason},
    {"user:1/" URL_PASSWORD "@h", url_user_reason},
    {URL_PASSWORD "@h", url_user_reason},
    {"h//", NULL}, /* trailing slashes mean nothing */
    {"h//a", "the path \"//a\" has an empty part, \".\" or \"..\""},
    {"h/a//b", "the path \"/a//b\" has an empty part, \".\" or \"..\""},
    {"h/.", "the path \"/.\" has an empty part, \".\" or \"..\""},
    {"h/a/../b", "the path \"/a/../b\" has an empty part, \".\" or \"..\""},
    {"h/a b", url_path_reason},
    {"h/a?b", url_path_reason},
    {"h/a#b", url_path_reason},
    {"h/a%2fb", url_path_reason},
    {"h/a\\b", url_path_reason},
    {"h/a\"b", url_path_reason},
    {"h/\xc3\xa4", url_path_reason},
    {"h/a\x7f", url_path_reason},
};

/* Calls judge(url, why not, or NULL for one that is allowed) for every row. */
static inline void each_server_url(const char *scheme,
                                   void (*judge)(const char *url, const char *why))
{
    char url[SF_COORDINATOR_URL_MAX + 64], why[128];
    for (size_t i = 0; i < SF_COUNT(bad_servers); i++) {
        snprintf(url, sizeof url, "%s%s", scheme, bad_servers[i].rest);
        judge(url, bad_servers[i].why);
    }
    /* At each limit, and past it. */
    for (unsigned more = 0; more < 2; more++) {
        size_t size = (size_t)snprintf(url, sizeof url, "%sh", scheme);
        for (unsigned i = 1; i < SF_COORDINATOR_HOSTS_MAX + more; i++)
            size += (size_t)snprintf(url + size, sizeof url - size, ",h:%u", i);
        judge(url, more ? "more than 32 hosts" : NULL);
        size = (size_t)snprintf(url, sizeof url, "%sh/", scheme);
        memset(url + size, 'p', SF_COORDINATOR_PATH_MAX - 1 + more);
        url[size + SF_COORDINATOR_PATH_MAX - 1 + more] = '\0';
        judge(url,
              more ? "the path behind the hosts has 257 bytes, at most 256 are allowed" : NULL);
        memset(url, '/', sizeof url);
        memcpy(url, scheme, strlen(scheme));
        url[strlen(scheme)] = 'h';
        url[SF_COORDINATOR_URL_MAX + more] = '\0';
        snprintf(why, sizeof why, "%d bytes, at most %d are allowed", SF_COORDINATOR_URL_MAX + 1,
                 SF_COORDINATOR_URL_MAX);
        judge(url, more ? why : NULL);
    }
}

/* The words of a refusal: the reason, and never what may be a password. */
static inline void assert_refused(const char *url, const char *why, const char *words)
{
    if (strstr(words, why) == NULL)
        fail_msg("%s: no \"%s\" in: %s", url, why, words);
    if (strstr(words, URL_PASSWORD) != NULL)
        fail_msg("%s: the password is in: %s", url, words);
}

#endif
