/* INIT on the simulated coordinator, in the steps of coord/init_plan.h: each of them is one atomic
 * step, and anything may happen between two of them. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/init_plan.h"
#include "coord/survey.h"
#include "coord/version.h"
#include "store.h"

static struct sf_coord_version config_version(const struct sim_store *store)
{
    return store->now.has_config ? store->now.config.version : (struct sf_coord_version){0, 0};
}

static bool raced(const struct sim_store *store, const struct sim_making *making,
                  struct sf_refusal *ret_refusal)
{
    const struct sf_coord_version config = config_version(store);
    if (sf_version_same(&store->now.root, &making->root) &&
        sf_version_same(&config, &making->init.config.version))
        return false;
    *ret_refusal = sf_refusal_config_raced(SIM_ROOT, making->init.after_data_loss);
    return true;
}

static enum sf_init_verdict plan(const struct sim_store *store, struct sim_making *making,
                                 struct sf_refusal *ret_refusal)
{
    const struct sf_init_found found = {.state = store->now.has_config ? SF_COORD_RECORD_OK
                                                                       : SF_COORD_RECORD_MISSING,
                                        .config = &store->now.config,
                                        .version = config_version(store),
                                        .why = ""};
    return sf_init_plan_config(&making->init, SIM_ROOT, &found, &making->config, ret_refusal);
}

static void move_root(struct sim_store *store, struct sim_making *making)
{
    struct sf_coord_version *root = &store->now.root;
    *root = root->incarnation != 0 ? sim_store_written(store, root) : sim_store_created(store);
    making->root = *root;
    for (unsigned i = 0; i < store->now.tree_count; i++)
        store->now.trees[i]->named = false;
    store->fleet_changes++;
}

bool sim_making_begin(struct sim_store *store, struct sim_making *making,
                      struct sf_refusal *ret_refusal)
{
    making->root = making->init.root;
    if (plan(store, making, ret_refusal) != SF_INIT_GO || raced(store, making, ret_refusal))
        return false;
    if (making->init.after_data_loss)
        move_root(store, making);
    return true;
}

void sim_making_survey(const struct sim_store *store, struct sf_coord_survey *ret)
{
    const struct sim_content *now = &store->now;
    const char *token = now->has_config ? now->config.token : "";
    const struct sim_tree *ours = sim_content_tree(now, token);
    static const struct sf_coord_state fresh;
    sf_survey_begin(ret);
    ret->root = now->root;
    for (unsigned t = 0; t < now->tree_count; t++) {
        const struct sim_tree *tree = now->trees[t];
        ret->trees++;
        ret->currents += tree->named;
        sf_survey_state(ret, tree->state != NULL ? tree->state : &fresh, tree == ours);
        for (unsigned d = 0; d < store->datacenters; d++)
            for (unsigned i = 0; i < store->slot_count; i++)
                sf_survey_slot(ret, tree->token, d, &tree->slots[d][i].slot, "");
    }
    for (unsigned i = 0; i < SIM_CLAIMS_MAX && ours != NULL; i++)
        ret->live_claims += now->claims[i].live && now->claims[i].making == ours->making &&
                            now->claims[i].claim.slot >= 0;
}

bool sim_making_floor(struct sim_store *store, struct sim_making *making,
                      struct sf_refusal *ret_refusal)
{
    struct sf_coord_survey survey;
    sim_making_survey(store, &survey);
    return sf_init_plan_floor(&making->init, SIM_ROOT,
                              making->init.after_data_loss ? &survey : NULL,
                              &making->config.floor_ms, ret_refusal) == 0;
}

void sim_making_tree(struct sim_store *store, const struct sim_making *making, int64_t now_ms)
{
    const struct sf_coord_config *config = &making->config;
    struct sim_tree *tree = calloc(1, sizeof *tree);
    SF_ASSERT(tree != NULL && store->now.tree_count < SIM_MAKINGS_MAX);
    memcpy(tree->token, config->token, sizeof tree->token);
    tree->making = sim_book_making(&store->book, config->token);
    for (size_t i = 0; i < sf_init_datacenter_count(config); i++) {
        const uint64_t d = sf_init_datacenter(config, i);
        for (unsigned w = 0; w < sf_init_worker_count(config); w++) {
            struct sf_coord_slot *slot = &tree->slots[d][w].slot;
            sf_init_slot(&making->init, config->floor_ms, d, w, now_ms, slot);
            slot->version = sim_store_created(store);
            slot->canonical = true;
        }
    }
    tree->state_version = sim_store_created(store);
    store->now.trees[store->now.tree_count++] = tree;
}

bool sim_making_name(struct sim_store *store, struct sim_making *making,
                     struct sf_refusal *ret_refusal)
{
    struct sim_tree *tree = sim_content_tree(&store->now, making->config.token);
    if (tree == NULL || raced(store, making, ret_refusal)) {
        if (tree == NULL)
            *ret_refusal = sf_refusal_config_raced(SIM_ROOT, making->init.after_data_loss);
        return plan(store, making, ret_refusal) == SF_INIT_DONE;
    }
    const struct sf_coord_version before = config_version(store);
    move_root(store, making);
    tree->named = true;
    store->now.config = making->config;
    store->now.config.version =
        store->now.has_config ? sim_store_written(store, &before) : sim_store_created(store);
    store->now.has_config = true;
    return true;
}
