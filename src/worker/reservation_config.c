/* The fleet's config: learning it, and what follows when it moves. */
#include "worker/reservation_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/exit_codes.h"
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
    if (strcmp(config->fleet_id, res->config.fleet_id) != 0) {
        sf_res_drop(s, "the coordinator holds another fleet");
        sf_res_fatal(s, SF_EXIT_CONFIG,
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
    if (why[0] == '\0' && config_fits(res, config, why, sizeof why))
        return false;
    res->doomed = true;
    sf_res_why(res, "%s", why);
    sf_res_log(s, SF_LOG_ERROR, "config.changed",
               "%s; minting ends with the reservation (%" PRId64
               " ms left), then the worker exits %d",
               why, sf_reservation_left_ms(res, s->now->mint_ms), SF_EXIT_CONFIG);
    return true;
}

static void config_learned(struct sf_res_step *s, const struct sf_coord_config *config)
{
    struct sf_reservation *res = s->res;
    char why[SF_COORD_TEXT_MAX];
    if (res->config_known) {
        res->config_stale = false;
        if (config_moved(s, config))
            return;
        res->config = *config;
        sf_res_progress(s);
        return;
    }
    if (!config_fits(res, config, why, sizeof why)) {
        sf_res_fatal(s, SF_EXIT_CONFIG, "%s; set the option, or point this worker at its own fleet",
                     why);
        return;
    }
    res->config = *config;
    res->config_known = true;
    res->config_stale = false;
    if (!res->memory.valid)
        atomic_store(res->word, SF_GENERATOR_CLOSED);
    sf_generator_init(res->gen, &config->layout, res->max_ahead_ms, res->word);
    res->generator_ready = true;
    char layout[SF_LAYOUT_TEXT_MAX];
    sf_res_log(s, SF_LOG_INFO, "fleet.config", "fleet %s, epoch %" PRId64 " ms, layout %s",
               config->fleet_id, config->epoch_ms, sf_layout_format(&config->layout, layout));
    sf_res_progress(s);
}

static void config_missing(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    struct sf_reservation *res = s->res;
    if (res->config_known) {
        sf_res_drop(s, "the fleet's config is gone from the coordinator");
        sf_res_backoff(s);
        return;
    }
    if (res->params.auto_init) {
        struct sf_coord_init *init = &sf_res_request(s, SF_COORD_INIT)->u.init;
        init->config = res->params.init_config;
        return;
    }
    sf_res_why(res, "%s",
               c->text[0] != '\0' ? c->text : "the fleet has no config: run `snowfleet init`");
    sf_res_log(s, SF_LOG_WARN, "fleet.missing", "%s", res->why);
    sf_res_backoff(s);
}

void sf_res_config_read(struct sf_res_step *s, const struct sf_coord_completion *c)
{
    if (c->outcome == SF_COORD_DONE)
        config_learned(s, c->config);
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
