/* config/changes.c - which options two configurations differ in. */
#include <string.h>

#include "config/options.h"

void sf_config_changes(const struct sf_config *from, const struct sf_config *to,
                       sf_config_change *tell, void *ctx)
{
    for (unsigned i = 0; i < sf_option_count; i++) {
        const struct sf_option *option = &sf_options[i];
        struct sf_strbuf before, after;
        sf_strbuf_init(&before, SF_CONFIG_VALUE_MAX);
        sf_strbuf_init(&after, SF_CONFIG_VALUE_MAX);
        option->type->write(sf_option_field_const(option, from), &before);
        option->type->write(sf_option_field_const(option, to), &after);
        const bool same = before.text != NULL && after.text != NULL && !before.failed &&
                          !after.failed && strcmp(before.text, after.text) == 0;
        sf_strbuf_free(&before);
        sf_strbuf_free(&after);
        if (!same)
            tell(ctx, option->name, option->reloaded);
    }
}
