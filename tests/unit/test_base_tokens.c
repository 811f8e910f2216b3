/* Token files: what is refused and with which words, who a token is, and what a newer file does to
 * the tokens that connections hold. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tokens.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/sf-tokens-XXXXXX");
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_bytes(const void *bytes, size_t size)
{
    const int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(fchmod(fd, 0600), 0);
    close(fd);
}

static struct sf_tokens *must_read(const char *text)
{
    struct sf_tokens *tokens = NULL;
    struct sf_error err = {0};
    write_bytes(text, strlen(text));
    if (sf_tokens_read(path, "listen.token_file", &tokens, &err) != 0)
        fail_msg("%s", err.text);
    return tokens;
}

static struct sf_token *who(const struct sf_tokens *tokens, const char *token)
{
    return sf_tokens_check(tokens, token, strlen(token));
}

static void must_refuse(const void *bytes, size_t size, const char *words)
{
    struct sf_tokens *tokens = NULL;
    struct sf_error err = {0};
    write_bytes(bytes, size);
    assert_int_equal(sf_tokens_read(path, "listen.token_file", &tokens, &err), -EINVAL);
    assert_null(tokens);
    if (strstr(err.text, words) == NULL || strstr(err.text, "listen.token_file") == NULL ||
        strstr(err.text, "secret") != NULL)
        fail_msg("\"%s\" instead of \"%s\", and no word of the token", err.text, words);
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"", "holds no token"},
        {"# a comment\n\n", "holds no token"},
        {"secret\n", "line 1: not name:token"},
        {":secret\n", "not name:token"},
        {"a b:secret\n", "not name:token"},
        {"ok:secret1\na:\n", "line 2: the token must have 1 to 256 bytes"},
        {"a:secret:0\n", "ids_per_s"},
        {"a:secret:x\n", "ids_per_s"},
        {"a:secret:100000001\n", "ids_per_s"},
        {"a:secret:5:0\n", "burst"},
        {"a:secret:5:6:7\n", "burst"},
        {"a:secret1\na:secret2\n", "line 2: the name is there already"},
        {"a:secret\nb:secret\n", "line 2: another name has the same token"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        must_refuse(rows[i].text, strlen(rows[i].text), rows[i].words);
    must_refuse("a:secret\0tail\nb:other\n", 22, "line 1: a NUL byte");
    must_refuse("b:other\na:secret\0tail", 21, "line 2: a NUL byte"); /* nor in the last line */
    char text[SF_TOKEN_MAX + 8] = "a:";
    memset(text + 2, 's', SF_TOKEN_MAX + 1);
    must_refuse(text, SF_TOKEN_MAX + 3, "1 to 256 bytes");
    struct sf_tokens *tokens = NULL;
    struct sf_error err = {0};
    write_bytes("a:secret\n", 9);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(sf_tokens_read(path, "x", &tokens, &err), -EACCES);
    assert_int_equal(sf_tokens_read("/nonexistent/tokens", "x", &tokens, &err), -ENOENT);
    assert_int_equal(sf_tokens_read("/tmp", "x", &tokens, &err), -EINVAL);
}

static void test_who_a_token_is(void **state)
{
    char text[SF_TOKEN_MAX + 64], longest[SF_TOKEN_MAX + 2];
    (void)state;
    memset(longest, 'l', sizeof longest);
    longest[SF_TOKEN_MAX] = '\0';
    (void)snprintf(text, sizeof text, "# two\r\nshop:secret:50:60\r\n\nlong:%s", longest);
    struct sf_tokens *tokens = must_read(text);
    assert_int_equal(sf_tokens_count(tokens), 2);
    assert_string_equal(who(tokens, "secret")->name, "shop");
    assert_int_equal(who(tokens, "secret")->ids_per_s, 50);
    assert_int_equal(who(tokens, "secret")->burst, 60);
    assert_string_equal(who(tokens, longest)->name, "long");
    assert_int_equal(who(tokens, longest)->ids_per_s, 0);
    assert_null(who(tokens, "secre"));
    assert_null(who(tokens, "secrets"));
    assert_null(who(tokens, "secreT"));
    assert_null(who(tokens, ""));
    assert_null(
        sf_tokens_check(tokens, "secret\0", 7)); /* zeros behind it are not the same token */
    longest[SF_TOKEN_MAX] = 'l';
    assert_null(sf_tokens_check(tokens, longest, SF_TOKEN_MAX + 1));
    sf_tokens_unref(tokens);
}

static void test_a_newer_file(void **state)
{
    (void)state;
    struct sf_tokens *older = must_read("stays:secret1:10\nchanges:secret2\ngoes:secret3\n");
    struct sf_token *stays = sf_token_ref(who(older, "secret1"));
    struct sf_token *changes = sf_token_ref(who(older, "secret2"));
    struct sf_token *goes = sf_token_ref(who(older, "secret3"));
    stays->ids = 7;
    changes->ids = 8;
    struct sf_tokens *newer = must_read("new:secret4\nchanges:secret5\nstays:secret1:20:30\n");
    sf_tokens_inherit(newer, older);
    sf_tokens_unref(older); /* what connections hold lives on */
    assert_ptr_equal(who(newer, "secret1"), stays);
    assert_int_equal(stays->ids_per_s, 20);
    assert_int_equal(stays->burst, 30);
    assert_int_equal(stays->ids, 7);
    assert_false(stays->revoked);
    assert_true(changes->revoked);
    assert_int_equal(who(newer, "secret5")->ids, 8);
    assert_false(who(newer, "secret5")->revoked);
    assert_true(goes->revoked);
    assert_null(who(newer, "secret3"));
    assert_null(who(newer, "secret2"));
    sf_tokens_unref(newer);
    sf_token_unref(stays);
    sf_token_unref(changes);
    sf_token_unref(goes);
    sf_tokens_unref(NULL);
    sf_token_unref(NULL);
    assert_null(sf_tokens_ref(NULL));
    assert_int_equal(sf_tokens_count(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_who_a_token_is),
        cmocka_unit_test(test_a_newer_file),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
