/* cli/clocks.c - see clocks.h. */
#include "cli/clocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/ticks.h"
#include "clock/clock.h"

#define DISAGREE_NS INT64_C(1000000000)
#define WRONG_NS    (60 * INT64_C(1000000000))
#define LOOK_MS     50
#define POLL_MS     1000
#define WAIT_MS     6000

/* One who told a time. */
struct witness {
    const char *name;
    int64_t offset_ns, error_ns; /* its time minus our wall clock */
};

#define WITNESSES_MAX (SF_CLOCK_SOURCES_MAX + 2)

struct court {
    struct witness list[WITNESSES_MAX];
    size_t count;
};

static void doubt(struct sf_cli_clocks *clocks, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void doubt(struct sf_cli_clocks *clocks, const char *format, ...)
{
    va_list args;
    if (clocks->doubtful)
        return; /* the first reason is enough to stop at */
    clocks->doubtful = true;
    va_start(args, format);
    (void)vsnprintf(clocks->why, sizeof clocks->why, format, args);
    va_end(args);
}

static bool all_told(const struct sf_clock_snapshot *seen)
{
    for (size_t i = 0; i < seen->source_count; i++)
        if (seen->sources[i].kind != SF_CLOCK_KERNEL && !seen->sources[i].has_time)
            return false;
    return true;
}

/* The sources' times, as soon as all have told one or the wait is over. */
static int look(const struct sf_clock_specs *sources, uint32_t wait_ms,
                struct sf_clock_snapshot *ret)
{
    struct sf_error err = {0};
    struct sf_clock *clock = NULL;
    const struct sf_clock_options options = {.sources = sources,
                                             .poll_ms = POLL_MS,
                                             .warn_offset_ms = 1000,
                                             .max_offset_ms = 1000,
                                             .require_sync = false};
    int rc = sf_clock_create(&options, &clock, &err);
    if (rc == 0)
        rc = sf_clock_start(clock, &err);
    const int64_t end_ns = sf_mono_ns() + wait_ms * SF_NS_PER_MS;
    while (rc == 0) {
        sf_clock_snapshot(clock, ret);
        if (all_told(ret) || sf_mono_ns() >= end_ns)
            break;
        sf_sleep_ms(LOOK_MS);
    }
    sf_clock_destroy(clock);
    return rc == 0 ? -1 : sf_cli_fail(SF_CLI_CONFIG, "--clock-source: %s", err.text);
}

static void judge(const struct court *court, struct sf_cli_clocks *clocks)
{
    int64_t ahead_ns = 0;
    char apart[SF_DURATION_TEXT_MAX];
    for (size_t i = 0; i < court->count; i++) {
        const struct witness *a = &court->list[i];
        if (a->offset_ns + a->error_ns > ahead_ns)
            ahead_ns = a->offset_ns + a->error_ns;
        for (size_t j = 0; j < i; j++) {
            const struct witness *b = &court->list[j];
            const int64_t apart_ns = a->offset_ns > b->offset_ns ? a->offset_ns - b->offset_ns
                                                                 : b->offset_ns - a->offset_ns;
            clocks->wrong = clocks->wrong || apart_ns - a->error_ns - b->error_ns > WRONG_NS;
            if (apart_ns - a->error_ns - b->error_ns > DISAGREE_NS)
                doubt(clocks, "%s and %s disagree by %s", b->name, a->name,
                      sf_format_duration_ms(apart_ns / SF_NS_PER_MS, apart, sizeof apart));
        }
    }
    clocks->latest_ms = (sf_real_ns() + ahead_ns) / SF_NS_PER_MS + 1;
}

struct sf_cli_coordinator_time sf_cli_time_of(const char *url,
                                              const struct sf_coord_completion *answer)
{
    const bool ours = strncmp(url, "local:", strlen("local:")) == 0;
    return (struct sf_cli_coordinator_time){.server_ms = ours ? -1 : answer->server_ms,
                                            .error_ms = answer->server_error_ms +
                                                        answer->duration_ns / SF_NS_PER_MS + 1,
                                            .real_ms = sf_real_ns() / SF_NS_PER_MS};
}

/* Those that were named, and the kernel, which says whether anybody keeps this machine's clock. Returns
 * -1, or the exit code. */
static int read_sources(const struct sf_cli_list *named, struct sf_clock_specs *ret,
                        bool *ret_kernel)
{
    struct sf_error err = {0};
    *ret = (struct sf_clock_specs){0};
    *ret_kernel = false;
    if (named->count > 0) {
        char *text = sf_cli_list_join(named, "");
        const int rc = sf_clock_specs_parse(text, ret, &err);
        free(text);
        if (rc < 0)
            return sf_cli_fail(SF_CLI_USAGE, "--clock-source: %s", err.text);
    }
    for (size_t i = 0; i < ret->count; i++)
        *ret_kernel = *ret_kernel || ret->list[i].kind == SF_CLOCK_KERNEL;
    if (!*ret_kernel && ret->count < SF_CLOCK_SOURCES_MAX)
        ret->list[ret->count++] = (struct sf_clock_spec){.kind = SF_CLOCK_KERNEL, .text = "kernel"};
    return -1;
}

int sf_cli_clocks(const struct sf_cli_list *sources,
                  const struct sf_cli_coordinator_time *coordinator, struct sf_cli_clocks *ret)
{
    struct sf_clock_snapshot seen = {0};
    struct sf_clock_specs asked;
    bool has_kernel = false, synchronized = false;
    int code = read_sources(sources, &asked, &has_kernel);
    if (code < 0)
        code = look(&asked, WAIT_MS, &seen);
    if (code >= 0)
        return code;
    memset(ret, 0, sizeof *ret);
    struct court court = {.list = {{.name = "this machine's clock"}}, .count = 1};
    for (size_t i = 0; i < seen.source_count; i++) {
        const struct sf_clock_source *source = &seen.sources[i];
        synchronized = synchronized || source->up;
        if (source->has_time)
            court.list[court.count++] =
                (struct witness){source->name, source->offset_ns, source->error_ns};
        else if (source->kind != SF_CLOCK_KERNEL || has_kernel)
            doubt(ret, "%s tells no time: %s", source->name, source->text);
    }
    if (coordinator->server_ms >= 0) {
        synchronized = true;
        court.list[court.count++] =
            (struct witness){"the coordinator's clock",
                             (coordinator->server_ms - coordinator->real_ms) * SF_NS_PER_MS,
                             coordinator->error_ms * SF_NS_PER_MS};
    }
    judge(&court, ret);
    if (!synchronized)
        doubt(ret, "nobody but this machine's clock was asked, and that is not synchronised; name "
                   "a source "
                   "with --clock-source ntp:HOST");
    return -1;
}
