/* What the simulated coordinator holds, as a whole: looked up, copied, wiped, put back. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store.h"

struct sim_claim *sim_content_claim(struct sim_content *content, const char *token,
                                    const char *name)
{
    const struct sim_tree *tree = sim_content_tree(content, token);
    for (unsigned i = 0; i < SIM_CLAIMS_MAX && tree != NULL; i++)
        if (content->claims[i].live && content->claims[i].making == tree->making &&
            strcmp(content->claims[i].claim.name, name) == 0)
            return &content->claims[i];
    return NULL;
}

struct sim_tree *sim_content_tree(const struct sim_content *content, const char *token)
{
    for (unsigned i = content->tree_count; i-- > 0;)
        if (strcmp(content->trees[i]->token, token) == 0)
            return content->trees[i];
    return NULL;
}

struct sim_tree *sim_content_granting(const struct sim_content *content)
{
    struct sim_tree *tree =
        content->has_config ? sim_content_tree(content, content->config.token) : NULL;
    return tree != NULL && tree->named && tree->state == NULL ? tree : NULL;
}

struct sim_content *sim_content_copy(const struct sim_content *content)
{
    struct sim_content *copy = malloc(sizeof *copy);
    SF_ASSERT(copy != NULL);
    *copy = *content;
    for (unsigned i = 0; i < copy->tree_count; i++) {
        struct sim_tree *tree = malloc(sizeof *tree);
        SF_ASSERT(tree != NULL);
        *tree = *content->trees[i];
        if (tree->state != NULL) {
            tree->state = malloc(sizeof *tree->state);
            SF_ASSERT(tree->state != NULL);
            *tree->state = *content->trees[i]->state;
        }
        copy->trees[i] = tree;
    }
    return copy;
}

static void drop_trees(struct sim_content *content)
{
    for (unsigned i = 0; i < content->tree_count; i++) {
        free(content->trees[i]->state);
        free(content->trees[i]);
    }
    content->tree_count = 0;
}

void sim_content_free(struct sim_content *content)
{
    if (content == NULL)
        return;
    drop_trees(content);
    free(content);
}

void sim_store_wipe(struct sim_store *store)
{
    drop_trees(&store->now);
    memset(&store->now, 0, sizeof store->now);
    store->fleet_changes++;
}

/* A record that is older than what was granted meanwhile, in whichever making: the coordinator has
 * forgotten that. */
static void mark_forgotten(struct sim_store *store, struct sim_tree *tree)
{
    for (unsigned d = 0; d < store->datacenters; d++)
        for (unsigned i = 0; i < store->slot_count; i++)
            tree->slots[d][i].acked_ms = sim_book_end_ms(&store->book.slots[d][i]);
}

void sim_store_put_back(struct sim_store *store, const struct sim_content *copy)
{
    struct sim_content *now = sim_content_copy(copy);
    for (unsigned i = 0; i < now->tree_count; i++)
        mark_forgotten(store, now->trees[i]);
    drop_trees(&store->now);
    store->now = *now;
    free(now);
    store->fleet_changes++;
}
