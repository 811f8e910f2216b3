/* AUTH: who may ask for IDs, how many, and what is counted by name. */
#include "unit/server_fixture.h"

#include "base/strbuf.h"

static void write_tokens(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
}

static void expect_metric(const struct fixture *f, const char *line)
{
    bool found = false;
    for (int64_t end = sf_mono_ns() + PATIENCE_MS * SF_NS_PER_MS; !found && sf_mono_ns() < end;) {
        struct sf_strbuf page;
        sf_strbuf_init(&page, 1 << 20);
        sf_metrics_scrape(f->metrics, false, &page);
        found = strstr(page.text, line) != NULL;
        sf_strbuf_free(&page);
        sf_sleep_ms(2);
    }
    if (!found)
        fail_msg("%s is not there", line);
}

static int client_auth(const struct fixture *f, const char *token, unsigned status)
{
    uint8_t frame[300];
    const int fd = client_connect(f);
    client_send(fd, frame,
                sf_wire_put_request(frame, sizeof frame, SF_WIRE_AUTH, 9, token, strlen(token)));
    expect_status(fd, 0x85, 9, status);
    return fd;
}

static void test_auth(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/sf-tokens-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, "# who\none:secret-1\ntwo:secret-2\n", 32), 32);
    close(file);
    f->options.token_file = path;
    fixture_start(f);
    const int fd = client_connect(f);
    uint8_t frame[300];
    client_next(fd, 1, 1);
    expect_status(fd, 0x81, 1, SF_WIRE_DENIED);
    client_send(fd, frame,
                sf_wire_put_request(frame, sizeof frame, SF_WIRE_AUTH, 2, "secret-3", 8));
    expect_status(fd, 0x85, 2, SF_WIRE_DENIED);
    client_send(fd, frame, sf_wire_put_request(frame, sizeof frame, SF_WIRE_AUTH, 3, "secret-", 7));
    expect_status(fd, 0x85, 3, SF_WIRE_DENIED);
    client_send(fd, frame, sf_wire_put_request(frame, sizeof frame, SF_WIRE_PING, 4, "", 0));
    expect_status(fd, 0x82, 4, SF_WIRE_OK);
    client_send(fd, frame,
                sf_wire_put_request(frame, sizeof frame, SF_WIRE_AUTH, 5, "secret-2", 8));
    client_next(fd, 6, 1);
    expect_status(fd, 0x85, 5, SF_WIRE_OK);
    uint64_t last = 0;
    assert_int_equal(expect_ids(fd, 6, &last), 1);
    struct sf_error err = {0};
    f->options.token_file = "/nonexistent/tokens";
    assert_int_equal(sf_server_reload(f->server, &f->options, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/tokens"));
    close(fd);
    unlink(path);
}

/* A name's limit holds over all its connections; reading the file again moves limits and
 * revokes. */
static void test_names(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/sf-tokens-XXXXXX";
    close(mkstemp(path));
    write_tokens(path, "free:secret-1\nslow:secret-2:10:5\n");
    f->options.token_file = path;
    fixture_start(f);
    const int open = client_auth(f, "secret-1", SF_WIRE_OK);
    const int one = client_auth(f, "secret-2", SF_WIRE_OK),
              two = client_auth(f, "secret-2", SF_WIRE_OK);
    uint64_t last = 0;
    client_next(one, 1, 3);
    assert_int_equal(expect_ids(one, 1, &last), 3);
    last = 0;
    client_next(two, 2, 5);
    expect_status(two, 0x81, 2, SF_WIRE_RATE_LIMITED);
    client_next(open, 3, 5000);
    assert_int_equal(expect_ids(open, 3, &last), 5000);
    expect_metric(f, "snowfleet_auth_requests_total{name=\"slow\"} 1\n");
    expect_metric(f, "snowfleet_auth_ids_total{name=\"free\"} 5000\n");
    expect_metric(f, "snowfleet_auth_limited_total{name=\"slow\"} 1\n");
    expect_metric(f, "snowfleet_auth_logins_total{name=\"slow\"} 2\n");
    expect_metric(f, "snowfleet_rate_limited_total{scope=\"name\"} 1\n");
    /* slow is slow no more; free has got another token. */
    write_tokens(path, "free:secret-3\nslow:secret-2\n");
    struct sf_error err = {0};
    assert_int_equal(sf_server_reload(f->server, &f->options, &err), 0);
    close(client_auth(f, "secret-3", SF_WIRE_OK));
    client_next(open, 4, 1);
    expect_status(open, 0x81, 4, SF_WIRE_DENIED);
    last = 0;
    client_next(two, 5, 5000);
    assert_int_equal(expect_ids(two, 5, &last), 5000);
    expect_metric(f, "snowfleet_auth_ids_total{name=\"slow\"} 5003\n");
    expect_metric(f, "snowfleet_auth_ids_total{name=\"free\"} 5000\n");
    static const char *const bad[] = {"a:b:c\n", "a:b:0\n",    "a:b:1:\n",   "a b:c\n",
                                      "a:\n",    ":b\n",       "a:b\na:c\n", "a:b\nc:b\n",
                                      "",        "a:b:1:2:3\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_tokens(path, bad[i]);
        assert_int_equal(sf_server_reload(f->server, &f->options, &err), -EINVAL);
        assert_non_null(strstr(err.text, "listen.token_file"));
    }
    close(open);
    close(one);
    close(two);
    unlink(path);
}

/* Guesses from one address are few, however often it connects: the right token is not told from a
 * wrong one any more until the time that is named. Others are not concerned. */
static void test_guesses(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/sf-tokens-XXXXXX";
    close(mkstemp(path));
    write_tokens(path, "one:secret-1\n");
    f->options.token_file = path;
    int log[2];
    assert_int_equal(pipe2(log, O_NONBLOCK | O_CLOEXEC), 0);
    f->options.log = sf_log_create(log[1], SF_LOG_INFO, SF_LOG_TEXT);
    fixture_start(f);
    uint8_t frame[300], body[512];
    struct sf_wire_header header;
    unsigned denied = 0, limited = 0;
    const int64_t began_ns = sf_mono_ns();
    for (unsigned i = 0; i < 300; i++) {
        const int fd = client_connect_from(f, "127.0.0.2");
        client_send(fd, frame,
                    sf_wire_put_request(frame, sizeof frame, SF_WIRE_AUTH, i, "guess-12", 8));
        assert_true(client_read(fd, &header, body));
        denied += header.code == SF_WIRE_DENIED;
        limited += header.code == SF_WIRE_RATE_LIMITED;
        close(fd);
    }
    const double seconds = (double)(sf_mono_ns() - began_ns) / 1e9;
    print_message("%u denied, %u limited in %.2f s\n", denied, limited, seconds);
    assert_int_equal(denied + limited, 300);
    assert_true(denied >= 10);
    assert_true(denied <= 20 + seconds + 1);
    EVENTUALLY(sf_metrics_sum(f->metrics, SF_METRIC_AUTH_FAILURES, 0) == denied);
    const int same = client_connect_from(f, "127.0.0.2");
    client_send(same, frame,
                sf_wire_put_request(frame, sizeof frame, SF_WIRE_AUTH, 1, "secret-1", 8));
    assert_true(client_read(same, &header, body));
    assert_int_equal(header.code, SF_WIRE_RATE_LIMITED);
    struct sf_wire_error error;
    assert_int_equal(sf_wire_get_error(body, header.length - 8, &error), 0);
    assert_in_range(error.retry_after_ms, 1, 1000);
    sf_sleep_ms(error.retry_after_ms);
    client_send(same, frame,
                sf_wire_put_request(frame, sizeof frame, SF_WIRE_AUTH, 2, "secret-1", 8));
    expect_status(same, 0x85, 2, SF_WIRE_OK);
    /* Who is right uses nothing up. */
    for (uint32_t i = 0; i < 100; i++)
        close(client_auth(f, "secret-1", SF_WIRE_OK));
    close(same);
    /* One line for all, with the address, without the token. */
    char text[4096] = "";
    assert_true(read(log[0], text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "server.auth_failed"));
    assert_non_null(strstr(text, "127.0.0.2"));
    assert_null(strstr(text, "guess"));
    assert_null(strstr(strstr(text, "server.auth_failed") + 1, "server.auth_failed"));
    sf_server_destroy(f->server);
    f->server = NULL;
    sf_log_destroy(f->options.log);
    close(log[0]);
    close(log[1]);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PREPARED_TEST(test_auth, NULL),
        PREPARED_TEST(test_names, NULL),
        PREPARED_TEST(test_guesses, NULL),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
