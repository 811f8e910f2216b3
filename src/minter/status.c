/* What others may see of a minter: a struct, and the same as metrics. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "minter/internal.h"

static void sum_seats(const struct sf_minter *minter, uint64_t serial, struct sf_minter_view *to)
{
    const struct sf_seat *seat = &minter->seats.common;
    for (const struct sf_seat *next = atomic_load(&minter->seats.first); seat != NULL;) {
        if (atomic_load(&seat->serial) == serial) {
            to->ids += atomic_load_explicit(&seat->ids, memory_order_relaxed);
            to->waits += atomic_load_explicit(&seat->waits, memory_order_relaxed);
            to->refusals += atomic_load_explicit(&seat->refusals, memory_order_relaxed);
        }
        seat = next;
        next = next != NULL ? next->next : NULL;
    }
}

static void take_slots(const struct sf_member_snapshot *member, struct sf_minter_view *to)
{
    to->slot_count = member->slot_count;
    for (unsigned i = 0; i < member->slot_count; i++)
        to->slots[i] = (struct sf_minter_slot){.held = member->slots[i].held,
                                               .worker = (uint32_t)member->slots[i].worker,
                                               .left_ms = member->slots[i].left_ms};
}

static void take_member(struct sf_minter *minter, struct sf_minter_view *to)
{
    struct sf_member_snapshot member;
    struct sf_clock_interval clock;
    sf_member_snapshot(minter->member, &member);
    sf_member_clock_interval(minter->member, &clock);
    (void)snprintf(to->state, sizeof to->state, "%s",
                   sf_worker_state_name(member.ended ? SF_WORKER_STOPPED : member.state));
    (void)snprintf(to->why, sizeof to->why, "%s", member.why);
    to->connected = member.connected;
    take_slots(&member, to);
    to->fleet_known = member.config_known;
    if (member.config_known) {
        (void)snprintf(to->fleet_id, sizeof to->fleet_id, "%s", member.config.fleet_id);
        to->epoch_ms = member.config.epoch_ms;
        to->layout = member.config.layout;
    }
    to->clock_synchronized = clock.synchronized;
    to->clock_offset_ns = clock.offset_ns;
    to->clock_error_ns = clock.error_ns;
    to->renewals_ok = member.counts.renewals_ok;
    to->renewals_uncertain = member.counts.renewals_uncertain;
    to->renewals_lost = member.counts.renewals_lost;
    to->slots_won = member.counts.slots_won;
    to->session_losses = member.counts.session_losses;
}

/* Also of a minter that is closed, or a parent's: then `next` and `why` alone say something. */
static void fill(struct sf_minter *minter, struct sf_minter_view *to)
{
    const uint64_t serial = sf_minter_serial(minter);
    const int cancel = sf_minter_no_cancel();
    struct sf_seat *seat = serial != 0 ? sf_seat_take(&minter->seats, serial) : NULL;
    *to = (struct sf_minter_view){.next = SF_MINTER_DRAINING};
    if (seat != NULL) {
        take_member(minter, to);
        sum_seats(minter, serial, to);
        to->next = sf_minter_outlook(minter);
        sf_seat_leave(&minter->seats, seat);
    } else {
        to->next = serial == 0 ? sf_minter_gone(minter) : SF_MINTER_DRAINING;
        (void)snprintf(to->state, sizeof to->state, "stopped");
        (void)snprintf(to->why, sizeof to->why, "%s",
                       to->next == SF_MINTER_DRAINING
                           ? "it is being closed"
                           : "this process is a child of the one that opened it: open another");
    }
    sf_minter_cancel_as(cancel);
}

enum sf_minter_error sf_minter_status(struct sf_minter *minter, struct sf_minter_view *ret,
                                      size_t size)
{
    struct sf_minter_view status;
    if (size < sizeof status.next)
        return SF_MINTER_INVALID;
    fill(minter, &status);
    memset(ret, 0, size);
    memcpy(ret, &status, size < sizeof status ? size : sizeof status);
    return SF_MINTER_OK;
}

struct page {
    char *to;
    size_t size, used; /* used: as if there were room */
};

static void add(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct page *page, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const bool room = page->used < page->size;
    const int length = vsnprintf(room ? page->to + page->used : NULL,
                                 room ? page->size - page->used : 0, format, args);
    va_end(args);
    if (length > 0)
        page->used += (size_t)length;
}

static void add_one(struct page *page, const char *name, const char *type, const char *help,
                    double value)
{
    add(page,
        "# HELP snowfleet_minter_%s %s\n# TYPE snowfleet_minter_%s %s\n"
        "snowfleet_minter_%s %.15g\n",
        name, help, name, type, name, value);
}

size_t sf_minter_metrics(struct sf_minter *minter, char *to, size_t size)
{
    struct sf_minter_view s;
    struct page page = {.to = to, .size = size};
    int64_t left_ms = 0;
    unsigned held = 0;
    fill(minter, &s);
    for (unsigned i = 0; i < s.slot_count; i++) {
        held += s.slots[i].held;
        left_ms = s.slots[i].left_ms > left_ms ? s.slots[i].left_ms : left_ms;
    }
    if (size > 0)
        to[0] = '\0';
    add_one(&page, "ready", "gauge", "1: IDs can be minted.", s.next == SF_MINTER_OK);
    add_one(&page, "ids_total", "counter", "IDs handed out.", (double)s.ids);
    add_one(&page, "waits_total", "counter", "Waits for a later millisecond.", (double)s.waits);
    add_one(&page, "refusals_total", "counter", "Calls that got no ID.", (double)s.refusals);
    add_one(&page, "slots_held", "gauge", "Slots held.", held);
    add_one(&page, "reservation_remaining_seconds", "gauge",
            "Of the slot that has most: how long it can mint without the coordinator.",
            (double)left_ms / 1000);
    add_one(&page, "coordinator_connected", "gauge", "1: connected.", s.connected);
    add_one(&page, "clock_synchronized", "gauge", "1: a source says that it is.",
            s.clock_synchronized);
    add_one(&page, "clock_offset_seconds", "gauge", "Of the clock, as its source says.",
            (double)s.clock_offset_ns / 1e9);
    add_one(&page, "renewals_uncertain_total", "counter", "Renewals without an answer.",
            (double)s.renewals_uncertain);
    add_one(&page, "renewals_lost_total", "counter", "Renewals that found another owner.",
            (double)s.renewals_lost);
    add_one(&page, "session_losses_total", "counter", "Sessions that the coordinator ended.",
            (double)s.session_losses);
    return page.used;
}
