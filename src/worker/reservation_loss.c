/* worker/reservation_loss.c - see reservation_loss.h. */
#include "worker/reservation_loss.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "coord/state_record.h"
#include "worker/reservation_moves.h"
#include "worker/reservation_tenure.h"

bool sf_res_is_lost(const struct sf_reservation *res, const char *token)
{
    for (unsigned i = 0; i < SF_RES_LOST_MAX; i++)
        if (res->lost[i][0] != '\0' && strcmp(res->lost[i], token) == 0)
            return true;
    return false;
}

static void remember_lost(struct sf_res_step *s, const char *token)
{
    struct sf_reservation *res = s->res;
    if (!sf_res_is_lost(res, token))
        snprintf(res->lost[res->lost_next++ % SF_RES_LOST_MAX], sizeof res->lost[0], "%s", token);
    s->out->save = true;
}

/* held_until_ms covers what was minted as well as what still may be. */
static void report_due(struct sf_res_step *s, const char *token, const struct sf_tenure *tenure,
                       int64_t last_ms, int64_t until_ms)
{
    struct sf_reservation *res = s->res;
    struct sf_coord_report *report = &res->notice.report;
    *report =
        (struct sf_coord_report){.datacenter = res->params.datacenter,
                                 .worker = tenure->worker,
                                 .held_until_ms = until_ms > last_ms + 1 ? until_ms : last_ms + 1,
                                 .last_ms = last_ms,
                                 .reported_ms = s->now->mint_ms};
    /* Of a write that was never answered, the record does not show our claim yet. */
    const bool ours = tenure->acked_ms != 0 || tenure->sent.claim[0] == '\0';
    memcpy(report->claim, ours ? tenure->record.claim : tenure->sent.claim, sizeof report->claim);
    snprintf(report->node, sizeof report->node, "%.*s", (int)sizeof report->node - 1,
             res->params.node);
    /* Without a claim there is nothing that somebody else could be told apart by. */
    res->notice.due = report->claim[0] != '\0';
    snprintf(res->notice.token, sizeof res->notice.token, "%s", res->notice.due ? token : "");
}

static void tell_loss(struct sf_res_step *s, const char *token, uint64_t worker,
                      const char *because)
{
    struct sf_reservation *res = s->res;
    res->stats.data_losses++;
    remember_lost(s, token);
    sf_res_log(s, SF_LOG_ERROR, "fleet.lost",
               "slot %" PRIu64 "/%" PRIu64
               ": the coordinator has lost data (%s); nothing more is claimed in this making (%s), "
               "the fleet is halted, and `snowfleet init --after-data-loss` makes it anew",
               res->params.datacenter, worker, because, token);
}

/* Nothing is held, yet what was minted is more than this making knows of: told by the slot that was
 * held last, by this process or by the one before it. */
static void lost_with_empty_hands(struct sf_res_step *s, const char *token, const char *because)
{
    struct sf_reservation *res = s->res;
    const struct sf_reservation_memory *memory = &res->memory;
    const struct sf_tenure before = {.worker = memory->worker, .record = memory->record};
    const struct sf_tenure *last = res->minted_once ? &res->hold : &before;
    const int64_t last_ms = res->minted_once ? sf_res_last_ms(res) : res->least_start_ms - 1;
    tell_loss(s, token, last->worker, because);
    report_due(s, token, last, last_ms, 0);
}

void sf_res_lost(struct sf_res_step *s, const char *token, int64_t limit_ms, const char *because)
{
    struct sf_reservation *res = s->res;
    struct sf_tenure *hold = &res->hold;
    if (!hold->active) {
        lost_with_empty_hands(s, token, because);
        return;
    }
    tell_loss(s, token, hold->worker, because);
    const int64_t last_ms = hold->opened ? sf_res_last_ms(res) : 0;
    sf_res_spend(s);
    if (res->orphan && hold->acked_ms > limit_ms)
        hold->acked_ms = limit_ms;
    report_due(s, token, hold, last_ms, res->orphan ? hold->acked_ms : 0);
    if (res->orphan && hold->acked_ms <= last_ms + 1) {
        sf_res_close(s, "nothing more may be minted in slot %" PRIu64 "/%" PRIu64 ": %s",
                     res->params.datacenter, hold->worker, because);
        hold->active = false;
        res->orphan = false;
    }
    sf_res_apply_limit(s);
}

void sf_res_lost_at_restart(struct sf_res_step *s, const char *token, const char *because)
{
    struct sf_reservation *res = s->res;
    tell_loss(s, token, res->bid.worker, because);
    report_due(s, token, &res->bid, res->least_start_ms - 1, res->least_start_ms);
}

/* The slot that we hold was reported by somebody else: he may mint below until_ms, we only from
 * there on. */
static void make_way(struct sf_res_step *s, int64_t until_ms)
{
    struct sf_reservation *res = s->res;
    struct sf_tenure *hold = &res->hold;
    if (!hold->active || hold->floor_ms >= until_ms || sf_res_last_ms(res) >= until_ms)
        return;
    if (sf_generator_is_closed(res->gen)) {
        hold->floor_ms = until_ms; /* where it begins if it is opened again */
        return;
    }
    char until[SF_TIME_TEXT_MAX];
    sf_res_close(s, "another worker reported slot %" PRIu64 "/%" PRIu64 " up to %s",
                 res->params.datacenter, hold->worker,
                 sf_format_time_ms(until_ms, until, sizeof until));
    if (res->suspended || res->leaving || sf_tenure_granted_ms(hold) <= until_ms + 1) {
        hold->active = false;
        res->orphan = false;
        return;
    }
    sf_res_open(s, until_ms);
}

static void halted(struct sf_res_step *s, const struct sf_coord_state *state)
{
    struct sf_reservation *res = s->res;
    const struct sf_coord_report *first = &state->reports[0];
    char at[SF_TIME_TEXT_MAX], left[SF_DURATION_TEXT_MAX];
    if (state->report_count > 0)
        snprintf(res->halted_why, sizeof res->halted_why,
                 "the fleet is halted: %.47s reported at %s that slot %" PRIu64 "/%" PRIu64
                 " had lost data; `snowfleet init --after-data-loss` makes it anew",
                 first->node, sf_format_time_ms(first->reported_ms, at, sizeof at),
                 first->datacenter, first->worker);
    else
        snprintf(res->halted_why, sizeof res->halted_why,
                 "the fleet is halted; `snowfleet init --after-data-loss` makes it anew");
    if (res->hold.active && strcmp(res->hold.token, res->config.token) == 0)
        make_way(s, sf_state_held_until_ms(state, res->params.datacenter, res->hold.worker,
                                           res->hold.record.claim));
    if (res->halted)
        return;
    res->halted = true;
    res->bid.active = false; /* nothing of it was ever minted */
    if (res->hold.active && !res->orphan && strcmp(res->hold.token, res->config.token) == 0)
        sf_res_spend(s);
    sf_res_log(
        s, SF_LOG_ERROR, "worker.halted", "%s; %s are left to spend", res->halted_why,
        sf_format_duration_ms(sf_reservation_left_ms(res, s->now->mint_ms), left, sizeof left));
}

void sf_res_state_read(struct sf_res_step *s, const struct sf_coord_state *state)
{
    struct sf_reservation *res = s->res;
    res->state_version = state != NULL ? state->version : (struct sf_coord_version){0, 0};
    if (state != NULL && state->halted) {
        halted(s, state);
        return;
    }
    res->halted = false;
    /* It was told, and the coordinator has been put back to before that. */
    if (strcmp(res->notice.token, res->config.token) == 0)
        res->notice.due = true;
}

bool sf_res_halt_ask(struct sf_res_step *s)
{
    struct sf_reservation *res = s->res;
    if (!res->notice.due)
        return false;
    /* Another making: its floor decided what we may still do, and it is not the one that lost. */
    if (strcmp(res->notice.token, res->config.token) != 0) {
        res->notice.due = false;
        return false;
    }
    if (res->state_version.incarnation == 0)
        return false; /* no state to write to: the making is not whole, and grants nothing */
    sf_res_request(s, SF_COORD_HALT)->u.report = res->notice.report;
    return true;
}

void sf_res_halt_answered(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    res->config_stale = true; /* its version has moved, by us or by somebody else */
    if (c->outcome != SF_COORD_DONE) {
        sf_res_failed(s, c);
        return;
    }
    res->notice.due = false;
    s->out->save = true;
    sf_res_progress(s);
    sf_res_log(s, SF_LOG_ERROR, "fleet.halted",
               "told the fleet that slot %" PRIu64 "/%" PRIu64 " has lost data, held up to %" PRId64
               " ms: nothing is granted any more",
               res->notice.report.datacenter, res->notice.report.worker,
               res->notice.report.held_until_ms);
}

bool sf_res_grants(struct sf_reservation *res)
{
    if (res->halted)
        sf_res_why(res, "%s", res->halted_why);
    else if (sf_res_is_lost(res, res->config.token))
        sf_res_why(res,
                   "the coordinator has lost data of this making (%s); `snowfleet init "
                   "--after-data-loss` makes the fleet anew",
                   res->config.token);
    else if (!res->current || res->state_version.incarnation == 0)
        sf_res_why(res,
                   "the fleet's making %s is not named: `snowfleet init` is under way, or was cut "
                   "off and must be run again",
                   res->config.token);
    else
        return true;
    return false;
}

void sf_res_other_making(struct sf_res_step *s, const struct sf_coord_config *config)
{
    struct sf_reservation *res = s->res;
    struct sf_tenure *hold = &res->hold;
    int64_t most_ms = res->least_start_ms;
    if (res->minted_once && most_ms < sf_res_last_ms(res) + 1)
        most_ms = sf_res_last_ms(res) + 1;
    if (hold->active && most_ms < sf_tenure_granted_ms(hold))
        most_ms = sf_tenure_granted_ms(hold);
    /* Claims and bids belonged to the making before. */
    res->bid.active = false;
    res->claim_status = SF_CLAIM_NONE;
    res->claim_bound = false;
    res->stray_count = 0;
    res->halted = false;
    res->watching = false;
    if (config->floor_ms < most_ms) {
        sf_res_lost(s, config->token, config->floor_ms,
                    "the fleet was made anew with a floor below what was minted here");
        return;
    }
    if (hold->active && !res->orphan)
        sf_res_spend(s);
    char floor[SF_TIME_TEXT_MAX], left[SF_DURATION_TEXT_MAX];
    sf_res_log(
        s, SF_LOG_WARN, "fleet.superseded",
        "the fleet was made anew (%s, floor %s); %s of the making before are left to spend",
        config->token, sf_format_time_ms(config->floor_ms, floor, sizeof floor),
        sf_format_duration_ms(sf_reservation_left_ms(res, s->now->mint_ms), left, sizeof left));
}
