/* coord/etcd/shared.h - what the parts of one handle share: its options, its clock, its names. The
 * handle's thread only, but for what does not change after open. */
#ifndef SF_COORD_ETCD_SHARED_H
#define SF_COORD_ETCD_SHARED_H

#include <stdint.h>

#include "base/random.h"
#include "coord/coord.h"
#include "coord/etcd/options.h"

#define SF_ETCD_REQUEST_MS    700
#define SF_ETCD_RETRY_MIN_MS  50
#define SF_ETCD_LOG_EVERY_MS  10000
#define SF_ETCD_KEY_MAX       680 /* prefix, fleet, "/<token>/dc/<d>/claims/", name */
#define SF_ETCD_RECORD_LOG_MS 60000

struct sf_etcd_belief;
struct sf_etcd_http;
struct sf_etcd_job;
struct sf_etcd_session;
struct sf_etcd_watches;

struct sf_etcd {
    struct sf_coord coord; /* first */
    struct sf_etcd_options options;
    struct sf_log *log;
    const struct sf_ticks *ticks;
    struct sf_prng prng;
    struct sf_etcd_http *http;
    struct sf_etcd_belief *belief;
    struct sf_etcd_session *session;
    struct sf_etcd_watches *watches;
    struct sf_etcd_job *jobs;
    struct sf_log_limiter limit_record;
};

int64_t sf_etcd_now_ns(const struct sf_etcd *etcd);
/* now + ms, with up to half of it more at random. */
int64_t sf_etcd_after_ms(struct sf_etcd *etcd, int64_t ms);
/* A key below the fleet's root. */
void sf_etcd_key(const struct sf_etcd *etcd, char to[SF_ETCD_KEY_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "etcd HOST:PORT: what": who says it. The one place that names an endpoint in a text; `what` never
 * does, and may be `to` itself. */
void sf_etcd_tell(const struct sf_etcd *etcd, unsigned endpoint, const char *what,
                  char to[SF_COORD_TEXT_MAX]);
void sf_etcd_notice(struct sf_etcd *etcd, enum sf_coord_event_kind kind, const char *text);

#endif
