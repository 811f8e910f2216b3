/* clock/driver.h - what a kind of time source must be able to do. Each kind is one driver, a row of
 * the table in clock/drivers.c; its name, its form in clock.sources and how far it is believed are a
 * row of base/clock_source.h. docs/how-to/add-a-clock-source.md lists the files.
 *
 * A driver never blocks: poll sends and takes what can be sent and taken now, and says by fds and
 * due_mono_ns when it wants to be called again. read makes a reading of what is known. A source that
 * lies in memory or behind one system call needs open, close and read only.
 *
 * Threads: open and close by whoever creates and destroys the clock, the rest by the clock thread
 * (and once before it runs). */
#ifndef SF_CLOCK_DRIVER_H
#define SF_CLOCK_DRIVER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "clock/snapshot.h"
#include "clock/source.h"

struct sf_clock_driver {
    enum sf_clock_kind kind;

    /* All sources of this kind speak with one voice: they are opened as one and give one reading.
     * Otherwise each is opened by itself, and count below is 1. */
    bool joint;

    /* Makes a source of these specs (copied; count: 1 to SF_CLOCK_SOURCES_MAX). Asks nothing yet.
     * NULL: memory is out. */
    void *(*open)(const struct sf_clock_spec *const *specs, size_t count);
    void (*close)(void *source);

    /* Takes the answers that have come, gives up those that are late, asks what is due. */
    void (*poll)(void *source, struct sf_source_env *env);
    /* Puts the descriptors that it waits on into fds, at most one for each spec; returns how many. */
    size_t (*fds)(const void *source, struct pollfd *fds);
    /* When poll wants to be called next, whatever the descriptors do. */
    int64_t (*due_mono_ns)(const void *source);

    /* What the source says now. */
    void (*read)(void *source, struct sf_source_env *env, struct sf_reading *ret_reading);

    /* The servers behind it, at most max; returns how many were filled. */
    size_t (*describe)(const void *source, struct sf_clock_now now, struct sf_clock_server *ret_servers,
                       size_t max);
    /* poll, fds and due_mono_ns are NULL together, where there is nothing to wait for; describe is
     * NULL where there is no server. */
};

#endif
