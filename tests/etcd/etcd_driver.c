/* etcd/etcd_driver.c - the etcd backend on a leash: commands on standard input, one a line; events
 * on standard output, one a line.
 *
 *   etcd_driver URL FLEET SESSION_MS [USERNAME PASSWORD_FILE [CA CERT KEY]]       "-" leaves an
 * option out.
 *
 *   commands: init | loss | survey | config | list | claim | unclaim | bind W | renew | release |
 *             slot W | watch | halt   [argument [deadline ms]]; several at once: "3*list"
 *   events:   event KIND MS TEXT                       MS: since the start
 *             done ID OP OUTCOME REASON DURATION_MS EXTRA... SERVER_MS | TEXT
 *   EXTRA:    config: incarnation:version token current halted reports (-1: no state); survey: trees
 *             records reserved_until_ms; list: slots claims; claim: name fence; slot: state
 *             reserved_until_ms nonce
 *
 * All but init, loss and survey are for the making that config read last, with the basis that it
 * read; init and loss are for what survey saw last. bind, renew and release use the last claim and
 * slot record. Input's end destroys the handle. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ticks.h"
#include "coord/coord.h"
#include "coord/etcd/etcd.h"
#include "coord/open.h"

static struct {
    pthread_mutex_t lock;
    int64_t start_ns;
    struct sf_coord_config config;
    struct sf_coord_basis basis;
    struct sf_coord_version root, surveyed; /* of the fleet's root and config in the last survey */
    struct sf_coord_claim claim;
    struct sf_coord_slot slot, written;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void learn(const struct sf_coord_completion *c)
{
    if (c->outcome != SF_COORD_DONE)
        return;
    if (c->op == SF_COORD_READ_CONFIG) {
        memcpy(state.basis.token, c->config->token, sizeof state.basis.token);
        state.basis.config = c->config->version;
        if (c->state != NULL)
            state.basis.state = c->state->version;
    }
    if (c->op == SF_COORD_SURVEY) {
        state.root = c->survey->root;
        state.surveyed = c->version;
    }
    if (c->config != NULL)
        state.config = *c->config;
    if (c->op == SF_COORD_CLAIM)
        state.claim = c->claims[0];
    if (c->op == SF_COORD_READ_SLOT)
        state.slot = c->slots[0];
    if (c->op == SF_COORD_BIND || c->op == SF_COORD_RENEW || c->op == SF_COORD_RELEASE) {
        state.slot = state.written;
        state.slot.version = c->version;
    }
}

static void print_completion(const struct sf_coord_completion *c)
{
    printf("done %" PRIu64 " %s %s %s %" PRId64, c->id, sf_coord_op_name(c->op),
           sf_coord_outcome_name(c->outcome), sf_coord_reason_name(c->reason),
           c->duration_ns / SF_NS_PER_MS);
    if (c->config != NULL)
        printf(" %" PRIu64 ":%" PRIu64 " %s", c->config->version.incarnation,
               c->config->version.version, c->config->token);
    if (c->op == SF_COORD_READ_CONFIG && c->config != NULL)
        printf(" %d %d %d", c->current, c->state != NULL ? c->state->halted : -1,
               c->state != NULL ? (int)c->state->report_count : -1);
    if (c->survey != NULL)
        printf(" %u %" PRIu64 " %" PRId64, c->survey->trees, c->survey->records,
               c->survey->reserved_until_ms);
    if (c->op == SF_COORD_LIST)
        printf(" %zu %zu", c->slot_count, c->claim_count);
    if (c->op == SF_COORD_CLAIM && c->claims != NULL)
        printf(" %s %" PRIu64, c->claims[0].name, c->claims[0].fence);
    if (c->op == SF_COORD_READ_SLOT && c->slots != NULL)
        printf(" %d %" PRId64 " %s", c->slots[0].state, c->slots[0].reserved_until_ms,
               c->slots[0].nonce);
    printf(" %" PRId64 " | %s\n", c->server_ms, c->text);
}

static void sink(void *ctx, struct sf_coord_event *event)
{
    (void)ctx;
    static const char *const names[] = {"completion",   "connected", "disconnected",
                                        "session_lost", "changed",   "fleet_changed"};
    pthread_mutex_lock(&state.lock);
    if (event->kind == SF_COORD_COMPLETION) {
        learn(&event->completion);
        print_completion(&event->completion);
    } else {
        printf("event %s %" PRId64 " %s\n", names[event->kind],
               (sf_mono_ns() - state.start_ns) / SF_NS_PER_MS, event->text);
    }
    fflush(stdout);
    pthread_mutex_unlock(&state.lock);
    sf_coord_event_free(event);
}

static void fill_init(struct sf_coord_init *init, bool loss)
{
    uint8_t bytes[16];
    sf_random_bytes(bytes, sizeof bytes);
    sf_uuid4(bytes, init->config.fleet_id);
    if (loss && state.config.fleet_id[0] != '\0')
        memcpy(init->config.fleet_id, state.config.fleet_id, sizeof init->config.fleet_id);
    sf_random_bytes(bytes, sizeof bytes);
    sf_hex128(bytes, init->config.token);
    sf_random_bytes(init->seed, sizeof init->seed);
    init->survivor_max_ms = INT64_MAX;
    init->after_data_loss = loss;
    init->root = state.root;
    init->config.version = state.surveyed;
    init->config.max_window_ms = SF_COORD_WINDOW_DEFAULT_MS;
    init->config.epoch_ms = SF_DEFAULT_EPOCH_MS;
    init->config.layout = SF_DEFAULT_LAYOUT;
    init->config.datacenter_count = 1;
    init->config.floor_ms = 1000;
    init->config.incarnation = 1;
}

static void fill_write(struct sf_coord_request *request, uint64_t worker)
{
    struct sf_coord_write *write = &request->u.write;
    uint8_t bytes[16];
    write->slot = state.slot;
    write->expected = state.slot;
    if (request->op == SF_COORD_BIND) {
        write->slot.worker = worker;
        write->slot.from_ms = state.slot.reserved_until_ms;
    }
    write->slot.fence = state.claim.fence;
    memcpy(write->slot.claim, state.claim.name, sizeof write->slot.claim);
    sf_random_bytes(bytes, sizeof bytes);
    sf_hex128(bytes, write->slot.nonce);
    write->slot.reserved_until_ms += 1000;
    strcpy(write->body.node, "driver");
    state.written = write->slot;
}

static void fill_report(struct sf_coord_report *report)
{
    report->worker = state.slot.worker;
    memcpy(report->claim, state.claim.name, sizeof report->claim);
    report->held_until_ms = state.slot.reserved_until_ms;
    strcpy(report->node, "driver");
}

/* What was not read is guessed: it is nothing's. */
static void fill_basis(struct sf_coord_basis *basis)
{
    uint8_t bytes[16];
    *basis = state.basis;
    if (basis->token[0] != '\0')
        return;
    sf_random_bytes(bytes, sizeof bytes);
    sf_hex128(bytes, basis->token);
    basis->config = basis->state = (struct sf_coord_version){1, 1};
}

static bool fill(struct sf_coord_request *request, const char *command, uint64_t argument)
{
    static const struct {
        const char *command;
        enum sf_coord_op op;
    } table[] = {
        {"init", SF_COORD_INIT},      {"loss", SF_COORD_INIT},   {"config", SF_COORD_READ_CONFIG},
        {"list", SF_COORD_LIST},      {"claim", SF_COORD_CLAIM}, {"unclaim", SF_COORD_UNCLAIM},
        {"bind", SF_COORD_BIND},      {"renew", SF_COORD_RENEW}, {"release", SF_COORD_RELEASE},
        {"slot", SF_COORD_READ_SLOT}, {"watch", SF_COORD_WATCH}, {"survey", SF_COORD_SURVEY},
        {"halt", SF_COORD_HALT}};
    uint8_t bytes[16];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].command, command) != 0)
            continue;
        request->op = table[i].op;
        fill_basis(&request->basis);
        if (request->op == SF_COORD_INIT)
            fill_init(&request->u.init, strcmp(command, "loss") == 0);
        else if (request->op == SF_COORD_READ_SLOT)
            request->u.worker = argument;
        else if (request->op == SF_COORD_HALT)
            fill_report(&request->u.report);
        else if (request->op == SF_COORD_UNCLAIM)
            memcpy(request->u.claim_name, state.claim.name, sizeof request->u.claim_name);
        else if (request->op == SF_COORD_CLAIM) {
            sf_random_bytes(bytes, sizeof bytes);
            sf_hex128(bytes, request->u.claim.guid);
            strcpy(request->u.claim.node, "driver");
        } else if (request->op == SF_COORD_BIND || request->op == SF_COORD_RENEW ||
                   request->op == SF_COORD_RELEASE)
            fill_write(request, argument);
        return true;
    }
    return false;
}

static void command_line(struct sf_coord *coord, char *line)
{
    static uint64_t last_id;
    char command[32];
    unsigned long long argument = 0;
    unsigned deadline_ms = 2000, times = 1;
    if (sscanf(line, "%u*", &times) == 1 && strchr(line, '*') != NULL)
        line = strchr(line, '*') + 1;
    if (sscanf(line, "%31s %llu %u", command, &argument, &deadline_ms) < 1)
        return;
    for (unsigned i = 0; i < times; i++) {
        struct sf_coord_request request = {.id = ++last_id, .deadline_ms = deadline_ms};
        pthread_mutex_lock(&state.lock);
        bool known = fill(&request, command, argument);
        pthread_mutex_unlock(&state.lock);
        if (known)
            sf_coord_submit(coord, &request);
        else
            fprintf(stderr, "unknown command %s\n", command);
    }
}

int main(int argc, char **argv)
{
    struct sf_error err = {0, ""};
    struct sf_coord *coord = NULL;
    const char *args[9] = {NULL};
    for (int i = 1; i < argc && i < 9; i++)
        args[i] = strcmp(argv[i], "-") == 0 ? NULL : argv[i];
    if (argc < 4)
        return 64;
    state.start_ns = sf_mono_ns();
    struct sf_coord_options options = {.url = argv[1],
                                       .fleet = argv[2],
                                       .session_timeout_ms = (uint32_t)atoi(argv[3]),
                                       .username = args[4],
                                       .password_file = args[5],
                                       .tls_ca = args[6],
                                       .tls_cert = args[7],
                                       .tls_key = args[8],
                                       .log = sf_log_create(2, SF_LOG_INFO, SF_LOG_TEXT),
                                       .ticks = &sf_ticks_system,
                                       .sink = sink};
    int rc = sf_coord_open(&options, &coord, &err);
    if (rc < 0) {
        printf("error %d %s\n", rc, err.text);
        sf_log_destroy(options.log);
        return 1;
    }
    char line[256];
    while (fgets(line, sizeof line, stdin) != NULL)
        command_line(coord, line);
    int64_t end_ns = sf_mono_ns();
    sf_coord_destroy(coord);
    printf("destroyed %" PRId64 "\n", (sf_mono_ns() - end_ns) / SF_NS_PER_MS);
    sf_log_destroy(options.log);
    return 0;
}
