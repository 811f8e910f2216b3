/* coord/zookeeper/log.c - see log.h. */
#include "coord/zookeeper/log.h"

#include <pthread.h>
#include <string.h>

#include "coord/zookeeper/library.h"

#define LOG_CAUSES 16

static struct {
    pthread_mutex_t lock;
    struct sf_log *log;
    struct sf_log_limiter limiters[LOG_CAUSES];
} library_log = {.lock = PTHREAD_MUTEX_INITIALIZER};

void sf_zk_log_attach(struct sf_log *log)
{
    pthread_mutex_lock(&library_log.lock);
    library_log.log = log;
    pthread_mutex_unlock(&library_log.lock);
    zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
}

void sf_zk_log_detach(struct sf_log *log)
{
    pthread_mutex_lock(&library_log.lock);
    if (library_log.log == log)
        library_log.log = NULL;
    pthread_mutex_unlock(&library_log.lock);
}

/* "2026-11-21 00:10:00,123:42:ZOO_ERROR@handle_socket_error_msg@2321: text": the function and line
 * are the cause. */
void sf_zk_log_line(const char *line)
{
    const char *cause = strchr(line, '@');
    const char *text = cause != NULL ? strchr(cause, ':') : NULL;
    unsigned hash = 0;
    for (const char *at = cause; at != NULL && at != text && *at != '\0'; at++)
        hash = hash * 31 + (unsigned char)*at;
    const bool error = strstr(line, "ZOO_ERROR") != NULL;
    text = text != NULL ? text + 1 + strspn(text + 1, " ") : line;
    pthread_mutex_lock(&library_log.lock);
    sf_log_limited(library_log.log, &library_log.limiters[hash % LOG_CAUSES], 1000,
                   error ? SF_LOG_WARN : SF_LOG_INFO, "coordinator.library", "%s", text);
    pthread_mutex_unlock(&library_log.lock);
}
