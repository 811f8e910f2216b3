/* server/plain_next.h - a NEXT without AFTER, as its bytes lie in the input: what nearly every request is. */
#ifndef SF_SERVER_PLAIN_NEXT_H
#define SF_SERVER_PLAIN_NEXT_H

#include "wire/frame.h"

#define SF_NEXT_FRAME 16 /* its bytes, of which these are the first eight: */
#define SF_NEXT_HEAD ((UINT64_C(12) << 32) | ((uint64_t)SF_WIRE_VERSION << 24) | ((uint64_t)SF_WIRE_NEXT << 16))
/* Behind them: request_id u32, count u32. */

#endif
