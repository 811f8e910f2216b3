/* coord/init_plan.c - see init_plan.h. */
#include "coord/init_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "coord/records.h"
#include "coord/version.h"

size_t sf_init_datacenter_count(const struct sf_coord_config *config)
{
    return config->any_datacenter ? (size_t)sf_layout_max_datacenter(&config->layout) + 1
                                  : config->datacenter_count;
}

uint64_t sf_init_datacenter(const struct sf_coord_config *config, size_t index)
{
    SF_ASSERT(index < sf_init_datacenter_count(config));
    return config->any_datacenter ? index : config->datacenters[index];
}

size_t sf_init_worker_count(const struct sf_coord_config *config)
{
    return (size_t)sf_layout_max_worker(&config->layout) + 1;
}

/* What we write must be readable by ourselves. */
static int check_readable(const struct sf_coord_config *config, struct sf_error *err)
{
    struct sf_coord_config *back = calloc(1, sizeof *back);
    SF_ASSERT(back != NULL);
    char *record = sf_record_config_encode(config);
    const int rc = sf_record_config_decode(record, strlen(record), back, err);
    free(record);
    free(back);
    if (rc < 0) {
        sf_error_prefix(err, "the config to write");
        return -EINVAL;
    }
    return 0;
}

int sf_init_check(const struct sf_coord_config *config, struct sf_error *err)
{
    const struct sf_layout *layout = &config->layout;
    const char *reason = NULL;
    if (sf_layout_validate(layout, &reason) < 0)
        return sf_error_set(err, -EINVAL, "the layout: %s", reason);
    if (layout->worker_bits > SF_COORD_WORKER_BITS_MAX ||
        layout->datacenter_bits > SF_COORD_DATACENTER_BITS_MAX)
        return sf_error_set(err, -EINVAL,
                            "the layout has %u datacenter and %u worker bits; allowed are up to %d "
                            "and %d, since every slot gets a record",
                            layout->datacenter_bits, layout->worker_bits,
                            SF_COORD_DATACENTER_BITS_MAX, SF_COORD_WORKER_BITS_MAX);
    if (!config->any_datacenter && config->datacenter_count > SF_COORD_DATACENTERS_MAX)
        return sf_error_set(err, -EINVAL, "%u datacenters are named, at most %d are allowed",
                            config->datacenter_count, SF_COORD_DATACENTERS_MAX);
    const uint64_t slots =
        (uint64_t)sf_init_datacenter_count(config) * sf_init_worker_count(config);
    if (slots > SF_COORD_RECORDS_MAX)
        return sf_error_set(err, -EINVAL,
                            "%" PRIu64 " slots need as many records, at most %d are allowed: name "
                            "fewer datacenters or use fewer worker bits",
                            slots, SF_COORD_RECORDS_MAX);
    if (!sf_token_is_valid(config->token))
        return sf_error_set(err, -EINVAL, "\"%.32s\" names no making of the fleet", config->token);
    if (config->incarnation > INT64_MAX)
        return sf_error_set(err, -EINVAL, "the incarnation %" PRIu64 " is not 0 to %" PRId64,
                            config->incarnation, INT64_MAX);
    return check_readable(config, err);
}

#define EPOCH_SECONDS_MAX                                                                          \
    INT64_C(100000000000) /* as milliseconds: in 1973; as seconds: far ahead */
#define YEAR_MS INT64_C(31536000000)

int sf_init_check_epoch(const struct sf_coord_config *config, int64_t now_ms, struct sf_error *err)
{
    const int64_t epoch_ms = config->epoch_ms;
    char date[SF_TIME_TEXT_MAX], meant[SF_TIME_TEXT_MAX];
    sf_format_time_ms(epoch_ms, date, sizeof date);
    if (epoch_ms > 0 && epoch_ms < EPOCH_SECONDS_MAX)
        return sf_error_set(err, -EINVAL,
                            "the epoch %" PRId64 " is %s; if it was given in seconds, %" PRId64
                            " (milliseconds) is %s",
                            epoch_ms, date, epoch_ms * 1000,
                            sf_format_time_ms(epoch_ms * 1000, meant, sizeof meant));
    if (epoch_ms > now_ms)
        return sf_error_set(err, -EINVAL,
                            "the epoch %" PRId64
                            " is %s, in the future: no ID could be minted before",
                            epoch_ms, date);
    const uint64_t span_ms = sf_layout_max_timestamp(&config->layout);
    const uint64_t gone_ms = (uint64_t)now_ms - (uint64_t)epoch_ms;
    if (span_ms < gone_ms || span_ms - gone_ms < (uint64_t)YEAR_MS)
        return sf_error_set(
            err, -EINVAL,
            "with the epoch %" PRId64 " (%s) and %u timestamp bits the last timestamp is "
            "%s: less than a year is left; use a later epoch or more timestamp bits",
            epoch_ms, date, config->layout.timestamp_bits,
            sf_format_time_ms(sf_config_last_ms(config), meant, sizeof meant));
    return 0;
}

enum sf_init_verdict sf_init_plan_config(const struct sf_coord_init *init, const char *root,
                                         const struct sf_init_found *found,
                                         struct sf_coord_config *ret_config,
                                         struct sf_refusal *ret_refusal)
{
    const bool there = found->state == SF_COORD_RECORD_OK;
    if (there && strcmp(found->config->token, init->config.token) == 0)
        return SF_INIT_DONE;
    if (there && !init->after_data_loss) {
        *ret_refusal = sf_refusal_fleet_exists(root, found->config->fleet_id);
        return SF_INIT_REFUSED;
    }
    if (found->state == SF_COORD_RECORD_GARBAGE && !init->after_data_loss) {
        *ret_refusal = sf_refusal_config_garbage(root, found->why);
        return SF_INIT_REFUSED;
    }
    const struct sf_coord_version none = {0, 0};
    const struct sf_coord_version *now =
        found->state == SF_COORD_RECORD_MISSING ? &none : &found->version;
    if (!sf_version_same(now, &init->config.version)) {
        *ret_refusal = sf_refusal_config_raced(root, init->after_data_loss);
        return SF_INIT_REFUSED;
    }
    *ret_config = init->config;
    if (there && ret_config->incarnation <= found->config->incarnation)
        ret_config->incarnation = found->config->incarnation + 1;
    return SF_INIT_GO;
}

int sf_init_plan_floor(const struct sf_coord_init *init, const char *root,
                       const struct sf_coord_survey *survey, int64_t *ret_floor_ms,
                       struct sf_refusal *ret_refusal)
{
    int64_t floor_ms = init->config.floor_ms;
    if (survey != NULL) {
        const int64_t survivor_ms = survey->reserved_until_ms > survey->reported_until_ms
                                        ? survey->reserved_until_ms
                                        : survey->reported_until_ms;
        if (survivor_ms > init->survivor_max_ms && !init->floor_stands) {
            *ret_refusal = sf_refusal_survivor(root, survey, survivor_ms, init->survivor_max_ms);
            return -1;
        }
        if (floor_ms < survivor_ms && survivor_ms <= init->survivor_max_ms)
            floor_ms = survivor_ms;
    }
    *ret_floor_ms = floor_ms;
    return 0;
}

void sf_init_slot(const struct sf_coord_init *init, int64_t floor_ms, uint64_t datacenter,
                  uint64_t worker, int64_t now_ms, struct sf_coord_slot *ret)
{
    struct sf_prng halves[2];
    uint8_t nonce[16];
    for (size_t i = 0; i < 2; i++) {
        memcpy(&halves[i].state, init->seed + 8 * i, sizeof halves[i].state);
        halves[i].state += (datacenter << 32) + worker;
        halves[i].state = sf_prng_next(&halves[i]); /* neighbours are not alike */
        const uint64_t half = sf_prng_next(&halves[i]);
        memcpy(nonce + 8 * i, &half, sizeof half);
    }
    *ret = (struct sf_coord_slot){.worker = worker,
                                  .state = SF_COORD_RECORD_OK,
                                  .from_ms = floor_ms,
                                  .reserved_until_ms = floor_ms,
                                  .updated_ms = now_ms};
    sf_hex128(nonce, ret->nonce);
}
