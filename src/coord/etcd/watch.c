/* coord/etcd/watch.c - see watch.h. */
#include "coord/etcd/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/etcd/belief.h"
#include "coord/etcd/body.h"
#include "coord/etcd/http.h"
#include "coord/etcd/session.h"

#define POLL_MS       5000
#define POLL_FLEET_MS 60000 /* where no datacenter is watched: what is missed, renewals meet */
#define CHANGED_MS    100   /* CHANGED at most this often */

/* What a stream is for. */
enum subject {
    DATACENTER, /* its claims */
    NAMES,      /* the config, and which makings are named */
    STATE       /* of the making last named */
};

struct sf_etcd_watch {
    struct sf_etcd_watch *next;
    enum subject subject;
    char token[SF_COORD_TOKEN_SIZE];
    uint64_t datacenter;
    struct sf_etcd_transfer *stream, *poll;
    unsigned endpoint, failures;
    unsigned suspicions; /* of the endpoint when the stream was opened */
    uint64_t token_serial;
    bool created, was_created;
    uint64_t seen_revision;  /* of the last line of the stream */
    uint64_t known_revision; /* nothing up to it was missed */
    bool baseline;           /* newest and count are of the last poll, and no event came since */
    uint64_t newest, count;
    int64_t retry_ns, poll_ns;
};

static void changed(struct sf_etcd *etcd, const struct sf_etcd_watch *watch)
{
    if (watch->subject == DATACENTER)
        etcd->watches->changed = true;
    else
        etcd->watches->fleet_changed = true;
    const int64_t now_ns = sf_etcd_now_ns(etcd);
    const int64_t earliest_ns = etcd->watches->changed_last_ns + CHANGED_MS * SF_NS_PER_MS;
    if (etcd->watches->changed_due_ns == 0)
        etcd->watches->changed_due_ns = earliest_ns > now_ns ? earliest_ns : now_ns;
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
        sf_log_limited(etcd->log, &etcd->watches->limit_watch, SF_ETCD_LOG_EVERY_MS, SF_LOG_WARN,
                       "coordinator.watch", "%s; trying again", text);
    watch->failures++;
    reopen(etcd, watch, SF_ETCD_RETRY_MIN_MS << shift);
}

/* While a stream is not there, soon. */
static int64_t next_poll_ns(struct sf_etcd *etcd, const struct sf_etcd_watch *watch)
{
    const bool rarely = watch->created && !etcd->watches->datacenters;
    return sf_etcd_after_ms(etcd, rarely ? POLL_FLEET_MS : sf_etcd_patient_ms(etcd, POLL_MS));
}

static void on_created(struct sf_etcd *etcd, struct sf_etcd_watch *watch, uint64_t revision)
{
    watch->created = true;
    watch->failures = 0;
    watch->seen_revision = watch->known_revision = revision;
    watch->baseline = false;
    watch->poll_ns = next_poll_ns(etcd, watch);
    if (watch->was_created)
        changed(etcd, watch);
    watch->was_created = true;
}

static void on_line(struct sf_etcd *etcd, void *ctx, const char *bytes, size_t size)
{
    struct sf_etcd_watch *watch = ctx;
    struct sf_etcd_answer answer;
    struct sf_etcd_watch_line line;
    char why[SF_COORD_TEXT_MAX] = "a line of the watch cannot be read";
    bool ok = false;
    sf_etcd_answer_parse(200, bytes, size, &answer);
    if (answer.verdict != SF_ETCD_OK) {
        if (answer.verdict == SF_ETCD_BAD_TOKEN)
            sf_etcd_relogin(etcd, watch->token_serial);
        memcpy(why, answer.text, sizeof why);
    } else if (sf_etcd_believes(etcd, &answer.header, why) &&
               sf_etcd_watch_parse(answer.root, &line) == 0) {
        ok = !line.canceled;
        memcpy(why, line.text, sizeof why);
    }
    if (!ok) {
        sf_etcd_tell(etcd, watch->endpoint, why, why);
        broken(etcd, watch, why);
    } else {
        if (line.created)
            on_created(etcd, watch, answer.header.revision);
        if (line.events > 0) {
            if (answer.header.revision > watch->seen_revision)
                watch->seen_revision = answer.header.revision;
            if (watch->seen_revision > watch->known_revision)
                watch->known_revision = watch->seen_revision;
            watch->baseline = false;
            changed(etcd, watch);
        }
    }
    sf_etcd_answer_free(&answer);
}

static void on_stream_done(struct sf_etcd *etcd, void *ctx, const struct sf_etcd_result *result)
{
    struct sf_etcd_watch *watch = ctx;
    watch->stream = NULL;
    broken(etcd, watch, result->text);
    sf_etcd_suspect(etcd, result->endpoint);
}

/* Where it begins; ret_end: the key behind its last, or "" where it is everything that begins so. A
 * making's token sorts before "config", so that nothing but names stands between that and "current.". */
static void range_of(const struct sf_etcd *etcd, const struct sf_etcd_watch *watch,
                     char ret_first[SF_ETCD_KEY_MAX], char ret_end[SF_ETCD_KEY_MAX])
{
    ret_end[0] = '\0';
    switch (watch->subject) {
    case DATACENTER:
        sf_etcd_key(etcd, ret_first, "/%s/dc/%" PRIu64 "/claims/", watch->token, watch->datacenter);
        return;
    case NAMES:
        sf_etcd_key(etcd, ret_first, "/config");
        sf_etcd_key(etcd, ret_end, "/current.");
        return;
    case STATE:
        sf_etcd_key(etcd, ret_first, "/%s/state", watch->token);
        return;
    }
}

static void open_stream(struct sf_etcd *etcd, struct sf_etcd_watch *watch)
{
    char first[SF_ETCD_KEY_MAX], end[SF_ETCD_KEY_MAX];
    range_of(etcd, watch, first, end);
    watch->endpoint = etcd->belief->current;
    watch->suspicions = etcd->belief->suspicions[watch->endpoint];
    watch->token_serial = etcd->belief->token_serial;
    watch->stream = sf_etcd_http_send(
        etcd, &(struct sf_etcd_send){.path = "/v3/watch",
                                     .body = sf_etcd_body_watch(first, end[0] != '\0' ? end : NULL),
                                     .with_token = true,
                                     .endpoint = watch->endpoint,
                                     .done = on_stream_done,
                                     .line = on_line,
                                     .ctx = watch});
    watch->poll_ns = next_poll_ns(etcd, watch);
}

/* Poll. */

static void take_poll(struct sf_etcd *etcd, struct sf_etcd_watch *watch,
                      const struct sf_etcd_range *range, uint64_t revision)
{
    const uint64_t newest = range->count == 0 ? 0 : range->kvs[0].mod_revision;
    const bool same = watch->baseline && newest == watch->newest && range->total == watch->count;
    if (!same)
        changed(etcd, watch);
    if (newest > watch->seen_revision || (watch->baseline && range->total != watch->count)) {
        char text[SF_COORD_TEXT_MAX];
        sf_etcd_tell(etcd, watch->endpoint, "the watch has stalled; opening it again", text);
        sf_log_limited(etcd->log, &etcd->watches->limit_watch, SF_ETCD_LOG_EVERY_MS, SF_LOG_WARN,
                       "coordinator.watch", "%s", text);
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
        sf_etcd_suspect(etcd, result->endpoint);
    }
}

static void send_poll(struct sf_etcd *etcd, struct sf_etcd_watch *watch)
{
    char first[SF_ETCD_KEY_MAX], end[SF_ETCD_KEY_MAX];
    range_of(etcd, watch, first, end);
    watch->poll = sf_etcd_http_send(
        etcd,
        &(struct sf_etcd_send){.path = "/v3/kv/range",
                               .body = sf_etcd_body_newest(first, end[0] != '\0' ? end : NULL),
                               .with_token = true,
                               .timeout_ms = sf_etcd_patient_ms(etcd, SF_ETCD_REQUEST_MS),
                               .endpoint = etcd->belief->current,
                               .done = on_poll_done,
                               .ctx = watch});
}

/* A stream that was asked for but never said that it is there is opened anew after the same
 * time. */
static void poll_due(struct sf_etcd *etcd, struct sf_etcd_watch *watch)
{
    watch->poll_ns = next_poll_ns(etcd, watch);
    if (!watch->created) {
        char text[SF_COORD_TEXT_MAX];
        sf_etcd_tell(etcd, watch->endpoint, "no answer to the watch", text);
        if (watch->stream != NULL)
            broken(etcd, watch, text);
    } else if (watch->poll == NULL && etcd->belief->revision > watch->known_revision) {
        send_poll(etcd, watch);
    }
}

/* Streams at an endpoint that came into doubt are opened anew at another. */
static void leave_suspects(struct sf_etcd *etcd)
{
    for (struct sf_etcd_watch *watch = etcd->watches->list; watch != NULL; watch = watch->next)
        if (watch->stream != NULL && watch->suspicions != etcd->belief->suspicions[watch->endpoint])
            reopen(etcd, watch, 0);
}

void sf_etcd_watch_turn(struct sf_etcd *etcd)
{
    const int64_t now_ns = sf_etcd_now_ns(etcd);
    if (etcd->watches->changed_due_ns != 0 && now_ns >= etcd->watches->changed_due_ns) {
        etcd->watches->changed_due_ns = 0;
        etcd->watches->changed_last_ns = now_ns;
        const bool of_fleet = etcd->watches->fleet_changed, of_slots = etcd->watches->changed;
        etcd->watches->fleet_changed = etcd->watches->changed = false;
        if (of_fleet)
            sf_etcd_notice(etcd, SF_COORD_FLEET_CHANGED, "");
        if (of_slots)
            sf_etcd_notice(etcd, SF_COORD_CHANGED, "");
    }
    leave_suspects(etcd);
    if (!sf_etcd_session_ready(etcd))
        return;
    for (struct sf_etcd_watch *watch = etcd->watches->list; watch != NULL; watch = watch->next) {
        if (watch->stream == NULL && now_ns >= watch->retry_ns)
            open_stream(etcd, watch);
        if (now_ns >= watch->poll_ns)
            poll_due(etcd, watch);
    }
}

int64_t sf_etcd_watch_due_ns(const struct sf_etcd *etcd)
{
    int64_t due_ns = etcd->watches->changed_due_ns == 0 ? INT64_MAX : etcd->watches->changed_due_ns;
    if (!sf_etcd_session_ready(etcd))
        return due_ns;
    for (const struct sf_etcd_watch *watch = etcd->watches->list; watch != NULL;
         watch = watch->next) {
        const int64_t at_ns = watch->stream == NULL && watch->retry_ns < watch->poll_ns
                                  ? watch->retry_ns
                                  : watch->poll_ns;
        if (at_ns < due_ns)
            due_ns = at_ns;
    }
    return due_ns;
}

static struct sf_etcd_watch *find(const struct sf_etcd *etcd, enum subject subject,
                                  uint64_t datacenter)
{
    struct sf_etcd_watch *watch = etcd->watches->list;
    while (watch != NULL && (watch->subject != subject || watch->datacenter != datacenter))
        watch = watch->next;
    return watch;
}

/* The one of that subject, for that making from now on. */
static void watch_for(struct sf_etcd *etcd, enum subject subject, const char *token,
                      uint64_t datacenter)
{
    struct sf_etcd_watch *watch = find(etcd, subject, datacenter);
    if (watch == NULL) {
        watch = calloc(1, sizeof *watch);
        SF_ASSERT(watch != NULL);
        watch->subject = subject;
        watch->datacenter = datacenter;
        watch->next = etcd->watches->list;
        etcd->watches->list = watch;
    } else if (strcmp(watch->token, token) != 0) {
        reopen(etcd, watch, 0);
    }
    memcpy(watch->token, token, strlen(token) + 1);
}

int sf_etcd_watch_add(struct sf_etcd *etcd, const struct sf_coord_request *request)
{
    const char *token = request->basis.token;
    const uint64_t datacenter = request->datacenter;
    unsigned count = 0;
    for (const struct sf_etcd_watch *watch = etcd->watches->list; watch != NULL;
         watch = watch->next)
        count += watch->subject == DATACENTER;
    if (!request->u.fleet_only) {
        if (count >= SF_ETCD_WATCHES_MAX && find(etcd, DATACENTER, datacenter) == NULL)
            return -ENOSPC;
        watch_for(etcd, DATACENTER, token, datacenter);
        etcd->watches->datacenters = true;
    }
    watch_for(etcd, NAMES, "", 0);
    watch_for(etcd, STATE, token, 0);
    return 0;
}

bool sf_etcd_watch_ready(const struct sf_etcd *etcd, const struct sf_coord_request *request)
{
    const struct sf_etcd_watch *const needed[] = {
        find(etcd, NAMES, 0), find(etcd, STATE, 0),
        request->u.fleet_only ? NULL : find(etcd, DATACENTER, request->datacenter)};
    const size_t count = request->u.fleet_only ? 2 : 3;
    for (size_t i = 0; i < count; i++)
        if (needed[i] == NULL || !needed[i]->created)
            return false;
    return true;
}

void sf_etcd_watch_end(struct sf_etcd *etcd)
{
    while (etcd->watches->list != NULL) {
        struct sf_etcd_watch *watch = etcd->watches->list;
        etcd->watches->list = watch->next;
        sf_etcd_http_cancel(etcd, watch->stream);
        sf_etcd_http_cancel(etcd, watch->poll);
        free(watch);
    }
}
