/* client/policy.c - the arithmetic of whom to ask: circuit breakers, the retry budget, the
 * percentile of hedging. */
#include "client/policy.h"

#include <string.h>

#include "base/assert.h"

/* For each server, while none works: 200 tries a second in all at most. */
#define TRY_SPACING_NS INT64_C(5000000)

static bool usable(const struct sf_client_policy_server *server, int64_t now_ns)
{
    return server->in_use && server->state == SF_BREAKER_CLOSED && now_ns >= server->busy_until_ns;
}

/* Between two tries of one server while none works; INT64_MAX while one does. Many servers are
 * tried less often each, so that all of them together cost little. */
static int64_t idle_ns(const struct sf_client_policy *policy)
{
    int64_t spacing_ns = 0;
    for (uint32_t i = 0; i < policy->places; i++) {
        if (policy->servers[i].in_use && policy->servers[i].state == SF_BREAKER_CLOSED)
            return INT64_MAX;
        spacing_ns += policy->servers[i].in_use ? TRY_SPACING_NS : 0;
    }
    return spacing_ns > policy->options.idle_probe_ns ? spacing_ns : policy->options.idle_probe_ns;
}

/* While nobody serves, every server is looked at often: the first one that is back shall be found
 * at once. A probe that its engine never looked after (no call came that way again) lapses. */
static int64_t probe_due_ns(const struct sf_client_policy *policy,
                            const struct sf_client_policy_server *server, int64_t idle)
{
    if (server->state == SF_BREAKER_PROBING)
        return server->probing_since_ns + policy->options.open_max_ns;
    if (idle == INT64_MAX || server->opened_ns + idle > server->probe_at_ns)
        return server->probe_at_ns;
    return server->opened_ns + idle;
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

void sf_client_policy_rank(struct sf_client_policy *policy, int server, uint64_t rank)
{
    SF_ASSERT(server >= 0 && (uint32_t)server < policy->places);
    policy->servers[server].rank = rank;
}

/* FNV-1a of the address, stirred together with the seed as splitmix64 does it. */
uint64_t sf_client_policy_rank_of(uint64_t seed, const char *address)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *at = address; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    hash ^= seed;
    hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
    return hash ^ hash >> 31;
}

int sf_client_policy_last(const struct sf_client_policy *policy)
{
    int last = -1;
    for (uint32_t i = 0; i < policy->places; i++)
        if (policy->servers[i].in_use &&
            (last < 0 || policy->servers[i].rank < policy->servers[last].rank))
            last = (int)i;
    return last;
}

void sf_client_policy_remove(struct sf_client_policy *policy, int server)
{
    SF_ASSERT(server >= 0 && (uint32_t)server < policy->places);
    policy->servers[server].in_use = false;
    policy->removals++;
}

void sf_client_policy_doubt(struct sf_client_policy *policy, int index, int64_t now_ns)
{
    struct sf_client_policy_server *server = &policy->servers[index];
    SF_ASSERT(server->in_use && server->state == SF_BREAKER_CLOSED && server->load == 0);
    server->state = SF_BREAKER_OPEN;
    server->opened_ns = server->probe_at_ns = now_ns;
}

void sf_client_policy_call(struct sf_client_policy *policy)
{
    const int64_t max = (int64_t)policy->options.budget_max * 1000;
    policy->budget_milli += (int64_t)policy->options.budget_percent * 10;
    if (policy->budget_milli > max)
        policy->budget_milli = max;
}

/* Which servers count for a subset. */
typedef bool is_candidate(const struct sf_client_policy_server *server, int index, int64_t now_ns,
                          const struct sf_client_policy_tried *tried);

static bool is_untried(const struct sf_client_policy_server *server, int index, int64_t now_ns,
                       const struct sf_client_policy_tried *tried)
{
    return usable(server, now_ns) && !sf_client_policy_tried_has(tried, index);
}

static bool is_usable(const struct sf_client_policy_server *server, int index, int64_t now_ns,
                      const struct sf_client_policy_tried *tried)
{
    (void)index;
    (void)tried;
    return usable(server, now_ns);
}

static bool is_closed(const struct sf_client_policy_server *server, int index, int64_t now_ns,
                      const struct sf_client_policy_tried *tried)
{
    (void)index;
    (void)now_ns;
    (void)tried;
    return server->in_use && server->state == SF_BREAKER_CLOSED;
}

/* The rank of the last one of a subset of these; 0: all of them are in it. */
static uint64_t least_rank(const struct sf_client_policy *policy, int64_t now_ns,
                           const struct sf_client_policy_tried *tried, is_candidate *counts)
{
    const uint32_t most = policy->options.subset;
    uint64_t best[SF_CLIENT_POLICY_SERVERS_MAX]; /* the highest, in descending order */
    uint32_t count = 0;
    if (most == 0 || policy->places <= most)
        return 0;
    for (uint32_t i = 0; i < policy->places; i++) {
        const struct sf_client_policy_server *server = &policy->servers[i];
        if (!counts(server, (int)i, now_ns, tried) ||
            (count == most && server->rank <= best[count - 1]))
            continue;
        uint32_t at = count < most ? count++ : most - 1;
        for (; at > 0 && best[at - 1] < server->rank; at--)
            best[at] = best[at - 1];
        best[at] = server->rank;
    }
    return count < most ? 0 : best[most - 1];
}

static int nth_usable(const struct sf_client_policy *policy, int64_t now_ns,
                      const struct sf_client_policy_tried *tried, uint64_t least, uint32_t nth)
{
    for (uint32_t i = 0; i < policy->places; i++)
        if (is_untried(&policy->servers[i], (int)i, now_ns, tried) &&
            policy->servers[i].rank >= least && nth-- == 0)
            return (int)i;
    return -1;
}

static uint32_t count_usable(const struct sf_client_policy *policy, int64_t now_ns,
                             const struct sf_client_policy_tried *tried, uint64_t least)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < policy->places; i++)
        count += is_untried(&policy->servers[i], (int)i, now_ns, tried) &&
                 policy->servers[i].rank >= least;
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
    uint64_t least = least_rank(policy, now_ns, tried, is_usable);
    uint32_t count = count_usable(policy, now_ns, tried, least);
    if (count == 0) { /* all of the subset were tried: on to others */
        least = least_rank(policy, now_ns, tried, is_untried);
        count = count_usable(policy, now_ns, tried, least);
    }
    if (count > 0) {
        const uint32_t a = (uint32_t)(random & 0xffffffff) % count;
        const int first = nth_usable(policy, now_ns, tried, least, a);
        if (count == 1)
            return first;
        const uint32_t b = (a + 1 + (uint32_t)(random >> 32) % (count - 1)) % count;
        const int second = nth_usable(policy, now_ns, tried, least, b);
        return policy->servers[second].load < policy->servers[first].load ? second : first;
    }
    const int64_t idle = idle_ns(policy);
    if (idle == INT64_MAX)
        return -1;
    /* The one that nobody has looked at for longest, so that a server which is back is found within
     * one round; of equals a random one, so that many clients do not all probe the same first. */
    int found = -1;
    for (uint32_t i = 0; i < policy->places; i++) {
        const uint32_t place = (uint32_t)((random + i) % policy->places);
        const struct sf_client_policy_server *server = &policy->servers[place];
        if (server->in_use && now_ns >= probe_due_ns(policy, server, idle) &&
            (found < 0 || looked_at_ns(server) < looked_at_ns(&policy->servers[found])))
            found = (int)place;
    }
    return found < 0 ? -1 : start_probe(&policy->servers[found], now_ns, found);
}

int sf_client_policy_probe(struct sf_client_policy *policy, int64_t now_ns)
{
    /* The one that is due for longest: where calls are few, the others' turns come too. Of a subset the
     * one of the highest rank, or more would be connected to than are used. */
    const bool by_rank = policy->options.subset > 0 && policy->places > policy->options.subset;
    int due = -1;
    int64_t due_ns = now_ns;
    bool closed_exists = false;
    const uint64_t least = least_rank(policy, now_ns, NULL, is_closed);
    for (uint32_t i = 0; i < policy->places; i++) {
        const struct sf_client_policy_server *server = &policy->servers[i];
        if (!server->in_use)
            continue;
        if (server->state == SF_BREAKER_CLOSED) {
            closed_exists = true;
            continue;
        }
        if (server->rank < least)
            continue; /* there are enough before it */
        const int64_t at_ns = probe_due_ns(policy, server, INT64_MAX);
        const bool sooner = due < 0 ? at_ns <= due_ns : at_ns < due_ns;
        const bool higher =
            at_ns <= now_ns && (due < 0 || server->rank > policy->servers[due].rank);
        if (by_rank ? !higher : !sooner)
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
    const int64_t idle = idle_ns(policy);
    int64_t wake = now_ns + policy->options.idle_probe_ns;
    for (uint32_t i = 0; i < policy->places; i++) {
        const struct sf_client_policy_server *server = &policy->servers[i];
        if (!server->in_use)
            continue;
        const int64_t at = server->state == SF_BREAKER_CLOSED ? server->busy_until_ns
                                                              : probe_due_ns(policy, server, idle);
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

/* The only function that moves a breaker, but for its beginning and the start of a probe above. */
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

static bool any_due(const struct sf_client_policy *policy, int64_t now_ns)
{
    const int64_t idle = idle_ns(policy);
    for (uint32_t i = 0; i < policy->places; i++)
        if (policy->servers[i].in_use && probe_due_ns(policy, &policy->servers[i], idle) <= now_ns)
            return true;
    return false;
}

int64_t sf_client_policy_retry_wait_ns(struct sf_client_policy *policy, int64_t now_ns,
                                       const struct sf_client_policy_tried *tried, uint32_t round,
                                       uint64_t random, bool *ret_no_budget)
{
    *ret_no_budget = false;
    if (idle_ns(policy) != INT64_MAX) /* no server works: the next one as soon as it is due */
        return any_due(policy, now_ns) ? 1 : sf_client_policy_wake_ns(policy, now_ns) - now_ns;
    if (count_usable(policy, now_ns, tried, 0) == 0)
        return backoff_ns(policy, round, random);
    if (policy->budget_milli >= 1000) {
        policy->budget_milli -= 1000;
        return 0;
    }
    *ret_no_budget = true;
    return 1 + (int64_t)(random % (uint64_t)policy->options.backoff_max_ns);
}

/* Stochastic approximation of a quantile, in steps that are parts of the estimate, so that it finds
 * microseconds and milliseconds alike: where it stands still, `percentile` of 100 answers come
 * below it. It rises quickly, so that in a slow fleet the second requests soon stop. */
void sf_client_policy_answered(struct sf_client_policy *policy, int64_t latency_ns)
{
    const int64_t percentile = policy->options.hedge_percentile;
    if (percentile == 0)
        return;
    if (policy->latency_ns == 0)
        policy->latency_ns = latency_ns * 8;
    const int64_t step = policy->latency_ns / 16 + 1;
    if (latency_ns > policy->latency_ns)
        policy->latency_ns += step * percentile / 100 + 1;
    else
        policy->latency_ns -= step * (100 - percentile) / 100;
}

int64_t sf_client_policy_hedge_ns(const struct sf_client_policy *policy)
{
    const struct sf_client_policy_options *options = &policy->options;
    if (options->hedge_percentile == 0)
        return options->hedge_ns > 0 ? options->hedge_ns : INT64_MAX;
    if (policy->latency_ns == 0)
        return INT64_MAX;
    return policy->latency_ns > options->hedge_ns ? policy->latency_ns : options->hedge_ns;
}

bool sf_client_policy_may_hedge(struct sf_client_policy *policy)
{
    if (policy->budget_milli < 1000)
        return false;
    policy->budget_milli -= 1000;
    return true;
}

uint32_t sf_client_policy_usable(const struct sf_client_policy *policy, int64_t now_ns)
{
    const struct sf_client_policy_tried none = {0};
    return count_usable(policy, now_ns, &none, 0);
}
