/* An interleaver: the product's own generator.c, each of whose atomic operations is a step. What it
 * does and judges stands in test_generator_interleave.c, for which alone it is. */
#ifndef SF_TESTS_INTERLEAVE_FIXTURE_H
#define SF_TESTS_INTERLEAVE_FIXTURE_H

#include "unit/cmocka_all.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static uint64_t step_load(const volatile _Atomic uint64_t *from);
static void step_store(volatile _Atomic uint64_t *to, uint64_t value);
static uint64_t step_or(volatile _Atomic uint64_t *to, uint64_t bits);
static uint64_t step_add(volatile _Atomic uint64_t *to, uint64_t value);
static bool step_swap(volatile _Atomic uint64_t *to, uint64_t *expected, uint64_t value);
static void step_assert(bool holds, const char *text);

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_fetch_or
#undef atomic_fetch_add
#undef atomic_compare_exchange_weak_explicit
#undef atomic_compare_exchange_strong
#undef SF_ASSERT
#define atomic_load(from)                                                 step_load(from)
#define atomic_load_explicit(from, order)                                 step_load(from)
#define atomic_store(to, value)                                           step_store(to, value)
#define atomic_store_explicit(to, value, order)                           step_store(to, value)
#define atomic_fetch_or(to, bits)                                         step_or(to, bits)
#define atomic_fetch_add(to, value)                                       step_add(to, value)
#define atomic_compare_exchange_strong(to, e, v)                          step_swap(to, e, v)
#define atomic_compare_exchange_weak_explicit(to, e, v, success, failure) step_swap(to, e, v)
#define SF_ASSERT(holds)                                                  step_assert((holds), #holds)

#include "id/generator.c"

/* Nobody waits here. */
void sf_generator_step_back(void)
{
}

/* --- the interleaver --- */

#define ACTORS_MAX 3
#define OPS_MAX    48
#define MINTED_MAX 32
#define DEPTH_MAX  (ACTORS_MAX * OPS_MAX)

static const struct sf_layout layout = {49, 8, 4, 2}; /* four IDs a millisecond */
#define MAX_AHEAD_MS 2

struct actor {
    bool ended;
    bool saw_closed; /* the generator was closed at some moment of the mint under way */
    unsigned done;   /* operations */
    unsigned since;  /* of these, before the call that is under way */
    uint64_t results[OPS_MAX];
};

/* Everything that a step may change. */
struct world {
    _Atomic uint64_t word;
    struct sf_generator gen;
    struct actor actors[ACTORS_MAX];
    /* What the promises are about. */
    bool open;          /* from when open began to when close returned */
    bool may_be_closed; /* from when close began to when open returned */
    uint64_t limit_ms, slot_bits, start_word;
    uint64_t minted[MINTED_MAX];
    unsigned minted_count;
    uint64_t highest;     /* of these */
    uint64_t left_behind; /* by close, while it is closed */
    bool died;            /* an assertion of the product ended the process */
};

typedef void program(void);

static struct world world;
static program *programs[ACTORS_MAX];
static unsigned actor_count;

/* The actor whose step this is; `at` counts its operations. Once its step is done it is run out. */
static unsigned self, at;
static bool stepped, frozen;
static uint64_t steps;
static unsigned path[DEPTH_MAX], depth;
static char violation[256];

__attribute__((format(printf, 1, 2))) static void violate(const char *format, ...)
{
    va_list args;
    if (violation[0] != '\0')
        return; /* the first one tells */
    va_start(args, format);
    (void)vsnprintf(violation, sizeof violation, format, args);
    va_end(args);
}

/* The result of an operation that was done before; else the caller is to do it now, or, run out, not
 * at all. */
enum turn { TURN_REPLAY, TURN_NOW, TURN_FROZEN };
static enum turn turn(uint64_t *ret_result)
{
    struct actor *actor = &world.actors[self];
    if (at < actor->done) {
        *ret_result = actor->results[at++];
        return TURN_REPLAY;
    }
    frozen = frozen || stepped;
    if (frozen)
        return TURN_FROZEN;
    stepped = true;
    return TURN_NOW;
}

static void record(uint64_t result)
{
    struct actor *actor = &world.actors[self];
    assert_true(actor->done < OPS_MAX);
    actor->results[actor->done++] = result;
    at++;
}

/* For what the test notes on its own: true once, at the very moment, and not a step of its own. */
static bool first_time(void)
{
    if (at < world.actors[self].done) {
        at++;
        return false;
    }
    if (frozen)
        return false;
    record(0);
    return true;
}

/* A program keeps nothing from one call to the next: what was read before no longer tells states
 * apart. */
static bool begin_call(void)
{
    if (!first_time())
        return false;
    world.actors[self].since = at;
    return true;
}

static void check_word(void)
{
    const uint64_t word = world.word & ~SF_GENERATOR_CLOSED;
    if (word < world.highest)
        violate("the word went back to %" PRIu64 ", below what was minted", word);
    if (!world.open && word != world.left_behind)
        violate("the word moved while it was closed");
}

static uint64_t step_load(const volatile _Atomic uint64_t *from)
{
    uint64_t result = *from;
    if (turn(&result) == TURN_NOW)
        record(result);
    return result;
}

static void step_store(volatile _Atomic uint64_t *to, uint64_t value)
{
    uint64_t result = 0;
    if (turn(&result) != TURN_NOW)
        return;
    *to = value;
    record(0);
    check_word();
}

static uint64_t step_or(volatile _Atomic uint64_t *to, uint64_t bits)
{
    uint64_t result = *to;
    if (turn(&result) == TURN_NOW) {
        *to = result | bits;
        record(result);
        check_word();
    }
    return result;
}

static uint64_t step_add(volatile _Atomic uint64_t *to, uint64_t value)
{
    uint64_t result = *to;
    if (turn(&result) == TURN_NOW) {
        *to = result + value;
        record(result);
        check_word();
    }
    return result;
}

/* Run out it succeeds, so that no loop goes on for ever. */
static bool step_swap(volatile _Atomic uint64_t *to, uint64_t *expected, uint64_t value)
{
    uint64_t found = *to;
    switch (turn(&found)) {
    case TURN_FROZEN:
        return true;
    case TURN_NOW:
        if (found == *expected)
            *to = value;
        record(found);
        break;
    case TURN_REPLAY:
        break;
    }
    const bool same = found == *expected;
    *expected = found;
    return same;
}

static void step_assert(bool holds, const char *text)
{
    (void)text;
    if (!holds && !frozen && first_time())
        world.died = true;
}

static void step(unsigned actor)
{
    self = actor;
    at = 0;
    stepped = frozen = false;
    programs[actor]();
    world.actors[actor].ended = !frozen;
    steps++;
}

/* --- states that were seen --- */

/* Two orders that lead to the same state (memory, the results that each actor has had in the call
 * that it is in, what is judged by) have the same continuations: those are tried once, and counted
 * for both. */
#define TABLE_SIZE (UINT32_C(1) << 20)

struct seen {
    uint64_t hash[2]; /* 0, 0: free */
    uint64_t schedules;
};
static struct seen *table;
static uint32_t states;

static void mix(uint64_t hash[2], uint64_t value)
{
    hash[0] = (hash[0] ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    hash[0] ^= hash[0] >> 29;
    hash[1] = (hash[1] + value) * UINT64_C(0xD6E8FEB86659FD93);
    hash[1] ^= hash[1] >> 32;
}

static struct seen *look_up(void)
{
    uint64_t hash[2] = {1, 2};
    mix(hash, world.word);
    mix(hash, world.gen.limit_word);
    mix(hash, world.gen.slot_bits);
    mix(hash, world.open | world.may_be_closed << 1 | world.died << 2);
    mix(hash, world.limit_ms);
    mix(hash, world.slot_bits);
    mix(hash, world.start_word);
    mix(hash, world.left_behind);
    for (unsigned i = 0; i < world.minted_count; i++)
        mix(hash, world.minted[i]);
    for (unsigned i = 0; i < actor_count; i++) {
        const struct actor *actor = &world.actors[i];
        mix(hash, actor->ended | actor->saw_closed << 1 | actor->done << 2);
        for (unsigned k = actor->since; k < actor->done; k++)
            mix(hash, actor->results[k]);
    }
    uint32_t at_place = (uint32_t)hash[0] & (TABLE_SIZE - 1);
    while ((table[at_place].hash[0] | table[at_place].hash[1]) != 0 &&
           (table[at_place].hash[0] != hash[0] || table[at_place].hash[1] != hash[1]))
        at_place = (at_place + 1) & (TABLE_SIZE - 1);
    struct seen *seen = &table[at_place];
    if ((seen->hash[0] | seen->hash[1]) == 0) {
        assert_true(++states < TABLE_SIZE / 4 * 3);
        memcpy(seen->hash, hash, sizeof hash);
    }
    return seen;
}

static void tell(void)
{
    char text[DEPTH_MAX + 1];
    for (unsigned i = 0; i < depth; i++)
        text[i] = (char)('A' + path[i]);
    text[depth] = '\0';
    fail_msg("%s; schedule %s, after %u states", violation, text, states);
}

/* Returns how many schedules go on from here. */
static uint64_t explore(void)
{
    struct seen *const seen = look_up();
    if (seen->schedules > 0)
        return seen->schedules;
    uint64_t count = 0;
    for (unsigned i = 0; i < actor_count && !world.died; i++) {
        if (world.actors[i].ended)
            continue;
        const struct world before = world;
        path[depth++] = i;
        step(i);
        if (violation[0] != '\0')
            tell();
        count += explore();
        depth--;
        world = before;
    }
    seen->schedules = count > 0 ? count : 1;
    assert_true(seen->schedules < UINT64_MAX / ACTORS_MAX); /* the sum above does not wrap */
    return seen->schedules;
}

#endif
