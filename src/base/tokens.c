/* Token files: reading, checking in constant time, and counting who still holds a token. */
#include "base/tokens.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/secret.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

struct sf_tokens {
    atomic_uint references;
    size_t count;
    struct sf_token *list[SF_TOKENS_MAX];
};

/* Where a line comes from, for messages. */
struct place {
    const char *what, *path;
    unsigned line;
};

static int wrong(const struct place *at, struct sf_error *err, const char *text)
{
    return sf_error_set(err, -EINVAL, "%s: %s, line %u: %s", at->what, at->path, at->line, text);
}

/* Takes the fields behind the token: nothing, :ids_per_s or :ids_per_s:burst. */
static int parse_limits(const struct place *at, char *text, struct sf_token *token,
                        struct sf_error *err)
{
    uint64_t rate = 0, burst = 0;
    if (text == NULL)
        return 0;
    char *colon = strchr(text, ':');
    if (colon != NULL)
        *colon = '\0';
    if (sf_parse_u64(text, 1, SF_BUCKET_RATE_MAX, &rate) != 0)
        return wrong(at, err, "ids_per_s behind the token must be 1 to 100000000");
    if (colon != NULL && sf_parse_u64(colon + 1, 1, SF_BUCKET_BURST_MAX, &burst) != 0)
        return wrong(at, err, "burst behind ids_per_s must be 1 to 10000000000");
    atomic_store(&token->ids_per_s, rate);
    atomic_store(&token->burst, burst);
    return 0;
}

static int parse_line(const struct place *at, char *line, struct sf_token *token,
                      struct sf_error *err)
{
    const size_t name_size = strspn(line, NAME_CHARACTERS);
    if (line[name_size] != ':' || name_size == 0 || name_size > SF_TOKEN_NAME_MAX)
        return wrong(at, err,
                     "not name:token[:ids_per_s[:burst]] with a name of 1 to 63 of A-Z a-z 0-9 . _ "
                     "-");
    char *bytes = line + name_size + 1;
    const size_t size = strcspn(bytes, ":");
    char *limits = bytes[size] == ':' ? bytes + size + 1 : NULL;
    if (size == 0 || size > SF_TOKEN_MAX)
        return wrong(at, err, "the token must have 1 to 256 bytes, and no colon");
    memcpy(token->name, line, name_size);
    memcpy(token->bytes, bytes, size);
    token->size = (uint16_t)size;
    return parse_limits(at, limits, token, err);
}

static bool has_bytes(const struct sf_token *token, const uint8_t bytes[SF_TOKEN_MAX], size_t size)
{
    unsigned differs = (unsigned)(token->size ^ size);
    for (size_t b = 0; b < SF_TOKEN_MAX; b++)
        differs |= (unsigned)(bytes[b] ^ token->bytes[b]);
    return differs == 0;
}

static int add(const struct place *at, struct sf_tokens *tokens, char *line, struct sf_error *err)
{
    if (tokens->count == SF_TOKENS_MAX)
        return sf_error_set(err, -EINVAL, "%s: %s has more than %d tokens", at->what, at->path,
                            SF_TOKENS_MAX);
    struct sf_token *token = calloc(1, sizeof *token);
    if (token == NULL)
        return sf_error_set(err, -ENOMEM, "%s: no memory for %s", at->what, at->path);
    atomic_init(&token->references, 1);
    int rc = parse_line(at, line, token, err);
    for (size_t i = 0; i < tokens->count && rc == 0; i++) {
        if (strcmp(tokens->list[i]->name, token->name) == 0)
            rc = wrong(at, err, "the name is there already; give a second token another name");
        else if (has_bytes(tokens->list[i], token->bytes, token->size))
            rc = wrong(at, err, "another name has the same token");
    }
    if (rc != 0)
        sf_token_unref(token);
    else
        tokens->list[tokens->count++] = token;
    return rc;
}

static int parse_file(const char *path, const char *what, FILE *file, struct sf_tokens *tokens,
                      struct sf_error *err)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    struct place at = {.what = what, .path = path};
    int rc = 0;
    while (rc == 0 && (size = getline(&line, &room, file)) >= 0) {
        at.line++;
        if (strlen(line) != (size_t)size) {
            rc = wrong(&at, err, "a NUL byte in it");
            break;
        }
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            rc = add(&at, tokens, line, err);
    }
    if (line != NULL)
        explicit_bzero(line, room);
    free(line);
    if (rc == 0 && !feof(file))
        rc = sf_error_set(err, -EIO, "%s: %s cannot be read", what, path);
    if (rc == 0 && tokens->count == 0)
        rc = sf_error_set(err, -EINVAL, "%s: %s holds no token", what, path);
    return rc;
}

int sf_tokens_read(const char *path, const char *what, struct sf_tokens **ret_tokens,
                   struct sf_error *err)
{
    int fd;
    int rc = sf_secret_open(path, what, &fd, err);
    if (rc != 0)
        return rc;
    struct stat info;
    if (fstat(fd, &info) == 0 && info.st_size > SF_TOKEN_FILE_MAX) {
        close(fd);
        return sf_error_set(err, -EINVAL, "%s: %s is over %u bytes", what, path, SF_TOKEN_FILE_MAX);
    }
    FILE *file = fdopen(fd, "r");
    struct sf_tokens *tokens = calloc(1, sizeof *tokens);
    if (file == NULL || tokens == NULL) {
        if (file != NULL)
            fclose(file);
        else
            close(fd);
        free(tokens);
        return sf_error_set(err, -ENOMEM, "%s: no memory for %s", what, path);
    }
    atomic_init(&tokens->references, 1);
    rc = parse_file(path, what, file, tokens, err);
    fclose(file);
    if (rc != 0) {
        sf_tokens_unref(tokens);
        return rc;
    }
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
    for (size_t i = 0; i < tokens->count; i++)
        sf_token_unref(tokens->list[i]);
    free(tokens);
}

struct sf_token *sf_token_ref(struct sf_token *token)
{
    atomic_fetch_add(&token->references, 1);
    return token;
}

void sf_token_unref(struct sf_token *token)
{
    if (token == NULL || atomic_fetch_sub(&token->references, 1) > 1)
        return;
    explicit_bzero(token->bytes, sizeof token->bytes);
    free(token);
}

/* The same name, other bytes: what was counted goes on. */
static void take_counters(struct sf_token *to, const struct sf_token *from)
{
    atomic_store(&to->requests, atomic_load(&from->requests));
    atomic_store(&to->ids, atomic_load(&from->ids));
    atomic_store(&to->logins, atomic_load(&from->logins));
    atomic_store(&to->limited, atomic_load(&from->limited));
}

void sf_tokens_inherit(struct sf_tokens *newer, struct sf_tokens *older)
{
    for (size_t o = 0; older != NULL && o < older->count; o++) {
        struct sf_token *old = older->list[o];
        bool kept = false;
        for (size_t n = 0; n < newer->count; n++) {
            struct sf_token *token = newer->list[n];
            if (strcmp(token->name, old->name) != 0)
                continue;
            if (!has_bytes(token, old->bytes, old->size)) {
                take_counters(token, old);
                break;
            }
            atomic_store(&old->ids_per_s, atomic_load(&token->ids_per_s));
            atomic_store(&old->burst, atomic_load(&token->burst));
            newer->list[n] = sf_token_ref(old);
            sf_token_unref(token);
            kept = true;
            break;
        }
        if (!kept)
            atomic_store(&old->revoked, true);
    }
}

struct sf_token *sf_tokens_check(const struct sf_tokens *tokens, const void *token, size_t size)
{
    uint8_t given[SF_TOKEN_MAX] = {0};
    if (size > sizeof given)
        return NULL;
    memcpy(given, token, size);
    struct sf_token *found = NULL;
    for (size_t i = 0; i < tokens->count; i++)
        if (has_bytes(tokens->list[i], given, size))
            found = tokens->list[i];
    explicit_bzero(given, sizeof given);
    return found;
}

bool sf_token_is(const struct sf_token *token, const void *bytes, size_t size)
{
    uint8_t given[SF_TOKEN_MAX] = {0};
    if (size > sizeof given)
        return false;
    memcpy(given, bytes, size);
    const bool same = has_bytes(token, given, size);
    explicit_bzero(given, sizeof given);
    return same;
}

size_t sf_tokens_count(const struct sf_tokens *tokens)
{
    return tokens != NULL ? tokens->count : 0;
}

const struct sf_token *sf_tokens_at(const struct sf_tokens *tokens, size_t index)
{
    return tokens->list[index];
}
