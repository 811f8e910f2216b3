/* unit/test_state_name.c - whether a state directory knows a fleet, however its coordinator is spelled. */
#include "unit/cmocka_all.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "member/state_name.h"

static char root[200], states[300];

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/sf-state-name-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(states, sizeof states, "%s/states", root);
    return mkdir(states, 0700);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *url_of(const char *path)
{
    static char url[600];
    snprintf(url, sizeof url, "local://%s/%s", root, path);
    return url;
}

static void minted(const char *fleet, const char *url)
{
    char name[SF_HOLD_STATE_NAME_MAX], path[600];
    sf_state_name(fleet, url, 0, "127.0.0.1:7450", name);
    snprintf(path, sizeof path, "%s/%s.0.state", states, name);
    const int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void make(const char *path)
{
    char full[600];
    snprintf(full, sizeof full, "%s/%s", root, path);
    assert_int_equal(mkdir(full, 0700), 0);
}

static void knows_its_own(void **state)
{
    (void)state;
    assert_false(sf_state_known("", "f", url_of("c")));
    assert_false(sf_state_known("/nowhere", "f", url_of("c")));
    assert_false(sf_state_known(states, "f", url_of("c")));
    minted("f", url_of("c"));
    assert_true(sf_state_known(states, "f", url_of("c")));
    assert_false(sf_state_known(states, "f", url_of("d")));
    assert_false(sf_state_known(states, "g", url_of("c")));
    minted("f", "zk://a:1,b:2/x");
    assert_true(sf_state_known(states, "f", "zk://a:1,b:2/x"));
    assert_false(sf_state_known(states, "f", "zk://a:1/x"));
}

/* One directory has many names. */
static void knows_every_spelling(void **state)
{
    (void)state;
    char link[600], target[600];
    make("a");
    make("a/c");
    snprintf(target, sizeof target, "%s/a", root);
    snprintf(link, sizeof link, "%s/link", root);
    assert_int_equal(symlink(target, link), 0);
    minted("f", url_of("link/c"));
    static const char *const same[] = {"link/c", "a/c",        "a/c/",   "a//c",
                                       "a/./c",  "link/./c//", "link//c"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!sf_state_known(states, "f", url_of(same[i])))
            fail_msg("%s is not known", same[i]);
    assert_false(sf_state_known(states, "f", url_of("a/d")));
    assert_false(sf_state_known(states, "f", url_of("a")));
}

/* A name that led somewhere else, or a directory that was put in its place, is still the fleet's. */
static void knows_what_was_replaced(void **state)
{
    (void)state;
    char link[600], first[600], second[600];
    make("one");
    make("two");
    snprintf(first, sizeof first, "%s/one", root);
    snprintf(second, sizeof second, "%s/two", root);
    snprintf(link, sizeof link, "%s/link", root);
    assert_int_equal(symlink(first, link), 0);
    minted("f", url_of("link"));
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink(second, link), 0);
    assert_true(sf_state_known(states, "f", url_of("link")));
    assert_true(sf_state_known(states, "f", url_of("one")));
    assert_false(sf_state_known(states, "f", url_of("two")));
    assert_int_equal(rmdir(first), 0);
    assert_true(sf_state_known(states, "f", url_of("one")));
}

/* Its own before there is a directory, and after. */
static void knows_what_is_not_there_yet(void **state)
{
    (void)state;
    minted("f", url_of("not/there"));
    static const char *const same[] = {"not/there/",         "not//there",
                                       "not/./there",        ".//not///there/.//",
                                       "not/there/../there", "not/x/../../not/there"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!sf_state_known(states, "f", url_of(same[i])))
            fail_msg("%s is not known", same[i]);
    assert_false(sf_state_known(states, "f", url_of("not/there/x")));
    assert_false(sf_state_known(states, "f", url_of("not/there/..")));
    make("not");
    make("not/there");
    assert_true(sf_state_known(states, "f", url_of("not/./there")));
}

/* Made with its directory there, looked for when that is gone. */
static void knows_what_is_gone(void **state)
{
    (void)state;
    make("was");
    make("was/here");
    minted("f", url_of("was//here"));
    char full[600];
    snprintf(full, sizeof full, "%s/was/here", root);
    assert_int_equal(rmdir(full), 0);
    static const char *const same[] = {"was/here", "was//here/", "was/here//.", "was/./here",
                                       "was/here/x/.."};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!sf_state_known(states, "f", url_of(same[i])))
            fail_msg("%s is not known", same[i]);
}

/* The longest of everything keeps what tells it apart. */
static void longest(void **state)
{
    (void)state;
    char fleet[64], who[300], long_path[200], one[SF_HOLD_STATE_NAME_MAX],
        other[SF_HOLD_STATE_NAME_MAX];
    memset(fleet, 'f', sizeof fleet - 1);
    fleet[sizeof fleet - 1] = '\0';
    memset(who, 'w', sizeof who - 1);
    who[sizeof who - 1] = '\0';
    memset(long_path, 'p', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    sf_state_name(fleet, url_of(long_path), 1023, who, one);
    sf_state_name(fleet, url_of(long_path), 102, who, other);
    assert_string_not_equal(one, other);
    assert_true(strlen(one) < SF_HOLD_STATE_NAME_MAX - 1);
    sf_state_name("a/b", "not a URL", 1, "[::1]:7450", one);
    assert_null(strpbrk(one, "/[]:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
        T(knows_its_own),      T(knows_every_spelling),        T(knows_what_was_replaced),
        T(knows_what_is_gone), T(knows_what_is_not_there_yet), T(longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
