/* cli/token.h - the token that --token-file names, for workers and for admin ports alike. One
 * thread. */
#ifndef SF_CLI_TOKEN_H
#define SF_CLI_TOKEN_H

#include "base/error.h"

#define SF_CLI_TOKEN_MAX 260 /* with its NUL; a worker takes up to 256 bytes */

/* Reads the first line of the file that is neither empty nor begins with #: a token, or name:token[:limits] as in listen.token_file and
 * admin.token_file. Returns 0 with the token, which the caller wipes; or a negative errno code, with
 * err: a file that is not there, that others may read, or whose first line holds no token. */
int sf_cli_token_read(const char *path, char ret_token[SF_CLI_TOKEN_MAX], struct sf_error *err);

#endif
