/* Which of the files that options name have changed, and when certificates end. */
#include "daemon/files.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "server/certificate.h"

enum kind { PLAIN, CHAIN, CAS };

/* clang-format off */
static const struct {
    const char *option;
    size_t offset; /* of its path in struct sf_config */
    enum sf_files_user user;
    enum kind kind;
} table[SF_FILES_MAX] = {
#define FILE_ROW(name, field, user, kind) {name, offsetof(struct sf_config, field), user, kind}
    FILE_ROW("listen.tls_cert", listen_tls_cert, SF_FILES_DATA, CHAIN),
    FILE_ROW("listen.tls_key", listen_tls_key, SF_FILES_DATA, PLAIN),
    FILE_ROW("listen.tls_client_ca", listen_tls_client_ca, SF_FILES_DATA, CAS),
    FILE_ROW("listen.token_file", listen_token_file, SF_FILES_DATA, PLAIN),
    FILE_ROW("admin.tls_cert", admin_tls_cert, SF_FILES_ADMIN, CHAIN),
    FILE_ROW("admin.tls_key", admin_tls_key, SF_FILES_ADMIN, PLAIN),
    FILE_ROW("admin.token_file", admin_token_file, SF_FILES_ADMIN, PLAIN),
    FILE_ROW("coordinator.tls_ca", coordinator_tls_ca, SF_FILES_COORDINATOR, CAS),
    FILE_ROW("coordinator.tls_cert", coordinator_tls_cert, SF_FILES_COORDINATOR, CHAIN),
    FILE_ROW("coordinator.tls_key", coordinator_tls_key, SF_FILES_COORDINATOR, PLAIN),
    FILE_ROW("coordinator.password_file", coordinator_password_file, SF_FILES_COORDINATOR, PLAIN),
#undef FILE_ROW
};
/* clang-format on */

/* NULL: the option is not set. */
static const char *path_of(const struct sf_config *config, unsigned file)
{
    return *(char *const *)(const void *)((const char *)config + table[file].offset);
}

static struct sf_files_stamp stamp_of(const char *path)
{
    struct stat info;
    struct sf_files_stamp stamp;
    memset(&stamp, 0, sizeof stamp);
    if (path == NULL || stat(path, &info) != 0)
        return stamp;
    stamp.there = true;
    stamp.device = info.st_dev;
    stamp.inode = info.st_ino;
    stamp.size = info.st_size;
    stamp.modified = info.st_mtim;
    stamp.changed = info.st_ctim;
    return stamp;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const struct sf_files_stamp *a, const struct sf_files_stamp *b)
{
    return a->there == b->there && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && is_same_time(&a->modified, &b->modified) &&
           is_same_time(&a->changed, &b->changed);
}

void sf_files_init(struct sf_files *files)
{
    memset(files, 0, sizeof *files);
    pthread_mutex_init(&files->lock, NULL);
}

void sf_files_destroy(struct sf_files *files)
{
    pthread_mutex_destroy(&files->lock);
}

static void read_end(struct sf_files *files, unsigned file, const char *path, struct sf_log *log)
{
    struct sf_error err = {0};
    int64_t end_s = 0;
    const enum sf_certificate_use use =
        table[file].kind == CHAIN ? SF_CERTIFICATE_CHAIN : SF_CERTIFICATE_CAS;
    const bool known = path != NULL && table[file].kind != PLAIN &&
                       sf_certificate_end(path, use, &end_s, &err) == 0;
    if (path != NULL && table[file].kind != PLAIN && !known)
        sf_log_write(log, SF_LOG_WARN, "certificate.unreadable", "%s: %s", table[file].option,
                     err.text);
    pthread_mutex_lock(&files->lock);
    files->certificates[file].known = known;
    files->certificates[file].end_s = end_s;
    snprintf(files->certificates[file].path, sizeof files->certificates[file].path, "%s",
             path != NULL ? path : "");
    pthread_mutex_unlock(&files->lock);
}

void sf_files_take(struct sf_files *files, const struct sf_config *config, struct sf_log *log)
{
    for (unsigned i = 0; i < SF_FILES_MAX; i++) {
        const char *path = path_of(config, i);
        files->seen[i] = stamp_of(path);
        read_end(files, i, path, log);
    }
    memset(files->due, 0, sizeof files->due);
}

bool sf_files_changed(struct sf_files *files, const struct sf_config *config, int64_t now_ms,
                      bool ret_changed[SF_FILES_MAX])
{
    if (now_ms < files->look_ms)
        return false;
    files->look_ms = now_ms + SF_FILES_LOOK_MS;
    bool moving = false, due = false;
    for (unsigned i = 0; i < SF_FILES_MAX; i++) {
        const struct sf_files_stamp stamp = stamp_of(path_of(config, i));
        if (is_same(&stamp, &files->seen[i]))
            continue;
        files->seen[i] = stamp;
        files->due[i] = true;
        moving = true;
    }
    for (unsigned i = 0; i < SF_FILES_MAX; i++)
        due = due || files->due[i];
    if (moving || !due)
        return false;
    memcpy(ret_changed, files->due, sizeof files->due);
    memset(files->due, 0, sizeof files->due);
    return true;
}

void sf_files_users(const bool files[SF_FILES_MAX], bool ret_users[SF_FILES_USERS])
{
    memset(ret_users, 0, SF_FILES_USERS * sizeof *ret_users);
    for (unsigned i = 0; i < SF_FILES_MAX; i++)
        if (files[i])
            ret_users[table[i].user] = true;
}

void sf_files_names(const bool files[SF_FILES_MAX], char *to, size_t size)
{
    size_t used = 0;
    to[0] = '\0';
    for (unsigned i = 0; i < SF_FILES_MAX && used < size; i++)
        if (files[i])
            used += (size_t)snprintf(to + used, size - used, "%s%s", used == 0 ? "" : ", ",
                                     table[i].option);
}

json_t *sf_files_certificates(struct sf_files *files)
{
    json_t *list = json_array();
    pthread_mutex_lock(&files->lock);
    for (unsigned i = 0; i < SF_FILES_MAX; i++)
        if (files->certificates[i].known)
            json_array_append_new(list, json_pack("{s:s,s:s,s:I}", "use", table[i].option, "file",
                                                  files->certificates[i].path, "ends_ms",
                                                  (json_int_t)files->certificates[i].end_s * 1000));
    pthread_mutex_unlock(&files->lock);
    return list;
}

void sf_files_collect(struct sf_files *files, struct sf_metrics_page *page)
{
    char labels[2 * SF_FILES_PATH_MAX + 64], escaped[2 * SF_FILES_PATH_MAX];
    pthread_mutex_lock(&files->lock);
    for (unsigned i = 0; i < SF_FILES_MAX; i++) {
        if (!files->certificates[i].known)
            continue;
        snprintf(labels, sizeof labels, "use=\"%s\",file=\"%s\"", table[i].option,
                 sf_metrics_escape(files->certificates[i].path, escaped, sizeof escaped));
        sf_metrics_emit(page, SF_METRIC_CERTIFICATE_EXPIRY, labels,
                        (double)files->certificates[i].end_s);
    }
    pthread_mutex_unlock(&files->lock);
}
