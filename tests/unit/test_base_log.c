/* base/log.h: lines as text and JSON, what is escaped, limiters, a pipe that nobody reads. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"

/* A log into a pipe, and what came out of it. */
struct fixture {
    int read_fd, write_fd;
    char text[65536];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    int fds[2];
    assert_non_null(f);
    assert_int_equal(pipe(fds), 0);
    f->read_fd = fds[0];
    f->write_fd = fds[1];
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close(f->read_fd);
    close(f->write_fd);
    free(f);
    return 0;
}

/* One read(2), which returns one line when one write(2) wrote it. */
static const char *read_once(struct fixture *f)
{
    ssize_t n = read(f->read_fd, f->text, sizeof f->text - 1);
    assert_true(n > 0);
    f->text[n] = '\0';
    return f->text;
}

static void text_line(void **state)
{
    struct fixture *f = *state;
    struct sf_log *log = sf_log_create(f->write_fd, SF_LOG_INFO, SF_LOG_TEXT);
    sf_log_write(log, SF_LOG_DEBUG, "never.seen", "x");
    sf_log_write(log, SF_LOG_INFO, "reservation.renewed", "until %d", 5);
    const char *line = read_once(f);
    assert_string_equal(line + 24, " INFO  reservation.renewed until 5\n");
    char time[32];
    memcpy(time, line, 24);
    time[24] = '\0';
    int64_t unix_ms;
    assert_int_equal(sf_parse_time_ms(time, &unix_ms), 0);
    assert_true(unix_ms > 1704067200000);
    sf_log_destroy(log);
}

static void escapes(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sentence, *text, *json;
    } cases[] = {
        {"plain", "plain", "plain"},
        {"", "", ""},
        {"a\nb", "a\\nb", "a\\nb"},
        {"a\tb", "a\\tb", "a\\tb"},
        {"a\rb\x1b[2J", "a\\u000db\\u001b[2J", "a\\u000db\\u001b[2J"},
        {"\x7f", "\\u007f", "\\u007f"},
        {"\xc2\x85", "\\u0085", "\\u0085"},
        {"\xe2\x80\xa8", "\\u2028", "\\u2028"},
        {"\xe2\x80\xae", "\\u202e", "\\u202e"},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80",
         "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"},
        {"\xff", "\\xff", "\\\\xff"},
        {"\xc3", "\\xc3", "\\\\xc3"},
        {"\xc0\x80", "\\xc0\\x80", "\\\\xc0\\\\x80"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80", "\\\\xed\\\\xa0\\\\x80"},
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80"},
        {"say \"hi\" \\", "say \"hi\" \\", "say \\\"hi\\\" \\\\"},
    };
    struct sf_log *text = sf_log_create(f->write_fd, SF_LOG_DEBUG, SF_LOG_TEXT);
    struct sf_log *json = sf_log_create(f->write_fd, SF_LOG_DEBUG, SF_LOG_JSON);
    for (size_t i = 0; i < SF_COUNT(cases); i++) {
        char want[512];
        sf_log_write(text, SF_LOG_WARN, "e", "%s", cases[i].sentence);
        snprintf(want, sizeof want, " WARN  e %s\n", cases[i].text);
        assert_string_equal(read_once(f) + 24, want);
        sf_log_write(json, SF_LOG_ERROR, "e", "%s", cases[i].sentence);
        snprintf(want, sizeof want, "Z\",\"level\":\"error\",\"event\":\"e\",\"message\":\"%s\"}\n",
                 cases[i].json);
        const char *line = read_once(f);
        assert_memory_equal(line, "{\"time\":\"2", 10);
        assert_string_equal(line + 32, want);
    }
    sf_log_destroy(text);
    sf_log_destroy(json);
}

static void long_lines_are_cut(void **state)
{
    struct fixture *f = *state;
    char sentence[8192];
    for (size_t size = 1900; size < 2200; size++) {
        for (int kind = 0; kind < 2; kind++) {
            memset(sentence, kind ? '\n' : 'x', size);
            sentence[size] = '\0';
            for (int format = 0; format < 2; format++) {
                struct sf_log *log =
                    sf_log_create(f->write_fd, SF_LOG_INFO, (enum sf_log_format)format);
                sf_log_write(log, SF_LOG_INFO, "e", "%s", sentence);
                const char *line = read_once(f);
                size_t length = strlen(line);
                assert_true(length <= SF_LOG_LINE_MAX);
                assert_ptr_equal(strchr(line, '\n'), line + length - 1);
                const char *end = format ? "...\"}\n" : "...\n";
                if (size > 2100 || kind)
                    assert_string_equal(line + length - strlen(end), end);
                sf_log_destroy(log);
            }
        }
    }
}

static void levels(void **state)
{
    struct fixture *f = *state;
    struct sf_log *log = sf_log_create(f->write_fd, SF_LOG_WARN, SF_LOG_TEXT);
    sf_log_write(log, SF_LOG_INFO, "level.info", "below the level");
    sf_log_write(log, SF_LOG_WARN, "level.warn", "at it");
    assert_string_equal(read_once(f) + 24, " WARN  level.warn at it\n");
    sf_log_write(log, SF_LOG_ERROR, "level.error", "above it");
    assert_string_equal(read_once(f) + 24, " ERROR level.error above it\n");
    sf_log_set_level(log, SF_LOG_DEBUG);
    sf_log_write(log, SF_LOG_DEBUG, "level.debug", "lowered");
    assert_string_equal(read_once(f) + 24, " DEBUG level.debug lowered\n");
    sf_log_write(NULL, SF_LOG_ERROR, "e", "nothing");
    sf_log_set_level(NULL, SF_LOG_DEBUG);
    sf_log_destroy(log);
    sf_log_destroy(NULL);

    enum sf_log_level level = SF_LOG_ERROR;
    assert_int_equal(sf_log_level_parse("debug", &level), 0);
    assert_int_equal(level, SF_LOG_DEBUG);
    assert_int_equal(sf_log_level_parse("error", &level), 0);
    assert_int_equal(level, SF_LOG_ERROR);
    for (int l = SF_LOG_DEBUG; l <= SF_LOG_ERROR; l++) {
        assert_int_equal(sf_log_level_parse(sf_log_level_name((enum sf_log_level)l), &level), 0);
        assert_int_equal(level, l);
    }
    assert_string_equal(sf_log_format_name(SF_LOG_TEXT), "text");
    assert_string_equal(sf_log_format_name(SF_LOG_JSON), "json");
    assert_int_equal(sf_log_level_parse("INFO", &level), -EINVAL);
    assert_int_equal(sf_log_level_parse("", &level), -EINVAL);
    enum sf_log_format format = SF_LOG_TEXT;
    assert_int_equal(sf_log_format_parse("json", &format), 0);
    assert_int_equal(format, SF_LOG_JSON);
    assert_int_equal(sf_log_format_parse("text", &format), 0);
    assert_int_equal(format, SF_LOG_TEXT);
    assert_int_equal(sf_log_format_parse("xml", &format), -EINVAL);
}

static void limiter(void **state)
{
    struct fixture *f = *state;
    struct sf_log *log = sf_log_create(f->write_fd, SF_LOG_INFO, SF_LOG_TEXT);
    struct sf_log_limiter limit = {0};
    sf_log_limited(log, &limit, 3600000, SF_LOG_INFO, "e", "one");
    assert_string_equal(read_once(f) + 24, " INFO  e one\n");
    for (int i = 0; i < 7; i++)
        sf_log_limited(log, &limit, 3600000, SF_LOG_INFO, "e", "held");
    sf_log_limited(log, &limit, 3600000, SF_LOG_DEBUG, "e", "below the level: not counted");
    limit.passed_mono_ms = 0; /* as if the hour had passed */
    sf_log_limited(log, &limit, 3600000, SF_LOG_INFO, "e", "two");
    assert_string_equal(read_once(f) + 24, " INFO  e (7 like this held back) two\n");
    limit.passed_mono_ms = 0;
    assert_true(sf_log_limited(log, &limit, 3600000, SF_LOG_INFO, "e", "three"));
    assert_string_equal(read_once(f) + 24, " INFO  e three\n");
    /* What waits for less need not wait for more because something else had to. */
    assert_false(sf_log_limited(log, &limit, 3600000, SF_LOG_INFO, "e", "held"));
    while (!sf_log_limited(log, &limit, 2, SF_LOG_INFO, "e", "four"))
        ;
    assert_non_null(strstr(read_once(f), " like this held back) four\n"));
    sf_log_destroy(log);
}

#define WRITERS      4
#define LINES_OF_ONE 50

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES_OF_ONE; i++)
        sf_log_write(arg, SF_LOG_INFO, "thread.line", "0123456789012345678901234567890123456789");
    return NULL;
}

/* A pipe that nobody reads: whoever logs goes on, and the first line that is taken again tells how
 * many were not. */
static void nobody_takes_the_lines(void **state)
{
    struct fixture *f = *state;
    struct sf_log *log = sf_log_create(f->write_fd, SF_LOG_INFO, SF_LOG_TEXT);
    char long_text[1500];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    alarm(60); /* else it would hang where it once did */
    for (int i = 0; i < 1000; i++)
        sf_log_write(log, SF_LOG_INFO, "much", "%s", long_text);
    alarm(0);
    struct pollfd fd = {.fd = f->read_fd, .events = POLLIN};
    ssize_t taken = 0;
    while (poll(&fd, 1, 0) == 1)
        taken += read(f->read_fd, f->text, sizeof f->text);
    assert_true(taken > 0);
    sf_log_write(log, SF_LOG_INFO, "again", "here");
    const char *text = read_once(f);
    const char *lost = strstr(text, " WARN  log.lost ");
    assert_non_null(lost);
    const unsigned long count = strtoul(lost + strlen(" WARN  log.lost "), NULL, 10);
    assert_true(count > 900 && count < 1000);
    assert_non_null(strstr(lost, " lines, because nobody took them\n"));
    assert_non_null(strstr(lost, " INFO  again here\n"));
    sf_log_write(log, SF_LOG_INFO, "again", "here");
    assert_null(strstr(read_once(f), "log.lost"));
    sf_log_destroy(log);
}

static void lines_of_threads_stay_whole(void **state)
{
    struct fixture *f = *state;
    struct sf_log *log = sf_log_create(f->write_fd, SF_LOG_INFO, SF_LOG_TEXT);
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, log), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    read_once(f);
    int lines = 0;
    for (char *at = f->text; *at; at = strchr(at, '\n') + 1, lines++)
        assert_memory_equal(at + 24,
                            " INFO  thread.line 0123456789012345678901234567890123456789\n", 60);
    assert_int_equal(lines, WRITERS * LINES_OF_ONE);
    sf_log_destroy(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(escapes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_lines_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(levels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limiter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_takes_the_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_of_threads_stay_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
