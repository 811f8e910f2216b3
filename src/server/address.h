/* server/address.h - what is counted for the address that a connection comes from, and outlives the connection: rate limits would
 * mean nothing to who connects again.
 *
 * An IPv4 address, or the first 64 bits of an IPv6 address (one network, whose owner has all of them); IPv4 inside IPv6 is IPv4. Over
 * a UNIX socket the user that the kernel tells: a process has no other address.
 * Entries without connections whose buckets are full again are forgotten. At most SF_ADDRESSES_MAX are kept; newcomers beyond
 * that share one entry. Any thread; get and put lock, the buckets do not.
 */
#ifndef SF_SERVER_ADDRESS_H
#define SF_SERVER_ADDRESS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/bucket.h"

#define SF_ADDRESSES_MAX   65536
#define SF_ADDRESS_CHAINS  4096
#define SF_ADDRESS_KEY_MAX 9 /* bytes: family, then address, network or user */

struct sf_address {
    struct sf_address *next; /* in its chain; under the lock, as users */
    uint32_t users;          /* connections */
    uint8_t key[SF_ADDRESS_KEY_MAX];
    struct sf_bucket ids;         /* limit.address_ids_per_s */
    struct sf_bucket guesses;     /* tokens that were not known */
    _Atomic uint32_t handshakes; /* going on */
};

struct sf_addresses {
    pthread_mutex_t lock; /* guards what follows, but for the buckets */
    struct sf_address *chains[SF_ADDRESS_CHAINS];
    uint32_t count;
    uint64_t seed;             /* so that nobody chooses addresses of one chain */
    struct sf_address overflow; /* of those beyond SF_ADDRESSES_MAX, and where memory is out */
};

void sf_addresses_init(struct sf_addresses *addresses);
/* Nobody uses an entry any more. */
void sf_addresses_free(struct sf_addresses *addresses);

/* The entry of this peer, which is kept until it is put back. Never NULL. now_ns: CLOCK_MONOTONIC. */
struct sf_address *sf_address_get(struct sf_addresses *addresses, const struct sockaddr *peer,
                                  int64_t now_ns);
/* Likewise, of who connects over a UNIX socket. */
struct sf_address *sf_address_get_user(struct sf_addresses *addresses, uid_t user, int64_t now_ns);
#define SF_ADDRESS_TEXT_MAX 64
/* For people: "192.0.2.1", "2001:db8::/64", "user 1000"; returns `to`. */
const char *sf_address_text(const struct sf_address *address, char to[SF_ADDRESS_TEXT_MAX]);
/* NULL is fine. */
void sf_address_put(struct sf_addresses *addresses, struct sf_address *address);

#endif
