/* coord/etcd/shared.c - see shared.h. */
#include "coord/etcd/shared.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

int64_t sf_etcd_now_ns(const struct sf_etcd *etcd)
{
    return etcd->ticks->mono_ns(etcd->ticks->ctx);
}

int64_t sf_etcd_after_ms(struct sf_etcd *etcd, int64_t ms)
{
    return sf_etcd_now_ns(etcd) + ms * SF_NS_PER_MS +
           (int64_t)sf_prng_below(&etcd->prng, (uint64_t)(ms * SF_NS_PER_MS / 2 + 1));
}

void sf_etcd_key(const struct sf_etcd *etcd, char to[SF_ETCD_KEY_MAX], const char *format, ...)
{
    const size_t root = strlen(etcd->options.root);
    memcpy(to, etcd->options.root, root);
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(to + root, SF_ETCD_KEY_MAX - root, format, args);
    va_end(args);
    SF_ASSERT(n >= 0 && (size_t)n < SF_ETCD_KEY_MAX - root);
}

void sf_etcd_tell(const struct sf_etcd *etcd, unsigned endpoint, const char *what,
                  char to[SF_COORD_TEXT_MAX])
{
    char text[SF_COORD_TEXT_MAX];
    snprintf(text, sizeof text, "etcd %.80s: %.165s", etcd->options.endpoints[endpoint].name, what);
    memcpy(to, text, sizeof text);
}

void sf_etcd_notice(struct sf_etcd *etcd, enum sf_coord_event_kind kind, const char *text)
{
    etcd->coord.sink(etcd->coord.sink_ctx, sf_coord_event_notice(kind, "%s", text));
}
