/* cli/floor.c - see floor.h. */
#include "cli/floor.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/parse.h"

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Records of slots that were held contradict "first". */
static bool is_first(const struct sf_floor_facts *facts)
{
    const struct sf_coord_survey *survey = facts->survey;
    return facts->first && facts->asked_ms == 0 && survey->ever_held == 0 && survey->garbage == 0 &&
           survey->reported_until_ms < 0 && survey->reserved_until_ms <= facts->latest_ms;
}

/* What lies above everything that an honest worker can have reserved: one liar must not fix the floor at
 * the end of all timestamps. */
static int judge_far(const struct sf_floor_facts *facts, int64_t honest_ms, struct sf_error *err)
{
    const struct sf_coord_survey *survey = facts->survey;
    const int64_t far_ms = honest_ms + SF_FLOOR_SLACK_MS;
    char until[SF_TIME_TEXT_MAX], most[SF_TIME_TEXT_MAX];
    const char *end =
        "no worker with a clock like ours and a window of at most max_window_ms can have that; "
        "if it is false, --floor-ms with at least";
    if (facts->given && facts->given_ms >= honest_ms)
        return 0;
    sf_format_time_ms(honest_ms, most, sizeof most);
    if (facts->asked_ms > far_ms)
        return sf_error_set(
            err, -EINVAL, "%.200s may mint up to %s: %s %" PRId64 " (%s) passes over it",
            facts->asked_where, sf_format_time_ms(facts->asked_ms, until, sizeof until), end,
            honest_ms, most);
    if (survey->reserved_until_ms > far_ms)
        return sf_error_set(err, -EINVAL,
                            "slot %" PRIu64 "/%" PRIu64
                            " (%.60s) of the making %.32s is reserved until %s: %s %" PRId64
                            " (%s) passes over it",
                            survey->datacenter, survey->worker, survey->node, survey->token,
                            sf_format_time_ms(survey->reserved_until_ms, until, sizeof until), end,
                            honest_ms, most);
    if (survey->reported_until_ms > far_ms)
        return sf_error_set(err, -EINVAL,
                            "a worker reported that it may mint up to %s: %s %" PRId64
                            " (%s) passes over it",
                            sf_format_time_ms(survey->reported_until_ms, until, sizeof until), end,
                            honest_ms, most);
    return 0;
}

/* A floor outside the timestamps is a mistake: in seconds, or with a digit too many. */
static int judge_range(const struct sf_floor_facts *facts, const char *what, int64_t floor_ms,
                       struct sf_error *err)
{
    char date[SF_TIME_TEXT_MAX], from[SF_TIME_TEXT_MAX], to[SF_TIME_TEXT_MAX];
    if (floor_ms >= facts->epoch_ms && floor_ms <= facts->end_ms)
        return 0;
    return sf_error_set(err, -EINVAL,
                        "%s %" PRId64 " is %s; the timestamps of this fleet go from %s to %s", what,
                        floor_ms, sf_format_time_ms(floor_ms, date, sizeof date),
                        sf_format_time_ms(facts->epoch_ms, from, sizeof from),
                        sf_format_time_ms(facts->end_ms, to, sizeof to));
}

int sf_floor_decide(const struct sf_floor_facts *facts, struct sf_floor *ret, struct sf_error *err)
{
    const struct sf_coord_survey *survey = facts->survey;
    const int64_t honest_ms =
        facts->latest_ms + facts->max_window_ms + SF_FLOOR_OFFSET_MS + SF_FLOOR_MARGIN_MS;
    int rc = facts->given ? judge_range(facts, "--floor-ms", facts->given_ms, err) : 0;
    if (rc < 0)
        return rc;
    memset(ret, 0, sizeof *ret);
    ret->survivor_max_ms = honest_ms + SF_FLOOR_SLACK_MS;
    ret->first = is_first(facts);
    if (ret->first && !facts->given && !(facts->doubt != NULL && facts->wrong)) {
        ret->floor_ms = later(facts->latest_ms, facts->above_ms);
        return judge_range(facts, "the floor", ret->floor_ms, err);
    }
    if (facts->doubt != NULL && !facts->given)
        return sf_error_set(
            err, -EINVAL,
            "%.400s: what time it is at the latest cannot be said; put the clocks right, or name "
            "the floor with --floor-ms (by this machine's clock it would be %" PRId64 ")",
            facts->doubt, honest_ms);
    rc = judge_far(facts, honest_ms, err);
    if (rc < 0)
        return rc;
    ret->stands = facts->given && facts->given_ms >= honest_ms;
    ret->floor_ms = facts->given ? facts->given_ms : honest_ms;
    const int64_t honest[] = {survey->reserved_until_ms, survey->reported_until_ms,
                              facts->asked_ms};
    for (size_t i = 0; i < sizeof honest / sizeof honest[0]; i++)
        if (honest[i] <= ret->survivor_max_ms)
            ret->floor_ms = later(ret->floor_ms, honest[i]);
    ret->floor_ms = later(ret->floor_ms, facts->above_ms);
    return judge_range(facts, "the floor", ret->floor_ms, err);
}
