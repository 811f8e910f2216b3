/* fakes/fake_ops.c - see fake_ops.h. */
#include "fakes/fake_ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/init_plan.h"
#include "coord/records.h"
#include "coord/request.h"
#include "coord/state_record.h"
#include "coord/survey.h"
#include "fakes/fake_look.h"

static void refuse(const struct sf_fake_job *job, struct sf_refusal refusal)
{
    job->to->outcome = SF_COORD_REFUSED;
    job->to->reason = refusal.reason;
    memcpy(job->to->text, refusal.text, sizeof job->to->text);
}

static struct sf_coord_version put(const struct sf_fake_job *job, const char *path, char *record,
                                   uint64_t session)
{
    const struct sf_coord_version version =
        sf_fake_tree_put(job->tree, path, record, strlen(record), session)->version;
    free(record);
    job->changed(job->changed_ctx, path);
    return version;
}

static void put_text(const struct sf_fake_job *job, const char *path, const char *text)
{
    char *copy = strdup(text);
    SF_ASSERT(copy != NULL);
    (void)put(job, path, copy, 0);
}

static void delete (const struct sf_fake_job *job, const char *path)
{
    sf_fake_tree_delete(job->tree, path);
    job->changed(job->changed_ctx, path);
}

static void load_slot(const struct sf_fake_job *job, const struct sf_fake_tree *tree,
                      uint64_t worker, struct sf_coord_slot *ret)
{
    struct sf_error err = {0};
    sf_fake_look_at_slot(job, tree, worker, ret, &err);
    if (ret->state == SF_COORD_RECORD_GARBAGE && job->to->text[0] == '\0')
        memcpy(job->to->text,
               sf_refusal_slot_garbage(job->fleet, job->request->datacenter, worker, err.text).text,
               sizeof job->to->text);
}

/* Refuses where there is none of the present format. */
static bool load_config(const struct sf_fake_job *job, struct sf_coord_config *ret)
{
    struct sf_coord_version version;
    struct sf_error err = {0};
    enum sf_coord_record_state state = sf_fake_look_at_config(job, ret, &version, &err);
    if (state == SF_COORD_RECORD_OK && sf_config_check_format(ret, &err) < 0)
        state = SF_COORD_RECORD_GARBAGE;
    if (state == SF_COORD_RECORD_OK)
        return true;
    refuse(job, state == SF_COORD_RECORD_MISSING ? sf_refusal_no_fleet(job->fleet)
                                                 : sf_refusal_config_garbage(job->fleet, err.text));
    return false;
}

static void do_read_config(const struct sf_fake_job *job)
{
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    char path[SF_FAKE_PATH_SIZE];
    sf_fake_fleet_path(job, "", path);
    job->to->version = sf_fake_version_at(job->tree, path);
    if (!load_config(job, config)) {
        free(config);
        return;
    }
    job->to->config = config;
    job->to->current = sf_fake_current_exists(job, config->token);
    job->to->state = sf_fake_load_state(job, config->token);
}

static void do_survey(const struct sf_fake_job *job)
{
    struct sf_coord_config *config = calloc(1, sizeof *config);
    struct sf_coord_survey *found = calloc(1, sizeof *found);
    SF_ASSERT(config != NULL && found != NULL);
    struct sf_error err = {0};
    const enum sf_coord_record_state state =
        sf_fake_look_at_config(job, config, &job->to->version, &err);
    sf_fake_survey(job, state == SF_COORD_RECORD_OK ? config->token : "", found);
    job->to->survey = found;
    if (state == SF_COORD_RECORD_OK) {
        job->to->config = config;
        job->to->current = config->format == 2 && sf_fake_current_exists(job, config->token);
        return;
    }
    found->config_garbage = state == SF_COORD_RECORD_GARBAGE;
    if (found->config_garbage)
        snprintf(found->why, sizeof found->why, "config: %.200s", err.text);
    free(config);
}

/* INIT. */

static void move_root(const struct sf_fake_job *job)
{
    char path[SF_FAKE_PATH_SIZE], count[24];
    sf_fake_fleet_path(job, "", path);
    const struct sf_fake_node *node = sf_fake_tree_find(job->tree, path);
    const uint64_t makings = node != NULL ? strtoull(node->bytes, NULL, 10) : 0;
    snprintf(count, sizeof count, "%" PRIu64, makings + 1);
    put_text(job, path, count);
}

static void unname(const struct sf_fake_job *job)
{
    char prefix[SF_FAKE_PATH_SIZE];
    sf_fake_current_path(job, "", prefix);
    for (size_t i = sf_fake_tree_first(job->tree, prefix); sf_fake_is_below(job->tree, i, prefix);
         i = sf_fake_tree_first(job->tree, prefix)) {
        char path[SF_FAKE_PATH_SIZE];
        snprintf(path, sizeof path, "%s", job->tree->nodes[i].path);
        delete (job, path);
    }
}

static void make_tree(const struct sf_fake_job *job, const struct sf_coord_config *config)
{
    const struct sf_coord_init *init = &job->request->u.init;
    char path[SF_FAKE_PATH_SIZE];
    for (size_t i = 0; i < sf_init_datacenter_count(config); i++) {
        const uint64_t datacenter = sf_init_datacenter(config, i);
        for (uint64_t worker = 0; worker < sf_init_worker_count(config); worker++) {
            struct sf_coord_slot slot;
            sf_init_slot(init, config->floor_ms, datacenter, worker, job->now_ms, &slot);
            sf_fake_slot_path(job, config->token, datacenter, worker, path);
            (void)put(job, path, sf_record_slot_encode(&slot), 0);
        }
    }
    struct sf_coord_state *state = calloc(1, sizeof *state);
    SF_ASSERT(state != NULL);
    sf_fake_state_path(job, config->token, path);
    (void)put(job, path, sf_record_state_encode(state), 0);
    free(state);
}

static void name_it(const struct sf_fake_job *job, struct sf_coord_config *config)
{
    char path[SF_FAKE_PATH_SIZE];
    unname(job);
    move_root(job);
    sf_fake_current_path(job, config->token, path);
    put_text(job, path, "");
    sf_fake_fleet_path(job, "/config", path);
    config->version = put(job, path, sf_record_config_encode(config), 0);
}

/* May it be made? Returns whether it is to be gone on. */
static bool init_begins(const struct sf_fake_job *job, struct sf_coord_config *config)
{
    const struct sf_coord_init *init = &job->request->u.init;
    struct sf_coord_config there = {.incarnation = 0};
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    struct sf_init_found found = {.config = &there, .why = err.text};
    char path[SF_FAKE_PATH_SIZE];
    found.state = sf_fake_look_at_config(job, &there, &found.version, &err);
    switch (sf_init_plan_config(init, job->fleet, &found, config, &refusal)) {
    case SF_INIT_GO:
        break;
    case SF_INIT_DONE:
        *config = there;
        return false;
    case SF_INIT_REFUSED:
        refuse(job, refusal);
        return false;
    }
    sf_fake_fleet_path(job, "", path);
    const struct sf_coord_version root = sf_fake_version_at(job->tree, path);
    if (sf_version_same(&root, &init->root))
        return true;
    refuse(job, sf_refusal_config_raced(job->fleet, init->after_data_loss));
    return false;
}

static void do_init(const struct sf_fake_job *job)
{
    const struct sf_coord_init *init = &job->request->u.init;
    struct sf_coord_config *config = calloc(1, sizeof *config);
    SF_ASSERT(config != NULL);
    struct sf_refusal refusal = {0};
    if (init_begins(job, config)) {
        struct sf_coord_survey found;
        if (init->after_data_loss) {
            unname(job);
            move_root(job);
            sf_fake_survey(job, "", &found);
        }
        if (sf_init_plan_floor(init, job->fleet, init->after_data_loss ? &found : NULL,
                               &config->floor_ms, &refusal) < 0) {
            refuse(job, refusal);
        } else {
            make_tree(job, config);
            name_it(job, config);
        }
    }
    if (job->to->outcome == SF_COORD_DONE)
        job->to->config = config;
    else
        free(config);
}

/* Lists and slots. */

static void list_claims(const struct sf_fake_job *job)
{
    char prefix[SF_FAKE_PATH_SIZE];
    sf_fake_claim_path(job, "", prefix);
    size_t first = sf_fake_tree_first(job->reads, prefix), end = first;
    while (sf_fake_is_below(job->reads, end, prefix))
        end++;
    job->to->claims = calloc(end - first + 1, sizeof *job->to->claims);
    SF_ASSERT(job->to->claims != NULL);
    for (size_t i = first; i < end; i++) {
        const struct sf_fake_node *node = &job->reads->nodes[i];
        struct sf_coord_claim *claim = &job->to->claims[job->to->claim_count];
        *claim = (struct sf_coord_claim){.slot = -1};
        const char *name = node->path + strlen(prefix);
        if (sf_claim_name_parse(name, claim->guid, &claim->fence) < 0)
            continue;
        snprintf(claim->name, sizeof claim->name, "%s", name);
        (void)sf_record_claim_decode(node->bytes, node->size, claim, NULL);
        job->to->claim_count++;
    }
    sf_claims_sort(job->to->claims, job->to->claim_count);
}

static void do_list(const struct sf_fake_job *job)
{
    struct sf_coord_config config = {.floor_ms = 0};
    if (!load_config(job, &config))
        return;
    if (strcmp(config.token, job->request->basis.token) != 0 ||
        !sf_config_has_datacenter(&config, job->request->datacenter) ||
        !sf_fake_datacenter_exists(job, job->reads)) {
        refuse(job, sf_refusal_no_datacenter(job->fleet, job->request->datacenter));
        return;
    }
    job->to->slot_count = (size_t)sf_layout_max_worker(&config.layout) + 1;
    job->to->slots = calloc(job->to->slot_count, sizeof *job->to->slots);
    SF_ASSERT(job->to->slots != NULL);
    for (size_t i = 0; i < job->to->slot_count; i++)
        load_slot(job, job->reads, i, &job->to->slots[i]);
    list_claims(job);
}

static bool claim_lives(const struct sf_fake_job *job, const char *name)
{
    char path[SF_FAKE_PATH_SIZE];
    sf_fake_claim_path(job, name, path);
    return sf_fake_tree_find(job->reads, path) != NULL;
}

static void do_probe(const struct sf_fake_job *job)
{
    const struct sf_coord_probe *probe = &job->request->u.probe;
    struct sf_coord_completion *to = job->to;
    to->slot_count = probe->count;
    to->slots = calloc(probe->count, sizeof *to->slots);
    to->claims = calloc(probe->count, sizeof *to->claims);
    SF_ASSERT(to->slots != NULL && to->claims != NULL);
    for (unsigned i = 0; i < probe->count; i++) {
        struct sf_coord_slot *slot = &to->slots[i];
        load_slot(job, job->reads, probe->workers[i], slot);
        if (!sf_probe_asks(probe, slot) || !claim_lives(job, slot->claim))
            continue;
        struct sf_coord_claim *claim = &to->claims[to->claim_count++];
        claim->slot = -1;
        memcpy(claim->name, slot->claim, sizeof claim->name);
        (void)sf_claim_name_parse(claim->name, claim->guid, &claim->fence);
    }
}

static void do_find(const struct sf_fake_job *job)
{
    list_claims(job);
    job->to->claim_total = job->to->claim_count;
    sf_find_keep(&job->request->u.find, job->to->claims, &job->to->claim_count);
}

static void do_read_slot(const struct sf_fake_job *job)
{
    job->to->slots = calloc(1, sizeof *job->to->slots);
    SF_ASSERT(job->to->slots != NULL);
    job->to->slot_count = 1;
    load_slot(job, job->tree, job->request->u.worker, job->to->slots);
}

/* Writes. */

static bool basis_holds(const struct sf_fake_job *job, bool by_name)
{
    const struct sf_coord_basis *basis = &job->request->basis;
    char config[SF_FAKE_PATH_SIZE], state[SF_FAKE_PATH_SIZE];
    sf_fake_fleet_path(job, "/config", config);
    sf_fake_state_path(job, basis->token, state);
    const struct sf_coord_version config_now = sf_fake_version_at(job->tree, config);
    const struct sf_coord_version state_now = sf_fake_version_at(job->tree, state);
    if (config_now.incarnation == 0)
        refuse(job, sf_refusal_no_fleet(job->fleet));
    else if (!sf_version_same(&config_now, &basis->config))
        refuse(job, sf_refusal_config_changed(basis->config.version));
    else if (by_name && !sf_fake_current_exists(job, basis->token))
        refuse(job, sf_refusal_current_gone(basis->token));
    else if (!sf_version_same(&state_now, &basis->state))
        refuse(job, sf_refusal_state_changed(basis->token, basis->state.version));
    return job->to->outcome == SF_COORD_DONE;
}

static void put_claim(const struct sf_fake_job *job, const struct sf_coord_claim *claim)
{
    char path[SF_FAKE_PATH_SIZE];
    sf_fake_claim_path(job, claim->name, path);
    (void)put(job, path, sf_record_claim_encode(claim), job->session);
}

static void count_claims(const struct sf_fake_job *job)
{
    char prefix[SF_FAKE_PATH_SIZE];
    sf_fake_claim_path(job, "", prefix);
    const size_t first = sf_fake_tree_first(job->tree, prefix);
    size_t end = first;
    while (job->request->count_claims && sf_fake_is_below(job->tree, end, prefix))
        end++;
    job->to->claim_total = end - first;
}

static void do_claim(const struct sf_fake_job *job)
{
    if (!basis_holds(job, true))
        return;
    if (!sf_fake_datacenter_exists(job, job->tree)) {
        refuse(job, sf_refusal_no_datacenter(job->fleet, job->request->datacenter));
        return;
    }
    struct sf_coord_claim claim = sf_request_claim(job->request);
    claim.fence = job->tree->revision + 1;
    sf_claim_name_format(claim.guid, claim.fence, claim.name);
    put_claim(job, &claim);
    free(job->to->claims); /* of the first delivery, when a hop delivers it twice */
    job->to->claims = calloc(1, sizeof claim);
    SF_ASSERT(job->to->claims != NULL);
    job->to->claims[0] = claim;
    job->to->claim_count = 1;
    count_claims(job);
}

static void do_unclaim(const struct sf_fake_job *job)
{
    char path[SF_FAKE_PATH_SIZE];
    sf_fake_claim_path(job, job->request->u.claim_name, path);
    delete (job, path);
}

static bool claim_is_ours(const struct sf_fake_job *job)
{
    const char *name = job->request->u.write.slot.claim;
    char path[SF_FAKE_PATH_SIZE];
    sf_fake_claim_path(job, name, path);
    const struct sf_fake_node *claim = sf_fake_tree_find(job->tree, path);
    if (claim == NULL || claim->session != job->session)
        refuse(job, sf_refusal_claim_gone(name));
    return job->to->outcome == SF_COORD_DONE;
}

static void do_tell(const struct sf_fake_job *job)
{
    struct sf_coord_claim claim = sf_request_claim(job->request);
    if (!claim_is_ours(job))
        return;
    memcpy(claim.name, job->request->u.write.slot.claim, sizeof claim.name);
    put_claim(job, &claim);
}

static bool record_holds(const struct sf_fake_job *job)
{
    const struct sf_coord_write *write = &job->request->u.write;
    const uint64_t worker = write->slot.worker;
    struct sf_coord_slot there;
    struct sf_error err = {0};
    if (!claim_is_ours(job))
        return false;
    sf_fake_look_at_slot(job, job->tree, worker, &there, &err);
    if (there.state == SF_COORD_RECORD_MISSING)
        refuse(job, sf_refusal_slot_missing(worker));
    else if (there.state == SF_COORD_RECORD_GARBAGE)
        refuse(job,
               sf_refusal_slot_garbage(job->fleet, job->request->datacenter, worker, err.text));
    else if (!sf_version_same(&there.version, &write->expected.version) ||
             !sf_slot_content_same(&there, &write->expected))
        refuse(job, sf_refusal_slot_version(worker, write->expected.version.version));
    return job->to->outcome == SF_COORD_DONE;
}

static void store_slot(const struct sf_fake_job *job, const struct sf_coord_slot *slot)
{
    char path[SF_FAKE_PATH_SIZE];
    sf_fake_slot_path(job, job->request->basis.token, job->request->datacenter, slot->worker, path);
    job->to->version = put(job, path, sf_record_slot_encode(slot), 0);
}

static void do_write(const struct sf_fake_job *job)
{
    const struct sf_coord_write *write = &job->request->u.write;
    const enum sf_coord_op op = job->request->op;
    struct sf_coord_claim claim = sf_request_claim(job->request);
    if ((op != SF_COORD_RELEASE && !basis_holds(job, true)) || !record_holds(job))
        return;
    memcpy(claim.name, write->slot.claim, sizeof claim.name);
    store_slot(job, &write->slot);
    if (op == SF_COORD_BIND) {
        put_claim(job, &claim);
    } else if (op == SF_COORD_RELEASE) {
        char path[SF_FAKE_PATH_SIZE];
        sf_fake_claim_path(job, claim.name, path);
        delete (job, path);
    }
    count_claims(job);
}

static void do_halt(const struct sf_fake_job *job)
{
    if (!basis_holds(job, false))
        return;
    const char *token = job->request->basis.token;
    struct sf_coord_state *state = sf_fake_load_state(job, token);
    char path[SF_FAKE_PATH_SIZE];
    SF_ASSERT(state != NULL); /* at its version */
    sf_state_report(state, &job->request->u.report);
    sf_fake_state_path(job, token, path);
    job->to->version = put(job, path, sf_record_state_encode(state), 0);
    free(state);
}

/* The live claim that holds the slot, by its content. */
static bool holder_of(const struct sf_fake_job *job, uint64_t worker, char name[SF_COORD_CLAIM_MAX])
{
    char prefix[SF_FAKE_PATH_SIZE];
    sf_fake_claim_path(job, "", prefix);
    for (size_t i = sf_fake_tree_first(job->tree, prefix); sf_fake_is_below(job->tree, i, prefix);
         i++) {
        const struct sf_fake_node *node = &job->tree->nodes[i];
        struct sf_coord_claim claim = {.slot = -1};
        if (sf_record_claim_decode(node->bytes, node->size, &claim, NULL) == 0 &&
            claim.slot == (int64_t)worker) {
            snprintf(name, SF_COORD_CLAIM_MAX, "%s", node->path + strlen(prefix));
            return true;
        }
    }
    return false;
}

static void do_reset_slot(const struct sf_fake_job *job)
{
    const struct sf_coord_write *write = &job->request->u.write;
    const uint64_t worker = write->slot.worker;
    struct sf_coord_slot there;
    struct sf_error err = {0};
    char name[SF_COORD_CLAIM_MAX];
    if (!basis_holds(job, true))
        return;
    sf_fake_look_at_slot(job, job->tree, worker, &there, &err);
    if (holder_of(job, worker, name))
        refuse(job, sf_refusal_slot_held(job->request->datacenter, worker, name));
    else if (!sf_version_same(&there.version, &write->expected.version))
        refuse(job, sf_refusal_slot_version(worker, write->expected.version.version));
    else
        store_slot(job, &write->slot);
}

static void do_watch(const struct sf_fake_job *job)
{
    if (!sf_fake_datacenter_exists(job, job->tree))
        refuse(job, sf_refusal_no_datacenter(job->fleet, job->request->datacenter));
    else
        job->watch(job->watch_ctx, job->request);
}

void sf_fake_execute(const struct sf_fake_job *job)
{
    static void (*const table[SF_COORD_OPS])(const struct sf_fake_job *) = {
        [SF_COORD_READ_CONFIG] = do_read_config,
        [SF_COORD_INIT] = do_init,
        [SF_COORD_SURVEY] = do_survey,
        [SF_COORD_LIST] = do_list,
        [SF_COORD_PROBE] = do_probe,
        [SF_COORD_FIND] = do_find,
        [SF_COORD_READ_SLOT] = do_read_slot,
        [SF_COORD_CLAIM] = do_claim,
        [SF_COORD_UNCLAIM] = do_unclaim,
        [SF_COORD_TELL] = do_tell,
        [SF_COORD_BIND] = do_write,
        [SF_COORD_RENEW] = do_write,
        [SF_COORD_RELEASE] = do_write,
        [SF_COORD_HALT] = do_halt,
        [SF_COORD_RESET_SLOT] = do_reset_slot,
        [SF_COORD_WATCH] = do_watch};
    table[job->request->op](job);
}
