/* coord/zookeeper/survey.c - see survey.h. */
#include "coord/zookeeper/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "coord/records.h"
#include "coord/state_record.h"
#include "coord/survey.h"
#include "coord/zookeeper/acl.h"
#include "coord/zookeeper/answer.h"
#include "coord/zookeeper/confirm.h"

#define WORKER_MAX ((UINT64_C(1) << SF_COORD_WORKER_BITS_MAX) - 1)

void sf_zk_survey_drop(struct sf_zk_surveying *surveying)
{
    for (size_t i = 0; i < surveying->item_count; i++)
        free(surveying->items[i].claim);
    free(surveying->items);
    free(surveying->lists);
    sf_zk_names_free(surveying->trees);
    surveying->items = NULL;
    surveying->lists = NULL;
    surveying->trees = NULL;
    surveying->item_count = surveying->item_room = 0;
    surveying->list_count = surveying->list_room = 0;
}

/* Room for one more. */
static void *grow(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    *room = *room == 0 ? 64 : *room * 2;
    array = reallocarray(array, *room, size);
    SF_ASSERT(array != NULL);
    return array;
}

static void add_list(struct sf_zk_surveying *s, const char *token, uint64_t datacenter, bool claims)
{
    s->lists = grow(s->lists, s->list_count, &s->list_room, sizeof *s->lists);
    s->lists[s->list_count++] = (struct sf_zk_survey_list){token, datacenter, claims};
}

static void add_item(struct sf_zk_surveying *s, size_t list, uint64_t worker, char *claim)
{
    s->items = grow(s->items, s->item_count, &s->item_room, sizeof *s->items);
    s->items[s->item_count++] = (struct sf_zk_survey_item){list, worker, claim};
}

/* Gone between its listing and now, or there? Otherwise the job is finished. */
static bool is_there(struct sf_zk *z, struct sf_zk_job *job, const struct sf_zk_call *call,
                     const char *what)
{
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE)
        sf_zk_finish_rc(z, job, call->rc, what);
    return call->rc == SF_ZK_OK;
}

/* The records. */

static void item_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_zk_surveying *s = job->work;
    const struct sf_zk_survey_item *item = &s->items[call->index];
    const struct sf_zk_survey_list *list = &s->lists[item->list];
    if (!is_there(z, job, call, "reading a record"))
        return;
    if (item->claim != NULL) {
        struct sf_coord_claim claim = {.slot = -1};
        (void)sf_record_claim_decode(call->data, call->size, &claim, NULL);
        s->found.live_claims += claim.slot >= 0;
        return;
    }
    struct sf_coord_slot slot;
    struct sf_error err = {0};
    sf_zk_slot_from(call, item->worker, &slot, &err);
    sf_survey_slot(&s->found, list->token, list->datacenter, &slot, err.text);
}

static int issue_item(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_surveying *s = job->work;
    const struct sf_zk_survey_item *item = &s->items[index];
    const struct sf_zk_survey_list *list = &s->lists[item->list];
    char path[SF_ZK_PATH_MAX];
    if (item->claim != NULL)
        sf_zk_claim_path(z, path, list->token, list->datacenter, item->claim);
    else
        sf_zk_slot_path(z, path, list->token, list->datacenter, item->worker);
    return sf_zk_get(z, job, index, path, item_read);
}

static void read_items(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_zk_surveying *s = job->work;
    sf_zk_phase(z, job, s->item_count, issue_item, s->then);
}

/* The directories of slots and claims. */

static void list_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_zk_surveying *s = job->work;
    if (!is_there(z, job, call, "listing records"))
        return;
    const bool claims = s->lists[call->index].claims;
    for (size_t i = 0; i < call->name_count; i++) {
        uint64_t worker = 0;
        if (!claims && sf_zk_number_of(call->names[i], WORKER_MAX, &worker)) {
            add_item(s, call->index, worker, NULL);
        } else if (claims && sf_zk_is_claim_name(call->names[i])) {
            add_item(s, call->index, 0, call->names[i]);
            call->names[i] = NULL;
        }
    }
}

static int issue_list(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_surveying *s = job->work;
    const struct sf_zk_survey_list *list = &s->lists[index];
    char path[SF_ZK_PATH_MAX];
    sf_zk_path(z, path, "/%.32s/dc/%" PRIu64 "/%s", list->token, list->datacenter,
               list->claims ? "claims" : "slots");
    return sf_zk_children(z, job, index, path, false, list_read);
}

static void read_lists(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_zk_surveying *s = job->work;
    sf_zk_phase(z, job, s->list_count, issue_list, read_items);
}

/* The trees: of each its state and its datacenters. */

static void state_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_zk_surveying *s = job->work;
    const char *token = s->trees->text[call->index / 2];
    if (!is_there(z, job, call, "reading the state of a making"))
        return;
    struct sf_coord_state *state = calloc(1, sizeof *state);
    struct sf_error err = {0};
    SF_ASSERT(state != NULL);
    if (sf_record_state_decode(call->data, call->size, state, &err) < 0)
        sf_survey_garbage(&s->found, token, err.text);
    else
        sf_survey_state(&s->found, state, strcmp(token, s->token) == 0);
    free(state);
}

static void datacenters_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_zk_surveying *s = job->work;
    const char *token = s->trees->text[call->index / 2];
    if (!is_there(z, job, call, "listing the datacenters of a making"))
        return;
    for (size_t i = 0; i < call->name_count; i++) {
        uint64_t datacenter = 0;
        if (!sf_zk_number_of(call->names[i], SF_COORD_DATACENTERS_MAX - 1, &datacenter))
            continue;
        add_list(s, token, datacenter, false);
        if (strcmp(token, s->token) == 0)
            add_list(s, token, datacenter, true);
    }
}

static int issue_tree(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_surveying *s = job->work;
    const char *token = s->trees->text[index / 2];
    char path[SF_ZK_PATH_MAX];
    if (index % 2 == 0) {
        sf_zk_state_path(z, path, token);
        return sf_zk_get(z, job, index, path, state_read);
    }
    sf_zk_path(z, path, "/%.32s/dc", token);
    return sf_zk_children(z, job, index, path, false, datacenters_read);
}

void sf_zk_survey_trees(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_names *children)
{
    struct sf_zk_surveying *s = job->work;
    for (size_t i = 0; i < children->count; i++)
        s->found.currents += sf_zk_is_current_name(children->text[i]);
    sf_zk_names_keep(children, sf_zk_is_token);
    s->trees = children;
    s->found.trees = (unsigned)children->count;
    sf_zk_phase(z, job, 2 * children->count, issue_tree, read_lists);
}

/* SURVEY: first what is said of the fleet as a whole. */

struct survey {
    struct sf_zk_surveying surveying; /* first */
    struct sf_zk_names *children;
    char clock[SF_ZK_PATH_MAX]; /* the node that tells the time; "": none may be made */
    bool clock_made;
};

void sf_zk_survey_free(void *work)
{
    struct survey *survey = work;
    sf_zk_survey_drop(&survey->surveying);
    sf_zk_names_free(survey->children);
    free(survey);
}

static void surveyed(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct survey *survey = job->work;
    struct sf_coord_survey *found = calloc(1, sizeof *found);
    SF_ASSERT(found != NULL);
    *found = survey->surveying.found;
    job->event->completion.survey = found;
    sf_zk_finish_confirmed(z, job);
}

/* What time it is there: only a write tells. So a node that ends with the session is made and
 * deleted: above the fleet, so that it wakes nobody who watches the fleet, in the lowest directory
 * that is there; where it is not allowed the time stays untold. */

/* If not now, with the session. */
static void clock_deleted(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    (void)z;
    (void)job;
    (void)call;
}

static int issue_clock_delete(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct survey *survey = job->work;
    (void)index;
    return sf_zk_delete(z, job, survey->clock, clock_deleted);
}

static void clock_made(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    (void)z;
    struct survey *survey = job->work;
    survey->clock_made = call->rc == SF_ZK_OK;
    if (call->rc == SF_ZK_OK)
        sf_zk_told_time(job, call->stat.ctime_ms);
    else if (call->rc != SF_ZK_NO_NODE)
        survey->clock[0] = '\0';
}

static int issue_clock(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct survey *survey = job->work;
    return sf_zk_create(z, job, index, survey->clock, "", sf_zk_acl_directory(&z->options),
                        SF_ZK_EPHEMERAL, clock_made);
}

/* "/a/b/clock-x" becomes "/a/clock-x"; "" behind "/clock-x". */
static void climb(char *path)
{
    char *last = strrchr(path, '/');
    char *before = last != path ? memrchr(path, '/', (size_t)(last - path)) : NULL;
    if (before != NULL)
        memmove(before, last, strlen(last) + 1);
    else
        path[0] = '\0';
}

static void seek_clock(struct sf_zk *z, struct sf_zk_job *job)
{
    struct survey *survey = job->work;
    if (survey->clock_made) {
        sf_zk_phase(z, job, 1, issue_clock_delete, surveyed);
        return;
    }
    if (survey->clock[0] != '\0')
        climb(survey->clock);
    if (survey->clock[0] != '\0')
        sf_zk_phase(z, job, 1, issue_clock, seek_clock);
    else
        surveyed(z, job);
}

static void ask_time(struct sf_zk *z, struct sf_zk_job *job)
{
    struct survey *survey = job->work;
    uint8_t random[16];
    char name[SF_HEX128_SIZE];
    sf_random_bytes(random, sizeof random);
    sf_hex128(random, name);
    sf_zk_path(z, survey->clock, "/clock-%s", name);
    seek_clock(z, job);
}

static void children_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct survey *survey = job->work;
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE) {
        sf_zk_finish_rc(z, job, call->rc, "listing what there is of the fleet");
        return;
    }
    if (call->rc == SF_ZK_OK)
        survey->surveying.found.root = sf_zk_version_of(&call->stat);
    survey->children = sf_zk_names_take(call);
}

static void config_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct survey *survey = job->work;
    struct sf_coord_completion *to = &job->event->completion;
    struct sf_coord_survey *found = &survey->surveying.found;
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE) {
        sf_zk_finish_rc(z, job, call->rc, "reading the fleet's config");
        return;
    }
    struct sf_coord_config *config = calloc(1, sizeof *config);
    struct sf_error err = {0};
    SF_ASSERT(config != NULL);
    const enum sf_coord_record_state state = sf_zk_config_from(call, config, &to->version, &err);
    if (state == SF_COORD_RECORD_OK) {
        memcpy(survey->surveying.token, config->token, sizeof config->token);
        to->config = config;
        return;
    }
    found->config_garbage = state == SF_COORD_RECORD_GARBAGE;
    if (found->config_garbage)
        snprintf(found->why, sizeof found->why, "config: %.200s", err.text);
    free(config);
}

static void current_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (is_there(z, job, call, "looking at the making's name"))
        job->event->completion.current = true;
}

/* The order of INIT's own look: the root's version, then the config, then the names. */
static int issue_head(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    if (index == 0)
        return sf_zk_confirm(z, job, index);
    if (index == 1)
        return sf_zk_children(z, job, index, z->options.root, false, children_read);
    sf_zk_path(z, path, "/config");
    return sf_zk_get(z, job, index, path, config_read);
}

static void survey_trees(struct sf_zk *z, struct sf_zk_job *job)
{
    struct survey *survey = job->work;
    struct sf_zk_names *children = survey->children;
    survey->children = NULL;
    sf_zk_survey_trees(z, job, children);
}

static int issue_current(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    sf_zk_current_path(z, path, job->event->completion.config->token);
    return sf_zk_exists(z, job, index, path, false, current_read);
}

static void look_at_current(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_coord_config *config = job->event->completion.config;
    const size_t total = config != NULL && config->token[0] != '\0' ? 1 : 0; /* format 1 has none */
    sf_zk_phase(z, job, total, issue_current, survey_trees);
}

void sf_zk_survey(struct sf_zk *z, struct sf_zk_job *job)
{
    struct survey *survey = calloc(1, sizeof *survey);
    SF_ASSERT(survey != NULL);
    sf_survey_begin(&survey->surveying.found);
    survey->surveying.then = ask_time;
    job->work = survey;
    sf_zk_phase(z, job, 3, issue_head, look_at_current);
}
