/* Main's loop: signals, wishes of other threads, and the phases of ending. */
#include "daemon/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "base/ticks.h"
#include "daemon/drain.h"
#include "daemon/figures.h"
#include "daemon/reload.h"

int sf_run_take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -1;
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Returns true when the process is to stop at once. */
static bool on_signals(struct sf_daemon *d, int signal_fd)
{
    struct signalfd_siginfo info;
    bool stop_now = false;
    while (read(signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            sf_reload_all(d, "SIGHUP");
        } else if (atomic_load(&d->phase) == SF_PHASE_RUNNING) {
            sf_drain_begin(d, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
        } else {
            sf_log_write(
                d->log, SF_LOG_WARN, "drain.cut",
                "a second signal: stopping now; a slot that is still held stays quarantined");
            stop_now = true;
        }
    }
    return stop_now;
}

int sf_run(struct sf_daemon *d, int signal_fd)
{
    while (atomic_load(&d->phase) != SF_PHASE_OVER) {
        struct pollfd fds[2] = {{.fd = sf_inbox_fd(d->inbox), .events = POLLIN},
                                {.fd = signal_fd, .events = POLLIN}};
        if (poll(fds, 2, sf_drain_wait_ms(d)) < 0 && errno != EINTR) {
            sf_log_write(d->log, SF_LOG_ERROR, "main.poll", "poll: %s", strerrordesc_np(errno));
            return SF_EXIT_INTERNAL;
        }
        atomic_store(&d->turned_mono_ms, sf_mono_ns() / SF_NS_PER_MS);
        (void)sf_inbox_take(d->inbox);
        if (on_signals(d, signal_fd))
            return SF_EXIT_NOT_RELEASED;
        if (atomic_exchange(&d->drain_asked, false))
            sf_drain_begin(d, "POST /drain");
        sf_reload_turn(d);
        sf_figures_turn(d);
        sf_drain_advance(d);
    }
    return d->exit_code;
}
