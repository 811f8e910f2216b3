/* unit/test_statefile_lock.c - whose a state file is: its lock and the name in it, with processes that
 * fork, close descriptors, are killed, or live where nobody can see them. On a memory file system and on
 * that of /tmp. */
#include "unit/cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/statefile.h"

#define LOST "fedcba9876543210fedcba9876543210"

static const char *const places[] = {"/tmp", "/dev/shm"};
static char dir[64], path[80];

static void make_dir(const char *place)
{
    snprintf(dir, sizeof dir, "%s/sf-lock-XXXXXX", place);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/w.state", dir);
}

static void remove_dir(void)
{
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* nothing else was left there */
}

/* In every place that there is. */
static void everywhere(void (*test)(void))
{
    for (size_t i = 0; i < SF_COUNT(places); i++) {
        if (access(places[i], W_OK) != 0)
            continue;
        make_dir(places[i]);
        test();
        remove_dir();
    }
}

static int open_here(struct sf_statefile *file)
{
    struct sf_error err = {0};
    const int rc = sf_statefile_open(dir, "w", file, &err);
    if (rc != 0)
        assert_true(err.text[0] != '\0');
    return rc;
}

/* Not so on an overlay file system, which maps another file than it opens. */
static void a_memory_file_system_needs_no_descriptor(void **state)
{
    (void)state;
    if (access("/dev/shm", W_OK) != 0)
        skip();
    struct sf_statefile file;
    make_dir("/dev/shm");
    assert_int_equal(open_here(&file), 0);
    assert_int_equal(file.fd, -1);
    sf_statefile_close(&file);
    remove_dir();
}

/* What a process of its own gets: 0 or a negative errno code. */
static int open_elsewhere(void)
{
    const pid_t child = fork();
    if (child == 0) {
        struct sf_statefile file;
        struct sf_error err = {0};
        const int rc = sf_statefile_open(dir, "w", &file, &err);
        if (rc == 0)
            sf_statefile_close(&file);
        _exit(-rc);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

/* A process that has the file, and a word in it, and is killed. It stays in the table of processes until
 * it is reaped. */
static pid_t killed_with_the_file(uint64_t word)
{
    const pid_t child = fork();
    if (child == 0) {
        struct sf_statefile file;
        struct sf_error err = {0};
        if (sf_statefile_open(dir, "w", &file, &err) != 0)
            _exit(1);
        struct sf_state_header header;
        memset(&header, 0, sizeof header);
        strcpy(header.lost[0], LOST);
        sf_state_put(file.block, &header);
        atomic_store(&file.block->word, word);
        raise(SIGKILL);
    }
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(info.si_code, CLD_KILLED);
    return child;
}

/* Never returns, and outlives a test that failed by seconds at most. */
static void idle(void)
{
    alarm(10);
    for (;;)
        pause();
}

static pid_t idle_process(void)
{
    const pid_t child = fork();
    if (child == 0)
        idle();
    return child;
}

static void end_process(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Writes another name into the file. */
static void name_in_file(const struct sf_state_holder *holder)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(
        pwrite(fd, holder, sizeof *holder, (off_t)offsetof(struct sf_state_block, holder)),
        sizeof *holder);
    close(fd);
}

/* The name of a living process of this namespace. */
static struct sf_state_holder name_of(pid_t pid)
{
    struct sf_state_holder holder;
    struct sf_error err = {0};
    char stat_path[64], text[1024] = "";
    assert_int_equal(sf_state_holder_self(SF_STATE_PROC, &holder, &err), 0);
    snprintf(stat_path, sizeof stat_path, "/proc/%d/stat", (int)pid);
    FILE *from = fopen(stat_path, "re");
    assert_non_null(from);
    assert_non_null(fgets(text, sizeof text, from));
    fclose(from);
    char *field = strrchr(text, ')');
    for (int i = 2; i < 22; i++)
        field = strchr(field + 1, ' ');
    holder.pid = (uint64_t)pid;
    holder.start_ticks = strtoull(field + 1, NULL, 10);
    sf_state_holder_seal(&holder);
    return holder;
}

static void a_process_names_itself(void **state)
{
    (void)state;
    struct sf_state_holder self, same = name_of(getpid());
    struct sf_error err = {0};
    struct stat st;
    assert_int_equal(sf_state_holder_self(SF_STATE_PROC, &self, &err), 0);
    assert_memory_equal(&self, &same, sizeof self);
    assert_int_equal(stat("/proc/self/ns/pid", &st), 0);
    assert_int_equal(self.pid_ns, st.st_ino);
    assert_int_equal(sf_state_holder_judge(SF_STATE_PROC, &self, &self, &err),
                     SF_STATE_HOLDER_LIVES);
}

static void write_text(const char *name, const char *text)
{
    FILE *to = fopen(name, "we");
    assert_non_null(to);
    fputs(text, to);
    assert_int_equal(fclose(to), 0);
}

/* A /proc of another namespace has other numbers, and one that says nonsense has none. */
static void nobody_is_named_by_what_is_told_of_others(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {"1 (x) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7 0\n", -EXDEV},
        {"1 (x) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0\n", -EPROTO},
        {"x\n", -EPROTO},
        {"", -EPROTO},
    };
    char folder[80], ns[80], file[80], link[80];
    make_dir("/tmp");
    snprintf(folder, sizeof folder, "%.60s/self", dir);
    snprintf(ns, sizeof ns, "%.60s/self/ns", dir);
    snprintf(link, sizeof link, "%.60s/self/ns/pid", dir);
    snprintf(file, sizeof file, "%.60s/self/stat", dir);
    assert_true(mkdir(folder, 0700) == 0 && mkdir(ns, 0700) == 0);
    write_text(link, "");
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        struct sf_state_holder self = {0};
        struct sf_error err = {0};
        write_text(file, cases[i].text);
        assert_int_equal(sf_state_holder_self(dir, &self, &err), cases[i].rc);
        assert_non_null(strstr(err.text, dir));
        assert_int_equal(self.magic, 0);
    }
    unlink(file);
    unlink(link);
    rmdir(ns);
    rmdir(folder);
    remove_dir();
}

/* --- the lock --- */

static void fork_case(void)
{
    struct sf_statefile file;
    int go[2];
    assert_int_equal(pipe(go), 0);
    assert_int_equal(open_here(&file), 0);
    const pid_t child = fork();
    if (child == 0) { /* does what it can to the lock, tells, and lives on */
        struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
        for (int fd = 3; fd < 64; fd++)
            if (fd != go[1]) {
                (void)fcntl(fd, F_OFD_SETLK, &whole);
                (void)close(fd);
            }
        (void)!write(go[1], "x", 1);
        idle();
    }
    char byte;
    assert_int_equal(read(go[0], &byte, 1), 1);
    assert_int_equal(open_elsewhere(), -EBUSY); /* not broken */
    struct sf_statefile second;
    assert_int_equal(open_here(&second), -EBUSY);
    sf_statefile_close(&file);
    assert_int_equal(open_elsewhere(), 0); /* and not kept */
    end_process(child);
    close(go[0]);
    close(go[1]);
}

static void a_forked_child_neither_breaks_nor_keeps_the_lock(void **state)
{
    (void)state;
    everywhere(fork_case);
}

/* The lock of a killed process is gone although a child of it lives; but where the file system wants a
 * descriptor for it, which the child has as well. */
static void orphan_case(void)
{
    struct {
        pid_t orphan;
        bool descriptor;
    } told;
    int tell[2];
    assert_int_equal(pipe(tell), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        struct sf_statefile file;
        struct sf_error err = {0};
        if (sf_statefile_open(dir, "w", &file, &err) != 0)
            _exit(1);
        told.orphan = idle_process();
        told.descriptor = file.fd >= 0;
        (void)!write(tell[1], &told, sizeof told);
        raise(SIGKILL);
    }
    assert_int_equal(read(tell[0], &told, sizeof told), sizeof told);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(open_elsewhere(), told.descriptor ? -EBUSY : 0);
    kill(told.orphan, SIGKILL);
    close(tell[0]);
    close(tell[1]);
}

static void a_childs_life_does_not_keep_the_file_of_its_parent(void **state)
{
    (void)state;
    everywhere(orphan_case);
}

static void closing_case(void)
{
    struct sf_statefile file;
    assert_int_equal(open_here(&file), 0);
    /* Where locks belong to the process, any descriptor of the file that is closed takes them away. */
    const int again = open(path, O_RDWR | O_CLOEXEC);
    assert_true(again >= 0);
    close(again);
    assert_int_equal(open_elsewhere(), -EBUSY);
    /* Like a library that tidies up; nothing of this test's own is open. */
    for (int fd = 3; fd < 256; fd++)
        (void)close(fd);
    assert_int_equal(open_elsewhere(), -EBUSY);
    if (file.fd < 0) { /* it is the lock that says so: of the open file, not of a process */
        struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        const int probe = open(path, O_RDWR | O_CLOEXEC);
        assert_int_equal(fcntl(probe, F_OFD_GETLK, &found), 0);
        assert_int_equal(found.l_type, F_WRLCK);
        assert_int_equal(found.l_pid, -1);
        close(probe);
    }
    sf_statefile_close(&file);
    assert_int_equal(open_elsewhere(), 0);
}

static void closing_descriptors_takes_no_lock_away(void **state)
{
    (void)state;
    everywhere(closing_case);
}

/* --- the name --- */

static void lockless_case(void)
{
    struct sf_statefile file, second;
    assert_int_equal(open_here(&file), 0);
    assert_int_equal(munmap(file.block, sizeof *file.block), 0); /* the lock goes with it */
    if (file.fd >= 0)
        close(file.fd);
    struct sf_error err = {0};
    assert_int_equal(open_elsewhere(), -EBUSY);
    assert_int_equal(sf_statefile_open(dir, "w", &second, &err),
                     -EBUSY); /* this very process, too */
    assert_non_null(strstr(err.text, "lives"));
}

static void a_process_that_lives_keeps_its_file_without_a_lock(void **state)
{
    (void)state;
    everywhere(lockless_case);
}

static void killed_case(void)
{
    for (int reaped = 0; reaped < 2; reaped++) {
        const pid_t child = killed_with_the_file(77);
        struct sf_statefile file;
        if (reaped)
            assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(open_here(&file), 0);
        assert_string_equal(file.aside.text, "");
        assert_int_equal(atomic_load(&file.block->word), 77);
        assert_memory_equal(&file.block->holder, &file.self, sizeof file.self);
        sf_statefile_close(&file);
        if (!reaped)
            assert_int_equal(waitpid(child, NULL, 0), child);
    }
}

static void a_killed_process_leaves_its_file(void **state)
{
    (void)state;
    everywhere(killed_case);
}

static void reused_case(void)
{
    struct sf_statefile file;
    end_process(killed_with_the_file(77));
    const pid_t other = idle_process();
    struct sf_state_holder holder = name_of(other);
    name_in_file(&holder);
    assert_int_equal(open_elsewhere(), -EBUSY); /* the very process: it lives */
    holder.start_ticks--;
    sf_state_holder_seal(&holder);
    name_in_file(&holder);
    assert_int_equal(open_here(&file), 0); /* only its number: the holder is gone */
    assert_string_equal(file.aside.text, "");
    assert_int_equal(atomic_load(&file.block->word), 77);
    sf_statefile_close(&file);
    end_process(other);
}

static void a_number_that_came_again_is_another_process(void **state)
{
    (void)state;
    everywhere(reused_case);
}

/* The next one has a file of its own, in which nothing is to be continued; only what is true in any
 * case came along. Whoever may be there keeps the old one. */
static void assert_put_aside(const char *why)
{
    struct stat before, after;
    struct sf_statefile file;
    struct sf_reservation_memory memory;
    struct sf_error text = {0};
    const int theirs = open(path, O_RDWR | O_CLOEXEC);
    struct sf_state_block old, later;
    assert_int_equal(pread(theirs, &old, sizeof old, 0), sizeof old);
    assert_int_equal(fstat(theirs, &before), 0);
    assert_int_equal(open_here(&file), 0);
    assert_non_null(strstr(file.aside.text, why));
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino != after.st_ino);
    assert_int_equal(file.inode, after.st_ino);
    assert_int_equal(atomic_load(&file.block->word), 0);
    sf_state_recall(file.block, file.boot_id, file.device, file.inode, INT64_MAX, 10, &memory,
                    &text);
    assert_false(memory.valid);
    assert_string_equal(memory.lost[0], old.copies[0].lost[0]);
    assert_int_equal(pread(theirs, &later, sizeof later, 0), sizeof later);
    assert_memory_equal(&old, &later, sizeof old);
    close(theirs);
    assert_int_equal(open_elsewhere(), -EBUSY); /* the new one is locked like any */
    sf_statefile_close(&file);
    assert_int_equal(open_here(&file), 0);
    assert_string_equal(file.aside.text, "");
    sf_statefile_close(&file);
}

static void foreign_case(void)
{
    end_process(killed_with_the_file(77));
    struct sf_state_holder holder = name_of(getpid());
    holder.pid = 1;
    holder.pid_ns++;
    sf_state_holder_seal(&holder);
    name_in_file(&holder);
    assert_put_aside("namespace");
}

static void who_cannot_be_seen_is_not_taken_for_dead(void **state)
{
    (void)state;
    everywhere(foreign_case);
}

static void damaged_case(void)
{
    end_process(killed_with_the_file(77));
    struct sf_state_holder holder = name_of(getpid());
    holder.checksum ^= 1;
    name_in_file(&holder);
    assert_put_aside("damaged");
}

static void a_damaged_name_is_not_taken_for_dead(void **state)
{
    (void)state;
    everywhere(damaged_case);
}

static void old_case(void)
{
    struct sf_state_block block;
    struct sf_statefile file;
    memset(&block, 0, sizeof block);
    block.copies[0].magic = SF_STATE_MAGIC - 1;
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, &block, offsetof(struct sf_state_block, holder)),
                     offsetof(struct sf_state_block, holder));
    close(fd);
    struct sf_reservation_memory memory;
    struct sf_error why = {0};
    assert_true(sf_state_is_old(&block));
    sf_state_recall(&block, "", 0, 0, INT64_MAX, 10, &memory, &why);
    assert_false(memory.valid);
    assert_non_null(strstr(why.text, "nothing needs to be done"));
    assert_int_equal(open_here(&file), 0);
    assert_non_null(strstr(file.aside.text, "older version"));
    assert_false(sf_state_is_old(file.block));
    sf_statefile_close(&file);
    memset(&block, 0, sizeof block);
    assert_false(sf_state_is_old(&block));
    block.copies[1].magic = SF_STATE_MAGIC;
    assert_false(sf_state_is_old(&block));
}

static void an_older_versions_file_is_put_aside(void **state)
{
    (void)state;
    everywhere(old_case);
}

static void without_proc_nobody_is_judged(void **state)
{
    (void)state;
    const pid_t other = idle_process();
    const struct sf_state_holder holder = name_of(other), self = name_of(getpid());
    struct sf_state_holder unnamed = {0};
    struct sf_error err = {0};
    assert_int_equal(sf_state_holder_self("/nowhere", &unnamed, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nowhere"));
    assert_int_equal(unnamed.magic, 0);
    assert_int_equal(sf_state_holder_judge("/nowhere", &holder, &self, &err),
                     SF_STATE_HOLDER_UNKNOWN);
    assert_int_equal(sf_state_holder_judge(SF_STATE_PROC, &holder, &self, &err),
                     SF_STATE_HOLDER_LIVES);
    end_process(other);
    assert_int_equal(sf_state_holder_judge(SF_STATE_PROC, &holder, &self, &err),
                     SF_STATE_HOLDER_GONE);
}

/* The first process of a namespace of its own, killed like a container. With its own /proc, or with
 * that of outside. */
static int in_a_namespace(bool own_proc)
{
    const pid_t outer = fork();
    if (outer == 0) {
        if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
            _exit(ENOSYS);
        const pid_t inner = fork();
        if (inner == 0) {
            struct sf_statefile file;
            struct sf_error err = {0};
            if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
                (own_proc && mount("proc", "/proc", "proc", 0, NULL) != 0))
                _exit(ENOSYS);
            const int rc = sf_statefile_open(dir, "w", &file, &err);
            if (rc != 0)
                _exit(-rc);
            atomic_store(&file.block->word, 77);
            _exit(0); /* without closing: to its namespace it is as good as a kill */
        }
        int status;
        waitpid(inner, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
    }
    int status;
    assert_int_equal(waitpid(outer, &status, 0), outer);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void a_container_is_not_seen_from_outside(void **state)
{
    (void)state;
    make_dir("/tmp");
    const int rc = in_a_namespace(true);
    if (rc == -ENOSYS) {
        remove_dir();
        skip(); /* not allowed here */
    }
    assert_int_equal(rc, 0);
    assert_put_aside("namespace");
    /* Its processes have other numbers in the outer /proc: who it is cannot be told. */
    assert_int_equal(in_a_namespace(false), -EXDEV);
    remove_dir();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_names_itself),
        cmocka_unit_test(a_memory_file_system_needs_no_descriptor),
        cmocka_unit_test(nobody_is_named_by_what_is_told_of_others),
        cmocka_unit_test(a_forked_child_neither_breaks_nor_keeps_the_lock),
        cmocka_unit_test(a_childs_life_does_not_keep_the_file_of_its_parent),
        cmocka_unit_test(closing_descriptors_takes_no_lock_away),
        cmocka_unit_test(a_process_that_lives_keeps_its_file_without_a_lock),
        cmocka_unit_test(a_killed_process_leaves_its_file),
        cmocka_unit_test(a_number_that_came_again_is_another_process),
        cmocka_unit_test(who_cannot_be_seen_is_not_taken_for_dead),
        cmocka_unit_test(a_damaged_name_is_not_taken_for_dead),
        cmocka_unit_test(an_older_versions_file_is_put_aside),
        cmocka_unit_test(without_proc_nobody_is_judged),
        cmocka_unit_test(a_container_is_not_seen_from_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
