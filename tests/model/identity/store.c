/* The coordinator: conditions of a write, what it grants (with the judgement of every grant), and what befalls it. */
#include "model.h"

#include <string.h>

const struct store *seen_by(const struct state *s, bool fresh)
{
    return fresh ? &s->now : &s->lag;
}

static bool granting(const struct store *store, const struct message *m)
{
    if (bug != BUG_current_unchecked && !(store->named >> m->token & 1))
        return false;
    if (bug != BUG_halt_unchecked && store->trees[m->token].halted)
        return false;
    /* The config at the version that was read: by its counter, which starts anew with a new config. */
    return store->config != 0 && store->config_version == m->config_version;
}

/* Would the write pass now? */
bool may_apply(const struct state *s, const struct message *m)
{
    const struct tree *tree = &s->now.trees[m->token];
    const struct record *record = &tree->slots[m->slot];
    if (!tree->made || record->version != m->version ||
        (record->version == 0 && bug != BUG_missing_read_as_zero))
        return false;
    if (bounds.CONTENT && record->nonce != m->old_nonce)
        return false;
    const struct claim *claim = &s->now.claims[m->from];
    if (bounds.CLAIMS && (claim->fence != m->fence || claim->token != m->token))
        return false;
    return m->kind == RELEASE || granting(&s->now, m);
}

/* The grant of [floor, until) to the writer, and what it gives back above. */
static void grant(struct state *s, const struct message *m, const char *what)
{
    const struct tree *tree = &s->now.trees[m->token];
    for (u8 x = m->until; x < tree->slots[m->slot].until; x++)
        if (s->granted[m->slot][x] == m->lineage)
            s->granted[m->slot][x] = 0;
    for (u8 x = m->floor; x < m->until; x++) {
        u8 *owner = &s->granted[m->slot][x];
        if (*owner == 0 || *owner == m->lineage)
            *owner = m->lineage;
        else if (x >= tree->stale_until[m->slot])
            violate(s, what, "a timestamp is granted to two owners");
    }
    if (m->until > s->ever)
        s->ever = m->until;
    if (m->until > s->ever_slot[m->slot])
        s->ever_slot[m->slot] = m->until;
}

void apply(struct state *s, const struct message *m, const char *what)
{
    struct tree *tree = &s->now.trees[m->token];
    struct record *record = &tree->slots[m->slot];
    if (m->kind != RELEASE && tree->halted)
        violate(s, what, "a halted making grants");
    if (m->kind != RELEASE && s->now.config != m->token + 1)
        violate(s, what, "a making grants that the config does not name");
    grant(s, m, what);
    record->version++;
    record->nonce = m->nonce;
    record->fence = m->fence;
    record->from = m->start;
    record->until = m->until;
    if (m->kind == RELEASE)
        memset(&s->now.claims[m->from], 0, sizeof s->now.claims[m->from]);
}

void make_tree(struct store *store, u8 token, u8 floor)
{
    struct tree *tree = &store->trees[token];
    memset(tree, 0, sizeof *tree);
    tree->made = 1;
    for (u8 i = 0; i < SLOTS; i++)
        tree->slots[i] = (struct record){1, (u8)(0x80 | token << 1 | i), 0, floor, floor};
}

/* Connections end with the coordinator that they led to; what was under way is lost, or lands later where content is
 * compared. A command that makes a fleet fails. */
static void cut_connections(struct state *s)
{
    s->epoch++;
    if (!bounds.CONTENT)
        memset(s->net, 0, sizeof s->net);
    for (int p = 0; p < WORKERS; p++) {
        struct worker *w = &s->w[p];
        if (w->awaited || bug != BUG_reconnect_unread)
            w->must_read = w->mode != NONE;
        w->awaited = 0;
    }
    for (int i = 0; i < MAKERS && !bounds.STAY; i++)
        if (s->makers[i].step != IDLE)
            s->makers[i] = (struct maker){.step = OVER};
    if (bounds.LAG)
        s->lag = s->now;
}

static void put_back(const struct state *s)
{
    struct state n = *s;
    n.restores++;
    n.now = s->backup;
    for (int t = 0; t < MAKINGS; t++)
        for (int i = 0; i < SLOTS && n.now.trees[t].made; i++) {
            const struct record *was = &s->now.trees[t].slots[i], *is = &n.now.trees[t].slots[i];
            if (is->until < s->ever_slot[i] || memcmp(is, was, sizeof *is) != 0)
                n.now.trees[t].stale_until[i] = s->ever_slot[i];
        }
    cut_connections(&n);
    emit(&n, "AN OLDER STATE IS PUT BACK");
}

static void lose_something(const struct state *s)
{
    if (s->wipes < bounds.WIPES && s->now.root != 0) {
        struct state n = *s;
        n.wipes++;
        memset(&n.now, 0, sizeof n.now);
        cut_connections(&n);
        emit(&n, "EVERYTHING IS WIPED");
    }
    if (s->unconfigs < bounds.UNCONFIG && s->now.config != 0) {
        struct state n = *s;
        n.unconfigs++;
        n.epoch++;
        n.now.config = n.now.config_version = n.now.floor = 0;
        emit(&n, "the config is deleted by hand");
    }
    for (int i = 0; i < SLOTS && s->deletes < bounds.DELETES && s->now.config != 0; i++) {
        struct state n = *s;
        n.deletes++;
        n.epoch++;
        memset(&n.now.trees[s->now.config - 1].slots[i], 0, sizeof(struct record));
        emit(&n, "a slot record is deleted by hand");
    }
}

/* Whatever happens to the coordinator by itself. */
void step_world(const struct state *s)
{
    if (bounds.LAG && memcmp(&s->lag, &s->now, sizeof s->now) != 0) {
        struct state n = *s;
        n.lag = n.now;
        emit(&n, "the lagging member catches up");
    }
    for (int p = 0; p < WORKERS; p++)
        if (s->now.claims[p].fence != 0) {
            struct state n = *s;
            memset(&n.now.claims[p], 0, sizeof n.now.claims[p]);
            emit(&n, "a session ends");
        }
    if (s->restores < bounds.RESTORES && !s->has_backup && s->now.config != 0) {
        struct state n = *s;
        n.has_backup = 1;
        n.backup = n.now;
        emit(&n, "a backup is taken");
    }
    if (s->restores < bounds.RESTORES && s->has_backup &&
        memcmp(&s->backup, &s->now, sizeof s->now) != 0)
        put_back(s);
    lose_something(s);
}

static bool can_still_land(const struct state *s, const struct message *m)
{
    if (s->w[m->from].awaited == m->nonce)
        return true;
    if (bounds.CONTENT && (s->restores < bounds.RESTORES || s->wipes < bounds.WIPES))
        return true;
    const struct tree *tree = &s->now.trees[m->token];
    const bool grants = bug == BUG_current_unchecked || bug == BUG_halt_unchecked ||
                        bug == BUG_names_survive || m->kind == RELEASE ||
                        ((s->now.named >> m->token & 1) && !tree->halted);
    return grants && tree->made && tree->slots[m->slot].version == m->version;
}

/* States that differ only in what can never matter again become one. */
void normalise(struct state *s)
{
    int kept = 0;
    for (int i = 0; i < NET_MAX; i++)
        if (s->net[i].nonce != 0 && can_still_land(s, &s->net[i]))
            s->net[kept++] = s->net[i];
    for (; kept < NET_MAX; kept++)
        memset(&s->net[kept], 0, sizeof s->net[kept]);
    if (s->restores >= bounds.RESTORES) {
        memset(&s->backup, 0, sizeof s->backup);
        memset(s->ever_slot, 0, sizeof s->ever_slot);
        s->has_backup = 0;
    }
    const bool reads_file =
        s->kills < bounds.KILLS || bug == BUG_file_read_live || bug == BUG_file_lock_ignored;
    for (int p = 0; p < WORKERS && !reads_file; p++)
        if (!s->w[p].from_file)
            memset(&s->w[p].file, 0, sizeof s->w[p].file);
    if (!reads_file) {
        memset(&s->copy, 0, sizeof s->copy);
        s->copy_of = 0;
    }
}
