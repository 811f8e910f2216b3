/* contract/coord_driver.c - a coordinator handle on a pipe, for tests that need real servers,
 * proxies and signals around it.
 *
 *   coord_driver URL FLEET SESSION_TIMEOUT_MS [USERNAME PASSWORD_FILE]
 *
 * Reads one command per line and answers at once with "submitted ID"; events come as lines
 * "event KIND ..." in their order:
 *   survey | init | remake | config | list | claim | unclaim | tell | watch | slot W | bind W | renew W |
 *   release W | halt W | reset W                     [deadline_ms, default 5000, last]
 *   quit    destroys the handle, prints "destroyed MILLISECONDS", ends
 * init and remake (after a loss of data) use the last survey, the others the last claim, config,
 * state and slot record that were seen. Opening: "opened" or "refused CODE TEXT". */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "coord/coord.h"
#include "coord/open.h"
#include "coord/records.h"

static struct {
    pthread_mutex_t lock;
    struct sf_coord_config config;
    struct sf_coord_version state;
    struct sf_coord_version surveyed_root, surveyed_config;
    struct sf_coord_slot slot, sent; /* sent: by the last write */
    struct sf_coord_claim claim;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void remember(const struct sf_coord_completion *c)
{
    if (c->outcome != SF_COORD_DONE)
        return;
    if (c->config != NULL)
        seen.config = *c->config;
    if (c->state != NULL)
        seen.state = c->state->version;
    if (c->survey != NULL) {
        seen.surveyed_root = c->survey->root;
        seen.surveyed_config = c->version;
    }
    if (c->op == SF_COORD_READ_SLOT)
        seen.slot = c->slots[0];
    if (c->op == SF_COORD_CLAIM)
        seen.claim = c->claims[0];
    if (c->op == SF_COORD_HALT)
        seen.state = c->version;
    if (c->op == SF_COORD_BIND || c->op == SF_COORD_RENEW || c->op == SF_COORD_RELEASE ||
        c->op == SF_COORD_RESET_SLOT) {
        seen.slot = seen.sent;
        seen.slot.version = c->version;
    }
}

static void print_completion(const struct sf_coord_completion *c)
{
    printf("event completion %" PRIu64 " %s %s %s ms=%" PRId64 " claims=%zu version=%" PRIu64
           " claim=%s server=%" PRId64,
           c->id, sf_coord_op_name(c->op), sf_coord_outcome_name(c->outcome),
           sf_coord_reason_name(c->reason), c->duration_ns / SF_NS_PER_MS, c->claim_count,
           c->slot_count == 1 ? c->slots[0].version.version : c->version.version,
           c->claim_count == 1 ? c->claims[0].name : "-", c->server_ms);
    if (c->slot_count == 1)
        printf(" state=%d nonce=%s", c->slots[0].state, c->slots[0].nonce);
    if (c->config != NULL)
        printf(" token=%s current=%d halted=%d", c->config->token, c->current,
               c->state != NULL && c->state->halted);
    printf(" : %s\n", c->text);
}

static void sink(void *ctx, struct sf_coord_event *event)
{
    (void)ctx;
    static const char *const kinds[] = {"completion",   "connected", "disconnected",
                                        "session_lost", "changed",   "fleet_changed"};
    pthread_mutex_lock(&seen.lock);
    if (event->kind == SF_COORD_COMPLETION) {
        remember(&event->completion);
        print_completion(&event->completion);
    } else {
        printf("event %s : %s\n", kinds[event->kind], event->text);
    }
    fflush(stdout);
    pthread_mutex_unlock(&seen.lock);
    sf_coord_event_free(event);
}

static bool op_of(const char *word, enum sf_coord_op *ret)
{
    static const struct {
        const char *word;
        enum sf_coord_op op;
    } words[] = {{"survey", SF_COORD_SURVEY},   {"init", SF_COORD_INIT},
                 {"remake", SF_COORD_INIT},     {"config", SF_COORD_READ_CONFIG},
                 {"list", SF_COORD_LIST},       {"claim", SF_COORD_CLAIM},
                 {"watch", SF_COORD_WATCH},     {"slot", SF_COORD_READ_SLOT},
                 {"bind", SF_COORD_BIND},       {"renew", SF_COORD_RENEW},
                 {"release", SF_COORD_RELEASE}, {"unclaim", SF_COORD_UNCLAIM},
                 {"tell", SF_COORD_TELL},       {"halt", SF_COORD_HALT},
                 {"reset", SF_COORD_RESET_SLOT}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].word, word) == 0) {
            *ret = words[i].op;
            return true;
        }
    return false;
}

static void hex_random(char to[SF_HEX128_SIZE])
{
    uint8_t bytes[16];
    sf_random_bytes(bytes, sizeof bytes);
    sf_hex128(bytes, to);
}

static void fill_init(struct sf_coord_init *init, bool again)
{
    struct sf_coord_config *config = &init->config;
    uint8_t bytes[16];
    sf_random_bytes(bytes, sizeof bytes);
    sf_uuid4(bytes, config->fleet_id);
    if (again)
        memcpy(config->fleet_id, seen.config.fleet_id, sizeof config->fleet_id);
    hex_random(config->token);
    sf_random_bytes(init->seed, sizeof init->seed);
    config->epoch_ms = SF_DEFAULT_EPOCH_MS;
    config->layout = (struct sf_layout){46, 3, 2, 12};
    config->datacenter_count = 1;
    config->max_window_ms = SF_COORD_WINDOW_DEFAULT_MS;
    config->incarnation = 1;
    config->created_ms = sf_real_ns() / SF_NS_PER_MS;
    config->version = seen.surveyed_config;
    init->root = seen.surveyed_root;
    init->survivor_max_ms = INT64_MAX;
    init->after_data_loss = again;
}

/* What was not read is guessed: it is nothing's. */
static void fill_basis(struct sf_coord_basis *basis)
{
    const struct sf_coord_version none = {1, 1};
    memcpy(basis->token, seen.config.token, sizeof basis->token);
    if (basis->token[0] == '\0')
        hex_random(basis->token);
    basis->config = seen.config.version.incarnation != 0 ? seen.config.version : none;
    basis->state = seen.state.incarnation != 0 ? seen.state : none;
}

static void fill_write(struct sf_coord_write *write, enum sf_coord_op op, uint64_t worker)
{
    write->slot = seen.slot;
    write->expected = seen.slot;
    write->slot.worker = worker;
    write->slot.fence = seen.claim.fence;
    snprintf(write->slot.claim, sizeof write->slot.claim, "%s", seen.claim.name);
    hex_random(write->slot.nonce);
    snprintf(write->slot.node, sizeof write->slot.node, "driver");
    write->slot.updated_ms = sf_real_ns() / SF_NS_PER_MS;
    write->slot.reserved_until_ms =
        op == SF_COORD_RELEASE ? write->slot.updated_ms : write->slot.updated_ms + 60000;
    snprintf(write->body.node, sizeof write->body.node, "driver");
    write->body.since_ms = write->body.made_ms = write->slot.updated_ms;
    write->claim_slot = -1;
    if (op == SF_COORD_RESET_SLOT) {
        write->slot.reset = true;
        write->slot.fence = 0;
        write->slot.claim[0] = '\0';
        write->slot.from_ms = write->slot.reserved_until_ms;
    }
    seen.sent = write->slot;
}

static void fill_report(struct sf_coord_report *report, uint64_t worker)
{
    report->worker = worker;
    memcpy(report->claim, seen.claim.name, sizeof report->claim);
    report->held_until_ms = report->reported_ms = sf_real_ns() / SF_NS_PER_MS;
    snprintf(report->node, sizeof report->node, "driver");
}

static void fill(struct sf_coord_request *request, bool again, uint64_t argument)
{
    pthread_mutex_lock(&seen.lock);
    fill_basis(&request->basis);
    switch (request->op) {
    case SF_COORD_INIT:
        fill_init(&request->u.init, again);
        break;
    case SF_COORD_READ_SLOT:
        request->u.worker = argument;
        break;
    case SF_COORD_CLAIM:
        hex_random(request->u.claim.guid);
        snprintf(request->u.claim.node, sizeof request->u.claim.node, "driver");
        break;
    case SF_COORD_UNCLAIM:
        snprintf(request->u.claim_name, sizeof request->u.claim_name, "%s", seen.claim.name);
        break;
    case SF_COORD_TELL:
    case SF_COORD_BIND:
    case SF_COORD_RENEW:
    case SF_COORD_RELEASE:
    case SF_COORD_RESET_SLOT:
        fill_write(&request->u.write, request->op, argument);
        break;
    case SF_COORD_HALT:
        fill_report(&request->u.report, argument);
        break;
    default:
        break;
    }
    pthread_mutex_unlock(&seen.lock);
}

static bool has_slot(enum sf_coord_op op)
{
    return op == SF_COORD_READ_SLOT || op == SF_COORD_BIND || op == SF_COORD_RENEW ||
           op == SF_COORD_RELEASE || op == SF_COORD_HALT || op == SF_COORD_RESET_SLOT;
}

static void command(struct sf_coord *coord, char *line, uint64_t id)
{
    static struct sf_coord_request request;
    memset(&request, 0, sizeof request);
    char *save = NULL, *word = strtok_r(line, " \n", &save);
    if (word == NULL || !op_of(word, &request.op)) {
        printf("unknown command\n");
        fflush(stdout);
        return;
    }
    const char *number = has_slot(request.op) ? strtok_r(NULL, " \n", &save) : NULL;
    const char *deadline = strtok_r(NULL, " \n", &save);
    request.id = id;
    request.deadline_ms = deadline != NULL ? (uint32_t)strtoul(deadline, NULL, 10) : 5000;
    fill(&request, strcmp(word, "remake") == 0, number != NULL ? strtoull(number, NULL, 10) : 0);
    sf_coord_submit(coord, &request);
    pthread_mutex_lock(&seen.lock);
    printf("submitted %" PRIu64 "\n", id);
    fflush(stdout);
    pthread_mutex_unlock(&seen.lock);
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 6) {
        fprintf(stderr,
                "usage: coord_driver URL FLEET SESSION_TIMEOUT_MS [USERNAME PASSWORD_FILE]\n");
        return 64;
    }
    struct sf_log *log = sf_log_create(2, SF_LOG_DEBUG, SF_LOG_TEXT);
    const struct sf_coord_options options = {.url = argv[1],
                                             .fleet = argv[2],
                                             .session_timeout_ms =
                                                 (uint32_t)strtoul(argv[3], NULL, 10),
                                             .username = argc == 6 ? argv[4] : NULL,
                                             .password_file = argc == 6 ? argv[5] : NULL,
                                             .log = log,
                                             .ticks = &sf_ticks_system,
                                             .sink = sink};
    struct sf_coord *coord = NULL;
    struct sf_error err = {0, ""};
    int rc = sf_coord_open(&options, &coord, &err);
    if (rc < 0) {
        printf("refused %d %s\n", rc, err.text);
        sf_log_destroy(log);
        return 1;
    }
    pthread_mutex_lock(&seen.lock);
    printf("opened\n");
    fflush(stdout);
    pthread_mutex_unlock(&seen.lock);
    char line[256];
    for (uint64_t id = 1; fgets(line, sizeof line, stdin) != NULL && strcmp(line, "quit\n") != 0;
         id++)
        command(coord, line, id);
    int64_t start_ns = sf_mono_ns();
    sf_coord_destroy(coord);
    printf("destroyed %" PRId64 "\n", (sf_mono_ns() - start_ns) / SF_NS_PER_MS);
    sf_log_destroy(log);
    return 0;
}
