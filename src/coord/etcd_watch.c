/* coord/etcd_watch.c - CHANGED: a watch stream for each datacenter, opened again when it ends, and
 * a poll that notices when it stalls.
 *
 * A stream that is opened again starts at the present, and says CHANGED as soon as it is there:
 * whatever happened before that is in the list that the receiver reads then. So there is no
 * revision to resume from, and compaction cannot disturb. A stalled stream is invisible. But every
 * answer tells the store's revision: when that has moved past everything the stream has told, a
 * range that costs little (the newest revision and the number of keys below the datacenter) tells
 * whether it missed something.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/etcd_internal.h"

static void changed(struct sf_etcd *etcd)
{
    const int64_t now_ns = sf_etcd_now_ns(etcd);
    const int64_t earliest_ns = etcd->changed_last_ns + SF_ETCD_CHANGED_MS * SF_NS_PER_MS;
    if (etcd->changed_due_ns == 0)
        etcd->changed_due_ns = earliest_ns > now_ns ? earliest_ns : now_ns;
}

static void reopen(struct sf_etcd *etcd, struct sf_etcd_watch *watch, int64_t wait_ms)
{
    sf_etcd_http_cancel(etcd, watch->stream);
    watch->stream = NULL;
    watch->created = false;
    watch->baseline = false;
    watch->retry_ns = wait_ms == 0 ? sf_etcd_now_ns(etcd) : sf_etcd_after_ms(etcd, wait_ms);
}

static void broken(struct sf_etcd *etcd, struct sf_etcd_watch *watch, const char *text)
{
    const unsigned shift = watch->failures < 5 ? watch->failures : 5;
    if (watch->failures > 0)
        sf_log_limited(etcd->log, &etcd->limit_watch, SF_ETCD_LOG_EVERY_MS, SF_LOG_WARN,
                       "coordinator.watch", "%s; trying again", text);
    watch->failures++;
    reopen(etcd, watch, SF_ETCD_RETRY_MIN_MS << shift);
}

static void on_created(struct sf_etcd *etcd, struct sf_etcd_watch *watch, uint64_t revision)
{
    watch->created = true;
    watch->failures = 0;
    watch->seen_revision = watch->known_revision = revision;
    watch->baseline = false;
    watch->poll_ns = sf_etcd_after_ms(etcd, SF_ETCD_POLL_MS);
    if (watch->was_created)
        changed(etcd);
    watch->was_created = true;
}

static void on_line(struct sf_etcd *etcd, void *ctx, const char *bytes, size_t size)
{
    struct sf_etcd_watch *watch = ctx;
    struct sf_etcd_answer answer;
    struct sf_etcd_watch_line line;
    char text[SF_COORD_TEXT_MAX];
    sf_etcd_answer_parse(200, bytes, size, &answer);
    if (answer.verdict != SF_ETCD_OK) {
        if (answer.verdict == SF_ETCD_BAD_TOKEN)
            sf_etcd_session_relogin(etcd, watch->token_serial);
        broken(etcd, watch, answer.text);
    } else if (!sf_etcd_session_believes(etcd, &answer.header, watch->endpoint, text)) {
        broken(etcd, watch, text);
    } else if (sf_etcd_watch_parse(answer.root, &line) < 0) {
        broken(etcd, watch, "etcd: a line of the watch cannot be read");
    } else if (line.canceled) {
        broken(etcd, watch, line.text);
    } else {
        if (line.created)
            on_created(etcd, watch, answer.header.revision);
        if (line.events > 0) {
            if (answer.header.revision > watch->seen_revision)
                watch->seen_revision = answer.header.revision;
            if (watch->seen_revision > watch->known_revision)
                watch->known_revision = watch->seen_revision;
            watch->baseline = false;
            changed(etcd);
        }
    }
    sf_etcd_answer_free(&answer);
}

static void on_stream_done(struct sf_etcd *etcd, void *ctx, const struct sf_etcd_result *result)
{
    struct sf_etcd_watch *watch = ctx;
    watch->stream = NULL;
    broken(etcd, watch, result->text);
    sf_etcd_session_suspect(etcd, result->endpoint);
}

static void open_stream(struct sf_etcd *etcd, struct sf_etcd_watch *watch)
{
    char prefix[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, prefix, "/dc/%" PRIu64 "/", watch->datacenter);
    watch->endpoint = etcd->session.current;
    watch->token_serial = etcd->session.token_serial;
    watch->stream =
        sf_etcd_http_send(etcd, &(struct sf_etcd_send){.path = "/v3/watch",
                                                       .body = sf_etcd_body_watch(prefix),
                                                       .with_token = true,
                                                       .endpoint = watch->endpoint,
                                                       .done = on_stream_done,
                                                       .line = on_line,
                                                       .ctx = watch});
    watch->poll_ns = sf_etcd_after_ms(etcd, SF_ETCD_POLL_MS);
}

/* Poll. */

static void take_poll(struct sf_etcd *etcd, struct sf_etcd_watch *watch,
                      const struct sf_etcd_range *range, uint64_t revision)
{
    const uint64_t newest = range->count == 0 ? 0 : range->kvs[0].mod_revision;
    const bool same = watch->baseline && newest == watch->newest && range->total == watch->count;
    if (!same)
        changed(etcd);
    if (newest > watch->seen_revision || (watch->baseline && range->total != watch->count)) {
        sf_log_limited(etcd->log, &etcd->limit_watch, SF_ETCD_LOG_EVERY_MS, SF_LOG_WARN,
                       "coordinator.watch", "etcd: the watch has stalled; opening it again");
        reopen(etcd, watch, 0);
        return;
    }
    watch->newest = newest;
    watch->count = range->total;
    watch->baseline = true;
    if (revision > watch->known_revision)
        watch->known_revision = revision;
}

static void on_poll_done(struct sf_etcd *etcd, void *ctx, const struct sf_etcd_result *result)
{
    struct sf_etcd_watch *watch = ctx;
    struct sf_etcd_range range = {0};
    watch->poll = NULL;
    if (result->fate == SF_ETCD_ANSWERED && result->answer.verdict == SF_ETCD_OK &&
        sf_etcd_range_parse(result->answer.root, &range) == 0) {
        take_poll(etcd, watch, &range, result->answer.header.revision);
        sf_etcd_range_free(&range);
    } else if (result->fate != SF_ETCD_ANSWERED) {
        sf_etcd_session_suspect(etcd, result->endpoint);
    }
}

static void send_poll(struct sf_etcd *etcd, struct sf_etcd_watch *watch)
{
    char prefix[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, prefix, "/dc/%" PRIu64 "/", watch->datacenter);
    watch->poll =
        sf_etcd_http_send(etcd, &(struct sf_etcd_send){.path = "/v3/kv/range",
                                                       .body = sf_etcd_body_newest(prefix),
                                                       .with_token = true,
                                                       .timeout_ms = SF_ETCD_REQUEST_MS,
                                                       .endpoint = etcd->session.current,
                                                       .done = on_poll_done,
                                                       .ctx = watch});
}

/* A stream that was asked for but never said that it is there is opened anew after the same time.
 */
static void poll_due(struct sf_etcd *etcd, struct sf_etcd_watch *watch)
{
    watch->poll_ns = sf_etcd_after_ms(etcd, SF_ETCD_POLL_MS);
    if (!watch->created) {
        if (watch->stream != NULL)
            broken(etcd, watch, "etcd: no answer to the watch");
    } else if (watch->poll == NULL && etcd->session.revision > watch->known_revision) {
        send_poll(etcd, watch);
    }
}

void sf_etcd_watch_turn(struct sf_etcd *etcd)
{
    const int64_t now_ns = sf_etcd_now_ns(etcd);
    if (etcd->changed_due_ns != 0 && now_ns >= etcd->changed_due_ns) {
        etcd->changed_due_ns = 0;
        etcd->changed_last_ns = now_ns;
        sf_etcd_notice(etcd, SF_COORD_CHANGED, "");
    }
    if (etcd->session.state != SF_ETCD_UP || etcd->session.relogin)
        return;
    for (struct sf_etcd_watch *watch = etcd->watches; watch != NULL; watch = watch->next) {
        if (watch->stream == NULL && now_ns >= watch->retry_ns)
            open_stream(etcd, watch);
        if (now_ns >= watch->poll_ns)
            poll_due(etcd, watch);
    }
}

int64_t sf_etcd_watch_due_ns(const struct sf_etcd *etcd)
{
    int64_t due_ns = etcd->changed_due_ns == 0 ? INT64_MAX : etcd->changed_due_ns;
    if (etcd->session.state != SF_ETCD_UP || etcd->session.relogin)
        return due_ns;
    for (const struct sf_etcd_watch *watch = etcd->watches; watch != NULL; watch = watch->next) {
        const int64_t at_ns = watch->stream == NULL && watch->retry_ns < watch->poll_ns
                                  ? watch->retry_ns
                                  : watch->poll_ns;
        if (at_ns < due_ns)
            due_ns = at_ns;
    }
    return due_ns;
}

static struct sf_etcd_watch *find(const struct sf_etcd *etcd, uint64_t datacenter)
{
    struct sf_etcd_watch *watch = etcd->watches;
    while (watch != NULL && watch->datacenter != datacenter)
        watch = watch->next;
    return watch;
}

int sf_etcd_watch_add(struct sf_etcd *etcd, uint64_t datacenter)
{
    if (find(etcd, datacenter) != NULL)
        return 0;
    unsigned count = 0;
    for (const struct sf_etcd_watch *watch = etcd->watches; watch != NULL; watch = watch->next)
        count++;
    if (count == SF_ETCD_WATCHES_MAX)
        return -ENOSPC;
    struct sf_etcd_watch *watch = calloc(1, sizeof *watch);
    SF_ASSERT(watch != NULL);
    watch->datacenter = datacenter;
    watch->next = etcd->watches;
    etcd->watches = watch;
    return 0;
}

bool sf_etcd_watch_ready(const struct sf_etcd *etcd, uint64_t datacenter)
{
    const struct sf_etcd_watch *watch = find(etcd, datacenter);
    return watch != NULL && watch->created;
}

void sf_etcd_watch_suspect(struct sf_etcd *etcd, unsigned endpoint)
{
    if (etcd->session.current == endpoint)
        return;
    for (struct sf_etcd_watch *watch = etcd->watches; watch != NULL; watch = watch->next)
        if (watch->stream != NULL && watch->endpoint == endpoint)
            reopen(etcd, watch, 0);
}

void sf_etcd_watch_end(struct sf_etcd *etcd)
{
    while (etcd->watches != NULL) {
        struct sf_etcd_watch *watch = etcd->watches;
        etcd->watches = watch->next;
        sf_etcd_http_cancel(etcd, watch->stream);
        sf_etcd_http_cancel(etcd, watch->poll);
        free(watch);
    }
}
