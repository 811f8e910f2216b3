/* coord/local/holder.c - see holder.h. */
#include "coord/local/holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/parse.h"

/* What a small file of /proc says; empty when it may not be read. */
static void read_small(int dirfd, const char *name, char *to, size_t size)
{
    const int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd >= 0 ? read(fd, to, size - 1) : -1;
    to[got > 0 ? got : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* A directory below /proc; NULL: gone, or not ours to see. */
static DIR *open_below(int dirfd, const char *name)
{
    const int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && dir == NULL)
        close(fd);
    return dir;
}

/* lock: how a lock of the file ends in "lock:\t1: OFDLCK ADVISORY WRITE -1 08:01:1234 0 EOF". */
static bool holds(int process, const char *lock)
{
    DIR *files = open_below(process, "fdinfo");
    bool found = false;
    const struct dirent *entry;
    while (files != NULL && !found && (entry = readdir(files)) != NULL) {
        char text[1024];
        if (entry->d_name[0] == '.')
            continue;
        read_small(dirfd(files), entry->d_name, text, sizeof text);
        const char *first = strstr(text, "lock:");
        found = first != NULL && strstr(first, lock) != NULL;
    }
    if (files != NULL)
        closedir(files);
    return found;
}

static void describe(int process, const char *pid, char *to)
{
    char name[32], stat[512];
    read_small(process, "comm", name, sizeof name);
    name[strcspn(name, "\n")] = '\0';
    read_small(process, "stat", stat, sizeof stat);
    const char *behind = strrchr(stat, ')'); /* the name may hold anything */
    const char state = behind != NULL && strlen(behind) > 2 ? behind[2] : '?';
    if (state == 'T' || state == 't')
        snprintf(to, SF_HOLDER_TEXT_MAX,
                 "process %.20s (%.20s), which is stopped: kill -CONT %.20s lets it go on", pid,
                 name, pid);
    else
        snprintf(to, SF_HOLDER_TEXT_MAX, "process %.20s (%.20s), in state %c", pid, name, state);
}

void sf_local_lock_holder(int directory, const char *name, char *to)
{
    struct stat info;
    char lock[64];
    to[0] = '\0';
    if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    snprintf(lock, sizeof lock, " %02x:%02x:%" PRIu64 " ", major(info.st_dev), minor(info.st_dev),
             (uint64_t)info.st_ino);
    DIR *processes = open_below(AT_FDCWD, "/proc");
    const struct dirent *entry;
    while (processes != NULL && to[0] == '\0' && (entry = readdir(processes)) != NULL) {
        uint64_t pid = 0;
        if (sf_parse_u64(entry->d_name, 1, INT32_MAX, &pid) < 0)
            continue;
        DIR *process = open_below(dirfd(processes), entry->d_name);
        if (process != NULL && holds(dirfd(process), lock))
            describe(dirfd(process), entry->d_name, to);
        if (process != NULL)
            closedir(process);
    }
    if (processes != NULL)
        closedir(processes);
}
