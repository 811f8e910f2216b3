/* The process: its end and the restart from the state file, a fork, and what others do to the file. */
#include "model.h"

#include <string.h>

/* The state file's record is read: it goes on only if that very write still stands there. */
void look_from_file(const struct state *s, u8 p)
{
    struct state n = *s;
    struct worker *w = &n.w[p];
    const struct tree *tree = &s->now.trees[w->t_token];
    const struct record *record = &tree->slots[w->t_slot];
    const u8 word = w->file.word;
    if (!w->must_read)
        return;
    bool same = tree->made && record->version == w->version && record->nonce == w->nonce;
    if (bug == BUG_file_by_version)
        same = tree->made && record->version == w->version;
    else if (bug == BUG_file_unchecked)
        same = true;
    if (w->out[0].nonce != 0 || w->out[1].nonce != 0) {
        look(s, p, true); /* its own bid is under way */
        return;
    }
    if (same) {
        w->version = record->version;
        w->nonce = record->nonce;
        w->must_read = 0;
        emit(&n, "the record is the file's");
        return;
    }
    const bool lost = tree->made && (record->version <= w->version ||
                                     (record->from != w->start && record->from < word));
    drop(w);
    memset(&w->file, 0, sizeof w->file);
    if (lost && w->known == s->now.config) {
        if (w->epoch == s->epoch)
            violate(&n, "the file's record is read", "a restart takes for lost what was not");
        notice(&n, p, w->known - 1);
    }
    emit(&n, "the record is not the file's: a stranger");
}

/* Its own file, as it is written with each acknowledgement. */
static struct file written(const struct worker *w)
{
    struct file file = {.token = w->t_token + 1,
                        .slot = w->t_slot,
                        .version = w->version,
                        .nonce = w->nonce,
                        .start = w->start,
                        .word = w->word};
    return file;
}

static void save(const struct state *s, u8 p)
{
    const struct worker *w = &s->w[p];
    if (w->mode != HOLD || !w->minting ||
        (w->file.token == w->t_token + 1 && w->file.version == w->version))
        return;
    struct state n = *s;
    n.w[p].file = written(w);
    n.w[p].file.word = 0;
    emit(&n, "the state file is written");
}

/* Starts with the file: w is what the dead process left. */
static void start(struct state *s, u8 p, struct file file, u8 judged_word)
{
    struct worker *w = &s->w[p];
    drop(w);
    w->claim = w->claim_token = w->gone = 0;
    if (bug == BUG_file_forgets_loss)
        w->lost = 0;
    if (bug == BUG_file_floor_unchecked) {
        w->was = w->known;
        w->known = w->known_floor = 0;
    }
    w->file = file;
    w->file.word = judged_word;
    if (file.token == 0 || s->now.config != file.token || w->known != file.token ||
        (w->lost >> (file.token - 1) & 1)) {
        memset(&w->file, 0, sizeof w->file);
        return;
    }
    w->mode = BID;
    w->t_token = file.token - 1;
    w->t_slot = file.slot;
    w->version = file.version;
    w->nonce = file.nonce;
    w->start = file.start;
    w->floor = w->word > s->now.floor ? w->word : s->now.floor;
    w->config_version = s->now.config_version;
    w->must_read = w->from_file = 1;
}

static void kill(const struct state *s, u8 p)
{
    const struct worker *w = &s->w[p];
    struct state n = *s;
    n.kills++;
    start(&n, p, w->file, w->word);
    emit(&n, "kill -9, and a start with the state file");

    n = *s;
    n.kills++;
    memset(&n.w[p], 0, sizeof n.w[p]);
    n.w[p].lineage = ++n.lineages;
    emit(&n, "kill -9, and a start without a state file");

    if (s->copy_of == p + 1) {
        n = *s;
        n.kills++;
        /* The word of what the host has minted: the time anchors of the file promise no less. */
        start(&n, p, s->copy, s->copy.word);
        emit(&n, "kill -9, and a start with an old copy of the file");
    }
}

/* A second process on the file of the first, which lives. */
static void share(const struct state *s, u8 p)
{
    const u8 q = 1 - p;
    const struct worker *w = &s->w[p];
    if (bug != BUG_file_lock_ignored || w->file.token == 0 || s->w[q].mode != NONE ||
        s->w[q].minting || w->awaited)
        return;
    struct state n = *s;
    const u8 lineage = s->w[q].lineage;
    n.w[q] = *w;
    n.w[q].lineage = lineage;
    start(&n, q, w->file, w->word);
    emit(&n, "another process starts on a file that is in use");
}

/* fork: the child takes the place of a worker that has nothing. */
static void fork_child(const struct state *s, u8 p)
{
    const u8 q = 1 - p;
    const struct worker *w = &s->w[p];
    if (bug != BUG_fork_keeps_right || !w->minting || s->w[q].mode != NONE || s->w[q].minting)
        return;
    struct state n = *s;
    const u8 lineage = s->w[q].lineage;
    n.w[q] = *w;
    n.w[q].mode = NONE;
    n.w[q].awaited = n.w[q].must_read = 0;
    memset(n.w[q].out, 0, sizeof n.w[q].out);
    n.w[q].lineage = lineage;
    emit(&n, "a process forks");
}

void step_process(const struct state *s, u8 p)
{
    const struct worker *w = &s->w[p];
    fork_child(s, p);
    share(s, p);
    if (s->kills < bounds.KILLS || bug == BUG_file_lock_ignored)
        save(s, p);
    if (s->copies < bounds.COPIES && w->file.token != 0) {
        struct state n = *s;
        n.copies++;
        n.copy = w->file;
        n.copy.word = w->word;
        n.copy_of = p + 1;
        emit(&n, "somebody copies a state file");
    }
    if (bug == BUG_file_read_live && s->copy_of == p + 1 && w->word > s->copy.word) {
        struct state n = *s;
        n.w[p].word = s->copy.word;
        n.copy_of = 0;
        emit(&n, "an old copy is put back under the living process");
    }
    if (s->kills < bounds.KILLS)
        kill(s, p);
}
