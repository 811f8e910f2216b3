/* coord/request.c - see request.h. */
#include "coord/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/init_plan.h"
#include "coord/records.h"
#include "coord/state_record.h"

bool sf_request_writes(enum sf_coord_op op)
{
    switch (op) {
    case SF_COORD_INIT:
    case SF_COORD_CLAIM:
    case SF_COORD_UNCLAIM:
    case SF_COORD_TELL:
    case SF_COORD_BIND:
    case SF_COORD_RENEW:
    case SF_COORD_RELEASE:
    case SF_COORD_HALT:
    case SF_COORD_RESET_SLOT:
        return true;
    case SF_COORD_READ_CONFIG:
    case SF_COORD_SURVEY:
    case SF_COORD_LIST:
    case SF_COORD_PROBE:
    case SF_COORD_FIND:
    case SF_COORD_READ_SLOT:
    case SF_COORD_WATCH:
        return false;
    case SF_COORD_OPS:
        break;
    }
    SF_ASSERT(!"an op");
    return false;
}

bool sf_request_is_long(enum sf_coord_op op)
{
    return op == SF_COORD_INIT || op == SF_COORD_SURVEY;
}

/* Checks. */

static int check_claim_name(const char name[SF_COORD_CLAIM_MAX], struct sf_error *err)
{
    char guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    if (sf_claim_name_parse(name, guid, &sequence) < 0)
        return sf_error_set(err, -EINVAL, "\"%.79s\" is not the name of a claim", name);
    return 0;
}

static int check_text(const char *what, const char *text, size_t size, struct sf_error *err)
{
    if (memchr(text, '\0', size) == NULL)
        return sf_error_set(err, -EINVAL, "the %s has no end within its %zu bytes", what, size);
    return 0;
}

static int check_claim_content(const struct sf_coord_request *request, struct sf_error *err)
{
    const struct sf_coord_claim_request *body =
        request->op == SF_COORD_CLAIM ? &request->u.claim : &request->u.write.body;
    int rc;
    if ((rc = check_text("claim's node", body->node, sizeof body->node, err)) < 0 ||
        (rc = check_text("claim's address", body->address, sizeof body->address, err)) < 0 ||
        (rc = check_text("claim's admin", body->admin, sizeof body->admin, err)) < 0 ||
        (rc = check_text("claim's version", body->version, sizeof body->version, err)) < 0 ||
        (rc = check_text("claim's state", body->state, sizeof body->state, err)) < 0 ||
        (rc = check_text("claim's reason", body->reason, sizeof body->reason, err)) < 0)
        return rc;
    const struct sf_coord_claim claim = sf_request_claim(request);
    struct sf_coord_claim back = {0};
    char *record = sf_record_claim_encode(&claim);
    rc = sf_record_claim_decode(record, strlen(record), &back, err);
    free(record);
    if (rc < 0) {
        sf_error_prefix(err, "the claim to write");
        return -EINVAL;
    }
    return 0;
}

static int check_claim(const struct sf_coord_request *request, struct sf_error *err)
{
    const struct sf_coord_claim_request *claim = &request->u.claim;
    const size_t digits = SF_HEX128_SIZE - 1;
    if (strnlen(claim->guid, SF_HEX128_SIZE) != digits ||
        strspn(claim->guid, "0123456789abcdef") != digits)
        return sf_error_set(err, -EINVAL,
                            "the guid \"%.32s\" is not %zu hexadecimal digits in lower case",
                            claim->guid, digits);
    return check_claim_content(request, err);
}

/* Incarnation 0 is no version of anything: nothing was read that could be compared with. */
static int check_version(const char *what, const struct sf_coord_version *version,
                         uint64_t version_max, struct sf_error *err)
{
    if (version->incarnation == 0)
        return sf_error_set(err, -EINVAL, "no expected version of %s", what);
    if (version->version > version_max)
        return sf_error_set(err, -EINVAL,
                            "%s is at version %" PRIu64 ", the coordinator can compare up to "
                            "%" PRIu64 ": make another fleet, under a new name",
                            what, version->version, version_max);
    return 0;
}

static int check_record(const struct sf_coord_slot *slot, struct sf_error *err)
{
    int rc = check_text("slot's node", slot->node, sizeof slot->node, err);
    if (rc == 0)
        rc = check_text("slot's nonce", slot->nonce, sizeof slot->nonce, err);
    if (rc < 0)
        return rc;
    struct sf_coord_slot back = {0};
    char *record = sf_record_slot_encode(slot);
    rc = sf_record_slot_decode(record, strlen(record), slot->worker, &back, err);
    free(record);
    if (rc < 0) {
        sf_error_prefix(err, "the record to write");
        return -EINVAL;
    }
    return 0;
}

/* Whose claim it is that writes. */
static int check_writer(const struct sf_coord_write *write, struct sf_error *err)
{
    const int rc = check_claim_name(write->slot.claim, err);
    if (rc == 0 && (write->slot.fence == 0 || write->slot.fence > INT64_MAX))
        return sf_error_set(err, -EINVAL, "the fence %" PRIu64 " is not 1 to %" PRId64,
                            write->slot.fence, INT64_MAX);
    return rc;
}

static int check_write(const struct sf_coord_request *request, uint64_t version_max,
                       struct sf_error *err)
{
    const struct sf_coord_write *write = &request->u.write;
    int rc = check_version("the slot's record", &write->expected.version, version_max, err);
    if (rc == 0)
        rc = check_writer(write, err);
    if (rc == 0)
        rc = check_record(&write->slot, err);
    if (rc == 0 && request->op == SF_COORD_BIND)
        rc = check_claim_content(request, err);
    return rc;
}

static int check_tell(const struct sf_coord_request *request, struct sf_error *err)
{
    const int rc = check_writer(&request->u.write, err);
    return rc < 0 ? rc : check_claim_content(request, err);
}

/* A state that cannot be read back would halt the making without saying below which time. */
static int check_report(const struct sf_coord_report *report, struct sf_error *err)
{
    int rc = check_text("report's node", report->node, sizeof report->node, err);
    if (rc == 0)
        rc = check_claim_name(report->claim, err);
    if (rc < 0)
        return rc;
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    sf_state_report(state, report);
    char *record = sf_record_state_encode(state);
    rc = sf_record_state_decode(record, strlen(record), state, err);
    free(record);
    free(state);
    if (rc < 0) {
        sf_error_prefix(err, "the report to write");
        return -EINVAL;
    }
    return 0;
}

/* What a person writes over a record belongs to nobody and may not be below its own start. */
static int check_reset(const struct sf_coord_write *write, uint64_t version_max,
                       struct sf_error *err)
{
    const struct sf_coord_version *expected = &write->expected.version;
    if (!write->slot.reset || write->slot.fence != 0 || write->slot.claim[0] != '\0' ||
        write->slot.from_ms != write->slot.reserved_until_ms)
        return sf_error_set(err, -EINVAL, "a record that is reset belongs to nobody");
    if (expected->incarnation != 0 && expected->version > version_max)
        return check_version("the slot's record", expected, version_max, err);
    return check_record(&write->slot, err);
}

static int check_probe(const struct sf_coord_probe *probe, struct sf_error *err)
{
    if (probe->count < 1 || probe->count > SF_COORD_PROBE_MAX)
        return sf_error_set(err, -EINVAL, "%u slots to probe are not 1 to %d", probe->count,
                            SF_COORD_PROBE_MAX);
    for (unsigned i = 0; i < probe->count; i++)
        if (probe->workers[i] >> SF_COORD_WORKER_BITS_MAX != 0)
            return sf_error_set(err, -EINVAL, "no datacenter has a slot %" PRIu64,
                                probe->workers[i]);
    return 0;
}

static int check_find(const struct sf_coord_find *find, struct sf_error *err)
{
    static const char digits[] = "0123456789abcdef";
    const size_t mark = strnlen(find->mark, sizeof find->mark);
    const size_t start = strnlen(find->start, sizeof find->start);
    if (mark == sizeof find->mark || start == sizeof find->start ||
        strspn(find->mark, digits) != mark || strspn(find->start, digits) != start)
        return sf_error_set(err, -EINVAL, "no guid begins with \"%.16s\" and \"%.32s\"", find->mark,
                            find->start);
    if (find->most < 1 || find->most > SF_COORD_FIND_MAX)
        return sf_error_set(err, -EINVAL, "%u claims to find are not 1 to %d", find->most,
                            SF_COORD_FIND_MAX);
    return 0;
}

/* Which making, and for what grants: what was read of the fleet. */
static int check_basis(const struct sf_coord_request *request, uint64_t version_max,
                       struct sf_error *err)
{
    const enum sf_coord_op op = request->op;
    if (op == SF_COORD_READ_CONFIG || op == SF_COORD_INIT || op == SF_COORD_SURVEY)
        return 0;
    if (!sf_token_is_valid(request->basis.token))
        return sf_error_set(err, -EINVAL, "\"%.32s\" names no making of the fleet",
                            request->basis.token);
    if (op != SF_COORD_CLAIM && op != SF_COORD_BIND && op != SF_COORD_RENEW &&
        op != SF_COORD_HALT && op != SF_COORD_RESET_SLOT)
        return 0;
    const int rc = check_version("the config", &request->basis.config, version_max, err);
    return rc < 0 ? rc
                  : check_version("the making's state", &request->basis.state, version_max, err);
}

int sf_request_check(const struct sf_coord_request *request, uint64_t version_max,
                     struct sf_error *err)
{
    const int rc = check_basis(request, version_max, err);
    if (rc < 0)
        return rc;
    switch (request->op) {
    case SF_COORD_INIT:
        return sf_init_check(&request->u.init.config, err);
    case SF_COORD_HALT:
        return check_report(&request->u.report, err);
    case SF_COORD_RESET_SLOT:
        return check_reset(&request->u.write, version_max, err);
    case SF_COORD_CLAIM:
        return check_claim(request, err);
    case SF_COORD_UNCLAIM:
        return check_claim_name(request->u.claim_name, err);
    case SF_COORD_TELL:
        return check_tell(request, err);
    case SF_COORD_BIND:
    case SF_COORD_RENEW:
    case SF_COORD_RELEASE:
        return check_write(request, version_max, err);
    case SF_COORD_PROBE:
        return check_probe(&request->u.probe, err);
    case SF_COORD_FIND:
        return check_find(&request->u.find, err);
    case SF_COORD_READ_CONFIG:
    case SF_COORD_SURVEY:
    case SF_COORD_LIST:
    case SF_COORD_READ_SLOT:
    case SF_COORD_WATCH:
        return 0;
    case SF_COORD_OPS:
        break;
    }
    SF_ASSERT(!"an op");
    return -EINVAL;
}

/* What answers are made of. */

struct sf_coord_claim sf_request_claim(const struct sf_coord_request *request)
{
    const bool makes = request->op == SF_COORD_CLAIM;
    const struct sf_coord_write *write = &request->u.write;
    const struct sf_coord_claim_request *body = makes ? &request->u.claim : &write->body;
    struct sf_coord_claim claim = {
        .slot = -1, .since_ms = body->since_ms, .made_ms = body->made_ms, .seeks = body->seeks};
    if (request->op == SF_COORD_BIND)
        claim.slot = (int64_t)write->slot.worker;
    else if (!makes)
        claim.slot = write->claim_slot;
    if (makes)
        memcpy(claim.guid, body->guid, sizeof claim.guid);
    memcpy(claim.node, body->node, sizeof claim.node);
    memcpy(claim.address, body->address, sizeof claim.address);
    memcpy(claim.admin, body->admin, sizeof claim.admin);
    memcpy(claim.version, body->version, sizeof claim.version);
    memcpy(claim.state, body->state, sizeof claim.state);
    memcpy(claim.reason, body->reason, sizeof claim.reason);
    return claim;
}

static int by_fence(const void *left, const void *right)
{
    const struct sf_coord_claim *a = left, *b = right;
    return (a->fence > b->fence) - (a->fence < b->fence);
}

void sf_claims_sort(struct sf_coord_claim *claims, size_t count)
{
    if (count > 1)
        qsort(claims, count, sizeof *claims, by_fence);
}

static bool begins_with(const struct sf_coord_find *find, const char *guid)
{
    return strncmp(guid, find->mark, strlen(find->mark)) == 0;
}

/* Of two that begin alike: is a before b, counted from the start of the sample on? */
static bool is_nearer(const struct sf_coord_find *find, const char *a, const char *b)
{
    const char *start = find->start;
    const size_t mark = strlen(find->mark);
    const bool a_wraps = strcmp(a + mark, start) < 0, b_wraps = strcmp(b + mark, start) < 0;
    return a_wraps != b_wraps ? b_wraps : strcmp(a, b) < 0;
}

size_t sf_find_take(const struct sf_coord_find *find, const char *const *guids, size_t count,
                    size_t ret_index[SF_COORD_FIND_MAX])
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (!begins_with(find, guids[i]))
            continue;
        size_t at = found;
        while (at > 0 && is_nearer(find, guids[i], guids[ret_index[at - 1]]))
            at--;
        if (at >= find->most)
            continue;
        if (found < find->most)
            found++;
        for (size_t k = found - 1; k > at; k--)
            ret_index[k] = ret_index[k - 1];
        ret_index[at] = i;
    }
    return found;
}

void sf_find_keep(const struct sf_coord_find *find, struct sf_coord_claim *claims, size_t *count)
{
    const char **guids = calloc(*count + 1, sizeof *guids);
    size_t index[SF_COORD_FIND_MAX];
    struct sf_coord_claim *kept = calloc(SF_COORD_FIND_MAX, sizeof *kept);
    SF_ASSERT(guids != NULL && kept != NULL);
    for (size_t i = 0; i < *count; i++)
        guids[i] = claims[i].guid;
    const size_t found = sf_find_take(find, guids, *count, index);
    for (size_t i = 0; i < found; i++)
        kept[i] = claims[index[i]];
    memcpy(claims, kept, found * sizeof *claims);
    free(guids);
    free(kept);
    sf_claims_sort(claims, found);
    *count = found;
}

bool sf_probe_asks(const struct sf_coord_probe *probe, const struct sf_coord_slot *slot)
{
    char guid[SF_HEX128_SIZE];
    uint64_t sequence = 0;
    return slot->state == SF_COORD_RECORD_OK && slot->reserved_until_ms <= probe->now_ms &&
           sf_claim_name_parse(slot->claim, guid, &sequence) == 0;
}

bool sf_config_has_datacenter(const struct sf_coord_config *config, uint64_t datacenter)
{
    if (config->any_datacenter)
        return datacenter <= sf_layout_max_datacenter(&config->layout);
    for (unsigned i = 0; i < config->datacenter_count; i++)
        if (config->datacenters[i] == datacenter)
            return true;
    return false;
}

void sf_completion_drop_results(struct sf_coord_completion *completion)
{
    free(completion->config);
    free(completion->state);
    free(completion->survey);
    free(completion->slots);
    free(completion->claims);
    completion->config = NULL;
    completion->state = NULL;
    completion->survey = NULL;
    completion->slots = NULL;
    completion->claims = NULL;
    completion->slot_count = completion->claim_count = 0;
}
