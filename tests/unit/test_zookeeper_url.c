/* unit/test_zookeeper_url.c - the backend refuses the URLs that the configuration refuses, with the same words, and
 * takes all others. */
#include "unit/coordinator_urls.h"

#include <errno.h>

#include "coord/zookeeper/options.h"

static void backend_says(const char *url, const char *why)
{
    static struct sf_zk_options read;
    const struct sf_coord_options options = {.url = url, .fleet = "f", .session_timeout_ms = 10000};
    struct sf_error err = {0};
    const int rc = sf_zk_options_read(&options, &read, &err);
    if (why != NULL) {
        assert_int_equal(rc, -EINVAL);
        assert_string_equal(err.text, why);
        assert_refused(url, why, err.text);
        return;
    }
    if (rc == 0)
        sf_zk_options_free(&read);
    else /* the URL was taken; TLS wants files */
        assert_true(strncmp(url, "zks://", strlen("zks://")) == 0);
}

static void the_same_are_refused(void **state)
{
    (void)state;
    each_server_url("zk://", backend_says);
    each_server_url("zks://", backend_says);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
