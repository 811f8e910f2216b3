/* cli/diagnosis_worker.c - what can be wrong with a single worker, by what it says itself, or by how it does not answer. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/diagnosis_rules.h"
#include "cli/json_path.h"

#define DAY_MS          INT64_C(86400000)
#define ENDING_MS       (7 * DAY_MS)       /* a certificate */
#define END_OF_TIME_MS  (5 * 365 * DAY_MS) /* of the layout's timestamps */
#define RECENT_MS       (INT64_C(3600000)) /* an event */
#define YOUNG_MS        60000              /* a worker */
#define LOW_MS          120000             /* a reservation without a coordinator */
#define REFUSING        0.01               /* of the requests */
#define SATURATION      0.9
#define EXHAUSTED_PER_S 1
#define SLOW_US         10000
#define APART_MS        1000

#define SAY(...) ((void)snprintf(to, SF_FINDING_TEXT_MAX, __VA_ARGS__), true)

static bool is(const struct sf_seen_worker *worker, const char *path, const char *value)
{
    return strcmp(sf_cli_text_at(worker->status, path, ""), value) == 0;
}

static double number(const struct sf_seen_worker *worker, const char *path, double fallback)
{
    return sf_cli_number_at(worker->status, path, fallback);
}

static const char *why_of(const struct sf_seen_worker *worker)
{
    return sf_cli_text_at(worker->status, "why", "");
}

/* A flag two levels down; false where it is not told. */
static bool is_false(const struct sf_seen_worker *worker, const char *group, const char *name)
{
    return json_is_false(json_object_get(json_object_get(worker->status, group), name));
}

static const char *duration(double ms, char text[SF_DURATION_TEXT_MAX])
{
    return sf_format_duration_ms((int64_t)ms, text, SF_DURATION_TEXT_MAX);
}

/* A check of /readyz that fails; NULL: it does not. */
static const char *failing(const struct sf_seen_worker *worker, const char *name)
{
    size_t i;
    const json_t *check;
    json_array_foreach(json_object_get(worker->status, "checks"), i, check)
    {
        if (strcmp(sf_cli_text_at(check, "name", ""), name) == 0 &&
            json_is_false(json_object_get(check, "ok")))
            return sf_cli_text_at(check, "text", "");
    }
    return NULL;
}

/* The latest event of this name, not older than within_ms; NULL: none. */
static const json_t *event(const struct sf_seen_worker *worker, const char *name, int64_t within_ms)
{
    size_t i;
    const json_t *item, *found = NULL;
    const double now_ms = number(worker, "now_ms", 0);
    json_array_foreach(json_object_get(worker->status, "events"), i, item)
    {
        if (strcmp(sf_cli_text_at(item, "event", ""), name) == 0 &&
            sf_cli_number_at(item, "at_ms", 0) >= now_ms - (double)within_ms)
            found = item;
    }
    return found;
}

/* --- that do not answer --- */

bool sf_rule_gone(const struct sf_picture *picture, const struct sf_seen_worker *worker, char *to)
{
    (void)picture;
    return worker->rc == -ECONNREFUSED &&
           SAY("nobody listens at %s: the process is gone", worker->admin);
}

bool sf_rule_silent(const struct sf_picture *picture, const struct sf_seen_worker *worker, char *to)
{
    (void)picture;
    return (worker->rc == -ETIMEDOUT || worker->rc == -EHOSTUNREACH ||
            worker->rc == -ENETUNREACH) &&
           SAY("%s does not answer (%s): it stands still, or the network is cut", worker->admin,
               worker->rc == -ETIMEDOUT ? "no word in time" : "no way there");
}

bool sf_rule_nameless(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                      char *to)
{
    (void)picture;
    return worker->rc == -ENOENT && SAY("the name in %s does not resolve here", worker->admin);
}

bool sf_rule_token(const struct sf_picture *picture, const struct sf_seen_worker *worker, char *to)
{
    (void)picture;
    return worker->rc == -EACCES && SAY("it wants a token, or another one: %.300s", worker->why);
}

static bool speaks_of_tls(const struct sf_seen_worker *worker)
{
    return strstr(worker->why, "SSL") != NULL || strstr(worker->why, "certificate") != NULL ||
           strstr(worker->why, "TLS") != NULL;
}

bool sf_rule_tls(const struct sf_picture *picture, const struct sf_seen_worker *worker, char *to)
{
    (void)picture;
    return worker->rc != 0 && worker->rc != -EACCES && speaks_of_tls(worker) &&
           SAY("TLS does not come about: %.300s", worker->why);
}

bool sf_rule_other_port(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                        char *to)
{
    (void)picture;
    return (worker->rc == -EPROTO || worker->rc == -ECONNRESET) && !speaks_of_tls(worker) &&
           SAY("what answers at %s is no admin port: %.250s", worker->admin, worker->why);
}

/* --- state --- */

bool sf_rule_stalled(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                     char *to)
{
    (void)picture;
    const char *shards = failing(worker, "shards");
    return shards != NULL && SAY("a thread of it stands still: %.300s", shards);
}

bool sf_rule_exhausted(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                       char *to)
{
    (void)picture;
    return is(worker, "state", "exhausted") &&
           SAY("its clock is past the last timestamp of the layout: %.300s", why_of(worker));
}

static bool waits(const struct sf_seen_worker *worker)
{
    return is(worker, "state", "claiming") || is(worker, "state", "quarantined");
}

static bool is_pinned(const struct sf_seen_worker *worker)
{
    return strstr(why_of(worker), "(fleet.worker)") != NULL;
}

bool sf_rule_pinned(const struct sf_picture *picture, const struct sf_seen_worker *worker, char *to)
{
    (void)picture;
    return waits(worker) && is_pinned(worker) &&
           SAY("it wants one slot only and cannot have it: %.300s", why_of(worker));
}

bool sf_rule_waiting(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                     char *to)
{
    (void)picture;
    const char *why = why_of(worker);
    return waits(worker) && !is_pinned(worker) && strstr(why, "slot") != NULL &&
           SAY("it has no slot: %.300s", why);
}

bool sf_rule_draining(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                      char *to)
{
    (void)picture;
    return (is(worker, "state", "draining") || is(worker, "state", "stopped")) &&
           SAY("it is leaving: somebody told it to");
}

bool sf_rule_fenced(const struct sf_picture *picture, const struct sf_seen_worker *worker, char *to)
{
    (void)picture;
    const json_t *lost = event(worker, "slot.lost", RECENT_MS);
    return lost != NULL &&
           SAY("within the last hour it lost its slot: %.300s", sf_cli_text_at(lost, "text", ""));
}

bool sf_rule_superseded(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                        char *to)
{
    (void)picture;
    const json_t *found = event(worker, "fleet.superseded", RECENT_MS);
    return found != NULL && SAY("within the last hour: %.300s", sf_cli_text_at(found, "text", ""));
}

bool sf_rule_restarted(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                       char *to)
{
    (void)picture;
    char text[SF_DURATION_TEXT_MAX];
    const double up_ms = number(worker, "uptime_ms", YOUNG_MS);
    return up_ms < YOUNG_MS && SAY("it was started %s ago", duration(up_ms, text));
}

/* --- clock --- */

bool sf_rule_clock_bad(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                       char *to)
{
    (void)picture;
    const char *check = failing(worker, "clock");
    if (check != NULL)
        return SAY("its clock cannot be trusted: %.300s", check);
    return is(worker, "state", "resyncing") &&
           SAY("its clock was bad, and it waits until that is well again: %.300s", why_of(worker));
}

bool sf_rule_suspended(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                       char *to)
{
    (void)picture;
    return is(worker, "state", "suspended") && failing(worker, "clock") == NULL &&
           SAY("it mints nothing: %.300s", why_of(worker));
}

bool sf_rule_clock_warn(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                        char *to)
{
    (void)picture;
    return is(worker, "clock.verdict", "warn") &&
           SAY("its clock is %+.1f ms off, give or take %.1f ms: %.250s",
               number(worker, "clock.offset_ns", 0) / 1e6,
               number(worker, "clock.error_ns", 0) / 1e6,
               sf_cli_text_at(worker->status, "clock.text", ""));
}

bool sf_rule_unsynchronised(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                            char *to)
{
    (void)picture;
    return is_false(worker, "clock", "synchronized") &&
           SAY("no source calls its clock synchronised: %.300s",
               sf_cli_text_at(worker->status, "clock.text", ""));
}

bool sf_rule_source_down(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                         char *to)
{
    (void)picture;
    size_t i;
    const json_t *source;
    json_array_foreach(json_object_get(json_object_get(worker->status, "clock"), "sources"), i,
                       source)
    {
        if (json_is_false(json_object_get(source, "synchronized")))
            return SAY("its time source %s: %s %.250s", sf_cli_text_at(source, "name", "?"),
                       sf_cli_text_at(source, "status", "?"), sf_cli_text_at(source, "text", ""));
    }
    return false;
}

bool sf_rule_falseticker(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                         char *to)
{
    (void)picture;
    size_t i;
    const json_t *server;
    json_array_foreach(json_object_get(json_object_get(worker->status, "clock"), "servers"), i,
                       server)
    {
        if (strcmp(sf_cli_text_at(server, "state", ""), "falseticker") == 0)
            return SAY("the time server %s is %+.1f ms from the others",
                       sf_cli_text_at(server, "name", "?"),
                       sf_cli_number_at(server, "offset_ns", 0) / 1e6);
    }
    return false;
}

bool sf_rule_clock_apart(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                         char *to)
{
    (void)picture;
    char text[SF_DURATION_TEXT_MAX];
    const double theirs_ms = number(worker, "now_ms", 0);
    double apart_ms = theirs_ms - (double)worker->asked_at_ms;
    apart_ms = apart_ms < 0 ? -apart_ms : apart_ms;
    return theirs_ms > 0 && apart_ms > (double)worker->round_trip_ms + APART_MS &&
           SAY("its clock and this machine's are %s apart", duration(apart_ms, text));
}

bool sf_rule_stepped(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                     char *to)
{
    (void)picture;
    const json_t *step = event(worker, "clock.step", RECENT_MS);
    return step != NULL && SAY("within the last hour: %.300s", sf_cli_text_at(step, "text", ""));
}

bool sf_rule_timestamps(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                        char *to)
{
    char date[SF_TIME_TEXT_MAX];
    const double end_ms = number(worker, "timestamps_end_ms", 0);
    return end_ms > 0 && end_ms < (double)(picture->now_ms + END_OF_TIME_MS) &&
           !is(worker, "state", "exhausted") &&
           SAY("the layout's timestamps end at %s",
               sf_format_time_ms((int64_t)end_ms, date, sizeof date));
}

/* --- demand --- */

/* Of the requests of the last ten seconds, those that were answered with this status, or (NULL) with any but IDs. */
static double part_of(const struct sf_seen_worker *worker, const char *status)
{
    char path[64] = "rates.10s.refused";
    if (status != NULL)
        (void)snprintf(path, sizeof path, "rates.10s.refused_by.%s", status);
    const double all =
        number(worker, "rates.10s.served", 0) + number(worker, "rates.10s.refused", 0);
    return all > 0 ? number(worker, path, 0) / all : 0;
}

bool sf_rule_overloaded(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                        char *to)
{
    (void)picture;
    const double part = part_of(worker, "overloaded");
    return part > REFUSING &&
           SAY("in the last 10 s it answered %.0f %% of the requests with OVERLOADED (%.0f/s)",
               100 * part, number(worker, "rates.10s.refused_by.overloaded", 0));
}

bool sf_rule_saturated(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                       char *to)
{
    (void)picture;
    const double share = number(worker, "saturation", 0);
    return share >= SATURATION && SAY("%.0f %% of what it can mint is asked of it", 100 * share);
}

bool sf_rule_sequence(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                      char *to)
{
    (void)picture;
    const double times = number(worker, "rates.10s.exhausted", 0);
    return times > EXHAUSTED_PER_S &&
           SAY("it used up all IDs of a millisecond %.0f times a second", times);
}

bool sf_rule_internal(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                      char *to)
{
    (void)picture;
    const double rate = number(worker, "rates.5m.refused_by.internal", 0);
    return rate > 0 &&
           SAY("it answered requests with INTERNAL, %.2f a second in the last 5 min", rate);
}

bool sf_rule_limited(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                     char *to)
{
    (void)picture;
    const double part = part_of(worker, "rate_limited");
    return part > REFUSING &&
           SAY("in the last 10 s it answered %.0f %% of the requests with RATE_LIMITED",
               100 * part);
}

bool sf_rule_slow(const struct sf_picture *picture, const struct sf_seen_worker *worker, char *to)
{
    (void)picture;
    const double p99_us = number(worker, "latency_us.10s.served.p99", 0);
    return p99_us > SLOW_US &&
           SAY("one request of a hundred took over %.0f ms in the last 10 s", p99_us / 1e3);
}

/* --- coordinator, as it sees it --- */

static bool is_cut_off(const struct sf_seen_worker *worker)
{
    return is_false(worker, "coordinator", "connected");
}

static bool is_low(const struct sf_seen_worker *worker)
{
    return number(worker, "reservation.left_ms", 0) < LOW_MS;
}

static bool say_cut_off(const struct sf_seen_worker *worker, char *to)
{
    char left[SF_DURATION_TEXT_MAX];
    const json_t *cut = event(worker, "coordinator.disconnected", INT64_MAX / 4);
    const char *why = cut != NULL ? sf_cli_text_at(cut, "text", "") : why_of(worker);
    return SAY("it has lost its coordinator (%s); it mints for %s more: %.300s",
               sf_cli_text_at(worker->status, "coordinator.backend", "?"),
               duration(number(worker, "reservation.left_ms", 0), left), why);
}

bool sf_rule_disconnected(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                          char *to)
{
    (void)picture;
    return is_cut_off(worker) && !is_low(worker) && say_cut_off(worker, to);
}

bool sf_rule_reservation_low(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                             char *to)
{
    (void)picture;
    return is_cut_off(worker) && is_low(worker) && say_cut_off(worker, to);
}

bool sf_rule_disk(const struct sf_picture *picture, const struct sf_seen_worker *worker, char *to)
{
    (void)picture;
    const json_t *failed = event(worker, "coordinator.failed", 10 * YOUNG_MS);
    const char *text = failed != NULL ? sf_cli_text_at(failed, "text", "") : why_of(worker);
    return is(worker, "coordinator.backend", "local") &&
           (strstr(text, "No space") != NULL || strstr(text, "no space") != NULL ||
            strstr(text, "Read-only") != NULL || strstr(text, "storage") != NULL) &&
           SAY("the disk of its coordinator's directory: %.300s", text);
}

/* A renewal is due when a tenth of the window has passed. */
bool sf_rule_not_renewing(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                          char *to)
{
    (void)picture;
    char left[SF_DURATION_TEXT_MAX], window[SF_DURATION_TEXT_MAX];
    const double left_ms = number(worker, "reservation.left_ms", 0);
    const double window_ms = number(worker, "reservation.window_ms", 0);
    return is(worker, "state", "ready") && !is_cut_off(worker) &&
           !sf_rule_draining(picture, worker, to) &&
           !json_is_true(json_object_get(worker->status, "halted")) && left_ms < window_ms / 2 &&
           event(worker, "fleet.superseded", RECENT_MS) == NULL &&
           SAY("its coordinator answers, yet the reservation is not renewed: %s of %s are left",
               duration(left_ms, left), duration(window_ms, window));
}

/* --- files --- */

/* The certificate that ends first, if that is before until_ms. */
static const json_t *ending(const struct sf_seen_worker *worker, int64_t until_ms)
{
    size_t i;
    const json_t *item, *first = NULL;
    json_array_foreach(json_object_get(worker->status, "certificates"), i, item)
    {
        if (sf_cli_number_at(item, "ends_ms", 0) <
            sf_cli_number_at(first, "ends_ms", (double)until_ms))
            first = item;
    }
    return first;
}

static bool say_ending(const json_t *certificate, const char *verb, char *to)
{
    char date[SF_TIME_TEXT_MAX];
    return SAY(
        "%s (%.200s) %s at %s", sf_cli_text_at(certificate, "use", "?"),
        sf_cli_text_at(certificate, "file", "?"), verb,
        sf_format_time_ms((int64_t)sf_cli_number_at(certificate, "ends_ms", 0), date, sizeof date));
}

bool sf_rule_expired(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                     char *to)
{
    const json_t *first = ending(worker, picture->now_ms);
    return first != NULL && say_ending(first, "ended", to);
}

bool sf_rule_expiring(const struct sf_picture *picture, const struct sf_seen_worker *worker,
                      char *to)
{
    const json_t *first = ending(worker, picture->now_ms + ENDING_MS);
    return first != NULL && ending(worker, picture->now_ms) == NULL &&
           say_ending(first, "ends", to);
}

bool sf_rule_reload(const struct sf_picture *picture, const struct sf_seen_worker *worker, char *to)
{
    (void)picture;
    const char *why = sf_cli_text_at(worker->status, "reload_refused", "");
    return why[0] != '\0' &&
           SAY("it could not use what it was to read again, and goes on with the old: %.350s", why);
}
