/* coord/layout_json.h - a layout as JSON, the same wherever one is shown: the config record, INFO,
 * /status and the command line:
 * {"timestamp": 41, "datacenter": 5, "worker": 5, "sequence": 12}. In coord, the lowest room that
 * knows JSON documents and is known to all who write them. Pure and thread-safe. */
#ifndef SF_COORD_LAYOUT_JSON_H
#define SF_COORD_LAYOUT_JSON_H

#include <jansson.h>
#include <snowfleet/id.h>

#include "base/error.h"
#include "base/strbuf.h"

/* A new object (the caller's reference), or NULL when memory is out, as jansson's constructors. */
json_t *sf_layout_json(const struct sf_layout *layout);

/* The same as text without blanks, behind what is in `to`. */
void sf_layout_json_add(const struct sf_layout *layout, struct sf_strbuf *to);

/* Reads one that every coordinator can hold. object may be NULL. Returns 0, or -EBADMSG with what is
 * wrong; ret is left alone then. */
int sf_layout_from_json(const json_t *object, struct sf_layout *ret, struct sf_error *err);

#endif
