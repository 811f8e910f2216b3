/* The shapes that a campaign draws from, and how often each comes up. */
#include "shapes.h"

#include <string.h>

#define LONG_AGO_MS 1000000000

/* The weight is out of all of them together. */
static const struct {
    struct sim_shape shape;
    unsigned weight;
} shapes[] = {
#ifdef SIM_THOUSAND
    /* A datacenter that nobody lists, nearly full. */
    {{.name = "thousand",
      .layout = {41, 5, 10, 7},
      .datacenters = 1,
      .hosts = 1000,
      .at_first = 1000,
      .slots_per_worker = 1,
      .window_ms = 60000,
      .min_window_ms = 6000,
      .clients = 2,
      .mint_gap_ms = 8000},
     1},
#else
    /* More workers than slots: two always wait. The shape that speed is measured with. */
    {{.name = "six",
      .layout = {45, 10, 2, 6},
      .datacenters = 1,
      .hosts = 6,
      .at_first = 6,
      .slots_per_worker = 1,
      .window_ms = 60000,
      .min_window_ms = 6000,
      .clients = 2,
      .mint_gap_ms = 160},
     8},
    /* Four sequence numbers: every batch carries into the next milliseconds. */
    {{.name = "tiny",
      .layout = {57, 2, 2, 2},
      .datacenters = 1,
      .hosts = 3,
      .at_first = 3,
      .slots_per_worker = 1,
      .window_ms = 60000,
      .min_window_ms = 6000,
      .clients = 2,
      .mint_gap_ms = 160},
     3},
    /* Layout and windows as they are by default. */
    {{.name = "wide",
      .layout = {41, 5, 5, 12},
      .datacenters = 1,
      .hosts = 6,
      .at_first = 6,
      .slots_per_worker = 1,
      .window_ms = 600000,
      .min_window_ms = 30000,
      .clients = 2,
      .mint_gap_ms = 160},
     3},
    {{.name = "pair",
      .layout = {44, 5, 3, 11},
      .datacenters = 2,
      .hosts = 8,
      .at_first = 8,
      .slots_per_worker = 1,
      .window_ms = 60000,
      .min_window_ms = 6000,
      .clients = 3,
      .mint_gap_ms = 200},
     3},
    {{.name = "double",
      .layout = {44, 8, 3, 8},
      .datacenters = 1,
      .hosts = 4,
      .at_first = 4,
      .slots_per_worker = 2,
      .window_ms = 60000,
      .min_window_ms = 6000,
      .clients = 2,
      .mint_gap_ms = 160},
     3},
    {{.name = "scaling",
      .layout = {44, 8, 3, 8},
      .datacenters = 1,
      .hosts = 10,
      .at_first = 3,
      .slots_per_worker = 1,
      .window_ms = 60000,
      .min_window_ms = 6000,
      .clients = 2,
      .mint_gap_ms = 200},
     3},
    /* Short windows, and a coordinator that loses data: one making follows the other. */
    {{.name = "losing",
      .layout = {44, 8, 3, 8},
      .loses = true,
      .datacenters = 1,
      .hosts = 5,
      .at_first = 5,
      .slots_per_worker = 1,
      .window_ms = 4000,
      .min_window_ms = 1500,
      .clients = 1,
      .mint_gap_ms = 100},
     4},
    /* Nothing is lost, so nobody may take anything for lost. Asked for by name. */
    {{.name = "electing",
      .layout = {44, 8, 3, 8},
      .elects = true,
      .datacenters = 1,
      .hosts = 5,
      .at_first = 5,
      .slots_per_worker = 1,
      .window_ms = 4000,
      .min_window_ms = 1500,
      .clients = 1,
      .mint_gap_ms = 400},
     0},
    /* Slots are sought as in a datacenter that is too large to be listed, by more than there are. */
    {{.name = "seeking",
      .layout = {44, 8, 3, 8},
      .probes = true,
      .datacenters = 1,
      .hosts = 10,
      .at_first = 10,
      .slots_per_worker = 1,
      .window_ms = 60000,
      .min_window_ms = 6000,
      .clients = 2,
      .mint_gap_ms = 200},
     0},
    /* The last timestamp of the layout is reached: nobody may mint beyond it. */
    {{.name = "ending",
      .layout = {30, 10, 3, 20},
      .ends = true,
      .datacenters = 1,
      .hosts = 4,
      .at_first = 4,
      .slots_per_worker = 1,
      .window_ms = 60000,
      .min_window_ms = 6000,
      .clients = 1,
      .mint_gap_ms = 160},
     1},
#endif
};
#define SHAPES (sizeof shapes / sizeof shapes[0])

static const struct sim_shape *draw(struct sf_prng *prng)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < SHAPES; i++)
        sum += shapes[i].weight;
    uint64_t left = sf_prng_below(prng, sum);
    for (unsigned i = 0;; i++) {
        if (left < shapes[i].weight)
            return &shapes[i].shape;
        left -= shapes[i].weight;
    }
}

bool sim_shape_pick(const char *name, int64_t duration_s, struct sf_prng *prng,
                    struct sim_shape *ret)
{
    const struct sim_shape *found = NULL;
    if (strcmp(name, "mixed") == 0)
        found = draw(prng);
    for (unsigned i = 0; i < SHAPES && !found; i++)
        if (strcmp(shapes[i].shape.name, name) == 0)
            found = &shapes[i].shape;
    if (!found)
        return false;
    *ret = *found;
    ret->start_ms = LONG_AGO_MS;
    if (ret->ends)
        ret->start_ms = (int64_t)sf_layout_max_timestamp(&ret->layout) - duration_s * 1000 / 2;
    if (strcmp(name, "mixed") == 0) {
        if (sf_prng_below(prng, 4) == 0)
            ret->mint_gap_ms =
                8000; /* hardly anybody asks: a minter that sleeps is not overtaken */
        if (sf_prng_below(prng, 8) == 0)
            ret->max_silence_ms = 20000;
        /* What is drawn later stays as it was without this. */
        struct sf_prng aside = *prng;
        ret->probes = sf_prng_below(&aside, 4) == 0;
    }
    return true;
}

const char *sim_shape_names(void)
{
    static char text[256];
    if (!text[0]) {
        size_t n = 0;
        for (unsigned i = 0; i < SHAPES; i++) {
            const size_t size = strlen(shapes[i].shape.name);
            memcpy(text + n, shapes[i].shape.name, size);
            n += size;
            text[n++] = ' ';
        }
        memcpy(text + n, "mixed", 6);
    }
    return text;
}
