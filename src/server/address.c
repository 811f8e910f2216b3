/* Addresses of peers: a table of chains, which are cleared of what is idle whenever they are looked
 * through. */
#include "server/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"

void sf_addresses_init(struct sf_addresses *addresses)
{
    *addresses = (struct sf_addresses){.seed = sf_random_u64()};
    pthread_mutex_init(&addresses->lock, NULL);
}

void sf_addresses_free(struct sf_addresses *addresses)
{
    for (unsigned i = 0; i < SF_ADDRESS_CHAINS; i++) {
        while (addresses->chains[i] != NULL) {
            struct sf_address *next = addresses->chains[i]->next;
            SF_ASSERT(addresses->chains[i]->users == 0);
            free(addresses->chains[i]);
            addresses->chains[i] = next;
        }
    }
    pthread_mutex_destroy(&addresses->lock);
}

static void make_key(const struct sockaddr *peer, uint8_t key[SF_ADDRESS_KEY_MAX])
{
    memset(key, 0, SF_ADDRESS_KEY_MAX);
    if (peer->sa_family == AF_INET) {
        key[0] = AF_INET;
        memcpy(key + 1, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    } else if (peer->sa_family == AF_INET6) {
        const struct in6_addr *ipv6 = &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
        const bool is_ipv4 = IN6_IS_ADDR_V4MAPPED(ipv6);
        key[0] = is_ipv4 ? AF_INET : AF_INET6;
        memcpy(key + 1, ipv6->s6_addr + (is_ipv4 ? 12 : 0), is_ipv4 ? 4 : 8);
    }
}

/* FNV-1a, begun with the seed
 * (https://datatracker.ietf.org/doc/html/draft-eastlake-fnv), its high half folded in. */
static unsigned chain_of(const struct sf_addresses *addresses, const uint8_t *key)
{
    uint64_t hash = addresses->seed;
    for (unsigned i = 0; i < SF_ADDRESS_KEY_MAX; i++)
        hash = (hash ^ key[i]) * UINT64_C(0x100000001b3);
    return (unsigned)((hash >> 32) ^ hash) % SF_ADDRESS_CHAINS;
}

/* Finds the key in its chain, and forgets those in it that remember nothing. */
static struct sf_address *find(struct sf_addresses *addresses, struct sf_address **chain,
                               const uint8_t *key, int64_t now_ns)
{
    struct sf_address *found = NULL;
    while (*chain != NULL) {
        struct sf_address *at = *chain;
        if (memcmp(at->key, key, SF_ADDRESS_KEY_MAX) == 0) {
            found = at;
        } else if (at->users == 0 && sf_bucket_is_full(&at->ids, now_ns) &&
                   sf_bucket_is_full(&at->guesses, now_ns)) {
            *chain = at->next;
            free(at);
            addresses->count--;
            continue;
        }
        chain = &at->next;
    }
    return found;
}

static struct sf_address *add(struct sf_addresses *addresses, struct sf_address **chain,
                              const uint8_t *key)
{
    struct sf_address *address =
        addresses->count < SF_ADDRESSES_MAX ? calloc(1, sizeof *address) : NULL;
    if (address == NULL)
        return &addresses->overflow;
    memcpy(address->key, key, SF_ADDRESS_KEY_MAX);
    address->next = *chain;
    *chain = address;
    addresses->count++;
    return address;
}

static struct sf_address *get(struct sf_addresses *addresses, const uint8_t key[SF_ADDRESS_KEY_MAX],
                              int64_t now_ns)
{
    pthread_mutex_lock(&addresses->lock);
    struct sf_address **chain = &addresses->chains[chain_of(addresses, key)];
    struct sf_address *address = find(addresses, chain, key, now_ns);
    if (address == NULL)
        address = add(addresses, chain, key);
    address->users++;
    pthread_mutex_unlock(&addresses->lock);
    return address;
}

struct sf_address *sf_address_get(struct sf_addresses *addresses, const struct sockaddr *peer,
                                  int64_t now_ns)
{
    uint8_t key[SF_ADDRESS_KEY_MAX];
    make_key(peer, key);
    return get(addresses, key, now_ns);
}

struct sf_address *sf_address_get_user(struct sf_addresses *addresses, uid_t user, int64_t now_ns)
{
    uint8_t key[SF_ADDRESS_KEY_MAX] = {AF_UNIX};
    memcpy(key + 1, &user, sizeof user);
    return get(addresses, key, now_ns);
}

void sf_address_put(struct sf_addresses *addresses, struct sf_address *address)
{
    if (address == NULL)
        return;
    pthread_mutex_lock(&addresses->lock);
    SF_ASSERT(address->users > 0);
    address->users--;
    pthread_mutex_unlock(&addresses->lock);
}

const char *sf_address_text(const struct sf_address *address, char to[SF_ADDRESS_TEXT_MAX])
{
    char text[INET6_ADDRSTRLEN] = "";
    struct in6_addr ipv6 = {0};
    uid_t user;
    if (address->key[0] == AF_INET) {
        (void)inet_ntop(AF_INET, address->key + 1, text, sizeof text);
    } else if (address->key[0] == AF_INET6) {
        memcpy(&ipv6, address->key + 1, 8);
        (void)inet_ntop(AF_INET6, &ipv6, text, sizeof text);
    } else if (address->key[0] == AF_UNIX) {
        memcpy(&user, address->key + 1, sizeof user);
        snprintf(text, sizeof text, "user %u", (unsigned)user);
    }
    snprintf(to, SF_ADDRESS_TEXT_MAX, "%s%s", text[0] != '\0' ? text : "one of many addresses",
             address->key[0] == AF_INET6 ? "/64" : "");
    return to;
}
