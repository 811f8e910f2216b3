/* tests/sim/counts.h - what happened in a simulation: kinds of faults that were injected, paths of
 * the product that were taken. A campaign demands every one of them. */
#ifndef SF_SIM_COUNTS_H
#define SF_SIM_COUNTS_H

enum sim_fault {
    SIM_KILL,
    SIM_KILL_LOSE_FILE,
    SIM_KILL_OLD_FILE, /* a copy of any age is put back */
    SIM_KILL_NEW_COPY, /* a copy of a moment ago is put back */
    SIM_KILL_BEFORE_SAVE,
    SIM_TERM,
    SIM_PAUSE,
    SIM_MINT_PAUSE, /* between reading the clock and minting */
    SIM_SWAP_PAUSE, /* between the loads of a mint and its compare-and-swap */
    SIM_CUT_BOTH,
    SIM_CUT_ANSWERS,
    SIM_STORE_DOWN,
    SIM_STORE_LAGS, /* lists are answered from an old state */
    SIM_EXPIRE,
    SIM_CLAIM_DELETED,
    SIM_RECORD_GONE,
    SIM_WIPED,
    SIM_PUT_BACK, /* an older state of all that the coordinator held */
    SIM_MADE,     /* init --first */
    SIM_REMADE,   /* init --after-data-loss */
    SIM_FORCED,   /* the same, where nothing was lost */
    SIM_INIT_CUT, /* between two of its steps */
    SIM_INIT_RACED,
    SIM_TWICE, /* a hop delivers a write twice and hands on the second answer */
    SIM_CONFIG_TOUCH,
    SIM_REQUEST_LOST,
    SIM_ANSWER_LOST,
    SIM_LATE_APPLY,
    SIM_STEP_SMALL,
    SIM_STEP_BIG,
    SIM_BLIP, /* the clock steps and comes back; the answers may be cut meanwhile */
    SIM_DRIFT,
    SIM_CLOCK_STALL,
    SIM_SOURCE_SILENT,
    SIM_SERVER_LIES, /* one of three time servers: overruled */
    SIM_SERVERS_DISAGREE,
    SIM_SCALE_UP,
    SIM_SCALE_DOWN,
    SIM_ROLL, /* every worker is replaced in turn by another version */
    SIM_DATACENTER_CUT,
    SIM_CLIENT_CUT,
    SIM_CLIENT_CUT_ANSWERS,
    SIM_CALL_LOST,
    SIM_CALL_SLOW,
    SIM_FAULTS
};

enum sim_path {
    SIM_FAST_RESTART,
    SIM_FILE_REFUSED,
    SIM_STRANGER,
    SIM_WAITED_FOR_CLOCK, /* a restart that waits until its clock has passed the last ID */
    SIM_WRITE_UNKNOWN,
    SIM_WRITE_ADOPTED, /* our nonce was found in the record */
    SIM_CLAIM_ADOPTED, /* our guid was found in the list */
    SIM_STRAY_REMOVED, /* a claim that was given up turned up and was deleted */
    SIM_CLAIM_AGAIN,   /* a new claim for the slot that is held */
    SIM_BID_LOST,
    SIM_WAITED_FOR_SLOT,
    SIM_SHRUNK,
    SIM_ORPHANED,
    SIM_ORPHAN_SPENT, /* what was left of its reservation was used up, or it moved */
    SIM_DROPPED,      /* the record was made by hand, or the fleet is gone: stopped at once */
    SIM_LOST,         /* a loss of data was noticed */
    SIM_HALT_SEEN,
    SIM_SUPERSEDED, /* the fleet was made anew above everything that was minted */
    SIM_SUSPENDED,
    SIM_RESUMED_HOLDING, /* the clock was right again before the slot was given back */
    SIM_RESUMED_EMPTY,
    SIM_RELEASED,
    SIM_NOT_RELEASED, /* exit 75 */
    SIM_CONFIG_READ_AGAIN,
    SIM_UPGRADED,
    SIM_END_OF_TIME, /* exit 78: the timestamps of the layout are used up */
    SIM_NOT_READY,   /* a slot is held, yet readiness says no */
    SIM_CALL_RETRIED,
    SIM_CALL_SILENCE,
    SIM_CALL_BEYOND, /* failed while nobody could have served it */
    SIM_ANSWER_LATE,
    SIM_BREAKER_OPENED,
    SIM_BREAKER_CLOSED,
    SIM_PROBED,
    SIM_BUDGET_WAIT,
    SIM_OVERLOADED,
    SIM_PATHS
};

extern const char *const sim_fault_names[SIM_FAULTS];
extern const char *const sim_path_names[SIM_PATHS];

#endif
