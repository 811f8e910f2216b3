/* A configuration file of any bytes: refused with a reason, or accepted, and then what
 * --check-config prints is accepted and means the same. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

/* The file lives in memory; every execution rewrites it. */
static int load(const void *bytes, size_t size, struct sf_config **ret_config,
                struct sf_strbuf *errors)
{
    static int fd = -1;
    static char path[64];
    static char program[] = "snowfleetd", flag[] = "--config", home[] = "HOME=/";
    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        MUST(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    MUST(ftruncate(fd, 0) == 0);
    MUST(pwrite(fd, bytes, size, 0) == (ssize_t)size);
    char *const argv[] = {program, flag, path, NULL};
    char *const environment[] = {home, NULL};
    enum sf_config_action action;
    return sf_config_load(3, argv, environment, ret_config, &action, errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sf_config *config = NULL, *again = NULL;
    struct sf_strbuf errors, first, second;
    sf_strbuf_init(&errors, 65536);
    sf_strbuf_init(&first, 1 << 20);
    sf_strbuf_init(&second, 1 << 20);
    if (load(data, size, &config, &errors) != 0) {
        MUST(!config && errors.length > 0 && errors.text[errors.length - 1] == '\n');
        /* No byte of the file can forge a line or move the cursor. */
        for (size_t i = 0; i < errors.length; i++)
            MUST((unsigned char)errors.text[i] >= ' ' || errors.text[i] == '\n');
    } else {
        MUST(config && errors.length == 0);
        sf_config_json(config, &first);
        MUST(!first.failed);
        MUST(load(first.text, first.length, &again, &errors) == 0);
        sf_config_json(again, &second);
        MUST(strcmp(first.text, second.text) == 0);
    }
    sf_config_free(config);
    sf_config_free(again);
    sf_strbuf_free(&errors);
    sf_strbuf_free(&first);
    sf_strbuf_free(&second);
    return 0;
}
