/* coord/init_plan.c - see init_plan.h. */
#include "coord/init_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/records.h"

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
    if (config->incarnation > INT64_MAX)
        return sf_error_set(err, -EINVAL, "the incarnation %" PRIu64 " is not 0 to %" PRId64,
                            config->incarnation, INT64_MAX);
    return check_readable(config, err);
}

int sf_init_plan_config(const struct sf_coord_init *init, const char *root,
                        const struct sf_init_found *found, struct sf_coord_config *ret_config,
                        bool *ret_first, struct sf_refusal *ret_refusal)
{
    const bool there = found->state == SF_COORD_RECORD_OK;
    if (there && !init->after_data_loss) {
        *ret_refusal = sf_refusal_fleet_exists(root, found->config->fleet_id);
        return -1;
    }
    if (found->state == SF_COORD_RECORD_GARBAGE && !init->after_data_loss) {
        *ret_refusal = sf_refusal_config_garbage(root, found->why);
        return -1;
    }
    *ret_config = init->config;
    if (there && ret_config->incarnation <= found->config->incarnation)
        ret_config->incarnation = found->config->incarnation + 1;
    *ret_first = there;
    return 0;
}

enum sf_init_step sf_init_plan_slot(const struct sf_coord_init *init, const char *root,
                                    uint64_t datacenter, const struct sf_coord_slot *found,
                                    const char *why, int64_t now_ms, struct sf_coord_slot *ret_slot,
                                    struct sf_refusal *ret_refusal)
{
    const int64_t floor_ms = init->config.floor_ms;
    if (found->state == SF_COORD_RECORD_GARBAGE && !init->after_data_loss) {
        *ret_refusal = sf_refusal_slot_garbage(root, datacenter, found->worker, why);
        return SF_INIT_REFUSED;
    }
    if (found->state != SF_COORD_RECORD_OK) {
        sf_record_slot_fresh(found->worker, floor_ms, now_ms, ret_slot);
        ret_slot->version = found->version;
        return SF_INIT_WRITE;
    }
    if (found->reserved_until_ms >= floor_ms)
        return SF_INIT_KEEP;
    *ret_slot = *found;
    ret_slot->reserved_until_ms = floor_ms;
    ret_slot->updated_ms = now_ms;
    ret_slot->nonce[0] = '\0';
    return SF_INIT_WRITE;
}
