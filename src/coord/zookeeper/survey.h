/* coord/zookeeper/survey.h - SURVEY, and what INIT needs of it: every record of every making below
 * the fleet's root. One listing after the other, then the records, at most SF_ZK_WINDOW requests at
 * a time. */
#ifndef SF_COORD_ZOOKEEPER_SURVEY_H
#define SF_COORD_ZOOKEEPER_SURVEY_H

#include "coord/zookeeper/call.h"
#include "coord/zookeeper/names.h"

/* The first member of the work of a job that surveys. */
struct sf_zk_surveying {
    struct sf_coord_survey found;
    char token[SF_COORD_TOKEN_SIZE]; /* whose claims count and whose state tells; "": nobody's */
    void (*then)(struct sf_zk *z, struct sf_zk_job *job);
    struct sf_zk_names *trees;
    struct sf_zk_survey_list { /* a directory of slots or claims */
        const char *token;     /* of trees */
        uint64_t datacenter;
        bool claims;
    } * lists;
    size_t list_count, list_room;
    struct sf_zk_survey_item { /* a slot's record or a claim */
        size_t list;
        uint64_t worker;
        char *claim; /* NULL: a slot */
    } * items;
    size_t item_count, item_room;
};

void sf_zk_survey(struct sf_zk *z, struct sf_zk_job *job);
void sf_zk_survey_free(void *work);

/* From the children of the root, which it takes over, to `then`. The job's work is a struct
 * sf_zk_surveying with token and then filled in. */
void sf_zk_survey_trees(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_names *children);
/* What it has gathered, but for `found`. */
void sf_zk_survey_drop(struct sf_zk_surveying *surveying);

#endif
