#include "server/tokens.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "wire/frame.h"

struct token {
    char name[SF_TOKEN_NAME_MAX + 1];
    uint16_t size;
    uint8_t bytes[SF_WIRE_TOKEN_MAX]; /* zeros behind size */
};

struct sf_tokens {
    atomic_uint references;
    size_t count;
    struct token list[];
};

static int parse_line(const char *path, unsigned number, char *line, struct token *ret,
                      struct sf_error *err)
{
    char *colon = strchr(line, ':');
    if (colon == NULL || colon == line || colon - line > SF_TOKEN_NAME_MAX)
        return sf_error_set(err, -EINVAL,
                            "%s, line %u: not name:token with a name of 1 to %d bytes", path,
                            number, SF_TOKEN_NAME_MAX);
    const size_t size = strlen(colon + 1);
    if (size == 0 || size > SF_WIRE_TOKEN_MAX)
        return sf_error_set(err, -EINVAL,
                            "%s, line %u: the token has %zu bytes, allowed are 1 to %d", path,
                            number, size, SF_WIRE_TOKEN_MAX);
    memset(ret, 0, sizeof *ret);
    memcpy(ret->name, line, (size_t)(colon - line));
    memcpy(ret->bytes, colon + 1, size);
    ret->size = (uint16_t)size;
    return 0;
}

static int parse_file(const char *path, FILE *file, struct sf_tokens **tokens, struct sf_error *err)
{
    char line[SF_TOKEN_NAME_MAX + SF_WIRE_TOKEN_MAX + 8];
    for (unsigned number = 1; fgets(line, sizeof line, file) != NULL; number++) {
        const size_t length = strcspn(line, "\r\n");
        if (line[length] == '\0' && !feof(file))
            return sf_error_set(err, -EINVAL, "%s, line %u: too long, or a NUL byte in it", path,
                                number);
        line[length] = '\0';
        if (length == 0 || line[0] == '#')
            continue;
        if ((*tokens)->count == SF_TOKENS_MAX)
            return sf_error_set(err, -EINVAL, "%s has more than %d tokens", path, SF_TOKENS_MAX);
        const int rc = parse_line(path, number, line, &(*tokens)->list[(*tokens)->count], err);
        if (rc != 0)
            return rc;
        (*tokens)->count++;
    }
    explicit_bzero(line, sizeof line);
    if (ferror(file))
        return sf_error_set(err, -EIO, "%s cannot be read", path);
    if ((*tokens)->count == 0)
        return sf_error_set(err, -EINVAL, "%s holds no token", path);
    return 0;
}

int sf_tokens_read(const char *path, struct sf_tokens **ret_tokens, struct sf_error *err)
{
    char text[128];
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return sf_error_set(err, -errno, "the token file %s cannot be opened: %s", path,
                            sf_errno_text(errno, text, sizeof text));
    struct stat info;
    int rc = 0;
    struct sf_tokens *tokens = NULL;
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode))
        rc = sf_error_set(err, -EINVAL, "the token file %s is no regular file", path);
    else if (info.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
        rc = sf_error_set(err, -EPERM,
                          "the token file %s has mode %03o: others may read it or write to it; "
                          "chmod 600 (or 640) it",
                          path, (unsigned)(info.st_mode & 0777));
    else if (info.st_size > SF_TOKEN_FILE_MAX)
        rc = sf_error_set(err, -EINVAL, "the token file %s is over %u bytes", path,
                          SF_TOKEN_FILE_MAX);
    else if ((tokens = calloc(1, sizeof *tokens + SF_TOKENS_MAX * sizeof tokens->list[0])) == NULL)
        rc = sf_error_set(err, -ENOMEM, "no memory for the token file %s", path);
    else
        rc = parse_file(path, file, &tokens, err);
    fclose(file);
    if (rc != 0) {
        free(tokens);
        return rc;
    }
    atomic_init(&tokens->references, 1);
    *ret_tokens = tokens;
    return 0;
}

struct sf_tokens *sf_tokens_ref(struct sf_tokens *tokens)
{
    if (tokens != NULL)
        atomic_fetch_add(&tokens->references, 1);
    return tokens;
}

void sf_tokens_unref(struct sf_tokens *tokens)
{
    if (tokens == NULL || atomic_fetch_sub(&tokens->references, 1) > 1)
        return;
    explicit_bzero(tokens->list, tokens->count * sizeof tokens->list[0]);
    free(tokens);
}

const char *sf_tokens_check(const struct sf_tokens *tokens, const void *token, size_t size)
{
    uint8_t given[SF_WIRE_TOKEN_MAX] = {0};
    if (size > sizeof given)
        return NULL;
    memcpy(given, token, size);
    const char *found = NULL;
    for (size_t i = 0; i < tokens->count; i++) {
        const struct token *one = &tokens->list[i];
        unsigned differs = (unsigned)(one->size ^ size);
        for (size_t b = 0; b < sizeof given; b++)
            differs |= (unsigned)(given[b] ^ one->bytes[b]);
        if (differs == 0)
            found = one->name;
    }
    explicit_bzero(given, sizeof given);
    return found;
}
