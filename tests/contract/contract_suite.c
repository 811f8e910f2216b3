/* contract/contract_suite.c - the coordinator contract (src/coord/coord.h), one suite of cases for
 * every backend.
 *
 *   contract_suite                                      the fake of tests/fakes
 *   contract_suite --url local                          the local backend, in a fresh temporary
 * directory contract_suite --url zk://127.0.0.1:2181            a server that runs already; every
 * case makes a fleet of its own contract_suite --url etcd://127.0.0.1:2379 --case bind run.py
 * zookeeper PATH/contract_suite [--case ...]   starts a server, runs the suite, ends it
 *
 * --case takes a cmocka pattern ("*race*"); without '*' it matches anywhere in the name. --list
 * shows the names. Cases that damage records need SF_CONTRACT_RAW, a command that takes "put PATH"
 * with the bytes on its input, or "delete PATH"; the deadline case needs SF_CONTRACT_PIDS, the
 * servers' process ids; the cases that cut need SF_CONTRACT_CUT, a command that changes the
 * leader. run.py sets them; without them these cases are skipped.
 * SF_CONTRACT_USERNAME, _PASSWORD_FILE, _TLS_CA, _TLS_CERT, _TLS_KEY go to sf_coord_open.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void copy_cases(struct CMUnitTest *to, size_t *count, const struct CMUnitTest *from,
                       size_t n)
{
    memcpy(to + *count, from, n * sizeof *from);
    *count += n;
}

/* cmocka takes an array; this is it for all files. */
static int run_all(bool list)
{
    struct CMUnitTest cases[128];
    size_t count = 0;
    copy_cases(cases, &count, ct_fleet_cases, ct_fleet_case_count);
    copy_cases(cases, &count, ct_making_cases, ct_making_case_count);
    copy_cases(cases, &count, ct_slot_cases, ct_slot_case_count);
    copy_cases(cases, &count, ct_probe_cases, ct_probe_case_count);
    copy_cases(cases, &count, ct_handle_cases, ct_handle_case_count);
    copy_cases(cases, &count, ct_cut_cases, ct_cut_case_count);
    for (size_t i = 0; list && i < count; i++)
        puts(cases[i].name);
    return list ? 0 : _cmocka_run_group_tests("contract", cases, count, NULL, NULL);
}

int main(int argc, char **argv)
{
    char directory[128], url[160], pattern[128];
    const char *base = getenv("TMPDIR");
    bool temporary = false, list = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--url") == 0 && i + 1 < argc) {
            ct_url = argv[++i];
        } else if (strcmp(argv[i], "--case") == 0 && i + 1 < argc) {
            const char *name = argv[++i];
            bool whole = strchr(name, '*') != NULL;
            snprintf(pattern, sizeof pattern, "%s%s%s", whole ? "" : "*", name, whole ? "" : "*");
            cmocka_set_test_filter(pattern);
        } else if (strcmp(argv[i], "--list") == 0) {
            list = true;
        } else {
            fprintf(stderr, "usage: contract_suite [--url URL] [--case PATTERN] [--list]\n");
            return 64;
        }
    }
    if (ct_url != NULL && strcmp(ct_url, "local") == 0) {
        snprintf(directory, sizeof directory, "%.80s/snowfleet-contract-XXXXXX",
                 base == NULL ? "/tmp" : base);
        if (mkdtemp(directory) == NULL) {
            perror(directory);
            return 1;
        }
        temporary = true;
        snprintf(url, sizeof url, "local://%s", directory);
        ct_url = url;
    }
    int failed = run_all(list);
    if (temporary) {
        char command[160];
        snprintf(command, sizeof command, "rm -rf %s", directory);
        if (system(command) != 0)
            fprintf(stderr, "cannot remove %s\n", directory);
    }
    return failed;
}
