/* clock/sources.c - from the configured specs to open sources, and what they say together. */
#include "clock/sources.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "clock/drivers.h"

static int open_one(struct sf_clock_sources *sources, const struct sf_clock_driver *driver,
                    const struct sf_clock_spec *const *specs, size_t count, const char *name)
{
    SF_ASSERT(sources->count < SF_CLOCK_SOURCES_MAX);
    struct sf_open_source *open = &sources->list[sources->count];
    open->driver = driver;
    open->source = driver->open(specs, count);
    if (open->source == NULL)
        return -ENOMEM;
    snprintf(open->name, sizeof open->name, "%s", name);
    sources->count++;
    return 0;
}

static int open_kind(struct sf_clock_sources *sources, const struct sf_clock_driver *driver,
                     const struct sf_clock_specs *specs)
{
    const struct sf_clock_spec *own[SF_CLOCK_SOURCES_MAX];
    const char *kind = sf_clock_kind_name(driver->kind);
    size_t count = 0;
    for (size_t i = 0; i < specs->count; i++)
        if (specs->list[i].kind == driver->kind)
            own[count++] = &specs->list[i];
    if (count == 0)
        return 0;
    if (driver->joint)
        return open_one(sources, driver, own, count, kind);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = open_one(sources, driver, &own[i], 1, count > 1 ? own[i]->text : kind);
    return rc;
}

static bool has_driver(enum sf_clock_kind kind)
{
    for (const struct sf_clock_driver *const *at = sf_clock_drivers; *at != NULL; at++)
        if ((*at)->kind == kind)
            return true;
    return false;
}

int sf_sources_open(struct sf_clock_sources *sources, const struct sf_clock_specs *specs)
{
    int rc = 0;
    for (size_t i = 0; i < specs->count; i++)
        SF_ASSERT(has_driver(specs->list[i].kind));
    for (const struct sf_clock_driver *const *at = sf_clock_drivers; *at != NULL && rc == 0; at++)
        rc = open_kind(sources, *at, specs);
    return rc;
}

void sf_sources_close(struct sf_clock_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++)
        sources->list[i].driver->close(sources->list[i].source);
    sources->count = 0;
}

void sf_sources_poll(struct sf_clock_sources *sources, struct sf_source_env *env)
{
    for (size_t i = 0; i < sources->count; i++)
        if (sources->list[i].driver->poll != NULL)
            sources->list[i].driver->poll(sources->list[i].source, env);
}

size_t sf_sources_fds(const struct sf_clock_sources *sources, struct pollfd *fds)
{
    size_t n = 0;
    for (size_t i = 0; i < sources->count; i++)
        if (sources->list[i].driver->fds != NULL)
            n += sources->list[i].driver->fds(sources->list[i].source, fds + n);
    SF_ASSERT(n <= SF_CLOCK_SOURCES_MAX);
    return n;
}

int64_t sf_sources_due_mono_ns(const struct sf_clock_sources *sources)
{
    int64_t first_ns = INT64_MAX;
    for (size_t i = 0; i < sources->count; i++) {
        const struct sf_open_source *open = &sources->list[i];
        if (open->driver->due_mono_ns == NULL)
            continue;
        const int64_t due_ns = open->driver->due_mono_ns(open->source);
        first_ns = due_ns < first_ns ? due_ns : first_ns;
    }
    return first_ns;
}

void sf_sources_read(struct sf_clock_sources *sources, struct sf_source_env *env,
                     struct sf_reading ret_readings[SF_CLOCK_SOURCES_MAX])
{
    for (size_t i = 0; i < sources->count; i++) {
        struct sf_reading *reading = &ret_readings[i];
        sources->list[i].driver->read(sources->list[i].source, env, reading);
        SF_ASSERT(reading->kind == sources->list[i].driver->kind);
    }
}

static void describe_source(const char *name, struct sf_clock_now now,
                            const struct sf_reading *reading, struct sf_clock_source *ret_source)
{
    struct sf_clock_source out = {.kind = reading->kind,
                                  .status = sf_reading_status_at(reading, now.mono_ns)};
    snprintf(out.name, sizeof out.name, "%s", name);
    memcpy(out.text, reading->text, sizeof out.text);
    out.up = out.status == SF_READING_SYNCED;
    out.has_time =
        reading->has_time && (out.status == SF_READING_SYNCED || out.status == SF_READING_HOLDOVER);
    if (out.has_time) {
        out.offset_ns = sf_reading_offset_ns(reading, now.real_ns, now.mono_ns);
        out.error_ns = sf_reading_error_ns(reading, now.mono_ns);
        out.age_ns = now.mono_ns - reading->as_of_mono_ns;
    }
    *ret_source = out;
}

void sf_sources_describe(const struct sf_clock_sources *sources, struct sf_clock_now now,
                         const struct sf_reading *readings, struct sf_clock_snapshot *snapshot)
{
    size_t n = 0;
    for (size_t i = 0; i < sources->count; i++) {
        const struct sf_open_source *open = &sources->list[i];
        describe_source(open->name, now, &readings[i], &snapshot->sources[i]);
        if (open->driver->describe != NULL)
            n += open->driver->describe(open->source, now, snapshot->servers + n,
                                        SF_CLOCK_SERVERS_MAX - n);
    }
    snapshot->source_count = sources->count;
    snapshot->server_count = n;
}
