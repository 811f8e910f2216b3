/* cli/worker.c - what workers' admin ports say, and how a worker becomes a line of a table. */
#include "cli/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/http.h"
#include "cli/printable.h"

struct sf_cli_admin sf_cli_admin_of(const struct sf_cli_admin *like, const char *address,
                                    char buffer[SF_CLI_ADMIN_URL_MAX])
{
    const bool secure = like->ca != NULL || strncmp(like->url, "https://", 8) == 0;
    (void)snprintf(buffer, SF_CLI_ADMIN_URL_MAX, "%s%s", secure ? "https://" : "", address);
    return (struct sf_cli_admin){.url = buffer, .token_file = like->token_file, .ca = like->ca};
}

int sf_cli_get_json(const struct sf_cli_admin *admin, const char *path, uint32_t timeout_ms,
                    json_t **ret, struct sf_error *err)
{
    struct sf_cli_answer answer = {0};
    const int rc = sf_cli_http("GET", admin, path, timeout_ms, &answer, err);
    if (rc != 0)
        return rc;
    json_error_t where;
    json_t *object = NULL;
    int code = 0;
    if (answer.status != 200)
        sf_cli_make_lines_printable(answer.body);
    if (answer.status == 401 || answer.status == 403)
        code = sf_error_set(err, -EACCES, "%s%s: HTTP %d: %.*s", admin->url, path, answer.status,
                            (int)strcspn(answer.body, "\n"), answer.body);
    else if (answer.status != 200)
        code = sf_error_set(err, -EPROTO, "%s%s: HTTP %d: %.*s", admin->url, path, answer.status,
                            (int)strcspn(answer.body, "\n"), answer.body);
    else if ((object = json_loadb(answer.body, answer.size, JSON_REJECT_DUPLICATES, &where)) ==
             NULL)
        code = sf_error_set(err, -EPROTO, "%s%s: the answer is not JSON: %s", admin->url, path,
                            where.text);
    else
        *ret = object;
    sf_cli_make_json_printable(object);
    sf_cli_answer_free(&answer);
    return code;
}

int sf_cli_admin_failed(const struct sf_cli_admin *admin, int rc, const struct sf_error *err)
{
    if (rc == -EACCES)
        return sf_cli_fail(SF_CLI_CONFIG, "%s; %s", err->text,
                           admin->token_file == NULL
                               ? "--token-file names a file with a token of admin.token_file"
                               : "the token that --token-file shows is none of this worker's "
                                 "(admin.token_file), or may not do this");
    if (rc == -EINVAL)
        return sf_cli_fail(SF_CLI_USAGE, "%s", err->text);
    return sf_cli_fail(SF_CLI_UNREACHABLE,
                       "%s; is snowfleetd running there? --admin names its admin.address",
                       err->text);
}

int sf_cli_order(const struct sf_cli_admin *admin, const char *path, uint32_t timeout_ms,
                 struct sf_cli_answer *ret)
{
    struct sf_error err = {0};
    int rc = sf_cli_http("POST", admin, path, timeout_ms, ret, &err);
    if (rc == 0 && ret->status >= 200 && ret->status <= 299)
        return -1;
    int code;
    if (rc == 0)
        sf_cli_make_lines_printable(ret->body);
    if (rc == 0 && (ret->status == 401 || ret->status == 403)) {
        rc = sf_error_set(&err, -EACCES, "%s%s: HTTP %d: %.*s", admin->url, path, ret->status,
                          (int)strcspn(ret->body, "\n"), ret->body);
        code = sf_cli_admin_failed(admin, rc, &err);
    } else if (rc == 0) {
        code = sf_cli_fail(SF_CLI_FAILED, "%s%s: HTTP %d: %.1000s", admin->url, path, ret->status,
                           ret->body);
    } else {
        code = sf_cli_admin_failed(admin, rc, &err);
    }
    sf_cli_answer_free(ret);
    return code;
}

void sf_cli_worker_heading(FILE *to)
{
    (void)fprintf(to, "%-7s %-13s %-22s %10s %5s %9s %9s %17s %9s %6s  %s\n", "SLOT", "STATE",
                  "NODE", "IDS/S", "LOAD", "P50", "P99", "OFFSET +-BOUND", "RESERVED", "CONNS",
                  "ADMIN");
}

static void print_micros(FILE *to, double us)
{
    char text[32];
    if (us < 0)
        (void)snprintf(text, sizeof text, "-");
    else if (us < 1000)
        (void)snprintf(text, sizeof text, "%.0fus", us);
    else
        (void)snprintf(text, sizeof text, "%.1fms", us / 1000);
    (void)fprintf(to, " %9s", text);
}

enum sf_cli_look sf_cli_look_of(const json_t *status, char ret_word[SF_CLI_LOOK_WORD_MAX])
{
    const char *state = sf_cli_text_at(status, "state", "?");
    const double served = sf_cli_number_at(status, "rates.10s.served", 0);
    const double refused = sf_cli_number_at(status, "rates.10s.refused", 0);
    const double part = refused > 0 ? refused / (served + refused) : 0;
    (void)snprintf(ret_word, SF_CLI_LOOK_WORD_MAX, "%.20s", state);
    if (strcmp(state, "draining") == 0 || strcmp(state, "stopped") == 0)
        return SF_CLI_LOOK_WARN;
    if (strcmp(state, "ready") != 0)
        return SF_CLI_LOOK_BAD;
    if (json_is_false(json_object_get(status, "ready"))) {
        (void)snprintf(ret_word, SF_CLI_LOOK_WORD_MAX, "not ready");
        return SF_CLI_LOOK_BAD;
    }
    if (part > SF_CLI_REFUSING) {
        (void)snprintf(ret_word, SF_CLI_LOOK_WORD_MAX, "refusing %.0f%%", 100 * part);
        return SF_CLI_LOOK_BAD;
    }
    if (sf_cli_number_at(status, "saturation", 0) < SF_CLI_SATURATED)
        return SF_CLI_LOOK_GOOD;
    (void)snprintf(ret_word, SF_CLI_LOOK_WORD_MAX, "saturated");
    return SF_CLI_LOOK_WARN;
}

/* Of the last ten seconds; of a worker that does not tell them, since its start. */
static double latency_us(const json_t *status, const char *recent, const char *ever)
{
    return json_object_get(status, "latency_us") != NULL ? sf_cli_number_at(status, recent, -1)
                                                         : sf_cli_number_at(status, ever, -1);
}

/* An offset means nothing without its bound: one that only the coordinator's coarse clock tells is off by
 * half a second or not at all. */
static const char *offset_text(const json_t *status, char *to, size_t size)
{
    const double error_ns = sf_cli_number_at(status, "clock.error_ns", -1);
    const double offset_ms = sf_cli_number_at(status, "clock.offset_ns", 0) / 1e6;
    if (error_ns < 0) /* a worker of before */
        (void)snprintf(to, size, "%.1fms", offset_ms);
    else
        (void)snprintf(to, size, "%.1f +-%.*fms", offset_ms, error_ns < 1e8 ? 1 : 0,
                       error_ns / 1e6);
    return to;
}

void sf_cli_worker_line(FILE *to, const char *admin, const json_t *status, const char *why)
{
    if (status == NULL) {
        (void)fprintf(to, "%-7s %-13s %s: %s\n", "-", "no answer", admin, why);
        return;
    }
    char word[SF_CLI_LOOK_WORD_MAX], load[16] = "-";
    (void)sf_cli_look_of(status, word);
    const double saturation = sf_cli_number_at(status, "saturation", -1);
    if (saturation >= 0)
        (void)snprintf(load, sizeof load, "%.0f%%", saturation < 99 ? 100 * saturation : 9900);
    char slot[32] = "-", left[SF_DURATION_TEXT_MAX] = "-";
    const double worker = sf_cli_number_at(status, "worker", -1);
    const double left_ms = sf_cli_number_at(status, "reservation.left_ms", -1);
    if (worker >= 0)
        (void)snprintf(slot, sizeof slot, "%.0f/%.0f", sf_cli_number_at(status, "datacenter", 0),
                       worker);
    if (left_ms >= 0)
        (void)sf_format_duration_ms((int64_t)left_ms, left, sizeof left);
    (void)fprintf(to, "%-7s %-13s %-22.22s %10.0f %5s", slot, word,
                  sf_cli_text_at(status, "node", "?"), sf_cli_number_at(status, "ids_per_s", 0),
                  load);
    print_micros(to, latency_us(status, "latency_us.10s.served.p50", "latency.p50_us"));
    print_micros(to, latency_us(status, "latency_us.10s.served.p99", "latency.p99_us"));
    char offset[32];
    (void)fprintf(to, " %17s %9s %6.0f  %s\n", offset_text(status, offset, sizeof offset), left,
                  sf_cli_number_at(status, "connections", 0), admin);
}
