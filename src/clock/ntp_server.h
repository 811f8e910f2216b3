/* clock/ntp_server.h - one NTP server (RFC 5905, client mode): asked by turn when it is due, heard
 * by readable when its socket has something. Nothing blocks. The clock thread only; a zeroed struct
 * is not ready, init makes it so. */
#ifndef SF_CLOCK_NTP_SERVER_H
#define SF_CLOCK_NTP_SERVER_H

#include "clock/ntp_filter.h"
#include "clock/ntp_packet.h"
#include "clock/snapshot.h"
#include "clock/source.h"

struct sf_ntp_server {
    struct sf_source_peer peer;
    struct sf_source_pace pace;
    struct sf_source_counters counters;
    int fd; /* -1: idle */
    int64_t deadline_mono_ns;
    struct sf_ntp_request request;
    uint64_t last_transmit;
    struct sf_ntp_filter filter;
    bool heard, tried; /* ever: an answer was believed, a question has ended */
    int64_t good_mono_ns;
    uint8_t stratum;
    char stopped[8]; /* the kiss code that ended it; "": none */
    bool falseticker, counted; /* in the last look of the group */
};

/* Due at once, with a burst of questions. */
void sf_ntp_server_init(struct sf_ntp_server *server, const struct sf_clock_spec *spec);
/* Hangs up. Does not wait for a name server. */
void sf_ntp_server_end(struct sf_ntp_server *server);
/* Time has passed: gives a late answer up, asks when it is due. */
void sf_ntp_server_turn(struct sf_ntp_server *server, struct sf_source_env *env);
/* Takes the answers that have come; none is fine. */
void sf_ntp_server_readable(struct sf_ntp_server *server, struct sf_source_env *env);
/* When it wants its next turn; INT64_MAX: never. */
int64_t sf_ntp_server_due_mono_ns(const struct sf_ntp_server *server);
/* How old its last good answer may be for it to count. */
int64_t sf_ntp_server_stale_ns(const struct sf_ntp_server *server, const struct sf_source_env *env);
/* Its line for a snapshot. */
void sf_ntp_server_describe(const struct sf_ntp_server *server, struct sf_clock_now now,
                            struct sf_clock_server *ret_server);

#endif
