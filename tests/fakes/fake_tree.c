/* fakes/fake_tree.c - see fake_tree.h. */
#include "fakes/fake_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static void node_free(struct sf_fake_node *node)
{
    free(node->path);
    free(node->bytes);
}

static char *copy_bytes(const char *bytes, size_t size)
{
    char *copy = malloc(size + 1);
    SF_ASSERT(copy != NULL);
    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

void sf_fake_tree_clear(struct sf_fake_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        node_free(&tree->nodes[i]);
    free(tree->nodes);
    tree->nodes = NULL;
    tree->count = tree->capacity = 0;
}

void sf_fake_tree_copy(const struct sf_fake_tree *from, struct sf_fake_tree *to)
{
    sf_fake_tree_clear(to);
    to->revision = from->revision;
    to->nodes = calloc(from->count + 1, sizeof *to->nodes);
    SF_ASSERT(to->nodes != NULL);
    to->count = to->capacity = from->count;
    for (size_t i = 0; i < from->count; i++) {
        to->nodes[i] = from->nodes[i];
        to->nodes[i].path = copy_bytes(from->nodes[i].path, strlen(from->nodes[i].path));
        to->nodes[i].bytes = copy_bytes(from->nodes[i].bytes, from->nodes[i].size);
    }
}

size_t sf_fake_tree_first(const struct sf_fake_tree *tree, const char *prefix)
{
    size_t low = 0, high = tree->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(tree->nodes[middle].path, prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct sf_fake_node *sf_fake_tree_find(const struct sf_fake_tree *tree, const char *path)
{
    size_t at = sf_fake_tree_first(tree, path);
    return at < tree->count && strcmp(tree->nodes[at].path, path) == 0 ? &tree->nodes[at] : NULL;
}

static struct sf_fake_node *insert(struct sf_fake_tree *tree, const char *path)
{
    size_t at = sf_fake_tree_first(tree, path);
    if (tree->count == tree->capacity) {
        tree->capacity = tree->capacity * 2 + 16;
        tree->nodes = realloc(tree->nodes, tree->capacity * sizeof *tree->nodes);
        SF_ASSERT(tree->nodes != NULL);
    }
    memmove(&tree->nodes[at + 1], &tree->nodes[at], (tree->count - at) * sizeof *tree->nodes);
    tree->count++;
    tree->nodes[at] = (struct sf_fake_node){.path = copy_bytes(path, strlen(path)),
                                            .version = {tree->revision, 0}};
    return &tree->nodes[at];
}

struct sf_fake_node *sf_fake_tree_put(struct sf_fake_tree *tree, const char *path,
                                      const char *bytes, size_t size, uint64_t session)
{
    tree->revision++;
    struct sf_fake_node *node = sf_fake_tree_find(tree, path);
    if (node == NULL)
        node = insert(tree, path);
    char *copy = copy_bytes(bytes, size);
    free(node->bytes);
    node->bytes = copy;
    node->size = size;
    node->session = session;
    node->version.version++;
    return node;
}

void sf_fake_tree_delete(struct sf_fake_tree *tree, const char *path)
{
    struct sf_fake_node *node = sf_fake_tree_find(tree, path);
    if (node == NULL)
        return;
    node_free(node);
    size_t at = (size_t)(node - tree->nodes);
    memmove(node, node + 1, (tree->count - at - 1) * sizeof *node);
    tree->count--;
    tree->revision++;
}

void sf_fake_tree_delete_session(struct sf_fake_tree *tree, uint64_t session)
{
    size_t kept = 0;
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->nodes[i].session == session)
            node_free(&tree->nodes[i]);
        else
            tree->nodes[kept++] = tree->nodes[i];
    }
    if (kept != tree->count)
        tree->revision++;
    tree->count = kept;
}
