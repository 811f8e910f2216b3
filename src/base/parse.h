/* base/parse.h - strict parsing of text: the whole string must be the value; no leading blanks, no
 * silent overflow. Pure. Functions return 0, -EINVAL (not of the form) or -ERANGE (of the form,
 * outside the range), and leave ret_ alone then. */
#ifndef SF_BASE_PARSE_H
#define SF_BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only. */
int sf_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);
/* Decimal digits, a '-' allowed in front. */
int sf_parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret_value);
/* Decimal, or hexadecimal behind 0x. */
int sf_parse_id(const char *text, uint64_t *ret_value);
/* "true" or "false". */
int sf_parse_bool(const char *text, bool *ret_value);

#define SF_HOST_MAX 254

/* "host:port", "1.2.3.4:port", "[::1]:port"; "host" alone takes default_port unless that is
 * negative (then -EINVAL). An empty host (":7450") is allowed only with allow_any and gives "". The
 * brackets of IPv6 are taken off. Port 0 to 65535. */
struct sf_host_port {
    char host[SF_HOST_MAX];
    uint16_t port;
};
int sf_parse_host_port(const char *text, int default_port, bool allow_any,
                       struct sf_host_port *ret);

/* The other way round: "host:port", "[::1]:port", ":port". Returns buffer. */
#define SF_HOST_PORT_TEXT_MAX (SF_HOST_MAX + 8) /* brackets, colon, port */
const char *sf_format_host_port(const struct sf_host_port *address,
                                char buffer[SF_HOST_PORT_TEXT_MAX]);

/* RFC 3339 ("2026-11-20T12:00:00.250Z", offsets allowed) or decimal Unix milliseconds. */
int sf_parse_time_ms(const char *text, int64_t *ret_unix_ms);

/* Writes "2026-11-20T12:00:00.250Z" and returns buffer; size at least SF_TIME_TEXT_MAX. Works for
 * every int64_t (years past 9999 are written with as many digits as they need). */
#define SF_TIME_TEXT_MAX 40
const char *sf_format_time_ms(int64_t unix_ms, char *buffer, size_t size);

/* "9m12s", "48s", "250ms", "1h05m": for people. size at least SF_DURATION_TEXT_MAX. */
#define SF_DURATION_TEXT_MAX 32
const char *sf_format_duration_ms(int64_t duration_ms, char *buffer, size_t size);

#endif
