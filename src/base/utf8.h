/* base/utf8.h - validation of UTF-8 (RFC 3629), one character at a time. Pure. */
#ifndef SF_BASE_UTF8_H
#define SF_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The size (1 to 4) of the character at the front of text, or 0 if the bytes there are no valid
 * character: overlong forms, surrogates, code points over U+10FFFF, cut sequences, size 0. ret_code
 * (may be NULL) gets the code point when valid. */
size_t sf_utf8_next(const char *text, size_t size, uint32_t *ret_code);

#endif
