/* Whose name a request may come under. */
#include "http/hosts.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 255

/* Without port, brackets, and the dot that may end a name. False: too long for a name. */
static bool bare_host(struct sf_http_text field, char to[HOST_MAX + 1])
{
    const char *begin = field.at, *end = field.at + field.size;
    if (*begin == '[') {
        const char *bracket = memchr(begin, ']', field.size);
        begin++;
        end = bracket != NULL ? bracket : begin;
    } else {
        const char *colon = memchr(begin, ':', field.size);
        end = colon != NULL ? colon : end;
    }
    if (end > begin + 1 && end[-1] == '.')
        end--;
    const size_t size = (size_t)(end - begin);
    if (size == 0 || size > HOST_MAX)
        return false;
    memcpy(to, begin, size);
    to[size] = '\0';
    return true;
}

static bool is_address(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static bool is_among(const char *names, const char *host)
{
    const size_t size = strlen(host);
    for (const char *at = names;;) {
        const size_t name = strcspn(at, ",");
        if ((name == 1 && *at == '*') || (name == size && strncasecmp(at, host, size) == 0))
            return true;
        if (at[name] == '\0')
            return false;
        at += name + 1;
    }
}

bool sf_http_host_allowed(const char *names, struct sf_http_text host)
{
    char bare[HOST_MAX + 1];
    if (host.at == NULL)
        return true;
    return bare_host(host, bare) &&
           (strchr(bare, '.') == NULL || is_address(bare) || is_among(names, bare));
}
