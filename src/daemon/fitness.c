/* Can a worker be started with these options? */
#include "daemon/fitness.h"

#include <errno.h>

#include "base/exit_codes.h"
#include "daemon/server_host.h"
#include "member/wish.h"
#include "server/server.h"

#include "admin/admin.h"

/* What a person has to mend: a wrong value, a file that is not there or not ours, a right that is
 * missing, something that this system or build has not. All else (a port that is taken, an address that
 * is not there yet, a name that does not resolve, no memory, no descriptors, a disk that fails) may pass.
 */
static bool is_lasting(int rc)
{
    static const int lasting[] = {
        EINVAL,  ENOENT, ENOTDIR, EISDIR, ELOOP,        ENAMETOOLONG,    EACCES, EPERM,
        ENOTSUP, EFBIG,  EBADMSG, ENOSYS, EAFNOSUPPORT, EPROTONOSUPPORT, EDOM,   ERANGE};
    for (size_t i = 0; i < sizeof lasting / sizeof lasting[0]; i++)
        if (rc == -lasting[i])
            return true;
    return false;
}

int sf_fitness_exit_code(int rc)
{
    return is_lasting(rc) ? SF_EXIT_CONFIG : SF_EXIT_TEMPORARY;
}

/* Takes a room's verdict. */
static void take(int rc, const struct sf_error *err, int *exit_code, struct sf_strbuf *errors)
{
    if (rc == 0)
        return;
    sf_strbuf_addf(errors, "%s\n", err->text);
    if (*exit_code != SF_EXIT_CONFIG)
        *exit_code = sf_fitness_exit_code(rc);
}

int sf_fitness_judge(const struct sf_config *config, struct sf_strbuf *errors)
{
    int exit_code = SF_EXIT_OK;
    struct sf_error err = {0};
    struct sf_member_wish wish;
    sf_member_wish_fill(config, &wish);
    take(sf_member_check(&wish.options, &err), &err, &exit_code, errors);
    const struct sf_server_options server = {.tls_cert = config->listen_tls_cert,
                                             .tls_key = config->listen_tls_key,
                                             .tls_client_ca = config->listen_tls_client_ca,
                                             .token_file = config->listen_token_file,
                                             .unix_wish = sf_server_host_unix(config)};
    take(sf_server_check(&server, &err), &err, &exit_code, errors);
    const struct sf_admin_options admin = {.tls_cert = config->admin_tls_cert,
                                           .tls_key = config->admin_tls_key,
                                           .token_file = config->admin_token_file};
    take(sf_admin_check(&admin, &err), &err, &exit_code, errors);
    return exit_code;
}
