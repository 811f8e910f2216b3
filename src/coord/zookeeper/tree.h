/* coord/zookeeper/tree.h - INIT's tree: what is made before it is named. Directories one by one,
 * parents first (requests of one session are done in order); the slots' records in batches; the
 * state last, so that a tree that has one is whole. Nothing is ever written into a tree that this
 * very INIT has not begun. */
#ifndef SF_COORD_ZOOKEEPER_TREE_H
#define SF_COORD_ZOOKEEPER_TREE_H

#include "coord/zookeeper/survey.h"

/* The work of an INIT. */
struct sf_zk_making {
    struct sf_zk_surveying surveying; /* first */
    struct sf_coord_config config;    /* to write; its floor as planned */
    struct sf_coord_version there;    /* the config's that it replaces; {0,0}: there is none */
    struct sf_coord_version root;     /* as read, or as we have written it last */
    size_t shared;                    /* directories above the root: chroot and /snowfleet */
    struct sf_zk_names *currents;     /* current-*, with their versions */
    uint64_t *current_versions;
    struct sf_zk_names *survivors; /* children of the root, after unnaming */
    void (*listed)(struct sf_zk *z, struct sf_zk_job *job); /* what follows them */
    void (*made)(struct sf_zk *z, struct sf_zk_job *job);   /* what follows the tree */
    int named_rc;                                           /* the answer to the last step */
    bool unsettled;
};

/* The chroot, /snowfleet and the fleet's root, whose version it fills in; finishes the job when
 * somebody else has made it meanwhile. */
void sf_zk_make_root(struct sf_zk *z, struct sf_zk_job *job,
                     void (*then)(struct sf_zk *z, struct sf_zk_job *job));

/* The tree of making->config. */
void sf_zk_make_tree(struct sf_zk *z, struct sf_zk_job *job,
                     void (*then)(struct sf_zk *z, struct sf_zk_job *job));

#endif
