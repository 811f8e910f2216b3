/* cli/doctor.c - `snowfleet doctor`: looks at everything, says what is wrong, how sure that is, and what to do next. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/diagnosis.h"
#include "cli/picture.h"

#define ANCHOR_MAX 96

/* A heading's anchor, as GitHub makes them. */
static const char *anchor(const char *heading, char to[ANCHOR_MAX])
{
    size_t used = 0;
    for (; *heading != '\0' && used < ANCHOR_MAX - 1; heading++)
        if (isalnum((unsigned char)*heading) || *heading == '-' || *heading == ' ')
            to[used++] = *heading == ' ' ? '-' : (char)tolower((unsigned char)*heading);
    to[used] = '\0';
    return to;
}

static uint64_t silent(const struct sf_picture *picture)
{
    uint64_t count = 0;
    for (size_t i = 0; i < picture->worker_count; i++)
        count += picture->workers[i].status == NULL;
    return count;
}

/* Was there anything to be seen? */
static bool has_looked(const struct sf_picture *picture)
{
    return picture->coordinator == SF_SEEN_ANSWERED ||
           (picture->coordinator == SF_SEEN_REFUSED &&
            (picture->reason == SF_COORD_MISSING || picture->reason == SF_COORD_GARBAGE)) ||
           silent(picture) < picture->worker_count;
}

static void print_finding(const struct sf_finding *finding)
{
    char link[ANCHOR_MAX];
    const struct sf_rule *rule = finding->rule;
    const char *severity = rule->severity == SF_CRITICAL  ? "CRITICAL"
                           : rule->severity == SF_WARNING ? "WARNING"
                                                          : "NOTE";
    (void)printf("%-8s  %s (%s)\n", severity, rule->name, sf_certainty_name(rule->certainty));
    if (finding->workers > 1)
        (void)printf("          %" PRIu64 " workers (%s), the first: %s\n", finding->workers,
                     finding->who, finding->text);
    else
        (void)printf("          %s%s%s\n", finding->who, finding->workers > 0 ? ": " : "",
                     finding->text);
    (void)printf("  next    %s\n  runbook RUNBOOK.md#%s\n\n", rule->next,
                 anchor(rule->runbook, link));
}

static void print_text(const struct sf_picture *picture, const struct sf_finding *findings,
                       size_t count, const uint64_t by_severity[SF_SEVERITIES], const char *url)
{
    for (size_t i = 0; i < count; i++)
        print_finding(&findings[i]);
    const bool bad = by_severity[SF_CRITICAL] + by_severity[SF_WARNING] > 0;
    (void)printf("%s: looked at %zu workers (%" PRIu64 " without an answer)",
                 !has_looked(picture) ? "nothing could be looked at"
                 : bad                ? "something is wrong"
                                      : "healthy",
                 picture->worker_count, silent(picture));
    if (url != NULL)
        (void)printf(" and the coordinator %s", url);
    (void)printf("; %" PRIu64 " critical, %" PRIu64 " warnings, %" PRIu64 " notes\n",
                 by_severity[SF_CRITICAL], by_severity[SF_WARNING], by_severity[SF_NOTE]);
}

static json_t *finding_json(const struct sf_finding *finding)
{
    char link[ANCHOR_MAX];
    const struct sf_rule *rule = finding->rule;
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "rule", rule->name, "severity",
                     sf_severity_name(rule->severity), "certainty",
                     sf_certainty_name(rule->certainty), "text", finding->text, "workers",
                     (json_int_t)finding->workers, "who", finding->who, "next", rule->next,
                     "runbook", anchor(rule->runbook, link));
}

static void print_json(const struct sf_picture *picture, const struct sf_finding *findings,
                       size_t count, bool healthy)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, finding_json(&findings[i]));
    sf_cli_print_json(json_pack("{s:b, s:b, s:I, s:I, s:o}", "healthy", healthy, "looked",
                                has_looked(picture), "workers", (json_int_t)picture->worker_count,
                                "silent", (json_int_t)silent(picture), "findings", list));
}

static int report(const struct sf_picture *picture, const char *url, bool as_json)
{
    struct sf_finding *findings = calloc(sf_rule_count, sizeof *findings);
    uint64_t by_severity[SF_SEVERITIES] = {0};
    if (findings == NULL)
        abort();
    const size_t count = sf_diagnose(picture, findings);
    for (size_t i = 0; i < count; i++)
        by_severity[findings[i].rule->severity]++;
    const bool bad = by_severity[SF_CRITICAL] + by_severity[SF_WARNING] > 0;
    if (as_json)
        print_json(picture, findings, count, !bad && has_looked(picture));
    else
        print_text(picture, findings, count, by_severity, url);
    free(findings);
    const int code = sf_cli_end();
    if (code != SF_CLI_DONE)
        return code;
    return !has_looked(picture) ? SF_CLI_UNREACHABLE : bad ? SF_CLI_FAILED : SF_CLI_DONE;
}

int sf_cli_doctor(int argc, char **argv)
{
    struct sf_cli_fleet_options to = SF_CLI_FLEET;
    struct sf_cli_list admins = {0};
    struct sf_cli_admin like = {.url = ""};
    bool as_json = false;
    to.timeout_ms = 5000;
    const struct sf_cli_option options[] = {
        {"admin", 0, SF_CLI_LIST, &admins, "URL",
         "a worker's admin.address, may be repeated [http://127.0.0.1:7451]", 0, 0},
        {"json", 0, SF_CLI_FLAG, &as_json, NULL, "a JSON object", 0, 0},
        SF_CLI_ADMIN_OPTIONS(like),
        SF_CLI_FLEET_OPTIONS(to),
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet doctor [--admin URL]... [--coordinator URL [--fleet NAME]] [--json]",
        .text = "Looks at everything that it can reach: the coordinator, every worker that has a "
                "claim there (or that a\n"
                "worker named with --admin knows), their clocks, reservations, certificates and "
                "load. Says in plain words\n"
                "what is wrong, how sure that is, what to do next, and which entry of RUNBOOK.md "
                "tells more; the most\n"
                "severe first. Changes nothing. Exit code 0: nothing but notes; 1: something is "
                "wrong; 69: nothing could\n"
                "be looked at.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int code = sf_cli_parse(&usage, argc, argv, NULL);
    struct sf_cli_fleet fleet = {0};
    struct sf_cli_list here = {.items = {(char[]){SF_CLI_DEFAULT_ADMIN}}, .count = 1};
    if (code < 0 && to.coordinator != NULL)
        code = sf_cli_fleet_open(&to, &fleet);
    if (code < 0) {
        if (admins.count > 0)
            like.url = admins.items[0];
        const struct sf_look_at at = {.fleet = to.coordinator != NULL ? &fleet : NULL,
                                      .admins = admins.count > 0 || to.coordinator != NULL ? &admins
                                                                                           : &here,
                                      .like = like};
        struct sf_look *look = sf_look_take(&at);
        code = report(sf_look_picture(look), to.coordinator != NULL ? fleet.url : NULL, as_json);
        sf_look_free(look);
    }
    sf_cli_fleet_close(&fleet);
    sf_cli_list_free(&admins);
    return code;
}
