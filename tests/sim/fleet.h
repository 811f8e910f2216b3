/* tests/sim/fleet.h - the simulated world from inside: what its files share. The product's own
 * generator, reservation machine, readiness, minting time, clock selection and policy, state file
 * and client policy run here; everything around them is simulated. One thread. Nanoseconds of true
 * time unless said otherwise.
 *
 *   world.c    events in order; the run from beginning to end
 *   hosts.c    processes: start, step, state file, end
 *   clocks.c   wall, monotonic and minting clocks; time sources
 *   mints.c    minters, some of them slow
 *   network.c  requests between machines and the coordinator, sessions
 *   store.c    the coordinator itself; content.c, making.c: what it holds, and how a fleet is made
 *   book.c     what it granted
 *   operator.c people who make the fleet, and make it anew
 *   clients.c  callers with the client's policy, and the answers of workers
 *   faults.c   what goes wrong
 *   losses.c   what the coordinator loses
 *   judge.c    what must be true */
#ifndef SF_SIM_FLEET_H
#define SF_SIM_FLEET_H

#include "base/assert.h"
#include "base/ticks.h"
#include "client/policy.h"
#include "clock/policy.h"
#include "clock/select.h"
#include "shapes.h"
#include "store.h"
#include "worker/readiness.h"
#include "worker/statefile.h"
#include "world.h"

#define MS SF_NS_PER_MS
#define S  SF_NS_PER_S

#define SIM_SESSION_NS    (10 * S)
#define SIM_MAX_AHEAD_MS  10
#define SIM_MAX_OFFSET_NS S
#define SIM_LEAVE_MS      15000
#define SIM_LIE_MS        30000 /* in a wild world, time sources are wrong by up to that */
#define SIM_OPERATORS     2

enum sim_event_kind {
    EV_STEP,     /* a machine's timer */
    EV_ARRIVE,   /* a request at the coordinator */
    EV_ANSWER,   /* its answer at the worker */
    EV_DEADLINE, /* no answer so far */
    EV_MINT,
    EV_MINT_END, /* of a minter that was paused with the time in its hand */
    EV_SWAP,     /* of a minter that was paused before its compare-and-swap */
    EV_CLOCK,
    EV_LINK,
    EV_RESUME,
    EV_START,
    EV_LEAVE, /* it has served long enough after it was told to end */
    EV_KILL,  /* of which a copy of the state file was made */
    EV_CLOCK_BACK,
    EV_EXPIRE,
    EV_ORPHANED, /* a session that was put back, and that nobody took up */
    EV_SESSIONS,
    EV_JUDGE,
    EV_FAULT,
    EV_HEAL,
    EV_RECORD_BACK,
    EV_OPERATOR,
    EV_ROLL,
    EV_CALL, /* a caller wants an ID */
    EV_ASK,  /* a request at a worker */
    EV_REPLY,
    EV_PATIENCE, /* a call's timer */
    EV_PROBE_LATE,
    EV_CLIENT_HEAL
};

/* A request to the coordinator on its way; shared by the events that may end it. */
struct sim_flight {
    struct sf_coord_request request;
    uint64_t session, instance, lineage, connection;
    bool survives; /* a hop keeps it when the coordinator is another one meanwhile */
    bool twice;    /* it was delivered before, and that answer is gone */
    unsigned host, hold;
    int64_t sent_mono_ns, trust_error_ns;
    bool completed;
    unsigned references;
};

/* A client's request to a worker. Belongs to the one event that carries it. */
struct sim_ask {
    unsigned client, host;
    uint64_t call;      /* 0: a probe */
    int64_t give_up_ns; /* a connection that is silent for so long is closed */
    unsigned waits;
    enum sf_outcome outcome;
    int64_t retry_after_ns;
    uint64_t id;
};

struct sim_event {
    int64_t at_ns;
    uint64_t order;
    enum sim_event_kind kind;
    unsigned host, hold;
    uint64_t instance, value;
    bool knew; /* EV_MINT_END: what the minter read was from good time servers */
    struct sim_flight *flight;
    struct sf_coord_event *coord;
    struct sim_ask *ask;
};

/* One slot's machine, its generator and its state file. */
struct sim_hold {
    struct sf_reservation res;
    struct sf_generator gen;
    _Atomic uint64_t word; /* the file's block has the copy */
    uint64_t lineage;      /* owner in the book: a fast restart goes on with its predecessor's */
    uint64_t wake;         /* only the newest timer counts */
    uint64_t last_word;
    bool slow; /* a minter is between its two steps: slow_mint */
    struct sf_mint_try slow_mint;
    bool finished;
    unsigned open_requests;
    int64_t claimless_since_ns, seeking_since_ns; /* for the judge */
    bool claim_taken;                             /* somebody deleted its claim */
    bool unread;                 /* its connection was lost, and it has not read its record since */
    int64_t knows_loss_since_ns; /* of the present making; -1: it does not */
    /* Its last ID, of the process before too where its file was believed: under which making. */
    int64_t minted_ms; /* 0: none */
    char minted_token[SF_COORD_TOKEN_SIZE];
    /* What it was told that another one holds of its slot: no ID below that. */
    struct {
        int64_t until_ms; /* 0: nothing */
        uint64_t worker;
        char token[SF_COORD_TOKEN_SIZE], claim[SF_COORD_CLAIM_MAX];
    } reported;
    /* What lies in the state directory; survives the process. */
    struct sf_state_block block, old_block;
    uint64_t file_lineage, old_lineage; /* whose slot the files speak of */
};

/* A machine with at most one worker process. */
struct sim_host {
    unsigned datacenter, version;
    bool wanted, alive, paused, connected, draining, leaving;
    bool cut_to, cut_back;
    bool broken; /* its connection is gone, and it has not noticed yet */
    uint64_t connection;
    bool watching;         /* somebody is told when the fleet changes */
    uint64_t seen_changes; /* of the fleet, and told */
    uint64_t instance, session;
    bool session_live;
    int64_t paused_until_ns, cut_until_ns, contact_ns;
    int64_t clear_since_ns;   /* nothing has gone wrong between it and the coordinator since */
    int64_t serving_since_ns; /* it could have answered a client since; -1: it cannot */
    struct sim_hold holds[SIM_HOLDS_MAX];
    /* Clocks. */
    struct sf_policy policy;
    struct sf_clock_verdict verdict;
    struct sf_coordinator_time coordinator;
    struct sf_reading reading;
    bool has_ntp;
    int64_t real_offset_ns; /* wall clock less true time, steps included */
    int64_t lie_ns;         /* in a wild world: what its time sources are wrong by */
    int64_t drift_ppb, drift_base_ns, drift_sum_ns;
    int64_t stalled_since_ns; /* -1: the wall clock goes */
    int64_t sources_bad_until_ns;
    enum sim_fault sources_bad;
};

enum sim_call_state { SIM_CALL_NONE, SIM_CALL_WAITING, SIM_CALL_ASKED };

struct sim_call {
    enum sim_call_state state;
    uint64_t number, timer;
    int64_t started_ns, deadline_ns, timer_ns;
    uint32_t round, in_flight, attempts;
    bool silenced;
    int last_server;
    struct sf_client_policy_tried tried;
};

struct sim_client {
    struct sf_client_policy policy;
    struct sim_call call;
    struct {
        bool cut_to, cut_back;
        int64_t clear_since_ns;
        uint64_t probe; /* number of the one that is out; 0: none */
    } links[SIM_HOSTS_MAX];
    uint64_t probes;
};

/* What a person is at. The steps of INIT in their order. */
enum sim_operator_step {
    SIM_OPERATOR_LOOKS,
    SIM_OPERATOR_BEGINS,
    SIM_OPERATOR_SURVEYS,
    SIM_OPERATOR_MAKES,
    SIM_OPERATOR_NAMES
};

struct sim_operator {
    enum sim_operator_step step;
    bool forced;
    struct sim_making making;
};

/* Every ID: one bit for having been minted, one for having been given to a caller. */
struct sim_seen {
    uint64_t key, minted, handed, tainted;
};

struct sim_world {
    struct sim_options options;
    struct sim_shape shape;
    struct sim_result *result;
    struct sf_prng prng;
    int64_t now_ns;
    struct sim_event *heap;
    size_t heap_count, heap_size;
    uint64_t next_order, next_instance, next_session, next_call;
    struct sim_store store;
    bool store_down, calm;
    bool loses;      /* the coordinator may lose data */
    unsigned losses; /* so far, and records that were deleted */
    bool made;       /* once at least */
    bool forgot;     /* everything, a record, or what was done since a copy, and not made anew since */
    bool put_back;   /* people know that an older state was put back */
    struct sim_content *copy; /* of all that it holds; NULL: none was taken */
    int64_t store_down_until_ns, store_lags_until_ns;
    bool wild;    /* the time sources of each host lie by a constant of their own */
    double lossy; /* how often a message is lost, late or slow */
    unsigned rolling, version;
    struct sim_operator operators[SIM_OPERATORS];
    int64_t floor_ms;          /* of the making that was named last */
    int64_t granting_since_ns; /* the coordinator grants, under this very basis; -1: it does not */
    struct sf_coord_basis granting;
    struct sim_host hosts[SIM_HOSTS_MAX];
    struct sim_client clients[SIM_CLIENTS_MAX];
    struct sim_seen *seen;
    size_t seen_size, seen_count;
};

/* --- world.c --- */
uint64_t sim_below(struct sim_world *w, uint64_t n);
/* Never while calm. */
bool sim_chance(struct sim_world *w, double p);
void sim_trace(struct sim_world *w, unsigned host, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sim_fail(struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void sim_fault(struct sim_world *w, enum sim_fault fault)
{
    w->result->faults[fault]++;
}
static inline void sim_path(struct sim_world *w, enum sim_path path)
{
    w->result->paths[path]++;
}
void sim_push(struct sim_world *w, int64_t delay_ns, struct sim_event event);
/* For what a paused process does or gets: the event comes again after the pause. */
void sim_push_resumed(struct sim_world *w, const struct sim_host *h, int64_t after_ns,
                      struct sim_event event);
/* An event of a machine's present process. */
void sim_at(struct sim_world *w, int64_t delay_ns, enum sim_event_kind kind, unsigned host);

/* --- clocks.c --- */
int64_t sim_true_unix_ns(const struct sim_world *w);
int64_t sim_mono_ns(const struct sim_world *w, const struct sim_host *h);
int64_t sim_real_ns(const struct sim_world *w, const struct sim_host *h);
int64_t sim_mint_ms(const struct sim_world *w, const struct sim_host *h);
void sim_set_drift(struct sim_world *w, struct sim_host *h, int64_t ppb);
void sim_unstall(struct sim_world *w, struct sim_host *h);
void sim_clock_start(struct sim_world *w, struct sim_host *h);
void sim_clock_turn(struct sim_world *w, unsigned index);
/* Evaluates the policy with what is known. */
void sim_clock_look(struct sim_world *w, unsigned index);
/* True when the sample is better than the one before. */
bool sim_learn_time(struct sim_world *w, struct sim_host *h, const struct sim_flight *flight,
                    const struct sf_coord_completion *c);
int64_t sim_trusted_ms(const struct sim_world *w, const struct sim_host *h);

/* --- hosts.c --- */
void sim_start(struct sim_world *w, unsigned index);
void sim_die(struct sim_world *w, unsigned index, int64_t restart_ns);
/* Told to end: not ready from now on, leaving a little later. */
void sim_drain(struct sim_world *w, unsigned index);
void sim_leave(struct sim_world *w, unsigned index);
void sim_step(struct sim_world *w, unsigned index, unsigned hold,
              const struct sf_reservation_event *event);
/* Steps all machines of the process with it; frees it. */
void sim_deliver(struct sim_world *w, unsigned index, struct sf_coord_event *coord);
void sim_save_files(struct sim_world *w, struct sim_host *h);

/* --- mints.c --- */
void sim_mint_turn(struct sim_world *w, unsigned index, unsigned hold);
/* knew: whoever read now_ms had good time servers, so that it says something of true time. */
void sim_mint_end(struct sim_world *w, unsigned index, unsigned hold, uint64_t now_ms, bool knew);
/* Who has had good time servers for a second knows what time it is. */
bool sim_knows_time(const struct sim_world *w, const struct sim_host *h);
void sim_load_slowly(struct sim_world *w, unsigned index, unsigned hold, uint64_t now_ms);
void sim_swap_slowly(struct sim_world *w, unsigned index, unsigned hold);
uint64_t sim_since_epoch_ms(const struct sim_world *w, const struct sim_host *h);

/* --- network.c --- */
void sim_submit(struct sim_world *w, unsigned index, unsigned hold,
                const struct sf_coord_request *request);
void sim_arrive(struct sim_world *w, struct sim_event *event);
void sim_answered(struct sim_world *w, struct sim_event *event);
void sim_deadline(struct sim_world *w, struct sim_event *event);
void sim_link_turn(struct sim_world *w, unsigned index);
void sim_sessions_turn(struct sim_world *w);
void sim_unref(struct sim_flight *flight);

/* --- operator.c --- */
/* The fleet is made for the first time, at once or when somebody comes to it, and looked at from now
 * on. */
void sim_operators_start(struct sim_world *w, bool at_once);
/* Whatever they are at: the connection is gone. */
void sim_operators_cut(struct sim_world *w);
void sim_operator_turn(struct sim_world *w, unsigned index);
void sim_operator_resets(struct sim_world *w, unsigned datacenter, unsigned worker);

/* --- clients.c --- */
void sim_clients_start(struct sim_world *w);
void sim_call_begin(struct sim_world *w, unsigned client);
void sim_call_patience(struct sim_world *w, unsigned client, uint64_t timer);
void sim_ask_arrive(struct sim_world *w, struct sim_event *event);
void sim_ask_replied(struct sim_world *w, struct sim_event *event);
void sim_probe_late(struct sim_world *w, unsigned client, unsigned host, uint64_t probe);

/* --- faults.c --- */
void sim_fault_turn(struct sim_world *w);
void sim_fault_heal(struct sim_world *w, unsigned index);
void sim_fault_kill_copied(struct sim_world *w, unsigned index);
void sim_fault_roll(struct sim_world *w);
/* From the coordinator; or only its answers. */
void sim_fault_cut(struct sim_world *w, unsigned index, bool both, int64_t for_ns);
void sim_become_calm(struct sim_world *w);

/* --- losses.c --- */
void sim_loss_turn(struct sim_world *w);
void sim_end_connections(struct sim_world *w); /* of everybody, to the coordinator */

/* --- judge.c --- */
/* natural: by a minter whose clock is the process's own. */
void sim_judge_mint(struct sim_world *w, unsigned index, unsigned hold, const struct sf_mint *mint,
                    bool natural);
void sim_judge_step(struct sim_world *w, unsigned index, unsigned hold,
                    const struct sf_reservation_event *event, const struct sf_reservation_now *now,
                    const struct sf_reservation_output *out);
void sim_judge_readiness(struct sim_world *w, unsigned index);
void sim_judge_write(struct sim_world *w, const struct sim_flight *flight,
                     const struct sf_coord_event *answer);
/* Looks whether the host could serve a client. */
void sim_judge_serving(struct sim_world *w, unsigned index);
void sim_judge_handed(struct sim_world *w, unsigned client, uint64_t id);
void sim_judge_call_failed(struct sim_world *w, unsigned client);
void sim_judge_turn(struct sim_world *w);
bool sim_judge_settled(const struct sim_world *w);
/* Has this client been able to use the host since then? */
bool sim_judge_within_reach(struct sim_world *w, const struct sim_client *client, unsigned index,
                            int64_t since_ns);
void sim_judge_end(struct sim_world *w);

#endif
