/* clock/select.c - the interval that a majority of servers covers. */
#include "clock/select.h"

#include <stdlib.h>

#include "base/assert.h"

struct edge {
    int64_t at;
    int change; /* +1: an interval begins, -1: it ends */
};

/* By place; where one interval ends as another begins, the beginning comes first: they touch. */
static int compare_edges(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return y->change - x->change;
}

static size_t collect_edges(const struct sf_select_interval *intervals, size_t count,
                            struct edge edges[2 * SF_SELECT_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (!intervals[i].answered)
            continue;
        SF_ASSERT(intervals[i].low <= intervals[i].high);
        edges[n++] = (struct edge){intervals[i].low, +1};
        edges[n++] = (struct edge){intervals[i].high, -1};
    }
    qsort(edges, n, sizeof edges[0], compare_edges);
    return n;
}

/* The first and the last point that lie in at least `need` intervals. */
static bool sweep(const struct edge *edges, size_t n, int need, int64_t *ret_low, int64_t *ret_high)
{
    bool found = false;
    int depth = 0;
    for (size_t i = 0; i < n; i++) {
        if (edges[i].change < 0 && depth >= need)
            *ret_high = edges[i].at;
        depth += edges[i].change;
        if (!found && depth >= need) {
            *ret_low = edges[i].at;
            found = true;
        }
    }
    return found;
}

enum sf_select_verdict sf_select(struct sf_select_interval *intervals, size_t count,
                                 int64_t *ret_low, int64_t *ret_high)
{
    struct edge edges[2 * SF_SELECT_MAX] = {{0, 0}};
    int64_t low = 0, high = 0;
    SF_ASSERT(count <= SF_SELECT_MAX);
    const size_t n = collect_edges(intervals, count, edges);
    const size_t answered = n / 2;
    for (size_t i = 0; i < count; i++)
        intervals[i].falseticker = false;
    if (answered == 0)
        return SF_SELECT_NO_ANSWER;
    const size_t liars = (answered - 1) / 2;
    const bool found = sweep(edges, n, (int)(answered - liars), &low, &high);
    for (size_t i = 0; i < count; i++)
        intervals[i].falseticker =
            intervals[i].answered && (!found || intervals[i].high < low || intervals[i].low > high);
    if (!found)
        return SF_SELECT_NO_MAJORITY;
    if (2 * answered <= count)
        return SF_SELECT_TOO_FEW;
    *ret_low = low;
    *ret_high = high;
    return SF_SELECT_MAJORITY;
}
