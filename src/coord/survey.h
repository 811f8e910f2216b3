/* coord/survey.h - what SURVEY and INIT gather of a fleet's makings, record by record. Pure; one thread
 * a survey.
 */
#ifndef SF_COORD_SURVEY_H
#define SF_COORD_SURVEY_H

#include "coord/types.h"

/* Nothing seen yet. */
void sf_survey_begin(struct sf_coord_survey *survey);
/* A slot record that was read: OK counts with its reservation, GARBAGE as garbage, MISSING not. why:
 * GARBAGE: what its decoder says. */
void sf_survey_slot(struct sf_coord_survey *survey, const char *token, uint64_t datacenter,
                    const struct sf_coord_slot *slot, const char *why);
/* The state of a making that was read. of_config: it is the one that the config names. */
void sf_survey_state(struct sf_coord_survey *survey, const struct sf_coord_state *state,
                     bool of_config);
/* Anything else that is garbage (a state, a config): what, and what its decoder says. */
void sf_survey_garbage(struct sf_coord_survey *survey, const char *what, const char *why);

#endif
