/* UTF-8, one character at a time, after the table of RFC 3629. */
#include "base/utf8.h"

size_t sf_utf8_next(const char *text, size_t size, uint32_t *ret_code)
{
    if (size == 0)
        return 0;
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t code = bytes[0];
    size_t length = 1;
    uint32_t smallest = 0;
    if (code >= 0x80) {
        if (code >= 0xC2 && code <= 0xDF) {
            length = 2;
            code &= 0x1F;
            smallest = 0x80;
        } else if (code >= 0xE0 && code <= 0xEF) {
            length = 3;
            code &= 0x0F;
            smallest = 0x800;
        } else if (code >= 0xF0 && code <= 0xF4) {
            length = 4;
            code &= 0x07;
            smallest = 0x10000;
        } else {
            return 0;
        }
    }
    if (length > size)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (bytes[i] & 0x3F);
    }
    if (code < smallest || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0;
    if (ret_code != NULL)
        *ret_code = code;
    return length;
}
