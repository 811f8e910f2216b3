/* cli/cli.h - what the subcommands of `snowfleet` share: exit codes, options from a table, results
 * and errors. One thread. */
#ifndef SF_CLI_CLI_H
#define SF_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <snowfleet/client.h>
#include <snowfleet/id.h>

#include "base/exit_codes.h"

/* Exit codes: those of base/exit_codes.h, and one for an answer that is no. */
enum sf_cli_exit {
    SF_CLI_DONE = SF_EXIT_OK,
    SF_CLI_FAILED = 1, /* it worked, and the answer is no: a duplicate, a fleet that exists */
    SF_CLI_USAGE = SF_EXIT_USAGE,
    SF_CLI_UNREACHABLE = SF_EXIT_UNREACHABLE,
    SF_CLI_BUG = SF_EXIT_INTERNAL,
    SF_CLI_CONFIG = SF_EXIT_CONFIG
};

#define SF_CLI_DEFAULT_SERVER "127.0.0.1:7450"
#define SF_CLI_DEFAULT_ADMIN  "http://127.0.0.1:7451"
#define SF_CLI_LIST_MAX       64

enum sf_cli_kind {
    SF_CLI_FLAG,   /* bool */
    SF_CLI_TEXT,   /* const char * */
    SF_CLI_LIST,   /* struct sf_cli_list: may be repeated, or hold commas */
    SF_CLI_NUMBER, /* uint64_t, within min and max */
    SF_CLI_LAYOUT, /* struct sf_cli_given_layout */
    SF_CLI_ID,     /* struct sf_cli_given_id */
    SF_CLI_SIGNED  /* int64_t */
};

struct sf_cli_list {
    char *items[SF_CLI_LIST_MAX];
    size_t count;
};

struct sf_cli_given_id {
    bool given;
    uint64_t value;
};

/* Widths, or a preset, whose epoch comes with it. */
#define SF_CLI_PRESETS "twitter, discord, instagram"
struct sf_cli_given_layout {
    struct sf_layout layout;
    int64_t epoch_ms; /* of a preset */
    bool given, has_epoch;
};

#define SF_CLI_NOT_GIVEN_MS INT64_MIN

struct sf_cli_option {
    const char *name; /* without "--" */
    char letter;      /* 0: none */
    enum sf_cli_kind kind;
    void *to;          /* holds the default before parsing */
    const char *value; /* its name in the help; NULL for flags */
    const char *help;
    uint64_t min, max; /* NUMBER; max 0: none */
};

struct sf_cli_command {
    const char *name;
    const char *summary; /* one line */
    int (*run)(int argc, char **argv);
};

struct sf_cli_usage {
    const char *line; /* "snowfleet id [-n N] ..." */
    const char *text; /* what it does, paragraphs; then examples */
    const struct sf_cli_option *options;
    size_t option_count;
    size_t max_words; /* arguments that are no options */
};

/* Parses argv[1..]. Words are left in argv[0..*ret_words-1]. Returns -1 to go on, or the exit code:
 * SF_CLI_DONE after --help, SF_CLI_USAGE after an error, which has been written to stderr. */
int sf_cli_parse(const struct sf_cli_usage *usage, int argc, char **argv, size_t *ret_words);
void sf_cli_list_free(struct sf_cli_list *list);
/* "41,5,5,12" or the name of a preset. Returns 0 or -EINVAL, with ret left alone. */
int sf_cli_layout_parse(const char *text, struct sf_cli_given_layout *ret);
/* "a,b,c"; fallback when the list is empty. The caller frees. */
char *sf_cli_list_join(const struct sf_cli_list *list, const char *fallback);

/* "snowfleet: ..." to stderr; returns code. */
int sf_cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The exit code for an error of the client library, after a line that says what to do next. */
int sf_cli_client_failed(enum sf_client_error error, const char *detail, const char *servers);

/* Writes an object as one line to stdout and releases it. */
void sf_cli_print_json(json_t *object);
/* The members of an ID: id (text), time, unix_ms, timestamp_ms, datacenter, worker, sequence. NULL
 * when it cannot be decoded. */
json_t *sf_cli_id_json(const struct sf_layout *layout, int64_t epoch_ms, uint64_t id);

/* Flushes stdout; 0, or SF_CLI_FAILED when the results could not be written. */
int sf_cli_end(void);

int sf_cli_id(int argc, char **argv);
int sf_cli_decode(int argc, char **argv);
int sf_cli_encode(int argc, char **argv);
int sf_cli_init(int argc, char **argv);
int sf_cli_slots(int argc, char **argv);
int sf_cli_status(int argc, char **argv);
int sf_cli_top(int argc, char **argv);
int sf_cli_bench(int argc, char **argv);
int sf_cli_verify(int argc, char **argv);
int sf_cli_drain(int argc, char **argv);
int sf_cli_reload(int argc, char **argv);
int sf_cli_doctor(int argc, char **argv);
int sf_cli_conformance(int argc, char **argv);

#endif
