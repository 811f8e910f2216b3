/* coord/local/watch.h - notices that something of a fleet, or below one of its datacenters, has changed.
 * I/O thread only.
 * inotify tells of files that come, go or are replaced; where it is not to be had, the directory's
 * own time does, within a poll. That a holder died without a word is seen by asking for the locks
 * of the claims, every poll. */
#ifndef SF_COORD_LOCAL_WATCH_H
#define SF_COORD_LOCAL_WATCH_H

#include "coord/local/store.h"

#define SF_LOCAL_POLL_MS                                                                           \
    250 /* plus a millisecond for each claim that was met, so that many workers do not drown the   \
           machine */

struct sf_local_watch;

struct sf_local_watch *sf_local_watch_create(void);
void sf_local_watch_destroy(struct sf_local_watch *watch);
/* inotify's descriptor, or -1. */
int sf_local_watch_fd(const struct sf_local_watch *watch);
/* Starts (or starts again) for a datacenter of a making, and for what names and halts makings. Sets the job's refusal and returns -1 when there is no
 * such directory. */
int sf_local_watch_add(struct sf_local_watch *watch, struct sf_local_store *store,
                       struct sf_local_job *job);
/* Milliseconds until the next poll, -1: nothing is watched. */
int sf_local_watch_wait_ms(const struct sf_local_watch *watch, int64_t mono_ns);
enum { SF_LOCAL_CHANGED = 1, SF_LOCAL_FLEET_CHANGED = 2, SF_LOCAL_REPLACED = 4 };
/* Reads what inotify has, polls when it is time. What has changed since the last call, as a set of
 * these: claims or records of a datacenter; the config, a name or a state; another directory has the
 * place of the fleet's. */
unsigned sf_local_watch_look(struct sf_local_watch *watch, struct sf_local_store *store,
                             int64_t mono_ns);

#endif
