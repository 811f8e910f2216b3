/* The fleet as its workers tell it: each INFO answer may carry the addresses of the workers that
 * hold a slot (docs/protocol.md). They become names beside those of options.servers, which stay
 * whatever the workers say. A list is only one worker's view, of one datacenter, and may be old: it
 * adds servers, which are probed before they are used, and takes away only those that no list has
 * named for a while and that do not answer. All of it under the mutex. */
#include <stdio.h>
#include <string.h>

#include "client/shared.h"

/* Between two looks, however many connections are lost. */
#define LOOK_MIN_NS (INT64_C(1000) * SF_NS_PER_MS)

static bool same(const struct sf_host_port *a, const struct sf_host_port *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static void drop(struct sf_shared *shared, int name)
{
    for (uint32_t i = 0; i < shared->policy.places; i++)
        if (shared->policy.servers[i].in_use && shared->servers[i].name == name)
            sf_client_policy_remove(&shared->policy, (int)i);
    shared->names[name].in_use = false;
}

/* As of a server whose address is written so. */
static uint64_t rank_of(const struct sf_shared *shared, const struct sf_host_port *at)
{
    char text[SF_HOST_MAX + 16];
    (void)snprintf(text, sizeof text, strchr(at->host, ':') != NULL ? "[%s]:%u" : "%s:%u", at->host,
                   at->port);
    return sf_client_policy_rank_of(shared->rank_seed, text);
}

/* Room for one more where all places are taken: that of the last in this client's order. SF_NAMES_MAX:
 * this one is the last itself. */
static uint32_t make_room(struct sf_shared *shared, const struct sf_host_port *at)
{
    uint32_t last = shared->seed_count;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = shared->seed_count; i < shared->name_count; i++) {
        const uint64_t rank = rank_of(shared, &shared->names[i].at);
        if (rank < least) {
            last = i;
            least = rank;
        }
    }
    sf_count(shared, SF_COUNT_PASSED_OVER, 1);
    if (least >= rank_of(shared, at))
        return SF_NAMES_MAX;
    drop(shared, (int)last);
    return last;
}

/* The name with this address; made where there is none. -1 when there is no room for it. */
static int name_of(struct sf_shared *shared, const struct sf_host_port *at)
{
    uint32_t place = SF_NAMES_MAX;
    for (uint32_t i = 0; i < shared->name_count; i++) {
        if (shared->names[i].in_use && same(&shared->names[i].at, at))
            return (int)i;
        if (!shared->names[i].in_use && place == SF_NAMES_MAX)
            place = i;
    }
    if (place == SF_NAMES_MAX) {
        if (shared->name_count - shared->seed_count == SF_CLIENT_DISCOVER_MAX)
            place = make_room(shared, at);
        else
            place = shared->name_count++;
    }
    if (place == SF_NAMES_MAX)
        return -1;
    shared->names[place] = (struct sf_name){.in_use = true, .discovered = true, .at = *at};
    return (int)place;
}

static bool has_server(const struct sf_shared *shared, int name)
{
    for (uint32_t i = 0; i < shared->policy.places; i++)
        if (shared->policy.servers[i].in_use && shared->servers[i].name == name)
            return true;
    return false;
}

/* Addresses become servers at once, names when the resolver has looked them up. */
static void find_servers(struct sf_shared *shared, int index, int64_t now_ns)
{
    struct sf_name *name = &shared->names[index];
    struct addrinfo *list = NULL;
    if (!name->discovered || has_server(shared, index))
        return;
    if (sf_resolve_look_up(&name->at, AI_NUMERICHOST, &list) == 0) {
        name->numeric = true;
        sf_resolve_take(shared, index, list, now_ns);
        freeaddrinfo(list);
    } else if (!name->resolved) {
        shared->resolve_now = true;
        pthread_cond_signal(&shared->resolve_wake);
    }
}

static bool answers(const struct sf_shared *shared, int name)
{
    for (uint32_t i = 0; i < shared->policy.places; i++)
        if (shared->policy.servers[i].in_use && shared->servers[i].name == name &&
            shared->policy.servers[i].state == SF_BREAKER_CLOSED)
            return true;
    return false;
}

void sf_discover_take(struct sf_shared *shared, struct sf_info *info, int64_t now_ns)
{
    struct sf_host_port at;
    if (!shared->options.discover || info->workers == NULL)
        return;
    sf_count(shared, SF_COUNT_DISCOVERIES, 1);
    while (sf_info_next_worker(info, &at)) {
        const int name = name_of(shared, &at);
        if (name < 0)
            continue;
        shared->names[name].listed_ns = now_ns;
        find_servers(shared, name, now_ns);
    }
    const int64_t patience_ns = shared->options.discover_ms * SF_NS_PER_MS;
    for (uint32_t i = shared->seed_count; i < shared->name_count; i++)
        if (shared->names[i].in_use && now_ns - shared->names[i].listed_ns >= patience_ns &&
            !answers(shared, (int)i))
            drop(shared, (int)i);
}

bool sf_discover_due(struct sf_shared *shared, int64_t now_ns)
{
    if (!shared->options.discover || now_ns < shared->look_at_ns)
        return false;
    const int64_t period_ns = shared->options.discover_ms * SF_NS_PER_MS;
    shared->looked_ns = now_ns;
    shared->look_at_ns = now_ns + period_ns * 4 / 5 +
                         (int64_t)sf_prng_below(&shared->prng, (uint64_t)period_ns * 2 / 5 + 1);
    return true;
}

void sf_discover_soon(struct sf_shared *shared, int64_t now_ns)
{
    const int64_t first_ns =
        now_ns > shared->looked_ns + LOOK_MIN_NS ? now_ns : shared->looked_ns + LOOK_MIN_NS;
    const int64_t at_ns = first_ns + (int64_t)sf_prng_below(&shared->prng, LOOK_MIN_NS);
    if (at_ns < shared->look_at_ns)
        shared->look_at_ns = at_ns;
}
