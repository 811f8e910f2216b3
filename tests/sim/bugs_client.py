"""Bugs of the client library; the test that is named with each must find it (mutants.py)."""
ANSWER = 'src/client/answer.c'
ATTEMPT = 'src/client/attempt.c'
ASYNC = 'src/client/async.c'
BLOCKING = 'src/client/blocking.c'
CONN = 'src/client/conn.c'
ENGINE = 'src/client/engine.c'
FORK = 'src/client/fork.c'
INNER = 'src/client/client_inner.h'
PREFETCH = 'src/client/prefetch.c'
PROCESS = 'src/client/process.c'
INFO = 'src/client/info.c'

LIES = 'unit.test_client_lies'
RING = 'unit.test_client_prefetch'
FORKS = 'unit.test_client_fork'
FORKS_BLOCKING = 'unit.test_client_fork_blocking'
CLIENT = 'unit.test_client'
NAMES = 'unit.test_client_names'

BUGS = {
    'more-ids-are-kept': ('client', 'an answer with more IDs than were asked for is kept', [
        (ANSWER, ' || ids != pending->count)', ' || ids < pending->count)'),
        (ANSWER, 'if (call->reply.count == call->request.count)', 'if (call->reply.count >= call->request.count)'),
    ], LIES),
    'fewer-ids-are-kept': ('client', 'an answer with fewer IDs than were asked for is kept, and the call ends with it', [
        (ANSWER, ' || ids != pending->count)', ' || ids > pending->count)'),
        (ANSWER, 'if (call->reply.count == call->request.count)', 'if (call->reply.count > 0)'),
    ], LIES),
    'array-overrun': ('client', 'one ID more than was asked for is written', [
        (BLOCKING, 'k < reply.runs[i].count; k++)', 'k <= reply.runs[i].count; k++)'),
    ], LIES),
    'count-zero': ('client', 'a call for no ID is asked', [
        (INNER, 'return request->count >= 1 && ', 'return '),
    ], LIES),
    'count-unbounded': ('client', 'a call for more IDs than a call may have is asked', [
        (INNER, 'request->count >= 1 && request->count <= SF_CLIENT_COUNT_MAX &&', 'request->count >= 1 &&'),
    ], LIES),
    'repeats-unnoticed': ('client', 'what a connection gave before is not looked at', [
        (ANSWER, 'bool fine = (conn->last_id == 0 || first > conn->last_id)', 'bool fine = true'),
    ], LIES),
    'repeat-of-the-last': ('client', 'the very last ID may come again', [
        (ANSWER, 'first > conn->last_id)', 'first >= conn->last_id)'),
    ], LIES),
    'after-unchecked': ('client', 'an answer that does not follow what it was asked to is taken', [
        (ANSWER, '(pending->after == 0 || first > pending->after)', 'true'),
    ], LIES),
    'after-itself': ('client', 'the ID that is to be followed may come again', [
        (ANSWER, 'first > pending->after)', 'first >= pending->after)'),
    ], LIES),
    'first-remembered': ('client', 'the first ID of an answer is remembered, not the last', [
        (ANSWER, '    conn->last_id = last;', '    conn->last_id = first;'),
    ], LIES),
    'floor-unchecked': ('client', 'what a server gave over another connection is not looked at', [
        (ANSWER, 'if (pending->floor != 0 && ', 'if (false && '),
    ], LIES),
    'floor-not-remembered': ('client', 'what a server gave is forgotten with its connection', [
        (ANSWER, '        server->last_id = last;', '        (void)server;'),
    ], LIES),
    'order-error-goes-on': ('client', 'a connection goes on after IDs that went back', [
        (ANSWER, '        return "IDs repeated or went back";', '        return NULL;'),
    ], LIES),
    'nonsense-goes-on': ('client', 'what came behind nonsense is taken', [
        (CONN, 'while (conn->state != SF_CONN_CLOSED) {\n        struct sf_wire_header header;',
         'for (;;) {\n        struct sf_wire_header header;'),
    ], LIES),
    'any-answer-fits': ('client', 'an answer to another request is taken', [
        (CONN, 'if (header->request_id != pending.request_id ||\n        header->type', 'if (header->type'),
    ], LIES),
    'late-answer-matched': ('client', 'the answer to a call that ended goes to whoever is there now', [
        (ATTEMPT, '    if (call->in_flight > 0)\n        sf_engine_detach(engine, call);\n    struct sf_client_reply',
         '    call->in_flight = 0;\n    struct sf_client_reply'),
    ], LIES),
    'second-answer-added': ('client', 'the answers of two servers to one request both count', [
        (ANSWER, '    if (call->in_flight > 0) /* an answer to a repeated request would be counted twice */\n'
         '        sf_engine_detach(engine, call);\n', ''),
    ], LIES),
    'nameless-fleet': ('client', 'IDs of a worker whose fleet is not known are taken', [
        (ANSWER, '    if (conn->nameless)', '    if (false)'),
    ], LIES),
    'name-never-told': ('client', 'a worker that gives IDs and never tells its fleet is asked for ever', [
        (ANSWER, '    if (conn->nameless && conn->ids_came)\n', '    if (false)\n'),
    ], LIES),
    'any-fleet': ('client', 'IDs of another fleet are taken', [
        (ANSWER, 'same = strcmp(shared->fleet_id, info.fleet_id) == 0;', 'same = true;'),
    ], LIES),
    'ring-overrun': ('client', 'two fillers put more into the ring than it holds', [
        (PREFETCH, 'const uint32_t room = prefetch->max - page->ids;', 'const uint32_t room = prefetch->max;'),
    ], RING),
    'ring-around-the-end': ('client', 'the ring begins again one place too late', [
        (PREFETCH, 'page->head + 1 < prefetch->max ?', 'page->head + 1 <= prefetch->max ?'),
    ], RING),
    'run-never-ends': ('client', 'a run that is used up goes on', [
        (PREFETCH, '            if (--run->count == 0)\n', '            if (--run->count == UINT32_MAX)\n'),
    ], RING),
    'age-unchecked': ('client', 'prefetched IDs never grow too old', [
        (PREFETCH, 'if (now_ns - run->fetched_ns <= max_age_ns)', 'if (max_age_ns >= 0 || now_ns == run->fetched_ns)'),
    ], RING),
    'first-of-a-fill-twice': ('client', 'the ID that a filler took is put into the ring as well', [
        (BLOCKING, '*ret_id = reply.runs[0].first++;\n        reply.runs[0].count--;', '*ret_id = reply.runs[0].first;'),
    ], RING),
    'engine-shared': ('client', 'two callers get one engine', [
        (BLOCKING, '        client->idle_count--;\n', ''),
    ], CLIENT),
    'woken-early': ('client', 'who shares an engine is woken before its call has ended', [
        (BLOCKING, '        if (joined->call.state != SF_CALL_DONE) {', '        if (joined->call.state == SF_CALL_QUEUED) {'),
    ], CLIENT),
    'connections-for-each': ('client', 'each of many callers has connections of its own', [
        (BLOCKING, 'client->engine_count < client->shared.options.pool)', 'client->engine_count < 16)'),
    ], CLIENT),
    'causal-forgotten': ('client', 'what was handed out is not told to the next worker', [
        (ATTEMPT, '        next.after = choice->causal_id;', '        next.after = 0;'),
    ], CLIENT),
    'old-connection-used': ('client', 'a server that took the place of another is asked over the other\'s connection', [
        (ATTEMPT, 'if (conn != NULL && conn->generation == generation && sf_conn_open(conn)) {',
         'if (conn != NULL && sf_conn_open(conn)) {'),
        (ATTEMPT, '        if (server->in_use && server->generation == conn->generation)\n            continue;',
         '        if (true)\n            continue;'),
    ], NAMES),
    'child-reports': (9, 'a child goes on reporting what its parent had in hand', [
        (ENGINE, 'while (engine->ended != NULL && sf_engine_is_ours(engine)) {', 'while (engine->ended != NULL) {'),
    ], FORKS),
    'orphans-have-ids': (9, 'the parent\'s calls are reported in the child as they were', [
        (ENGINE, '    struct sf_client_reply *const reply = &call->reply;\n    free(reply->runs);\n    reply->runs = NULL;\n'
         '    reply->run_count = reply->count = 0;\n    reply->error = SF_CLIENT_CANCELLED;',
         '    struct sf_client_reply *const reply = &call->reply;'),
    ], FORKS),
    'process-number-kept': (9, 'a child has its parent\'s number', [
        (FORK, '    fork->last++;\n', ''),
    ], FORKS),
    'call-of-the-parent': (9, 'a call that began in the parent hands its IDs out in the child', [
        (INNER, '    return sf_fork_is(&client->shared.fork, process);', '    return process != 0;'),
    ], FORKS_BLOCKING),
    'ring-inherited': (9, 'a child has its parent\'s prefetched IDs', [
        (FORK, 'if (madvise(map, size, MADV_WIPEONFORK) != 0)', 'if (madvise(map, size > 8 ? 1 : size, size > 8 ? MADV_NORMAL : MADV_WIPEONFORK) != 0)'),
        (PROCESS, '        sf_prefetch_clear(client->prefetch);\n', '        (void)0;\n'),
    ], FORKS_BLOCKING),
}
