/* cli/status.c - `snowfleet status`: one worker as it sees itself, or all that the coordinator
 * lists. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/fleet.h"
#include "cli/fleet_view.h"
#include "cli/status_fleet.h"
#include "cli/worker.h"

/* "  +0.250 ms +- 1.100 ms, 3 s ago", or nothing where no time is known. */
static void print_time(const json_t *of)
{
    if (!json_is_number(json_object_get(of, "offset_ns")))
        return;
    (void)printf("  %+.3f ms +- %.3f ms, %.0f s ago", sf_cli_number_at(of, "offset_ns", 0) / 1e6,
                 sf_cli_number_at(of, "error_ns", 0) / 1e6,
                 sf_cli_number_at(of, "age_ms", 0) / 1e3);
}

/* The verdict, what each source says, and each server behind them. */
static void print_clock(const json_t *clock)
{
    size_t i;
    const json_t *item;
    (void)printf("clock        %s: %s\n", sf_cli_text_at(clock, "verdict", "?"),
                 sf_cli_text_at(clock, "text", ""));
    json_array_foreach(json_object_get(clock, "sources"), i, item)
    {
        const char *text = sf_cli_text_at(item, "text", "");
        (void)printf("  source     %s: %s", sf_cli_text_at(item, "name", "?"),
                     sf_cli_text_at(item, "status", "?"));
        if (json_is_true(json_object_get(item, "up")))
            print_time(item);
        (void)printf("%s%s\n", text[0] != '\0' ? "  " : "", text);
    }
    json_array_foreach(json_object_get(clock, "servers"), i, item)
    {
        const char *address = sf_cli_text_at(item, "address", "");
        const char *refusal = sf_cli_text_at(item, "last_refusal", "");
        (void)printf("  server     %s%s%s: %s", sf_cli_text_at(item, "name", "?"),
                     address[0] != '\0' ? " " : "", address, sf_cli_text_at(item, "state", "?"));
        print_time(item);
        if (sf_cli_number_at(item, "polls", 0) > 0) /* one that chronyd asks has no figures */
            (void)printf("  %.0f of %.0f answered", sf_cli_number_at(item, "answers", 0),
                         sf_cli_number_at(item, "polls", 0));
        if (refusal[0] != '\0')
            (void)printf(", %.0f refused, last: %s", sf_cli_number_at(item, "refused", 0), refusal);
        (void)printf("\n");
    }
}

/* One that holds several says more than the first line can. */
static void print_slots(const json_t *slots)
{
    char left[SF_DURATION_TEXT_MAX];
    size_t i;
    const json_t *slot;
    if (json_array_size(slots) < 2)
        return;
    json_array_foreach(slots, i, slot)
    {
        const double worker = sf_cli_number_at(slot, "worker", -1);
        const char *why = sf_cli_text_at(slot, "why", "");
        if (worker >= 0)
            (void)printf("  %zu of %zu     %.0f/%.0f, fence %.0f: %s, %s left", i + 1,
                         json_array_size(slots), sf_cli_number_at(slot, "datacenter", 0), worker,
                         sf_cli_number_at(slot, "fence", 0), sf_cli_text_at(slot, "state", "?"),
                         sf_format_duration_ms((int64_t)sf_cli_number_at(slot, "left_ms", 0), left,
                                               sizeof left));
        else
            (void)printf("  %zu of %zu     none: %s", i + 1, json_array_size(slots),
                         sf_cli_text_at(slot, "state", "?"));
        (void)printf("%s%s\n", why[0] != '\0' ? ": " : "", why);
    }
}

/* What was asked of it in the last ten seconds, and what of that it refused. */
static void print_recent(const json_t *status)
{
    const char *name;
    json_t *rate, *rates = json_object_get(json_object_get(status, "rates"), "10s");
    if (rates == NULL)
        return;
    (void)printf("last 10 s    %.0f IDs/s, %.0f served/s, %.0f refused/s",
                 sf_cli_number_at(rates, "ids", 0), sf_cli_number_at(rates, "served", 0),
                 sf_cli_number_at(rates, "refused", 0));
    json_object_foreach(json_object_get(rates, "refused_by"), name, rate)(void)
        printf(", %s %.0f/s", name, json_number_value(rate));
    (void)printf("; p99 %.0f us, load %.0f %%\n",
                 sf_cli_number_at(status, "latency_us.10s.served.p99", 0),
                 100 * sf_cli_number_at(status, "saturation", 0));
}

static void print_worker(const json_t *status)
{
    char time[SF_TIME_TEXT_MAX], left[SF_DURATION_TEXT_MAX];
    const double worker = sf_cli_number_at(status, "worker", -1);
    (void)printf("fleet        %s (%s)%s\n", sf_cli_text_at(status, "fleet", "?"),
                 sf_cli_text_at(status, "fleet_id", "unknown"),
                 json_is_true(json_object_get(status, "halted")) ? ", HALTED" : "");
    if (worker >= 0)
        (void)printf("slot         datacenter %.0f worker %.0f, fence %.0f\n",
                     sf_cli_number_at(status, "datacenter", 0), worker,
                     sf_cli_number_at(status, "fence", 0));
    else
        (void)printf("slot         none\n");
    print_slots(json_object_get(status, "slots"));
    const char *why = sf_cli_text_at(status, "why", "");
    (void)printf("state        %s%s%s\n", sf_cli_text_at(status, "state", "?"),
                 why[0] != '\0' ? ": " : "", why);
    const double until_ms = sf_cli_number_at(status, "reservation.reserved_until_ms", -1);
    if (until_ms >= 0)
        (void)printf(
            "reservation  until %s (%s left)\n",
            sf_format_time_ms((int64_t)until_ms, time, sizeof time),
            sf_format_duration_ms((int64_t)sf_cli_number_at(status, "reservation.left_ms", 0), left,
                                  sizeof left));
    print_clock(json_object_get(status, "clock"));
    (void)printf("coordinator  %s, %s\n", sf_cli_text_at(status, "coordinator.backend", "?"),
                 json_is_true(json_object_get(json_object_get(status, "coordinator"), "connected"))
                     ? "connected"
                     : "not connected");
    (void)printf("serving      %.0f connections, %.0f IDs minted, %.0f IDs/s\n",
                 sf_cli_number_at(status, "connections", 0),
                 sf_cli_number_at(status, "ids_minted", 0),
                 sf_cli_number_at(status, "ids_per_s", 0));
    print_recent(status);
    (void)printf("address      %s, admin %s, node %s, version %s\n",
                 sf_cli_text_at(status, "address", "?"), sf_cli_text_at(status, "admin", "?"),
                 sf_cli_text_at(status, "node", "?"), sf_cli_text_at(status, "version", "?"));
    size_t i;
    const json_t *check;
    json_array_foreach(json_object_get(status, "checks"), i, check)(void)
        printf("%s %s: %s\n", json_is_true(json_object_get(check, "ok")) ? "[+]" : "[-]",
               sf_cli_text_at(check, "name", "?"), sf_cli_text_at(check, "text", ""));
}

static int one(const struct sf_cli_admin *admin, uint32_t timeout_ms, bool as_json)
{
    json_t *status;
    struct sf_error err = {0};
    const int rc = sf_cli_get_json(admin, "/status", timeout_ms, &status, &err);
    if (rc != 0)
        return sf_cli_admin_failed(admin, rc, &err);
    const bool ready = json_is_true(json_object_get(status, "ready"));
    if (as_json) {
        sf_cli_print_json(status);
    } else {
        print_worker(status);
        json_decref(status);
    }
    const int end = sf_cli_end();
    return end == SF_CLI_DONE && !ready ? SF_CLI_FAILED : end;
}

int sf_cli_status(int argc, char **argv)
{
    struct sf_cli_fleet_options to = SF_CLI_FLEET;
    struct sf_cli_admin admin = {.url = SF_CLI_DEFAULT_ADMIN};
    bool as_json = false;
    uint64_t remember_ms = SF_REMEMBER_DEFAULT_MS;
    to.timeout_ms = 3000;
    const struct sf_cli_option options[] = {
        {"admin", 0, SF_CLI_TEXT, &admin.url, "URL",
         "the worker's admin.address [http://127.0.0.1:7451]", 0, 0},
        {"json", 0, SF_CLI_FLAG, &as_json, NULL, "a JSON object", 0, 0},
        SF_CLI_REMEMBER_OPTION(remember_ms),
        SF_CLI_ADMIN_OPTIONS(admin),
        SF_CLI_FLEET_OPTIONS(to),
    };
    const struct sf_cli_usage usage = {
        .line = "snowfleet status [--admin URL | --coordinator URL [--fleet NAME]] [--json]",
        .text = "Shows one worker as it sees itself; with --coordinator everybody who holds or "
                "looks for a slot of the\n"
                "fleet, or did a while ago, each asked at the admin address of its claim. Exits 1 "
                "when the worker, or\n"
                "any that is expected, is not ready.\n",
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    const int code = sf_cli_parse(&usage, argc, argv, NULL);
    if (code >= 0)
        return code;
    if (to.coordinator == NULL)
        return one(&admin, (uint32_t)to.timeout_ms, as_json);
    struct sf_cli_fleet fleet = {0};
    int result = sf_cli_fleet_open(&to, &fleet);
    if (result < 0)
        result = sf_cli_status_fleet(&fleet, to.fleet, &admin, remember_ms, as_json);
    sf_cli_fleet_close(&fleet);
    return result;
}
