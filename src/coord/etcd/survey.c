/* coord/etcd/survey.c - see survey.h. */
#include "coord/etcd/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "coord/etcd/fleet.h"
#include "coord/records.h"
#include "coord/state_record.h"
#include "coord/survey.h"

#define PAGE_KEYS 500

void sf_etcd_survey_begin(struct sf_etcd_surveying *surveying, const char *token)
{
    memset(surveying, 0, sizeof *surveying);
    snprintf(surveying->token, sizeof surveying->token, "%s", token);
    sf_survey_begin(&surveying->found);
}

void sf_etcd_survey_page(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_surveying *surveying)
{
    char prefix[SF_ETCD_KEY_MAX];
    sf_etcd_key(etcd, prefix, "/");
    const struct sf_etcd_op get = {.kind = SF_ETCD_GET_PREFIX,
                                   .key = prefix,
                                   .after = surveying->last[0] != '\0' ? surveying->last : NULL,
                                   .limit = PAGE_KEYS};
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = &get, .success_count = 1}),
        false, SF_ETCD_INIT_MS);
}

static void take_slot(const struct sf_etcd_kv *kv, const char *token, uint64_t datacenter,
                      uint64_t worker, struct sf_coord_survey *found)
{
    struct sf_coord_slot slot = {.worker = worker};
    struct sf_error err = {0};
    if (sf_record_slot_decode(kv->value, kv->value_size, worker, &slot, &err) < 0)
        slot.state = SF_COORD_RECORD_GARBAGE;
    sf_survey_slot(found, token, datacenter, &slot, err.text);
}

static void take_state(const struct sf_etcd_kv *kv, const char *token, bool of_config,
                       struct sf_coord_survey *found)
{
    struct sf_coord_state *state = calloc(1, sizeof *state);
    struct sf_error err = {0};
    SF_ASSERT(state != NULL);
    found->trees++;
    if (sf_record_state_decode(kv->value, kv->value_size, state, &err) < 0)
        sf_survey_garbage(found, token, err.text);
    else
        sf_survey_state(found, state, of_config);
    free(state);
}

/* Whether `before` and a number come next; *rest then stands behind them. */
static bool next_number(const char **rest, const char *before, uint64_t *ret)
{
    char digits[24];
    const size_t skip = strlen(before);
    if (strncmp(*rest, before, skip) != 0)
        return false;
    const size_t size = strspn(*rest + skip, "0123456789");
    if (size >= sizeof digits)
        return false;
    memcpy(digits, *rest + skip, size);
    digits[size] = '\0';
    *rest += skip + size;
    return sf_parse_u64(digits, 0, UINT64_MAX, ret) == 0;
}

/* rest: what stands behind the fleet's root in the key. */
static void take_key(struct sf_etcd_surveying *surveying, const struct sf_etcd_kv *kv,
                     const char *rest)
{
    char token[SF_COORD_TOKEN_SIZE] = "";
    uint64_t datacenter = 0, worker = 0;
    if (strncmp(rest, "current-", 8) == 0) {
        surveying->found.currents++;
        return;
    }
    const size_t size = strcspn(rest, "/");
    if (size != sizeof token - 1 || rest[size] != '/')
        return;
    memcpy(token, rest, size);
    if (!sf_token_is_valid(token))
        return;
    const bool of_config = strcmp(token, surveying->token) == 0;
    rest += size;
    if (strcmp(rest, "/state") == 0) {
        take_state(kv, token, of_config, &surveying->found);
        return;
    }
    if (!next_number(&rest, "/dc/", &datacenter))
        return;
    if (next_number(&rest, "/slots/", &worker) && *rest == '\0') {
        take_slot(kv, token, datacenter, worker, &surveying->found);
    } else if (of_config && strncmp(rest, "/claims/", 8) == 0 && rest[8] != '\0') {
        struct sf_coord_claim claim = {.slot = -1};
        (void)sf_record_claim_decode(kv->value, kv->value_size, &claim, NULL);
        surveying->found.live_claims += claim.slot >= 0;
    }
}

int sf_etcd_survey_take(const struct sf_etcd *etcd, struct sf_etcd_surveying *surveying,
                        const struct sf_etcd_result *result)
{
    struct sf_etcd_range range = {0};
    char prefix[SF_ETCD_KEY_MAX];
    if (sf_etcd_txn_range(result->answer.root, 0, &range) < 0)
        return -1;
    sf_etcd_key(etcd, prefix, "/");
    for (size_t i = 0; i < range.count; i++)
        take_key(surveying, &range.kvs[i], range.kvs[i].key + strlen(prefix));
    const bool more = range.count > 0 && range.total > range.count;
    if (more)
        snprintf(surveying->last, sizeof surveying->last, "%s", range.kvs[range.count - 1].key);
    sf_etcd_range_free(&range);
    return more ? 0 : 1;
}

/* SURVEY: root and config first, then the pages. */

struct work {
    bool paging;
    struct sf_coord_event *event;
    struct sf_etcd_surveying surveying;
};

void sf_etcd_survey_free(void *ctx)
{
    struct work *work = ctx;
    sf_coord_event_free(work->event);
    free(work);
}

void sf_etcd_survey_start(struct sf_etcd *etcd, struct sf_etcd_job *job)
{
    char root[SF_ETCD_KEY_MAX], config[SF_ETCD_KEY_MAX], names[SF_ETCD_KEY_MAX];
    if (job->work != NULL)
        sf_etcd_survey_free(job->work);
    struct work *work = calloc(1, sizeof *work);
    SF_ASSERT(work != NULL);
    job->work = work;
    sf_etcd_key(etcd, root, "%s", "");
    sf_etcd_key(etcd, config, "/config");
    sf_etcd_key(etcd, names, "/current-");
    const struct sf_etcd_op ops[] = {{.kind = SF_ETCD_GET, .key = root, .keys_only = true},
                                     {.kind = SF_ETCD_GET, .key = config},
                                     {.kind = SF_ETCD_GET_PREFIX, .key = names, .keys_only = true}};
    sf_etcd_job_send(
        etcd, job, "/v3/kv/txn",
        sf_etcd_job_txn(etcd, job, &(struct sf_etcd_txn){.success = ops, .success_count = 3}),
        false, SF_ETCD_REQUEST_MS);
}

static void take_config(const struct sf_etcd *etcd, struct sf_etcd_job *job,
                        const struct sf_etcd_range *ranges)
{
    struct work *work = job->work;
    struct sf_coord_config *config = malloc(sizeof *config);
    struct sf_error err = {0};
    SF_ASSERT(config != NULL);
    work->event = sf_etcd_job_done(job);
    struct sf_coord_completion *to = &work->event->completion;
    const enum sf_coord_record_state state = sf_etcd_config_from(&ranges[1], config, &err);
    sf_etcd_survey_begin(&work->surveying, state == SF_COORD_RECORD_OK ? config->token : "");
    struct sf_coord_survey *found = &work->surveying.found;
    found->root = sf_etcd_version_from(&ranges[0]);
    to->version = sf_etcd_version_from(&ranges[1]);
    if (state == SF_COORD_RECORD_OK) {
        char key[SF_ETCD_KEY_MAX];
        sf_etcd_key(etcd, key, "/current-%s", config->token);
        for (size_t i = 0; i < ranges[2].count; i++)
            to->current = to->current || strcmp(ranges[2].kvs[i].key, key) == 0;
        to->config = config;
        return;
    }
    free(config);
    found->config_garbage = state == SF_COORD_RECORD_GARBAGE;
    if (found->config_garbage)
        snprintf(found->why, sizeof found->why, "config: %.200s", err.text);
}

static void first_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result)
{
    struct sf_etcd_range ranges[3] = {{0}};
    struct work *work = job->work;
    bool readable = true;
    for (size_t i = 0; i < 3; i++)
        readable = readable && sf_etcd_txn_range(result->answer.root, i, &ranges[i]) == 0;
    if (readable)
        take_config(etcd, job, ranges);
    for (size_t i = 0; i < 3; i++)
        sf_etcd_range_free(&ranges[i]);
    work->paging = readable;
    if (readable)
        sf_etcd_survey_page(etcd, job, &work->surveying);
    else
        sf_etcd_job_unreadable(etcd, job, result);
}

void sf_etcd_survey_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                           const struct sf_etcd_result *result)
{
    struct work *work = job->work;
    if (!work->paging) {
        first_answer(etcd, job, result);
        return;
    }
    switch (sf_etcd_survey_take(etcd, &work->surveying, result)) {
    case 0:
        sf_etcd_survey_page(etcd, job, &work->surveying);
        return;
    case 1:
        break;
    default:
        sf_etcd_job_unreadable(etcd, job, result);
        return;
    }
    struct sf_coord_event *event = work->event;
    work->event = NULL;
    event->completion.survey = malloc(sizeof *event->completion.survey);
    SF_ASSERT(event->completion.survey != NULL);
    *event->completion.survey = work->surveying.found;
    sf_etcd_job_finish(etcd, job, event, result);
}
