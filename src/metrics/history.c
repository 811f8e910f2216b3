/* The ring of the last hour's points. */
#include "metrics/history.h"

#include <pthread.h>
#include <stdlib.h>

struct sf_history {
    pthread_mutex_t lock;
    uint64_t count; /* points that ever came: the serial of the newest */
    struct sf_history_point points[SF_HISTORY_POINTS];
};

struct sf_history *sf_history_create(void)
{
    struct sf_history *history = calloc(1, sizeof *history);
    if (history != NULL)
        pthread_mutex_init(&history->lock, NULL);
    return history;
}

void sf_history_destroy(struct sf_history *history)
{
    if (history == NULL)
        return;
    pthread_mutex_destroy(&history->lock);
    free(history);
}

void sf_history_put(struct sf_history *history, const struct sf_history_point *point)
{
    pthread_mutex_lock(&history->lock);
    struct sf_history_point *to = &history->points[history->count % SF_HISTORY_POINTS];
    *to = *point;
    to->serial = ++history->count;
    pthread_mutex_unlock(&history->lock);
}

size_t sf_history_read(struct sf_history *history, uint64_t after, struct sf_history_point *ret)
{
    size_t found = 0;
    pthread_mutex_lock(&history->lock);
    if (history->count > SF_HISTORY_POINTS && after < history->count - SF_HISTORY_POINTS)
        after = history->count - SF_HISTORY_POINTS;
    for (uint64_t serial = after; serial < history->count; serial++)
        ret[found++] = history->points[serial % SF_HISTORY_POINTS];
    pthread_mutex_unlock(&history->lock);
    return found;
}
