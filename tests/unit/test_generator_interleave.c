/* The generator under every interleaving of its atomic accesses.
 *
 * The product's own generator.c is compiled into this file, with each atomic operation replaced by a
 * step of the interleaver. Two or three actors run short programs; after every step any of them may
 * be next, and depth first all orders are tried. Memory is sequentially consistent here: what weaker
 * memory could add to that, the acquire and release orders of generator.h are to keep out, and that
 * is not tried here.
 *
 * An actor is run from its beginning for every step that it takes: the operations that it has done
 * already give the results that they gave, the next one is done, and the rest of the program is run
 * out without touching anything. So there are no threads and no stacks to switch, and a state is a
 * struct that can be copied.
 *
 * What is judged where IDs are made, by what the header promises: no word twice; below the limit in
 * force (a lowered one from when lower returned, a raised one from when raise began); not further
 * ahead than allowed; in the slot that is open, at or above its start; none between the return of
 * close and the next open. Whenever the word is moved it does not go back, and what close left behind
 * stays. lower never goes below what was minted. */
#include "unit/interleave_fixture.h"

/* --- what actors do, and what is judged --- */

static void mint(uint64_t now_ms, uint64_t jitter, uint32_t want)
{
    struct sf_mint mint;
    struct actor *actor = &world.actors[self];
    if (begin_call())
        actor->saw_closed = world.may_be_closed;
    const enum sf_mint_result result =
        sf_generator_mint(&world.gen, now_ms, 0, jitter, want, &mint);
    if (result == SF_MINT_CLOSED && first_time() && !actor->saw_closed)
        violate("CLOSED, and it was open all the time");
    if (result != SF_MINT_OK || !first_time())
        return;
    if (!world.open)
        violate("minted after close had returned");
    if (mint.slot_bits != world.slot_bits)
        violate("minted for slot bits %" PRIu64 ", while %" PRIu64 " were open", mint.slot_bits,
                world.slot_bits);
    if (mint.first_word < world.start_word)
        violate("minted word %" PRIu64 " below the start", mint.first_word);
    if (mint.count < 1 || mint.count > want)
        violate("minted %u IDs, wanted were %u", mint.count, want);
    for (uint64_t word = mint.first_word; word < mint.first_word + mint.count; word++) {
        const uint64_t ms = word >> layout.sequence_bits;
        if (ms >= world.limit_ms)
            violate("minted at %" PRIu64 " ms, the limit was %" PRIu64, ms, world.limit_ms);
        if (ms > now_ms + MAX_AHEAD_MS)
            violate("minted at %" PRIu64 " ms, too far ahead of %" PRIu64, ms, now_ms);
        for (unsigned i = 0; i < world.minted_count; i++)
            if (world.minted[i] == word)
                violate("minted word %" PRIu64 " twice", word);
        assert_true(world.minted_count < MINTED_MAX);
        world.minted[world.minted_count++] = word;
        if (word > world.highest)
            world.highest = word;
    }
}

static void close_it(void)
{
    if (begin_call()) {
        world.may_be_closed = true;
        for (unsigned i = 0; i < actor_count; i++)
            world.actors[i].saw_closed = true;
    }
    sf_generator_close(&world.gen);
    if (first_time()) {
        world.open = false;
        world.left_behind = world.word & ~SF_GENERATOR_CLOSED;
    }
    (void)sf_generator_last_ms(&world.gen); /* while it is closed: time for others */
}

static void open_it(uint64_t worker, uint64_t start_ms, uint64_t limit_ms)
{
    if (begin_call()) {
        world.open = true;
        world.slot_bits = worker << layout.sequence_bits;
        world.start_word = start_ms << layout.sequence_bits;
        world.limit_ms = limit_ms;
    }
    const int rc = sf_generator_open(&world.gen, 0, worker, start_ms, limit_ms);
    if (!first_time())
        return;
    world.may_be_closed = false;
    if (rc != 0)
        violate("open: %d", rc);
}

static void raise_it(uint64_t limit_ms)
{
    if (begin_call())
        world.limit_ms = limit_ms;
    sf_generator_raise(&world.gen, limit_ms);
}

/* The caller chooses a limit above what is minted. Where a minter with a late clock was faster, the
 * assertion ends the process: that is not the generator's fault. */
static void lower_it(uint64_t limit_ms)
{
    (void)begin_call();
    sf_generator_lower(&world.gen, limit_ms);
    if (!first_time())
        return;
    world.limit_ms = limit_ms;
    const uint64_t limit_word = limit_ms << layout.sequence_bits;
    if (world.highest >= limit_word && !world.died)
        violate("lowered below what was minted, unnoticed");
    if (world.died && (world.word & ~SF_GENERATOR_CLOSED) < limit_word)
        violate("an assertion without a cause");
}

/* --- scenarios --- */

static void run(const char *what, program *a, program *b, program *c)
{
    memset(&world, 0, sizeof world);
    programs[0] = a;
    programs[1] = b;
    programs[2] = c;
    actor_count = c != NULL ? 3 : 2;
    depth = 0;
    steps = states = 0;
    memset(table, 0, TABLE_SIZE * sizeof *table);
    violation[0] = '\0';
    /* Setting up is nobody's step. */
    world.word = 0;
    world.gen.word = &world.word;
    struct sf_generator *gen = &world.gen;
    gen->layout = layout;
    gen->timestamp_shift =
        (uint8_t)(layout.datacenter_bits + layout.worker_bits + layout.sequence_bits);
    gen->max_ahead_ms = MAX_AHEAD_MS;
    gen->end_ms = sf_layout_max_timestamp(&layout) + 1;
    gen->slot_bits = world.slot_bits = UINT64_C(1) << layout.sequence_bits;
    world.word = (UINT64_C(10) << layout.sequence_bits) - 1;
    world.start_word = UINT64_C(10) << layout.sequence_bits;
    world.limit_ms = 20;
    gen->limit_word = UINT64_C(20) << layout.sequence_bits;
    world.open = true;
    const uint64_t schedules = explore();
    print_message("%s: %" PRIu64 " schedules of %u states, %" PRIu64 " steps\n", what, schedules,
                  states, steps);
    assert_true(schedules > 1);
}

static void one_at_10(void)
{
    mint(10, 0, 1);
}

static void three_at_10(void)
{
    mint(10, 0, 3);
}

static void two_times_at_10(void)
{
    mint(10, 0, 2);
    mint(11, 1, 1);
}

static void one_at_13(void)
{
    mint(13, 0, 1);
}

static void two_at_the_limit(void)
{
    mint(18, 3, 8); /* as many as fit below 20 */
    mint(19, 0, 1);
}

static void test_minters_alone(void **state)
{
    (void)state;
    run("three minters", one_at_10, three_at_10, one_at_10);
    run("three minters, one twice", two_times_at_10, three_at_10, one_at_10);
    run("two minters at the limit", two_at_the_limit, two_at_the_limit, NULL);
}

static void close_once(void)
{
    close_it();
}

static void move(void)
{
    close_it();
    open_it(2, 10, 20);
}

/* Lower than where the word stands, twice: the value must not come again. */
static void move_there_and_back(void)
{
    close_it();
    open_it(2, 5, 20);
    close_it();
    open_it(1, 5, 20);
}

/* The new owner's reservation ends earlier. */
static void move_to_a_lower_limit(void)
{
    close_it();
    open_it(2, 10, 12);
}

static void move_to_a_higher_start(void)
{
    close_it();
    open_it(2, 15, 30);
}

static void test_close_and_open(void **state)
{
    (void)state;
    run("close", one_at_10, three_at_10, close_once);
    run("move", one_at_10, one_at_10, move);
    run("move, minters twice", two_times_at_10, two_times_at_10, move);
    run("there and back", one_at_10, two_times_at_10, move_there_and_back);
    run("a lower limit", one_at_13, two_times_at_10, move_to_a_lower_limit);
    run("a higher start", one_at_13, two_times_at_10, move_to_a_higher_start);
}

static void lower_once(void)
{
    lower_it(13);
}

static void lower_and_raise(void)
{
    lower_it(13);
    raise_it(14);
}

static void raise_once(void)
{
    raise_it(21);
}

static void raise_and_lower(void)
{
    raise_it(30);
    lower_it(13);
}

static void at_the_end(void)
{
    mint(20, 0, 1);
    mint(20, 0, 2);
}

static void lower_and_close(void)
{
    lower_it(13);
    close_it();
}

static void lower_and_move(void)
{
    lower_it(13);
    close_it();
    open_it(2, 5, 13);
}

static void test_limits(void **state)
{
    (void)state;
    run("lower", one_at_13, two_times_at_10, lower_once);
    run("lower and raise", one_at_13, one_at_13, lower_and_raise);
    run("raise", at_the_end, at_the_end, raise_once);
    run("raise and lower", one_at_13, two_times_at_10, raise_and_lower);
    run("lower and close", one_at_13, two_times_at_10, lower_and_close);
    run("lower and move", one_at_13, two_times_at_10, lower_and_move);
}

/* All that control does, while a minter goes on, whose clock then runs ahead. */
static void whole_life(void)
{
    raise_it(24);
    lower_it(18);
    close_it();
    open_it(2, 5, 20);
    raise_it(22);
    close_it();
    open_it(1, 5, 18);
}

static void early_and_late(void)
{
    mint(10, 0, 1);
    mint(17, 1, 4);
}

static void test_a_whole_life(void **state)
{
    (void)state;
    run("a whole life", early_and_late, whole_life, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minters_alone),
        cmocka_unit_test(test_close_and_open),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_a_whole_life),
    };
    table = calloc(TABLE_SIZE, sizeof *table);
    if (table == NULL)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(table);
    return failed;
}
