/* clock/sources.h - the time sources of one clock, whatever their kinds: opened, polled and read
 * through their drivers. Open and close by the clock's owner, the rest by the clock thread. */
#ifndef SF_CLOCK_SOURCES_H
#define SF_CLOCK_SOURCES_H

#include "clock/driver.h"

/* One source that is open. */
struct sf_open_source {
    const struct sf_clock_driver *driver;
    void *source;
    char name[SF_CLOCK_SPEC_MAX]; /* for people: see struct sf_clock_source */
};

struct sf_clock_sources {
    size_t count;
    struct sf_open_source list[SF_CLOCK_SOURCES_MAX];
};

/* Opens them, asks nothing. sources: zeros. Returns 0 or -ENOMEM; what was opened is to be closed
 * in any case. */
int sf_sources_open(struct sf_clock_sources *sources, const struct sf_clock_specs *specs);
void sf_sources_close(struct sf_clock_sources *sources);

/* Lets every source take, give up and ask what it can. */
void sf_sources_poll(struct sf_clock_sources *sources, struct sf_source_env *env);
/* Puts what they wait on into fds, which has room for SF_CLOCK_SOURCES_MAX; returns how many. */
size_t sf_sources_fds(const struct sf_clock_sources *sources, struct pollfd *fds);
/* When the first of them wants to be polled; INT64_MAX: none does. */
int64_t sf_sources_due_mono_ns(const struct sf_clock_sources *sources);

/* One reading for each source, in their order. */
void sf_sources_read(struct sf_clock_sources *sources, struct sf_source_env *env,
                     struct sf_reading ret_readings[SF_CLOCK_SOURCES_MAX]);
/* Fills the lines of sources and servers. readings: from sf_sources_read. */
void sf_sources_describe(const struct sf_clock_sources *sources, struct sf_clock_now now,
                         const struct sf_reading *readings, struct sf_clock_snapshot *snapshot);

#endif
