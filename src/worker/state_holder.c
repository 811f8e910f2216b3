/* The name of the process that has a state file, and whether it lives. */
#include "worker/state_holder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC    UINT64_C(0x534e4f5748444c31) /* "SNOWHDL1" */
#define STAT_MAX 1024

static uint64_t checksum_of(const struct sf_state_holder *holder)
{
    const unsigned char *bytes = (const unsigned char *)holder;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < offsetof(struct sf_state_holder, checksum); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

void sf_state_holder_seal(struct sf_state_holder *holder)
{
    holder->magic = MAGIC;
    holder->checksum = checksum_of(holder);
}

/* --- /proc --- */

struct process {
    uint64_t pid, start_ticks, threads;
    char state; /* 'R', 'S', ... 'Z': ended, and nobody has asked for its exit code yet */
};

/* A number that ends at a blank. */
static bool parse_number(const char *text, uint64_t *ret)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || strchr(" \n", *end) == NULL)
        return false;
    *ret = value;
    return true;
}

/* proc(5): PID (NAME) STATE ..., threads are field 20 and the start is field 22. The name may hold
 * anything, so counting begins behind its last bracket. */
static bool parse_stat(const char *text, struct process *ret)
{
    const char *field = strrchr(text, ')');
    if (field == NULL || !parse_number(text, &ret->pid))
        return false;
    for (int number = 3; number <= 22; number++) {
        field = strchr(field + 1, ' ');
        if (field == NULL)
            return false;
        if (number == 3)
            ret->state = field[1];
        else if ((number == 20 && !parse_number(field + 1, &ret->threads)) ||
                 (number == 22 && !parse_number(field + 1, &ret->start_ticks)))
            return false;
    }
    return true;
}

/* who: a number, or "self". Returns 0 or a negative errno code. */
static int read_process(const char *proc, const char *who, struct process *ret)
{
    char path[128], text[STAT_MAX];
    if (snprintf(path, sizeof path, "%s/%s/stat", proc, who) >= (int)sizeof path)
        return -ENAMETOOLONG;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const ssize_t size = read(fd, text, sizeof text - 1);
    const int rc = size < 0 ? -errno : 0;
    close(fd);
    if (rc != 0)
        return rc;
    text[size] = '\0';
    return parse_stat(text, ret) ? 0 : -EPROTO;
}

int sf_state_holder_self(const char *proc, struct sf_state_holder *ret, struct sf_error *err)
{
    char path[128], text[128];
    struct stat st;
    struct process self = {0};
    (void)snprintf(path, sizeof path, "%.64s/self/ns/pid", proc);
    int rc = stat(path, &st) == 0 ? 0 : -errno;
    if (rc == 0)
        rc = read_process(proc, "self", &self);
    if (rc == 0 && self.pid != (uint64_t)getpid())
        rc = -EXDEV;
    if (rc == -EXDEV)
        return sf_error_set(err, rc, "%s is of another process-number namespace than this process",
                            proc);
    if (rc != 0)
        return sf_error_set(err, rc, "%s does not tell who this process is: %s", proc,
                            sf_errno_text(rc, text, sizeof text));
    *ret = (struct sf_state_holder){
        .pid = self.pid, .start_ticks = self.start_ticks, .pid_ns = (uint64_t)st.st_ino};
    sf_state_holder_seal(ret);
    return 0;
}

/* --- the verdict --- */

static enum sf_state_holder_is say(enum sf_state_holder_is is, const struct sf_state_holder *holder,
                                   const char *what, struct sf_error *ret_why)
{
    sf_error_set(ret_why, -EBUSY, "process %" PRIu64 " has it, %s", holder->pid, what);
    return is;
}

/* The holder's number is in our own namespace. What ended entirely has one thread left at most: its
 * entry in the table, until somebody asks for its exit code. */
static enum sf_state_holder_is look(const char *proc, const struct sf_state_holder *holder,
                                    struct sf_error *ret_why)
{
    char who[24];
    struct process process = {0};
    if (holder->pid == 0 || holder->pid > INT32_MAX ||
        (getpgid((pid_t)holder->pid) < 0 && errno == ESRCH))
        return SF_STATE_HOLDER_GONE;
    (void)snprintf(who, sizeof who, "%" PRIu64, holder->pid);
    if (read_process(proc, who, &process) != 0) /* others' processes may be hidden (hidepid) */
        return say(SF_STATE_HOLDER_UNKNOWN, holder, "and is hidden from this one", ret_why);
    if (process.start_ticks != holder->start_ticks)
        return SF_STATE_HOLDER_GONE;
    if ((process.state == 'Z' || process.state == 'X') && process.threads <= 1)
        return SF_STATE_HOLDER_GONE;
    return say(SF_STATE_HOLDER_LIVES, holder, "and lives", ret_why);
}

enum sf_state_holder_is sf_state_holder_judge(const char *proc,
                                              const struct sf_state_holder *holder,
                                              const struct sf_state_holder *self,
                                              struct sf_error *ret_why)
{
    static const struct sf_state_holder nobody;
    if (memcmp(holder, &nobody, sizeof nobody) == 0)
        return SF_STATE_HOLDER_NOBODY;
    if (holder->magic != MAGIC || holder->checksum != checksum_of(holder)) {
        sf_error_set(ret_why, -EBUSY, "the name of the process that has it is damaged");
        return SF_STATE_HOLDER_UNKNOWN;
    }
    if (holder->pid_ns != self->pid_ns)
        return say(SF_STATE_HOLDER_UNKNOWN, holder,
                   "in another process-number namespace (another container): whether it lives "
                   "cannot be seen from here",
                   ret_why);
    return look(proc, holder, ret_why);
}
