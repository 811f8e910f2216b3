/* cli/token.c - the first token of a token file. */
#include "cli/token.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"

#define LINE_MAX_SIZE 512 /* a name, a token, limits */

/* The first that is neither empty nor a comment, as in the worker's own file. */
static bool first_line(FILE *file, char line[LINE_MAX_SIZE])
{
    while (fgets(line, LINE_MAX_SIZE, file) != NULL) {
        const bool whole = strchr(line, '\n') != NULL;
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            return true;
        for (int c = 0; !whole && c != '\n' && c != EOF;) /* the rest of a long comment */
            c = fgetc(file);
    }
    return false;
}

int sf_cli_token_read(const char *path, char ret_token[SF_CLI_TOKEN_MAX], struct sf_error *err)
{
    char line[LINE_MAX_SIZE] = "";
    int fd = -1;
    const int rc = sf_secret_open(path, "--token-file", &fd, err);
    if (rc != 0)
        return rc;
    FILE *file = fdopen(fd, "r");
    const bool has_line = file != NULL && first_line(file, line);
    if (file != NULL)
        (void)fclose(file);
    const char *colon = strchr(line, ':');
    const char *token = colon != NULL ? colon + 1 : line; /* its name stays here */
    const size_t size = strcspn(token, ":");              /* limits may follow */
    const bool fits = has_line && size > 0 && size < SF_CLI_TOKEN_MAX;
    if (fits)
        (void)snprintf(ret_token, SF_CLI_TOKEN_MAX, "%.*s", (int)size, token);
    explicit_bzero(line, sizeof line);
    return fits ? 0
                : sf_error_set(
                      err, -EINVAL,
                      "--token-file %s: its first line (but for empty ones and # comments) holds "
                      "no token of 1 to %d bytes",
                      path, SF_CLI_TOKEN_MAX - 1);
}
