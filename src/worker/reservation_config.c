/* The fleet's config: learning it, and what follows when it moves. */
#include "worker/reservation_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/exit_codes.h"
#include "base/parse.h"
#include "worker/reservation_loss.h"
#include "worker/reservation_moves.h"

static bool same_layout(const struct sf_layout *a, const struct sf_layout *b)
{
    return a->timestamp_bits == b->timestamp_bits && a->datacenter_bits == b->datacenter_bits &&
           a->worker_bits == b->worker_bits && a->sequence_bits == b->sequence_bits;
}

/* Does the fleet fit what this worker was told, and its own numbers? Writes the first difference.
 */
static bool config_fits(const struct sf_reservation *res, const struct sf_coord_config *config,
                        char *why, size_t size)
{
    const struct sf_reservation_params *params = &res->params;
    char theirs[SF_LAYOUT_TEXT_MAX], ours[SF_LAYOUT_TEXT_MAX];
    if (params->expect_fleet_id[0] != '\0' &&
        strcmp(params->expect_fleet_id, config->fleet_id) != 0) {
        snprintf(why, size, "fleet id: the coordinator has %s, this worker was told %s",
                 config->fleet_id, params->expect_fleet_id);
    } else if (params->expect_epoch && params->epoch_ms != config->epoch_ms) {
        snprintf(why, size,
                 "epoch_ms: the coordinator has %" PRId64 ", this worker was told %" PRId64,
                 config->epoch_ms, params->epoch_ms);
    } else if (params->expect_layout && !same_layout(&params->layout, &config->layout)) {
        snprintf(why, size, "layout: the coordinator has %s, this worker was told %s",
                 sf_layout_format(&config->layout, theirs),
                 sf_layout_format(&params->layout, ours));
    } else if (params->datacenter > sf_layout_max_datacenter(&config->layout)) {
        snprintf(why, size,
                 "fleet.datacenter %" PRIu64 ": the fleet's layout %s allows 0 to %" PRIu64,
                 params->datacenter, sf_layout_format(&config->layout, theirs),
                 sf_layout_max_datacenter(&config->layout));
    } else if (params->pinned_worker >= 0 &&
               (uint64_t)params->pinned_worker > sf_layout_max_worker(&config->layout)) {
        snprintf(why, size, "fleet.worker %" PRId64 ": the fleet's layout %s allows 0 to %" PRIu64,
                 params->pinned_worker, sf_layout_format(&config->layout, theirs),
                 sf_layout_max_worker(&config->layout));
    } else if (params->window_ms > config->max_window_ms) {
        snprintf(why, size,
                 "reservation.window_ms %" PRId64 ": the fleet was made for at most %" PRId64
                 " (max_window_ms)",
                 params->window_ms, config->max_window_ms);
    } else {
        bool listed = config->any_datacenter;
        for (unsigned i = 0; i < config->datacenter_count && !listed; i++)
            listed = config->datacenters[i] == params->datacenter;
        if (listed)
            return true;
        snprintf(why, size,
                 "fleet.datacenter %" PRIu64 " is not among the datacenters of the fleet's config",
                 params->datacenter);
    }
    return false;
}

/* A config that differs from the one we mint under. */
static bool config_moved(struct sf_res_step *s, const struct sf_coord_config *config)
{
    struct sf_reservation *res = s->res;
    char theirs[SF_LAYOUT_TEXT_MAX], ours[SF_LAYOUT_TEXT_MAX], why[SF_COORD_TEXT_MAX] = "";
    bool fits = false;
    if (strcmp(config->fleet_id, res->config.fleet_id) != 0) {
        sf_res_log(s, SF_LOG_ERROR, "fleet.replaced",
                   "the coordinator holds another fleet (%s, ours is %s): stopped minting at once",
                   config->fleet_id, res->config.fleet_id);
        sf_res_drop(s, "the coordinator holds another fleet");
        /* Restartable: the next start is a stranger there, or says that it was told another fleet. */
        sf_res_fatal(s, SF_EXIT_NOT_RELEASED,
                     "fleet id: the coordinator has %s, our reservations are from %s",
                     config->fleet_id, res->config.fleet_id);
        return true;
    }
    if (config->epoch_ms != res->config.epoch_ms)
        snprintf(why, sizeof why,
                 "epoch_ms: the coordinator has %" PRId64 ", this worker mints with %" PRId64,
                 config->epoch_ms, res->config.epoch_ms);
    else if (!same_layout(&config->layout, &res->config.layout))
        snprintf(why, sizeof why, "layout: the coordinator has %s, this worker mints with %s",
                 sf_layout_format(&config->layout, theirs),
                 sf_layout_format(&res->config.layout, ours));
    else
        fits = config_fits(res, config, why, sizeof why);
    if (fits)
        return false;
    const bool was = res->doomed;
    res->doomed = true;
    sf_res_why(res, "%s", why);
    if (!was)
        sf_res_log(s, SF_LOG_ERROR, "config.changed",
                   "%s; minting ends with the reservation (%" PRId64
                   " ms left), then the worker exits %d",
                   why, sf_reservation_left_ms(res, s->now->mint_ms), SF_EXIT_CONFIG);
    return true;
}

/* What the state file says of the fleet that the coordinator has now. */
static void recall(struct sf_res_step *s, const struct sf_coord_config *config)
{
    struct sf_reservation *res = s->res;
    const struct sf_reservation_memory *memory = &res->memory;
    if (!memory->valid || strcmp(memory->fleet_id, config->fleet_id) != 0)
        return;
    const int64_t last_ms =
        (int64_t)(memory->last_word >> config->layout.sequence_bits) + config->epoch_ms;
    res->least_start_ms = memory->not_before_ms;
    if (last_ms >= memory->not_before_ms + SF_GENERATOR_COPY_SPAN_MS) {
        sf_res_log(s, SF_LOG_WARN, "restart.forgotten",
                   "the state file says %" PRId64
                   " ms was minted, later than can have been: somebody wrote over it; "
                   "claiming like a stranger",
                   last_ms);
        res->memory.valid = false;
        s->out->forget = true;
        return;
    }
    if (res->least_start_ms <= last_ms)
        res->least_start_ms = last_ms + 1;
    if (strcmp(memory->token, config->token) == 0)
        return;
    /* The process before minted under another making: the same comparison as in a living one. */
    res->bid.worker = memory->worker;
    res->bid.record = memory->record;
    if (config->floor_ms < res->least_start_ms)
        sf_res_lost_at_restart(s, config->token,
                               "the fleet was made anew with a floor below what was minted here");
    res->memory.valid = false;
    s->out->forget = true;
    sf_res_log(s, SF_LOG_INFO, "restart.forgotten",
               "the state file is of another making (%s); minting starts at %" PRId64
               " ms or later",
               memory->token, res->least_start_ms);
}

static void config_first(struct sf_res_step *s, const struct sf_coord_config *config)
{
    struct sf_reservation *res = s->res;
    char why[SF_COORD_TEXT_MAX];
    if (!config_fits(res, config, why, sizeof why)) {
        sf_res_fatal(s, SF_EXIT_CONFIG, "%s; set the option, or point this worker at its own fleet",
                     why);
        return;
    }
    res->config = *config;
    res->config_known = true;
    recall(s, config);
    if (!res->memory.valid)
        atomic_store(res->word, SF_GENERATOR_CLOSED);
    sf_generator_init(res->gen, &config->layout, res->max_ahead_ms, res->word);
    sf_generator_keep_copy(res->gen, res->copy);
    res->generator_ready = true;
    char layout[SF_LAYOUT_TEXT_MAX], epoch[SF_TIME_TEXT_MAX];
    sf_res_log(s, SF_LOG_INFO, "fleet.config", "fleet %s, making %s, epoch %s, layout %s",
               config->fleet_id, config->token,
               sf_format_time_ms(config->epoch_ms, epoch, sizeof epoch),
               sf_layout_format(&config->layout, layout));
}

/* The same fleet, made anew since, and not yet judged by us? */
static bool is_other_making(const struct sf_reservation *res, const struct sf_coord_config *config)
{
    return strcmp(config->fleet_id, res->config.fleet_id) == 0 &&
           strcmp(config->token, res->config.token) != 0;
}

static void config_learned(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    const struct sf_coord_config *config = c->config;
    res->config_stale = false;
    if (!res->config_known) {
        config_first(s, config);
    } else {
        /* Before anything else that it says: how low it starts. */
        if (is_other_making(res, config))
            sf_res_other_making(s, config);
        if (config_moved(s, config) && s->out->finished)
            return;
        if (res->doomed && !res->hold.active) {
            sf_res_fatal(s, SF_EXIT_CONFIG, "%s", res->why); /* nothing is left to spend */
            return;
        }
        const struct sf_coord_config before = res->config;
        res->config = *config;
        if (res->doomed) { /* what is spent was reserved by these */
            res->config.epoch_ms = before.epoch_ms;
            res->config.layout = before.layout;
        }
    }
    if (s->out->finished)
        return;
    /* init draws a fresh token: this one can only come back with what was put back from a copy. */
    if (res->config_gone && strcmp(res->hold.token, config->token) == 0)
        sf_res_lost(s, config->token, INT64_MAX,
                    "its config was gone and is there again: it has been put back from a copy");
    res->config_gone = false;
    if (res->hold.absent) {
        res->hold.absent = false;
        if (c->current && strcmp(res->hold.token, config->token) == 0)
            sf_res_lost(s, config->token, INT64_MAX, "its record is not there any more");
    }
    if (!c->current && res->current)
        sf_res_log(s, SF_LOG_WARN, "fleet.unnamed",
                   "the fleet's making %s is not named: nothing is granted until `snowfleet init` "
                   "has been run to its end",
                   config->token);
    res->current = c->current;
    sf_res_state_read(s, c->state);
    res->fleet_due_mono_ms = s->now->mono_ms + SF_RES_FLEET_MS;
    sf_res_progress(s);
}

/* The latest time that anybody has told. */
static int64_t latest_ms(const struct sf_res_step *s)
{
    return s->now->trusted_ms > s->now->mint_ms ? s->now->trusted_ms : s->now->mint_ms;
}

/* Where nothing of this fleet ever was, it may start now; elsewhere somebody may still be minting. */
static void make_fleet(struct sf_res_step *s, const struct sf_coord_version *root, bool known)
{
    struct sf_reservation *res = s->res;
    struct sf_coord_init *init = &sf_res_request(s, SF_COORD_INIT)->u.init;
    init->config = res->params.init_config;
    init->config.floor_ms = latest_ms(s);
    if (known)
        init->config.floor_ms +=
            init->config.max_window_ms + res->params.max_behind_ms + SF_RES_LIMIT_MARGIN_MS;
    init->root = *root;
    init->survivor_max_ms = INT64_MAX;
    sf_hex128(s->now->random, init->config.token);
    for (size_t i = 0; i < sizeof init->seed; i += sizeof(uint64_t)) {
        const uint64_t word = sf_prng_next(&res->prng);
        memcpy(init->seed + i, &word, sizeof word);
    }
}

static void config_missing(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (res->config_known) {
        sf_res_drop(s, "the fleet's config is gone from the coordinator");
        s->out->forget = false; /* what it was will tell a restart whether it has been put back */
        res->config_gone = true;
        res->bid.active = false;
        res->current = false;
        sf_res_why(
            res, "%s",
            c->replaced
                ? c->text
                : "the fleet's config is gone from the coordinator: it was wiped, or somebody "
                  "deleted it; `snowfleet init --after-data-loss` makes the fleet anew");
        res->retry_at_mono_ms = s->now->mono_ms + SF_RES_FLEET_MS;
        return;
    }
    const bool known = c->version.incarnation != 0 || res->params.fleet_known;
    if (res->params.auto_init && !(known && res->params.first_only)) {
        make_fleet(s, &c->version, known);
        return;
    }
    sf_res_why(res, "%s", c->text[0] != '\0' ? c->text : "the fleet has no config");
    sf_res_log(s, SF_LOG_WARN, "fleet.missing", "%s", res->why);
    sf_res_backoff(s);
}

/* Without one nothing could be written on what was read. */
static bool has_versions(const struct sf_coord_completion *c)
{
    return c->config->version.incarnation != 0 &&
           (c->state == NULL || c->state->version.incarnation != 0);
}

static void config_unversioned(struct sf_res_step *s)
{
    s->res->config_stale = true;
    sf_res_why(s->res, "the coordinator gave the fleet's config without its version");
    sf_res_log(s, SF_LOG_WARN, "coordinator.failed", "read_config: %s", s->res->why);
    sf_res_backoff(s);
}

void sf_res_config_read(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    if (c->outcome == SF_COORD_DONE && !has_versions(c))
        config_unversioned(s);
    else if (c->outcome == SF_COORD_DONE)
        config_learned(s, c);
    else if (c->outcome == SF_COORD_REFUSED && c->reason == SF_COORD_MISSING)
        config_missing(s, c);
    else
        sf_res_failed(s, c);
}

void sf_res_config_made(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    /* Whatever happened, the config that is there now is the fleet's: read it. */
    if (c->outcome == SF_COORD_DONE)
        sf_res_log(s, SF_LOG_INFO, "fleet.created", "made the fleet's config");
    else if (!(c->outcome == SF_COORD_REFUSED && c->reason == SF_COORD_EXISTS))
        sf_res_failed(s, c);
}
