/* server/limits.h - every bound of the data plane that is no option. Times in milliseconds, sizes in bytes. */
#ifndef SF_SERVER_LIMITS_H
#define SF_SERVER_LIMITS_H

#include "wire/frame.h"

/* Read from one connection in one turn: what a greedy one can get done before the others have theirs. */
#define SF_READ_MAX 16384
/* Where requests cost more than their bytes say, the turn ends when it has lasted for so long, measured whenever this much work
 * was done (1: one answer, or 256 bytes of one). Plain NEXT is bounded by its bytes and by the IDs. */
#define SF_TURN_NS    8000
#define SF_TURN_WORK  4
#define SF_WORK_BYTES 256
/* A frame whose body is longer than any request's may be is answered from its header and skipped, never stored. */
#define SF_BODY_KEPT_MAX  256
#define SF_FRAME_KEPT_MAX (SF_WIRE_HEADER_SIZE + SF_BODY_KEPT_MAX)
#define SF_INPUT_MAX      (SF_FRAME_KEPT_MAX + SF_READ_MAX)
/* Responses collected before they are written. What the socket does not take is all that a session can have unsent: nothing
 * more is read from it until it is gone. */
#define SF_OUTPUT_LIMIT 131072
#define SF_OUTPUT_MAX   (SF_OUTPUT_LIMIT + SF_WIRE_FRAME_MAX)

/* IDs that a waiting session gets before the next one in the queue has its turn. Where all that wait need so many turns at
 * least, each has them at once: the same shares, but fewer writes, and no later. */
#define SF_WAIT_QUANTUM    1024
#define SF_WAIT_DEEP_TURNS 8
/* A part of limit.max_waiting is for sessions that bring no more requests than this. */
#define SF_WAIT_FEW      16
#define SF_WAIT_FEW_PART 8

/* What has lain in a socket for longer than this part of mint.max_wait_ms is shed. A socket that holds so many bytes has a peer
 * that probably cannot send all it has, so there the part is smaller. */
#define SF_SHED_PART       4
#define SF_SHED_PART_FULL  32
#define SF_SHED_FULL_BYTES 32768

#define SF_EVENTS_MAX       128
#define SF_ACCEPTS_PER_TURN 64
#define SF_ACCEPT_PAUSE_MS  100 /* when descriptors are out */
#define SF_HEARTBEAT_MS     500
/* Descriptors that data connections leave to the admin port, the coordinator, clock and files. */
#define SF_DESCRIPTORS_KEPT 64

#define SF_LINGER_MS 1000 /* after our last word, so that it is not lost to a reset */
/* A connection told to go that is silent for this long is closed: by then the peer has heard it, and what it sent before that is
 * here, over a slow path and from a busy machine too. */
#define SF_GOAWAY_QUIET_MS 1000
#define SF_AGE_GRACE_MS    10000 /* deadline of a GOAWAY for age */
#define SF_AUTH_TRIES_MAX  8 /* of one connection */
/* Wrong tokens from one address; AUTH is refused there until there may be one more. */
#define SF_GUESSES_PER_S       1
#define SF_GUESSES_BURST       20
#define SF_GUESSES_LOG_EACH_MS 10000
/* With as many half-open TLS connections as there may be (listen.max_handshakes, or this part of them from one address), one gives
 * way to a new one: the oldest that has said nothing, or else the oldest from which nothing waits to be read. So many are looked
 * at. */
#define SF_HANDSHAKE_ADDRESS_PART 4
#define SF_HANDSHAKE_LOOKS_MAX    4096
/* After so many at a time in a shard, memory goes back to the system when a few are left. */
#define SF_HANDSHAKES_STORM 64
#define SF_HANDSHAKES_CALM  8
/* With listen.max_connections open, one that has been idle for this long goes in favour of a new one. */
#define SF_EVICT_IDLE_MS    2000
#define SF_EVICT_LOOKS_MAX  16
#define SF_ACTIVITY_STEP_MS 100

#define SF_WHEEL_SLOTS   1024
#define SF_WHEEL_TICK_MS 16

#define SF_INFO_MAX    (24 * 1024)
#define SF_INFO_BURST  10 /* times that it is built at once; then once a second */

#endif
