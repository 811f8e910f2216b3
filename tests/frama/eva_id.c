/* Every layout whose timestamp has FROM_T bits and whose datacenter has FROM_D to TO_D, each apart, with every
 * part and every number; without FROM_T, widths and base 32 of any value. For Frama-C's Eva (tests/frama/eva). The
 * functions are the product's own. */
#include <stdint.h>

/* GCC's has no body that could be followed. */
static int add_overflows(int64_t a, int64_t b, int64_t *ret)
{
    *ret = (int64_t)((uint64_t)a + (uint64_t)b);
    return (a < 0) == (b < 0) && (*ret < 0) != (a < 0);
}
#define __builtin_add_overflow add_overflows

#include "../../src/id/base32.c"
#include "../../src/id/layout.c"

extern volatile uint64_t any_number;
extern volatile uint8_t any_byte;

static void unpacked(const struct sf_layout *layout, uint64_t id)
{
    struct sf_id_parts parts;
    int64_t unix_ms;
    if (sf_id_decode(layout, id, &parts) == 0)
        parts.timestamp_ms |= parts.datacenter | parts.worker | parts.sequence;
    sf_id_unix_ms(layout, (int64_t)any_number, id, &unix_ms);
}

static void layout_of(uint8_t timestamp, uint8_t datacenter, uint8_t worker, uint8_t sequence)
{
    const struct sf_layout layout = {timestamp, datacenter, worker, sequence};
    const struct sf_id_parts parts = {any_number, any_number, any_number, any_number};
    uint64_t id;
    if (sf_id_encode(&layout, &parts, &id) == 0)
        unpacked(&layout, id);
    unpacked(&layout, any_number);
}

/* Four bytes of any value: what is refused is refused without harm. What may pass is tried above, each apart. */
static void any_widths(void)
{
    const struct sf_layout layout = {any_byte, any_byte, any_byte, any_byte};
    const char *reason;
    sf_layout_validate(&layout, &reason);
}

static void any_text(void)
{
    char text[SF_ID_BASE32_MAX];
    uint64_t id;
    sf_id_base32(any_number, text);
    for (int i = 0; i < SF_ID_BASE32_MAX - 1; i++)
        text[i] = (char)any_byte;
    text[SF_ID_BASE32_MAX - 1] = '\0';
    sf_id_from_base32(text, &id);
}

#ifdef FROM_T
void main(void)
{
    for (int d = FROM_D; d <= TO_D; d++)
        for (int w = 0; w <= SF_ID_BITS - FROM_T - d; w++)
            layout_of(FROM_T, (uint8_t)d, (uint8_t)w, (uint8_t)(SF_ID_BITS - FROM_T - d - w));
}
#else
void main(void)
{
    any_widths();
    any_text();
}
#endif
