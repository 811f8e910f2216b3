/* metrics/table.h - every metric, once: exposition, docs/metrics.md and the cells of a block derive
 * from SF_METRICS.
 *
 * A counter's name is given without `_total`, which the exposition adds. `series` is how many
 * combinations of label values are counted in cells; 0 means that the values come from a collector
 * at scrape time. The numbers of the series are made by the sf_series_* functions below; the label
 * values that belong to them are written by sf_metrics_series_labels. Pure; any thread. */
#ifndef SF_METRICS_TABLE_H
#define SF_METRICS_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

#define SF_METRICS_SHARDS_MAX 64

enum sf_metric_type { SF_METRIC_COUNTER, SF_METRIC_GAUGE, SF_METRIC_HISTOGRAM };

/* --- values of labels that are known beforehand; X(name in C, value) --- */

/* clang-format off */
#define SF_LABELS_REQUEST(X) X(NEXT, "next") X(PING, "ping") X(INFO, "info") X(TIME, "time") X(AUTH, "auth") X(OTHER, "other")
#define SF_LABELS_STATUS(X) X(OK, "ok") X(BAD_REQUEST, "bad_request") X(UNSUPPORTED, "unsupported") X(TOO_LARGE, "too_large") \
    X(NOT_READY, "not_ready") X(CLOCK, "clock") X(OVERLOADED, "overloaded") X(RATE_LIMITED, "rate_limited") \
    X(DRAINING, "draining") X(DENIED, "denied") X(CAUSALITY, "causality") X(INTERNAL, "internal")
#define SF_LABELS_RENEWAL(X) X(OK, "ok") X(UNCERTAIN, "uncertain") X(LOST, "lost")
#define SF_LABELS_COORD_OP(X) X(READ_CONFIG, "read_config") X(INIT, "init") X(SURVEY, "survey") X(LIST, "list") \
    X(PROBE, "probe") X(FIND, "find") X(READ_SLOT, "read_slot") X(CLAIM, "claim") X(UNCLAIM, "unclaim") X(TELL, "tell") X(BIND, "bind") X(RENEW, "renew") X(RELEASE, "release") \
    X(HALT, "halt") X(RESET_SLOT, "reset_slot") X(WATCH, "watch")
#define SF_LABELS_OUTCOME(X) X(DONE, "done") X(REFUSED, "refused") X(LOST, "lost") X(UNKNOWN, "unknown")
#define SF_LABELS_CLAIM(X) X(OK, "ok") X(TAKEN, "taken") X(FULL, "full") X(FAILED, "failed")
#define SF_LABELS_STEP(X) X(FORWARD, "forward") X(BACKWARD, "backward")
#define SF_LABELS_BYTES(X) X(IN, "in") X(OUT, "out")
#define SF_LABELS_CONN_REFUSED(X) X(LIMIT, "limit") X(DRAINING, "draining") X(DESCRIPTORS, "descriptors") X(MEMORY, "memory") \
    X(TLS, "tls")
#define SF_LABELS_CONN_CLOSED(X) X(PEER, "peer") X(PROTOCOL, "protocol") X(IDLE, "idle") X(FRAME_TIMEOUT, "frame_timeout") \
    X(WRITE_TIMEOUT, "write_timeout") X(AGE, "age") X(DRAIN, "drain") X(ERROR, "error") X(STOP, "stop") \
    X(EVICTED, "evicted")
#define SF_LABELS_RATE_SCOPE(X) X(CONNECTION, "connection") X(WORKER, "worker") X(NAME, "name") X(ADDRESS, "address")
#define SF_LABELS_OVERLOAD(X) X(QUEUE, "queue") X(WAIT, "wait") X(CONNECTIONS, "connections")
#define SF_LABELS_BAD_FRAME(X) X(LENGTH, "length") X(VERSION, "version") X(TYPE, "type") X(FLAGS, "flags") X(BODY, "body") X(HTTP, "http")

/* --- the metrics: X(name in C, name, type, unit, label keys, series, buckets, help) --- */
#define SF_METRICS(X) \
    X(BUILD_INFO, "snowfleet_build_info", GAUGE, "", "version,commit", 0, NONE, "Always 1; what this program is.") \
    X(WORKER_INFO, "snowfleet_worker_info", GAUGE, "", "fleet,fleet_id,datacenter,worker,node", 0, NONE, "Always 1; which worker this is. fleet_id is empty until it has read the config, datacenter and worker while it holds no slot.") \
    X(WORKER_SLOTS, "snowfleet_worker_slots", GAUGE, "", "", 0, NONE, "Slots that this worker holds.") \
    X(STATE, "snowfleet_state", GAUGE, "", "state", 0, NONE, "1 for the state that the worker is in, 0 for the others.") \
    X(IDS_MINTED, "snowfleet_ids_minted", COUNTER, "", "", 1, NONE, "IDs handed out.") \
    X(IDS_REFUSED, "snowfleet_ids_refused", COUNTER, "", "", 1, NONE, "IDs asked for in vain, because more was asked for than can be minted.") \
    X(CAPACITY, "snowfleet_capacity_ids_per_second", GAUGE, "", "", 0, NONE, "IDs a second that the layout allows the slots that this worker holds.") \
    X(SATURATION, "snowfleet_saturation", GAUGE, "", "", 0, NONE, "Share of what the worker's slots can mint that was asked for in the last 10 s, with what waits and what was refused for it; over 1: more than they can.") \
    X(REQUESTS, "snowfleet_requests", COUNTER, "", "type,status", SF_REQUESTS * SF_STATUSES, NONE, "Requests answered.") \
    X(REQUEST_DURATION, "snowfleet_request_duration_seconds", HISTOGRAM, "seconds", "type", SF_REQUESTS, FAST, "Time from reading a request off its socket to writing its response, measured once per wake-up of a shard.") \
    X(SEQUENCE_EXHAUSTED, "snowfleet_sequence_exhausted", COUNTER, "", "", 1, NONE, "Times that minting had to wait because every ID up to the borrowing limit was used.") \
    X(MINT_AHEAD, "snowfleet_mint_ahead_seconds", GAUGE, "seconds", "", 0, NONE, "How far the last ID's timestamp is ahead of minting time.") \
    X(WAITING_REQUESTS, "snowfleet_waiting_requests", GAUGE, "", "", 0, NONE, "Requests that wait for their timestamp.") \
    X(RESERVATION_REMAINING, "snowfleet_reservation_remaining_seconds", GAUGE, "seconds", "", 0, NONE, "How long this worker can mint without its coordinator.") \
    X(RESERVATION_RENEWALS, "snowfleet_reservation_renewals", COUNTER, "", "result", SF_RENEWALS, NONE, "Renewals of the reservation, by how they ended.") \
    X(COORDINATOR_CONNECTED, "snowfleet_coordinator_connected", GAUGE, "", "", 0, NONE, "1 while the coordinator can be reached.") \
    X(COORDINATOR_OPERATIONS, "snowfleet_coordinator_operations", COUNTER, "", "op,result", SF_COORD_OP_LABELS * SF_OUTCOMES, NONE, "Operations on the coordinator, by how they ended.") \
    X(COORDINATOR_OPERATION, "snowfleet_coordinator_operation_seconds", HISTOGRAM, "seconds", "op", SF_COORD_OP_LABELS, SLOW, "Time until an operation on the coordinator ended.") \
    X(COORDINATOR_SESSION_LOSSES, "snowfleet_coordinator_session_losses", COUNTER, "", "", 1, NONE, "Sessions that the coordinator ended.") \
    X(FLEET_HALTED, "snowfleet_fleet_halted", GAUGE, "", "", 0, NONE, "1 while the fleet grants nothing, because somebody noticed that the coordinator lost data.") \
    X(DATA_LOSSES, "snowfleet_data_losses", COUNTER, "", "", 1, NONE, "Losses of the coordinator's data that this worker noticed.") \
    X(SLOTS, "snowfleet_slots", GAUGE, "", "state", 0, NONE, "Slots of this datacenter by state, as last read.") \
    X(MEMBERS, "snowfleet_members", GAUGE, "", "datacenter,state", 0, NONE, "Everybody who is to be in this datacenter, by the state that the coordinator knows: a worker's own, or lost, or left. Only while that was read within the last minutes.") \
    X(CLAIMS, "snowfleet_claims", COUNTER, "", "result", SF_CLAIMS, NONE, "Attempts to get a slot.") \
    X(CLOCK_OFFSET, "snowfleet_clock_offset_seconds", GAUGE, "seconds", "source", 0, NONE, "How far a time source says that the clock is off; positive: the clock is behind.") \
    X(CLOCK_ERROR_BOUND, "snowfleet_clock_error_bound_seconds", GAUGE, "seconds", "source", 0, NONE, "How wrong the offset may be at most.") \
    X(CLOCK_SYNCHRONIZED, "snowfleet_clock_synchronized", GAUGE, "", "source", 0, NONE, "1 while the source calls the clock synchronised.") \
    X(CLOCK_SOURCE_UP, "snowfleet_clock_source_up", GAUGE, "", "source", 0, NONE, "1 while the source tells a time; in holdover its last word counts.") \
    X(CLOCK_STEPS, "snowfleet_clock_steps", COUNTER, "", "direction", SF_STEPS, NONE, "Steps of the system clock that were noticed.") \
    X(CLOCK_SLEWING, "snowfleet_clock_slewing", GAUGE, "", "", 0, NONE, "1 while minting time is being slewed towards the clock.") \
    X(CONNECTIONS, "snowfleet_connections", GAUGE, "", "", 0, NONE, "Open data connections.") \
    X(CONNECTIONS_TOTAL, "snowfleet_connections", COUNTER, "", "", 1, NONE, "Data connections accepted.") \
    X(CONNECTION_REFUSED, "snowfleet_connection_refused", COUNTER, "", "reason", SF_CONN_REFUSEDS, NONE, "Connections refused.") \
    X(CONNECTION_CLOSED, "snowfleet_connection_closed", COUNTER, "", "reason", SF_CONN_CLOSEDS, NONE, "Connections ended, by cause.") \
    X(BYTES, "snowfleet_bytes", COUNTER, "bytes", "direction", SF_BYTESS, NONE, "Bytes of the protocol received and sent.") \
    X(RATE_LIMITED, "snowfleet_rate_limited", COUNTER, "", "scope", SF_RATE_SCOPES, NONE, "Requests refused by a rate limit.") \
    X(OVERLOADED, "snowfleet_overloaded", COUNTER, "", "scope", SF_OVERLOADS, NONE, "Requests or connections refused because a queue or limit was full.") \
    X(BAD_FRAMES, "snowfleet_bad_frames", COUNTER, "", "scope", SF_BAD_FRAMES, NONE, "Frames that broke the protocol, by the part at fault.") \
    X(AUTH_LOGINS, "snowfleet_auth_logins", COUNTER, "", "name", 0, NONE, "AUTH requests that showed the token of this name.") \
    X(AUTH_FAILURES, "snowfleet_auth_failures", COUNTER, "", "", 1, NONE, "AUTH requests with a token that is not known here.") \
    X(AUTH_REQUESTS, "snowfleet_auth_requests", COUNTER, "", "name", 0, NONE, "NEXT requests answered with IDs on connections that had shown the token of this name.") \
    X(AUTH_IDS, "snowfleet_auth_ids", COUNTER, "", "name", 0, NONE, "IDs in those answers.") \
    X(AUTH_LIMITED, "snowfleet_auth_limited", COUNTER, "", "name", 0, NONE, "NEXT requests over the limit of this name.") \
    X(SHARD_LOOP, "snowfleet_shard_loop_seconds", HISTOGRAM, "seconds", "shard", SF_METRICS_SHARDS_MAX, FAST, "Time that one turn of a shard's loop took, waiting left out.") \
    X(TIMESTAMP_BITS_EXHAUSTED, "snowfleet_timestamp_bits_exhausted_seconds", GAUGE, "seconds", "", 0, NONE, "Unix time at which the timestamps of the fleet's layout end.") \
    X(RELOADS, "snowfleet_reloads", COUNTER, "", "result", 0, NONE, "Times that options, certificates or tokens were read again, or refused and the old ones kept.") \
    X(CERTIFICATE_EXPIRY, "snowfleet_certificate_expiry_seconds", GAUGE, "seconds", "use,file", 0, NONE, "Unix time at which the certificates of a file end; use: the option that names it.") \
    X(INJECTION_ALLOWED, "snowfleet_injection_allowed", GAUGE, "", "", 0, NONE, "1 where security.allow_injection is on: code can be put into this process.") \
    X(VERIFY_IDS, "snowfleet_verify_ids", COUNTER, "", "worker", 0, NONE, "IDs that the prober received.") \
    X(VERIFY_DUPLICATES, "snowfleet_verify_duplicates", COUNTER, "", "worker", 0, NONE, "IDs that the prober received twice.") \
    X(VERIFY_ORDER_ERRORS, "snowfleet_verify_order_errors", COUNTER, "", "worker", 0, NONE, "IDs that did not ascend on one connection.") \
    X(VERIFY_FAILURES, "snowfleet_verify_failures", COUNTER, "", "worker", 0, NONE, "Requests of the prober that failed.") \
    X(VERIFY_DURATION, "snowfleet_verify_duration_seconds", HISTOGRAM, "seconds", "worker", 0, NONE, "Time that the prober waited for an answer.") \
    X(PROCESS_CPU, "process_cpu_seconds", COUNTER, "seconds", "", 0, NONE, "User and system CPU time of the process.") \
    X(PROCESS_RESIDENT, "process_resident_memory_bytes", GAUGE, "bytes", "", 0, NONE, "Resident memory of the process.") \
    X(PROCESS_VIRTUAL, "process_virtual_memory_bytes", GAUGE, "bytes", "", 0, NONE, "Virtual memory of the process.") \
    X(PROCESS_OPEN_FDS, "process_open_fds", GAUGE, "", "", 0, NONE, "Open file descriptors.") \
    X(PROCESS_MAX_FDS, "process_max_fds", GAUGE, "", "", 0, NONE, "Limit of open file descriptors.") \
    X(PROCESS_START_TIME, "process_start_time_seconds", GAUGE, "seconds", "", 0, NONE, "Unix time at which the process started.") \
    X(PROCESS_THREADS, "process_threads", GAUGE, "", "", 0, NONE, "Threads of the process.")
/* clang-format on */

#define SF_X(name, value) SF_REQUEST_##name,
enum sf_request_label { SF_LABELS_REQUEST(SF_X) SF_REQUESTS };
#undef SF_X
#define SF_X(name, value) SF_STATUS_##name,
enum sf_status_label { SF_LABELS_STATUS(SF_X) SF_STATUSES };
#undef SF_X
#define SF_X(name, value) SF_RENEWAL_##name,
enum sf_renewal_label { SF_LABELS_RENEWAL(SF_X) SF_RENEWALS };
#undef SF_X
#define SF_X(name, value) SF_COORD_OP_LABEL_##name,
enum sf_coord_op_label { SF_LABELS_COORD_OP(SF_X) SF_COORD_OP_LABELS };
#undef SF_X
#define SF_X(name, value) SF_OUTCOME_##name,
enum sf_outcome_label { SF_LABELS_OUTCOME(SF_X) SF_OUTCOMES };
#undef SF_X
#define SF_X(name, value) SF_CLAIM_##name,
enum sf_claim_label { SF_LABELS_CLAIM(SF_X) SF_CLAIMS };
#undef SF_X
#define SF_X(name, value) SF_STEP_##name,
enum sf_step_label { SF_LABELS_STEP(SF_X) SF_STEPS };
#undef SF_X
#define SF_X(name, value) SF_BYTES_##name,
enum sf_bytes_label { SF_LABELS_BYTES(SF_X) SF_BYTESS };
#undef SF_X
#define SF_X(name, value) SF_CONN_REFUSED_##name,
enum sf_conn_refused_label { SF_LABELS_CONN_REFUSED(SF_X) SF_CONN_REFUSEDS };
#undef SF_X
#define SF_X(name, value) SF_CONN_CLOSED_##name,
enum sf_conn_closed_label { SF_LABELS_CONN_CLOSED(SF_X) SF_CONN_CLOSEDS };
#undef SF_X
#define SF_X(name, value) SF_RATE_SCOPE_##name,
enum sf_rate_scope_label { SF_LABELS_RATE_SCOPE(SF_X) SF_RATE_SCOPES };
#undef SF_X
#define SF_X(name, value) SF_OVERLOAD_##name,
enum sf_overload_label { SF_LABELS_OVERLOAD(SF_X) SF_OVERLOADS };
#undef SF_X
#define SF_X(name, value) SF_BAD_FRAME_##name,
enum sf_bad_frame_label { SF_LABELS_BAD_FRAME(SF_X) SF_BAD_FRAMES };
#undef SF_X

#define SF_X(name, text, type, unit, labels, series, buckets, help) SF_METRIC_##name,
enum sf_metric { SF_METRICS(SF_X) SF_METRIC_COUNT };
#undef SF_X

/* Which upper bounds a histogram has; the bounds themselves are in table.c. */
#define SF_BUCKETS_FAST_COUNT 16 /* 10 us to 1 s */
#define SF_BUCKETS_SLOW_COUNT 15 /* 500 us to 30 s */
#define SF_BUCKETS_NONE_COUNT 0

struct sf_metric_info {
    const char *name; /* of the family: without _total */
    enum sf_metric_type type;
    const char *unit;   /* "seconds", "bytes" or "" */
    const char *labels; /* keys, separated by commas */
    const char *help;
    unsigned series;       /* counted in cells; 0: collected */
    const int64_t *bounds; /* of a histogram: upper, in nanoseconds, ascending, without +Inf */
    unsigned bound_count;
    unsigned cell;        /* place of its first cell in a block */
    unsigned series_size; /* cells of one series */
};

extern const struct sf_metric_info sf_metric_table[SF_METRIC_COUNT];

/* NULL never: metric is below SF_METRIC_COUNT (asserted). Inline, as each turn of a shard counts
 * through it several times. */
static inline const struct sf_metric_info *sf_metric_info(enum sf_metric metric)
{
    SF_ASSERT((unsigned)metric < SF_METRIC_COUNT);
    return &sf_metric_table[metric];
}

/* Cells of a whole block. */
unsigned sf_metrics_cells(void);

/* Writes `key="value",...` of a cell-counted series; returns buffer. */
const char *sf_metrics_series_labels(enum sf_metric metric, unsigned series, char *buffer,
                                     size_t size);

/* --- numbers of series --- */

/* requests_total. status as on the wire. (The room does not know the wire: that labels and wire/frame.h have the same order is
 * asserted in server/request.c, that they have the same names in tests/unit/test_wire_docs.c.) */
static inline unsigned sf_series_request(enum sf_request_label type, unsigned status)
{
    return (unsigned)type * SF_STATUSES + status;
}

/* The label of a type as on the wire: requests from 1 on, then "other" for everything else. */
static inline enum sf_request_label sf_request_label_of(uint8_t wire_type)
{
    return wire_type >= 1 && wire_type <= SF_REQUEST_OTHER ? (enum sf_request_label)(wire_type - 1)
                                                           : SF_REQUEST_OTHER;
}

/* coordinator_operations_total; op and outcome in the order of coord/coord.h. For
 * coordinator_operation_seconds the op alone. */
static inline unsigned sf_series_coord(unsigned op, unsigned outcome)
{
    return op * SF_OUTCOMES + outcome;
}

/* "ok", "bad_request", ...: as the label `status` has it. */
const char *sf_metrics_status_name(unsigned status);

#endif
