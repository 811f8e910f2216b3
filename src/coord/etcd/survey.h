/* coord/etcd/survey.h - SURVEY: everything that etcd still holds of a fleet, page by page; for INIT
 * too. */
#ifndef SF_COORD_ETCD_SURVEY_H
#define SF_COORD_ETCD_SURVEY_H

#include "coord/etcd/job.h"

/* How far a survey is. */
struct sf_etcd_surveying {
    char token[SF_COORD_TOKEN_SIZE]; /* of the making whose claims count as live ones; "": none */
    char last[SF_ETCD_KEY_MAX];      /* the last key that was read; "": none yet */
    struct sf_coord_survey found;
};

void sf_etcd_survey_begin(struct sf_etcd_surveying *surveying, const char *token);
/* Asks for the next page. */
void sf_etcd_survey_page(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_surveying *surveying);
/* Takes a page in. 1: it was the last one; 0: there are more; -1: it cannot be read. */
int sf_etcd_survey_take(const struct sf_etcd *etcd, struct sf_etcd_surveying *surveying,
                        const struct sf_etcd_result *result);

void sf_etcd_survey_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_survey_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                           const struct sf_etcd_result *result);
void sf_etcd_survey_free(void *work);

#endif
