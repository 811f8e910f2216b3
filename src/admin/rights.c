/* Who may ask for what on the admin port. */
#include "admin/rights.h"

#include <string.h>
#include <strings.h>

#include "admin/answer.h"

/* NULL: none are asked for. To be given back. */
static struct sf_tokens *tokens_of(struct sf_admin_pages *pages)
{
    pthread_mutex_lock(&pages->tokens_lock);
    struct sf_tokens *tokens = sf_tokens_ref(pages->tokens);
    pthread_mutex_unlock(&pages->tokens_lock);
    return tokens;
}

/* Authorization: Bearer TOKEN (RFC 6750, 2.1). */
static bool has_token(struct MHD_Connection *connection, const struct sf_tokens *tokens)
{
    static const char scheme[] = "Bearer ";
    const char *given =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (given == NULL || strncasecmp(given, scheme, sizeof scheme - 1) != 0)
        return false;
    given += sizeof scheme - 1;
    return sf_tokens_check(tokens, given, strlen(given)) != NULL;
}

bool sf_admin_is_let_in(struct sf_admin_pages *pages, struct MHD_Connection *connection)
{
    struct sf_tokens *tokens = tokens_of(pages);
    const bool let_in = tokens == NULL || has_token(connection, tokens);
    sf_tokens_unref(tokens);
    return let_in;
}

const char *sf_admin_order_refusal(struct sf_admin_pages *pages, struct MHD_Connection *connection)
{
    struct sf_tokens *tokens = tokens_of(pages);
    const bool has_tokens = tokens != NULL;
    sf_tokens_unref(tokens);
    if (!has_tokens && !pages->loopback)
        return "draining or reloading from outside needs a token: set admin.token_file, or "
               "admin.address to 127.0.0.1, or send SIGTERM or SIGHUP\n";
    if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin") != NULL)
        return "a web page may not drain or reload a worker: use snowfleet drain or snowfleet "
               "reload\n";
    return NULL;
}
