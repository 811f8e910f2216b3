/* coord/local/local.h - the local backend's handle, with the seam for tests. local:///DIR keeps fleets in
 * a directory of one machine; the tree is described in coord/local/store.h.
 *
 * Rules for DIR: an absolute path on a local file system (network file systems and FUSE are
 * refused); not writable by everybody unless its sticky bit is set. It is made by INIT (0770 less
 * the umask), never before. To move a fleet, stop it and move DIR whole: a file that was copied
 * elsewhere, to another fleet, datacenter or slot, is refused by its checksum. A copy of DIR that
 * is put back later has forgotten reservations: `snowfleet init --after-data-loss`.
 *
 * A claim lives while its file's lock is held by an open file of this process. fork: a child shares
 * the open files, so a child that lives on without exec keeps its parent's claims alive when the
 * parent dies; that costs the slot for as long, never a duplicate. In a child the handle does
 * nothing: requests complete at once as LOST, destroy closes its files only. exec closes them.
 *
 * One thread does the disk's work, a second watches the deadlines, so that a disk that hangs delays
 * no completion. A process that is stopped while it holds a datacenter's lock (milliseconds at a
 * time) makes the others' requests LOST until it goes on or dies, as a coordinator that is away
 * would. */
#ifndef SF_COORD_LOCAL_H
#define SF_COORD_LOCAL_H

#include "coord/coord.h"
#include "coord/local/disk.h"

int sf_coord_local_open(const struct sf_coord_options *options, struct sf_coord **ret_coord,
                        struct sf_error *err);
/* Would it be opened, as far as URL, options and files go? Returns 0, or what the opening would refuse with. */
int sf_coord_local_check(const struct sf_coord_options *options, struct sf_error *err);
/* sf_coord_local_open with faults from `disk` (copied; NULL: none). For tests: a disk that fails,
 * stalls or lets the process die cannot be had otherwise. */
int sf_coord_local_open_faulty(const struct sf_coord_options *options, const struct sf_disk *disk,
                               struct sf_coord **ret_coord, struct sf_error *err);

#endif
