/* id/base32.c - IDs as text in Crockford's base 32 (https://www.crockford.com/base32.html), without
 * check symbol and hyphens. */
#include <snowfleet/id.h>

#include <errno.h>

#define DIGITS 13 /* of 5 bits each: 65, so the first holds 4 at most */

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const char *sf_id_base32(uint64_t id, char buffer[SF_ID_BASE32_MAX])
{
    for (int i = DIGITS - 1; i >= 0; i--, id >>= 5)
        buffer[i] = digits[id & 31];
    buffer[DIGITS] = '\0';
    return buffer;
}

/* 0 to 31, or -1. */
static int value_of(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'O')
        return 0;
    if (c == 'I' || c == 'L')
        return 1;
    for (int i = 0; i < 32; i++)
        if (digits[i] == c)
            return i;
    return -1;
}

int sf_id_from_base32(const char *text, uint64_t *ret_id)
{
    uint64_t id = 0;
    int first = 0;
    for (int i = 0; i < DIGITS; i++) {
        const int value = value_of(text[i]); /* -1 at the end of the text, too */
        if (value < 0)
            return -EINVAL;
        first = i == 0 ? value : first;
        id = id << 5 | (uint64_t)value;
    }
    if (text[DIGITS] != '\0')
        return -EINVAL;
    if (first > 7) /* 2^63 and more */
        return -ERANGE;
    *ret_id = id;
    return 0;
}
