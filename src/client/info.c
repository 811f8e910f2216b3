/* Reads from an INFO answer the few members that a client needs. No JSON library: a client drags in
 * as little as it can. The key of a member cannot be mistaken for text inside a string: there its
 * quotes would be escaped. */
#include <errno.h>
#include <string.h>

#include "client/shared.h"

#define NUMBER_DIGITS_MAX 20

struct span {
    const char *at, *end;
};

static void skip_blanks(struct span *in)
{
    while (in->at < in->end &&
           (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

/* The text behind "key" and its colon, one byte at least. */
static bool find(struct span in, const char *key, struct span *ret)
{
    const size_t size = strlen(key);
    for (; in.at + size < in.end; in.at++) {
        in.at = memchr(in.at, key[0], (size_t)(in.end - in.at));
        if (in.at == NULL || in.at + size >= in.end)
            return false;
        if (memcmp(in.at, key, size) != 0)
            continue;
        struct span rest = {in.at + size, in.end};
        skip_blanks(&rest);
        if (rest.at == rest.end || *rest.at != ':')
            continue;
        rest.at++;
        skip_blanks(&rest);
        *ret = rest;
        return rest.at < rest.end;
    }
    return false;
}

static bool read_number(struct span in, const char *key, int64_t min, int64_t max, int64_t *ret)
{
    char text[NUMBER_DIGITS_MAX + 1];
    size_t size = 0;
    if (!find(in, key, &in))
        return false;
    while (in.at < in.end && size < NUMBER_DIGITS_MAX &&
           ((*in.at >= '0' && *in.at <= '9') || *in.at == '-'))
        text[size++] = *in.at++;
    text[size] = '\0';
    return sf_parse_i64(text, min, max, ret) == 0;
}

static bool read_bits(struct span in, const char *key, uint8_t *ret)
{
    int64_t value;
    if (!read_number(in, key, 0, SF_ID_BITS, &value))
        return false;
    *ret = (uint8_t)value;
    return true;
}

/* Returns false where the list ends or is none. */
static bool skip_to_string(struct span *in)
{
    skip_blanks(in);
    if (in->at < in->end && *in->at == ',') {
        in->at++;
        skip_blanks(in);
    }
    return in->at < in->end && *in->at == '"';
}

bool sf_info_next_worker(struct sf_info *info, struct sf_host_port *ret)
{
    struct span in = {info->workers, info->end};
    while (in.at != NULL && skip_to_string(&in)) {
        char text[SF_HOST_MAX + 16];
        const char *begin = ++in.at;
        in.at = memchr(begin, '"', (size_t)(in.end - begin));
        if (in.at == NULL)
            break;
        const size_t size = (size_t)(in.at++ - begin);
        info->workers = in.at;
        if (size >= sizeof text)
            continue;
        memcpy(text, begin, size);
        text[size] = '\0';
        if (sf_parse_host_port(text, -1, false, ret) == 0 && ret->port != 0)
            return true;
    }
    info->workers = NULL;
    return false;
}

int sf_info_parse(const uint8_t *json, size_t size, struct sf_info *ret)
{
    const struct span all = {(const char *)json, (const char *)json + size};
    struct sf_info info = {0};
    struct span in;
    int64_t value;
    if (size == 0 || all.at[0] != '{')
        return -EBADMSG;
    if (read_number(all, "\"max_batch\"", 1, UINT32_MAX, &value))
        info.max_batch = (uint32_t)value;
    if (find(all, "\"workers\"", &in) && *in.at == '[') {
        info.workers = in.at + 1;
        info.end = in.end;
    }
    if (!find(all, "\"fleet_id\"", &in) || *in.at != '"') { /* null while it is not known */
        *ret = info;
        return 0;
    }
    in.at++;
    const char *end = memchr(in.at, '"', (size_t)(in.end - in.at));
    if (end == NULL || (size_t)(end - in.at) >= sizeof info.fleet_id)
        return -EBADMSG;
    memcpy(info.fleet_id, in.at, (size_t)(end - in.at));
    if (info.fleet_id[0] == '\0') {
        *ret = info;
        return 0;
    }
    if (!find(all, "\"layout\"", &in) || *in.at != '{')
        return -EBADMSG;
    end = memchr(in.at, '}', (size_t)(in.end - in.at));
    if (end == NULL)
        return -EBADMSG;
    const struct span layout = {in.at, end};
    if (!read_bits(layout, "\"timestamp\"", &info.layout.timestamp_bits) ||
        !read_bits(layout, "\"datacenter\"", &info.layout.datacenter_bits) ||
        !read_bits(layout, "\"worker\"", &info.layout.worker_bits) ||
        !read_bits(layout, "\"sequence\"", &info.layout.sequence_bits) ||
        sf_layout_validate(&info.layout, NULL) != 0 ||
        !read_number(all, "\"epoch_ms\"", INT64_MIN, INT64_MAX, &info.epoch_ms))
        return -EBADMSG;
    *ret = info;
    return 0;
}

/* --- what needs a layout --- */

static unsigned slot_bits(const struct sf_layout *layout)
{
    return (unsigned)layout->datacenter_bits + layout->worker_bits;
}

bool sf_id_same_slot(const struct sf_layout *layout, uint64_t a, uint64_t b)
{
    const uint64_t mask = ((UINT64_C(1) << slot_bits(layout)) - 1) << layout->sequence_bits;
    return ((a ^ b) & mask) == 0;
}
