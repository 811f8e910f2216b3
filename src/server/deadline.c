/* When something has to be done about a connection though nothing comes. */
#include "server/deadline.h"

#include "server/internal.h"

#define NEVER INT64_MAX

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool sf_deadline_is_quiet(const struct sf_session *session)
{
    return session->state == SF_SERVING && session->input_size == 0 && session->skip == 0 &&
           session->partial.frame == NULL;
}

int64_t sf_deadline_ms(const struct sf_session *session)
{
    const struct sf_server_limits *limits = &session->shard->settings.limits;
    int64_t deadline = NEVER;
    switch (session->state) {
    case SF_HANDSHAKE:
        deadline = session->frame_ms + limits->frame_timeout_ms;
        break;
    case SF_SERVING:
        deadline = session->active_ms + limits->idle_timeout_ms;
        if (session->frame_ms != 0)
            deadline = earlier(deadline, session->frame_ms + limits->frame_timeout_ms);
        break;
    case SF_WAITING:
        deadline = session->wait_ns / 1000000 + limits->max_wait_ms + 1;
        break;
    case SF_STALLED:
        deadline = session->stall_ms + limits->write_timeout_ms;
        break;
    case SF_LINGERING:
        return session->linger_ms + SF_LINGER_MS;
    default:
        return NEVER;
    }
    if (session->goaway_sent || session->goaway_due) {
        deadline = earlier(deadline, session->goaway_end_ms);
        if (session->goaway_sent && sf_deadline_is_quiet(session)) {
            const int64_t last =
                session->active_ms > session->goaway_ms ? session->active_ms : session->goaway_ms;
            deadline = earlier(deadline, last + SF_GOAWAY_QUIET_MS);
        }
    } else if (session->age_ms != 0) {
        deadline = earlier(deadline, session->age_ms);
    }
    return deadline;
}
