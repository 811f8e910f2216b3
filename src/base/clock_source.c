/* base/clock_source.c - the parser of clock.sources, driven by the table of kinds. */
#include "base/clock_source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const struct sf_clock_kind_row rows[] = {
#define ROW(constant, number, name, arguments, port, trust, witness)                               \
    [number] = {name, arguments, port, trust, witness},
    SF_CLOCK_KIND_TABLE(ROW)
#undef ROW
};

#define ONE(...) +1
_Static_assert(0 SF_CLOCK_KIND_TABLE(ONE) == SF_CLOCK_KINDS, "the numbers of kinds have gaps");
#undef ONE

const struct sf_clock_kind_row *sf_clock_kind_row(enum sf_clock_kind kind)
{
    SF_ASSERT((unsigned)kind < SF_CLOCK_KINDS && rows[kind].name != NULL);
    return &rows[kind];
}

const char *sf_clock_kind_name(enum sf_clock_kind kind)
{
    return (unsigned)kind < SF_CLOCK_KINDS ? rows[kind].name : "unknown";
}

/* The kind whose name the text begins with, alone or before a colon; SF_CLOCK_KINDS: none.
 * ret_argument: what stands behind the colon, or NULL. */
static unsigned find_kind(const char *text, const char **ret_argument)
{
    const size_t size = strcspn(text, ":");
    for (unsigned kind = 0; kind < SF_CLOCK_KINDS; kind++) {
        if (rows[kind].arguments == 0 || strlen(rows[kind].name) != size ||
            memcmp(rows[kind].name, text, size) != 0)
            continue;
        *ret_argument = text[size] == ':' ? text + size + 1 : NULL;
        return kind;
    }
    return SF_CLOCK_KINDS;
}

/* Reads what stands behind the name. Returns NULL, or what is wrong. */
static const char *parse_argument(const struct sf_clock_kind_row *row, const char *argument,
                                  struct sf_clock_spec *spec)
{
    if (argument == NULL) {
        snprintf(spec->text, sizeof spec->text, "%s", row->name);
        return (row->arguments & SF_CLOCK_BARE) != 0 ? NULL : "needs a host or a path";
    }
    if (argument[0] == '/' && (row->arguments & SF_CLOCK_PATH) != 0) {
        const size_t size = strlen(argument);
        _Static_assert(SF_CLOCK_PATH_MAX == 80, "the text below says so");
        if (size >= sizeof spec->path)
            return "has a path over 79 bytes";
        memcpy(spec->path, argument, size + 1);
        snprintf(spec->text, sizeof spec->text, "%s:%s", row->name, spec->path);
        return NULL;
    }
    if ((row->arguments & SF_CLOCK_HOST) == 0)
        return (row->arguments & SF_CLOCK_PATH) != 0 ? "has no absolute path"
                                                     : "takes nothing behind its name";
    struct sf_host_port *address = &spec->address;
    if (sf_parse_host_port(argument, row->port, false, address) != 0 || address->port == 0)
        return "has no valid host and port";
    char text[SF_HOST_PORT_TEXT_MAX];
    snprintf(spec->text, sizeof spec->text, "%s:%s", row->name, sf_format_host_port(address, text));
    return NULL;
}

static int parse_one(const char *text, struct sf_clock_spec *ret_spec, struct sf_error *err)
{
    const char *argument = NULL;
    struct sf_clock_spec spec = {.kind = SF_CLOCK_NONE};
    const unsigned kind = find_kind(text, &argument);
    if (kind == SF_CLOCK_KINDS)
        return sf_error_set(err, -EINVAL, "'%s' is no time source", text);
    spec.kind = (enum sf_clock_kind)kind;
    const char *wrong = parse_argument(&rows[kind], argument, &spec);
    if (wrong != NULL)
        return sf_error_set(err, -EINVAL, "'%s' %s", text, wrong);
    *ret_spec = spec;
    return 0;
}

static int add_one(struct sf_clock_specs *specs, const char *text, struct sf_error *err)
{
    struct sf_clock_spec spec;
    const int rc = parse_one(text, &spec, err);
    if (rc < 0)
        return rc;
    /* One server named twice would count as two witnesses. */
    for (size_t i = 0; i < specs->count; i++)
        if (strcmp(specs->list[i].text, spec.text) == 0)
            return sf_error_set(err, -EINVAL, "'%s' stands there twice", text);
    if (specs->count == SF_CLOCK_SOURCES_MAX)
        return sf_error_set(err, -EINVAL, "'%s' is one too many: up to %d are allowed", text,
                            SF_CLOCK_SOURCES_MAX);
    specs->list[specs->count++] = spec;
    return 0;
}

int sf_clock_specs_parse(const char *text, struct sf_clock_specs *ret_specs, struct sf_error *err)
{
    struct sf_clock_specs specs = {.count = 0};
    for (const char *at = text;; at++) {
        char one[2 * SF_CLOCK_SPEC_MAX];
        const size_t size = strcspn(at, ",");
        if (size >= sizeof one)
            return sf_error_set(err, -EINVAL, "a source of %zu bytes is too long", size);
        memcpy(one, at, size);
        one[size] = '\0';
        const int rc = add_one(&specs, one, err);
        if (rc < 0)
            return rc;
        at += size;
        if (*at == '\0')
            break;
    }
    *ret_specs = specs;
    return 0;
}

const char *sf_clock_source_forms(char buffer[SF_CLOCK_FORMS_MAX])
{
    static const struct {
        unsigned argument;
        const char *text;
    } arguments[] = {
        {SF_CLOCK_BARE, ""}, {SF_CLOCK_HOST, ":HOST[:PORT]"}, {SF_CLOCK_PATH, ":/PATH"}};
    size_t length = 0;
    for (unsigned kind = 0; kind < SF_CLOCK_KINDS; kind++) {
        for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) {
            if ((rows[kind].arguments & arguments[i].argument) == 0)
                continue;
            const int n = snprintf(buffer + length, SF_CLOCK_FORMS_MAX - length, "%s%s%s",
                                   length == 0 ? "" : ", ", rows[kind].name, arguments[i].text);
            length += (size_t)n;
            SF_ASSERT(length < SF_CLOCK_FORMS_MAX);
        }
    }
    return buffer;
}
