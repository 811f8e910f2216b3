/* The data port as a UNIX socket: the file's life, who may connect, and what is counted for whom. */
#include "unit/server_fixture.h"

#include <limits.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/unix_address.h"

struct place {
    char directory[64], path[96];
};

static void place_make(struct place *place)
{
    snprintf(place->directory, sizeof place->directory, "/tmp/snowfleet-unix-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof place->path, "%s/data.sock", place->directory);
}

static void place_free(const struct place *place)
{
    (void)unlink(place->path);
    assert_int_equal(rmdir(place->directory), 0); /* nothing else is left there */
}

static int connect_unix(const char *text)
{
    struct sockaddr_un address;
    socklen_t size;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    assert_int_equal(sf_unix_address(text, &address, &size), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&address, size) == 0)
        return fd;
    const int rc = -errno;
    close(fd);
    return rc;
}

static bool is_there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static void test_addresses_as_text(void **state)
{
    (void)state;
    static const char *const good[] = {"/run/a", "/run/snowfleet/data.sock", "@a", "@snowfleet/x"};
    static const char *const bad[] = {"",  "a",        "a/b",      "/a",       "/run/",
                                      "@", "/run/a b", "/run/a,b", "/run/\x01"};
    struct sockaddr_un address;
    socklen_t size = 0;
    char text[120] = "/run/";
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(sf_unix_address_ok(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(sf_unix_address_ok(bad[i]));
    memset(text + 5, 'x', 102);
    assert_true(sf_unix_address_ok(text)); /* 107 */
    text[107] = 'x';
    assert_false(sf_unix_address_ok(text));
    assert_int_equal(sf_unix_server("unix:/run/a", &address, &size), 0);
    assert_string_equal(address.sun_path, "/run/a");
    assert_int_equal(sf_unix_server("unix:@ab", &address, &size), 0);
    assert_memory_equal(address.sun_path, "\0ab", 3);
    assert_int_equal(size, offsetof(struct sockaddr_un, sun_path) + 3);
    assert_int_equal(sf_unix_server("/run/a", &address, &size), -EINVAL);
    assert_int_equal(sf_unix_server("unix:", &address, &size), -EINVAL);
    assert_true(sf_unix_server_meant("unix:"));
    assert_false(sf_unix_server_meant("unix"));
}

static void test_ids_come_and_the_file_goes(void **state)
{
    struct fixture *f = *state;
    struct place place;
    struct stat info;
    place_make(&place);
    f->options.unix_wish = (struct sf_unix_wish){.path = place.path, .mode = "0600"};
    fixture_start(f);
    assert_int_equal(lstat(place.path, &info), 0);
    assert_true(S_ISSOCK(info.st_mode));
    assert_int_equal(info.st_mode & 07777, 0600);
    const int fd = connect_unix(place.path), other = client_connect(f);
    assert_true(fd >= 0);
    uint64_t last = 0;
    client_next(fd, 1, 100);
    assert_int_equal(expect_ids(fd, 1, &last), 100);
    client_next(other, 2, 10);
    assert_int_equal(expect_ids(other, 2, &last), 10);
    sf_server_drain(f->server, 1000, "test");
    assert_false(
        is_there(place.path)); /* so nobody comes any more, and those who are there are told */
    close(fd);
    close(other);
    place_free(&place);
}

static void test_mode_without_umask(void **state)
{
    struct fixture *f = *state;
    struct place place;
    struct stat info;
    place_make(&place);
    const mode_t before = umask(0077);
    f->options.unix_wish = (struct sf_unix_wish){.path = place.path};
    fixture_start(f);
    umask(before);
    assert_int_equal(lstat(place.path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0660);
    const int fd = connect_unix(place.path);
    uint64_t last = 0;
    client_next(fd, 1, 5);
    assert_int_equal(expect_ids(fd, 1, &last), 5);
    close(fd);
    sf_server_destroy(f->server);
    assert_false(is_there(place.path));
    f->server = NULL;
    place_free(&place);
}

static void test_abstract_name(void **state)
{
    struct fixture *f = *state;
    char name[64];
    struct sf_error err = {0};
    struct sf_unix_socket second;
    snprintf(name, sizeof name, "@snowfleet-test-%d", (int)getpid());
    f->options.unix_wish = (struct sf_unix_wish){.path = name};
    fixture_start(f);
    const int fd = connect_unix(name);
    assert_true(fd >= 0);
    uint64_t last = 0;
    client_next(fd, 1, 5);
    assert_int_equal(expect_ids(fd, 1, &last), 5);
    assert_int_equal(sf_unix_listen(&f->options.unix_wish, &second, &err), -EADDRINUSE);
    close(fd);
}

/* One user over two connections has one bucket; who comes over TCP has another. */
static void test_limits_are_of_the_user(void **state)
{
    struct fixture *f = *state;
    struct place place;
    place_make(&place);
    f->options.unix_wish = (struct sf_unix_wish){.path = place.path};
    f->options.limits.address_ids_per_s = 10;
    f->options.limits.address_burst = 100;
    fixture_start(f);
    const int one = connect_unix(place.path), two = connect_unix(place.path),
              tcp = client_connect(f);
    uint64_t last = 0;
    client_next(one, 1, 60);
    assert_int_equal(expect_ids(one, 1, &last), 60);
    client_next(two, 2, 60);
    expect_status(two, SF_WIRE_NEXT | SF_WIRE_RESPONSE, 2, SF_WIRE_RATE_LIMITED);
    client_next(tcp, 3, 60);
    assert_int_equal(expect_ids(tcp, 3, &last), 60);
    close(one);
    close(two);
    close(tcp);
    sf_server_destroy(f->server);
    f->server = NULL;
    place_free(&place);
}

static void test_a_dead_ones_place_is_taken_a_living_ones_not(void **state)
{
    (void)state;
    struct place place;
    struct sf_error err = {0};
    struct sf_unix_socket first = {.fd = -1}, second = {.fd = -1};
    place_make(&place);
    const struct sf_unix_wish wish = {.path = place.path};
    assert_int_equal(sf_unix_listen(&wish, &first, &err), 0);
    assert_int_equal(sf_unix_check(&wish, &err), 0); /* the name is fine, whoever is there */
    assert_int_equal(sf_unix_listen(&wish, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, place.path));
    close(first.fd); /* as a process that dies */
    assert_true(is_there(place.path));
    assert_int_equal(sf_unix_listen(&wish, &second, &err), 0);
    /* The dead one, were it to wake up, takes nothing away from its follower. */
    first.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sf_unix_close(&first);
    assert_true(is_there(place.path));
    sf_unix_close(&second);
    assert_false(is_there(place.path));
    sf_unix_close(&second); /* once more: nothing */
    place_free(&place);
}

/* A living one whose queue is full answers nobody: it is alive all the same. */
static void test_a_full_queue_is_a_living_ones(void **state)
{
    (void)state;
    struct place place;
    struct sf_error err = {0};
    struct sf_unix_socket other;
    struct sockaddr_un address;
    socklen_t size;
    place_make(&place);
    const int busy = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(sf_unix_address(place.path, &address, &size), 0);
    assert_int_equal(bind(busy, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(busy, 0), 0);
    int waiting[2];
    for (unsigned i = 0; i < 2; i++) {
        waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (struct sockaddr *)&address, size);
    }
    const struct sf_unix_wish wish = {.path = place.path};
    assert_int_equal(sf_unix_listen(&wish, &other, &err), -EADDRINUSE);
    for (unsigned i = 0; i < 2; i++)
        close(waiting[i]);
    close(busy);
    place_free(&place);
}

static void test_what_is_no_socket_stays(void **state)
{
    (void)state;
    struct place place;
    struct sf_error err = {0};
    struct sf_unix_socket made;
    place_make(&place);
    const struct sf_unix_wish wish = {.path = place.path};
    const int fd = open(place.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "mine", 4), 4);
    close(fd);
    assert_int_equal(sf_unix_listen(&wish, &made, &err), -ENOTSUP);
    assert_int_equal(sf_unix_check(&wish, &err), -ENOTSUP);
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(symlink("/tmp/elsewhere", place.path), 0);
    assert_int_equal(sf_unix_listen(&wish, &made, &err), -ENOTSUP);
    assert_true(is_there(place.path));
    place_free(&place);
}

static void test_what_cannot_be(void **state)
{
    (void)state;
    struct place place;
    struct sf_error err = {0};
    struct sf_unix_socket made;
    place_make(&place);
    static const char nobody[] = "no-such-account-here";
    const struct sf_unix_wish user = {.path = place.path, .owner = nobody},
                              group = {.path = place.path, .group = nobody},
                              absent = {.path = "/tmp/snowfleet-no-such-directory/x"};
    assert_int_equal(sf_unix_check(&user, &err), -EINVAL);
    assert_non_null(strstr(err.text, "listen.unix_owner"));
    assert_int_equal(sf_unix_check(&group, &err), -EINVAL);
    assert_non_null(strstr(err.text, "listen.unix_group"));
    assert_int_equal(sf_unix_listen(&group, &made, &err), -EINVAL);
    assert_false(is_there(place.path)); /* and nothing is left behind */
    assert_int_equal(sf_unix_check(&absent, &err), -ENOENT);
    assert_int_equal(sf_unix_listen(&absent, &made, &err), -ENOENT);
    const struct sf_unix_wish none = {0};
    assert_int_equal(sf_unix_check(&none, &err), 0);
    place_free(&place);
}

/* Somebody else holds the directory's lock: the start fails after a while, the end leaves the file. */
static void test_a_lock_that_stays(void **state)
{
    (void)state;
    struct place place;
    struct sf_error err = {0};
    struct sf_unix_socket first = {.fd = -1}, second;
    place_make(&place);
    const struct sf_unix_wish wish = {.path = place.path};
    assert_int_equal(sf_unix_listen(&wish, &first, &err), 0);
    const int lock = open(place.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(sf_unix_listen(&wish, &second, &err), -EWOULDBLOCK);
    sf_unix_close(&first);
    assert_true(is_there(place.path));
    close(lock);
    place_free(&place);
}

/* Numbers are accounts as names are; only root can give a file away, but to ourselves anybody. */
static void test_owner_and_group(void **state)
{
    (void)state;
    struct place place;
    struct stat info;
    struct sf_error err = {0};
    struct sf_unix_socket made = {.fd = -1};
    char user[16], group[16];
    const uid_t uid = geteuid() == 0 ? 12345 : geteuid();
    const gid_t gid = geteuid() == 0 ? 23456 : getegid();
    place_make(&place);
    snprintf(user, sizeof user, "%u", (unsigned)uid);
    snprintf(group, sizeof group, "%u", (unsigned)gid);
    const struct sf_unix_wish wish = {
        .path = place.path, .mode = "0640", .owner = user, .group = group};
    assert_int_equal(sf_unix_listen(&wish, &made, &err), 0);
    assert_int_equal(lstat(place.path, &info), 0);
    assert_int_equal(info.st_uid, uid);
    assert_int_equal(info.st_gid, gid);
    assert_int_equal(info.st_mode & 07777, 0640);
    sf_unix_close(&made);
    place_free(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_as_text),
        PREPARED_TEST(test_ids_come_and_the_file_goes, NULL),
        PREPARED_TEST(test_mode_without_umask, NULL),
        PREPARED_TEST(test_abstract_name, NULL),
        PREPARED_TEST(test_limits_are_of_the_user, NULL),
        cmocka_unit_test(test_a_dead_ones_place_is_taken_a_living_ones_not),
        cmocka_unit_test(test_a_full_queue_is_a_living_ones),
        cmocka_unit_test(test_what_is_no_socket_stays),
        cmocka_unit_test(test_what_cannot_be),
        cmocka_unit_test(test_a_lock_that_stays),
        cmocka_unit_test(test_owner_and_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
