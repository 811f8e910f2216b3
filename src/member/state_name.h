/* member/state_name.h - the names of a worker's state files: what tells the files of this fleet from
 * those of others. Looks at the file system; keeps nothing. Any thread. */
#ifndef SF_MEMBER_STATE_NAME_H
#define SF_MEMBER_STATE_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "member/hold.h"

/* The name, without number and ending, of the files of a worker with these options: the same options on
 * the same host give the same name, and so the same slot after a kill. who: what tells the workers of a
 * host apart. */
void sf_state_name(const char *fleet, const char *url, uint64_t datacenter, const char *who,
                   char ret[SF_HOLD_STATE_NAME_MAX]);

/* Has anybody minted for this fleet, or meant to, with this state directory ("": none)? By its URL as it
 * stands, or by the directory that it means: one that was replaced has the same spelling, one that is
 * spelled otherwise is the same directory. */
bool sf_state_known(const char *dir, const char *fleet, const char *url);

#endif
