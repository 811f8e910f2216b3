#include "client/policy.h"

#include <string.h>

#include "base/assert.h"

static bool usable(const struct sf_client_policy_server *server, int64_t now_ns)
{
    return server->in_use && server->state == SF_BREAKER_CLOSED && now_ns >= server->busy_until_ns;
}

static bool any_closed(const struct sf_client_policy *policy)
{
    for (uint32_t i = 0; i < policy->places; i++)
        if (policy->servers[i].in_use && policy->servers[i].state == SF_BREAKER_CLOSED)
            return true;
    return false;
}

/* While nobody serves, every server is looked at often: the first one that is back shall be found
 * at once. A probe that its engine never looked after (no call came that way again) lapses. */
static int64_t probe_due_ns(const struct sf_client_policy *policy,
                            const struct sf_client_policy_server *server, bool closed_exists)
{
    if (server->state == SF_BREAKER_PROBING)
        return server->probing_since_ns + policy->options.open_max_ns;
    const int64_t idle = server->opened_ns + policy->options.idle_probe_ns;
    return !closed_exists && idle < server->probe_at_ns ? idle : server->probe_at_ns;
}

void sf_client_policy_init(struct sf_client_policy *policy,
                           const struct sf_client_policy_options *options)
{
    memset(policy, 0, sizeof *policy);
    policy->options = *options;
    policy->budget_milli = (int64_t)options->budget_max * 1000;
}

int sf_client_policy_add(struct sf_client_policy *policy)
{
    uint32_t place = 0;
    while (place < policy->places && policy->servers[place].in_use)
        place++;
    if (place == SF_CLIENT_POLICY_SERVERS_MAX)
        return -1;
    if (place == policy->places)
        policy->places++;
    struct sf_client_policy_server *server = &policy->servers[place];
    *server = (struct sf_client_policy_server){.in_use = true,
                                               .generation = server->generation + 1,
                                               .state = SF_BREAKER_CLOSED,
                                               .open_ns = policy->options.open_min_ns};
    return (int)place;
}

void sf_client_policy_remove(struct sf_client_policy *policy, int server)
{
    SF_ASSERT(server >= 0 && (uint32_t)server < policy->places);
    policy->servers[server].in_use = false;
}

void sf_client_policy_call(struct sf_client_policy *policy)
{
    const int64_t max = (int64_t)policy->options.budget_max * 1000;
    policy->budget_milli += (int64_t)policy->options.budget_percent * 10;
    if (policy->budget_milli > max)
        policy->budget_milli = max;
}

static int nth_usable(const struct sf_client_policy *policy, int64_t now_ns,
                      const struct sf_client_policy_tried *tried, uint32_t nth)
{
    for (uint32_t i = 0; i < policy->places; i++)
        if (usable(&policy->servers[i], now_ns) && !sf_client_policy_tried_has(tried, (int)i) &&
            nth-- == 0)
            return (int)i;
    return -1;
}

static uint32_t count_usable(const struct sf_client_policy *policy, int64_t now_ns,
                             const struct sf_client_policy_tried *tried)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < policy->places; i++)
        count += usable(&policy->servers[i], now_ns) && !sf_client_policy_tried_has(tried, (int)i);
    return count;
}

static int64_t looked_at_ns(const struct sf_client_policy_server *server)
{
    return server->state == SF_BREAKER_PROBING ? server->probing_since_ns : server->opened_ns;
}

static int start_probe(struct sf_client_policy_server *server, int64_t now_ns, int index)
{
    server->state = SF_BREAKER_PROBING;
    server->probing_since_ns = now_ns;
    return index;
}

int sf_client_policy_choose(struct sf_client_policy *policy, int64_t now_ns,
                            const struct sf_client_policy_tried *tried, uint64_t random)
{
    const uint32_t count = count_usable(policy, now_ns, tried);
    if (count > 0) {
        const uint32_t a = (uint32_t)(random & 0xffffffff) % count;
        const int first = nth_usable(policy, now_ns, tried, a);
        if (count == 1)
            return first;
        const uint32_t b = (a + 1 + (uint32_t)(random >> 32) % (count - 1)) % count;
        const int second = nth_usable(policy, now_ns, tried, b);
        return policy->servers[second].load < policy->servers[first].load ? second : first;
    }
    if (any_closed(policy))
        return -1;
    /* The one that nobody has looked at for longest, so that a server which is back is found within
     * one round; of equals a random one, so that many clients do not all probe the same first. */
    int found = -1;
    for (uint32_t i = 0; i < policy->places; i++) {
        const uint32_t place = (uint32_t)((random + i) % policy->places);
        const struct sf_client_policy_server *server = &policy->servers[place];
        if (server->in_use && now_ns >= probe_due_ns(policy, server, false) &&
            (found < 0 || looked_at_ns(server) < looked_at_ns(&policy->servers[found])))
            found = (int)place;
    }
    return found < 0 ? -1 : start_probe(&policy->servers[found], now_ns, found);
}

int sf_client_policy_probe(struct sf_client_policy *policy, int64_t now_ns)
{
    /* The one that is due for longest: where calls are few, the others' turns come too. */
    int due = -1;
    int64_t due_ns = now_ns;
    bool closed_exists = false;
    for (uint32_t i = 0; i < policy->places; i++) {
        const struct sf_client_policy_server *server = &policy->servers[i];
        if (!server->in_use)
            continue;
        if (server->state == SF_BREAKER_CLOSED) {
            closed_exists = true;
            continue;
        }
        const int64_t at_ns = probe_due_ns(policy, server, true);
        if (at_ns > due_ns || (due >= 0 && at_ns == due_ns))
            continue;
        due = (int)i;
        due_ns = at_ns;
    }
    if (due < 0 || !closed_exists)
        return -1;
    return start_probe(&policy->servers[due], now_ns, due);
}

int64_t sf_client_policy_wake_ns(const struct sf_client_policy *policy, int64_t now_ns)
{
    const bool closed_exists = any_closed(policy);
    int64_t wake = now_ns + policy->options.idle_probe_ns;
    for (uint32_t i = 0; i < policy->places; i++) {
        const struct sf_client_policy_server *server = &policy->servers[i];
        if (!server->in_use)
            continue;
        const int64_t at = server->state == SF_BREAKER_CLOSED
                               ? server->busy_until_ns
                               : probe_due_ns(policy, server, closed_exists);
        if (at > now_ns && at < wake)
            wake = at;
    }
    return wake;
}

void sf_client_policy_begin(struct sf_client_policy *policy, int server)
{
    policy->servers[server].load++;
}

void sf_client_policy_end(struct sf_client_policy *policy, int server)
{
    SF_ASSERT(policy->servers[server].load > 0);
    policy->servers[server].load--;
}

/* The only function that moves a breaker, but for the start of a probe above. */
static void breaker_move(struct sf_client_policy *policy, struct sf_client_policy_server *server,
                         enum sf_breaker to, int64_t now_ns, uint64_t random)
{
    const enum sf_breaker from = server->state;
    server->state = to;
    if (to == SF_BREAKER_CLOSED) {
        server->failures = 0;
        server->open_ns = policy->options.open_min_ns;
        return;
    }
    SF_ASSERT(to == SF_BREAKER_OPEN && from != SF_BREAKER_OPEN);
    if (from == SF_BREAKER_CLOSED) {
        policy->opens++;
        server->open_ns = policy->options.open_min_ns;
    } else {
        server->open_ns *= 2;
        if (server->open_ns > policy->options.open_max_ns)
            server->open_ns = policy->options.open_max_ns;
    }
    server->opened_ns = now_ns;
    const int64_t half = server->open_ns / 2;
    server->probe_at_ns = now_ns + half + (int64_t)(random % (uint64_t)(half + 1));
}

void sf_client_policy_report(struct sf_client_policy *policy, int index, enum sf_outcome outcome,
                             int64_t retry_after_ns, int64_t now_ns, uint64_t random)
{
    struct sf_client_policy_server *server = &policy->servers[index];
    if (!server->in_use)
        return;
    if (outcome == SF_OUTCOME_OK || outcome == SF_OUTCOME_OVERLOADED) {
        if (server->state != SF_BREAKER_CLOSED)
            breaker_move(policy, server, SF_BREAKER_CLOSED, now_ns, random);
        server->failures = 0;
        if (outcome == SF_OUTCOME_OVERLOADED) {
            /* A little more than asked for, so that not all come back in the same instant. */
            const int64_t spread = retry_after_ns / 4 + policy->options.backoff_min_ns;
            const int64_t until =
                now_ns + retry_after_ns + (int64_t)(random % (uint64_t)(spread + 1));
            if (until > server->busy_until_ns)
                server->busy_until_ns = until;
        }
        return;
    }
    if (server->state == SF_BREAKER_OPEN)
        return; /* old news */
    server->failures++;
    const bool counted = outcome == SF_OUTCOME_LOST || outcome == SF_OUTCOME_FAULT;
    if (server->state == SF_BREAKER_PROBING || !counted ||
        server->failures >= policy->options.breaker_failures)
        breaker_move(policy, server, SF_BREAKER_OPEN, now_ns, random);
}

/* Exponential backoff with full jitter: uniform in (0, min(max, min << round)]. */
static int64_t backoff_ns(const struct sf_client_policy *policy, uint32_t round, uint64_t random)
{
    int64_t top = policy->options.backoff_min_ns;
    for (uint32_t i = 0; i < round && top < policy->options.backoff_max_ns; i++)
        top *= 2;
    if (top > policy->options.backoff_max_ns)
        top = policy->options.backoff_max_ns;
    return 1 + (int64_t)(random % (uint64_t)top);
}

int64_t sf_client_policy_retry_wait_ns(struct sf_client_policy *policy, int64_t now_ns,
                                       const struct sf_client_policy_tried *tried, uint32_t round,
                                       uint64_t random, bool *ret_no_budget)
{
    *ret_no_budget = false;
    if (count_usable(policy, now_ns, tried) == 0)
        return backoff_ns(policy, round, random);
    if (policy->budget_milli >= 1000) {
        policy->budget_milli -= 1000;
        return 0;
    }
    *ret_no_budget = true;
    return 1 + (int64_t)(random % (uint64_t)policy->options.backoff_max_ns);
}

uint32_t sf_client_policy_usable(const struct sf_client_policy *policy, int64_t now_ns)
{
    const struct sf_client_policy_tried none = {0};
    return count_usable(policy, now_ns, &none);
}
