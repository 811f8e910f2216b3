/* INIT in the steps of coord/init_plan.h, by two people who do not talk to each other. A command that is cut off is one
 * whose next step does not come. */
#include "model.h"

#include <string.h>

static u8 survivors(const struct store *store)
{
    u8 latest = 0;
    for (int t = 0; t < MAKINGS; t++)
        for (int i = 0; i < SLOTS && store->trees[t].made; i++) {
            if (store->trees[t].slots[i].until > latest)
                latest = store->trees[t].slots[i].until;
            for (int p = 0; p < WORKERS; p++)
                if (store->trees[t].reports[i][p].held > latest)
                    latest = store->trees[t].reports[i][p].held;
        }
    return latest;
}

static void raise_floor(struct maker *maker, u8 floor)
{
    if (maker->floor < floor)
        maker->floor = floor;
}

/* Reads what is there. The floor: above every reservation that anybody can hold by now. Where nothing was ever granted
 * (--first) that is the present. */
static void begin(const struct state *s, int i, bool loss)
{
    if (s->tokens >= MAKINGS || (!loss && s->now.config != 0))
        return;
    struct state n = *s;
    struct maker *maker = &n.makers[i];
    *maker = (struct maker){
        .step = READ, .loss = loss, .root = s->now.root, .config_version = s->now.config_version};
    maker->token = bug == BUG_token_reused ? 0 : n.tokens++;
    maker->floor = bug == BUG_floor_of_zero ? 0 : s->ever;
    if (bug == BUG_survey_before_unname)
        raise_floor(maker, survivors(&s->now));
    if (loss)
        n.losses++;
    else
        n.inits++;
    emit(&n, loss ? "init --after-data-loss begins" : "init begins");
}

/* Both move the root, under the versions that were read. */
static bool raced(const struct state *s, const struct maker *maker)
{
    return s->now.root != maker->root || s->now.config_version != maker->config_version;
}

static void unname(const struct state *s, int i)
{
    struct state n = *s;
    struct maker *maker = &n.makers[i];
    if (raced(s, maker)) {
        *maker = (struct maker){.step = OVER};
    } else {
        n.now.named = 0;
        maker->root = ++n.now.root;
        maker->step = UNNAMED;
    }
    emit(&n, "init: nothing is named");
}

static void make(const struct state *s, int i)
{
    struct state n = *s;
    make_tree(&n.now, s->makers[i].token, s->makers[i].floor);
    n.makers[i].step = MADE;
    emit(&n, "init: the tree is made");
}

static void name(const struct state *s, int i)
{
    struct state n = *s;
    const struct maker *maker = &s->makers[i];
    if (s->now.trees[maker->token].made && (bug == BUG_naming_unconditional || !raced(s, maker))) {
        n.now.config = maker->token + 1;
        n.now.config_version++;
        n.now.floor = maker->floor;
        n.now.named = (u8)(1 << maker->token | (bug == BUG_names_survive ? s->now.named : 0));
        n.now.root++;
    }
    n.makers[i] = (struct maker){.step = OVER};
    emit(&n, "init: the making is named");
}

static void go_on(const struct state *s, int i)
{
    const struct maker *maker = &s->makers[i];
    struct state n = *s;
    switch (maker->step) {
    case READ:
        if (maker->loss)
            unname(s, i);
        else
            make(s, i);
        return;
    case UNNAMED:
        if (bug != BUG_survivors_ignored && bug != BUG_survey_before_unname)
            raise_floor(&n.makers[i], survivors(&s->now));
        n.makers[i].step = SURVEYED;
        emit(&n, "init: what survives is read");
        return;
    case SURVEYED:
        make(s, i);
        return;
    case MADE:
        name(s, i);
        return;
    default:
        return;
    }
}

void step_makers(const struct state *s)
{
    for (int i = 0; i < MAKERS; i++) {
        go_on(s, i);
        const bool free = s->makers[i].step == IDLE || s->makers[i].step == OVER;
        if (!free || (i > 0 && s->makers[0].step == IDLE))
            continue; /* the two are alike */
        if (s->inits < bounds.INITS)
            begin(s, i, false);
        if (s->losses < bounds.LOSSES)
            begin(s, i, true);
    }
}
