/* The life of a minter: open, wait, close. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/exit_codes.h"
#include "base/random.h"
#include "base/ticks.h"
#include "member/wish.h"
#include "minter/internal.h"
#include "minter/options.h"

#define CLOSE_MS  5000
#define MARGIN_MS 2000 /* past the time to leave, the member's thread is stopped where it stands */

static void wake(struct sf_minter *minter)
{
    pthread_mutex_lock(&minter->mutex);
    pthread_cond_broadcast(&minter->turned);
    pthread_mutex_unlock(&minter->mutex);
}

static void turned(void *ctx, const struct sf_member_counts *counts)
{
    (void)counts;
    wake(ctx);
}

static void ending(void *ctx)
{
    wake(ctx);
}

/* A child that was forked in there has no business on a thread of ours. */
static void tell(void *ctx, enum sf_log_level level, const char *event, const char *sentence)
{
    static const enum sf_minter_level levels[] = {[SF_LOG_DEBUG] = SF_MINTER_DEBUG,
                                                  [SF_LOG_INFO] = SF_MINTER_INFO,
                                                  [SF_LOG_WARN] = SF_MINTER_WARN,
                                                  [SF_LOG_ERROR] = SF_MINTER_ERROR};
    const struct sf_minter *minter = ctx;
    minter->log(minter->log_ctx, levels[level], event, sentence);
    if (!atomic_load(&minter->life->ours))
        pthread_exit(NULL);
}

static enum sf_log_level least(enum sf_minter_level level)
{
    switch (level) {
    case SF_MINTER_DEBUG:
        return SF_LOG_DEBUG;
    case SF_MINTER_WARN:
        return SF_LOG_WARN;
    case SF_MINTER_ERROR:
        return SF_LOG_ERROR;
    case SF_MINTER_INFO:
        break;
    }
    return SF_LOG_INFO;
}

static enum sf_minter_error error_of(int rc)
{
    switch (rc) {
    case -ENOMEM:
        return SF_MINTER_MEMORY;
    case -EINVAL:
    case -ENOTSUP:
    case -EACCES:
    case -ENOENT:
    case -ENAMETOOLONG:
        return SF_MINTER_INVALID;
    default:
        return SF_MINTER_SYSTEM;
    }
}

static int start_member(struct sf_minter *minter, struct sf_error *err)
{
    struct sf_member_wish wish;
    sf_member_wish_fill(minter->config, &wish);
    wish.options.state_name = minter->config->fleet_node;
    wish.options.leave_ms = minter->close_ms;
    wish.options.log = minter->member_log;
    wish.options.host = (struct sf_member_host){.ctx = minter, .turned = turned, .ending = ending};
    const int rc = sf_member_create(&wish.options, &minter->member, err);
    if (rc != 0)
        return rc;
    minter->time = sf_member_time(minter->member);
    minter->generator_count = sf_member_generators(minter->member, minter->generators);
    return sf_member_start(minter->member, "", "", err);
}

/* What belongs to this life alone. */
static void forget(struct sf_minter *minter)
{
    sf_member_destroy(minter->member);
    sf_log_destroy(minter->member_log);
    sf_config_free(minter->config);
    minter->member = NULL;
    minter->member_log = NULL;
    minter->config = NULL;
    sf_minter_shell_give(minter);
}

static enum sf_minter_error begin(struct sf_minter *minter, const struct sf_minter_options *options,
                                  char *detail)
{
    struct sf_error err = {0};
    const enum sf_minter_error error =
        sf_minter_configure(options, &minter->config, detail, SF_MINTER_DETAIL_MAX);
    if (error != SF_MINTER_OK)
        return error;
    minter->max_wait_ms = minter->config->mint_max_wait_ms;
    minter->sequence_jitter = minter->config->mint_sequence_jitter;
    minter->close_ms = options->close_ms != 0 ? options->close_ms : CLOSE_MS;
    minter->log = options->log;
    minter->log_ctx = options->log_ctx;
    if (minter->log != NULL) {
        minter->member_log = sf_log_create_for(tell, minter, least(options->log_level));
        if (minter->member_log == NULL)
            return SF_MINTER_MEMORY;
    }
    const int rc = start_member(minter, &err);
    if (rc != 0)
        (void)snprintf(detail, SF_MINTER_DETAIL_MAX, "%s", err.text);
    return rc != 0 ? error_of(rc) : SF_MINTER_OK;
}

static uint64_t new_serial(void)
{
    uint64_t serial;
    do
        serial = sf_random_u64();
    while (serial == 0);
    return serial;
}

enum sf_minter_error sf_minter_open(const struct sf_minter_options *options,
                                    struct sf_minter **ret_minter, char *detail, size_t detail_size)
{
    char why[SF_MINTER_DETAIL_MAX] = "";
    enum sf_minter_error error = SF_MINTER_MEMORY;
    const int cancel = sf_minter_no_cancel();
    struct sf_minter *minter = sf_minter_shell_take();
    if (minter != NULL)
        error = begin(minter, options, why);
    if (minter != NULL && error != SF_MINTER_OK)
        forget(minter);
    if (error == SF_MINTER_OK) {
        sf_seats_open(&minter->seats);
        atomic_store_explicit(&minter->life->serial, new_serial(), memory_order_release);
        *ret_minter = minter;
    }
    if (detail != NULL && detail_size > 0)
        (void)snprintf(detail, detail_size, "%s",
                       why[0] != '\0' ? why : sf_minter_error_text(error));
    sf_minter_cancel_as(cancel);
    return error;
}

/* The mutex is held; until a turn, or the deadline. */
static void await_turn(struct sf_minter *minter, int64_t deadline_ns)
{
    const struct timespec at = {.tv_sec = deadline_ns / SF_NS_PER_S,
                                .tv_nsec = deadline_ns % SF_NS_PER_S};
    (void)pthread_cond_timedwait(&minter->turned, &minter->mutex, &at);
}

static enum sf_minter_error wait_sitting(struct sf_minter *minter, int64_t deadline_ns)
{
    enum sf_minter_error error;
    pthread_mutex_lock(&minter->mutex);
    for (;;) {
        error = sf_minter_outlook(minter);
        if (error == SF_MINTER_OK || error == SF_MINTER_ENDED || error == SF_MINTER_DRAINING ||
            sf_mono_ns() >= deadline_ns)
            break;
        await_turn(minter, deadline_ns);
    }
    pthread_mutex_unlock(&minter->mutex);
    return error;
}

enum sf_minter_error sf_minter_wait(struct sf_minter *minter, uint32_t timeout_ms)
{
    const uint64_t serial = sf_minter_serial(minter);
    if (serial == 0)
        return sf_minter_gone(minter);
    const int64_t deadline_ns = sf_mono_ns() + timeout_ms * SF_NS_PER_MS;
    const int cancel = sf_minter_no_cancel();
    struct sf_seat *seat = sf_seat_take(&minter->seats, serial);
    enum sf_minter_error error = SF_MINTER_DRAINING;
    if (seat != NULL) {
        error = wait_sitting(minter, deadline_ns);
        sf_seat_leave(&minter->seats, seat);
    }
    sf_minter_cancel_as(cancel);
    return error;
}

/* Waits until every slot has been given back. */
static bool leave(struct sf_minter *minter)
{
    struct sf_member_snapshot member;
    const int64_t deadline_ns =
        sf_mono_ns() + ((int64_t)minter->close_ms + MARGIN_MS) * SF_NS_PER_MS;
    sf_member_leave(minter->member, minter->close_ms);
    pthread_mutex_lock(&minter->mutex);
    for (;;) {
        sf_member_snapshot(minter->member, &member);
        if (member.ended || sf_mono_ns() >= deadline_ns)
            break;
        await_turn(minter, deadline_ns);
    }
    pthread_mutex_unlock(&minter->mutex);
    return member.ended && member.exit_code == SF_EXIT_OK;
}

enum sf_minter_error sf_minter_close(struct sf_minter *minter)
{
    if (minter == NULL)
        return SF_MINTER_OK;
    if (!atomic_load(&minter->life->ours)) {
        /* A child: threads and sockets are the parent's, and what they left here in memory is in any state. */
        sf_minter_shell_give(minter);
        return SF_MINTER_OK;
    }
    const int cancel = sf_minter_no_cancel();
    atomic_store(&minter->seats.closed, true);
    wake(minter); /* who waits sees it */
    sf_seats_close(&minter->seats);
    atomic_store(&minter->life->serial, 0);
    const bool released = leave(minter);
    forget(minter);
    sf_minter_cancel_as(cancel);
    return released ? SF_MINTER_OK : SF_MINTER_NOT_RELEASED;
}
