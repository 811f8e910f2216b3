/* Strict parsers of numbers, sizes, IDs and addresses. Times and durations are in time_text.c. */
#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits of this base up to the NUL. -EINVAL wins over -ERANGE: a number with a stray
 * character is no number. */
static int parse_digits(const char *text, unsigned base, uint64_t *ret_value)
{
    if (*text == '\0')
        return -EINVAL;
    uint64_t value = 0;
    bool over = false;
    for (; *text; text++) {
        unsigned digit;
        if (is_digit(*text))
            digit = (unsigned)(*text - '0');
        else if (base == 16 && *text >= 'a' && *text <= 'f')
            digit = (unsigned)(*text - 'a') + 10;
        else if (base == 16 && *text >= 'A' && *text <= 'F')
            digit = (unsigned)(*text - 'A') + 10;
        else
            return -EINVAL;
        if (value > (UINT64_MAX - digit) / base)
            over = true;
        else
            value = value * base + digit;
    }
    if (over)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

int sf_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    uint64_t value;
    const int rc = parse_digits(text, 10, &value);
    if (rc < 0)
        return rc;
    if (value < min || value > max)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

int sf_parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
    const bool negative = *text == '-';
    uint64_t magnitude;
    const int rc = parse_digits(text + negative, 10, &magnitude);
    if (rc < 0)
        return rc;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return -ERANGE;
    int64_t value;
    if (negative)
        value = magnitude == 0 ? 0 : -(int64_t)(magnitude - 1) - 1;
    else
        value = (int64_t)magnitude;
    if (value < min || value > max)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

int sf_parse_id(const char *text, uint64_t *ret_value)
{
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return parse_digits(text + 2, 16, ret_value);
    return parse_digits(text, 10, ret_value);
}

int sf_parse_bool(const char *text, bool *ret_value)
{
    if (strcmp(text, "true") == 0)
        *ret_value = true;
    else if (strcmp(text, "false") == 0)
        *ret_value = false;
    else
        return -EINVAL;
    return 0;
}

/* A name (RFC 1123 characters, and '_', which real names have) or an IPv4 address. */
static bool is_host_name(const char *host)
{
    if (*host == '\0' || *host == '-' || *host == '.')
        return false;
    for (; *host; host++) {
        const char c = *host;
        const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alpha && !is_digit(c) && c != '-' && c != '.' && c != '_')
            return false;
        if (c == '.' && host[1] == '.')
            return false;
    }
    return true;
}

/* An IPv6 address, perhaps with a zone behind '%' (RFC 4007). */
static bool is_ipv6(const char *host)
{
    char address[SF_HOST_MAX];
    const size_t size = strcspn(host, "%");
    if (size >= sizeof address)
        return false;
    if (host[size] == '%' && !is_host_name(host + size + 1))
        return false;
    memcpy(address, host, size);
    address[size] = '\0';
    struct in6_addr ignored;
    return inet_pton(AF_INET6, address, &ignored) == 1;
}

int sf_parse_host_port(const char *text, int default_port, bool allow_any, struct sf_host_port *ret)
{
    const bool brackets = *text == '[';
    const char *host = text + brackets;
    const size_t host_size = strcspn(host, brackets ? "]" : ":");
    const char *rest = host + host_size;
    if (brackets) {
        if (*rest != ']')
            return -EINVAL;
        rest++;
    }
    struct sf_host_port result = {.port = 0};
    if (host_size >= sizeof result.host)
        return -EINVAL;
    memcpy(result.host, host, host_size);
    result.host[host_size] = '\0';

    uint64_t port;
    if (*rest == ':') {
        const int rc = sf_parse_u64(rest + 1, 0, UINT16_MAX, &port);
        if (rc < 0)
            return rc;
    } else if (*rest == '\0' && default_port >= 0 && (brackets || host_size > 0)) {
        port = (uint64_t)default_port;
    } else {
        return -EINVAL;
    }
    const bool valid = brackets         ? is_ipv6(result.host)
                       : host_size == 0 ? allow_any
                                        : is_host_name(result.host);
    if (!valid)
        return -EINVAL;
    result.port = (uint16_t)port;
    *ret = result;
    return 0;
}

const char *sf_format_host_port(const struct sf_host_port *address,
                                char buffer[SF_HOST_PORT_TEXT_MAX])
{
    const bool ipv6 = strchr(address->host, ':') != NULL;
    snprintf(buffer, SF_HOST_PORT_TEXT_MAX, "%s%s%s:%u", ipv6 ? "[" : "", address->host,
             ipv6 ? "]" : "", (unsigned)address->port);
    return buffer;
}
