/* coord/local/survey.c - SURVEY: everything that a directory still holds of a fleet. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/parse.h"
#include "coord/local/claims.h"
#include "coord/local/fleet.h"
#include "coord/records.h"
#include "coord/survey.h"

struct surveying {
    struct sf_local_store *store;
    struct sf_local_job *job;
    const struct sf_local_fleet *fleet;
    const char *token; /* of the making whose claims count */
    struct sf_coord_survey *to;
};

static DIR *open_list(int dirfd, const char *path)
{
    const int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL && fd >= 0)
        close(fd);
    return dir;
}

static int unreadable(const struct surveying *s, const char *what)
{
    return sf_local_fail_errno(s->job, -errno, false, "cannot list", what);
}

static int survey_slots(const struct surveying *s, const char *token, struct sf_local_dc *dc)
{
    DIR *dir = open_list(dc->slots, ".");
    if (dir == NULL)
        return unreadable(s, dc->path);
    const struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        struct sf_coord_slot slot = {0};
        struct sf_error err = {0};
        uint64_t worker;
        if (sf_parse_u64(entry->d_name, 0, INT64_MAX, &worker) < 0)
            continue;
        slot.worker = worker;
        const int code = sf_local_read_slot(s->store, dc, worker, &slot, &err);
        slot.worker = worker;
        if (code == -EBADMSG)
            slot.state = SF_COORD_RECORD_GARBAGE;
        else if (code == -ENOENT)
            continue;
        else if (code < 0)
            rc = sf_local_refuse_slot(s->store, s->job, dc, worker, code, err.text);
        if (rc == 0)
            sf_survey_slot(s->to, token, dc->number, &slot, err.text);
    }
    closedir(dir);
    return rc;
}

static int survey_claims(const struct surveying *s, struct sf_local_dc *dc)
{
    struct sf_coord_claim *claims = NULL;
    size_t count = 0;
    const int code = sf_local_claims_list(s->store, dc, &claims, &count);
    if (code < 0)
        return sf_local_fail_errno(s->job, code, false, "cannot list the claims of", dc->path);
    for (size_t i = 0; i < count; i++)
        s->to->live_claims += claims[i].slot >= 0;
    free(claims);
    return 0;
}

/* Under the datacenter's lock: a write that is under way is seen whole. */
static int survey_datacenter(const struct surveying *s, const char *token, uint64_t number)
{
    struct sf_local_dc dc = SF_LOCAL_DC_CLOSED;
    if (sf_local_dc_open(s->store, s->job, token, number, SF_LOCAL_DC_AS_IT_IS, &dc) < 0)
        return -1;
    int rc = dc.slots < 0 ? 0 : survey_slots(s, token, &dc);
    if (rc == 0 && dc.claims >= 0 && strcmp(token, s->token) == 0)
        rc = survey_claims(s, &dc);
    sf_local_dc_close(&dc);
    return rc;
}

static int survey_tree(const struct surveying *s, const char *token)
{
    char path[SF_COORD_TOKEN_SIZE + 8];
    struct sf_error err = {0};
    snprintf(path, sizeof path, "%.32s/state", token);
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    s->to->trees++;
    const int code = sf_local_read_state(s->store, s->fleet, token, state, &err);
    if (code == 0)
        sf_survey_state(s->to, state, strcmp(token, s->token) == 0);
    else if (code == -EBADMSG)
        sf_survey_garbage(s->to, path, err.text);
    free(state);
    snprintf(path, sizeof path, "%.32s/dc", token);
    DIR *dir = open_list(s->fleet->top, path);
    if (dir == NULL)
        return errno == ENOENT ? 0 : unreadable(s, path);
    const struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        uint64_t number;
        if (sf_parse_u64(entry->d_name, 0, SF_COORD_DATACENTERS_MAX - 1, &number) == 0)
            rc = survey_datacenter(s, token, number);
    }
    closedir(dir);
    return rc;
}

int sf_local_survey(struct sf_local_store *store, struct sf_local_job *job,
                    const struct sf_local_fleet *fleet, const char *token,
                    struct sf_coord_survey *ret)
{
    const struct surveying s = {
        .store = store, .job = job, .fleet = fleet, .token = token, .to = ret};
    struct sf_error err = {0};
    uint64_t makings = 0;
    sf_survey_begin(ret);
    (void)sf_local_read_makings(store, fleet, &makings, &ret->root, &err);
    DIR *dir = open_list(fleet->top, ".");
    if (dir == NULL)
        return unreadable(&s, store->fleet);
    const struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, "current-", 8) == 0)
            ret->currents++;
        else if (sf_token_is_valid(entry->d_name))
            rc = survey_tree(&s, entry->d_name);
    }
    closedir(dir);
    return rc;
}

int sf_local_do_survey(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_local_fleet fleet = SF_LOCAL_FLEET_CLOSED;
    struct sf_coord_completion *to = &job->event->completion;
    to->survey = calloc(1, sizeof *to->survey);
    to->config = calloc(1, sizeof *to->config);
    SF_ASSERT(to->survey != NULL && to->config != NULL);
    sf_survey_begin(to->survey);
    /* The directory is on this machine, and so is everybody who uses it: its clock is the coordinator's. */
    to->server_ms = store->ticks->real_ns(store->ticks->ctx) / SF_NS_PER_MS;
    if (sf_local_fleet_open(store, job, SF_DISK_SHARED, &fleet) < 0) {
        free(to->config);
        to->config = NULL;
        if (to->reason != SF_COORD_MISSING)
            return -1;
        to->outcome = SF_COORD_DONE; /* there is nothing at all */
        to->reason = SF_COORD_NO_REASON;
        to->text[0] = '\0';
        return 0;
    }
    struct sf_error err = {0};
    const int code = sf_local_read_config_any(store, &fleet, to->config, &to->version, &err);
    const int rc =
        sf_local_survey(store, job, &fleet, code == 0 ? to->config->token : "", to->survey);
    if (code == 0) {
        to->current = to->config->format == 2 && sf_local_is_current(&fleet, to->config->token);
    } else {
        free(to->config);
        to->config = NULL;
        to->survey->config_garbage = code == -EBADMSG;
        if (code == -EBADMSG)
            snprintf(to->survey->why, sizeof to->survey->why, "config: %.200s", err.text);
    }
    sf_local_fleet_close(&fleet);
    return rc;
}
