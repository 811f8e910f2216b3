/* cli/presets.c - layouts by the names of those who made them, with the epochs that go with them. */
#include <string.h>

#include "cli/cli.h"

/* Twitter: 41 bits of milliseconds since 2010-11-04T01:42:54.657Z, 5 and 5 bits of datacenter and worker, 12 of sequence
 * (the announcement of Snowflake, 2010). Discord: the same widths since 2015 (its API reference). Instagram: 41 bits of
 * milliseconds since 2011-08-24T21:07:01.721Z, 13 of shard, 10 of sequence ("Sharding & IDs at Instagram", 2012); its
 * first bit is never used, as the sign is not here. */
static const struct {
    const char *name;
    struct sf_layout layout;
    int64_t epoch_ms;
} presets[] = {
    {"twitter", {41, 5, 5, 12}, INT64_C(1288834974657)},
    {"discord", {41, 5, 5, 12}, INT64_C(1420070400000)},
    {"instagram", {40, 3, 10, 10}, INT64_C(1314220021721)},
};

int sf_cli_layout_parse(const char *text, struct sf_cli_given_layout *ret)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        if (strcmp(presets[i].name, text) != 0)
            continue;
        *ret = (struct sf_cli_given_layout){.layout = presets[i].layout,
                                            .epoch_ms = presets[i].epoch_ms,
                                            .given = true,
                                            .has_epoch = true};
        return 0;
    }
    struct sf_layout layout;
    const int rc = sf_layout_parse(text, &layout);
    if (rc == 0)
        *ret = (struct sf_cli_given_layout){.layout = layout, .given = true};
    return rc;
}
