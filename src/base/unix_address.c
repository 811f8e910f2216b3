/* How UNIX sockets are written. */
#include "base/unix_address.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static bool is_visible(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        if (*at <= ' ' || *at > '~' || *at == ',')
            return false;
    return true;
}

/* Below a directory that is not the root, and not a directory itself. */
static bool is_path(const char *text)
{
    const char *slash = strrchr(text, '/');
    return text[0] == '/' && slash != text && slash[1] != '\0';
}

int sf_unix_address(const char *text, struct sockaddr_un *ret, socklen_t *ret_size)
{
    const size_t size = strlen(text);
    const bool abstract = text[0] == '@';
    if (size >= sizeof ret->sun_path || !is_visible(text) ||
        (abstract ? text[1] == '\0' : !is_path(text)))
        return -EINVAL;
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, text, size);
    if (abstract)
        ret->sun_path[0] = '\0';
    /* An abstract name ends with its last byte, a path with a zero. */
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (abstract ? 0 : 1));
    return 0;
}

bool sf_unix_address_ok(const char *text)
{
    struct sockaddr_un address;
    socklen_t size;
    return sf_unix_address(text, &address, &size) == 0;
}

bool sf_unix_server_meant(const char *text)
{
    return strncmp(text, SF_UNIX_PREFIX, strlen(SF_UNIX_PREFIX)) == 0;
}

int sf_unix_server(const char *text, struct sockaddr_un *ret, socklen_t *ret_size)
{
    if (!sf_unix_server_meant(text))
        return -EINVAL;
    return sf_unix_address(text + strlen(SF_UNIX_PREFIX), ret, ret_size);
}
