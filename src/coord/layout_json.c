/* coord/layout_json.c - the members of a layout, by one table. */
#include "coord/layout_json.h"

#define MEMBERS 4

static const char *const names[MEMBERS] = {"timestamp", "datacenter", "worker", "sequence"};

static void widths_of(const struct sf_layout *layout, uint8_t widths[MEMBERS])
{
    widths[0] = layout->timestamp_bits;
    widths[1] = layout->datacenter_bits;
    widths[2] = layout->worker_bits;
    widths[3] = layout->sequence_bits;
}

json_t *sf_layout_json(const struct sf_layout *layout)
{
    uint8_t widths[MEMBERS];
    json_t *object = json_object();
    widths_of(layout, widths);
    for (size_t i = 0; i < MEMBERS; i++) {
        if (json_object_set_new(object, names[i], json_integer(widths[i])) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

void sf_layout_json_add(const struct sf_layout *layout, struct sf_strbuf *to)
{
    uint8_t widths[MEMBERS];
    widths_of(layout, widths);
    for (size_t i = 0; i < MEMBERS; i++)
        sf_strbuf_addf(to, "%c\"%s\":%u", i == 0 ? '{' : ',', names[i], widths[i]);
    sf_strbuf_addf(to, "}");
}
