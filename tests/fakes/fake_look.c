/* fakes/fake_look.c - see fake_look.h. */
#include "fakes/fake_look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/state_record.h"
#include "coord/survey.h"

/* Paths. */

void sf_fake_fleet_path(const struct sf_fake_job *job, const char *rest,
                        char path[SF_FAKE_PATH_SIZE])
{
    snprintf(path, SF_FAKE_PATH_SIZE, "/%s%s", job->fleet, rest);
}

void sf_fake_current_path(const struct sf_fake_job *job, const char *token,
                          char path[SF_FAKE_PATH_SIZE])
{
    snprintf(path, SF_FAKE_PATH_SIZE, "/%s/current-%s", job->fleet, token);
}

void sf_fake_state_path(const struct sf_fake_job *job, const char *token,
                        char path[SF_FAKE_PATH_SIZE])
{
    snprintf(path, SF_FAKE_PATH_SIZE, "/%s/%s/state", job->fleet, token);
}

void sf_fake_slot_path(const struct sf_fake_job *job, const char *token, uint64_t datacenter,
                       uint64_t worker, char path[SF_FAKE_PATH_SIZE])
{
    snprintf(path, SF_FAKE_PATH_SIZE, "/%s/%s/dc/%" PRIu64 "/slots/%" PRIu64, job->fleet, token,
             datacenter, worker);
}

void sf_fake_claim_path(const struct sf_fake_job *job, const char *name,
                        char path[SF_FAKE_PATH_SIZE])
{
    snprintf(path, SF_FAKE_PATH_SIZE, "/%s/%s/dc/%" PRIu64 "/claims/%s", job->fleet,
             job->request->basis.token, job->request->datacenter, name);
}

bool sf_fake_is_below(const struct sf_fake_tree *tree, size_t at, const char *prefix)
{
    return at < tree->count && strncmp(tree->nodes[at].path, prefix, strlen(prefix)) == 0;
}

bool sf_fake_datacenter_exists(const struct sf_fake_job *job, const struct sf_fake_tree *tree)
{
    char prefix[SF_FAKE_PATH_SIZE];
    snprintf(prefix, sizeof prefix, "/%s/%s/dc/%" PRIu64 "/", job->fleet, job->request->basis.token,
             job->request->datacenter);
    return sf_fake_is_below(tree, sf_fake_tree_first(tree, prefix), prefix);
}

/* What is there. */

struct sf_coord_version sf_fake_version_at(const struct sf_fake_tree *tree, const char *path)
{
    const struct sf_fake_node *node = sf_fake_tree_find(tree, path);
    return node != NULL ? node->version : (struct sf_coord_version){0, 0};
}

bool sf_fake_current_exists(const struct sf_fake_job *job, const char *token)
{
    char path[SF_FAKE_PATH_SIZE];
    sf_fake_current_path(job, token, path);
    return sf_fake_tree_find(job->tree, path) != NULL;
}

enum sf_coord_record_state sf_fake_look_at_config(const struct sf_fake_job *job,
                                                  struct sf_coord_config *ret,
                                                  struct sf_coord_version *ret_version,
                                                  struct sf_error *err)
{
    char path[SF_FAKE_PATH_SIZE];
    sf_fake_fleet_path(job, "/config", path);
    const struct sf_fake_node *node = sf_fake_tree_find(job->tree, path);
    *ret_version = sf_fake_version_at(job->tree, path);
    if (node == NULL)
        return SF_COORD_RECORD_MISSING;
    if (sf_record_config_decode_any(node->bytes, node->size, ret, err) < 0)
        return SF_COORD_RECORD_GARBAGE;
    ret->version = node->version;
    return SF_COORD_RECORD_OK;
}

struct sf_coord_state *sf_fake_load_state(const struct sf_fake_job *job, const char *token)
{
    char path[SF_FAKE_PATH_SIZE];
    sf_fake_state_path(job, token, path);
    const struct sf_fake_node *node = sf_fake_tree_find(job->tree, path);
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    if (node == NULL || sf_record_state_decode(node->bytes, node->size, state, NULL) < 0) {
        free(state);
        return NULL;
    }
    state->version = node->version;
    return state;
}

void sf_fake_look_at_slot(const struct sf_fake_job *job, const struct sf_fake_tree *tree,
                          uint64_t worker, struct sf_coord_slot *ret, struct sf_error *err)
{
    char path[SF_FAKE_PATH_SIZE];
    sf_fake_slot_path(job, job->request->basis.token, job->request->datacenter, worker, path);
    const struct sf_fake_node *node = sf_fake_tree_find(tree, path);
    *ret = (struct sf_coord_slot){.worker = worker, .state = SF_COORD_RECORD_MISSING};
    if (node == NULL)
        return;
    if (sf_record_slot_decode(node->bytes, node->size, worker, ret, err) < 0)
        ret->state = SF_COORD_RECORD_GARBAGE;
    ret->version = node->version;
}

/* Surveying. */

struct place {
    char token[SF_COORD_TOKEN_SIZE];
    uint64_t datacenter, worker;
};

static void survey_slot(const struct sf_fake_node *node, const struct place *place,
                        struct sf_coord_survey *survey)
{
    struct sf_coord_slot slot = {.worker = place->worker};
    struct sf_error err = {0};
    if (sf_record_slot_decode(node->bytes, node->size, place->worker, &slot, &err) < 0)
        slot.state = SF_COORD_RECORD_GARBAGE;
    sf_survey_slot(survey, place->token, place->datacenter, &slot, err.text);
}

static void survey_state(const struct sf_fake_node *node, const char *token, bool of_config,
                         struct sf_coord_survey *survey)
{
    struct sf_coord_state *state = calloc(1, sizeof *state);
    struct sf_error err = {0};
    SF_ASSERT(state != NULL);
    survey->trees++;
    if (sf_record_state_decode(node->bytes, node->size, state, &err) < 0)
        sf_survey_garbage(survey, token, err.text);
    else
        sf_survey_state(survey, state, of_config);
    free(state);
}

static void survey_node(const struct sf_fake_node *node, const char *rest, const char *token,
                        struct sf_coord_survey *survey)
{
    struct place place = {0};
    char end = '\0';
    if (strncmp(rest, "current-", 8) == 0) {
        survey->currents++;
    } else if (sscanf(rest, "%32[^/]/dc/%" SCNu64 "/slots/%" SCNu64 "%c", place.token,
                      &place.datacenter, &place.worker, &end) == 3) {
        survey_slot(node, &place, survey);
    } else if (sscanf(rest, "%32[^/]/stat%c", place.token, &end) == 2) {
        survey_state(node, place.token, strcmp(place.token, token) == 0, survey);
    } else if (sscanf(rest, "%32[^/]/dc/%" SCNu64 "/claims/%c", place.token, &place.datacenter,
                      &end) == 3 &&
               strcmp(place.token, token) == 0) {
        struct sf_coord_claim claim = {.slot = -1};
        (void)sf_record_claim_decode(node->bytes, node->size, &claim, NULL);
        survey->live_claims += claim.slot >= 0;
    }
}

void sf_fake_survey(const struct sf_fake_job *job, const char *token, struct sf_coord_survey *ret)
{
    char prefix[SF_FAKE_PATH_SIZE], root[SF_FAKE_PATH_SIZE];
    sf_survey_begin(ret);
    sf_fake_fleet_path(job, "", root);
    ret->root = sf_fake_version_at(job->tree, root);
    sf_fake_fleet_path(job, "/", prefix);
    for (size_t i = sf_fake_tree_first(job->tree, prefix); sf_fake_is_below(job->tree, i, prefix);
         i++)
        survey_node(&job->tree->nodes[i], job->tree->nodes[i].path + strlen(prefix), token, ret);
}
