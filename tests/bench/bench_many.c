/* bench_many - many members of one datacenter, in one process: each has a coordinator handle of its own
 * (so its own session and connections) and a reservation machine, and one thread moves all machines.
 * What is counted are requests and time, of the start, of holding, and of deaths.
 *
 * usage: bench_many --url URL [--fleet NAME] [--members N] [--fill N] [--window MS] [--settle SECONDS]
 *                   [--hold SECONDS] [--die N] [--limit SECONDS]
 *
 * --fill: so many slots are held before the members start, by claims of one session. Prints one JSON
 * object a line: {"phase":"filled"}, {"phase":"ready",...}, "settled", "held", "died". What the coordinator counts itself,
 * whoever runs this compares with (tests/bench/many). Descriptors: with ZooKeeper two or three a member,
 * with etcd up to eight; the soft limit is raised to the hard one. Threads: one a member. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/inbox.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/random.h"
#include "base/ticks.h"
#include "coord/open.h"
#include "worker/reservation.h"

struct member {
    unsigned number;
    struct sf_coord *coord;
    struct sf_reservation res;
    struct sf_generator gen;
    _Atomic uint64_t word;
    int64_t wake_mono_ms, ready_mono_ms; /* ready: 0: not yet */
    uint64_t requests, failed;
    bool dead;
};

/* An event, and whose it is. */
struct message {
    struct sf_inbox_message message;
    struct member *member;
    struct sf_coord_event *event;
};

static struct options {
    const char *url, *fleet;
    uint64_t members, fill, window_ms, settle_s, hold_s, die, limit_s;
} options = {.fleet = "default", .members = 100, .window_ms = 600000, .limit_s = 90};

static struct member *members;
static struct sf_inbox *inbox;
static struct sf_log *quiet;
static uint64_t by_op[SF_COORD_OPS], failed_ops;
static int64_t started_mono_ms;

static int64_t mono_ms(void)
{
    return sf_mono_ns() / SF_NS_PER_MS;
}

/* On the handle's thread. */
static void post(void *ctx, struct sf_coord_event *event)
{
    struct message *message = calloc(1, sizeof *message);
    SF_ASSERT(message != NULL);
    message->member = ctx;
    message->event = event;
    sf_inbox_post(inbox, &message->message);
}

static void step(struct member *m, const struct sf_reservation_event *event)
{
    struct sf_reservation_now now = {.mono_ms = mono_ms(),
                                     .mint_ms = sf_real_ns() / SF_NS_PER_MS,
                                     .trusted_ms = -1,
                                     .clock_ok = true};
    struct sf_reservation_output out;
    sf_random_bytes(now.random, sizeof now.random);
    sf_reservation_step(&m->res, event, &now, &out);
    m->wake_mono_ms = out.wake_mono_ms;
    if (m->ready_mono_ms == 0 && m->res.state == SF_WORKER_READY)
        m->ready_mono_ms = now.mono_ms;
    if (out.finished) {
        fprintf(stderr, "member %u ended: %s\n", m->number, m->res.why);
        m->dead = true;
    }
    if (!out.has_request)
        return;
    m->requests++;
    by_op[out.request.op]++;
    sf_coord_submit(m->coord, &out.request);
}

static void take(struct message *message)
{
    struct member *m = message->member;
    if (m != NULL && !m->dead) { /* NULL: the filler's session goes on by itself */
        const struct sf_coord_event *event = message->event;
        if (event->kind == SF_COORD_COMPLETION && event->completion.outcome != SF_COORD_DONE) {
            m->failed++;
            failed_ops++;
        }
        step(m, &(struct sf_reservation_event){.kind = SF_RES_COORD, .coord = event});
    }
    sf_coord_event_free(message->event);
    free(message);
}

static void drop(void *ctx, struct sf_inbox_message *message)
{
    (void)ctx;
    sf_coord_event_free(((struct message *)message)->event);
    free(message);
}

/* One turn: events, timers, a wait. */
static void turn(void)
{
    struct sf_inbox_message *next;
    for (struct sf_inbox_message *m = sf_inbox_take(inbox); m != NULL; m = next) {
        next = m->next;
        take((struct message *)m);
    }
    const int64_t now = mono_ms();
    int64_t wake = now + 100;
    for (uint64_t i = 0; i < options.members; i++) {
        struct member *m = &members[i];
        if (m->coord == NULL || m->dead)
            continue;
        if (m->wake_mono_ms <= now)
            step(m, &(struct sf_reservation_event){.kind = SF_RES_TICK});
        if (m->wake_mono_ms < wake)
            wake = m->wake_mono_ms;
    }
    struct pollfd fd = {.fd = sf_inbox_fd(inbox), .events = POLLIN};
    poll(&fd, 1, wake > now ? (int)(wake - now) : 0);
}

/* Others hold slots already. */

static struct filler {
    struct sf_coord *coord;
    struct sf_coord_basis basis;
    struct sf_coord_claim claim;
    struct sf_coord_slot slot;
    uint64_t slots, done;
    enum sf_coord_op op;
    bool connected, ended;
} filler;

static void filler_ask(enum sf_coord_op op)
{
    struct sf_coord_request request = {
        .id = 1, .op = op, .deadline_ms = 10000, .basis = filler.basis};
    uint8_t random[16];
    sf_random_bytes(random, sizeof random);
    filler.op = op;
    /* An odd step comes to every slot. */
    const uint64_t worker = filler.done * 2654435761U % (filler.slots > 0 ? filler.slots : 1);
    struct sf_coord_claim_request *body = &request.u.claim;
    if (op == SF_COORD_READ_SLOT) {
        request.u.worker = worker;
    } else if (op == SF_COORD_BIND) {
        struct sf_coord_slot *slot = &request.u.write.slot;
        request.u.write.expected = filler.slot;
        *slot = (struct sf_coord_slot){.worker = worker,
                                       .fence = filler.claim.fence,
                                       .from_ms = sf_real_ns() / SF_NS_PER_MS,
                                       .updated_ms = sf_real_ns() / SF_NS_PER_MS};
        slot->reserved_until_ms = slot->from_ms + 600000;
        memcpy(slot->claim, filler.claim.name, sizeof slot->claim);
        snprintf(slot->node, sizeof slot->node, "fill-%" PRIu64, filler.done);
        sf_hex128(random, slot->nonce);
        body = &request.u.write.body;
    }
    if (op == SF_COORD_CLAIM || op == SF_COORD_BIND) {
        sf_hex128(random, body->guid);
        snprintf(body->node, sizeof body->node, "fill-%" PRIu64, filler.done);
        snprintf(body->address, sizeof body->address, "127.0.0.1:%" PRIu64, 1000 + filler.done);
        snprintf(body->version, sizeof body->version, "bench");
    }
    sf_coord_submit(filler.coord, &request);
}

static void filler_take(const struct sf_coord_event *event)
{
    const struct sf_coord_completion *c = &event->completion;
    if (event->kind == SF_COORD_CONNECTED && !filler.connected) {
        filler.connected = true;
        filler_ask(SF_COORD_READ_CONFIG);
    }
    if (event->kind != SF_COORD_COMPLETION)
        return;
    if (c->outcome != SF_COORD_DONE) {
        fprintf(stderr, "filling: %s: %s\n", sf_coord_op_name(filler.op), c->text);
        exit(1);
    }
    switch (filler.op) {
    case SF_COORD_READ_CONFIG:
        memcpy(filler.basis.token, c->config->token, sizeof filler.basis.token);
        filler.basis.config = c->config->version;
        filler.basis.state = c->state->version;
        filler.slots = sf_layout_max_worker(&c->config->layout) + 1;
        filler_ask(SF_COORD_CLAIM);
        break;
    case SF_COORD_CLAIM:
        filler.claim = c->claims[0];
        filler_ask(SF_COORD_READ_SLOT);
        break;
    case SF_COORD_READ_SLOT:
        filler.slot = c->slots[0];
        filler_ask(SF_COORD_BIND);
        break;
    default:
        filler.ended = ++filler.done == options.fill;
        if (!filler.ended)
            filler_ask(SF_COORD_CLAIM);
    }
}

static void open_handle(struct member *m, struct sf_coord **ret_coord)
{
    struct sf_error err = {0};
    const struct sf_coord_options coord = {.url = options.url,
                                           .fleet = options.fleet,
                                           .session_timeout_ms = 10000,
                                           .log = quiet,
                                           .ticks = &sf_ticks_system,
                                           .sink = post,
                                           .sink_ctx = m};
    if (sf_coord_open(&coord, ret_coord, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

/* On the one thread, before there are members: every event is the filler's. */
static void fill(void)
{
    const int64_t since = mono_ms();
    open_handle(NULL, &filler.coord);
    while (!filler.ended) {
        struct pollfd fd = {.fd = sf_inbox_fd(inbox), .events = POLLIN};
        struct sf_inbox_message *next;
        poll(&fd, 1, 1000);
        for (struct sf_inbox_message *m = sf_inbox_take(inbox); m != NULL; m = next) {
            struct message *message = (struct message *)m;
            next = m->next;
            filler_take(message->event);
            sf_coord_event_free(message->event);
            free(message);
        }
    }
    printf("{\"phase\":\"filled\",\"slots\":%" PRIu64 ",\"seconds\":%.3f}\n", filler.done,
           (double)(mono_ms() - since) / 1000);
    fflush(stdout);
}

static void open_member(struct member *m, unsigned number)
{
    struct sf_reservation_params params = {.pinned_worker = -1,
                                           .window_ms = (int64_t)options.window_ms,
                                           .min_window_ms = 30000,
                                           .max_behind_ms = 1000};
    uint8_t random[16];
    m->number = number;
    snprintf(params.node, sizeof params.node, "many-%u", number);
    snprintf(params.address, sizeof params.address, "127.0.0.1:%u", 20000 + number);
    snprintf(params.version, sizeof params.version, "bench");
    sf_random_bytes(random, sizeof random);
    atomic_init(&m->word, SF_GENERATOR_CLOSED);
    sf_reservation_init(&m->res, &params, &m->gen, &m->word, 10, NULL, random);
    open_handle(m, &m->coord);
}

static int by_value(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Counts of a phase, and the counts begin anew. */
static void report(const char *phase, int64_t since_mono_ms)
{
    int64_t *ready = calloc(options.members + 1, sizeof *ready);
    int64_t *requests = calloc(options.members + 1, sizeof *requests);
    uint64_t count = 0, sum = 0, living = 0;
    SF_ASSERT(ready != NULL && requests != NULL);
    for (uint64_t i = 0; i < options.members; i++) {
        struct member *m = &members[i];
        living += !m->dead;
        sum += m->requests;
        requests[i] = (int64_t)m->requests;
        m->requests = 0;
        if (m->ready_mono_ms != 0)
            ready[count++] = m->ready_mono_ms - started_mono_ms;
    }
    qsort(ready, count, sizeof *ready, by_value);
    qsort(requests, options.members, sizeof *requests, by_value);
    printf("{\"phase\":\"%s\",\"members\":%" PRIu64 ",\"seconds\":%.3f,\"ready\":%" PRIu64, phase,
           living, (double)(mono_ms() - since_mono_ms) / 1000, count);
    if (count > 0)
        printf(",\"ready_half_ms\":%" PRId64 ",\"ready_all_ms\":%" PRId64, ready[count / 2],
               ready[count - 1]);
    printf(",\"requests\":%" PRIu64 ",\"requests_p99\":%" PRId64 ",\"requests_most\":%" PRId64
           ",\"failed\":%" PRIu64 ",\"ops\":{",
           sum, requests[options.members * 99 / 100], requests[options.members - 1], failed_ops);
    const char *comma = "";
    for (unsigned op = 0; op < SF_COORD_OPS; op++) {
        if (by_op[op] == 0)
            continue;
        printf("%s\"%s\":%" PRIu64, comma, sf_coord_op_name(op), by_op[op]);
        comma = ",";
        by_op[op] = 0;
    }
    printf("}}\n");
    fflush(stdout);
    failed_ops = 0;
    free(ready);
    free(requests);
}

static bool all_ready(void)
{
    for (uint64_t i = 0; i < options.members; i++)
        if (members[i].ready_mono_ms == 0)
            return false;
    return true;
}

static void pass(int64_t ms)
{
    const int64_t end = mono_ms() + ms;
    while (mono_ms() < end)
        turn();
}

/* The process would have ended without a word: its slot is not given back. */
static void die(struct member *m)
{
    m->dead = true;
    sf_coord_destroy(m->coord);
    m->coord = NULL;
}

static bool parse(int argc, char **argv)
{
    const struct {
        const char *name;
        uint64_t *to, min, max;
    } numbers[] = {{"--members", &options.members, 1, 20000},
                   {"--fill", &options.fill, 0, 16384},
                   {"--window", &options.window_ms, 30000, 600000},
                   {"--settle", &options.settle_s, 0, 3600},
                   {"--hold", &options.hold_s, 0, 3600},
                   {"--die", &options.die, 0, 20000},
                   {"--limit", &options.limit_s, 1, 3600}};
    for (int i = 1; i + 1 < argc; i += 2) {
        bool known = true;
        if (strcmp(argv[i], "--url") == 0)
            options.url = argv[i + 1];
        else if (strcmp(argv[i], "--fleet") == 0)
            options.fleet = argv[i + 1];
        else
            known = false;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers && !known; k++)
            known = strcmp(argv[i], numbers[k].name) == 0 &&
                    sf_parse_u64(argv[i + 1], numbers[k].min, numbers[k].max, numbers[k].to) == 0;
        if (!known)
            return false;
    }
    return argc % 2 == 1 && options.url != NULL && options.die <= options.members;
}

static void next_phase(void)
{
    char line[16];
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) /* whoever runs it has read its counters */
        exit(1);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (!parse(argc, argv)) {
        fprintf(stderr,
                "usage: bench_many --url URL [--fleet NAME] [--members N] [--fill N] "
                "[--window MS] [--settle SECONDS] [--hold SECONDS] [--die N] [--limit SECONDS]\n");
        return 64;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    quiet = sf_log_create(STDERR_FILENO, SF_LOG_ERROR, SF_LOG_TEXT);
    inbox = sf_inbox_create();
    members = calloc(options.members, sizeof *members);
    SF_ASSERT(inbox != NULL && members != NULL && quiet != NULL);
    if (options.fill > 0) {
        fill();
        next_phase();
    }
    started_mono_ms = mono_ms();
    for (uint64_t i = 0; i < options.members; i++)
        open_member(&members[i], (unsigned)i);
    while (!all_ready() && mono_ms() - started_mono_ms < (int64_t)options.limit_s * 1000)
        turn();
    report("ready", started_mono_ms);
    int status = all_ready() ? 0 : 1;
    if (options.settle_s > 0) {
        next_phase();
        const int64_t since = mono_ms();
        pass((int64_t)options.settle_s * 1000);
        report("settled", since);
    }
    if (options.hold_s > 0) {
        next_phase();
        const int64_t since = mono_ms();
        pass((int64_t)options.hold_s * 1000);
        report("held", since);
    }
    if (options.die > 0) {
        next_phase();
        const int64_t since = mono_ms();
        for (uint64_t i = 0; i < options.die; i++)
            die(&members[i]);
        pass(20000);
        report("died", since);
    }
    for (uint64_t i = 0; i < options.members; i++)
        sf_coord_destroy(members[i].coord);
    sf_coord_destroy(filler.coord);
    sf_inbox_destroy(inbox, drop, NULL);
    free(members);
    sf_log_destroy(quiet);
    return status;
}
