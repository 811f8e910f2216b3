/* config/file.c - the configuration file: strict JSON (RFC 8259) in UTF-8, objects nested as the
 * names of the options say. */
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE_MAX (1 << 20)

/* Opens the file if it is a regular one: reading from another might never end. NULL after a complaint. */
static FILE *open_regular(struct sf_config_loader *loader)
{
    char reason[128];
    struct stat info = {0};
    FILE *file = NULL;
    const int fd = open(loader->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        file = fdopen(fd, "r");
    else if (fd >= 0)
        errno = S_ISDIR(info.st_mode) ? EISDIR : ENOTSUP;
    if (file != NULL)
        return file;
    sf_config_complain(loader, "config: cannot read %s: %s", loader->file,
                       errno == ENOTSUP ? "it is no regular file"
                                        : sf_errno_text(errno, reason, sizeof reason));
    if (fd >= 0)
        (void)close(fd);
    return NULL;
}

/* Reads the whole file. Returns its bytes (caller frees) or NULL after a complaint. */
static char *read_whole(struct sf_config_loader *loader, size_t *ret_size)
{
    char reason[128];
    FILE *file = open_regular(loader);
    if (file == NULL)
        return NULL;
    char *bytes = malloc(FILE_SIZE_MAX + 1);
    if (bytes == NULL) {
        sf_config_complain(loader, "config: out of memory");
        goto out;
    }
    *ret_size = fread(bytes, 1, FILE_SIZE_MAX + 1, file);
    if (ferror(file)) {
        sf_config_complain(loader, "config: cannot read %s: %s", loader->file,
                           sf_errno_text(errno, reason, sizeof reason));
    } else if (*ret_size > FILE_SIZE_MAX) {
        sf_config_complain(loader, "config: %s is larger than %d bytes", loader->file,
                           FILE_SIZE_MAX);
    } else {
        fclose(file);
        return bytes;
    }
out:
    fclose(file);
    free(bytes);
    return NULL;
}

/* The elements of a list, separated by commas as elsewhere. False if one is no string or has a
 * comma. */
static bool join(const json_t *array, struct sf_strbuf *to)
{
    size_t i;
    json_t *element;
    json_array_foreach(array, i, element)
    {
        const char *text = json_string_value(element);
        if (text == NULL || strchr(text, ',') != NULL)
            return false;
        sf_strbuf_addf(to, "%s%s", i > 0 ? "," : "", text);
    }
    return !to->failed;
}

/* The value as text, if it is of a JSON type that the option takes. */
static bool value_text(unsigned takes, const json_t *value, struct sf_strbuf *to)
{
    if (json_is_integer(value) && (takes & SF_OPTION_JSON_NUMBER) != 0)
        sf_strbuf_addf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value) && (takes & SF_OPTION_JSON_BOOL) != 0)
        sf_strbuf_addf(to, json_is_true(value) ? "true" : "false");
    else if (json_is_string(value) && (takes & SF_OPTION_JSON_STRING) != 0)
        sf_strbuf_add(to, json_string_value(value), json_string_length(value));
    else if (json_is_null(value) && (takes & SF_OPTION_JSON_NULL) != 0)
        sf_strbuf_add(to, "", 0);
    else if (json_is_array(value) && (takes & SF_OPTION_JSON_LIST) != 0)
        return join(value, to);
    else
        return false;
    return !to->failed;
}

static void take_value(struct sf_config_loader *loader, int index, const json_t *value)
{
    const struct sf_option *option = &sf_options[index];
    struct sf_strbuf text;
    sf_strbuf_init(&text, 65536);
    if (value_text(option->type->json, value, &text) && text.text != NULL) {
        sf_config_take(loader, index, SF_FROM_FILE, text.text);
    } else {
        char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        char allowed[SF_OPTION_ALLOWED_MAX], must_be[SF_OPTION_ALLOWED_MAX + 40];
        snprintf(must_be, sizeof must_be, "%s%s",
                 option->type->json == SF_OPTION_JSON_LIST ? "a JSON array: " : "",
                 option->type->allowed(option, allowed));
        sf_config_refuse(loader, index, SF_FROM_FILE, shown != NULL ? shown : "?", must_be);
        free(shown);
    }
    sf_strbuf_free(&text);
}

/* Does some option's name begin with this group? */
static bool is_group(const char *name)
{
    const size_t size = strlen(name);
    for (unsigned i = 0; i < sf_option_count; i++)
        if (strncmp(sf_options[i].name, name, size) == 0 && sf_options[i].name[size] == '.')
            return true;
    return false;
}

static void unknown(struct sf_config_loader *loader, const char *name)
{
    char suggestion[SF_CONFIG_SUGGESTION_MAX];
    struct sf_strbuf quoted;
    sf_strbuf_init(&quoted, 300);
    sf_strbuf_add_json(&quoted, name);
    const int option = sf_option_by_name(name);
    const char *dot = strchr(name, '.');
    if (option >= 0 && dot != NULL)
        sf_config_complain(loader, "%s (file %s) must be nested: {\"%.*s\": {\"%s\": ...}}",
                           quoted.text != NULL ? quoted.text : "", loader->file, (int)(dot - name),
                           name, dot + 1);
    else
        sf_config_complain(loader, "%s (file %s) is no option%s",
                           quoted.text != NULL ? quoted.text : "", loader->file,
                           sf_config_suggest(name, SF_FROM_FILE, suggestion));
    sf_strbuf_free(&quoted);
}

static void take_group(struct sf_config_loader *loader, const char *group, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        char name[SF_OPTION_NAME_MAX * 2];
        if (snprintf(name, sizeof name, "%s.%s", group, key) >= (int)sizeof name) {
            unknown(loader, key);
            continue;
        }
        const int index = sf_option_by_name(name);
        if (index < 0)
            unknown(loader, name);
        else
            take_value(loader, index, value);
    }
}

void sf_config_read_file(struct sf_config_loader *loader)
{
    size_t size = 0;
    char *bytes = read_whole(loader, &size);
    if (bytes == NULL)
        return;
    json_error_t error;
    json_t *root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &error);
    free(bytes);
    if (root == NULL) {
        sf_config_complain(loader, "config: %s is not valid JSON: line %d, column %d: %s",
                           loader->file, error.line, error.column, error.text);
        return;
    }
    if (!json_is_object(root)) {
        sf_config_complain(loader, "config: %s must hold a JSON object", loader->file);
        json_decref(root);
        return;
    }
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        if (!is_group(key))
            unknown(loader, key);
        else if (!json_is_object(value))
            sf_config_complain(loader, "%s (file %s) must be a JSON object of options", key,
                               loader->file);
        else
            take_group(loader, key, value);
    }
    json_decref(root);
}
