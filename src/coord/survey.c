/* coord/survey.c - see survey.h. */
#include "coord/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coord/state_record.h"

void sf_survey_begin(struct sf_coord_survey *survey)
{
    *survey = (struct sf_coord_survey){.reserved_until_ms = -1, .reported_until_ms = -1};
}

void sf_survey_garbage(struct sf_coord_survey *survey, const char *what, const char *why)
{
    if (survey->garbage++ == 0 && survey->why[0] == '\0')
        snprintf(survey->why, sizeof survey->why, "%.100s: %.140s", what, why);
}

void sf_survey_slot(struct sf_coord_survey *survey, const char *token, uint64_t datacenter,
                    const struct sf_coord_slot *slot, const char *why)
{
    if (slot->state == SF_COORD_RECORD_GARBAGE) {
        char what[96];
        snprintf(what, sizeof what, "%.32s/dc/%" PRIu64 "/slots/%" PRIu64, token, datacenter,
                 slot->worker);
        sf_survey_garbage(survey, what, why);
    }
    if (slot->state != SF_COORD_RECORD_OK)
        return;
    survey->records++;
    survey->ever_held += slot->fence > 0 || slot->reset;
    if (slot->reserved_until_ms <= survey->reserved_until_ms)
        return;
    survey->reserved_until_ms = slot->reserved_until_ms;
    snprintf(survey->token, sizeof survey->token, "%s", token);
    survey->datacenter = datacenter;
    survey->worker = slot->worker;
    memcpy(survey->node, slot->node, sizeof survey->node);
}

void sf_survey_state(struct sf_coord_survey *survey, const struct sf_coord_state *state,
                     bool of_config)
{
    const int64_t until_ms = sf_state_reported_until_ms(state);
    if (survey->reported_until_ms < until_ms)
        survey->reported_until_ms = until_ms;
    if (of_config)
        survey->halted = state->halted;
}
