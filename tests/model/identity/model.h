/* tests/model/identity/model.h - rules 5 to 12 of docs/uniqueness.md as a state machine that is small enough to be
 * explored completely: two slots, two workers, one coordinator that may lose its data, two people who run INIT.
 *
 * Nothing is timed: a clock is any number at any time, a pause or a cut cable is a step that comes late, a lost message
 * is one that does not come. A timestamp is one of 0..T-1 and stands for a whole millisecond of IDs. All fields are bytes,
 * so that a state has no padding and can be hashed as it is. README.md maps the steps to the product.
 */
#ifndef SF_MODEL_IDENTITY_H
#define SF_MODEL_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

typedef uint8_t u8;

#define WORKERS    2
#define SLOTS      2
#define MAKERS     2
#define MAKINGS    3 /* makings of the fleet, by their tokens 0.. */
#define STAMPS_MAX 5
#define NET_MAX    3
#define OUT_MAX    2

/* How far a run goes, and the bug that is planted in it. */
struct bounds {
    int T;      /* timestamps */
    int WRITES; /* writes to slot records that are sent */
    int FRESH;  /* 1: starts with an empty coordinator and nobody's fleet */
    int CLAIMS; /* claims that are made; 0: every write may pass, claim or not */
    int DOUBLE; /* 1: a hop may deliver a write twice and hand on the second answer */
    int LAG; /* 1: a member of the coordinator lags; only what is said to be confirmed does not come from it */
    int CONTENT; /* 1: writes compare the content as well (etcd, local), and outlive a loss; 0: versions (ZooKeeper) */
    int WIPES;   /* times that everything is wiped */
    int RESTORES; /* times that an older state is put back */
    int DELETES;  /* times that somebody deletes a slot record */
    int UNCONFIG; /* times that somebody deletes the config alone */
    int INITS;    /* plain INITs (init, --first, --if-missing) */
    int LOSSES;   /* INITs --after-data-loss */
    int STAY;     /* 1: an INIT that is under way survives a loss of data */
    int KILLS;    /* kill -9 of a worker, which starts again */
    int COPIES;   /* copies of a state file, put back later */
};
extern struct bounds bounds;

/* The bugs: each is a rule left out, or its first wording. */
#define BUGS(B)                                                                                    \
    B(token_reused)                                                                                \
    B(current_unchecked) B(names_survive) B(naming_unconditional) B(survey_before_unname)          \
        B(reconnect_unread) B(version_before_content) B(refusal_believed) B(hop_refusal_believed)  \
            B(orphan_spends_all) B(reopen_released) B(loss_by_acked) B(lag_believed) B(not_sticky) \
                B(file_forgets_loss) B(halt_own_only) B(loss_kept_secret) B(halt_unchecked)        \
                    B(report_ignored) B(floor_ignored) B(file_floor_unchecked)                     \
                        B(survivors_ignored) B(floor_of_zero) B(config_gone_spends)                \
                            B(fork_keeps_right) B(file_read_live) B(file_lock_ignored)             \
                                B(file_by_version) B(file_unchecked) B(missing_read_as_zero)       \
                                    B(superseded_unasked)
#define ENTRY(name) BUG_##name,
enum bug { BUG_none, BUGS(ENTRY) BUG_COUNT };
#undef ENTRY
extern enum bug bug;

/* What the coordinator holds. */
struct record {
    u8 version, nonce, fence, from, until; /* version 0: absent */
};
struct report {
    u8 fence, held; /* held 0: none */
};
struct tree {
    u8 made, halted;
    struct record slots[SLOTS];
    struct report reports[SLOTS][WORKERS];
    u8 stale_until[SLOTS]; /* ghost: was put back older than what had been granted, up to here */
};
struct claim {
    u8 fence, token; /* fence 0: none */
};
struct store {
    u8 config, config_version, floor; /* config: token + 1 */
    u8 root, named;                   /* named: one bit for each current-<token> */
    struct claim claims[WORKERS];
    struct tree trees[MAKINGS];
};

enum kind { BIND = 1, RENEW, RELEASE };
struct message {
    u8 nonce, from, kind, token, slot, version, old_nonce, config_version, fence, start, floor,
        until, lineage;
};
struct outstanding {
    u8 nonce, until, kind, refused;
};

enum mode { NONE, BID, HOLD };
struct file {
    u8 token, slot, version, nonce, start, word; /* token: + 1; 0: names no slot */
};
struct worker {
    u8 word;  /* the least timestamp that it has not used up */
    u8 known; /* token + 1 of the config that it knows */
    u8 lost;  /* one bit for each making whose data it knows to be lost */
    u8 known_floor;
    u8 untold;  /* halt_own_only: losses that it tells to its own making only */
    u8 was;     /* file_floor_unchecked: what it knew before the restart */
    u8 gone;    /* token + 1 of a config that was not there any more */
    u8 lineage; /* ghost: the process, and what goes on from its state file */
    u8 noticed; /* ghost: as lost, but never forgotten by a bug */
    /* the right to mint: of its tenure, or as an orphan that spends the rest */
    u8 minting, token, slot, limit, fence, obeyed; /* obeyed: what others reported of the slot */
    u8 stale, epoch; /* ghost: exempt below; losses of data when it was granted */
    /* the tenure: a bid for a slot, or a slot held */
    u8 mode, t_token, t_slot, config_version, version, nonce, acked, start, floor, must_read,
        awaited, from_file;
    struct outstanding out[OUT_MAX];
    u8 claim, claim_token; /* the claim it believes to have: its fence */
    struct file file;
};

enum maker_step { IDLE, READ, UNNAMED, SURVEYED, MADE, OVER };
struct maker {
    u8 step, loss, token, root, config_version, floor;
};

struct state {
    struct store now, backup, lag;
    struct worker w[WORKERS];
    struct message net[NET_MAX];
    struct maker makers[MAKERS];
    struct file copy;
    u8 copy_of, has_backup;
    u8 nonces, fences, tokens, lineages, inits, losses, wipes, restores, deletes, unconfigs, kills,
        copies;
    u8 epoch;                      /* losses of data so far */
    u8 ever, ever_slot[SLOTS];     /* the highest reservation that was granted */
    u8 granted[SLOTS][STAMPS_MAX]; /* to which lineage */
    u8 minted[SLOTS][STAMPS_MAX];  /* 1: as promised; 2: in a grant that is exempt */
};

/* explore.c */
void emit(const struct state *next,
          const char *what); /* a step from the state that is being expanded */
void violate(const struct state *next, const char *what, const char *why);

/* store.c */
const struct store *seen_by(const struct state *s, bool fresh);
bool may_apply(const struct state *s, const struct message *m);
void apply(struct state *s, const struct message *m, const char *what);
void make_tree(struct store *store, u8 token, u8 floor);
void step_world(const struct state *s);
void normalise(struct state *s);

/* maker.c */
void step_makers(const struct state *s);

/* worker.c */
u8 least(const struct worker *w);
bool release_sent(const struct worker *w);
void orphan(struct worker *w);
void drop(struct worker *w);
void acknowledged(struct state *s, u8 p, int k, const struct tree *tree,
                  const struct record *record);
void refused(struct worker *w, int k);
void look(const struct state *s, u8 p, bool fresh);
void learn(const struct state *s, u8 p, bool fresh);
void notice(struct state *s, u8 p, u8 token);

/* steps.c */
void step_worker(const struct state *s, u8 p);
void step_network(const struct state *s);

/* restart.c */
void look_from_file(const struct state *s, u8 p);
void step_process(const struct state *s, u8 p);

#endif
