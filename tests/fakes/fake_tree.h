/* fakes/fake_tree.h - what the coordinator in memory keeps: bytes by path, with versions, as a tree
 * that can be copied whole. Paths are those of docs/uniqueness.md below the root, with the fleet in
 * front: "/prod/<token>/dc/0/slots/3". One thread. */
#ifndef SF_FAKES_FAKE_TREE_H
#define SF_FAKES_FAKE_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "coord/coord.h"

struct sf_fake_node {
    char *path;
    char *bytes; /* NUL-terminated for convenience */
    size_t size;
    struct sf_coord_version
        version;      /* incarnation: the revision that made it; version: writes since, from 1 */
    uint64_t session; /* 0: durable; else gone with this session */
};

struct sf_fake_tree {
    struct sf_fake_node *nodes; /* sorted by path */
    size_t count, capacity;
    uint64_t revision; /* grows with every write */
};

void sf_fake_tree_clear(struct sf_fake_tree *tree); /* keeps the revision */
void sf_fake_tree_copy(const struct sf_fake_tree *from,
                       struct sf_fake_tree *to); /* `to` is cleared first */
struct sf_fake_node *sf_fake_tree_find(const struct sf_fake_tree *tree, const char *path);
/* Makes or overwrites. The pointer is good until the next change. */
struct sf_fake_node *sf_fake_tree_put(struct sf_fake_tree *tree, const char *path,
                                      const char *bytes, size_t size, uint64_t session);
void sf_fake_tree_delete(struct sf_fake_tree *tree, const char *path);
/* Index of the first node whose path is not below prefix's start; nodes below prefix follow one
 * another. */
size_t sf_fake_tree_first(const struct sf_fake_tree *tree, const char *prefix);
void sf_fake_tree_delete_session(struct sf_fake_tree *tree, uint64_t session);

#endif
