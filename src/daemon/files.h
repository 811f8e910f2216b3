/* daemon/files.h - the files that options name and that are replaced under a running worker: certificates, keys, CA bundles,
 * tokens, passwords. The one place that looks whether they have changed; what follows is reload.c's. Also tells when certificates end.
 *
 * A file has changed when what its path leads to has (links are followed: Kubernetes swaps the link ..data), by inode, size or times.
 * Main's thread, but for sf_files_collect. */
#ifndef SF_DAEMON_FILES_H
#define SF_DAEMON_FILES_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/log.h"
#include "config/config.h"
#include "metrics/metrics.h"

/* Who reads them. */
enum sf_files_user { SF_FILES_DATA, SF_FILES_ADMIN, SF_FILES_COORDINATOR, SF_FILES_USERS };

#define SF_FILES_MAX      11
#define SF_FILES_PATH_MAX 1024

struct sf_files_stamp {
    bool there;
    uint64_t device, inode;
    int64_t size;
    struct timespec modified, changed;
};

struct sf_files {
    struct sf_files_stamp seen[SF_FILES_MAX]; /* as last looked at */
    bool due[SF_FILES_MAX];                   /* changed, and not yet told */
    int64_t look_ms;                          /* monotonic time of the next look */

    pthread_mutex_t lock; /* guards what follows */
    struct {
        bool known;
        int64_t end_s;
        char path[SF_FILES_PATH_MAX];
    } certificates[SF_FILES_MAX];
};

void sf_files_init(struct sf_files *files);
void sf_files_destroy(struct sf_files *files);

/* Takes the files of this config as they are now for what is in use: to be called before they are read. Certificates that cannot be
 * read have no metric; log: said there. */
void sf_files_take(struct sf_files *files, const struct sf_config *config, struct sf_log *log);

/* Looks every SF_FILES_LOOK_MS. A change is told once it has stood still for one look, so that a certificate and its key that are
 * replaced one after the other are read together. ret_changed: which. Returns true where there are any. */
#define SF_FILES_LOOK_MS 1500
bool sf_files_changed(struct sf_files *files, const struct sf_config *config, int64_t now_ms, bool ret_changed[SF_FILES_MAX]);
/* Who uses them, and the options that name them: "a, b". */
void sf_files_users(const bool files[SF_FILES_MAX], bool ret_users[SF_FILES_USERS]);
void sf_files_names(const bool files[SF_FILES_MAX], char *to, size_t size);

/* When each certificate ends, as /status tells it: objects with use (the option), file and ends_ms (Unix milliseconds). A new reference.
 * Any thread. */
json_t *sf_files_certificates(struct sf_files *files);
/* Emits when each certificate ends. Any thread. */
void sf_files_collect(struct sf_files *files, struct sf_metrics_page *page);

#endif
