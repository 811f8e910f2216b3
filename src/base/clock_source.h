/* base/clock_source.h - the kinds of time sources, and how they are written in clock.sources. The
 * one table of them and the one parser: config judges the option with it and clock opens what it
 * gives, so that no value can pass one and fail the other. In base, because config may use nothing
 * else, and because the table is words and numbers only; what talks to a source is a driver
 * (clock/driver.h). Pure; any thread. */
#ifndef SF_BASE_CLOCK_SOURCE_H
#define SF_BASE_CLOCK_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/parse.h"

/* What may stand behind a kind's name. */
enum sf_clock_argument {
    SF_CLOCK_BARE = 1, /* nothing: "kernel" */
    SF_CLOCK_HOST = 2, /* "ntp:HOST[:PORT]" */
    SF_CLOCK_PATH = 4  /* "chrony:/PATH" */
};

/* One row for each kind. Numbers are those of the TIME answer (docs/protocol.md), without gaps.
 *
 * arguments: of enum sf_clock_argument; 0: cannot be configured.
 * port:      where none is given; 0 for kinds without a host.
 * trust:     whose bounds come first when several tell a time; 1 is the most trusted, 0: never asked.
 * witness:   measures the clock against something else. One that does not only repeats what it was
 *            told, with a bound that grows by rote: alone it can say "not known", never "wrong", and
 *            its silence is no reason to warn.
 *
 *   constant     no.  name           arguments                       port  trust  witness */
#define SF_CLOCK_KIND_TABLE(X)                                                      \
    X(NONE,         0, "none",        0,                              0,    0,     false) \
    X(KERNEL,       1, "kernel",      SF_CLOCK_BARE,                  0,    3,     false) \
    X(NTP,          2, "ntp",         SF_CLOCK_HOST,                  123,  1,     true)  \
    X(CHRONY,       3, "chrony",      SF_CLOCK_HOST | SF_CLOCK_PATH,  323,  2,     true)  \
    X(COORDINATOR,  4, "coordinator", 0,                              0,    0,     false)

enum sf_clock_kind {
#define SF_CLOCK_KIND_NUMBER(constant, number, name, arguments, port, trust, witness) SF_CLOCK_##constant = number,
    SF_CLOCK_KIND_TABLE(SF_CLOCK_KIND_NUMBER)
#undef SF_CLOCK_KIND_NUMBER
    SF_CLOCK_KINDS /* how many */
};

struct sf_clock_kind_row {
    const char *name;
    unsigned arguments;
    uint16_t port;
    unsigned trust;
    bool witness;
};

/* The row of a kind; asserts that there is one. */
const struct sf_clock_kind_row *sf_clock_kind_row(enum sf_clock_kind kind);
/* Its name; "unknown" for a number that is no kind. */
const char *sf_clock_kind_name(enum sf_clock_kind kind);

#define SF_CLOCK_SPEC_MAX 272
/* With its NUL. A Unix socket's path has 108; our own socket in the same folder needs the rest. */
#define SF_CLOCK_PATH_MAX    80
#define SF_CLOCK_SOURCES_MAX 16

/* One source as configured. */
struct sf_clock_spec {
    enum sf_clock_kind kind;
    char text[SF_CLOCK_SPEC_MAX]; /* in full, "ntp:10.0.0.4:123": the same source, the same text */
    struct sf_host_port address;  /* of a kind with a host; zeros otherwise */
    char path[SF_CLOCK_PATH_MAX]; /* of one that is reached by a path; "" otherwise */
};

/* A list of different ones. */
struct sf_clock_specs {
    size_t count;
    struct sf_clock_spec list[SF_CLOCK_SOURCES_MAX];
};

/* Reads a list with commas between; at least one. Returns 0, or -EINVAL for what is no source, stands
 * there twice or is one too many, with what is wrong ("'ntp:a:0' has no valid host and port") in err,
 * which may be NULL; ret_specs is left alone then. */
int sf_clock_specs_parse(const char *text, struct sf_clock_specs *ret_specs, struct sf_error *err);

/* "kernel, ntp:HOST[:PORT], ...": every form that can be configured. Returns buffer. */
#define SF_CLOCK_FORMS_MAX 300
const char *sf_clock_source_forms(char buffer[SF_CLOCK_FORMS_MAX]);

#endif
