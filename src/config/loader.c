/* config/loader.c - what every step of a load does: take a value, refuse it, complain, suggest. */
#include "config/loader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sf_config_complain(struct sf_config_loader *loader, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    /* The JSON library quotes what it stumbled over as it is, and a file's name may hold
     * anything. */
    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7F)
            *at = '?';
    loader->bad = true;
    sf_strbuf_addf(loader->errors, "%s\n", line);
}

void sf_config_refuse(struct sf_config_loader *loader, int option, enum sf_option_source source,
                      const char *text, const char *must_be)
{
    const struct sf_option *o = &sf_options[option];
    char name[SF_OPTION_NAME_MAX];
    struct sf_strbuf value;
    sf_strbuf_init(&value, 160);
    if (o->type->show != NULL)
        o->type->show(text, &value);
    else
        sf_strbuf_add_json(&value, text);
    const char *shown = value.text != NULL ? value.text : "";
    if (source == SF_FROM_FLAG)
        sf_config_complain(loader, "%s: %s (flag --%s) must be %s", o->name, shown,
                           sf_option_flag(o, name), must_be);
    else if (source == SF_FROM_VARIABLE)
        sf_config_complain(loader, "%s: %s (environment %s) must be %s", o->name, shown,
                           sf_option_variable(o, name), must_be);
    else if (source == SF_FROM_FILE)
        sf_config_complain(loader, "%s: %s (file %s) must be %s", o->name, shown, loader->file,
                           must_be);
    else
        sf_config_complain(loader, "%s: %s (the default on this machine) must be %s", o->name,
                           shown, must_be);
    sf_strbuf_free(&value);
    loader->refused[option] = true;
}

void sf_config_take(struct sf_config_loader *loader, int option, enum sf_option_source source,
                    const char *text)
{
    const struct sf_option *o = &sf_options[option];
    struct sf_error why = {0};
    const int rc = o->type->parse(o, text, sf_option_field(o, loader->config), &why);
    if (rc == -ENOMEM) {
        sf_config_complain(loader, "%s: out of memory", o->name);
    } else if (rc < 0) {
        char allowed[SF_OPTION_ALLOWED_MAX], must_be[SF_OPTION_ALLOWED_MAX + SF_ERROR_TEXT_MAX];
        snprintf(must_be, sizeof must_be, "%s%s%s", o->type->allowed(o, allowed),
                 why.text[0] != '\0' ? "; " : "", why.text);
        sf_config_refuse(loader, option, source, text, must_be);
    } else {
        loader->source[option] = source;
    }
}

/* How many single-character edits turn a into b (Levenshtein), for short names. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[SF_OPTION_NAME_MAX + 1];
    const size_t size = strlen(b);
    if (size > SF_OPTION_NAME_MAX)
        return SF_OPTION_NAME_MAX;
    for (size_t j = 0; j <= size; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < size; j++) {
            const unsigned change = diagonal + (a[i] != b[j]);
            const unsigned insert = row[j] + 1, drop = row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = change < insert ? change : insert;
            row[j + 1] = row[j + 1] < drop ? row[j + 1] : drop;
        }
    }
    return row[size];
}

const char *sf_config_suggest(const char *name, enum sf_option_source style,
                              char buffer[SF_CONFIG_SUGGESTION_MAX])
{
    unsigned best = 4; /* further away is no likely slip */
    buffer[0] = '\0';
    if (strlen(name) > SF_OPTION_NAME_MAX)
        return buffer;
    for (unsigned i = 0; i < sf_option_count; i++) {
        char spelt[SF_OPTION_NAME_MAX];
        const char *candidate = sf_options[i].name;
        if (style == SF_FROM_VARIABLE)
            candidate = sf_option_variable(&sf_options[i], spelt);
        else if (style == SF_FROM_FLAG)
            candidate = sf_option_flag(&sf_options[i], spelt);
        const unsigned edits = distance(name, candidate);
        if (edits < best) {
            best = edits;
            const int group = (int)strcspn(candidate, ".");
            if (style == SF_FROM_FILE)
                snprintf(buffer, SF_CONFIG_SUGGESTION_MAX,
                         "; did you mean {\"%.*s\": {\"%s\": ...}}?", group, candidate,
                         candidate + group + 1);
            else
                snprintf(buffer, SF_CONFIG_SUGGESTION_MAX, "; did you mean %s%s?",
                         style == SF_FROM_FLAG ? "--" : "", candidate);
        }
    }
    return buffer;
}

const char *sf_config_variable(char *const environment[], const char *name)
{
    const size_t size = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=')
            return *environment + size + 1;
    return NULL;
}
