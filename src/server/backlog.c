/* How long what is read from a socket has lain there. The kernel does not say when bytes of a
 * stream arrived; but how many are in the socket at a known time (a mark) tells that those before
 * the mark are older than it and those behind it younger. Between two marks bytes count as spread
 * evenly. The first byte after an empty socket brings an event, whose time is known.
 *
 * A connection that asks for more than it is given keeps a full socket: whoever reads on, request
 * by request, gives each of them the age of the whole backlog. So what has lain there for long (a
 * part of mint.max_wait_ms) no longer waits for a later millisecond, until the backlog is gone. */
#include "server/backlog.h"

#include <sys/ioctl.h>

#include "base/ticks.h"
#include "server/internal.h"

static void set_mark(struct sf_session *session)
{
    int bytes = 0;
    if (ioctl(session->fd, FIONREAD, &bytes) != 0 || bytes < 0)
        bytes = 0;
    session->mark_ns = session->shard->now_ns;
    session->mark_size = session->mark_left = (uint32_t)bytes;
}

void sf_backlog_begin(struct sf_session *session)
{
    session->readable_ns = session->shard->now_ns;
    session->mark_left = session->mark_size = 0;
}

/* When the oldest byte that is not read yet arrived. */
static int64_t oldest_ns(const struct sf_session *session)
{
    const int64_t from = session->readable_ns;
    if (session->mark_left == 0)
        return from;
    const double part = (double)(session->mark_size - session->mark_left) / session->mark_size;
    return from + (int64_t)(part * (double)(session->mark_ns - from));
}

void sf_backlog_read(struct sf_session *session, uint32_t got, bool drained)
{
    const struct sf_shard *shard = session->shard;
    session->read_ns = oldest_ns(session);
    const int64_t age_ns = shard->now_ns - session->read_ns;
    const int64_t bound_ns = shard->settings.limits.max_wait_ms * SF_NS_PER_MS;
    const bool full = session->mark_size >= SF_SHED_FULL_BYTES;
    if (drained) {
        /* The peer may fill it again at once, with what it could not send before. */
        if (shard->now_ns - session->full_ns > bound_ns / SF_SHED_PART_FULL)
            session->shedding = false;
        sf_backlog_begin(session); /* should bytes come before the next event is seen */
        return;
    }
    if (age_ns > bound_ns / (full ? SF_SHED_PART_FULL : SF_SHED_PART))
        session->shedding = true;
    session->full_ns = shard->now_ns;
    if (got < session->mark_left) {
        session->mark_left -= got;
        return;
    }
    if (session->mark_size > 0)
        session->readable_ns = session->mark_ns;
    set_mark(session);
}

static int64_t later(int64_t at_ns, int64_t by_ns, int64_t now_ns)
{
    return at_ns + by_ns < now_ns ? at_ns + by_ns : now_ns;
}

void sf_backlog_forgive(struct sf_session *session, int64_t ns)
{
    const int64_t now_ns = session->shard->now_ns;
    session->readable_ns = later(session->readable_ns, ns, now_ns);
    session->mark_ns = later(session->mark_ns, ns, now_ns);
    session->read_ns = later(session->read_ns, ns, now_ns);
    if (session->wait_ns != 0)
        session->wait_ns = later(session->wait_ns, ns, now_ns);
}
