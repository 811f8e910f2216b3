/* contract/harness.c - see harness.h. */
#include "harness.h"
#include "coord/open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "base/ticks.h"
#include "fakes/fake_coord.h"

const char *ct_url;

struct ct_handle {
    struct ct_handle *next;
    struct sf_coord *coord;
    struct sf_coord_event *completions; /* all that came, newest first */
    unsigned notices[SF_COORD_FLEET_CHANGED + 1];
};

/* One test at a time. The lock guards what sinks touch. */
static struct {
    struct sf_fake_store *fake;
    char fleet[SF_COORD_FLEET_MAX];
    struct ct_handle *handles;
    uint64_t last_id;
    struct sf_coord_basis basis;
    pid_t cut; /* what changes the leader; 0: nothing does */
    int pause_fd;
    bool paused;
} world;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int ct_setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    world.pause_fd = -1;
    ct_guid(world.basis.token); /* of nothing, until a fleet is made */
    world.basis.config = world.basis.state = (struct sf_coord_version){1, 1};
    snprintf(world.fleet, sizeof world.fleet, "contract-%016" PRIx64, sf_random_u64());
    if (ct_url == NULL)
        world.fake = sf_fake_store_create();
    return 0;
}

int ct_teardown(void **state)
{
    (void)state;
    if (world.paused)
        ct_resume();
    while (!ct_cut_is_over())
        sf_sleep_ms(20);
    while (world.handles != NULL) {
        struct ct_handle *handle = world.handles;
        ct_close(handle);
        world.handles = handle->next;
        while (handle->completions != NULL) {
            struct sf_coord_event *event = handle->completions;
            handle->completions = event->link;
            sf_coord_event_free(event);
        }
        free(handle);
    }
    sf_fake_store_destroy(world.fake);
    return 0;
}

const char *ct_fleet(void)
{
    return world.fleet;
}

void ct_use_fleet(const char *name)
{
    snprintf(world.fleet, sizeof world.fleet, "%s", name);
}

static void sink(void *ctx, struct sf_coord_event *event)
{
    struct ct_handle *handle = ctx;
    pthread_mutex_lock(&lock);
    if (event->kind == SF_COORD_COMPLETION) {
        event->link = handle->completions;
        handle->completions = event;
        event = NULL;
    } else {
        handle->notices[event->kind]++;
    }
    pthread_mutex_unlock(&lock);
    sf_coord_event_free(event);
}

/* Lets the backend work a little. */
static void step(void)
{
    if (world.fake == NULL) {
        sf_sleep_ms(2);
        return;
    }
    sf_fake_set_server_ms(world.fake, sf_real_ns() / SF_NS_PER_MS);
    if (!sf_fake_pump(world.fake)) {
        sf_fake_advance_ms(world.fake, 5);
        sf_sleep_ms(1);
    }
}

void ct_pass_ms(int64_t ms)
{
    int64_t end_ns = sf_mono_ns() + ms * SF_NS_PER_MS;
    while (sf_mono_ns() < end_ns)
        step();
}

struct ct_handle *ct_open(void)
{
    struct ct_handle *handle = calloc(1, sizeof *handle);
    assert_non_null(handle);
    struct sf_coord_options options = {.url = ct_url,
                                       .fleet = world.fleet,
                                       .session_timeout_ms = CT_SESSION_MS,
                                       .username = getenv("SF_CONTRACT_USERNAME"),
                                       .password_file = getenv("SF_CONTRACT_PASSWORD_FILE"),
                                       .tls_ca = getenv("SF_CONTRACT_TLS_CA"),
                                       .tls_cert = getenv("SF_CONTRACT_TLS_CERT"),
                                       .tls_key = getenv("SF_CONTRACT_TLS_KEY"),
                                       .ticks = &sf_ticks_system,
                                       .sink = sink,
                                       .sink_ctx = handle};
    struct sf_error err = {0, ""};
    handle->next = world.handles;
    world.handles = handle;
    if (world.fake != NULL)
        handle->coord = sf_fake_open(world.fake, &options);
    else if (sf_coord_open(&options, &handle->coord, &err) < 0)
        fail_msg("cannot open %s: %s", ct_url, err.text);
    assert_true(ct_wait_notice(handle, SF_COORD_CONNECTED, 0));
    return handle;
}

void ct_close(struct ct_handle *handle)
{
    sf_coord_destroy(handle->coord);
    handle->coord = NULL;
}

struct sf_coord *ct_coord(struct ct_handle *handle)
{
    return handle->coord;
}

uint64_t ct_submit(struct ct_handle *handle, struct sf_coord_request *request)
{
    request->id = ++world.last_id;
    if (request->basis.token[0] == '\0')
        memcpy(request->basis.token, world.basis.token, sizeof request->basis.token);
    if (request->basis.config.incarnation == 0)
        request->basis.config = world.basis.config;
    if (request->basis.state.incarnation == 0)
        request->basis.state = world.basis.state;
    if (request->deadline_ms == 0)
        request->deadline_ms = CT_DEADLINE_MS;
    sf_coord_submit(handle->coord, request);
    return request->id;
}

struct sf_coord_completion *ct_wait(struct ct_handle *handle, uint64_t id, int64_t timeout_ms)
{
    int64_t end_ns = sf_mono_ns() + timeout_ms * SF_NS_PER_MS;
    for (;;) {
        pthread_mutex_lock(&lock);
        struct sf_coord_event *event = handle->completions;
        while (event != NULL && event->completion.id != id)
            event = event->link;
        pthread_mutex_unlock(&lock);
        if (event != NULL)
            return &event->completion;
        if (sf_mono_ns() >= end_ns)
            return NULL;
        step();
    }
}

struct sf_coord_completion *ct_call(struct ct_handle *handle, struct sf_coord_request *request)
{
    uint64_t id = ct_submit(handle, request);
    struct sf_coord_completion *completion = ct_wait(handle, id, 2 * CT_DEADLINE_MS);
    if (completion == NULL)
        fail_msg("%s: no completion", sf_coord_op_name(request->op));
    return completion;
}

struct sf_coord_completion *ct_expect(struct ct_handle *handle, struct sf_coord_request *request,
                                      enum sf_coord_outcome outcome, enum sf_coord_reason reason)
{
    struct sf_coord_completion *c = outcome == SF_COORD_DONE || outcome == SF_COORD_REFUSED
                                        ? ct_answer(handle, request)
                                        : ct_call(handle, request);
    if (c->outcome != outcome || c->reason != reason)
        fail_msg("%s: %s, %s (%s); expected %s, %s", sf_coord_op_name(c->op),
                 sf_coord_outcome_name(c->outcome), sf_coord_reason_name(c->reason), c->text,
                 sf_coord_outcome_name(outcome), sf_coord_reason_name(reason));
    assert_int_equal(c->op, request->op);
    if (outcome != SF_COORD_DONE && c->text[0] == '\0')
        fail_msg("%s: refused without a word", sf_coord_op_name(c->op));
    return c;
}

unsigned ct_notices(struct ct_handle *handle, enum sf_coord_event_kind kind)
{
    pthread_mutex_lock(&lock);
    unsigned count = handle->notices[kind];
    pthread_mutex_unlock(&lock);
    return count;
}

bool ct_wait_notice(struct ct_handle *handle, enum sf_coord_event_kind kind, unsigned seen)
{
    int64_t end_ns = sf_mono_ns() + CT_NOTICE_MS * SF_NS_PER_MS;
    while (ct_notices(handle, kind) <= seen) {
        if (sf_mono_ns() >= end_ns)
            return false;
        step();
    }
    return true;
}

unsigned ct_completions(struct ct_handle *handle, bool *ret_twice)
{
    unsigned count = 0;
    *ret_twice = false;
    pthread_mutex_lock(&lock);
    for (const struct sf_coord_event *a = handle->completions; a != NULL; a = a->link, count++)
        for (const struct sf_coord_event *b = a->link; b != NULL; b = b->link)
            if (a->completion.id == b->completion.id)
                *ret_twice = true;
    pthread_mutex_unlock(&lock);
    return count;
}

/* Below the contract. */

/* With the present making's token where the path is in its tree. */
static void fleet_path(const char *path, char *to, size_t size)
{
    const bool in_tree = strncmp(path, "/dc/", 4) == 0 || strcmp(path, "/state") == 0;
    snprintf(to, size, "%s%s%s%s", world.fleet, in_tree ? "/" : "",
             in_tree ? world.basis.token : "", path);
}

static void local_path(const char *path, char *to, size_t size)
{
    char below[400];
    fleet_path(path, below, sizeof below);
    snprintf(to, size, "%s/%s", ct_url + strlen("local://"), below);
}

static bool is_local(void)
{
    return ct_url != NULL && strncmp(ct_url, "local://", 8) == 0;
}

/* SF_CONTRACT_RAW is a command that takes "put PATH" (bytes on its input) or "delete PATH". */
static bool raw_command(const char *verb, const char *path, const char *bytes, size_t size)
{
    const char *tool = getenv("SF_CONTRACT_RAW");
    if (tool == NULL)
        return false;
    char command[1024], below[400];
    fleet_path(path, below, sizeof below);
    snprintf(command, sizeof command, "%s %s /snowfleet/%s", tool, verb, below);
    FILE *pipe = popen(command, "w");
    assert_non_null(pipe);
    if (size > 0)
        assert_int_equal(fwrite(bytes, 1, size, pipe), size);
    assert_int_equal(pclose(pipe), 0);
    return true;
}

bool ct_raw_put(const char *path, const char *bytes, size_t size)
{
    char name[512];
    if (world.fake != NULL) {
        name[0] = '/';
        fleet_path(path, name + 1, sizeof name - 1);
        sf_fake_put(world.fake, name, bytes, size);
        return true;
    }
    if (!is_local())
        return raw_command("put", path, bytes, size);
    local_path(path, name, sizeof name);
    FILE *file = fopen(name, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return true;
}

bool ct_raw_delete(const char *path)
{
    char name[512];
    if (world.fake != NULL) {
        name[0] = '/';
        fleet_path(path, name + 1, sizeof name - 1);
        sf_fake_delete(world.fake, name);
        return true;
    }
    if (!is_local())
        return raw_command("delete", path, "", 0);
    local_path(path, name, sizeof name);
    assert_int_equal(unlink(name), 0);
    return true;
}

static char task_state(long pid, const char *task)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%ld/task/%.20s/stat", pid, task);
    FILE *stat = fopen(path, "re");
    if (stat == NULL)
        return 'X'; /* it has ended */
    if (fgets(line, sizeof line, stat) == NULL)
        line[0] = '\0';
    fclose(stat);
    const char *name_end = strrchr(line, ')');
    return name_end != NULL && name_end[1] == ' ' ? name_end[2] : 'X';
}

/* A thread that is running when the signal comes may still answer a request. */
static bool stands(long pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *tasks = opendir(path);
    bool all = true;
    assert_non_null(tasks);
    for (struct dirent *task; all && (task = readdir(tasks)) != NULL;)
        all = task->d_name[0] == '.' || strchr("TtZX", task_state(pid, task->d_name)) != NULL;
    closedir(tasks);
    return all;
}

/* SF_CONTRACT_PIDS: the servers' process ids, separated by commas. */
static bool signal_servers(int number)
{
    const char *at = getenv("SF_CONTRACT_PIDS");
    if (at == NULL)
        return false;
    while (*at != '\0') {
        char *end = NULL;
        long pid = strtol(at, &end, 10);
        assert_true(pid > 1);
        assert_int_equal(kill((pid_t)pid, number), 0);
        for (int i = 0; number == SIGSTOP && !stands(pid); i++) {
            assert_true(i < 10000);
            sf_sleep_ms(1);
            kill((pid_t)pid, number); /* who disturbs may just have let it go on */
        }
        at = *end == ',' ? end + 1 : end;
    }
    return true;
}

bool ct_pause(struct ct_handle *handle)
{
    if (world.fake != NULL) {
        sf_fake_fault(handle->coord, SF_COORD_CLAIM, SF_FAKE_HELD);
        world.paused = true;
    } else if (is_local()) {
        char name[512];
        local_path("/dc/0/lock", name, sizeof name);
        world.pause_fd = open(name, O_RDWR | O_CLOEXEC);
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        assert_true(world.pause_fd >= 0);
        while (fcntl(world.pause_fd, F_OFD_SETLK, &whole) < 0)
            sf_sleep_ms(1);
        world.paused = true;
    } else {
        world.paused = signal_servers(SIGSTOP);
    }
    return world.paused;
}

void ct_resume(void)
{
    world.paused = false;
    if (world.fake != NULL)
        sf_fake_release(world.fake);
    else if (is_local())
        close(world.pause_fd);
    else
        signal_servers(SIGCONT);
}

/* SF_CONTRACT_CUT is a command that takes until another member leads. */
bool ct_cut(void)
{
    const char *command = getenv("SF_CONTRACT_CUT");
    if (command == NULL)
        return false;
    assert_int_equal(world.cut, 0);
    world.cut = fork();
    assert_true(world.cut >= 0);
    if (world.cut == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return true;
}

bool ct_cut_is_over(void)
{
    int status = 0;
    if (world.cut == 0)
        return true;
    const pid_t ended = waitpid(world.cut, &status, WNOHANG);
    if (ended == 0)
        return false;
    assert_int_equal(ended, world.cut);
    world.cut = 0;
    assert_int_equal(status, 0);
    return true;
}

/* Requests. */

struct sf_coord_request ct_request(enum sf_coord_op op)
{
    struct sf_coord_request request;
    memset(&request, 0, sizeof request);
    request.op = op;
    return request;
}

void ct_guid(char to[SF_HEX128_SIZE])
{
    uint8_t bytes[16];
    sf_random_bytes(bytes, sizeof bytes);
    sf_hex128(bytes, to);
}

struct sf_coord_request ct_init_request(uint8_t worker_bits)
{
    struct sf_coord_request request = ct_request(SF_COORD_INIT);
    struct sf_coord_config *config = &request.u.init.config;
    uint8_t bytes[16];
    sf_random_bytes(bytes, sizeof bytes);
    sf_uuid4(bytes, config->fleet_id);
    ct_guid(config->token);
    sf_random_bytes(request.u.init.seed, sizeof request.u.init.seed);
    request.u.init.survivor_max_ms = INT64_MAX;
    config->max_window_ms = 600000;
    config->epoch_ms = SF_DEFAULT_EPOCH_MS;
    config->layout = (struct sf_layout){41, 5, worker_bits, (uint8_t)(17 - worker_bits)};
    config->datacenter_count = 2;
    config->datacenters[1] = 1;
    config->floor_ms = 1000;
    config->incarnation = 1;
    config->created_ms = sf_real_ns() / SF_NS_PER_MS;
    return request;
}

struct sf_coord_config ct_init(struct ct_handle *handle, uint8_t worker_bits)
{
    struct sf_coord_request request = ct_init_request(worker_bits);
    ct_survey(handle, &request.u.init);
    struct sf_coord_completion *c = ct_expect(handle, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_non_null(c->config);
    const struct sf_coord_config config = *c->config;
    ct_learn(handle);
    return config;
}

struct sf_coord_basis ct_basis(void)
{
    return world.basis;
}

struct sf_coord_completion *ct_learn(struct ct_handle *handle)
{
    struct sf_coord_request request = ct_request(SF_COORD_READ_CONFIG);
    struct sf_coord_completion *c = ct_expect(handle, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    memcpy(world.basis.token, c->config->token, sizeof world.basis.token);
    world.basis.config = c->config->version;
    if (c->state != NULL)
        world.basis.state = c->state->version;
    return c;
}

void ct_survey(struct ct_handle *handle, struct sf_coord_init *init)
{
    struct sf_coord_request request = ct_request(SF_COORD_SURVEY);
    struct sf_coord_completion *c = ct_expect(handle, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_non_null(c->survey);
    init->root = c->survey->root;
    init->config.version = c->version;
}

struct sf_coord_claim ct_claim(struct ct_handle *handle)
{
    struct sf_coord_request request = ct_request(SF_COORD_CLAIM);
    struct sf_coord_claim_request *body = &request.u.claim;
    ct_guid(body->guid);
    strcpy(body->node, "node-a");
    strcpy(body->address, "127.0.0.1:7450");
    strcpy(body->admin, "[::1]:7451");
    strcpy(body->version, "0.1.0");
    strcpy(body->state, "claiming");
    body->since_ms = body->made_ms = sf_real_ns() / SF_NS_PER_MS;
    body->seeks = true;
    struct sf_coord_completion *c = ct_expect(handle, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_int_equal(c->claim_count, 1);
    assert_string_equal(c->claims[0].guid, body->guid);
    return c->claims[0];
}

struct sf_coord_slot ct_read_slot(struct ct_handle *handle, uint64_t worker)
{
    struct sf_coord_request request = ct_request(SF_COORD_READ_SLOT);
    request.u.worker = worker;
    struct sf_coord_completion *c = ct_expect(handle, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
    assert_int_equal(c->slot_count, 1);
    assert_int_equal(c->slots[0].worker, worker);
    return c->slots[0];
}

struct sf_coord_completion *ct_list(struct ct_handle *handle)
{
    ct_read_slot(handle,
                 0); /* confirmed: the next read of this handle shows what is later, not older */
    struct sf_coord_request request = ct_request(SF_COORD_LIST);
    return ct_expect(handle, &request, SF_COORD_DONE, SF_COORD_NO_REASON);
}

struct sf_coord_request ct_write(enum sf_coord_op op, const struct sf_coord_slot *slot,
                                 const struct sf_coord_claim *claim,
                                 const struct sf_coord_config *config)
{
    struct sf_coord_request request = ct_request(op);
    struct sf_coord_write *write = &request.u.write;
    write->slot = *slot;
    write->slot.fence = claim->fence;
    memcpy(write->slot.claim, claim->name, sizeof claim->name);
    write->slot.reserved_until_ms = slot->reserved_until_ms + 600000;
    write->slot.last_ms = slot->reserved_until_ms + 5;
    ct_guid(write->slot.nonce);
    strcpy(write->slot.node, "node-a");
    write->slot.updated_ms = sf_real_ns() / SF_NS_PER_MS;
    write->slot.from_ms = slot->fence == claim->fence ? slot->from_ms : slot->reserved_until_ms;
    write->expected = *slot;
    memcpy(request.basis.token, config->token, sizeof request.basis.token);
    request.basis.config = config->version;
    strcpy(write->body.node, "node-a");
    strcpy(write->body.address, "127.0.0.1:7450");
    strcpy(write->body.admin, "[::1]:7451");
    strcpy(write->body.version, "0.1.0");
    write->body.since_ms = claim->since_ms;
    write->body.made_ms = claim->made_ms;
    return request;
}

bool ct_same_version(const struct sf_coord_version *a, const struct sf_coord_version *b)
{
    return a->incarnation == b->incarnation && a->version == b->version;
}
