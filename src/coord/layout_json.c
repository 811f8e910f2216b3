/* coord/layout_json.c - the members of a layout, by one table. */
#include "coord/layout_json.h"

#include <errno.h>

#include "coord/json_fields.h"
#include "coord/types.h"

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

int sf_layout_from_json(const json_t *object, struct sf_layout *ret, struct sf_error *err)
{
    if (!json_is_object(object))
        return sf_error_set(err, -EBADMSG, "not an object");
    int rc = 0;
    int64_t t = 0, d = 0, w = 0, s = 0;
    if ((rc = sf_json_int(object, "timestamp", 1, SF_ID_BITS, &t, err)) < 0 ||
        (rc = sf_json_int(object, "datacenter", 0, SF_COORD_DATACENTER_BITS_MAX, &d, err)) < 0 ||
        (rc = sf_json_int(object, "worker", 0, SF_COORD_WORKER_BITS_MAX, &w, err)) < 0 ||
        (rc = sf_json_int(object, "sequence", 0, SF_ID_BITS - 1, &s, err)) < 0)
        return rc;
    const struct sf_layout layout = {(uint8_t)t, (uint8_t)d, (uint8_t)w, (uint8_t)s};
    const char *reason = NULL;
    if (sf_layout_validate(&layout, &reason) < 0)
        return sf_error_set(err, -EBADMSG, "%s", reason);
    *ret = layout;
    return 0;
}
