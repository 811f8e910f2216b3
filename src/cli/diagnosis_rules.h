/* cli/diagnosis_rules.h - the conditions of the rules, for the table in diagnosis.c. Each as sf_rule_of_fleet or
 * sf_rule_of_worker in diagnosis.h says; what it means and what to do stands in its row there. Pure. */
#ifndef SF_CLI_DIAGNOSIS_RULES_H
#define SF_CLI_DIAGNOSIS_RULES_H

#include "cli/diagnosis.h"

/* --- of the fleet: diagnosis_fleet.c --- */
sf_rule_of_fleet sf_rule_halted, sf_rule_unnamed, sf_rule_stateless, sf_rule_wiped, sf_rule_no_fleet,
    sf_rule_config_garbage, sf_rule_auth, sf_rule_gateway, sf_rule_storage, sf_rule_unreachable,
    sf_rule_unreachable_here, sf_rule_held_twice, sf_rule_two_fleets, sf_rule_layout_skew,
    sf_rule_none_ready, sf_rule_few_ready, sf_rule_full, sf_rule_nearly_full, sf_rule_broken,
    sf_rule_leaked, sf_rule_distant, sf_rule_lost, sf_rule_empty_datacenter, sf_rule_version_skew,
    sf_rule_clock_here, sf_rule_floor, sf_rule_quota;

/* --- of a worker: diagnosis_worker.c --- */
sf_rule_of_worker sf_rule_gone, sf_rule_silent, sf_rule_nameless, sf_rule_token, sf_rule_tls,
    sf_rule_other_port, sf_rule_stalled, sf_rule_clock_bad, sf_rule_clock_warn,
    sf_rule_unsynchronised, sf_rule_source_down, sf_rule_falseticker, sf_rule_clock_apart, sf_rule_stepped,
    sf_rule_exhausted, sf_rule_timestamps, sf_rule_overloaded, sf_rule_saturated, sf_rule_sequence,
    sf_rule_internal, sf_rule_limited, sf_rule_slow, sf_rule_disconnected, sf_rule_reservation_low,
    sf_rule_not_renewing, sf_rule_pinned, sf_rule_waiting, sf_rule_draining,
    sf_rule_fenced, sf_rule_superseded, sf_rule_expired, sf_rule_expiring, sf_rule_reload, sf_rule_restarted,
    sf_rule_disk, sf_rule_suspended;

#endif
