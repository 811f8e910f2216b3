/* cli/main.c - the table of commands. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#include "build_info.h"

static const struct sf_cli_command commands[] = {
    {"id", "ask a fleet for IDs", sf_cli_id},
    {"decode", "take IDs apart: time, datacenter, worker, sequence", sf_cli_decode},
    {"encode", "make the ID of a time, for instance as the bound of a query", sf_cli_encode},
    {"init", "make a fleet's records in its coordinator, once", sf_cli_init},
    {"slots", "show every slot: free, held, quarantined", sf_cli_slots},
    {"status", "show one worker, or the whole fleet", sf_cli_status},
    {"top", "watch the fleet live in the terminal", sf_cli_top},
    {"doctor", "say what is wrong with the fleet, and what to do next", sf_cli_doctor},
    {"bench", "measure throughput and latency", sf_cli_bench},
    {"verify", "probe workers: uniqueness, order, time, latency", sf_cli_verify},
    {"conformance", "play good and bad workers for authors of clients", sf_cli_conformance},
    {"reload", "have a worker read its options, certificates and tokens again", sf_cli_reload},
    {"drain", "have a worker finish and leave", sf_cli_drain},
};

static void help(FILE *to)
{
    (void)fprintf(to, "usage: snowfleet COMMAND [OPTION]...\n\n"
                      "The tool of a Snowfleet fleet: IDs, state, measurements.\n\ncommands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        (void)fprintf(to, "  %-11s %s\n", commands[i].name, commands[i].summary);
    (void)fprintf(
        to, "\nsnowfleet COMMAND --help tells the options. snowfleet --version tells the version.\n"
            "Results go to stdout, diagnostics to stderr. Exit codes: 0 done, 1 the answer is no,\n"
            "64 usage, 69 not reachable, 78 bad configuration.\n");
}

int main(int argc, char **argv)
{
    /* Output into a closed pipe ends us with an error of write, not silently. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        help(stderr);
        return SF_CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        help(stdout);
        return sf_cli_end();
    }
    if (strcmp(name, "--version") == 0) {
        (void)printf("snowfleet %s (%s)\n", SF_BUILD_VERSION, SF_BUILD_COMMIT);
        return sf_cli_end();
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return sf_cli_fail(SF_CLI_USAGE, "no command \"%s\"; snowfleet --help lists them", name);
}
