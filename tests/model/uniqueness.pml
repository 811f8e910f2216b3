/* The rule of docs/uniqueness.md for one slot, N workers and one coordinator, for spin.
 *
 * Every step below is what a worker, a minter thread, the network or the coordinator can do in one
 * indivisible step; spin tries every order of them. Nothing is timed: a clock is any number at any
 * time, a pause is a step that comes late, a lost message is a step that does not come. README.md
 * says which step is which line of the product, and why the reductions lose nothing.
 *
 * Bounds (all can be given with -D): N workers; timestamps 0..T-1 of SEQ sequence numbers each;
 * WRITES writes sent, CLAIMS claims made, CRASHES crashes, COPIES state files copied by somebody,
 * REMAKES records deleted and made again. K writes of unknown outcome remembered by a worker, P
 * writes under way in the network at a time. */
#ifndef N
#define N 2
#endif
#ifndef T
#define T 4
#endif
#ifndef SEQ
#define SEQ 1
#endif
#ifndef WRITES
#define WRITES 4
#endif
#ifndef CLAIMS
#define CLAIMS 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef COPIES
#define COPIES 0
#endif
#ifndef REMAKES
#define REMAKES 0
#endif
#ifndef BATCH
#define BATCH 2 /* most IDs of one compare-and-swap */
#endif
#ifndef LAG
#define LAG 0 /* 1: reads may be served by a member that lags behind */
#endif
/* CLAIMED: writes need a live claim, and claims vanish at any moment. Without it every write may
 * pass, claim or not: all behaviours with claims are among those without.
 * SPLIT: the minter's loads, and the opening's stores, are steps of their own. Without it a minter
 * loads and swaps in one step, or swaps with a limit that has been lowered since it loaded. */
#ifdef M_OPEN_SAME_WORD
#define SPLIT
#endif
#if defined(M_NONCE) || defined(M_FILE_FENCE) || defined(M_EPHEMERAL)
#define FENCES
#endif
#ifdef M_EPHEMERAL
#define CLAIMED
#endif
#define K 2
#define P 2
#define IDS (T * SEQ)
#define TS(word) ((word) / SEQ)

#define NONE 0 /* no slot is sought, or an orphan spends the rest */
#define BID 1
#define HOLD 2

/* --- the coordinator: one record, one lagging reader of it, one claim for each worker --- */
typedef record {
    byte version;
    bit incarnation;
    byte fence;
    byte reserved;
    byte nonce
};
record rec;
#if LAG
record lag;
#endif
byte claim[N]; /* fence of the live claim; 0: none */
byte fences, nonces, crashes, copies, remakes;

/* --- writes under way --- */
typedef message {
    byte nonce; /* 0: free */
    byte from;
    byte version;
    bit incarnation;
    byte fence;
    byte reserved;
    bit release;
    byte lineage
};
message net[P];

/* --- what a worker knows --- */
typedef worker {
    byte mode;
    byte fence; /* the claim we believe in; 0: none */
    byte version;
    bit incarnation;
    byte floor;
    byte acked;
    bit opened;
    bit must_read;
    bit from_file;
    byte awaited; /* nonce of the write whose answer is waited for */
    byte out_nonce[K];
    byte out_reserved[K];
    bit out_release[K];
    /* the generator */
    byte word;
    bit closed;
    byte limit;
    byte opening; /* 1: limit is to be stored, 2: word is to be stored */
    byte lowering; /* 1: limit is stored, the word is not moved; 2: the write is to be sent */
    /* a minter between its loads and its compare-and-swap */
    byte mint;
    byte mint_word;
    byte mint_limit; /* without SPLIT: the limit before it was lowered */
    /* the state file's header; its word is `word` */
    byte file_version;
    bit file_incarnation;
    byte file_fence
};
worker w[N];
byte copy_of, copy_word, copy_version, copy_fence, copy_lineage; /* somebody's copy of a state file */

/* --- ghosts: what the checker knows --- */
byte lineage[N];   /* who mints: a process, and whoever goes on from its state file */
byte lineages;
byte granted[T];   /* whom each timestamp was granted to, as applied */
byte ever;         /* the highest reservation ever applied */
int minted;        /* a bit for each ID */
#if COPIES
byte high[N];      /* not_before: above all that this host has minted, by its monotonic clock */
#endif

inline forget_out(p)
{
    w[p].out_nonce[0] = 0; w[p].out_reserved[0] = 0; w[p].out_release[0] = 0;
    w[p].out_nonce[1] = 0; w[p].out_reserved[1] = 0; w[p].out_release[1] = 0
}

inline drop_tenure(p)
{
    w[p].mode = NONE; w[p].version = 0; w[p].incarnation = 0; w[p].floor = 0; w[p].acked = 0;
    w[p].opened = 0; w[p].must_read = 0; w[p].from_file = 0; w[p].awaited = 0;
    forget_out(p)
}

inline stranger(p)
{
    drop_tenure(p);
    w[p].word = 0; w[p].closed = 1; w[p].limit = 0;
    w[p].file_version = 0; w[p].file_incarnation = 0; w[p].file_fence = 0;
    lineages++;
    lineage[p] = lineages
}

#ifdef M_RELEASE_OPEN
#define MAY_RELEASE (w[p].mode == HOLD)
#else
#define MAY_RELEASE (w[p].mode == HOLD && w[p].closed)
#endif
#ifdef M_REOPEN_RELEASED
#define MAY_REOPEN true
#define COUNTS(p, k) (w[p].out_nonce[k] != 0 && !w[p].out_release[k])
#else
#define MAY_REOPEN (!RELEASE_SENT)
#define COUNTS(p, k) (w[p].out_nonce[k] != 0)
#endif

/* sf_tenure_granted_ms: the least value that the record may hold. */
#ifdef M_TRUST_UNACKED
#define WORSE(a, b) ((a) > (b))
#else
#define WORSE(a, b) ((a) < (b))
#endif
inline least(p, ret)
{
    ret = w[p].acked;
    if :: COUNTS(p, 0) && WORSE(w[p].out_reserved[0], ret) -> ret = w[p].out_reserved[0]
       :: else fi;
    if :: COUNTS(p, 1) && WORSE(w[p].out_reserved[1], ret) -> ret = w[p].out_reserved[1]
       :: else fi
}

/* sf_res_apply_limit, upwards. */
inline raise(p, scratch)
{
    if
    :: w[p].mode == HOLD && !w[p].closed && w[p].lowering == 0 ->
        least(p, scratch);
        if :: scratch > w[p].limit -> w[p].limit = scratch :: else fi;
        scratch = 0
    :: else
    fi
}

/* The closed bit: whoever loaded the word before fails from here on. */
#ifdef SPLIT
#define FORGET_MINT(p) skip
#else
#define FORGET_MINT(p) w[p].mint_limit = 0
#endif
inline close(p)
{
    w[p].closed = 1;
    FORGET_MINT(p)
}
inline open_word(p, scratch)
{
    scratch = w[p].word;
#ifndef M_OPEN_SAME_WORD
    scratch++;
#endif
    if :: w[p].floor * SEQ > scratch + 1 -> scratch = w[p].floor * SEQ - 1 :: else fi;
    w[p].word = scratch; scratch = 0;
    w[p].closed = 0; w[p].opened = 1; w[p].opening = 0
}
inline open(p, scratch)
{
#ifdef SPLIT
    w[p].opened = 0; w[p].opening = 1
#else
    least(p, scratch); w[p].limit = scratch; scratch = 0;
    open_word(p, scratch)
#endif
}

/* The record as read or acknowledged is ours: write number k was applied. */
inline acknowledge(p, k, seen_v, seen_i, scratch)
{
    w[p].version = seen_v;
    w[p].incarnation = seen_i;
    w[p].acked = w[p].out_reserved[k];
    scratch = w[p].out_release[k];
    forget_out(p);
    w[p].must_read = 0;
    w[p].from_file = 0;
    if
    :: scratch -> /* a release: slot and claim are gone */
        scratch = 0;
        drop_tenure(p);
        w[p].fence = 0
    :: !scratch && w[p].mode == BID ->
        w[p].mode = HOLD;
        close(p);
        open(p, scratch)
    :: else ->
        raise(p, scratch)
    fi
}

inline refused_version(p, k)
{
    w[p].out_nonce[k] = 0; w[p].out_reserved[k] = 0; w[p].out_release[k] = 0;
    if
    :: w[p].mode == BID && w[p].out_nonce[1 - k] == 0 && w[p].from_file -> stranger(p)
    :: w[p].mode == BID && w[p].out_nonce[1 - k] == 0 && !w[p].from_file -> drop_tenure(p)
    :: else -> w[p].must_read = 1
    fi
}

inline free_net(i)
{
    net[i].nonce = 0; net[i].from = 0; net[i].version = 0; net[i].incarnation = 0; net[i].fence = 0;
    net[i].reserved = 0; net[i].release = 0; net[i].lineage = 0
}

/* The ghosts' book. */
inline grant(whom, until, scratch)
{
    scratch = 0;
    do
    :: scratch < T ->
        if
        :: scratch >= rec.reserved && scratch < until -> granted[scratch] = whom
        :: scratch >= until -> granted[scratch] = 0
        :: else
        fi;
        scratch++
    :: else -> break
    od;
    scratch = 0;
    if :: until > ever -> ever = until :: else fi
}

#define SAME_VERSION(i) (net[i].version == rec.version && net[i].incarnation == rec.incarnation)
#ifdef M_UNCONDITIONAL
#define MAY_APPLY(i) (SAME_VERSION(i) || !net[i].release)
#else
#ifdef M_INCARNATION
#define MAY_APPLY(i) (net[i].version == rec.version)
#else
#define MAY_APPLY(i) SAME_VERSION(i)
#endif
#endif

#define AWAITED(i) (w[net[i].from].awaited == net[i].nonce)
#ifdef CLAIMED
#define CLAIM_GONE(i) (claim[net[i].from] != net[i].fence)
#else
#define CLAIM_GONE(i) false
#endif

/* A write that nobody waits for and that can never be applied any more. */
inline sweep(i)
{
#ifndef M_UNCONDITIONAL
#ifndef M_INCARNATION
    if
    :: net[i].nonce != 0 && !AWAITED(i) && (!SAME_VERSION(i) || CLAIM_GONE(i)) -> free_net(i)
    :: else
    fi
#endif
#endif
    skip
}

/* A write arrives: applied or refused, and answered if its worker still waits. */
inline arrive(i, p, k, scratch)
{
    p = net[i].from;
    k = (w[p].out_nonce[0] == net[i].nonce -> 0 : 1);
    if
    :: CLAIM_GONE(i) ->
        if
        :: AWAITED(i) ->
            w[p].out_nonce[k] = 0; w[p].out_reserved[k] = 0; w[p].out_release[k] = 0;
            w[p].awaited = 0;
            w[p].fence = 0;
            raise(p, scratch)
        :: else
        fi
    :: !(CLAIM_GONE(i)) && !MAY_APPLY(i) ->
        if
        :: AWAITED(i) ->
            w[p].awaited = 0;
            refused_version(p, k);
            raise(p, scratch)
        :: else
        fi
    :: else ->
        grant(net[i].lineage, net[i].reserved, scratch);
        rec.version++;
#ifdef FENCES
        rec.fence = net[i].fence;
#endif
        rec.reserved = net[i].reserved;
        rec.nonce = net[i].nonce;
        if :: net[i].release -> claim[p] = 0 :: else fi;
        if
        :: AWAITED(i) ->
            w[p].awaited = 0;
            acknowledge(p, k, rec.version, rec.incarnation, scratch)
        :: else
        fi
    fi;
    free_net(i);
    sweep(0); sweep(1);
    k = 0; p = 0; scratch = 0
}

/* Sends a write of x under the version known. */
inline send(p, x, rel, i, k)
{
    i = (net[0].nonce == 0 -> 0 : 1);
    k = (w[p].out_nonce[0] == 0 -> 0 : 1);
    nonces++;
    net[i].nonce = nonces;
    net[i].from = p;
    net[i].version = w[p].version;
    net[i].incarnation = w[p].incarnation;
    net[i].fence = w[p].fence;
    net[i].reserved = x;
    net[i].release = rel;
    net[i].lineage = lineage[p];
    w[p].out_nonce[k] = nonces;
    w[p].out_reserved[k] = x;
    w[p].out_release[k] = rel;
    w[p].awaited = nonces;
    i = 0; k = 0
}

#ifdef CLAIMED
#define HAS_CLAIM (w[p].fence != 0)
#else
#define HAS_CLAIM true
#endif
/* Workers are alike: the first bid is worker 0's. */
#ifdef M_EPHEMERAL
#define MAY_BID ((p == 0 || nonces > 0) && claim[1 - p] == 0)
#else
#define MAY_BID (p == 0 || nonces > 0)
#endif
/* The file's word counts only once it stands at the owner's start. */
#ifdef M_FILE_UNOPENED
#define MAY_SAVE true
#else
#define MAY_SAVE w[p].opened
#endif
#define IDLE (w[p].awaited == 0 && w[p].opening == 0 && w[p].lowering == 0)
#define ROOM (nonces < WRITES && (net[0].nonce == 0 || net[1].nonce == 0) \
              && (w[p].out_nonce[0] == 0 || w[p].out_nonce[1] == 0))
#define OUTSTANDING (w[p].out_nonce[0] != 0 || w[p].out_nonce[1] != 0)
#define RELEASE_SENT ((w[p].out_nonce[0] != 0 && w[p].out_release[0]) \
                      || (w[p].out_nonce[1] != 0 && w[p].out_release[1]))

/* What sf_tenure_look makes of a record. */
inline look(p, seen, scratch)
{
    if
#ifdef M_FILE_UNCHECKED
    :: w[p].from_file ->
        w[p].version = seen.version; w[p].incarnation = seen.incarnation; w[p].must_read = 0
#else
#ifdef M_FILE_FENCE
    :: w[p].from_file && seen.fence == w[p].file_fence ->
        w[p].version = seen.version; w[p].incarnation = seen.incarnation; w[p].must_read = 0
#endif
#endif
#ifdef M_INCARNATION
    :: seen.version == w[p].version ->
#else
    :: seen.incarnation != w[p].incarnation -> /* positive loss: stop */
        close(p);
        if :: w[p].from_file -> stranger(p) :: else -> drop_tenure(p) fi
    :: seen.incarnation == w[p].incarnation && seen.version == w[p].version ->
#endif
        w[p].must_read = 0;
#ifdef M_READ_SETTLES
        forget_out(p);
        raise(p, scratch);
#endif
        skip
    :: seen.incarnation == w[p].incarnation && seen.version < w[p].version -> skip /* old: again */
#ifdef M_NONCE
    :: seen.version > w[p].version && OUTSTANDING && seen.fence == w[p].fence ->
        acknowledge(p, (w[p].out_nonce[1] != 0 -> 1 : 0), seen.version, seen.incarnation, scratch)
#else
    :: seen.incarnation == w[p].incarnation && seen.version > w[p].version && OUTSTANDING &&
        seen.nonce == w[p].out_nonce[0] ->
        acknowledge(p, 0, seen.version, seen.incarnation, scratch)
    :: seen.incarnation == w[p].incarnation && seen.version > w[p].version && OUTSTANDING &&
        seen.nonce == w[p].out_nonce[1] ->
        acknowledge(p, 1, seen.version, seen.incarnation, scratch)
#endif
    :: else -> /* somebody else's: an orphan, or a bid that was lost */
        if :: w[p].from_file -> stranger(p) :: else -> drop_tenure(p) fi
    fi;
    scratch = 0
}

inline bid_on(p, seen)
{
    w[p].mode = BID;
    w[p].version = seen.version;
    w[p].incarnation = seen.incarnation;
#ifdef M_OWN_CLOCK
    w[p].floor = 0;
#else
    w[p].floor = seen.reserved;
#endif
    w[p].acked = 0
}

/* The process dies and starts again; only the file is left. */
inline crash(p)
{
    crashes++;
    w[p].fence = 0; w[p].closed = 1; w[p].opening = 0; w[p].lowering = 0; w[p].mint = 0;
    w[p].mint_word = 0; w[p].mint_limit = 0; w[p].limit = 0;
    drop_tenure(p);
    sweep(0); sweep(1)
}

inline remember(p, not_before)
{
    w[p].mode = BID;
    w[p].version = w[p].file_version;
    w[p].incarnation = w[p].file_incarnation;
    w[p].floor = not_before;
    w[p].must_read = 1;
    w[p].from_file = 1
}

inline id_minted(p, id)
{
    assert((minted & (1 << (id))) == 0);          /* never twice */
    assert(granted[TS(id)] == lineage[p]);        /* and only what was granted to us */
    minted = minted | (1 << (id));
#if COPIES
    if :: id > high[p] -> high[p] = id :: else fi
#else
    skip
#endif
}

#ifdef M_LIMIT_EQUAL
#define END(limit) ((limit) * SEQ + 1)
#else
#define END(limit) ((limit) * SEQ)
#endif

/* The compare-and-swap succeeds: a batch of one or two, starting anywhere below the limit. */
inline swap(p, upto, x)
{
    x = w[p].word + 1;
    do :: x + 1 < END(upto) && x + 1 < IDS -> x++ :: break od;
    if :: x < IDS -> id_minted(p, x) :: else fi;
    if
    :: BATCH > 1 && x + 1 < END(upto) && x + 1 < IDS -> x++; id_minted(p, x)
    :: true
    fi;
    w[p].word = x; x = 0
}

#ifdef M_EPHEMERAL
#define LIMIT(p) (w[p].mode == HOLD -> T : 0)
#else
#define LIMIT(p) (w[p].limit)
#endif

proctype process(byte p)
{
    byte x, y, i, k;
end:
    do
    /* --- minting: load the word, load the limit, compare and swap. The clock is any number --- */
#ifdef SPLIT
    :: d_step { w[p].mint == 0 && !w[p].closed && w[p].word + 1 < END(w[p].limit) ->
            w[p].mint_word = w[p].word; w[p].mint = 1 }
    :: d_step { w[p].mint == 1 ->
            if
            :: w[p].mint_word + 1 < END(w[p].limit) -> w[p].mint_limit = w[p].limit; w[p].mint = 2
            :: else -> w[p].mint_word = 0; w[p].mint = 0 /* used up */
            fi }
    :: atomic { w[p].mint == 2 && w[p].closed == 0 && w[p].word == w[p].mint_word ->
            swap(p, w[p].mint_limit, x);
            w[p].mint = 0; w[p].mint_word = 0; w[p].mint_limit = 0 }
    :: d_step { w[p].mint == 2 && (w[p].closed || w[p].word != w[p].mint_word) ->
            w[p].mint = 0; w[p].mint_word = 0; w[p].mint_limit = 0 }
#else
    :: atomic { !w[p].closed && w[p].word + 1 < END(LIMIT(p)) && w[p].word + 1 < IDS ->
            swap(p, LIMIT(p), x); w[p].mint_limit = 0 }
    :: atomic { !w[p].closed && w[p].mint_limit != 0 && w[p].word + 1 < END(w[p].mint_limit) ->
            swap(p, w[p].mint_limit, x); w[p].mint_limit = 0 }
#endif

    /* --- claims and bids --- */
#ifdef CLAIMED
    :: d_step { w[p].fence == 0 && fences < CLAIMS ->
            fences++; w[p].fence = fences; claim[p] = fences; sweep(0); sweep(1) }
#endif
    :: d_step { IDLE && w[p].mode == NONE && HAS_CLAIM && nonces < WRITES && MAY_BID ->
            bid_on(p, rec) }
#if LAG
    :: d_step { IDLE && w[p].mode == NONE && HAS_CLAIM && nonces < WRITES && MAY_BID &&
            (lag.version != rec.version || lag.incarnation != rec.incarnation) ->
#ifdef M_TWO_READS
            bid_on(p, lag); w[p].version = rec.version; w[p].incarnation = rec.incarnation
#else
            bid_on(p, lag)
#endif
            }
#endif
#ifdef SPLIT
    /* --- the slot is won: closed bit first, then limit, then word --- */
    :: d_step { w[p].opening == 1 ->
            least(p, x); w[p].limit = x; x = 0; w[p].opening = 2 }
    :: d_step { w[p].opening == 2 -> open_word(p, x) }
#endif
    /* --- a write of any value: a raise, or a claim made again --- */
    :: atomic { IDLE && w[p].mode != NONE && !w[p].must_read && HAS_CLAIM && ROOM ->
            x = w[p].floor + 1;
            if :: w[p].opened && x < TS(w[p].word) + 2 -> x = TS(w[p].word) + 2 :: else fi;
            /* what is open shrinks by lowering only */
            least(p, y);
            if :: w[p].mode == HOLD && !w[p].closed && x < y -> x = y :: else fi;
            y = 0;
            if :: x > T -> x = 0 :: else -> do :: x < T -> x++ :: break od fi;
            if
            :: x > 0 ->
                send(p, x, 0, i, k);
#ifdef M_TRUST_UNACKED
                raise(p, x);
#endif
                skip
            :: else
            fi;
            x = 0 }
    /* --- shrinking: limit, word, write --- */
    :: atomic { IDLE && w[p].mode == HOLD && !w[p].closed && !w[p].must_read && HAS_CLAIM &&
            ROOM && w[p].limit > TS(w[p].word) + 2 && w[p].limit > w[p].floor + 1 ->
            x = TS(w[p].word) + 2;
            if :: x <= w[p].floor -> x = w[p].floor + 1 :: else fi;
            do :: x + 1 < w[p].limit -> x++ :: break od;
#ifndef SPLIT
            w[p].mint_limit = w[p].limit; /* a minter may have loaded it just before */
#endif
            w[p].limit = x; x = 0; w[p].lowering = 1 }
    :: d_step { w[p].lowering == 1 ->
            x = w[p].word;
#ifndef M_LOWER_WORD
            w[p].word = w[p].word + 1; FORGET_MINT(p);
#endif
            if
#ifndef M_LOWER_CHECK
            :: x + 1 >= w[p].limit * SEQ -> /* the assertion: this process ends before it writes */
                x = w[p].word; crash(p); crashes--; stranger(p)
#endif
            :: else -> w[p].lowering = 2
            fi;
            x = 0 }
    :: d_step { w[p].lowering == 2 && ROOM && HAS_CLAIM ->
            w[p].lowering = 0; send(p, w[p].limit, 0, i, k) }
    /* --- closing (the clock is bad, or leaving), opening again, giving back --- */
    :: d_step { w[p].mode == HOLD && !w[p].closed && w[p].opening == 0 && w[p].lowering == 0 ->
            close(p) }
    :: d_step { w[p].mode == HOLD && w[p].closed && w[p].opening == 0 && MAY_REOPEN &&
            w[p].word + 1 < IDS -> open(p, x) }
    :: d_step { IDLE && !w[p].must_read && HAS_CLAIM && ROOM &&
            (MAY_RELEASE || (w[p].mode == BID && OUTSTANDING)) ->
            if
            :: w[p].mode == BID && w[p].from_file -> x = w[p].word; stranger(p) /* cannot wait */
            :: else ->
                /* a bid that may be ours: its floor kills what is still under way */
                if :: w[p].mode == BID -> w[p].mode = HOLD; close(p); w[p].opened = 0
                   :: else fi;
#ifdef M_RELEASE_FLOOR
                x = TS(w[p].word) + 1;
#else
                x = w[p].floor;
                if :: w[p].opened && x < TS(w[p].word) + 1 -> x = TS(w[p].word) + 1 :: else fi;
#endif
                send(p, x, 1, i, k)
            fi;
            x = 0 }
    /* --- no answer in time; reading what became of it --- */
    :: d_step { w[p].awaited != 0 -> w[p].awaited = 0; w[p].must_read = 1; sweep(0); sweep(1) }
    :: d_step { IDLE && w[p].mode != NONE && w[p].must_read -> look(p, rec, x) }
#if LAG
    :: d_step { IDLE && w[p].mode != NONE && w[p].must_read &&
            (lag.version != rec.version || lag.incarnation != rec.incarnation) ->
            look(p, lag, x) }
#endif
    /* --- giving the slot up while writes may be under way --- */
    :: d_step { IDLE && w[p].mode == HOLD && OUTSTANDING -> drop_tenure(p) }
    /* --- the state file --- */
    :: d_step { w[p].mode == HOLD && MAY_SAVE && w[p].awaited == 0 && crashes < CRASHES &&
            w[p].file_version != w[p].version ->
            w[p].file_version = w[p].version; w[p].file_incarnation = w[p].incarnation;
            w[p].file_fence = w[p].fence }
    #if COPIES
    :: d_step { copies < COPIES && crashes < CRASHES && w[p].file_version != 0 ->
            copies++; copy_word = w[p].word; copy_version = w[p].file_version;
            copy_of = p; copy_fence = w[p].file_fence;
            copy_lineage = lineage[p] }
#endif
    /* --- crashes: with the file, without, with an old copy of it, with another boot --- */
    :: d_step { crashes < CRASHES && w[p].file_version != 0 ->
            crash(p); remember(p, TS(w[p].word) + 1) }
    :: d_step { crashes < CRASHES -> crash(p); stranger(p) }
#if COPIES
    :: d_step { p == copy_of && crashes < CRASHES && copies > 0 ->
            crash(p);
            w[p].file_version = copy_version; w[p].file_fence = copy_fence;
            lineage[p] = copy_lineage;
            w[p].word = copy_word;
#if defined(M_NOT_BEFORE) || defined(M_FILE_FENCE)
            remember(p, TS(copy_word) + 1)
#else
            x = (high[p] > copy_word -> high[p] : copy_word);
            remember(p, TS(x) + 1);
            x = 0
#endif
            }
#endif
#ifdef M_BOOT
    :: atomic { crashes < CRASHES && w[p].file_version != 0 ->
            crash(p);
            do :: w[p].word > 0 -> w[p].word-- :: break od; /* what the disk had got by then */
            remember(p, TS(w[p].word) + 1) }
#endif
    od
}

proctype world()
{
    byte p, k, x;
end:
    do
    :: d_step { net[0].nonce != 0 -> arrive(0, p, k, x) }
    :: d_step { net[1].nonce != 0 -> arrive(1, p, k, x) }
#ifdef CLAIMED
    /* sessions end at any moment; the worker learns of it when a write is refused */
    :: d_step { claim[0] != 0 -> claim[0] = 0; sweep(0); sweep(1) }
    :: d_step { claim[1] != 0 -> claim[1] = 0; sweep(0); sweep(1) }
#endif
#if LAG
    :: d_step { lag.version != rec.version || lag.incarnation != rec.incarnation ->
            lag.version = rec.version; lag.incarnation = rec.incarnation; lag.fence = rec.fence;
            lag.reserved = rec.reserved; lag.nonce = rec.nonce }
#endif
    /* the record is deleted and made again, above everything that was reserved */
#if REMAKES
    :: d_step { remakes < REMAKES ->
            remakes++;
            rec.version = 1; rec.incarnation = 1 - rec.incarnation; rec.fence = 0; rec.nonce = 0;
            if :: ever > rec.reserved -> rec.reserved = ever :: else fi;
            sweep(0); sweep(1) }
#endif
    od
}

init {
    byte p;
    atomic {
        rec.version = 1;
#if LAG
        lag.version = 1;
#endif
        p = 0;
        do
        :: p < N -> w[p].closed = 1; lineages++; lineage[p] = lineages; run process(p); p++
        :: else -> break
        od;
        p = 0;
        run world()
    }
}
