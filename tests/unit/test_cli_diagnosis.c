/* What the doctor finds: a healthy picture gives nothing; each thing that is planted in it gives its rule, at the edge
 * and not before it; the table is whole, and its runbook entries exist. */
#include "unit/cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/diagnosis.c" /* the tool is no library */
#include "cli/diagnosis_fleet.c"
#include "cli/diagnosis_worker.c"
#include "cli/json_path.c"

#define NOW_MS INT64_C(1800000000000)
#define DAY    INT64_C(86400000)

static const char healthy_status[] =
    "{'state':'ready','why':'','ready':true,'halted':false,'fleet_id':'a','token':'t','datacenter':"
    "0,'worker':0,"
    "'slots':[{'state':'ready','datacenter':0,'worker':0}],'node':'w0','pid':1,'now_ms':"
    "1800000000000,"
    "'uptime_ms':3600000,'epoch_ms':1704067200000,'layout':{'timestamp':41},'timestamps_end_ms':"
    "3966249151551,"
    "'build':{'version':'1','commit':'c'},'reservation':{'left_ms':590000,'window_ms':600000},"
    "'checks':[{'name':'clock','ok':true,'text':''},{'name':'shards','ok':true,'text':''}],"
    "'clock':{'verdict':'ok','synchronized':true,'text':'','offset_ns':0,'error_ns':1,"
    "'sources':[{'name':'ntp','synchronized':true}],'servers':[{'name':'s','state':'selected'}]},"
    "'coordinator':{'backend':'etcd','connected':true},'saturation':0.1,"
    "'rates':{'10s':{'served':100,'refused':0,'exhausted':0,'refused_by':{}},'5m':{'refused_by':{}}"
    "},"
    "'latency_us':{'10s':{'served':{'p99':100}}},'certificates':[],'reload_refused':null,'events':["
    "]}";

struct scene {
    struct sf_picture picture;
    struct sf_seen_worker workers[3];
    json_t *status[3];
};

/* Quotes of C are tiresome in JSON: ' stands for ". */
static json_t *json_of(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    for (char *at = copy; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    json_error_t error;
    json_t *object = json_loads(copy, 0, &error);
    if (object == NULL)
        fail_msg("%s: %s", copy, error.text);
    free(copy);
    return object;
}

static void merge(json_t *to, json_t *patch)
{
    const char *key;
    json_t *value;
    json_object_foreach(patch, key, value)
    {
        json_t *there = json_object_get(to, key);
        if (json_is_object(there) && json_is_object(value))
            merge(there, value);
        else
            json_object_set(to, key, value);
    }
}

/* Two workers on slots 0/0 and 0/1, and a coordinator, all well. */
static void setup(struct scene *scene)
{
    *scene = (struct scene){.picture = {.now_ms = NOW_MS,
                                        .coordinator = SF_SEEN_ANSWERED,
                                        .text = "",
                                        .current = true,
                                        .state_there = true,
                                        .coordinator_error_ms = 5,
                                        .held = 2,
                                        .free = 30,
                                        .empty_datacenter = -1,
                                        .worker_count = 2}};
    (void)snprintf(scene->picture.config.fleet_id, sizeof scene->picture.config.fleet_id, "a");
    static const char *const admins[] = {"w0:7451", "w1:7451", "w2:7451"};
    static const char *const nodes[] = {"w0", "w1", "w2"};
    for (int i = 0; i < 3; i++) {
        char patch[160];
        scene->status[i] = json_of(healthy_status);
        (void)snprintf(patch, sizeof patch,
                       "{'worker':%d,'node':'w%d','slots':[{'datacenter':0,'worker':%d}]}", i, i,
                       i);
        json_t *own = json_of(patch);
        merge(scene->status[i], own);
        json_decref(own);
        scene->workers[i] = (struct sf_seen_worker){.admin = admins[i],
                                                    .node = nodes[i],
                                                    .why = "",
                                                    .status = scene->status[i],
                                                    .round_trip_ms = 2,
                                                    .asked_at_ms = NOW_MS};
    }
    scene->picture.workers = scene->workers;
}

static void teardown(struct scene *scene)
{
    for (int i = 0; i < 3; i++)
        json_decref(scene->status[i]);
}

static bool fired[sizeof rules / sizeof *rules];

/* The finding of this rule, NULL: it did not hold. Order and bounds of all are looked at on the way. */
static const struct sf_finding *find(const struct scene *scene, const char *rule)
{
    static struct sf_finding findings[sizeof rules / sizeof *rules];
    const size_t found = sf_diagnose(&scene->picture, findings);
    const struct sf_finding *ret = NULL;
    assert_true(found <= sf_rule_count);
    for (size_t i = 0; i < found; i++) {
        if (i > 0)
            assert_true(findings[i - 1].rule->severity >= findings[i].rule->severity);
        if (i > 0 && findings[i - 1].rule->severity == findings[i].rule->severity)
            assert_true(findings[i - 1].rule->certainty >= findings[i].rule->certainty);
        assert_true(findings[i].text[0] != '\0');
        if (strcmp(findings[i].rule->name, rule) == 0)
            ret = &findings[i];
    }
    if (ret != NULL)
        fired[ret->rule - rules] = true;
    return ret;
}

static void test_health(void **state)
{
    (void)state;
    struct scene scene;
    struct sf_finding findings[sizeof rules / sizeof *rules];
    setup(&scene);
    const size_t found = sf_diagnose(&scene.picture, findings);
    if (found > 0)
        fail_msg("%s: %s", findings[0].rule->name, findings[0].text);
    teardown(&scene);
}

/* What is said of worker 0, and which rule holds then; not: which must not. */
static void test_workers(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *patch, *text;
        bool not ;
    } rows[] = {
        {"worker.stalled", "{'checks':[{'name':'shards','ok':false,'text':'shard 1: 5 s'}]}",
         "shard 1", false},
        {"worker.clock_bad", "{'checks':[{'name':'clock','ok':false,'text':'offset 5 s'}]}",
         "offset 5 s", false},
        {"worker.clock_bad", "{'state':'resyncing','why':'for 10 s'}", "well again: for 10 s",
         false},
        {"worker.suspended", "{'state':'suspended','why':'used up'}", "used up", false},
        {"worker.suspended",
         "{'state':'suspended','checks':[{'name':'clock','ok':false,'text':'x'}]}", NULL, true},
        {"coordinator.quota", "{'why':'mvcc: database space exceeded'}", "says w0", false},
        {"coordinator.quota",
         "{'events':[{'event':'coordinator.failed','at_ms':1799999400000,'text':'database space "
         "exceeded'}]}",
         "says w0", false},
        {"coordinator.quota",
         "{'events':[{'event':'coordinator.failed','at_ms':1799999399999,'text':'database space "
         "exceeded'}]}",
         NULL, true},
        {"worker.clock_warn", "{'clock':{'verdict':'warn','offset_ns':150000000}}", "+150.0 ms",
         false},
        {"worker.clock_apart", "{'now_ms':1800000001003}", "1s apart", false},
        {"worker.clock_apart", "{'now_ms':1800000001002}", NULL, true},
        {"worker.clock_apart", "{'now_ms':1799999998997}", "1s apart", false},
        {"worker.clock_step",
         "{'events':[{'event':'clock.step','at_ms':1799999999000,'text':'back 3 s'}]}", "back 3 s",
         false},
        {"worker.clock_step",
         "{'events':[{'event':'clock.step','at_ms':1799996399999,'text':'back 3 s'}]}", NULL, true},
        {"worker.unsynchronised", "{'clock':{'synchronized':false}}", "no source", false},
        {"worker.source_down",
         "{'clock':{'sources':[{'name':'ntp','synchronized':false,'status':'silent'}]}}",
         "ntp: silent", false},
        {"worker.falseticker",
         "{'clock':{'servers':[{'name':'bad','state':'falseticker','offset_ns':2000000}]}}",
         "bad is +2.0 ms", false},
        {"worker.exhausted", "{'state':'exhausted','why':'the end'}", "the end", false},
        {"worker.timestamps_ending", "{'timestamps_end_ms':1957679999999}", "end at 2032", false},
        {"worker.timestamps_ending", "{'timestamps_end_ms':1957680000000}", NULL, true},
        {"worker.overloaded",
         "{'rates':{'10s':{'served':98,'refused':2,'refused_by':{'overloaded':2}}}}", "2 %", false},
        {"worker.overloaded",
         "{'rates':{'10s':{'served':99,'refused':1,'refused_by':{'overloaded':1}}}}", NULL, true},
        {"worker.rate_limited",
         "{'rates':{'10s':{'served':1,'refused':1,'refused_by':{'rate_limited':1}}}}", "50 %",
         false},
        {"worker.internal_errors", "{'rates':{'5m':{'refused_by':{'internal':0.01}}}}",
         "0.01 a second", false},
        {"worker.saturated", "{'saturation':0.9}", "90 %", false},
        {"worker.saturated", "{'saturation':0.89}", NULL, true},
        {"worker.sequence_exhausted", "{'rates':{'10s':{'exhausted':1.1}}}", "1 times", false},
        {"worker.sequence_exhausted", "{'rates':{'10s':{'exhausted':1}}}", NULL, true},
        {"worker.slow", "{'latency_us':{'10s':{'served':{'p99':10001}}}}", "10 ms", false},
        {"worker.slow", "{'latency_us':{'10s':{'served':{'p99':10000}}}}", NULL, true},
        {"worker.disconnected",
         "{'coordinator':{'connected':false},'reservation':{'left_ms':120000},"
         "'events':[{'event':'coordinator.disconnected','at_ms':1,'text':'refused'}]}",
         "2m00s more: refused", false},
        {"worker.disconnected",
         "{'coordinator':{'connected':false},'reservation':{'left_ms':119999}}", NULL, true},
        {"worker.reservation_low",
         "{'coordinator':{'connected':false},'reservation':{'left_ms':119999}}", "1m59s", false},
        {"worker.not_renewing", "{'reservation':{'left_ms':299999}}", "4m59s of 10m00s", false},
        {"worker.not_renewing", "{'reservation':{'left_ms':300000}}", NULL, true},
        {"worker.not_renewing", "{'reservation':{'left_ms':1},'coordinator':{'connected':false}}",
         NULL, true},
        {"worker.not_renewing", "{'reservation':{'left_ms':1},'halted':true}", NULL, true},
        {"worker.local_disk", "{'coordinator':{'backend':'local'},'why':'No space left on device'}",
         "No space", false},
        {"worker.local_disk", "{'why':'No space left on device'}", NULL, true},
        {"worker.pinned", "{'state':'claiming','why':'slot 0/3 (fleet.worker) is held by x'}",
         "0/3", false},
        {"worker.waiting", "{'state':'claiming','why':'slot 0/3 (fleet.worker) is held by x'}",
         NULL, true},
        {"worker.waiting", "{'state':'quarantined','why':'no free slot in datacenter 0'}",
         "no free slot", false},
        {"worker.draining", "{'state':'draining'}", "leaving", false},
        {"worker.fenced", "{'events':[{'event':'slot.lost','at_ms':1799999999000,'text':'taken'}]}",
         "taken", false},
        {"worker.superseded",
         "{'events':[{'event':'fleet.superseded','at_ms':1799999999000,'text':'anew'}]}", "anew",
         false},
        {"worker.certificate_expired",
         "{'certificates':[{'use':'listen.tls_cert','file':'/c','ends_ms':1799999999999}]}",
         "listen.tls_cert (/c) ended", false},
        {"worker.certificate_expired",
         "{'certificates':[{'use':'u','file':'/c','ends_ms':1800000000000}]}", NULL, true},
        {"worker.certificate_expiring",
         "{'certificates':[{'use':'u','file':'/c','ends_ms':1800604799999}]}", "ends at", false},
        {"worker.certificate_expiring",
         "{'certificates':[{'use':'u','file':'/c','ends_ms':1800604800000}]}", NULL, true},
        {"worker.reload_refused", "{'reload_refused':'no key'}", "no key", false},
        {"worker.restarted", "{'uptime_ms':59999}", "59s ago", false},
        {"worker.restarted", "{'uptime_ms':60000}", NULL, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scene scene;
        setup(&scene);
        json_t *patch = json_of(rows[i].patch);
        merge(scene.status[0], patch);
        json_decref(patch);
        const struct sf_finding *found = find(&scene, rows[i].rule);
        if ((found != NULL) == rows[i].not )
            fail_msg("%s by %s", rows[i].rule, rows[i].patch);
        if (found != NULL && strstr(found->text, rows[i].text) == NULL)
            fail_msg("%s: \"%s\" is not in \"%s\"", rows[i].rule, rows[i].text, found->text);
        if (found != NULL && found->workers > 0)
            assert_string_equal(found->who, "w0");
        teardown(&scene);
    }
}

static void test_silence(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        int rc;
        const char *why;
    } rows[] = {
        {"worker.gone", -ECONNREFUSED, "refused"},
        {"worker.silent", -ETIMEDOUT, "timeout"},
        {"worker.silent", -EHOSTUNREACH, "no route"},
        {"worker.name", -ENOENT, "no such name"},
        {"worker.token", -EACCES, "HTTP 401: a token is needed"},
        {"worker.tls", -EPROTO, "SSL certificate problem"},
        {"worker.other_port", -EPROTO, "Received HTTP/0.9"},
        {"worker.other_port", -ECONNRESET, "hung up"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scene scene;
        setup(&scene);
        scene.workers[0].rc = rows[i].rc;
        scene.workers[0].why = rows[i].why;
        scene.workers[0].status = NULL;
        assert_non_null(find(&scene, rows[i].rule));
        teardown(&scene);
    }
}

/* The whole fleet: who is the same is one finding, and the first few are named. */
static void test_several_workers(void **state)
{
    (void)state;
    struct scene scene;
    setup(&scene);
    for (int i = 0; i < 2; i++)
        json_object_set_new(json_object_get(scene.status[i], "clock"), "synchronized",
                            json_false());
    const struct sf_finding *found = find(&scene, "worker.unsynchronised");
    assert_non_null(found);
    assert_int_equal(found->workers, 2);
    assert_string_equal(found->who, "w0, w1");
    teardown(&scene);
}

static void test_workers_compared(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *patch; /* of worker 1; worker 0 is on 0/0 */
        bool not ;
    } rows[] = {
        {"slot.held_twice", "{'slots':[{'datacenter':0,'worker':0}]}", false},
        {"slot.held_twice", "{'slots':[{'datacenter':0,'worker':0}],'ready':false}", true},
        {"slot.held_twice", "{'slots':[{'datacenter':0,'worker':0}],'token':'u'}", true},
        {"slot.held_twice", "{'slots':[{'datacenter':1,'worker':0}]}", true},
        {"slot.held_twice", "{'slots':[{'datacenter':null,'worker':null}]}", true},
        {"fleet.two_ids", "{'fleet_id':'b'}", false},
        {"fleet.two_ids", "{'fleet_id':null}", true},
        {"fleet.layout_skew", "{'layout':{'timestamp':42}}", false},
        {"fleet.layout_skew", "{'epoch_ms':1}", false},
        {"fleet.version_skew", "{'build':{'version':'2'}}", false},
        {"fleet.few_ready", "{'ready':false}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scene scene;
        setup(&scene);
        json_t *patch = json_of(rows[i].patch);
        merge(scene.status[1], patch);
        json_decref(patch);
        if ((find(&scene, rows[i].rule) != NULL) == rows[i].not )
            fail_msg("%s by %s", rows[i].rule, rows[i].patch);
        teardown(&scene);
    }
    struct scene scene;
    setup(&scene);
    (void)snprintf(scene.picture.config.fleet_id, sizeof scene.picture.config.fleet_id, "b");
    assert_non_null(find(&scene, "fleet.two_ids"));
    for (int i = 0; i < 2; i++)
        json_object_set_new(scene.status[i], "ready", json_false());
    assert_non_null(find(&scene, "fleet.none_ready"));
    scene.workers[0].rc = -EACCES; /* it may be ready */
    scene.workers[0].status = NULL;
    assert_null(find(&scene, "fleet.none_ready"));
    scene.picture.worker_count = 0;
    assert_non_null(find(&scene, "fleet.none_ready"));
    teardown(&scene);
}

static void test_the_coordinator(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        enum sf_coord_reason reason;
        const char *text;
        size_t workers; /* that answer, and are connected */
    } rows[] = {
        {"coordinator.auth", SF_COORD_AUTH, "password", 0},
        {"coordinator.gateway", SF_COORD_UNREACHABLE, "HTTP 404: this port has no JSON gateway", 0},
        {"coordinator.quota", SF_COORD_UNREACHABLE, "mvcc: database space exceeded", 0},
        {"coordinator.storage", SF_COORD_STORAGE, "No space left", 0},
        {"coordinator.unreachable", SF_COORD_UNREACHABLE, "no connection", 0},
        {"coordinator.unreachable_here", SF_COORD_UNREACHABLE, "no connection", 2},
        {"fleet.missing", SF_COORD_MISSING, "there is no fleet", 0},
        {"fleet.wiped", SF_COORD_MISSING, "there is no fleet", 2},
        {"fleet.garbage", SF_COORD_GARBAGE, "not a config", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scene scene;
        setup(&scene);
        scene.picture.coordinator = SF_SEEN_REFUSED;
        scene.picture.reason = rows[i].reason;
        scene.picture.text = rows[i].text;
        scene.picture.worker_count = rows[i].workers;
        for (size_t j = 0; j < sizeof rows / sizeof *rows;
             j++) /* this one, and none of the others */
            if ((find(&scene, rows[j].rule) != NULL) != (i == j))
                fail_msg("%s where %s is", rows[j].rule, rows[i].rule);
        teardown(&scene);
    }
}

static void test_what_it_has(void **state)
{
    (void)state;
    struct scene scene;
    struct sf_picture *p = &scene.picture;
#define PLANT(holds, rule, ...)                                                                    \
    do {                                                                                           \
        setup(&scene);                                                                             \
        __VA_ARGS__;                                                                               \
        if ((find(&scene, rule) != NULL) != (holds))                                               \
            fail_msg("%s: %s", rule, #__VA_ARGS__);                                                \
        teardown(&scene);                                                                          \
    } while (0)
    PLANT(true, "fleet.halted", p->halted = true; p->text = "host-a noticed");
    PLANT(true, "fleet.halted", p->coordinator = SF_SEEN_NOT;
          json_object_set_new(scene.status[0], "halted", json_true()));
    PLANT(true, "fleet.unnamed", p->current = false);
    PLANT(true, "fleet.stateless", p->state_there = false);
    PLANT(false, "fleet.stateless", p->state_there = false; p->is_local = true);
    PLANT(true, "fleet.floor", p->config.floor_ms = NOW_MS + 1);
    PLANT(false, "fleet.floor", p->config.floor_ms = NOW_MS);
    PLANT(true, "fleet.full", p->free = 0; p->waiting = 1);
    PLANT(false, "fleet.full", p->free = 0);
    PLANT(true, "fleet.nearly_full", p->held = 30; p->free = 3; p->quarantined = 1);
    PLANT(false, "fleet.nearly_full", p->held = 27; p->free = 3);
    PLANT(true, "slot.broken", p->broken = 1);
    PLANT(true, "slot.leaked", p->leaked = 1);
    PLANT(true, "slot.distant", p->distant = 1);
    PLANT(true, "worker.lost", p->lost = 1; p->first_lost.until_ms = NOW_MS + 1000);
    PLANT(true, "datacenter.gone", p->empty_datacenter = 0);
    PLANT(true, "clock.here", p->coordinator_ahead_ms = -1006);
    PLANT(false, "clock.here", p->coordinator_ahead_ms = -1005);
    PLANT(false, "clock.here", p->coordinator_ahead_ms = -1006; p->coordinator_error_ms = -1);
    PLANT(true, "fleet.wiped", p->coordinator = SF_SEEN_NOT;
          json_object_set_new(scene.status[0], "why",
                              json_string("the fleet's config is gone from the coordinator")));
}

/* After all others. */
static void test_the_table(void **state)
{
    (void)state;
    char *book = NULL;
    size_t room = 0;
    FILE *file = fopen(SF_SOURCE_DIR "/RUNBOOK.md", "r");
    assert_non_null(file);
    assert_true(getdelim(&book, &room, '\0', file) > 0);
    fclose(file);
    for (size_t i = 0; i < sf_rule_count; i++) {
        char heading[160];
        const struct sf_rule *rule = &rules[i];
        (void)snprintf(heading, sizeof heading, "# %s\n", rule->runbook);
        if (strstr(book, heading) == NULL)
            fail_msg("%s: RUNBOOK.md has no heading \"%s\"", rule->name, rule->runbook);
        assert_true((rule->fleet != NULL) != (rule->worker != NULL));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(rule->name, rules[j].name);
        if (!fired[i])
            fail_msg("%s: no row of this test makes it hold", rule->name);
    }
    free(book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health),           cmocka_unit_test(test_workers),
        cmocka_unit_test(test_silence),          cmocka_unit_test(test_several_workers),
        cmocka_unit_test(test_workers_compared), cmocka_unit_test(test_the_coordinator),
        cmocka_unit_test(test_what_it_has),      cmocka_unit_test(test_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
