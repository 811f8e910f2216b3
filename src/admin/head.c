/* Writing the head of a request down again. */
#include "admin/head.h"

static enum MHD_Result add_field(void *ctx, enum MHD_ValueKind kind, const char *key,
                                 size_t key_size, const char *value, size_t value_size)
{
    (void)kind;
    struct sf_strbuf *to = ctx;
    sf_strbuf_add(to, key, key_size);
    sf_strbuf_add(to, ": ", 2);
    if (value != NULL)
        sf_strbuf_add(to, value, value_size);
    sf_strbuf_add(to, "\r\n", 2);
    return MHD_YES;
}

void sf_admin_head(struct MHD_Connection *connection, const char *method, const char *target,
                   const char *version, struct sf_strbuf *to)
{
    sf_strbuf_addf(to, "%s %s %s\r\n", method, target, version);
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, add_field, to);
}
