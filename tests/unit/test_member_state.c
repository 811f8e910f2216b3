/* unit/test_member_state.c - members and their state files: what is gone on with, what is never believed, and
 * what they say of a fleet. */
#include "unit/member_fixture.h"

#include "worker/statefile.h"

/* What its state directory does not know of somebody may be minting all the same. */
static void a_fleet_that_need_not_be_the_first_begins_later(void **state)
{
    (void)state;
    const int64_t begun_ms = sf_real_ns() / SF_NS_PER_MS;
    red.options.auto_init_first = false;
    begin(&red);
    const int64_t end_ns = sf_mono_ns() + DEADLINE_MS * SF_NS_PER_MS;
    while (strstr(snapshot_of(&red).why, "floor") == NULL) {
        assert_true(sf_mono_ns() < end_ns);
        assert_int_not_equal(snapshot_of(&red).slots[0].state, SF_WORKER_READY);
        sf_sleep_ms(2);
    }
    assert_true(snapshot_of(&red).config.floor_ms >= begun_ms + SF_COORD_WINDOW_DEFAULT_MS);
    end(&red);
}

static void without_leaving_the_slot_is_quarantined_and_the_file_goes_on_with_it(void **state)
{
    (void)state;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    const uint64_t slot = snapshot_of(&red).slots[0].worker;
    mint_ascending(&red, 10);
    sf_member_stop(red.member);
    sf_member_stop(red.member); /* again changes nothing */
    mint_ascending(&red, 10);   /* the reservation is still ours */
    sf_member_destroy(red.member);
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    assert_int_equal(snapshot_of(&red).slots[0].worker, slot);
    mint_ascending(&red, 10);
    end(&red);
}

/* As many IDs as may be had now: the word runs ahead of the clock. */
static void mint_ahead(struct played *p)
{
    struct sf_mint minted;
    struct sf_run run;
    const uint64_t now_ms = sf_member_time_ms(sf_member_time(p->member), sf_mono_ns());
    while (sf_generator_mint(p->generators[0], now_ms, 0, 0, 4096, &minted) == SF_MINT_OK) {
        while (sf_run_take(p->generators[0], &minted, 4096, &run)) {
            assert_true(run.first > p->last_id);
            p->last_id = run.first + run.count - 1;
        }
    }
}

/* The file is written, never believed, while the process lives (docs/uniqueness.md, rule 12). */
static void what_is_written_over_the_file_changes_nothing(void **state)
{
    (void)state;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    mint_ascending(&red, 1);
    char path[600] = "", content[16384];
    DIR *dir = opendir(red.state_dir);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strncmp(entry->d_name, red.options.coord.fleet, strlen(red.options.coord.fleet)) == 0)
            snprintf(path, sizeof path, "%s/%s", red.state_dir, entry->d_name);
    (void)closedir(dir);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    const ssize_t size = pread(fd, content, sizeof content, 0);
    assert_true(size > 0);
    struct sf_state_block block;
    struct sf_state_header header;
    assert_true((size_t)size >= sizeof block);
    memcpy(&block, content, sizeof block);
    assert_int_equal(sf_state_get(&block, &header), 0);
    assert_int_equal(header.max_ahead_ms, red.options.max_ahead_ms); /* the next one has to know */
    for (int i = 0; i < 20; i++) {
        mint_ahead(&red);
        if (i % 2 == 1) /* an older copy, or nothing */
            memset(content, 0, sizeof content);
        assert_int_equal(pwrite(fd, content, (size_t)size, 0), size);
        mint_ascending(&red, 1);
    }
    close(fd);
    end(&red);
}

static void a_state_file_that_is_in_use_is_done_without(void **state)
{
    (void)state;
    blue.options = red.options; /* the same fleet, directory and name */
    blue.options.host.ctx = &blue;
    begin(&red);
    await_state(&red, SF_WORKER_READY);
    begin(&blue);
    await_state(&blue, SF_WORKER_READY);
    assert_int_not_equal(snapshot_of(&red).slots[0].worker, snapshot_of(&blue).slots[0].worker);
    end(&blue);
    end(&red);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        life(without_leaving_the_slot_is_quarantined_and_the_file_goes_on_with_it),
        life(what_is_written_over_the_file_changes_nothing),
        life(a_state_file_that_is_in_use_is_done_without),
        life(a_fleet_that_need_not_be_the_first_begins_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
