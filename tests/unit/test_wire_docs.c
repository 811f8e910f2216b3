/* The tables of wire/frame.h against what cannot be made from them: docs/protocol.md, the vectors,
 * and the labels of the metrics. */
#include "unit/cmocka_all.h"

#include "metrics/metrics.h"
#include "wire/frame.h"

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 18);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 18) - 1, file) > 0);
    fclose(file);
    return text;
}

static unsigned lines_that_begin(const char *text, const char *with)
{
    unsigned count = 0;
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        count += strncmp(line, with, strlen(with)) == 0;
    }
    return count;
}

static void test_protocol_page(void **state)
{
    (void)state;
    char *page = read_file(SF_SOURCE_DIR "/docs/protocol.md");
    for (unsigned type = 1; type <= SF_WIRE_REQUEST_TYPES; type++) {
        const struct sf_wire_request *row = sf_wire_request((uint8_t)type);
        char line[80];
        snprintf(line, sizeof line, "| 0x%02X | %s | %s", type, row->name,
                 row->flags == 0 ? "none |" : "0x");
        if (lines_that_begin(page, line) != 1)
            fail_msg("docs/protocol.md: no request %s", line);
        const char *end = strchr(strstr(page, line), '\n');
        const char *told = row->needs_auth ? "| yes |" : "| no |";
        if (strncmp(end - strlen(told), told, strlen(told)) != 0)
            fail_msg("docs/protocol.md: %s needs AUTH first: %s", row->name, told);
    }
    char range[32];
    snprintf(range, sizeof range, "| 0x01 to 0x%02X | requests |", SF_WIRE_REQUEST_LAST);
    assert_int_equal(lines_that_begin(page, range), 1);
    for (const char *line = page; line != NULL; line = strchr(line, '\n')) {
        unsigned number;
        char name[16];
        line += *line == '\n';
        if (sscanf(line, "| 0x%2x | %15[A-Z] |", &number, name) == 2 &&
            number <= SF_WIRE_REQUEST_LAST && sf_wire_request((uint8_t)number) == NULL)
            fail_msg("docs/protocol.md has a request %s that is none", name);
    }
    for (unsigned status = 0; status < SF_WIRE_STATUSES; status++) {
        char line[80];
        snprintf(line, sizeof line, "| %u | %s |", status, sf_wire_status_name((uint16_t)status));
        if (lines_that_begin(page, line) != 1)
            fail_msg("docs/protocol.md: no status %s", line);
    }
    free(page);
}

/* Each request has a vector that is accepted, one of its answer, and one with a flag that it does
 * not know. */
static void test_vectors(void **state)
{
    (void)state;
    char *vectors = read_file(SF_SOURCE_DIR "/tests/vectors/frames.txt");
    for (unsigned type = 1; type <= SF_WIRE_REQUEST_TYPES; type++) {
        const char *name = sf_wire_request((uint8_t)type)->name;
        bool accepted = false, flag = false, answered = false;
        char kind[16] = "";
        for (char *line = vectors; line != NULL; line = strchr(line, '\n')) {
            line += *line == '\n';
            unsigned length, version, found, code;
            if (*line != ' ')
                (void)sscanf(line, "%*[^:#\n]: %15s", kind);
            else if (sscanf(line, " %8x %2x %2x %4x", &length, &version, &found, &code) == 4 &&
                     version == SF_WIRE_VERSION) {
                accepted = accepted || (found == type && strcasecmp(kind, name) == 0);
                flag = flag || (found == type && code != 0 && strcmp(kind, "refused") == 0);
                answered = answered || (found == (type | SF_WIRE_RESPONSE) && code == SF_WIRE_OK);
            }
        }
        if (!accepted || !flag || !answered)
            fail_msg("tests/vectors/frames.txt, %s: accepted %d, with a flag that is not known %d, "
                     "answered %d",
                     name, accepted, flag, answered);
    }
    free(vectors);
}

static void test_labels(void **state)
{
    (void)state;
    for (unsigned type = 1; type <= SF_WIRE_REQUEST_TYPES; type++)
        for (unsigned status = 0; status < SF_WIRE_STATUSES; status++) {
            char expected[80], labels[80];
            snprintf(expected, sizeof expected, "type=\"%s\",status=\"%s\"",
                     sf_wire_request((uint8_t)type)->name, sf_wire_status_name((uint16_t)status));
            sf_metrics_series_labels(SF_METRIC_REQUESTS,
                                     sf_series_request(sf_request_label_of((uint8_t)type), status),
                                     labels, sizeof labels);
            if (strcasecmp(labels, expected) != 0)
                fail_msg("metrics/table.h has %s for %s", labels, expected);
        }
    assert_int_equal(sf_request_label_of(0), SF_REQUEST_OTHER);
    assert_int_equal(sf_request_label_of(SF_WIRE_REQUEST_TYPES + 1), SF_REQUEST_OTHER);
    assert_int_equal(sf_request_label_of(SF_WIRE_ERROR), SF_REQUEST_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocol_page),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
