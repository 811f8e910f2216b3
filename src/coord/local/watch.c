/* coord/local/watch.c - see watch.h. */
#include "coord/local/watch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/local/claims.h"

struct watched {
    struct watched *next;
    char token[SF_COORD_TOKEN_SIZE];
    uint64_t datacenter;
    int claims_wd; /* -1: not watched by inotify. Records are not: renewals wake nobody */
    uint64_t seen; /* digest of the live claims and their directory's times */
};

struct sf_local_watch {
    int fd;
    struct watched *list;
    int fleet_wd, tree_wd;           /* the fleet's directory, and that of the making last named */
    char token[SF_COORD_TOKEN_SIZE]; /* that making's */
    uint64_t fleet_seen;             /* digest of their times */
    dev_t fleet_device;              /* which directory the fleet's was when it was last there; */
    ino_t fleet_inode;               /* 0: it was not looked at yet */
    int64_t next_poll_ns;
};

struct sf_local_watch *sf_local_watch_create(void)
{
    struct sf_local_watch *watch = calloc(1, sizeof *watch);
    SF_ASSERT(watch != NULL);
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    watch->fleet_wd = watch->tree_wd = -1;
    return watch;
}

void sf_local_watch_destroy(struct sf_local_watch *watch)
{
    if (watch == NULL)
        return;
    while (watch->list != NULL) {
        struct watched *next = watch->list->next;
        free(watch->list);
        watch->list = next;
    }
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch);
}

int sf_local_watch_fd(const struct sf_local_watch *watch)
{
    return watch->fd;
}

static void mix(uint64_t *digest, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        *digest = (*digest ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

static void mix_directory(uint64_t *digest, const struct stat *info)
{
    mix(digest, &info->st_ino, sizeof info->st_ino);
    mix(digest, &info->st_mtim.tv_sec, sizeof info->st_mtim.tv_sec);
    mix(digest, &info->st_mtim.tv_nsec, sizeof info->st_mtim.tv_nsec);
}

/* What is gone has a digest too, so that its return is a change. */
static uint64_t look_at_fleet(const struct sf_local_watch *watch,
                              const struct sf_local_store *store)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    char path[PATH_MAX];
    struct stat info;
    if (stat(store->fleet_root, &info) == 0)
        mix_directory(&digest, &info);
    const int length = snprintf(path, sizeof path, "%s/%s", store->fleet_root, watch->token);
    if (length > 0 && (size_t)length < sizeof path && stat(path, &info) == 0)
        mix_directory(&digest, &info);
    return digest;
}

/* Does another directory have the place of the one that was seen last? */
static bool was_replaced(struct sf_local_watch *watch, const struct sf_local_store *store)
{
    struct stat now;
    if (stat(store->fleet_root, &now) != 0)
        return false;
    const bool other = watch->fleet_inode != 0 &&
                       (now.st_dev != watch->fleet_device || now.st_ino != watch->fleet_inode);
    watch->fleet_device = now.st_dev;
    watch->fleet_inode = now.st_ino;
    return other;
}

/* A wiped datacenter has a digest too, so that its return is a change. */
static uint64_t look_at(struct sf_local_store *store, const struct watched *entry,
                        size_t *claims_met)
{
    const struct sf_coord_request request = {.op = SF_COORD_WATCH, .deadline_ms = 1};
    struct sf_local_job job = {
        .request = &request,
        .event = sf_coord_event_completion(&request, SF_COORD_DONE, SF_COORD_NO_REASON, "%s", "")};
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    if (sf_local_dc_open(store, &job, entry->token, entry->datacenter, SF_LOCAL_DC_UNLOCKED, &dc) ==
        0) {
        struct stat info;
        if (fstat(dc.claims, &info) == 0)
            mix_directory(&digest, &info);
        struct sf_coord_claim *claims = NULL;
        size_t count = 0;
        if (sf_local_claims_list(store, &dc, &claims, &count) == 0)
            for (size_t i = 0; i < count; i++)
                mix(&digest, claims[i].name, strlen(claims[i].name));
        free(claims);
        *claims_met += count;
    }
    sf_local_dc_close(&dc);
    sf_coord_event_free(job.event);
    return digest;
}

/* path: below the fleet's directory; "": itself. */
static int watch_directory(const struct sf_local_watch *watch, const struct sf_local_store *store,
                           const char *parent, const char *name)
{
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s/%s/%s", store->fleet_root, parent, name);
    if (watch->fd < 0 || length < 0 || (size_t)length >= sizeof path)
        return -1;
    return inotify_add_watch(watch->fd, path,
                             IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF);
}

static struct watched *entry_of(struct sf_local_watch *watch, uint64_t datacenter)
{
    struct watched *entry = watch->list;
    while (entry != NULL && entry->datacenter != datacenter)
        entry = entry->next;
    if (entry != NULL)
        return entry;
    entry = calloc(1, sizeof *entry);
    SF_ASSERT(entry != NULL);
    entry->datacenter = datacenter;
    entry->next = watch->list;
    watch->list = entry;
    return entry;
}

int sf_local_watch_add(struct sf_local_watch *watch, struct sf_local_store *store,
                       struct sf_local_job *job)
{
    const char *token = job->request->basis.token;
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    if (sf_local_dc_open(store, job, token, job->request->datacenter, SF_LOCAL_DC_UNLOCKED, &dc) <
        0)
        return -1;
    struct watched *entry = entry_of(watch, job->request->datacenter);
    memcpy(entry->token, token, sizeof entry->token);
    memcpy(watch->token, token, sizeof watch->token);
    entry->claims_wd = watch_directory(watch, store, dc.path, "claims");
    watch->fleet_wd = watch_directory(watch, store, "", "");
    watch->tree_wd = watch_directory(watch, store, token, "");
    sf_local_dc_close(&dc);
    size_t met = 0;
    entry->seen = look_at(store, entry, &met);
    watch->fleet_seen = look_at_fleet(watch, store);
    if (watch->fleet_inode == 0)
        (void)was_replaced(watch, store);
    watch->next_poll_ns = 0;
    return 0;
}

int sf_local_watch_wait_ms(const struct sf_local_watch *watch, int64_t mono_ns)
{
    if (watch->list == NULL)
        return -1;
    const int64_t left_ns = watch->next_poll_ns - mono_ns;
    return left_ns <= 0 ? 0 : (int)(left_ns / SF_NS_PER_MS) + 1;
}

/* Anything but a file on its way counts: what exactly happened is for whoever reads again to tell. */
static unsigned drain(const struct sf_local_watch *watch)
{
    _Alignas(struct inotify_event) char bytes[4096];
    unsigned changed = 0;
    ssize_t got;
    while (watch->fd >= 0 && (got = read(watch->fd, bytes, sizeof bytes)) > 0) {
        for (char *at = bytes; at < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;
            const bool of_fleet = event->wd == watch->fleet_wd || event->wd == watch->tree_wd;
            if (event->len == 0 ||
                strncmp(event->name, SF_DISK_TEMPORARY, strlen(SF_DISK_TEMPORARY)) != 0)
                changed |= of_fleet ? SF_LOCAL_FLEET_CHANGED : SF_LOCAL_CHANGED;
            at += sizeof *event + event->len;
        }
    }
    return changed;
}

unsigned sf_local_watch_look(struct sf_local_watch *watch, struct sf_local_store *store,
                             int64_t mono_ns)
{
    if (watch->list == NULL)
        return 0;
    unsigned changed = drain(watch);
    if (mono_ns < watch->next_poll_ns)
        return changed;
    size_t met = 0;
    for (struct watched *entry = watch->list; entry != NULL; entry = entry->next) {
        const uint64_t digest = look_at(store, entry, &met);
        if (digest != entry->seen)
            changed |= SF_LOCAL_CHANGED;
        entry->seen = digest;
    }
    const uint64_t digest = look_at_fleet(watch, store);
    if (digest != watch->fleet_seen)
        changed |= SF_LOCAL_FLEET_CHANGED;
    if (was_replaced(watch, store))
        changed |= SF_LOCAL_REPLACED;
    watch->fleet_seen = digest;
    watch->next_poll_ns = mono_ns + (SF_LOCAL_POLL_MS + (int64_t)met) * SF_NS_PER_MS;
    return changed;
}
