/* server/sleep.h - how long the loop of a shard may sleep, and sleeping. The shard's thread. */
#ifndef SF_SERVER_SLEEP_H
#define SF_SERVER_SLEEP_H

#include "server/session.h"

struct epoll_event;
/* Sleeps until something happens or is due; returns how many of the SF_EVENTS_MAX events were filled. Sets slept_blind. */
int sf_sleep(struct sf_shard *shard, struct epoll_event *events);

#endif
