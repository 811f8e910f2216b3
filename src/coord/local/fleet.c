/* coord/local/fleet.c - see fleet.h. */
#include "coord/local/fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "coord/records.h"
#include "coord/request.h"
#include "coord/state_record.h"

#define NAME_MAX_SIZE 96

/* Was the directory replaced by one that is closed to us? A process that has confined itself to the
 * directories it began with cannot know what is in another. */
static int judge_failed(struct sf_local_store *store, struct sf_local_job *job, int top)
{
    struct stat now;
    const struct sf_refusal replaced = sf_refusal_replaced(store->fleet_root);
    if (job->request->op != SF_COORD_READ_CONFIG) /* whoever holds a slot asks every second */
        return -1;
    const bool other = (top >= 0 ? fstat(top, &now) : stat(store->fleet_root, &now)) == 0 &&
                       (now.st_dev != store->fleet_device || now.st_ino != store->fleet_inode);
    if (store->fleet_inode == 0 || !other || job->event->completion.reason != SF_COORD_STORAGE)
        return -1;
    job->event->completion.replaced = true;
    return sf_local_refuse(job, &replaced);
}

static void remember(struct sf_local_store *store, int top)
{
    struct stat now;
    if (fstat(top, &now) != 0)
        return;
    store->fleet_device = now.st_dev;
    store->fleet_inode = now.st_ino;
}

int sf_local_fleet_open(struct sf_local_store *store, struct sf_local_job *job,
                        enum sf_disk_hold hold, struct sf_local_fleet *ret)
{
    struct sf_local_fleet fleet = SF_LOCAL_FLEET_CLOSED;
    fleet.top = open(store->fleet_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int code = fleet.top < 0 ? -errno : 0;
    const struct sf_refusal missing = sf_refusal_no_fleet(store->fleet_root);
    int rc = 0;
    if (code == -ENOENT)
        rc = sf_local_refuse(job, &missing);
    else if (code < 0)
        rc = sf_local_fail_errno(job, code == -ENOTDIR ? -EBADMSG : code, false, "fleet directory",
                                 store->fleet_root);
    else
        rc = sf_local_lock(store, job, fleet.top, store->fleet, hold, &fleet.lock);
    if (rc < 0) {
        rc = judge_failed(store, job, fleet.top);
        sf_local_fleet_close(&fleet);
        return rc;
    }
    remember(store, fleet.top);
    *ret = fleet;
    return 0;
}

void sf_local_fleet_close(struct sf_local_fleet *fleet)
{
    if (fleet->lock >= 0)
        sf_disk_unlock(fleet->lock);
    if (fleet->top >= 0)
        close(fleet->top);
    fleet->lock = fleet->top = -1;
}

/* Files. */

int sf_local_read_config_any(struct sf_local_store *store, const struct sf_local_fleet *fleet,
                             struct sf_coord_config *ret, struct sf_coord_version *ret_version,
                             struct sf_error *err)
{
    char identity[NAME_MAX_SIZE], *bytes = NULL;
    snprintf(identity, sizeof identity, "%s/config", store->fleet);
    struct sf_coord_version version = {0, 0};
    const char *record = NULL;
    size_t size = 0;
    int rc = sf_local_read_sealed(store, fleet->top, "config", identity, SF_DISK_SEALED_MAX, &bytes,
                                  &version, &record, &size, err);
    if (rc == 0)
        rc = sf_record_config_decode_any(record, size, ret, err);
    free(bytes);
    if (rc == 0)
        ret->version = version;
    /* One that cannot even be unsealed has no version of its own: any will do to tell it from none. */
    if (rc == -EBADMSG && version.incarnation == 0)
        version = (struct sf_coord_version){1, 0};
    *ret_version = version;
    return rc;
}

int sf_local_read_makings(struct sf_local_store *store, const struct sf_local_fleet *fleet,
                          uint64_t *ret_makings, struct sf_coord_version *ret_version,
                          struct sf_error *err)
{
    char identity[NAME_MAX_SIZE], *bytes = NULL;
    snprintf(identity, sizeof identity, "%s/making", store->fleet);
    struct sf_coord_version version = {0, 0};
    const char *record = NULL;
    size_t size = 0;
    int rc = sf_local_read_sealed(store, fleet->top, "making", identity, SF_DISK_SEALED_MAX, &bytes,
                                  &version, &record, &size, err);
    json_int_t makings = -1;
    json_t *root = rc == 0 ? json_loadb(record, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (rc == 0 &&
        (root == NULL || json_unpack(root, "{s:I}", "makings", &makings) < 0 || makings < 0))
        rc = sf_error_set(err, -EBADMSG, "not {\"makings\":N}");
    json_decref(root);
    free(bytes);
    *ret_version = rc == 0 ? version : (struct sf_coord_version){0, 0};
    *ret_makings = rc == 0 ? (uint64_t)makings : 0;
    return rc;
}

bool sf_local_is_current(const struct sf_local_fleet *fleet, const char *token)
{
    char name[NAME_MAX_SIZE];
    snprintf(name, sizeof name, "current-%.32s", token);
    return faccessat(fleet->top, name, F_OK, 0) == 0;
}

static void state_names(const struct sf_local_store *store, const char *token,
                        char name[NAME_MAX_SIZE], char identity[2 * NAME_MAX_SIZE])
{
    snprintf(name, NAME_MAX_SIZE, "%.32s/state", token);
    snprintf(identity, (size_t)2 * NAME_MAX_SIZE, "%s/%s", store->fleet, name);
}

int sf_local_read_state(struct sf_local_store *store, const struct sf_local_fleet *fleet,
                        const char *token, struct sf_coord_state *ret, struct sf_error *err)
{
    char name[NAME_MAX_SIZE], identity[2 * NAME_MAX_SIZE], *bytes = NULL;
    state_names(store, token, name, identity);
    struct sf_coord_version version = {0, 0};
    const char *record = NULL;
    size_t size = 0;
    int rc = sf_local_read_sealed(store, fleet->top, name, identity, SF_DISK_STATE_MAX, &bytes,
                                  &version, &record, &size, err);
    if (rc == 0)
        rc = sf_record_state_decode(record, size, ret, err);
    free(bytes);
    if (rc == 0)
        ret->version = version;
    return rc;
}

int sf_local_write_state(struct sf_local_store *store, struct sf_local_job *job,
                         const struct sf_local_fleet *fleet, const char *token,
                         const struct sf_coord_state *state, const struct sf_coord_version *version)
{
    char name[NAME_MAX_SIZE], identity[2 * NAME_MAX_SIZE], tree[SF_COORD_TOKEN_SIZE];
    state_names(store, token, name, identity);
    snprintf(tree, sizeof tree, "%.32s", token);
    const int dirfd = openat(fleet->top, tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return sf_local_fail_errno(job, -errno, false, "cannot open", tree);
    size_t size = 0;
    bool maybe_done = false;
    int64_t mtime_ms = -1;
    char *record = sf_record_state_encode(state);
    char *sealed = sf_disk_seal(identity, version, record, &size);
    const int code =
        sf_disk_replace(&store->disk, dirfd, "state", sealed, size, &mtime_ms, &maybe_done);
    free(record);
    free(sealed);
    close(dirfd);
    return code == 0 ? 0
                     : sf_local_fail_errno(job, code == -ENOENT ? -EIO : code, maybe_done,
                                           "cannot write the state of", tree);
}

/* The basis. */

int sf_local_check_basis(struct sf_local_store *store, struct sf_local_job *job,
                         const struct sf_local_fleet *fleet, bool by_name)
{
    const struct sf_coord_basis *basis = &job->request->basis;
    const struct sf_refusal config_changed = sf_refusal_config_changed(basis->config.version);
    const struct sf_refusal gone = sf_refusal_current_gone(basis->token);
    const struct sf_refusal state_changed =
        sf_refusal_state_changed(basis->token, basis->state.version);
    struct sf_coord_config config = {.floor_ms = 0};
    struct sf_coord_version version = {0, 0};
    struct sf_error err = {0};
    int rc = sf_local_read_config_any(store, fleet, &config, &version, &err);
    if (rc < 0)
        return sf_local_refuse_config(store, job, rc, err.text);
    if (!sf_version_same(&version, &basis->config))
        return sf_local_refuse(job, &config_changed);
    if (by_name && !sf_local_is_current(fleet, basis->token))
        return sf_local_refuse(job, &gone);
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    rc = sf_local_read_state(store, fleet, basis->token, state, &err);
    const bool same = rc == 0 && sf_version_same(&state->version, &basis->state);
    free(state);
    if (rc < 0 && rc != -ENOENT && rc != -EBADMSG)
        return sf_local_fail_storage(store, job, "state", err.text);
    return same ? 0 : sf_local_refuse(job, &state_changed);
}

/* READ_CONFIG and HALT. */

static int read_fleet(struct sf_local_store *store, struct sf_local_job *job,
                      const struct sf_local_fleet *fleet)
{
    struct sf_coord_completion *to = &job->event->completion;
    struct sf_coord_config *config = calloc(1, sizeof *config);
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(config != NULL && state != NULL);
    struct sf_coord_version version = {0, 0};
    struct sf_error err = {0};
    uint64_t makings = 0;
    to->config = config;
    (void)sf_local_read_makings(store, fleet, &makings, &to->version, &err);
    int rc = sf_local_read_config_any(store, fleet, config, &version, &err);
    if (rc == 0 && sf_config_check_format(config, &err) < 0)
        rc = -EBADMSG;
    if (rc < 0) {
        free(state);
        return sf_local_refuse_config(store, job, rc, err.text);
    }
    to->current = sf_local_is_current(fleet, config->token);
    if (sf_local_read_state(store, fleet, config->token, state, &err) == 0) {
        to->state = state;
        return 0;
    }
    free(state);
    return 0;
}

int sf_local_do_read_config(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_local_fleet fleet = SF_LOCAL_FLEET_CLOSED;
    if (sf_local_fleet_open(store, job, SF_DISK_SHARED, &fleet) < 0)
        return -1;
    const int rc = read_fleet(store, job, &fleet);
    sf_local_fleet_close(&fleet);
    return rc;
}

static int halt(struct sf_local_store *store, struct sf_local_job *job,
                const struct sf_local_fleet *fleet)
{
    const char *token = job->request->basis.token;
    if (sf_local_check_basis(store, job, fleet, false) < 0)
        return -1;
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    struct sf_error err = {0};
    int rc = sf_local_read_state(store, fleet, token, state, &err);
    SF_ASSERT(rc == 0); /* at its version, under the lock */
    sf_state_report(state, &job->request->u.report);
    const struct sf_coord_version version = {state->version.incarnation,
                                             state->version.version + 1};
    rc = sf_local_write_state(store, job, fleet, token, state, &version);
    job->event->completion.version = version;
    free(state);
    return rc;
}

int sf_local_do_halt(struct sf_local_store *store, struct sf_local_job *job)
{
    struct sf_local_fleet fleet = SF_LOCAL_FLEET_CLOSED;
    if (sf_local_fleet_open(store, job, SF_DISK_ALONE, &fleet) < 0)
        return -1;
    const int rc = halt(store, job, &fleet);
    sf_local_fleet_close(&fleet);
    return rc;
}
