/* coord/zookeeper/shared.c - see shared.h. */
#include "coord/zookeeper/shared.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"

void sf_zk_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *format, ...)
{
    const int length = snprintf(to, SF_ZK_PATH_MAX, "%s", z->options.root);
    SF_ASSERT(length > 0 && length < SF_ZK_PATH_MAX);
    va_list args;
    va_start(args, format);
    const int more = vsnprintf(to + length, (size_t)(SF_ZK_PATH_MAX - length), format, args);
    va_end(args);
    SF_ASSERT(more >= 0 && length + more < SF_ZK_PATH_MAX);
}

void sf_zk_current_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *token)
{
    sf_zk_path(z, to, "/current-%.32s", token);
}

void sf_zk_state_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *token)
{
    sf_zk_path(z, to, "/%.32s/state", token);
}

void sf_zk_slot_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *token,
                     uint64_t datacenter, uint64_t worker)
{
    sf_zk_path(z, to, "/%.32s/dc/%" PRIu64 "/slots/%" PRIu64, token, datacenter, worker);
}

void sf_zk_claims_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *token,
                       uint64_t datacenter)
{
    sf_zk_path(z, to, "/%.32s/dc/%" PRIu64 "/claims", token, datacenter);
}

void sf_zk_claim_path(const struct sf_zk *z, char to[SF_ZK_PATH_MAX], const char *token,
                      uint64_t datacenter, const char *name)
{
    sf_zk_path(z, to, "/%.32s/dc/%" PRIu64 "/claims/%s", token, datacenter, name);
}
