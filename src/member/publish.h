/* member/publish.h - what of the machines others see: the snapshot, and minting time. Only for the
 * files of the member; its thread, but where it says otherwise. */
#ifndef SF_MEMBER_PUBLISH_H
#define SF_MEMBER_PUBLISH_H

#include "member/loop_state.h"

/* Makes the snapshot up to date, and tells the host. Also before the thread runs. */
void sf_publish(struct sf_loop *loop);
/* Minting time may be read once every generator is set up. */
void sf_publish_epoch(struct sf_loop *loop);
/* Have all machines ended? */
bool sf_publish_ended(const struct sf_loop *loop);
/* How the machines ended: the last code that is not SF_EXIT_OK. */
int sf_publish_exit_code(const struct sf_loop *loop);
/* Minting time in Unix ms; the wall clock while the clock allows none yet. Any thread. */
int64_t sf_publish_now_ms(const struct sf_loop *loop);

#endif
