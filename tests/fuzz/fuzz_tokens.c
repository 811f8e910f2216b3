/* Token files: refused with a line and a reason, or every token in them is found again by its
 * bytes. */
#include "fuzz.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("tokens", MFD_CLOEXEC);
        MUST(fd >= 0 && fchmod(fd, 0600) == 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    MUST(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    struct sf_tokens *tokens = NULL;
    struct sf_error err = {0};
    if (sf_tokens_read(path, "tokens", &tokens, &err) != 0) {
        MUST(!tokens && strncmp(err.text, "tokens: ", 8) == 0);
        return 0;
    }
    MUST(sf_tokens_count(tokens) >= 1 && sf_tokens_count(tokens) <= SF_TOKENS_MAX);
    for (size_t i = 0; i < sf_tokens_count(tokens); i++) {
        const struct sf_token *token = sf_tokens_at(tokens, i);
        MUST(token->size >= 1 && token->size <= SF_TOKEN_MAX && token->name[0]);
        MUST(memchr(token->name, '\0', sizeof token->name));
        MUST(!memchr(token->bytes, ':', token->size) && !memchr(token->bytes, '\n', token->size));
        MUST(sf_tokens_check(tokens, token->bytes, token->size) == token);
        uint8_t other[SF_TOKEN_MAX + 1];
        memcpy(other, token->bytes, token->size);
        other[token->size] = ':';
        MUST(sf_tokens_check(tokens, other, token->size + 1u) == NULL);
    }
    sf_tokens_unref(tokens);
    return 0;
}
