/* Tokens that a connection shows. */
#include "server/auth.h"

#include "server/internal.h"

struct sf_token *sf_auth_look(struct sf_session *session, const void *bytes, size_t size,
                              int64_t *ret_wait_ns)
{
    struct sf_shard *shard = session->shard;
    struct sf_bucket *guesses = &session->address->guesses;
    *ret_wait_ns = sf_bucket_take(guesses, SF_GUESSES_PER_S, SF_GUESSES_BURST, 1, shard->now_ns);
    if (*ret_wait_ns > 0)
        return NULL;
    shard->work += SF_TURN_WORK; /* all tokens are compared */
    struct sf_token *token = sf_tokens_check(shard->settings.tokens, bytes, size);
    if (token != NULL)
        sf_auth_forget(session);
    return token;
}

void sf_auth_accept(struct sf_session *session, struct sf_token *token)
{
    sf_token_unref(session->token);
    session->token = sf_token_ref(token);
    atomic_fetch_add_explicit(&token->logins, 1, memory_order_relaxed);
}

static void note_guess(struct sf_session *session)
{
    struct sf_shard *shard = session->shard;
    char from[SF_ADDRESS_TEXT_MAX];
    sf_metrics_add(shard->metrics, SF_METRIC_AUTH_FAILURES, 0, 1);
    sf_log_limited(shard->server->options.log, &shard->server->auth_limiter, SF_GUESSES_LOG_EACH_MS,
                   SF_LOG_WARN, "server.auth_failed",
                   "%s from %s with a token that is not in listen.token_file",
                   session->http ? "HTTP" : "AUTH", sf_address_text(session->address, from));
}

void sf_auth_refuse(struct sf_session *session, bool guessed)
{
    if (guessed)
        note_guess(session);
    sf_token_unref(session->token);
    session->token = NULL;
    if (++session->auth_tries >= SF_AUTH_TRIES_MAX)
        sf_session_end(session, SF_CONN_CLOSED_PROTOCOL);
}

void sf_auth_forget(struct sf_session *session)
{
    sf_bucket_give_back(&session->address->guesses, SF_GUESSES_PER_S, 1);
}
