/* client/options.c - the options of a client: the table of numbers with their bounds and defaults,
 * and the copies of texts. */
#include "client/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"

struct number {
    const char *name;
    size_t offset;
    uint32_t standard; /* in place of 0 */
    uint32_t min, max;
};

#define NUMBER(field, standard, min, max)                                                          \
    {                                                                                              \
#field, offsetof(struct sf_client_options, field), standard, min, max                      \
    }

static const struct number numbers[] = {
    NUMBER(timeout_ms, 2000, 1, SF_CLIENT_TIMEOUT_MAX),
    NUMBER(attempt_timeout_ms, 100, 1, SF_CLIENT_TIMEOUT_MAX),
    NUMBER(connect_timeout_ms, 1000, 1, SF_CLIENT_TIMEOUT_MAX),
    NUMBER(hedge_ms, 0, 0, SF_CLIENT_TIMEOUT_MAX),
    NUMBER(hedge_percentile, 0, 50, 99),
    NUMBER(pool, 1, 1, SF_CLIENT_POOL_MAX),
    NUMBER(resolve_ms, 30000, 1000, 86400000),
    NUMBER(discover_ms, 30000, 1000, 86400000),
    NUMBER(subset, 8, 1, SF_CLIENT_SERVERS_MAX),
    NUMBER(retry_budget_percent, 20, 1, 1000),
    NUMBER(retry_budget_max, 100, 1, 1000000),
    NUMBER(backoff_min_ms, 2, 1, 60000),
    NUMBER(backoff_max_ms, 100, 1, 60000),
    NUMBER(breaker_failures, 3, 1, 1000000),
    NUMBER(breaker_open_min_ms, 100, 1, 600000),
    NUMBER(breaker_open_max_ms, 1000, 1, 600000),
    NUMBER(breaker_idle_ms, 75, 1, 60000),
    NUMBER(prefetch, 0, 0, SF_CLIENT_PREFETCH_MAX),
    NUMBER(prefetch_max_age_ms, 100, 1, 600000),
};

static uint32_t *field(struct sf_client_options *options, const struct number *number)
{
    return (uint32_t *)(void *)((char *)options + number->offset);
}

static enum sf_client_error invalid(char *detail, size_t size, const char *text)
{
    (void)snprintf(detail, size, "%s", text);
    return SF_CLIENT_INVALID;
}

static enum sf_client_error check(struct sf_client_options *options, char *detail, size_t size)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint32_t *value = field(options, &numbers[i]);
        if (*value == 0)
            *value = numbers[i].standard;
        if (*value != numbers[i].standard && (*value < numbers[i].min || *value > numbers[i].max)) {
            (void)snprintf(detail, size, "%s: %u is out of range; allowed are %u to %u",
                           numbers[i].name, *value, numbers[i].min, numbers[i].max);
            return SF_CLIENT_INVALID;
        }
    }
    if (options->servers == NULL)
        return invalid(detail, size, "servers: none given; example: ids-0:7450,ids-1:7450");
    if (options->backoff_min_ms > options->backoff_max_ms)
        return invalid(detail, size, "backoff_min_ms: must not be above backoff_max_ms");
    if (options->breaker_open_min_ms > options->breaker_open_max_ms)
        return invalid(detail, size, "breaker_open_min_ms: must not be above breaker_open_max_ms");
    if (options->causal && options->prefetch > 0)
        return invalid(detail, size, "prefetch: gives up the order that causal promises; use one");
    if ((options->tls_cert == NULL) != (options->tls_key == NULL))
        return invalid(detail, size, "tls_cert, tls_key: give both or none");
    if (!options->tls &&
        (options->tls_ca != NULL || options->tls_cert != NULL || options->tls_server_name != NULL))
        return invalid(detail, size, "tls: must be true for the other tls options to have a use");
    if (options->token != NULL &&
        (options->token[0] == '\0' || strlen(options->token) > SF_WIRE_TOKEN_MAX))
        return invalid(detail, size, "token: must have 1 to 256 bytes");
    return SF_CLIENT_OK;
}

static const size_t strings[] = {
    offsetof(struct sf_client_options, servers),
    offsetof(struct sf_client_options, tls_ca),
    offsetof(struct sf_client_options, tls_cert),
    offsetof(struct sf_client_options, tls_key),
    offsetof(struct sf_client_options, token),
    offsetof(struct sf_client_options, tls_server_name),
};

static char **string(struct sf_client_options *options, size_t i)
{
    return (char **)(void *)((char *)options + strings[i]);
}

enum sf_client_error sf_options_copy(const struct sf_client_options *from,
                                     struct sf_client_options *ret, char *detail,
                                     size_t detail_size)
{
    struct sf_client_options copy = *from;
    const enum sf_client_error error = check(&copy, detail, detail_size);
    if (error != SF_CLIENT_OK)
        return error;
    bool failed = false;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        char **text = string(&copy, i);
        if (*text != NULL) {
            *text = strdup(*text);
            failed = failed || *text == NULL;
        }
    }
    if (failed) {
        sf_options_free(&copy);
        return SF_CLIENT_MEMORY;
    }
    *ret = copy;
    return SF_CLIENT_OK;
}

void sf_options_free(struct sf_client_options *options)
{
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        free(*string(options, i));
        *string(options, i) = NULL;
    }
}
