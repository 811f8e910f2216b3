/* cli/diagnosis.h - what is wrong with a fleet, in plain words: a picture of it goes in, findings come out. Pure: no
 * clock, no network. The rules are one table, in diagnosis.c; those of a worker in diagnosis_worker.c, those of the
 * fleet in diagnosis_fleet.c.
 *
 * Source of the thresholds: those of dashboards/alerts.yaml, where an alert says the same. */
#ifndef SF_CLI_DIAGNOSIS_H
#define SF_CLI_DIAGNOSIS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "coord/types.h"

#define SF_DOCTOR_ANSWER_MS 2000 /* how long the doctor waits for a worker: what takes longer stands still */

/* A worker that was asked. Strings and JSON are the picture's owner's. */
struct sf_seen_worker {
    const char *admin;   /* where it was asked */
    const char *node;    /* as its claim or its status tells it; "" */
    int rc;              /* 0 with a status; else the negative errno code of sf_cli_get_json, with why */
    const char *why;
    const json_t *status; /* what /status gave; NULL */
    int64_t round_trip_ms; /* how long that took, and our clock when it had come */
    int64_t asked_at_ms;
};

/* How the coordinator was asked. */
enum sf_seen_coordinator {
    SF_SEEN_NOT,      /* nobody named one */
    SF_SEEN_REFUSED,  /* no config: reason and text say why */
    SF_SEEN_ANSWERED  /* config, and what follows from it */
};

struct sf_seen_slot {
    uint64_t datacenter, worker;
    int64_t until_ms;
    char node[SF_COORD_NODE_MAX];
};

/* What was seen of a fleet within a few seconds. */
struct sf_picture {
    int64_t now_ms; /* by this machine's clock */

    enum sf_seen_coordinator coordinator;
    bool is_local; /* a directory: it has no state record and no clock of its own */
    enum sf_coord_reason reason;
    const char *text;
    struct sf_coord_config config;
    bool current, state_there, halted;
    int64_t coordinator_ahead_ms, coordinator_error_ms; /* against our clock; error -1: not told */

    /* Of the datacenters in which somebody ever held a slot. */
    uint64_t held, free, quarantined, broken, leaked, lost, waiting;
    uint64_t distant; /* quarantined for more than a day, while others are not */
    struct sf_seen_slot first_broken, first_leaked, first_lost, first_distant;
    int64_t empty_datacenter; /* one that had workers and has none now, while others have; -1 */

    const struct sf_seen_worker *workers;
    size_t worker_count;
};

enum sf_severity { SF_NOTE, SF_WARNING, SF_CRITICAL, SF_SEVERITIES };
enum sf_certainty { SF_POSSIBLE, SF_LIKELY, SF_CERTAIN, SF_CERTAINTIES };

#define SF_FINDING_TEXT_MAX 480

/* What a rule sees. `to` has SF_FINDING_TEXT_MAX bytes for what is wrong, in words. Returns whether it is. */
typedef bool sf_rule_of_fleet(const struct sf_picture *picture, char *to);
typedef bool sf_rule_of_worker(const struct sf_picture *picture, const struct sf_seen_worker *worker, char *to);

struct sf_rule {
    const char *name; /* stable, for scripts */
    enum sf_severity severity;
    enum sf_certainty certainty;
    const char *runbook; /* a heading of RUNBOOK.md */
    const char *next;    /* what to do */
    sf_rule_of_fleet *fleet;
    sf_rule_of_worker *worker; /* exactly one of the two */
};

extern const size_t sf_rule_count; /* of the table */

/* A rule that holds; one of workers for all of them together. */
struct sf_finding {
    const struct sf_rule *rule;
    uint64_t workers;                 /* of how many; 0: of the fleet */
    char who[160];                    /* their nodes, the first few; "" */
    char text[SF_FINDING_TEXT_MAX];   /* of the first */
};

/* Applies the table: the most severe first, then the surest, then by the order of the table. Returns how many; ret has
 * room for sf_rule_count. */
size_t sf_diagnose(const struct sf_picture *picture, struct sf_finding *ret);

/* "critical", "warning", "note"; "certain", "likely", "possible". Static strings. */
const char *sf_severity_name(enum sf_severity severity);
const char *sf_certainty_name(enum sf_certainty certainty);

#endif
