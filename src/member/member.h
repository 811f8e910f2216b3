/* member/member.h - one member of a fleet: it claims slots, keeps and gives them back, and whoever
 * mints takes IDs from its generators. No server, no HTTP, no signals, no options' or metrics'
 * names: those are the program's around it (daemon), and a program may have several members.
 *
 *   create --> start --> (mint, look at it) --> leave --> (ended) --> stop --> destroy
 *                |                                                     ^
 *                +---- without leave: slots stay quarantined ----------+
 *
 * Threads: create, start, stop, destroy by one thread. Everything else from any thread between create and
 * destroy; nothing blocks but for a mutex held for a copy. The member has one thread of its own,
 * besides those of the clock and of the coordinator's backend; all signals are blocked there, and
 * the caller's mask is left alone.
 *
 * A forked child has no member: it must not call any of these functions, and a generator gives it
 * nothing, for the page that the right to mint stands on is zeroed there (member/right.h).
 */
#ifndef SF_MEMBER_MEMBER_H
#define SF_MEMBER_MEMBER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "clock/clock.h"
#include "id/generator.h"
#include "member/options.h"
#include "member/time.h"
#include "member/view.h"

struct sf_member;

/* Would sf_member_create refuse an option or a file? For --check-config: nothing is started. Returns 0,
 * or what it would return, with the same text. */
int sf_member_check(const struct sf_member_options *options, struct sf_error *err);

/* Opens what can fail for the user's sake: starts the clock, and the coordinator's connection in the
 * background. Claims nothing yet. Returns 0; -EINVAL, -ENOTSUP, -EACCES, -ENOENT, -ENOMEM and others
 * of clock/clock.h and coord/coord.h, with err naming what is wrong. */
int sf_member_create(const struct sf_member_options *options, struct sf_member **ret_member,
                     struct sf_error *err);

/* Opens the state files and begins to claim. address, admin: how others reach whoever mints, shown
 * in the fleet ("": not at all); copied. Once. Returns 0 or a negative errno code; a state file that
 * cannot be used is only logged. */
int sf_member_start(struct sf_member *member, const char *address, const char *admin,
                    struct sf_error *err);

/* Gives every slot back and ends; at the latest within_ms from now (at least 1), then with
 * SF_EXIT_NOT_RELEASED. Returns at once: host.ending tells the end, and so does the snapshot. A
 * second call changes nothing. */
void sf_member_leave(struct sf_member *member, int64_t within_ms);

/* Ends the member's thread where it stands, so that no callback comes any more; the generators can
 * be used until destroy. For whoever must be told no more before it ends itself. */
void sf_member_stop(struct sf_member *member);

/* Stops, ends the session, frees. A slot that was not given back stays quarantined until its
 * reservation ends. No generator may be used any more. NULL is fine. */
void sf_member_destroy(struct sf_member *member);

/* --- for whoever mints --- */

/* The generators, one a slot, in a fixed order; they live as long as the member. Before
 * host.layout_known they have no word and must not be minted from. Returns how many. */
unsigned sf_member_generators(const struct sf_member *member,
                              struct sf_generator *ret[SF_MEMBER_SLOTS_MAX]);

/* Where minting time is read (member/time.h); lives as long as the member. */
const struct sf_member_time *sf_member_time(const struct sf_member *member);

/* Minting time now, in Unix ms; the wall clock while the clock allows none yet. */
int64_t sf_member_now_ms(const struct sf_member *member);

/* --- for whoever looks --- */

void sf_member_snapshot(struct sf_member *member, struct sf_member_snapshot *ret);
/* State and reason alone, of the snapshot. Returns the state. */
enum sf_worker_state sf_member_state(struct sf_member *member, char ret_why[SF_COORD_TEXT_MAX]);

/* The clock as its thread last saw it; where that thread stands still, a verdict that says so. */
void sf_member_clock(struct sf_member *member, struct sf_clock_snapshot *ret);
void sf_member_clock_verdict(struct sf_member *member, struct sf_clock_verdict *ret);
void sf_member_clock_interval(struct sf_member *member, struct sf_clock_interval *ret);

/* "zookeeper", "etcd", "local". */
const char *sf_member_backend(const struct sf_member *member);

/* Somebody is about to look: a list that is older than two seconds is read again, so that the next look
 * shows it. Does not wait. */
void sf_member_look(struct sf_member *member);

/* Somebody looks at the fleet's other datacenters: while that goes on they are listed, one after the other,
 * each at most once in two seconds. Does not wait. */
void sf_member_look_far(struct sf_member *member);
/* Those of them in which somebody is, or was (and of more than SF_MEMBER_FAR_MAX the first ones), as last
 * listed. Each to be released like a list. Returns how many. */
size_t sf_member_far(struct sf_member *member, const struct sf_member_list *ret[SF_MEMBER_FAR_MAX]);

/* The datacenter as last listed, or NULL. Whoever gets it gives it back with release (NULL is
 * fine). A small datacenter is listed now and then by itself, a large one (more than
 * SF_RES_LIST_SLOTS slots) when somebody looks at it. */
const struct sf_member_list *sf_member_list(struct sf_member *member);
/* Some of the others: the list, or of a large datacenter a sample of its claims without slots,
 * whichever is later; or NULL. To be released like a list. */
const struct sf_member_list *sf_member_some(struct sf_member *member);
void sf_member_list_release(const struct sf_member_list *list);

/* The last events, oldest first. Returns how many. */
size_t sf_member_events(struct sf_member *member, struct sf_member_event ret[SF_MEMBER_EVENTS_MAX]);
/* Adds one of the program around it; texts that are too long are cut. */
void sf_member_tell(struct sf_member *member, enum sf_log_level level, const char *event,
                    const char *text);

#endif
