/* cli/diagnosis.c - the table of what can be wrong, and how findings are put together. */
#include "cli/diagnosis.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/diagnosis_rules.h"

#define FLEET(rule)  rule, NULL
#define WORKER(rule) NULL, rule

/* clang-format off */
static const struct sf_rule rules[] = {
    {"slot.held_twice", SF_CRITICAL, SF_CERTAIN, "SnowfleetSlotHeldTwice",
     "stop the one that the coordinator does not name, at once", FLEET(sf_rule_held_twice)},
    {"fleet.two_ids", SF_CRITICAL, SF_CERTAIN, "SnowfleetDuplicate",
     "find out which fleet id is the real one (the older, with the data); stop the workers of the other", FLEET(sf_rule_two_fleets)},
    {"fleet.layout_skew", SF_CRITICAL, SF_CERTAIN, "SnowfleetLayoutSkew",
     "stop the workers of the wrong layout or epoch", FLEET(sf_rule_layout_skew)},
    {"fleet.halted", SF_CRITICAL, SF_CERTAIN, "SnowfleetFleetHalted",
     "find out who put the coordinator's data back, then snowfleet init --after-data-loss; never a plain init", FLEET(sf_rule_halted)},
    {"fleet.wiped", SF_CRITICAL, SF_CERTAIN, "The coordinator was wiped",
     "snowfleet init --after-data-loss --ask HOST:PORT of a worker that still answers; never a plain init, never --first", FLEET(sf_rule_wiped)},
    {"fleet.missing", SF_CRITICAL, SF_LIKELY, "The coordinators data was lost or restored",
     "look at the URL's path and --fleet first; a new fleet: snowfleet init --first; one whose data is lost: snowfleet init --after-data-loss", FLEET(sf_rule_no_fleet)},
    {"fleet.garbage", SF_CRITICAL, SF_CERTAIN, "The coordinators data was lost or restored",
     "find out who wrote it; snowfleet init --after-data-loss makes the fleet anew above everything that was minted", FLEET(sf_rule_config_garbage)},
    {"fleet.unnamed", SF_CRITICAL, SF_CERTAIN, "The coordinators data was lost or restored",
     "run the same snowfleet init again, to its end", FLEET(sf_rule_unnamed)},
    {"fleet.stateless", SF_CRITICAL, SF_LIKELY, "The coordinators data was lost or restored",
     "the record of the making's state is gone or garbage: somebody wrote to the coordinator by hand, or it lost data", FLEET(sf_rule_stateless)},
    {"coordinator.auth", SF_CRITICAL, SF_CERTAIN, "The coordinator refuses us",
     "user, password file and certificates: --username, --password-file, --coordinator-cert here; coordinator.* of the workers", FLEET(sf_rule_auth)},
    {"coordinator.gateway", SF_CRITICAL, SF_CERTAIN, "The coordinator refuses us",
     "give etcd's client port (2379), and start etcd without --enable-grpc-gateway=false", FLEET(sf_rule_gateway)},
    {"coordinator.quota", SF_CRITICAL, SF_CERTAIN, "The coordinator refuses us",
     "etcd: compact, defragment, then etcdctl alarm disarm; or a larger --quota-backend-bytes", FLEET(sf_rule_quota)},
    {"coordinator.storage", SF_CRITICAL, SF_CERTAIN, "A local coordinator",
     "make room on the disk of the directory, or have it mounted writable", FLEET(sf_rule_storage)},
    {"coordinator.unreachable", SF_CRITICAL, SF_LIKELY, "SnowfleetCoordinatorUnreachable",
     "bring its members back with their data; do not restart workers meanwhile", FLEET(sf_rule_unreachable)},
    {"fleet.none_ready", SF_CRITICAL, SF_CERTAIN, "SnowfleetFewReady",
     "the findings about single workers say why; start workers where the cause is not", FLEET(sf_rule_none_ready)},
    {"worker.stalled", SF_CRITICAL, SF_CERTAIN, "SnowfleetWorkerDown",
     "keep its log, then kill and restart it; a kill is safe", WORKER(sf_rule_stalled)},
    {"worker.clock_bad", SF_CRITICAL, SF_CERTAIN, "SnowfleetClockOffset",
     "repair chrony or the network to its time servers; never set the clock by hand under a live worker", WORKER(sf_rule_clock_bad)},
    {"worker.suspended", SF_CRITICAL, SF_CERTAIN, "SnowfleetWorkerSuspended",
     "its reservation has ended: what keeps the coordinator from renewing it is the cause", WORKER(sf_rule_suspended)},
    {"worker.exhausted", SF_CRITICAL, SF_CERTAIN, "SnowfleetTimestampBitsEnding",
     "look at the clock first; else a new fleet with a wider layout", WORKER(sf_rule_exhausted)},
    {"worker.certificate_expired", SF_CRITICAL, SF_CERTAIN, "SnowfleetCertificateExpires",
     "replace the file and its key; the worker takes them within seconds", WORKER(sf_rule_expired)},
    {"worker.reservation_low", SF_CRITICAL, SF_CERTAIN, "SnowfleetReservationLow",
     "bring the coordinator's quorum back with its data, or send clients to another datacenter now", WORKER(sf_rule_reservation_low)},
    {"worker.overloaded", SF_CRITICAL, SF_CERTAIN, "SnowfleetOverloaded",
     "add workers; set a rate limit on a greedy client", WORKER(sf_rule_overloaded)},
    {"worker.internal_errors", SF_CRITICAL, SF_CERTAIN, "SnowfleetErrorsFastBurn",
     "a defect: keep its log, and drain it where others are ready", WORKER(sf_rule_internal)},
    {"worker.local_disk", SF_CRITICAL, SF_LIKELY, "A local coordinator",
     "make room on the disk of the coordinator's directory, or have it mounted writable", WORKER(sf_rule_disk)},
    {"fleet.full", SF_CRITICAL, SF_CERTAIN, "SnowfleetSlotsNearlyExhausted",
     "scale in, or add a datacenter", FLEET(sf_rule_full)},
    {"coordinator.unreachable_here", SF_WARNING, SF_LIKELY, "SnowfleetCoordinatorUnreachable",
     "it is the way from here: network, name, firewall, certificates", FLEET(sf_rule_unreachable_here)},
    {"worker.gone", SF_WARNING, SF_CERTAIN, "SnowfleetWorkerDown",
     "look at its process manager and its log; start it again", WORKER(sf_rule_gone)},
    {"worker.silent", SF_WARNING, SF_LIKELY, "SnowfleetWorkerDown",
     "on its host: is the process stopped, frozen or starved (ps, the cgroup), or the network cut? A kill is safe", WORKER(sf_rule_silent)},
    {"worker.lost", SF_WARNING, SF_LIKELY, "SnowfleetWorkerDown",
     "start it again, if it should be there; its slot comes back by itself", FLEET(sf_rule_lost)},
    {"worker.name", SF_WARNING, SF_CERTAIN, "An admin port does not answer as it should",
     "set advertise.admin and advertise.address to names or addresses that resolve where you are", WORKER(sf_rule_nameless)},
    {"worker.token", SF_WARNING, SF_CERTAIN, "An admin port does not answer as it should",
     "--token-file with a token of the worker's admin.token_file; until then nothing is known of it", WORKER(sf_rule_token)},
    {"worker.tls", SF_WARNING, SF_LIKELY, "An admin port does not answer as it should",
     "https:// in --admin, and --admin-ca with the authority of its certificate", WORKER(sf_rule_tls)},
    {"worker.other_port", SF_WARNING, SF_LIKELY, "An admin port does not answer as it should",
     "give admin.address (7451 by default), not listen.address", WORKER(sf_rule_other_port)},
    {"worker.pinned", SF_WARNING, SF_CERTAIN, "SnowfleetSlotsNearlyExhausted",
     "take fleet.worker away, or stop who has that slot", WORKER(sf_rule_pinned)},
    {"worker.waiting", SF_WARNING, SF_CERTAIN, "SnowfleetSlotsNearlyExhausted",
     "wait for the quarantine to end, scale in, or add a datacenter", WORKER(sf_rule_waiting)},
    {"worker.disconnected", SF_WARNING, SF_CERTAIN, "SnowfleetCoordinatorUnreachable",
     "all workers: repair the coordinator; one: its network and its credentials. Do not restart it", WORKER(sf_rule_disconnected)},
    {"worker.not_renewing", SF_WARNING, SF_LIKELY, "SnowfleetCoordinatorUnreachable",
     "the coordinator takes no writes: quorum, quota (etcd: NOSPACE), a disk that is full, rights", WORKER(sf_rule_not_renewing)},
    {"worker.clock_warn", SF_WARNING, SF_CERTAIN, "SnowfleetClockOffset",
     "look at its sources: snowfleet status --admin", WORKER(sf_rule_clock_warn)},
    {"worker.clock_apart", SF_WARNING, SF_LIKELY, "SnowfleetClockOffset",
     "one of the two clocks is wrong: ask a time source on both machines (chronyc tracking)", WORKER(sf_rule_clock_apart)},
    {"clock.here", SF_WARNING, SF_LIKELY, "SnowfleetClockOffset",
     "one of the two clocks is wrong: ask a time source on both machines (chronyc tracking)", FLEET(sf_rule_clock_here)},
    {"worker.unsynchronised", SF_WARNING, SF_CERTAIN, "SnowfleetClockUnsynchronised",
     "start chronyd, or name sources that answer in clock.sources", WORKER(sf_rule_unsynchronised)},
    {"slot.broken", SF_WARNING, SF_CERTAIN, "A record is broken",
     "snowfleet slots reset SLOT writes it anew; several at once: has the coordinator lost data?", FLEET(sf_rule_broken)},
    {"slot.leaked", SF_WARNING, SF_LIKELY, "A slot is leaked",
     "snowfleet slots release SLOT, if its worker is gone", FLEET(sf_rule_leaked)},
    {"slot.distant", SF_WARNING, SF_CERTAIN, "Poisoned slot",
     "leave it; configure clock.sources, so that no wrong clock can write that again", FLEET(sf_rule_distant)},
    {"fleet.few_ready", SF_WARNING, SF_CERTAIN, "SnowfleetFewReady",
     "the next failure is an outage: start workers", FLEET(sf_rule_few_ready)},
    {"datacenter.gone", SF_WARNING, SF_LIKELY, "SnowfleetDatacenterGone",
     "network, power or the orchestrator there; if it was emptied on purpose, nothing", FLEET(sf_rule_empty_datacenter)},
    {"fleet.nearly_full", SF_WARNING, SF_CERTAIN, "SnowfleetSlotsNearlyExhausted",
     "scale in, or add a datacenter", FLEET(sf_rule_nearly_full)},
    {"worker.saturated", SF_WARNING, SF_CERTAIN, "SnowfleetSequenceExhaustion",
     "add workers", WORKER(sf_rule_saturated)},
    {"worker.sequence_exhausted", SF_WARNING, SF_CERTAIN, "SnowfleetSequenceExhaustion",
     "add workers, or smaller bursts", WORKER(sf_rule_sequence)},
    {"worker.slow", SF_WARNING, SF_CERTAIN, "SnowfleetLatencyHigh",
     "add workers, raise the CPU limit", WORKER(sf_rule_slow)},
    {"worker.timestamps_ending", SF_WARNING, SF_CERTAIN, "SnowfleetTimestampBitsEnding",
     "plan a new fleet with a wider layout", WORKER(sf_rule_timestamps)},
    {"worker.certificate_expiring", SF_WARNING, SF_CERTAIN, "SnowfleetCertificateExpires",
     "replace the file and its key; the worker takes them within seconds", WORKER(sf_rule_expiring)},
    {"worker.reload_refused", SF_WARNING, SF_CERTAIN, "SnowfleetReloadRefused",
     "put it right before its next restart, which would fail with 78", WORKER(sf_rule_reload)},
    {"worker.fenced", SF_WARNING, SF_CERTAIN, "SnowfleetFenced",
     "find what stopped the process for so long", WORKER(sf_rule_fenced)},
    {"fleet.version_skew", SF_WARNING, SF_CERTAIN, "SnowfleetVersionSkew",
     "finish the upgrade, or roll it back", FLEET(sf_rule_version_skew)},
    {"worker.falseticker", SF_NOTE, SF_CERTAIN, "SnowfleetClockOffset",
     "take the server out of clock.sources, or have it repaired", WORKER(sf_rule_falseticker)},
    {"worker.source_down", SF_NOTE, SF_CERTAIN, "SnowfleetClockUnsynchronised",
     "repair or remove the source", WORKER(sf_rule_source_down)},
    {"worker.clock_step", SF_NOTE, SF_CERTAIN, "SnowfleetClockStep",
     "find who sets clocks", WORKER(sf_rule_stepped)},
    {"worker.rate_limited", SF_NOTE, SF_CERTAIN, "SnowfleetErrorsSlowBurn",
     "meant, or raise limit.* or the limit of the token", WORKER(sf_rule_limited)},
    {"fleet.floor", SF_NOTE, SF_CERTAIN, "The coordinators data was lost or restored",
     "wait: the fleet was made anew and mints from then on", FLEET(sf_rule_floor)},
    {"worker.superseded", SF_NOTE, SF_CERTAIN, "The coordinators data was lost or restored",
     "nothing, if it was made anew on purpose", WORKER(sf_rule_superseded)},
    {"worker.draining", SF_NOTE, SF_CERTAIN, "Scale",
     "nothing, if somebody drained it; under a supervisor it comes back", WORKER(sf_rule_draining)},
    {"worker.restarted", SF_NOTE, SF_CERTAIN, "SnowfleetRestarts",
     "nothing, if it was meant; else its log before the end", WORKER(sf_rule_restarted)},
};
/* clang-format on */

const size_t sf_rule_count = sizeof rules / sizeof *rules;

const char *sf_severity_name(enum sf_severity severity)
{
    static const char *const names[SF_SEVERITIES] = {"note", "warning", "critical"};
    return names[severity];
}

const char *sf_certainty_name(enum sf_certainty certainty)
{
    static const char *const names[SF_CERTAINTIES] = {"possible", "likely", "certain"};
    return names[certainty];
}

static void add_who(struct sf_finding *finding, const struct sf_seen_worker *worker)
{
    const char *name = worker->node[0] != '\0' ? worker->node : worker->admin;
    const size_t used = strlen(finding->who);
    finding->workers++;
    if (used + strlen(name) + 3 < sizeof finding->who)
        (void)snprintf(finding->who + used, sizeof finding->who - used, "%s%s",
                       used > 0 ? ", " : "", name);
}

static bool apply(const struct sf_picture *picture, const struct sf_rule *rule,
                  struct sf_finding *ret)
{
    char text[SF_FINDING_TEXT_MAX];
    *ret = (struct sf_finding){.rule = rule};
    if (rule->fleet != NULL)
        return rule->fleet(picture, ret->text);
    for (size_t i = 0; i < picture->worker_count; i++) {
        text[0] = '\0';
        if (!rule->worker(picture, &picture->workers[i], text))
            continue;
        if (ret->workers == 0)
            (void)snprintf(ret->text, sizeof ret->text, "%s", text);
        add_who(ret, &picture->workers[i]);
    }
    return ret->workers > 0;
}

size_t sf_diagnose(const struct sf_picture *picture, struct sf_finding *ret)
{
    size_t count = 0;
    for (int severity = SF_SEVERITIES - 1; severity >= 0; severity--)
        for (int certainty = SF_CERTAINTIES - 1; certainty >= 0; certainty--)
            for (size_t i = 0; i < sf_rule_count; i++)
                if ((int)rules[i].severity == severity && (int)rules[i].certainty == certainty &&
                    apply(picture, &rules[i], &ret[count]))
                    count++;
    return count;
}
