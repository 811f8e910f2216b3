/* unit/test_worker_states.c - the states of a reservation machine: the graph in the comment above
 * the enum is the table that is asserted, one function moves the state and tells it, and a move
 * that the table forbids ends the program. */
#include "unit/cmocka_all.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "worker/reservation_step.h"

/* Reads the next word of a line; false at its end. */
static bool next_word(const char **line, char word[32])
{
    *line += strspn(*line, " |");
    const size_t size = strcspn(*line, " |\n");
    if (size == 0 || size >= 32)
        return false;
    memcpy(word, *line, size);
    word[size] = '\0';
    *line += size;
    return true;
}

static void the_graph_in_the_header_is_the_table(void **state)
{
    (void)state;
    FILE *header = fopen(SF_SOURCE_DIR "/src/worker/reservation_state.h", "r");
    assert_non_null(header);
    char line[256], word[32];
    unsigned rows = 0;
    bool in_table = false;
    while (fgets(line, sizeof line, header) != NULL) {
        const char *rest = line;
        if (strncmp(line, " *               | starting", 27) == 0) { /* the columns' names */
            in_table = true;
            rest += 2;
            for (unsigned to = 0; to < SF_WORKER_STATES; to++) {
                assert_true(next_word(&rest, word));
                assert_string_equal(word, sf_worker_state_name(to));
            }
            continue;
        }
        if (!in_table || rows == SF_WORKER_STATES)
            continue;
        rest += 2;
        assert_true(next_word(&rest, word));
        assert_string_equal(word, sf_worker_state_name(rows));
        for (unsigned to = 0; to < SF_WORKER_STATES; to++) {
            assert_true(next_word(&rest, word));
            const bool drawn = strcmp(word, "x") == 0;
            assert_true(drawn || strcmp(word, ".") == 0);
            if (drawn != sf_worker_state_may_move(rows, to))
                fail_msg("%s -> %s: the header says %s, the table the contrary",
                         sf_worker_state_name(rows), sf_worker_state_name(to), word);
        }
        rows++;
    }
    (void)fclose(header);
    assert_int_equal(rows, SF_WORKER_STATES);
}

static void what_is_no_state_goes_nowhere(void **state)
{
    (void)state;
    for (unsigned s = 0; s < SF_WORKER_STATES; s++) {
        assert_false(sf_worker_state_may_move(s, SF_WORKER_STATES));
        assert_false(sf_worker_state_may_move(SF_WORKER_STATES, s));
        assert_false(sf_worker_state_may_move(s, s));
    }
}

static int exit_of_move(enum sf_worker_state from, enum sf_worker_state to)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sf_reservation res = {.state = from};
        struct sf_reservation_output out = {.log_count = 0};
        const struct sf_reservation_now now = {.mint_ms = 4711, .trusted_ms = -1};
        struct sf_res_step step = {.res = &res, .now = &now, .out = &out};
        (void)close(STDERR_FILENO); /* the assertion's line is not for the reader of this test */
        sf_res_move(&step, to, "because");
        char text[100];
        snprintf(text, sizeof text, "%s -> %s: because", sf_worker_state_name(from),
                 sf_worker_state_name(to));
        const bool told = res.state == to && res.since_ms == 4711 && out.log_count == 1 &&
                          strcmp(out.logs[0].event, "worker.state") == 0 &&
                          strcmp(out.logs[0].text, text) == 0;
        _exit(told ? SF_EXIT_OK : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_move_is_told_or_ends_the_program(void **state)
{
    (void)state;
    for (unsigned from = 0; from < SF_WORKER_STATES; from++)
        for (unsigned to = 0; to < SF_WORKER_STATES; to++)
            assert_int_equal(exit_of_move(from, to),
                             sf_worker_state_may_move(from, to) ? SF_EXIT_OK : SF_EXIT_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_graph_in_the_header_is_the_table),
        cmocka_unit_test(what_is_no_state_goes_nowhere),
        cmocka_unit_test(a_move_is_told_or_ends_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
