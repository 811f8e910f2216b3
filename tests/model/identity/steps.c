/* What a worker does by itself, and what the network does with its writes. */
#include "model.h"

#include <string.h>

/* An ID leaves: the judgement that all this is about. */
static void judge_mint(struct state *s, u8 p, u8 x)
{
    const struct worker *w = &s->w[p];
    u8 *minted = &s->minted[w->slot][x];
    const bool exempt = x < w->stale && x >= w->obeyed;
    if (*minted == 1 && !exempt)
        violate(s, "an ID is minted", "an ID is minted twice");
    if (s->granted[w->slot][x] != w->lineage && !exempt && w->epoch == s->epoch)
        violate(s, "an ID is minted", "an ID is minted outside what was granted");
    if (w->known != 0 && w->token != w->known - 1 && x >= w->known_floor)
        violate(s, "an ID is minted",
                "an ID is minted at or above the floor of a later making that is known");
    if (w->gone)
        violate(s, "an ID is minted", "an ID is minted although the config is known to be gone");
    if (*minted != 1)
        *minted = exempt ? 2 : 1;
}

static void mint(const struct state *s, u8 p)
{
    const struct worker *w = &s->w[p];
    for (u8 x = w->word; w->minting && x < w->limit; x++) {
        struct state n = *s;
        n.w[p].word = x + 1;
        judge_mint(&n, p, x);
        if (w->mode != HOLD && n.w[p].word >= w->limit)
            orphan(&n.w[p]);
        emit(&n, "an ID is minted");
    }
}

static int room(const struct state *s, u8 p)
{
    const struct worker *w = &s->w[p];
    if (s->nonces >= bounds.WRITES || w->awaited || s->net[NET_MAX - 1].nonce != 0)
        return -1;
    for (int k = 0; k < OUT_MAX; k++)
        if (w->out[k].nonce == 0)
            return k;
    return -1;
}

/* Sends a write of its tenure. */
static void send(struct state *s, u8 p, enum kind kind, u8 until, u8 fence)
{
    struct worker *w = &s->w[p];
    const int k = room(s, p);
    const u8 nonce = ++s->nonces;
    if (kind != RELEASE && (w->noticed >> w->t_token & 1))
        violate(s, "a write is sent", "a slot is sought or renewed where a loss was noticed");
    struct message *m = &s->net[NET_MAX - 1];
    *m = (struct message){
        nonce, p,        kind,     w->t_token, w->t_slot, w->version, w->nonce, w->config_version,
        fence, w->start, w->floor, until,      w->lineage};
    w->out[k] = (struct outstanding){nonce, until, kind, 0};
    w->awaited = nonce;
    if (w->mode == HOLD && kind != RELEASE && w->minting && w->limit > least(w))
        w->limit = least(w); /* before the write leaves: it may shrink the reservation */
}

static u8 fence_of(struct state *s, u8 p)
{
    if (bounds.CLAIMS)
        return s->w[p].claim;
    return ++s->fences;
}

static bool has_claim(const struct worker *w, u8 token)
{
    return !bounds.CLAIMS || (w->claim != 0 && w->claim_token == token);
}

static void claim(const struct state *s, u8 p)
{
    const struct worker *w = &s->w[p];
    if (!bounds.CLAIMS || w->claim != 0 || w->known == 0 || s->fences >= bounds.CLAIMS ||
        w->awaited)
        return;
    const u8 token = w->known - 1;
    if (!(s->now.named >> token & 1) || s->now.trees[token].halted || s->now.config != w->known ||
        (w->lost >> token & 1))
        return;
    struct state n = *s;
    n.w[p].claim = ++n.fences;
    n.w[p].claim_token = token;
    n.now.claims[p] = (struct claim){n.fences, token};
    emit(&n, "a claim is made");
}

/* A bid for a slot, by a record as it was read. */
static void seek(const struct state *s, u8 p, bool fresh)
{
    const struct worker *w = &s->w[p];
    const struct store *store = seen_by(s, fresh);
    const u8 token = store->config - 1;
    if (w->mode != NONE || store->config == 0 || store->config != w->known || w->gone ||
        room(s, p) < 0)
        return;
    const struct tree *tree = &store->trees[token];
    if ((w->lost >> token & 1) || tree->halted || !(store->named >> token & 1) ||
        !has_claim(w, token))
        return;
    for (u8 i = 0; i < SLOTS; i++) {
        const struct record *record = &tree->slots[i];
        const bool first = s->nonces == 0; /* workers are alike, and slots */
        if ((first && (p > 0 || i > 0)) ||
            (record->version == 0 && bug != BUG_missing_read_as_zero))
            continue;
        u8 floor = record->until > store->floor ? record->until : store->floor;
        if (w->word > floor)
            floor = w->word;
        for (u8 until = floor + 1; until <= bounds.T; until++) {
            struct state n = *s;
            struct worker *x = &n.w[p];
            x->mode = BID;
            x->t_token = token;
            x->t_slot = i;
            x->config_version = store->config_version;
            x->version = record->version;
            x->nonce = record->nonce;
            x->start = x->floor = floor;
            send(&n, p, BIND, until, fence_of(&n, p));
            emit(&n, fresh ? "a slot is bid for" : "a slot is bid for, by an old list");
        }
    }
}

/* A bid again, a renewal, one that shrinks, a claim made again, or a release. */
static void write_again(const struct state *s, u8 p)
{
    const struct worker *w = &s->w[p];
    if (w->mode == NONE || w->must_read || room(s, p) < 0 || !has_claim(w, w->t_token))
        return;
    const u8 least_until = (w->floor > w->word ? w->floor : w->word) + 1;
    const bool may_mint_again = w->minting || bug != BUG_reopen_released;
    for (u8 until = least_until; until <= bounds.T && may_mint_again && w->known == w->t_token + 1;
         until++) {
        if (until == w->acked && w->out[0].nonce == 0 && !bounds.CLAIMS)
            continue;
        struct state n = *s;
        u8 fence = w->fence;
        if (w->mode == BID || bounds.CLAIMS)
            fence = fence_of(&n, p);
        send(&n, p, w->mode == BID || fence != w->fence ? BIND : RENEW, until, fence);
        emit(&n, w->mode == BID ? "the bid is sent again" : "a renewal is sent");
    }
    if (w->mode == HOLD) {
        struct state n = *s;
        n.w[p].minting = bug == BUG_reopen_released ? w->minting : 0;
        send(&n, p, RELEASE, least_until - 1, bounds.CLAIMS ? w->claim : w->fence);
        emit(&n, "a release is sent");
    }
}

static bool halts(const struct state *s, u8 p)
{
    const struct worker *w = &s->w[p];
    const u8 token = s->now.config - 1;
    if (s->now.config == 0 || w->awaited || !(w->lost >> token & 1))
        return false;
    if (w->untold >> token & 1)
        return false;
    return bug != BUG_loss_kept_secret && s->now.trees[token].made && !s->now.trees[token].halted;
}

static void report(struct state *s, u8 p, u8 token)
{
    const struct worker *w = &s->w[p];
    if (!w->minting)
        return;
    struct report *mine = &s->now.trees[token].reports[w->slot][p];
    mine->fence = w->fence;
    mine->held = w->limit > w->word ? w->limit : w->word;
}

/* The fleet's state record: told to all, and obeyed. */
static void halt(const struct state *s, u8 p)
{
    const struct worker *w = &s->w[p];
    const u8 token = s->now.config - 1;
    if (s->now.config == 0 || w->awaited)
        return;
    const struct tree *tree = &s->now.trees[token];
    if (halts(s, p)) {
        struct state n = *s;
        n.now.trees[token].halted = 1;
        report(&n, p, token);
        emit(&n, "THE FLEET IS HALTED");
    } else if ((w->noticed >> token & 1) && !tree->halted && tree->made && bug != BUG_not_sticky) {
        struct state n = *s;
        violate(&n, "", "of a loss that was noticed nobody is told");
    }
    if (tree->halted && w->known == s->now.config && !(w->lost >> token & 1)) {
        struct state n = *s;
        notice(&n, p, token);
        report(&n, p, token);
        emit(&n, "the halt is seen");
    }
    for (u8 q = 0; q < WORKERS && tree->halted && w->minting && w->known == s->now.config; q++) {
        const struct report *theirs = &tree->reports[w->slot][q];
        if (theirs->held <= w->obeyed || theirs->fence == w->fence)
            continue;
        struct state n = *s;
        n.w[p].obeyed = theirs->held;
        if (bug != BUG_report_ignored && w->word < theirs->held)
            n.w[p].word = theirs->held;
        if (n.w[p].mode == NONE)
            orphan(&n.w[p]);
        emit(&n, "a report of the slot is read");
    }
}

void step_worker(const struct state *s, u8 p)
{
    const struct worker *w = &s->w[p];
    mint(s, p);
    if (w->awaited) {
        struct state n = *s;
        n.w[p].awaited = 0;
        n.w[p].must_read = 1;
        emit(&n, "no answer comes");
        return; /* one request at a time */
    }
    claim(s, p);
    for (int lagging = 0; lagging <= bounds.LAG; lagging++) {
        learn(s, p, !lagging);
        seek(s, p, !lagging);
        if (w->mode != NONE && !w->from_file &&
            (w->must_read || bounds.RESTORES || bounds.WIPES || bounds.DELETES))
            look(s, p, !lagging);
    }
    if (w->mode != NONE && w->from_file)
        look_from_file(s, p);
    halt(s, p);
    write_again(s, p);
    if (w->mode == HOLD && w->must_read) { /* the slot is given up while writes may be under way */
        struct state n = *s;
        orphan(&n.w[p]);
        emit(&n, "the slot is given up");
    }
}

static void passes(const struct state *s, int i, int k, bool waits)
{
    const struct message m = s->net[i];
    struct state n = *s;
    memset(&n.net[i], 0, sizeof n.net[i]);
    apply(&n, &m, "a write is done");
    const struct tree *tree = &n.now.trees[m.token];
    if (!waits) {
        emit(&n, "a write is done");
        return;
    }
    n.w[m.from].awaited = 0;
    struct state doubled = n;
    acknowledged(&n, m.from, k, tree, &tree->slots[m.slot]);
    emit(&n, "a write is done, and answered");
    if (!bounds.DOUBLE)
        return;
    refused(&doubled.w[m.from], k);
    emit(&doubled, "a write is done, delivered again, and the refusal is handed on");
    n.net[i] = m; /* the copy comes later */
    emit(&n, "a write is done, and answered; a copy is under way");
}

void step_network(const struct state *s)
{
    for (int i = 0; i < NET_MAX; i++) {
        const struct message *m = &s->net[i];
        if (m->nonce == 0)
            continue;
        const struct worker *w = &s->w[m->from];
        const bool waits = w->awaited == m->nonce;
        const int k = w->out[0].nonce == m->nonce ? 0 : 1;
        if (waits && bug == BUG_hop_refusal_believed) {
            struct state n = *s;
            n.w[m->from].awaited = 0;
            refused(&n.w[m->from], k);
            emit(&n, "a hop refuses for itself, while the write is under way");
        }
        if (may_apply(s, m)) {
            passes(s, i, k, waits);
        } else if (waits) {
            struct state n = *s;
            struct worker *x = &n.w[m->from];
            x->awaited = 0;
            if (bounds.CLAIMS && s->now.claims[m->from].fence != m->fence)
                x->claim = x->claim_token = 0;
            refused(x, k);
            memset(&n.net[i], 0, sizeof n.net[i]);
            emit(&n, "a write is refused");
        }
    }
}
