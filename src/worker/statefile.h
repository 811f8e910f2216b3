/* worker/statefile.h - the small mapped file that lets a process that was killed go on with its
 * slot (fast restart).
 *
 * The block holds who we are (fleet, slot, claim, the last acknowledged version of the slot's
 * record) twice, with a checksum each, so that a kill in the middle of an update leaves one whole;
 * and a copy of the generator's word, never below an ID that has left. While the process lives the
 * file is only written, never believed. The next process may continue only if the record in the
 * coordinator still has exactly that version (worker/reservation). The file is ignored when it is of
 * another boot, copied to another inode, damaged, on a network file system, or used by a living
 * process.
 *
 * That a process has it, two things say. Its lock belongs to the open file, which the mapping alone
 * keeps open: no descriptor is left that could be closed, or that a forked child could inherit. And
 * the block names the process (worker/state_holder.h), for whoever finds the lock gone: while that
 * process lives the file is refused, and where that cannot be told a new file takes its place.
 *
 * A file put back from a copy while the process was dead would bring an old word back under a
 * version that still matches. Therefore the block also says how minting time ran against the
 * monotonic clock, and a restart begins above every timestamp that could have been minted by now.
 *
 * Reading and writing a block is pure (statefile.c); open/close is the shell (statefile_open.c). One
 * thread. The mapping is not inherited by children (MADV_DONTFORK).
 */
#ifndef SF_WORKER_STATEFILE_H
#define SF_WORKER_STATEFILE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/random.h"
#include "clock/minttime.h"
#include "coord/coord.h"
#include "worker/reservation.h"
#include "worker/state_holder.h"

/* The format: the last digit grows with it. Files of another one are never gone on from. */
#define SF_STATE_MAGIC       UINT64_C(0x534e4f57464c4534) /* "SNOWFLE4" */
#define SF_STATE_MAGIC_FIRST UINT64_C(0x534e4f57464c4531) /* "SNOWFLE1" */

/* More than any option allows: a header that says so is damaged. */
#define SF_STATE_AHEAD_MAX_MS 86400000

struct sf_state_header {
    uint64_t magic;
    uint64_t generation; /* the larger of the two whole copies counts */
    uint64_t held;       /* 1: a slot is held; 0: nothing to continue */
    char fleet_id[SF_UUID_SIZE];
    char token[SF_COORD_TOKEN_SIZE];                 /* of the making that granted the slot */
    char lost[SF_RES_LOST_MAX][SF_COORD_TOKEN_SIZE]; /* makings in which a loss was noticed */
    struct sf_loss_notice notice;                    /* of the last one */
    char nonce[SF_HEX128_SIZE];                      /* of the record as last acknowledged */
    char boot_id[SF_UUID_SIZE];
    char claim[SF_COORD_CLAIM_MAX];
    uint64_t device, inode;
    uint64_t datacenter, worker, fence;
    struct sf_coord_version version;
    int64_t from_ms, reserved_until_ms;
    struct sf_minttime mint; /* how minting time ran when this was written, */
    uint64_t max_ahead_ms;   /* and how far beyond it its process might mint */
    uint64_t checksum;       /* FNV-1a over all before */
};

struct sf_state_block {
    struct sf_state_header copies[2];
    alignas(64) _Atomic uint64_t word;         /* the generator's copy (id/generator.h) */
    alignas(64) struct sf_state_holder holder; /* the process that has the file; zero: none */
};

/* Writes the header over the older copy (generation and checksum are filled in). */
void sf_state_put(struct sf_state_block *block, const struct sf_state_header *header);
/* The newest whole copy. Returns 0, or -ENOENT when there is none. For tests: recall is what a
 * worker asks. */
int sf_state_get(const struct sf_state_block *block, struct sf_state_header *ret);

/* Was it written by an older version of the program, in a format of its own? */
bool sf_state_is_old(const struct sf_state_block *block);

/* What a restarted process may try to continue, given its boot, the file's identity and the clocks:
 * fills ret (valid false if nothing) and a sentence about why not. max_ahead_ms: of the new
 * process; the larger of its own and the old one's counts. */
void sf_state_recall(const struct sf_state_block *block, const char *boot_id, uint64_t device,
                     uint64_t inode, int64_t mono_ns, uint32_t max_ahead_ms,
                     struct sf_reservation_memory *ret, struct sf_error *ret_why);

struct sf_statefile {
    struct sf_state_block *block;
    int fd; /* -1: the mapping alone keeps the lock, as it does but on overlay file systems */
    uint64_t device, inode;
    char boot_id[SF_UUID_SIZE];
    struct sf_state_holder self; /* this process */
    /* Why the file that was there was put aside for this new one; no text: it was not. */
    struct sf_error aside;
};

/* Opens or makes dir/name.state, locks it, names this process in it and maps it. A file of which
 * nobody can tell whether its process lives, or of an older version, is put aside. Returns 0; -EBUSY
 * when a living process has it (another one, or this one); -EXDEV on a network file system, or where
 * /proc is of another namespace; other negative errno codes. err tells what and where. On failure the
 * worker runs without fast restart. */
int sf_statefile_open(const char *dir, const char *name, struct sf_statefile *ret,
                      struct sf_error *err);
/* Is there a file in dir whose name is like this pattern (fnmatch(3))? Whoever wrote a state file has
 * minted, or meant to. No directory: no. */
bool sf_statefile_any(const char *dir, const char *pattern);
/* Unlocks and unmaps; the file stays, and says that nobody has it. */
void sf_statefile_close(struct sf_statefile *file);

#endif
