/* coord/zookeeper/library.h - the library's header, as the files here use it: the multi-threaded
 * calls, and without the warnings that its declarations would give. */
#ifndef SF_COORD_ZOOKEEPER_LIBRARY_H
#define SF_COORD_ZOOKEEPER_LIBRARY_H

#ifndef THREADED
#define THREADED
#endif
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <zookeeper/zookeeper.h>

#include <zookeeper/proto.h>
#pragma GCC diagnostic pop

#define SF_ZK_QUOTA_EXCEEDED (-125) /* a server of 3.7 or later says so; the header lacks it */

/* Versions above this are refused: the library's are signed 32 bits. */
#define SF_ZK_VERSION_MAX (UINT64_C(1) << 30)

#endif
