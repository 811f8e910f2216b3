/* coord/etcd/fleet.h - what belongs to a fleet as a whole: READ_CONFIG, HALT, and the conditions of its
 * making that every grant has (config, current-<token> by name, state). */
#ifndef SF_COORD_ETCD_FLEET_H
#define SF_COORD_ETCD_FLEET_H

#include "coord/etcd/body.h"
#include "coord/etcd/job.h"

/* What is there of the config in an answer's range: ret is filled when it is OK, of any format; err
 * (always) when it is GARBAGE. */
enum sf_coord_record_state sf_etcd_config_from(const struct sf_etcd_range *range,
                                               struct sf_coord_config *ret, struct sf_error *err);
/* The version of the one key in a range; {0, 0}: there is none. */
struct sf_coord_version sf_etcd_version_from(const struct sf_etcd_range *range);

/* The keys of a basis, its compares, and the reads that tell which of them did not hold. */
#define SF_ETCD_BASIS_COMPARES 5
#define SF_ETCD_BASIS_GETS     3
struct sf_etcd_basis {
    char config[SF_ETCD_KEY_MAX], current[SF_ETCD_KEY_MAX], state[SF_ETCD_KEY_MAX];
    struct sf_etcd_compare compares[SF_ETCD_BASIS_COMPARES]; /* the one of `current` is the last */
    struct sf_etcd_op gets[SF_ETCD_BASIS_GETS];
};
/* ret must stay where it is: its compares and reads point into it. */
void sf_etcd_basis_of(const struct sf_etcd *etcd, const struct sf_coord_basis *from,
                      struct sf_etcd_basis *ret);
/* By the first three answers of the failure branch: 1: the basis did not hold, and ret_refusal says
 * why; 0: it held; -1: they cannot be read. by_name: `current` was a condition. */
int sf_etcd_basis_refusal(const struct sf_etcd *etcd, const struct sf_coord_basis *basis,
                          bool by_name, const struct sf_etcd_result *result,
                          struct sf_refusal *ret_refusal);

void sf_etcd_config_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_config_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                           const struct sf_etcd_result *result);
void sf_etcd_config_free(void *work);
void sf_etcd_halt_start(struct sf_etcd *etcd, struct sf_etcd_job *job);
void sf_etcd_halt_answer(struct sf_etcd *etcd, struct sf_etcd_job *job,
                         const struct sf_etcd_result *result);

#endif
