/* coord/local/store.h - the local backend's tree: opening, locking, reading and writing its files.
 * Everything here may block on the disk and runs on the handle's I/O thread only. Below
 * DIR/<fleet>:
 *
 *   config                         sealed config record
 *   making                         sealed {"makings":N}: moved by every INIT
 *   current-<token>                empty: names the making that grants
 *   lock                           shared while a write compares and replaces; alone for INIT and HALT
 *   <token>/state                  sealed: whether this making is halted
 *   <token>/dc/<d>/lock            held for every change below it
 *   <token>/dc/<d>/sequence        sealed {"sequence":N}: the last fence given; durable, only grows
 *   <token>/dc/<d>/slots/<w>       sealed slot record
 *   <token>/dc/<d>/claims/<name>   claim record, not sealed: live while its lock is held
 *
 * A conditional write shares the fleet's lock and holds that of its datacenter while it compares and
 * replaces, in this order: so what names a making, halts it or surveys it sees each write whole.
 * A claim that is found without its lock is that of a dead process; whoever meets it removes it,
 * under the lock of the datacenter.
 */
#ifndef SF_COORD_LOCAL_STORE_H
#define SF_COORD_LOCAL_STORE_H

#include <stdatomic.h>

#include "coord/coord.h"
#include "coord/local/disk.h"
#include "coord/refusal.h"

struct sf_local_claim; /* one of ours */

struct sf_local_store {
    struct sf_disk disk;
    char *root;         /* DIR */
    char *fleet_root;   /* DIR/<fleet>, */
    dev_t fleet_device; /* and which directory that was when it was last locked; */
    ino_t fleet_inode;  /* 0: not yet */
    char fleet[SF_COORD_FLEET_MAX];
    const struct sf_ticks *ticks;
    const atomic_bool *ending; /* set: wait for no lock any more */
    struct sf_local_claim *claims;
};

void sf_local_store_init(struct sf_local_store *store, const char *root, const char *fleet,
                         const struct sf_ticks *ticks, const atomic_bool *ending);
/* After the claims are gone (claims.h). */
void sf_local_store_free(struct sf_local_store *store);

/* One request as it is worked on; shared by the files of the store. */
struct sf_local_job {
    const struct sf_coord_request *request;
    int64_t give_up_ns;
    struct sf_coord_event
        *event; /* results are put in here; outcome and reason by sf_local_refuse */
};

/* Sets outcome and reason, returns -1. */
int sf_local_refuse(struct sf_local_job *job, const struct sf_refusal *refusal);
int sf_local_fail(struct sf_local_job *job, enum sf_coord_outcome outcome,
                  enum sf_coord_reason reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for an errno code: -ENOENT is MISSING, -EBADMSG and -EFBIG are GARBAGE, others STORAGE.
 * maybe_done: UNKNOWN. */
int sf_local_fail_errno(struct sf_local_job *job, int code, bool maybe_done, const char *what,
                        const char *path);

/* A datacenter's directories in a making; lock -1: not taken. */
struct sf_local_dc {
    uint64_t number;
    int top, slots, claims, lock;
    char path[80]; /* "<token>/dc/<d>" */
};
#define SF_LOCAL_DC_CLOSED                                                                         \
    {                                                                                              \
        0, -1, -1, -1, -1, ""                                                                      \
    }

enum sf_local_dc_how {
    SF_LOCAL_DC_UNLOCKED,
    SF_LOCAL_DC_LOCKED,
    SF_LOCAL_DC_AS_IT_IS /* locked; slots and claims are -1 where they are not there: what an INIT that
                            was cut off, or a loss of data, has left */
};
int sf_local_dc_open(struct sf_local_store *store, struct sf_local_job *job, const char *token,
                     uint64_t datacenter, enum sf_local_dc_how how, struct sf_local_dc *ret);
void sf_local_dc_close(struct sf_local_dc *dc);
int sf_local_lock(struct sf_local_store *store, struct sf_local_job *job, int dirfd,
                  const char *where, enum sf_disk_hold hold, int *ret_fd);

/* A sealed file of at most size_max bytes (with its seal), whose place below DIR is `identity`. The
 * record is in *ret_bytes, which the caller frees (also on failure; NULL then, or not). Returns 0,
 * -ENOENT, -EBADMSG, or another errno code; err says why. */
int sf_local_read_sealed(struct sf_local_store *store, int dirfd, const char *name,
                         const char *identity, size_t size_max, char **ret_bytes,
                         struct sf_coord_version *ret_version, const char **ret_record,
                         size_t *ret_size, struct sf_error *err);

/* Reads and unseals. Returns 0, -ENOENT, -EBADMSG, or another errno code; err says why, without the
 * path. */
int sf_local_read_slot(struct sf_local_store *store, const struct sf_local_dc *dc, uint64_t worker,
                       struct sf_coord_slot *ret, struct sf_error *err);
int sf_local_read_sequence(struct sf_local_store *store, const struct sf_local_dc *dc,
                           uint64_t *ret_sequence, struct sf_coord_version *ret_version,
                           struct sf_error *err);
/* Refuse for what those could not read; return -1. rc, why: what they returned. */
int sf_local_refuse_config(const struct sf_local_store *store, struct sf_local_job *job, int rc,
                           const char *why);
/* The disk's own troubles: whose file it was, and what it said. */
int sf_local_fail_storage(const struct sf_local_store *store, struct sf_local_job *job,
                          const char *name, const char *why);
int sf_local_refuse_slot(const struct sf_local_store *store, struct sf_local_job *job,
                         const struct sf_local_dc *dc, uint64_t worker, int rc, const char *why);
int sf_local_refuse_sequence(const struct sf_local_store *store, struct sf_local_job *job,
                             const struct sf_local_dc *dc, int rc, const char *why);
/* Seals and replaces, durably. */
int sf_local_write_slot(struct sf_local_store *store, const struct sf_local_dc *dc,
                        const struct sf_coord_slot *slot, const struct sf_coord_version *version,
                        int64_t *ret_mtime_ms, bool *ret_maybe_done);
int sf_local_write_sequence(struct sf_local_store *store, const struct sf_local_dc *dc,
                            uint64_t sequence, const struct sf_coord_version *version,
                            int64_t *ret_mtime_ms);
char *sf_local_seal_slot(struct sf_local_store *store, const struct sf_local_dc *dc,
                         const struct sf_coord_slot *slot, const struct sf_coord_version *version,
                         size_t *ret_size);
char *sf_local_seal_sequence(struct sf_local_store *store, const struct sf_local_dc *dc,
                             uint64_t sequence, const struct sf_coord_version *version,
                             size_t *ret_size);
uint64_t sf_local_fresh_incarnation(void);

#endif
