/* coord/state_record.c - see state_record.h. */
#include "coord/state_record.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/json_fields.h"
#include "coord/records.h"

#define FORMAT 2

static void add_report(struct sf_strbuf *buf, const struct sf_coord_report *report)
{
    sf_strbuf_addf(buf, "{\"datacenter\":%" PRIu64 ",\"worker\":%" PRIu64 ",", report->datacenter,
                   report->worker);
    sf_json_add_text(buf, "claim", report->claim);
    sf_strbuf_addf(
        buf, ",\"held_until_ms\":%" PRId64 ",\"last_ms\":%" PRId64 ",\"reported_ms\":%" PRId64 ",",
        report->held_until_ms, report->last_ms, report->reported_ms);
    sf_json_add_text(buf, "node", report->node);
    sf_strbuf_addf(buf, "}");
}

char *sf_record_state_encode(const struct sf_coord_state *state)
{
    SF_ASSERT(state->report_count <= SF_COORD_REPORTS_MAX);
    struct sf_strbuf buf;
    sf_strbuf_init(&buf, SF_COORD_STATE_SIZE_MAX);
    sf_strbuf_addf(&buf, "{\"format\":%d,\"halted\":%s,\"reports\":[", FORMAT,
                   state->halted ? "true" : "false");
    for (unsigned i = 0; i < state->report_count; i++) {
        sf_strbuf_addf(&buf, i == 0 ? "" : ",");
        add_report(&buf, &state->reports[i]);
    }
    sf_strbuf_addf(&buf, "],\"others_held_until_ms\":%" PRId64 "}", state->others_held_until_ms);
    SF_ASSERT(!buf.failed);
    return buf.text;
}

static int get_report(const json_t *object, struct sf_coord_report *report, struct sf_error *err)
{
    int64_t datacenter = 0, worker = 0;
    int rc;
    if ((rc = sf_json_int(object, "datacenter", 0, (INT64_C(1) << SF_COORD_DATACENTER_BITS_MAX) - 1,
                          &datacenter, err)) < 0 ||
        (rc = sf_json_int(object, "worker", 0, (INT64_C(1) << SF_COORD_WORKER_BITS_MAX) - 1,
                          &worker, err)) < 0 ||
        (rc = sf_json_text(object, "claim", sizeof report->claim, report->claim, err)) < 0 ||
        (rc = sf_json_int(object, "held_until_ms", 0, SF_JSON_TIME_MAX_MS, &report->held_until_ms,
                          err)) < 0 ||
        (rc = sf_json_time(object, "last_ms", &report->last_ms, err)) < 0 ||
        (rc = sf_json_time(object, "reported_ms", &report->reported_ms, err)) < 0 ||
        (rc = sf_json_text(object, "node", sizeof report->node, report->node, err)) < 0)
        return rc;
    char guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    if (sf_claim_name_parse(report->claim, guid, &sequence) < 0)
        return sf_error_set(err, -EBADMSG, "\"claim\" is not the name of a claim");
    report->datacenter = (uint64_t)datacenter;
    report->worker = (uint64_t)worker;
    return 0;
}

static int get_reports(const json_t *root, struct sf_coord_state *state, struct sf_error *err)
{
    json_t *list = NULL;
    int rc = sf_json_member(root, "reports", &list, err);
    if (rc < 0)
        return rc;
    const size_t count = json_array_size(list);
    if (!json_is_array(list) || count > SF_COORD_REPORTS_MAX)
        return sf_error_set(err, -EBADMSG, "\"reports\" is not a list of at most %d",
                            SF_COORD_REPORTS_MAX);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = get_report(json_array_get(list, i), &state->reports[i], err);
        if (rc < 0)
            sf_error_prefix(err, "\"reports\"");
    }
    state->report_count = (unsigned)count;
    return rc;
}

static int get_state(const json_t *root, struct sf_coord_state *state, struct sf_error *err)
{
    int64_t format = 0;
    int rc;
    if ((rc = sf_json_int(root, "format", FORMAT, FORMAT, &format, err)) < 0 ||
        (rc = sf_json_bool(root, "halted", &state->halted, err)) < 0 ||
        (rc = get_reports(root, state, err)) < 0)
        return rc;
    return sf_json_int(root, "others_held_until_ms", 0, SF_JSON_TIME_MAX_MS,
                       &state->others_held_until_ms, err);
}

int sf_record_state_decode(const char *bytes, size_t size, struct sf_coord_state *ret,
                           struct sf_error *err)
{
    json_t *root = NULL;
    int rc = sf_json_load(bytes, size, SF_COORD_STATE_SIZE_MAX, &root, err);
    if (rc < 0)
        return rc;
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    state->version = ret->version;
    rc = get_state(root, state, err);
    json_decref(root);
    if (rc == 0)
        *ret = *state;
    free(state);
    return rc;
}

static void raise_to(int64_t *to, int64_t value)
{
    if (*to < value)
        *to = value;
}

void sf_state_report(struct sf_coord_state *state, const struct sf_coord_report *report)
{
    state->halted = true;
    for (unsigned i = 0; i < state->report_count; i++) {
        struct sf_coord_report *have = &state->reports[i];
        if (have->datacenter != report->datacenter || have->worker != report->worker ||
            strcmp(have->claim, report->claim) != 0)
            continue;
        raise_to(&have->held_until_ms, report->held_until_ms);
        raise_to(&have->last_ms, report->last_ms);
        return;
    }
    if (state->report_count < SF_COORD_REPORTS_MAX)
        state->reports[state->report_count++] = *report;
    else
        raise_to(&state->others_held_until_ms, report->held_until_ms);
}

int64_t sf_state_held_until_ms(const struct sf_coord_state *state, uint64_t datacenter,
                               uint64_t worker, const char *claim)
{
    int64_t until_ms = state->others_held_until_ms;
    for (unsigned i = 0; i < state->report_count; i++) {
        const struct sf_coord_report *report = &state->reports[i];
        if (report->datacenter == datacenter && report->worker == worker &&
            strcmp(report->claim, claim) != 0)
            raise_to(&until_ms, report->held_until_ms);
    }
    return until_ms;
}

int64_t sf_state_reported_until_ms(const struct sf_coord_state *state)
{
    int64_t until_ms = state->others_held_until_ms > 0 ? state->others_held_until_ms : -1;
    for (unsigned i = 0; i < state->report_count; i++)
        raise_to(&until_ms, state->reports[i].held_until_ms);
    return until_ms;
}
