/* Reading again what a running worker may be told anew. */
#include "daemon/reload.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/ticks.h"
#include "daemon/json.h"
#include "daemon/server_host.h"

#define ERRORS_MAX 65536
#define NAMES_MAX  1024

/* What came of one time. */
struct outcome {
    json_t *changed, *needs_restart; /* names of options */
    struct sf_strbuf errors;         /* sentences, one a line; empty: it was taken */
};

void sf_reload_init(struct sf_daemon *d)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&d->reload.lock, NULL);
    pthread_cond_init(&d->reload.done_changed, &attr);
    pthread_condattr_destroy(&attr);
    sf_strbuf_init(&d->reload.answer, ERRORS_MAX);
    sf_files_init(&d->files);
    d->current = d->config;
    sf_files_take(&d->files, d->current, d->log);
}

void sf_reload_destroy(struct sf_daemon *d)
{
    if (d->current != d->config)
        sf_config_free(d->current);
    sf_files_destroy(&d->files);
    sf_strbuf_free(&d->reload.answer);
    pthread_cond_destroy(&d->reload.done_changed);
    pthread_mutex_destroy(&d->reload.lock);
}

static void add_error(struct outcome *outcome, const char *text)
{
    sf_strbuf_addf(&outcome->errors, "%s\n", text);
}

/* The files of the current config to who uses them. A new connection to the coordinator reads its own. */
static void hand_on(struct sf_daemon *d, const bool to[SF_FILES_USERS], struct outcome *outcome)
{
    struct sf_error err = {0};
    if (to[SF_FILES_DATA]) {
        struct sf_server_options options;
        sf_server_host_options(d, d->current, &options);
        if (sf_server_reload(d->server, &options, &err) != 0)
            add_error(outcome, err.text);
    }
    if (to[SF_FILES_ADMIN]) {
        const struct sf_admin_options options = {.tls_cert = d->current->admin_tls_cert,
                                                 .tls_key = d->current->admin_tls_key,
                                                 .token_file = d->current->admin_token_file};
        if (sf_admin_reload(d->admin, &options, &err) != 0)
            add_error(outcome, err.text);
    }
}

static void note_reloaded(void *ctx, const char *name, bool reloaded)
{
    struct outcome *outcome = ctx;
    if (reloaded)
        json_array_append_new(outcome->changed, json_string(name));
}

static void note_restart(void *ctx, const char *name, bool reloaded)
{
    struct outcome *outcome = ctx;
    if (!reloaded)
        json_array_append_new(outcome->needs_restart, json_string(name));
}

/* "a, b", or "" for none. */
static const char *names_of(const json_t *names, char to[NAMES_MAX])
{
    size_t used = 0;
    to[0] = '\0';
    for (size_t i = 0; i < json_array_size(names) && used < NAMES_MAX; i++)
        used += (size_t)snprintf(to + used, NAMES_MAX - used, "%s%s", i == 0 ? "" : ", ",
                                 json_string_value(json_array_get(names, i)));
    return to;
}

/* Counts, and keeps why for /status. */
static void count(struct sf_daemon *d, const struct sf_strbuf *errors)
{
    const bool ok = errors->length == 0;
    atomic_fetch_add(ok ? &d->reload.taken : &d->reload.refused, 1);
    pthread_mutex_lock(&d->reload.lock);
    snprintf(d->reload.refusal, sizeof d->reload.refusal, "%.*s",
             ok ? 0 : (int)strcspn(errors->text, "\n"), ok ? "" : errors->text);
    pthread_mutex_unlock(&d->reload.lock);
}

/* Counts, and says it. */
static void conclude(struct sf_daemon *d, const char *because, const struct outcome *outcome)
{
    char changed[NAMES_MAX], restart[NAMES_MAX];
    const bool ok = outcome->errors.length == 0;
    count(d, &outcome->errors);
    if (!ok) {
        sf_log_write(d->log, SF_LOG_ERROR, "reload.refused", "%s: what was there is kept: %s",
                     because, outcome->errors.text);
        return;
    }
    names_of(outcome->changed, changed);
    sf_log_write(d->log, SF_LOG_INFO, "reload.done",
                 "%s: limits, TLS files and tokens were read again; options that changed: %s",
                 because, changed[0] != '\0' ? changed : "none");
    names_of(outcome->needs_restart, restart);
    if (restart[0] != '\0')
        sf_log_write(d->log, SF_LOG_WARN, "reload.restart",
                     "other options changed that take effect at a restart only: %s", restart);
}

static void take_config(struct sf_daemon *d, struct sf_config *fresh, struct outcome *outcome)
{
    static const bool everybody[SF_FILES_USERS] = {true, true, true};
    struct sf_config *before = d->current;
    sf_config_changes(before, fresh, note_reloaded, outcome);
    sf_config_changes(d->config, fresh, note_restart, outcome);
    d->current = fresh;
    sf_files_take(&d->files, fresh, d->log);
    sf_log_set_level(d->log, fresh->log_level);
    hand_on(d, everybody, outcome);
    if (before != d->config)
        sf_config_free(before);
}

/* Reads everything again. to: the answer for who waits, or NULL. Returns 0 or -EINVAL. */
static int read_all(struct sf_daemon *d, const char *because, struct sf_strbuf *to)
{
    struct outcome outcome = {.changed = json_array(), .needs_restart = json_array()};
    struct sf_config *fresh = NULL;
    enum sf_config_action action;
    sf_strbuf_init(&outcome.errors, ERRORS_MAX);
    if (sf_config_load(d->argc, d->argv, d->environment, &fresh, &action, &outcome.errors) == 0)
        take_config(d, fresh, &outcome);
    else if (outcome.errors.length == 0)
        add_error(&outcome, "the options cannot be read: no memory");
    conclude(d, because, &outcome);
    const int rc = outcome.errors.length == 0 ? 0 : -EINVAL;
    if (to != NULL && rc == 0) {
        json_t *answer = json_pack("{s:O,s:O}", "changed", outcome.changed, "needs_restart",
                                   outcome.needs_restart);
        sf_json_dump(answer, to);
    } else if (to != NULL) {
        sf_strbuf_addf(to, "%s", outcome.errors.text);
    }
    json_decref(outcome.changed);
    json_decref(outcome.needs_restart);
    sf_strbuf_free(&outcome.errors);
    return rc;
}

void sf_reload_all(struct sf_daemon *d, const char *because)
{
    (void)read_all(d, because, NULL);
}

static void answer_asked(struct sf_daemon *d)
{
    struct sf_daemon_reload *reload = &d->reload;
    pthread_mutex_lock(&reload->lock);
    const uint64_t asked = reload->asked;
    const bool due = asked != reload->done;
    pthread_mutex_unlock(&reload->lock);
    if (!due)
        return;
    struct sf_strbuf answer;
    sf_strbuf_init(&answer, ERRORS_MAX);
    const int rc = read_all(d, "POST /reload", &answer);
    pthread_mutex_lock(&reload->lock);
    sf_strbuf_free(&reload->answer);
    reload->answer = answer;
    reload->rc = rc;
    reload->done = asked;
    pthread_cond_broadcast(&reload->done_changed);
    pthread_mutex_unlock(&reload->lock);
}

static void look_at_files(struct sf_daemon *d)
{
    bool files[SF_FILES_MAX], users[SF_FILES_USERS];
    char names[NAMES_MAX];
    struct outcome outcome = {0};
    if (!sf_files_changed(&d->files, d->current, sf_mono_ns() / SF_NS_PER_MS, files))
        return;
    sf_files_users(files, users);
    sf_files_names(files, names, sizeof names);
    sf_files_take(&d->files, d->current, d->log);
    sf_strbuf_init(&outcome.errors, ERRORS_MAX);
    hand_on(d, users, &outcome);
    count(d, &outcome.errors);
    if (outcome.errors.length == 0)
        sf_log_write(d->log, SF_LOG_INFO, "files.changed",
                     "%s: replaced, and used for new connections from now on", names);
    else
        sf_log_write(d->log, SF_LOG_ERROR, "reload.refused",
                     "%s: replaced, but what was there is kept: %s", names, outcome.errors.text);
    sf_strbuf_free(&outcome.errors);
}

void sf_reload_turn(struct sf_daemon *d)
{
    answer_asked(d);
    look_at_files(d);
}

int sf_reload_ask(struct sf_daemon *d, struct sf_strbuf *to)
{
    struct sf_daemon_reload *reload = &d->reload;
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SF_RELOAD_WAIT_MS / 1000;
    pthread_mutex_lock(&reload->lock);
    const uint64_t mine = ++reload->asked;
    sf_inbox_wake(d->inbox);
    while (reload->done < mine && rc == 0)
        rc = -pthread_cond_timedwait(&reload->done_changed, &reload->lock, &until);
    if (reload->done >= mine) {
        rc = reload->rc;
        sf_strbuf_addf(to, "%s", reload->answer.text != NULL ? reload->answer.text : "");
    } else {
        sf_strbuf_addf(to, "no answer within %d ms; the log tells what becomes of it\n",
                       SF_RELOAD_WAIT_MS);
    }
    pthread_mutex_unlock(&reload->lock);
    return rc;
}

json_t *sf_reload_refusal(struct sf_daemon *d)
{
    pthread_mutex_lock(&d->reload.lock);
    json_t *why = d->reload.refusal[0] != '\0' ? json_string(d->reload.refusal) : json_null();
    pthread_mutex_unlock(&d->reload.lock);
    return why;
}

void sf_reload_collect(struct sf_daemon *d, struct sf_metrics_page *page)
{
    sf_metrics_emit(page, SF_METRIC_RELOADS, "result=\"ok\"",
                    (double)atomic_load(&d->reload.taken));
    sf_metrics_emit(page, SF_METRIC_RELOADS, "result=\"refused\"",
                    (double)atomic_load(&d->reload.refused));
    sf_files_collect(&d->files, page);
}
