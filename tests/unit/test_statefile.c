/* unit/test_statefile.c - the state file: two copies, checksum, boot, inode, lock, and what a restart
 * may believe. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/statefile.h"

#define BOOT  "11111111-2222-3333-4444-555555555555"
#define TOKEN "0123456789abcdef0123456789abcdef"
#define LOST  "fedcba9876543210fedcba9876543210"
#define NONCE "00000000000000000000000000000001"
#define CLAIM "claim-0123456789abcdef0123456789abcdef-0000000007"

static struct sf_state_header held_header(void)
{
    struct sf_state_header header;
    memset(&header, 0, sizeof header);
    header.held = 1;
    strcpy(header.fleet_id, "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");
    strcpy(header.boot_id, BOOT);
    header.device = 1;
    header.inode = 2;
    header.worker = 5;
    header.fence = 7;
    header.version = (struct sf_coord_version){7, 9};
    strcpy(header.token, TOKEN);
    strcpy(header.nonce, NONCE);
    strcpy(header.claim, CLAIM);
    header.from_ms = 11000;
    header.reserved_until_ms = 12000;
    header.mint = (struct sf_minttime){.anchor_mono_ns = 1000,
                                       .anchor_mint_ns = INT64_C(1700000000000000000)};
    return header;
}

static struct sf_reservation_memory recall(const struct sf_state_block *block, const char *boot,
                                           uint64_t inode, int64_t mono_ns)
{
    struct sf_reservation_memory memory;
    struct sf_error why = {0};
    sf_state_recall(block, boot, 1, inode, mono_ns, 10, &memory, &why);
    return memory;
}

static void remembers(void **state)
{
    (void)state;
    struct sf_state_block block = {0};
    struct sf_state_header header = held_header();
    sf_state_put(&block, &header);
    atomic_store(&block.word, 12345 | SF_GENERATOR_CLOSED);
    const struct sf_reservation_memory memory = recall(&block, BOOT, 2, 1000 + 10 * SF_NS_PER_S);
    assert_true(memory.valid);
    assert_int_equal(memory.worker, 5);
    assert_int_equal(memory.record.worker, 5);
    assert_int_equal(memory.record.fence, 7);
    assert_int_equal(memory.record.version.incarnation, 7);
    assert_int_equal(memory.record.version.version, 9);
    assert_string_equal(memory.record.claim, CLAIM);
    assert_string_equal(memory.record.nonce, NONCE);
    assert_int_equal(memory.record.from_ms, 11000);
    assert_int_equal(memory.record.reserved_until_ms, 12000);
    assert_string_equal(memory.token, TOKEN);
    assert_string_equal(memory.lost[0], "");
    assert_int_equal(memory.last_word, 12345);
    /* Ten seconds on, slewed by 500 ppm at most, and what may be borrowed. */
    assert_int_equal(memory.not_before_ms, INT64_C(1700000000000) + 10000 + 5 + 1 + 10);
}

/* What the dead process might borrow counts, not what the new one may: the option can be lowered in between. */
static void reckons_with_what_the_old_process_could_borrow(void **state)
{
    (void)state;
    static const uint64_t borrowed[][2] = {
        {0, 10},  {9, 10},        {10, 10},
        {11, 11}, {60000, 60000}, {SF_STATE_AHEAD_MAX_MS, SF_STATE_AHEAD_MAX_MS}};
    struct sf_state_block block = {0};
    struct sf_state_header header = held_header();
    for (size_t i = 0; i < sizeof borrowed / sizeof *borrowed; i++) {
        header.max_ahead_ms = borrowed[i][0];
        sf_state_put(&block, &header);
        assert_int_equal(recall(&block, BOOT, 2, 1000).not_before_ms,
                         INT64_C(1700000000000) + 1 + (int64_t)borrowed[i][1]);
    }
    header.max_ahead_ms = SF_STATE_AHEAD_MAX_MS + 1;
    sf_state_put(&block, &header);
    assert_false(recall(&block, BOOT, 2, 1000).valid);
}

static void ignores_what_is_not_this_process_on_this_boot(void **state)
{
    (void)state;
    struct sf_state_block block = {0};
    assert_false(recall(&block, BOOT, 2, 2000).valid); /* new file */
    struct sf_state_header header = held_header();
    sf_state_put(&block, &header);
    assert_false(recall(&block, "99999999-2222-3333-4444-555555555555", 2, 2000).valid);
    assert_false(recall(&block, BOOT, 3, 2000).valid); /* copied */
    assert_false(recall(&block, BOOT, 2, 999).valid);  /* clock of another boot */
    assert_true(recall(&block, BOOT, 2, 2000).valid);
    header.held = 0;
    sf_state_put(&block, &header);
    assert_false(recall(&block, BOOT, 2, 2000).valid);
}

/* Another file system may have the same number for another file: a copy, too. */
static void ignores_a_copy_on_another_device(void **state)
{
    (void)state;
    struct sf_state_block block = {0};
    struct sf_reservation_memory memory;
    struct sf_error why = {0};
    const struct sf_state_header header = held_header();
    sf_state_put(&block, &header);
    sf_state_recall(&block, BOOT, 7, header.inode, 2000, 10, &memory, &why);
    assert_false(memory.valid);
    assert_non_null(strstr(why.text, "copy"));
    sf_state_recall(&block, BOOT, header.device, header.inode, 2000, 10, &memory, &why);
    assert_true(memory.valid);
}

static void ignores_what_makes_no_sense(void **state)
{
    (void)state;
    static const struct sf_minttime times[] = {{-1, INT64_C(1700000000000000000), 0},
                                               {INT64_MIN, INT64_C(1700000000000000000), 0},
                                               {1000, -1, 0},
                                               {1000, INT64_MAX - 5, 0}};
    struct sf_state_block block = {0};
    struct sf_state_header header = held_header();
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        header.mint = times[i];
        sf_state_put(&block, &header);
        assert_false(recall(&block, BOOT, 2, 2000).valid);
    }
    /* Texts without an end. */
    static const struct {
        size_t offset, size;
    } texts[] = {
#define TEXT(member)                                                                               \
    {offsetof(struct sf_state_header, member), sizeof((struct sf_state_header *)NULL)->member}
        TEXT(fleet_id), TEXT(token), TEXT(nonce), TEXT(claim), TEXT(lost[SF_RES_LOST_MAX - 1]),
    };
    for (size_t i = 0; i < SF_COUNT(texts); i++) {
        header = held_header();
        memset((char *)&header + texts[i].offset, 'a', texts[i].size);
        sf_state_put(&block, &header);
        assert_false(recall(&block, BOOT, 2, 2000).valid);
    }
}

/* A making in which a loss was noticed is never claimed under again: whatever became of the slot, the
 * boot or the file. */
static void remembers_lost_makings_in_any_case(void **state)
{
    (void)state;
    struct sf_state_block block = {0};
    struct sf_state_header header = held_header();
    for (unsigned i = 0; i < SF_RES_LOST_MAX; i++)
        snprintf(header.lost[i], sizeof header.lost[i], "%s%u", LOST + 1, i);
    for (int held = 0; held < 2; held++) {
        header.held = (uint64_t)held;
        sf_state_put(&block, &header);
        static const char other_boot[] = "99999999-2222-3333-4444-555555555555";
        const struct sf_reservation_memory memories[] = {
            recall(&block, BOOT, 2, 2000), recall(&block, other_boot, 2, 2000),
            recall(&block, BOOT, 3, 2000), recall(&block, BOOT, 2, 999)};
        for (size_t k = 0; k < SF_COUNT(memories); k++) {
            assert_int_equal(memories[k].valid, held == 1 && k == 0);
            for (unsigned i = 0; i < SF_RES_LOST_MAX; i++)
                assert_string_equal(memories[k].lost[i], header.lost[i]);
        }
    }
}

static uint64_t fnv1a(const struct sf_state_header *copy)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < offsetof(struct sf_state_header, checksum); i++)
        hash = (hash ^ ((const unsigned char *)copy)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* What another version left has another magic number: it is as if there were none. */
static void ignores_another_format(void **state)
{
    (void)state;
    struct sf_state_block block = {0};
    const struct sf_state_header header = held_header();
    struct sf_state_header got;
    sf_state_put(&block, &header);
    assert_int_equal(sf_state_get(&block, &got), 0);
    for (size_t i = 0; i < SF_COUNT(block.copies); i++) {
        struct sf_state_header *copy = &block.copies[i];
        if (copy->magic != SF_STATE_MAGIC)
            continue;
        assert_true(copy->checksum == fnv1a(copy));
        copy->magic++;
        copy->checksum = fnv1a(copy);
    }
    assert_int_equal(sf_state_get(&block, &got), -ENOENT);
    assert_false(recall(&block, BOOT, 2, 2000).valid);
}

/* A kill at any byte of an update leaves the copy before or the copy after. */
static void every_torn_update_leaves_a_whole_copy(void **state)
{
    (void)state;
    struct sf_state_block before = {0};
    struct sf_state_header header = held_header();
    header.version.version = 1;
    sf_state_put(&before, &header);
    header.version.version = 2;
    sf_state_put(&before, &header);
    struct sf_state_block after;
    memcpy(&after, &before, sizeof after);
    header.version.version = 3;
    sf_state_put(&after, &header);
    for (size_t cut = 0; cut <= sizeof before.copies; cut++) {
        struct sf_state_block torn;
        memcpy(&torn, &before, sizeof torn);
        memcpy(&torn, &after, cut);
        struct sf_state_header got;
        assert_int_equal(sf_state_get(&torn, &got), 0);
        assert_true(got.version.version == 2 || got.version.version == 3);
    }
}

static void a_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct sf_state_block block = {0};
    struct sf_state_header header = held_header(), got;
    sf_state_put(&block, &header);
    for (size_t i = 0; i < sizeof block.copies; i += 7) {
        struct sf_state_block bad;
        memcpy(&bad, &block, sizeof bad);
        ((unsigned char *)&bad)[i] ^= 0x10;
        if (sf_state_get(&bad, &got) == 0)
            assert_memory_equal(&got.version, &header.version, sizeof got.version);
    }
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    char dir[] = "/tmp/sf-state-XXXXXX", path[256];
    struct sf_statefile first, second;
    struct sf_error err = {0};
    assert_non_null(mkdtemp(dir));
    assert_int_equal(sf_statefile_open(dir, "w", &first, &err), 0);
    assert_int_equal(sf_statefile_open(dir, "w", &second, &err), -EBUSY);
    assert_non_null(strstr(err.text, "another living process"));
    atomic_store(&first.block->word, 77);
    const uint64_t inode = first.inode;
    struct stat st;
    snprintf(path, sizeof path, "%s/w.state", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(first.device, st.st_dev);
    assert_int_equal(first.inode, st.st_ino);
    sf_statefile_close(&first);
    sf_statefile_close(&first);
    assert_int_equal(sf_statefile_open(dir, "w", &second, &err), 0);
    assert_int_equal(second.inode, inode);
    assert_int_equal(atomic_load(&second.block->word), 77); /* it survives the process */
    sf_statefile_close(&second);
    unlink(path);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_true(sf_statefile_open(dir, "w", &second, &err) < 0); /* no links */
    unlink(path);
    rmdir(dir);
    assert_true(sf_statefile_open("/proc/none/dir", "w", &second, &err) < 0);
    assert_non_null(strstr(err.text, "/proc/none/dir"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembers),
        cmocka_unit_test(reckons_with_what_the_old_process_could_borrow),
        cmocka_unit_test(ignores_what_is_not_this_process_on_this_boot),
        cmocka_unit_test(ignores_a_copy_on_another_device),
        cmocka_unit_test(ignores_what_makes_no_sense),
        cmocka_unit_test(remembers_lost_makings_in_any_case),
        cmocka_unit_test(ignores_another_format),
        cmocka_unit_test(every_torn_update_leaves_a_whole_copy),
        cmocka_unit_test(a_flipped_bit_is_noticed),
        cmocka_unit_test(one_process_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
