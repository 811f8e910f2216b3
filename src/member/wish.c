/* The member's options, out of a configuration. */
#include "member/wish.h"

void sf_member_wish_fill(const struct sf_config *config, struct sf_member_wish *ret)
{
    const struct sf_config *c = config;
    *ret = (struct sf_member_wish){.epoch_ms = 0};
    const bool has_epoch =
        c->fleet_expect_epoch_ms != NULL &&
        sf_parse_i64(c->fleet_expect_epoch_ms, INT64_MIN, INT64_MAX, &ret->epoch_ms) == 0;
    const bool has_layout = c->fleet_expect_layout != NULL &&
                            sf_layout_parse(c->fleet_expect_layout, &ret->layout) == 0;
    ret->options = (struct sf_member_options){
        .coord = {.url = c->fleet_coordinator,
                  .fleet = c->fleet_name,
                  .session_timeout_ms = c->coordinator_session_timeout_ms,
                  .username = c->coordinator_username,
                  .password_file = c->coordinator_password_file,
                  .tls_ca = c->coordinator_tls_ca,
                  .tls_cert = c->coordinator_tls_cert,
                  .tls_key = c->coordinator_tls_key},
        .clock = {.sources = &c->clock_sources,
                  .poll_ms = c->clock_poll_ms,
                  .warn_offset_ms = c->clock_warn_offset_ms,
                  .max_offset_ms = c->clock_max_offset_ms,
                  .require_sync = c->clock_require_sync},
        .datacenter = c->fleet_datacenter,
        .pinned_worker = c->fleet_worker,
        .slots = c->fleet_slots_per_worker,
        .expect_id = c->fleet_expect_id,
        .expect_epoch_ms = has_epoch ? &ret->epoch_ms : NULL,
        .expect_layout = has_layout ? &ret->layout : NULL,
        .auto_init = c->fleet_auto_init,
        .auto_init_first = c->fleet_auto_init_first,
        .node = c->fleet_node,
        .window_ms = c->reservation_window_ms,
        .min_window_ms = c->reservation_min_window_ms,
        .max_silence_ms = c->mint_max_silence_ms,
        .max_ahead_ms = c->mint_max_ahead_ms,
        .state_dir = c->reservation_state_dir,
        .state_name = sf_format_host_port(&c->listen_address, ret->state_name),
        .stall_ms = SF_MEMBER_STALL_MS,
        .leave_ms = c->drain_timeout_ms > 0 ? c->drain_timeout_ms : 1,
    };
}
