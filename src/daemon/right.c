#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/daemon.h"

/* The same options on the same host give the same name, and so the same slot after a kill. */
static void file_name(const struct sf_daemon *d, unsigned index, char *to, size_t size)
{
    char address[SF_HOST_PORT_TEXT_MAX];
    snprintf(to, size, "%s.%u.%s.%u", d->config->fleet_name, d->config->fleet_datacenter,
             sf_format_host_port(&d->config->listen_address, address), index);
    for (char *c = to; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '.' && *c != '-' && *c != '_')
            *c = '_';
}

static void recall(struct sf_daemon *d, struct sf_hold *hold, struct sf_reservation_memory *memory)
{
    struct sf_error why;
    sf_state_recall(hold->file.block, hold->file.boot_id, hold->file.device, hold->file.inode,
                    sf_mono_ns(), d->config->mint_max_ahead_ms, memory, &why);
    if (memory->valid)
        sf_log_write(d->log, SF_LOG_INFO, "restart.recalled",
                     "the state file remembers slot %llu/%llu",
                     (unsigned long long)memory->datacenter, (unsigned long long)memory->worker);
    else
        sf_log_write(d->log, SF_LOG_DEBUG, "restart.nothing", "no fast restart: %s", why.text);
}

static void fill_params(struct sf_daemon *d, struct sf_reservation_params *params)
{
    const struct sf_config *config = d->config;
    memset(params, 0, sizeof *params);
    params->datacenter = config->fleet_datacenter;
    params->pinned_worker = config->fleet_worker;
    params->window_ms = config->reservation_window_ms;
    params->min_window_ms = config->reservation_min_window_ms;
    params->max_silence_ms = config->mint_max_silence_ms;
    params->max_behind_ms = config->clock_max_offset_ms;
    params->auto_init = config->fleet_auto_init;
    uint8_t random[16];
    sf_random_bytes(random, sizeof random);
    sf_uuid4(random, params->init_config.fleet_id);
    params->init_config.epoch_ms = SF_DEFAULT_EPOCH_MS;
    params->init_config.layout = SF_DEFAULT_LAYOUT;
    params->init_config.any_datacenter = true;
    params->init_config.incarnation = 1;
    params->init_config.created_ms = sf_real_ns() / SF_NS_PER_MS;
    snprintf(params->node, sizeof params->node, "%s", config->fleet_node);
    snprintf(params->address, sizeof params->address, "%s", d->address);
    snprintf(params->admin, sizeof params->admin, "%s", d->admin_address);
    snprintf(params->version, sizeof params->version, "%s", SNOWFLEET_VERSION);
}

static int make_page(struct sf_right **ret_right, struct sf_error *err)
{
    void *page = mmap(NULL, sizeof(struct sf_right), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return sf_error_set(err, -errno, "no memory for a generator");
    if (madvise(page, sizeof(struct sf_right), MADV_WIPEONFORK)) {
        const int error = -errno;
        munmap(page, sizeof(struct sf_right));
        return sf_error_set(
            err, error,
            "the kernel cannot keep a generator from forked children (MADV_WIPEONFORK)");
    }
    *ret_right = page;
    return 0;
}

int sf_right_map(struct sf_hold *hold, struct sf_error *err)
{
    hold->file.fd = -1;
    return make_page(&hold->right, err);
}

void sf_right_init(struct sf_daemon *d, unsigned index)
{
    struct sf_hold *hold = &d->holds[index];
    struct sf_reservation_memory memory = {.valid = false};
    if (d->config->reservation_state_dir[0]) {
        char name[256];
        struct sf_error why;
        file_name(d, index, name, sizeof name);
        if (sf_statefile_open(d->config->reservation_state_dir, name, &hold->file, &why))
            sf_log_write(d->log, SF_LOG_WARN, "statefile.unusable",
                         "%s; running without fast restart: after a crash the slot is quarantined",
                         why.text);
        else
            recall(d, hold, &memory);
    }
    _Atomic uint64_t *word =
        hold->file.block ? &hold->file.block->word : &hold->right->private_word;
    if (!memory.valid)
        atomic_store(word, SF_GENERATOR_CLOSED);
    hold->file_held = memory.valid;
    struct sf_reservation_params params;
    fill_params(d, &params);
    uint8_t random[16];
    sf_random_bytes(random, sizeof random);
    sf_reservation_init(&hold->res, &params, &hold->right->gen, word, d->config->mint_max_ahead_ms,
                        &memory, random);
    hold->res.next_id = (uint64_t)index << 56; /* all machines share one handle */
}

void sf_right_destroy(struct sf_hold *hold)
{
    sf_statefile_close(&hold->file);
    if (hold->right)
        munmap(hold->right, sizeof *hold->right);
    hold->right = NULL;
}

void sf_right_save(struct sf_daemon *d, struct sf_hold *hold)
{
    if (!hold->file.block)
        return;
    const struct sf_reservation *res = &hold->res;
    const struct sf_minttime mint = sf_minttime_read(sf_clock_cell(d->clock));
    struct sf_state_header header;
    memset(&header, 0, sizeof header);
    /* Won but never opened: the word does not stand at this owner's start yet. */
    header.held = res->hold.active && !res->orphan && res->hold.opened;
    memcpy(header.fleet_id, res->config.fleet_id, sizeof header.fleet_id);
    memcpy(header.boot_id, hold->file.boot_id, sizeof header.boot_id);
    memcpy(header.claim, res->hold.claim, sizeof header.claim);
    header.device = hold->file.device;
    header.inode = hold->file.inode;
    header.datacenter = res->params.datacenter;
    header.worker = res->hold.worker;
    header.fence = res->hold.fence;
    header.version = res->hold.version;
    header.mint = mint;
    sf_state_put(hold->file.block, &header);
    hold->file_held = header.held;
    hold->file_mint = mint;
}
