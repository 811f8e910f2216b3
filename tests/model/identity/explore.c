/* Explores every state that can be reached within the bounds, breadth first, so that the first violation has a shortest
 * trace. States are remembered by a hash of 128 bits; a trace is found again by replaying the steps' numbers.
 *
 * usage: identity [--bug NAME] [--trace] [--states-max N] [BOUND=N...] | --bugs
 * Exits 0 when all was explored and nothing is wrong, 1 at a violation, 2 when it was not completed, 64 on a wrong usage. */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bounds bounds = {.T = 3, .WRITES = 3};
enum bug bug;

static struct seen {
    uint64_t a, b;
} * seen;
static uint64_t seen_mask;
static struct origin {
    uint32_t parent;
    uint16_t step;
} * origins;
static uint32_t count, origins_size, states_max = 60000000;

static struct state *level, *next_level;
static size_t next_count, next_size;
static uint32_t expanding;
static uint16_t step;
static uint64_t transitions;
static const char *wrong, *wrong_step;
static struct state wrong_state;
/* While a trace is replayed: the step that is wanted. */
static bool replaying;
static uint16_t wanted;
static struct state replayed;
static const char *replayed_step;

static void *grow(void *old, size_t bytes)
{
    void *grown = realloc(old, bytes);
    if (grown == NULL) {
        fputs("identity: out of memory\n", stderr);
        exit(2);
    }
    return grown;
}

static void hash(const struct state *s, uint64_t *ret_a, uint64_t *ret_b)
{
    const unsigned char *bytes = (const unsigned char *)s;
    uint64_t a = UINT64_C(0x9e3779b97f4a7c15), b = UINT64_C(0xc2b2ae3d27d4eb4f);
    for (size_t i = 0; i < sizeof *s; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, sizeof *s - i < 8 ? sizeof *s - i : 8);
        a = (a ^ word) * UINT64_C(0xff51afd7ed558ccd);
        a ^= a >> 32;
        b = (b + word) * UINT64_C(0xc4ceb9fe1a85ec53);
        b ^= b >> 29;
    }
    *ret_a = a;
    *ret_b = b | 1; /* 0 is an empty place */
}

static void widen(void)
{
    struct seen *old = seen;
    const uint64_t size = old == NULL ? 0 : seen_mask + 1;
    seen_mask = size == 0 ? (1 << 16) - 1 : 2 * size - 1;
    seen = calloc(seen_mask + 1, sizeof *seen);
    if (seen == NULL)
        exit(2);
    for (uint64_t i = 0; i < size; i++) {
        uint64_t at = old[i].a & seen_mask;
        for (; old[i].b != 0 && seen[at].b != 0; at = (at + 1) & seen_mask)
            continue;
        if (old[i].b != 0)
            seen[at] = old[i];
    }
    free(old);
}

/* Was it there already? */
static bool remember(const struct state *s)
{
    uint64_t a, b;
    hash(s, &a, &b);
    if (seen == NULL || (uint64_t)count * 3 > seen_mask * 2)
        widen();
    uint64_t at = a & seen_mask;
    for (; seen[at].b != 0; at = (at + 1) & seen_mask)
        if (seen[at].a == a && seen[at].b == b)
            return true;
    seen[at] = (struct seen){a, b};
    if (count == origins_size) {
        origins_size = origins_size == 0 ? 1 << 16 : 2 * origins_size;
        origins = grow(origins, origins_size * sizeof *origins);
    }
    origins[count++] = (struct origin){expanding, step};
    return false;
}

/* Which kinds of steps led to something new: a run in which one never came up would prove little. */
static const char *taken[64];

static void count_step(const char *what)
{
    size_t i = 0;
    while (i < sizeof taken / sizeof taken[0] && taken[i] != NULL && taken[i] != what)
        i++;
    if (i < sizeof taken / sizeof taken[0])
        taken[i] = what;
}

void emit(const struct state *next, const char *what)
{
    step++;
    if (replaying) {
        if (step == wanted) {
            replayed = *next;
            normalise(&replayed);
            replayed_step = what;
        }
        return;
    }
    transitions++;
    if (wrong != NULL)
        return;
    struct state n = *next;
    normalise(&n);
    if (remember(&n))
        return;
    count_step(what);
    if (next_count == next_size) {
        next_size = next_size == 0 ? 1 << 12 : 2 * next_size;
        next_level = grow(next_level, next_size * sizeof *next_level);
    }
    next_level[next_count++] = n;
}

void violate(const struct state *next, const char *what, const char *why)
{
    if (replaying || wrong != NULL)
        return;
    wrong = why;
    wrong_step = what;
    wrong_state = *next;
}

static void expand(const struct state *s)
{
    step = 0;
    for (u8 p = 0; p < WORKERS; p++) {
        step_worker(s, p);
        step_process(s, p);
    }
    step_network(s);
    step_makers(s);
    step_world(s);
}

static struct state beginning(void)
{
    struct state s;
    memset(&s, 0, sizeof s);
    for (u8 p = 0; p < WORKERS; p++)
        s.w[p].lineage = ++s.lineages;
    if (!bounds.FRESH) {
        s.tokens = bug == BUG_token_reused ? 0 : 1;
        s.now.config = s.now.config_version = s.now.root = s.now.named = 1;
        make_tree(&s.now, 0, 0);
    }
    if (bounds.LAG)
        s.lag = s.now;
    return s;
}

static void print_state(const char *what, const struct state *s)
{
    printf("%-64s config %d floor %d named %x", what, s->now.config, s->now.floor, s->now.named);
    for (int t = 0; t < MAKINGS; t++)
        for (int i = 0; i < SLOTS && s->now.trees[t].made; i++) {
            const struct record *r = &s->now.trees[t].slots[i];
            printf(" | %d/%d v%d n%02x from %d until %d%s", t, i, r->version, r->nonce, r->from,
                   r->until, s->now.trees[t].halted ? " HALTED" : "");
        }
    for (int p = 0; p < WORKERS; p++) {
        const struct worker *w = &s->w[p];
        printf(" || w%d %s %d/%d v%d n%02x acked %d%s", p,
               w->mode == NONE  ? "-"
               : w->mode == BID ? "bid"
                                : "HOLD",
               w->t_token, w->t_slot, w->version, w->nonce, w->acked,
               w->must_read ? " must read" : "");
        printf(" out %02x,%02x word %d", w->out[0].nonce, w->out[1].nonce, w->word);
        if (w->minting)
            printf(" mints %d/%d below %d", w->token, w->slot, w->limit);
        if (w->lost)
            printf(" lost %x", w->lost);
    }
    putchar('\n');
}

static void print_trace(void)
{
    uint32_t length = 0;
    for (uint32_t i = expanding; i != 0; i = origins[i].parent)
        length++;
    uint16_t *steps = grow(NULL, (length + 1) * sizeof *steps);
    for (uint32_t i = expanding, at = length; i != 0; i = origins[i].parent)
        steps[--at] = origins[i].step;
    struct state s = beginning();
    print_state("start", &s);
    replaying = true;
    for (uint32_t i = 0; i < length; i++) {
        wanted = steps[i];
        expand(&s);
        s = replayed;
        print_state(replayed_step, &s);
    }
    print_state(wrong_step, &wrong_state);
    free(steps);
}

static int explore(void)
{
    const struct state first = beginning();
    int depth = 0;
    emit(&first, "start");
    uint32_t base = 0;
    while (next_count > 0 && wrong == NULL && count < states_max) {
        struct state *swap = level;
        level = next_level;
        next_level = swap;
        const size_t width = next_count, size = next_size;
        static size_t level_size;
        next_size = level_size;
        level_size = size;
        next_count = 0;
        for (size_t i = 0; i < width && wrong == NULL; i++) {
            expanding = base + (uint32_t)i;
            expand(&level[i]);
        }
        base += (uint32_t)width;
        depth++;
    }
    const char *verdict = wrong != NULL ? "FAILS" : next_count > 0 ? "NOT COMPLETE" : "holds";
    printf("%s: %u states, %" PRIu64 " steps, depth %d%s%s\n", verdict, count, transitions, depth,
           wrong != NULL ? ": " : "", wrong != NULL ? wrong : "");
    for (size_t i = 0; i < sizeof taken / sizeof taken[0] && taken[i] != NULL; i++)
        printf("step: %s\n", taken[i]);
    return wrong != NULL ? 1 : next_count > 0 ? 2 : 0;
}

#define NAME(name) #name,
static const char *const bug_names[] = {"none", BUGS(NAME)};
#undef NAME

static bool set_bound(const char *text)
{
    static const struct {
        const char *name;
        int *value;
    } names[] = {{"T", &bounds.T},
                 {"WRITES", &bounds.WRITES},
                 {"FRESH", &bounds.FRESH},
                 {"CLAIMS", &bounds.CLAIMS},
                 {"DOUBLE", &bounds.DOUBLE},
                 {"LAG", &bounds.LAG},
                 {"CONTENT", &bounds.CONTENT},
                 {"WIPES", &bounds.WIPES},
                 {"RESTORES", &bounds.RESTORES},
                 {"DELETES", &bounds.DELETES},
                 {"UNCONFIG", &bounds.UNCONFIG},
                 {"INITS", &bounds.INITS},
                 {"LOSSES", &bounds.LOSSES},
                 {"STAY", &bounds.STAY},
                 {"KILLS", &bounds.KILLS},
                 {"COPIES", &bounds.COPIES}};
    const char *equal = strchr(text, '=');
    for (size_t i = 0; equal != NULL && i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i].name) == (size_t)(equal - text) &&
            strncmp(text, names[i].name, (size_t)(equal - text)) == 0) {
            *names[i].value = (int)strtol(equal + 1, NULL, 10);
            return true;
        }
    return false;
}

static bool set_bug(const char *text)
{
    for (int i = 0; i < BUG_COUNT; i++)
        if (strcmp(text, bug_names[i]) == 0) {
            bug = (enum bug)i;
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    bool trace = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bugs") == 0) {
            for (int k = 1; k < BUG_COUNT; k++)
                puts(bug_names[k]);
            return 0;
        }
        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
        } else if (strcmp(argv[i], "--states-max") == 0 && i + 1 < argc) {
            states_max = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (!(strcmp(argv[i], "--bug") == 0 && i + 1 < argc && set_bug(argv[i + 1]))) {
            if (!set_bound(argv[i])) {
                fprintf(stderr, "identity: neither an option nor a bound: '%s'\n", argv[i]);
                return 64;
            }
        } else {
            i++;
        }
    }
    if (bounds.T > STAMPS_MAX)
        return 64;
    const int rc = explore();
    if (trace && rc == 1)
        print_trace();
    return rc;
}
