/* What a worker makes of what it hears: answers, records, the config. The rule's text is docs/uniqueness.md, 6 to 9. */
#include "model.h"

#include <string.h>

u8 least(const struct worker *w)
{
    u8 until = w->acked;
    for (int i = 0; i < OUT_MAX; i++)
        if (w->out[i].nonce != 0 && w->out[i].until < until)
            until = w->out[i].until;
    return until;
}

bool release_sent(const struct worker *w)
{
    for (int i = 0; i < OUT_MAX; i++)
        if (w->out[i].nonce != 0 && w->out[i].kind == RELEASE)
            return true;
    return false;
}

static void forget_tenure(struct worker *w)
{
    w->mode = NONE;
    w->t_token = w->t_slot = w->config_version = w->version = w->nonce = w->acked = 0;
    w->start = w->floor = w->must_read = w->awaited = w->from_file = 0;
    memset(w->out, 0, sizeof w->out);
}

static void close_right(struct worker *w)
{
    w->minting = w->token = w->slot = w->limit = w->fence = w->obeyed = w->stale = 0;
}

/* Stops at once. */
void drop(struct worker *w)
{
    forget_tenure(w);
    close_right(w);
}

/* The slot is not its own any more; the rest of what was acknowledged may be spent. */
void orphan(struct worker *w)
{
    if (w->mode == HOLD && w->minting) {
        w->limit = bug == BUG_orphan_spends_all ? w->acked : least(w);
        if (release_sent(w) || w->limit <= w->word)
            close_right(w);
    }
    forget_tenure(w);
}

static void open_right(struct worker *w, const struct state *s, const struct tree *tree)
{
    if (w->mode == BID) {
        w->minting = 1;
        w->obeyed = 0;
        w->token = w->t_token;
        w->slot = w->t_slot;
        if (w->word < w->floor)
            w->word = w->floor;
        if (w->file.token != 0 && !w->from_file)
            memset(
                &w->file, 0,
                sizeof w->file); /* the word moves on: what the file says of another slot is void */
        w->from_file = 0;
        w->mode = HOLD;
    } else if (!w->minting) { /* closed for a release that was overtaken by a later write */
        w->minting = 1;
        w->token = w->t_token;
        w->slot = w->t_slot;
    }
    w->limit = w->acked;
    w->stale = tree->stale_until[w->slot];
    w->epoch = s->epoch;
}

/* Write k is known to stand in the record. */
void acknowledged(struct state *s, u8 p, int k, const struct tree *tree,
                  const struct record *record)
{
    struct worker *w = &s->w[p];
    const bool released = w->out[k].kind == RELEASE;
    w->version = record->version;
    w->nonce = record->nonce;
    w->acked = record->until;
    w->must_read = 0;
    memset(w->out, 0, sizeof w->out); /* the others were conditional on the record that is gone */
    if (released) {
        w->claim = w->claim_token = 0;
        drop(w);
        memset(&w->file, 0, sizeof w->file);
        return;
    }
    open_right(w, s, tree);
    w->fence = record->fence;
}

/* A refusal is no proof: the write stays on the list until a read behind it tells. */
void refused(struct worker *w, int k)
{
    if (bug == BUG_refusal_believed || bug == BUG_hop_refusal_believed) {
        memset(&w->out[k], 0, sizeof w->out[k]);
        if (w->mode == BID)
            forget_tenure(w);
        else if (w->minting)
            w->limit = least(w);
        return;
    }
    w->out[k].refused = 1;
    w->must_read = 1;
}

/* A loss: remembered, and to be told to all (step_worker). */
void notice(struct state *s, u8 p, u8 token)
{
    struct worker *w = &s->w[p];
    if (bug != BUG_not_sticky)
        w->lost |= (u8)(1 << token);
    w->noticed |= (u8)(1 << token);
    orphan(w);
}

/* What was refused is settled by a read that came after it: it was not done. */
static void unchanged(struct state *s, u8 p, const struct tree *tree, const struct record *record)
{
    struct worker *w = &s->w[p];
    w->version = record->version;
    w->must_read = 0;
    for (int i = 0; i < OUT_MAX; i++) {
        if (!w->out[i].refused)
            continue;
        memset(&w->out[i], 0, sizeof w->out[i]);
        /* A record that was put back says so falsely: what it confirms counts as granted by it. */
        if (w->minting && w->stale < tree->stale_until[w->slot])
            w->stale = tree->stale_until[w->slot];
    }
    if (w->mode == BID && w->out[0].nonce == 0 && w->out[1].nonce == 0)
        forget_tenure(w);
    else if (w->mode == HOLD && w->minting)
        w->limit = least(w);
}

static bool is_loss(const struct worker *w, const struct record *record)
{
    if (bug == BUG_loss_by_acked)
        return record->until < w->acked;
    return record->version <= w->version || record->from < least(w) || record->until < least(w);
}

static void foreign(struct state *s, u8 p, const struct record *record)
{
    struct worker *w = &s->w[p];
    if (w->mode == HOLD && is_loss(w, record)) {
        if (w->epoch == s->epoch)
            violate(s, "record read", "a loss is seen where nothing was lost");
        notice(s, p, w->t_token);
        return;
    }
    orphan(w);
}

/* Reads the record of its tenure. */
void look(const struct state *s, u8 p, bool fresh)
{
    if (!fresh && bug != BUG_lag_believed)
        return; /* not confirmed */
    const struct store *store = seen_by(s, fresh);
    const struct worker *w = &s->w[p];
    const struct tree *tree = &store->trees[w->t_token];
    const struct record *record = &tree->slots[w->t_slot];
    struct state n = *s;
    const bool counters_only = bug == BUG_reconnect_unread || bug == BUG_version_before_content;
    if (!tree->made || record->version == 0) {
        /* Lost if the config still names this making; else the config tells what became of it. */
        if (tree->made && w->mode == HOLD && store->config == w->t_token + 1)
            notice(&n, p, w->t_token);
        else
            orphan(&n.w[p]);
        emit(&n, "the record is absent");
        return;
    }
    for (int k = 0; k < OUT_MAX; k++)
        if (w->out[k].nonce != 0 && w->out[k].nonce == record->nonce) {
            acknowledged(&n, p, k, tree, record);
            emit(&n, "record read: our write was done");
            return;
        }
    if (record->nonce == w->nonce || (counters_only && record->version == w->version))
        unchanged(&n, p, tree, record);
    else
        foreign(&n, p, record);
    emit(&n, "record read");
}

/* Another making than the one it knows. */
static void other_making(struct state *s, u8 p, const struct store *store)
{
    struct worker *w = &s->w[p];
    const u8 token = store->config - 1;
    const u8 spends = w->minting && w->limit > w->word ? w->limit : w->word;
    const bool known = w->known != 0;
    if (!known && w->was != 0 && w->was != store->config && store->floor < w->word)
        w->noticed |= (u8)(1 << token); /* as it should have */
    w->was = 0;
    w->known = store->config;
    w->known_floor = store->floor;
    if (!known || store->floor >= spends || bug == BUG_superseded_unasked) {
        orphan(w);
        return;
    }
    if (w->epoch == s->epoch)
        violate(s, "config read", "a floor is too low where nothing was lost");
    notice(s, p, token);
    if (bug == BUG_halt_own_only)
        w->untold |= (u8)(1 << token);
    if (bug == BUG_floor_ignored || !w->minting)
        return;
    if (w->limit > store->floor)
        w->limit = store->floor;
    if (w->limit <= w->word)
        close_right(w);
}

/* Reads the config. */
void learn(const struct state *s, u8 p, bool fresh)
{
    if (!fresh && bug != BUG_lag_believed)
        return;
    const struct store *store = seen_by(s, fresh);
    struct state n = *s;
    struct worker *w = &n.w[p];
    if (store->config == 0) {
        if (w->known == 0 || w->gone == w->known)
            return;
        w->gone = w->known;
        if (bug != BUG_config_gone_spends)
            drop(w);
        emit(&n, "the config is gone: stops");
        return;
    }
    if (store->config == w->known && w->gone != w->known)
        return;
    if (store->config == w->known)
        notice(&n, p,
               store->config - 1); /* tokens are drawn afresh: it can only have been put back */
    else
        other_making(&n, p, store);
    w->gone = 0;
    emit(&n, "config read");
}
