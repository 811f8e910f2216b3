/* coord/zookeeper/init.c - see init.h. From the last step to the first, as the phases call each
 * other. */
#include "coord/zookeeper/init.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "coord/init_plan.h"
#include "coord/records.h"
#include "coord/survey.h"
#include "coord/version.h"
#include "coord/zookeeper/acl.h"
#include "coord/zookeeper/answer.h"
#include "coord/zookeeper/confirm.h"
#include "coord/zookeeper/tree.h"

static void drop_currents(struct sf_zk_making *making)
{
    sf_zk_names_free(making->currents);
    free(making->current_versions);
    making->currents = NULL;
    making->current_versions = NULL;
}

void sf_zk_init_free(void *work)
{
    struct sf_zk_making *making = work;
    sf_zk_survey_drop(&making->surveying);
    drop_currents(making);
    sf_zk_names_free(making->survivors);
    free(making);
}

static void refuse_raced(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_refusal raced =
        sf_refusal_config_raced(z->options.root, job->request.u.init.after_data_loss);
    sf_zk_refuse(z, job, &raced);
}

static bool is_broken_condition(int rc)
{
    return rc == SF_ZK_NO_NODE || rc == SF_ZK_BAD_VERSION || rc == SF_ZK_NODE_EXISTS;
}

/* Did it become the fleet? Whatever the last step answered, the config tells: our own token there
 * means done. Without an answer its absence tells nothing: the step may still be on its way. */

static void settle(struct sf_zk *z, struct sf_zk_job *job);

/* Whether it has to be asked again: the connection may have broken with the step's answer. */
static bool is_unsettled(struct sf_zk_job *job, const struct sf_zk_call *call)
{
    struct sf_zk_making *making = job->work;
    const bool broken = call->rc == SF_ZK_CONNECTION_LOSS || call->rc == SF_ZK_TIMEOUT;
    making->unsettled = making->unsettled || broken;
    return broken;
}

static void quorum_asked(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    if (!is_unsettled(job, call) && call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE)
        sf_zk_finish_rc(z, job, call->rc, "reading what became of the fleet's config");
}

static void config_settled(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct sf_zk_making *making = job->work;
    if (is_unsettled(job, call))
        return;
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE) {
        sf_zk_finish_rc(z, job, call->rc, "reading what became of the fleet's config");
        return;
    }
    struct sf_coord_config *config = calloc(1, sizeof *config);
    struct sf_coord_version version = {0, 0};
    SF_ASSERT(config != NULL);
    if (sf_zk_config_from(call, config, &version, NULL) != SF_COORD_RECORD_OK ||
        strcmp(config->token, making->config.token) != 0) {
        free(config);
        return;
    }
    job->event->completion.config = config;
    sf_zk_told_time(job, call->stat.mtime_ms);
    sf_zk_finish_done(z, job);
}

static int issue_settle(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    if (index == 0)
        return sf_zk_ask_quorum(z, job, index, quorum_asked);
    sf_zk_path(z, path, "/config");
    return sf_zk_get(z, job, index, path, config_settled);
}

static void not_ours(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_zk_making *making = job->work;
    if (making->unsettled || !sf_zk_is_confirmed(z, job))
        settle(z, job);
    else if (is_broken_condition(making->named_rc))
        refuse_raced(z, job);
    else if (making->named_rc == SF_ZK_OK)
        sf_zk_finish(z, job, SF_COORD_UNKNOWN, SF_COORD_CONFIG_CHANGED,
                     "the fleet was made, and replaced at once by somebody else");
    else
        sf_zk_finish_rc(z, job, making->named_rc, "naming the fleet");
}

static void settle(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_zk_making *making = job->work;
    making->unsettled = false;
    sf_zk_phase(z, job, 2, issue_settle, not_ours);
}

/* Taking and giving the name. */

/* Every making moves the root. */
static void add_move(const struct sf_zk *z, const struct sf_zk_making *making,
                     struct sf_zk_multi *multi)
{
    sf_zk_multi_set(multi, SF_ZK_ROOT, z->options.root, "", making->root.version);
}

static void add_unnaming(const struct sf_zk *z, const struct sf_zk_making *making,
                         struct sf_zk_multi *multi)
{
    char path[SF_ZK_PATH_MAX];
    for (size_t i = 0; i < making->currents->count; i++) {
        sf_zk_path(z, path, "/%s", making->currents->text[i]);
        sf_zk_multi_delete(multi, SF_ZK_CURRENT, path, making->current_versions[i]);
    }
}

static void named(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    (void)z;
    struct sf_zk_making *making = job->work;
    making->named_rc = call->rc;
}

static int issue_naming(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_making *making = job->work;
    const char *token = making->config.token;
    char path[SF_ZK_PATH_MAX];
    struct sf_zk_multi *multi = sf_zk_multi_create(4 + (int)making->currents->count);
    add_move(z, making, multi);
    sf_zk_state_path(z, path, token);
    sf_zk_multi_check_exists(multi, SF_ZK_STATE, path);
    add_unnaming(z, making, multi);
    sf_zk_current_path(z, path, token);
    sf_zk_multi_make(multi, SF_ZK_CURRENT, path, "", sf_zk_acl_name(&z->options), 0);
    char *content = sf_record_config_encode(&making->config);
    sf_zk_path(z, path, "/config");
    if (making->there.incarnation != 0)
        sf_zk_multi_set(multi, SF_ZK_CONFIG, path, content, making->there.version);
    else
        sf_zk_multi_make(multi, SF_ZK_CONFIG, path, content, sf_zk_acl_record(&z->options), 0);
    free(content);
    return sf_zk_multi_send(z, job, index, multi, named);
}

static void name_it(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_naming, settle);
}

/* The names that there are, each with its version; on the way, root and config must still be what
 * they were, incarnations too, which a multi cannot compare. */

static void current_looked_at(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct sf_zk_making *making = job->work;
    const uint64_t version = call->rc == SF_ZK_OK ? sf_zk_version_of(&call->stat).version : 0;
    if (call->rc == SF_ZK_NO_NODE || version > SF_ZK_VERSION_MAX)
        refuse_raced(z, job);
    else if (call->rc != SF_ZK_OK)
        sf_zk_finish_rc(z, job, call->rc, "looking at the names of makings");
    else
        making->current_versions[call->index] = version;
}

static int issue_current(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_making *making = job->work;
    char path[SF_ZK_PATH_MAX];
    sf_zk_path(z, path, "/%s", making->currents->text[index]);
    return sf_zk_exists(z, job, index, path, false, current_looked_at);
}

static void names_listed(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_zk_making *making = job->work;
    const struct sf_coord_version root =
        call->rc == SF_ZK_OK ? sf_zk_version_of(&call->stat) : (struct sf_coord_version){0, 0};
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE) {
        sf_zk_finish_rc(z, job, call->rc, "listing the names of makings");
    } else if (!sf_version_same(&root, &making->root)) {
        refuse_raced(z, job);
    } else {
        drop_currents(making);
        making->currents = sf_zk_names_take(call);
        sf_zk_names_keep(making->currents, sf_zk_is_current_name);
        making->current_versions =
            calloc(making->currents->count + 1, sizeof *making->current_versions);
        SF_ASSERT(making->current_versions != NULL);
    }
}

static void config_looked_at(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    const struct sf_zk_making *making = job->work;
    const struct sf_coord_version there =
        call->rc == SF_ZK_OK ? sf_zk_version_of(&call->stat) : (struct sf_coord_version){0, 0};
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE)
        sf_zk_finish_rc(z, job, call->rc, "looking at the fleet's config");
    else if (!sf_version_same(&there, &making->there))
        refuse_raced(z, job);
}

static int issue_names(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    if (index == 0)
        return sf_zk_children(z, job, index, z->options.root, false, names_listed);
    sf_zk_path(z, path, "/config");
    return sf_zk_exists(z, job, index, path, false, config_looked_at);
}

static void look_at_currents(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_zk_making *making = job->work;
    sf_zk_phase(z, job, making->currents->count, issue_current, making->listed);
}

static void list_names(struct sf_zk *z, struct sf_zk_job *job,
                       void (*then)(struct sf_zk *z, struct sf_zk_job *job))
{
    struct sf_zk_making *making = job->work;
    making->listed = then;
    sf_zk_phase(z, job, 2, issue_names, look_at_currents);
}

/* The floor and the tree. */

static void begin_naming(struct sf_zk *z, struct sf_zk_job *job)
{
    list_names(z, job, name_it);
}

static void make_tree(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_zk_making *making = job->work;
    const struct sf_coord_init *init = &job->request.u.init;
    struct sf_refusal refusal = {0};
    if (sf_init_plan_floor(init, z->options.root,
                           init->after_data_loss ? &making->surveying.found : NULL,
                           &making->config.floor_ms, &refusal) < 0)
        sf_zk_refuse(z, job, &refusal);
    else
        sf_zk_make_tree(z, job, begin_naming);
}

/* After a loss of data: the names go first, then everything that survives is read. */

static void take_children(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_zk_making *making = job->work;
    if (call->rc != SF_ZK_OK)
        sf_zk_finish_rc(z, job, call->rc, "listing what survives of the fleet");
    else
        making->survivors = sf_zk_names_take(call);
}

static int issue_children(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    return sf_zk_children(z, job, index, z->options.root, false, take_children);
}

static void survey_trees(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_zk_making *making = job->work;
    struct sf_zk_names *survivors = making->survivors;
    making->survivors = NULL;
    sf_zk_survey_trees(z, job, survivors);
}

static void survey(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_zk_making *making = job->work;
    sf_survey_begin(&making->surveying.found);
    making->surveying.then = make_tree;
    sf_zk_phase(z, job, 1, issue_children, survey_trees);
}

static void unnamed(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_zk_making *making = job->work;
    const struct sf_zk_stat *stat = sf_zk_multi_stat(call->multi, SF_ZK_ROOT);
    const bool another = call->rc == SF_ZK_OK && (uint64_t)stat->czxid != making->root.incarnation;
    if (another || is_broken_condition(call->rc))
        refuse_raced(z, job);
    else if (call->rc != SF_ZK_OK)
        sf_zk_finish_rc(z, job, call->rc, "taking the name from the making that was there");
    else
        making->root = sf_zk_version_of(stat);
}

static int issue_unnaming(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    const struct sf_zk_making *making = job->work;
    char path[SF_ZK_PATH_MAX];
    struct sf_zk_multi *multi = sf_zk_multi_create(3 + (int)making->currents->count);
    add_move(z, making, multi);
    sf_zk_path(z, path, "/config");
    if (making->there.incarnation != 0)
        sf_zk_multi_check(multi, SF_ZK_CONFIG, path, making->there.version);
    else
        sf_zk_multi_check_absent(multi, SF_ZK_CONFIG, path, sf_zk_acl_record(&z->options));
    add_unnaming(z, making, multi);
    return sf_zk_multi_send(z, job, index, multi, unnamed);
}

static void unname(struct sf_zk *z, struct sf_zk_job *job)
{
    sf_zk_phase(z, job, 1, issue_unnaming, survey);
}

/* What is there. */

static void begin(struct sf_zk *z, struct sf_zk_job *job)
{
    if (job->request.u.init.after_data_loss)
        list_names(z, job, unname);
    else
        make_tree(z, job);
}

static void decided(struct sf_zk *z, struct sf_zk_job *job)
{
    const struct sf_zk_making *making = job->work;
    if (!sf_zk_ensure_confirmed(z, job))
        return;
    job->confirmed = false; /* from here on conditions decide */
    if (!sf_version_same(&making->root, &job->request.u.init.root))
        refuse_raced(z, job);
    else if (making->root.version > SF_ZK_VERSION_MAX || making->there.version > SF_ZK_VERSION_MAX)
        sf_zk_finish(z, job, SF_COORD_REFUSED, SF_COORD_INVALID,
                     "the fleet was made or its config written more than 2^30 times: make another "
                     "fleet, under a new name");
    else if (making->root.incarnation == 0)
        sf_zk_make_root(z, job, begin);
    else
        begin(z, job);
}

static void root_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_zk_making *making = job->work;
    if (call->rc == SF_ZK_OK)
        making->root = sf_zk_version_of(&call->stat);
    else if (call->rc != SF_ZK_NO_NODE)
        sf_zk_finish_rc(z, job, call->rc, "looking at the fleet's root");
}

static void config_read(struct sf_zk *z, struct sf_zk_job *job, struct sf_zk_call *call)
{
    struct sf_zk_making *making = job->work;
    if (call->rc != SF_ZK_OK && call->rc != SF_ZK_NO_NODE) {
        sf_zk_finish_rc(z, job, call->rc, "reading the fleet's config");
        return;
    }
    struct sf_coord_config *there = calloc(1, sizeof *there);
    struct sf_error err = {0};
    struct sf_refusal refusal = {0};
    SF_ASSERT(there != NULL);
    struct sf_init_found found = {.config = there, .why = err.text};
    found.state = sf_zk_config_from(call, there, &found.version, &err);
    making->there = found.version;
    job->event->completion.config = there;
    switch (sf_init_plan_config(&job->request.u.init, z->options.root, &found, &making->config,
                                &refusal)) {
    case SF_INIT_GO:
        job->event->completion.config = NULL;
        free(there);
        return;
    case SF_INIT_DONE:
        sf_zk_finish_done(z, job);
        return;
    case SF_INIT_REFUSED:
        sf_zk_refuse(z, job, &refusal);
        return;
    }
}

static int issue_look(struct sf_zk *z, struct sf_zk_job *job, size_t index)
{
    char path[SF_ZK_PATH_MAX];
    if (index == 0)
        return sf_zk_confirm(z, job, index);
    if (index == 1)
        return sf_zk_exists(z, job, index, z->options.root, false, root_read);
    sf_zk_path(z, path, "/config");
    return sf_zk_get(z, job, index, path, config_read);
}

void sf_zk_init(struct sf_zk *z, struct sf_zk_job *job)
{
    struct sf_zk_making *making = calloc(1, sizeof *making);
    SF_ASSERT(making != NULL);
    job->work = making;
    sf_zk_phase(z, job, 3, issue_look, decided);
}
