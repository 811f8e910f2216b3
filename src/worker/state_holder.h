/* worker/state_holder.h - the name of the process that has a state file: beside the file's lock, the
 * second line against two processes that go on from one word.
 *
 * A process number alone says little, since numbers come again: the name is number, start time
 * (field 22 of /proc/PID/stat, proc(5): clock ticks since the boot) and the process-number namespace
 * (the inode of /proc/self/ns/pid, namespaces(7)). Inodes of living namespaces differ, so under the
 * own one's inode a process is either in it, or gone.
 *
 * Making, checking and comparing a name is pure; the others look into /proc. Any thread. */
#ifndef SF_WORKER_STATE_HOLDER_H
#define SF_WORKER_STATE_HOLDER_H

#include <stdint.h>

#include "base/error.h"

/* As it lies in the file. All zero: nobody. */
struct sf_state_holder {
    uint64_t magic;
    uint64_t pid;         /* as its own namespace numbers it */
    uint64_t start_ticks; /* when it started */
    uint64_t pid_ns;      /* inode of its process-number namespace */
    uint64_t checksum;    /* FNV-1a over all before */
};

enum sf_state_holder_is {
    SF_STATE_HOLDER_NOBODY,  /* the file says that nobody has it */
    SF_STATE_HOLDER_GONE,    /* the process has ended */
    SF_STATE_HOLDER_LIVES,   /* it has not, or it is this one */
    SF_STATE_HOLDER_UNKNOWN, /* nobody here can tell */
};

/* Where the kernel tells of processes. */
#define SF_STATE_PROC "/proc"

/* Fills magic and checksum in. For tests: sf_state_holder_self is how a process names itself. */
void sf_state_holder_seal(struct sf_state_holder *holder);

/* The calling process. proc: SF_STATE_PROC. Returns 0, or a negative errno code where the kernel does
 * not tell (no /proc, or one of another namespace); err says what is missing. */
int sf_state_holder_self(const char *proc, struct sf_state_holder *ret, struct sf_error *err);

/* What has become of a holder, for the process `self`. proc as above. ret_why: a sentence for LIVES
 * and UNKNOWN. */
enum sf_state_holder_is sf_state_holder_judge(const char *proc, const struct sf_state_holder *holder,
                                              const struct sf_state_holder *self,
                                              struct sf_error *ret_why);

#endif
