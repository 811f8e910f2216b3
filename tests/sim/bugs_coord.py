"""Bugs of the coordinators' backends, each with the test that finds it, on real servers where it needs them: what is told of a write that
nobody answered, and what a write compares beside its version.
"""
ZK = 'src/coord/zookeeper/'
ETCD = 'src/coord/etcd/'
LOCAL = 'src/coord/local/'
TRAPS = 'contract.zookeeper_traps -k '
FAULTS = 'contract.etcd_faults -k '

BUGS = {
    'zk-unanswered-is-not-done': ('rule 1', 'a write whose connection was lost is told as surely not done', [
        (ZK + 'job.c',
         '    const bool unknown = sf_request_writes(job->request.op) && job->wrote;',
         '    const bool unknown = false;'),
    ], TRAPS + 'test_unheard_write_is_applied'),
    'zk-expired-is-refused': ('rule 7', 'a write that met the end of its session is told as refused', [
        (ZK + 'job.c',
         '    if (unanswered)\n        sf_zk_finish_unanswered(z, job, reason, text);',
         '    if (unanswered && rc != SF_ZK_SESSION_EXPIRED)\n        sf_zk_finish_unanswered(z, job, reason, text);'),
    ], TRAPS + 'test_no_error_of_a_write'),
    'zk-no-right-is-refused': ('rule 7', 'a write that was not allowed is told as refused', [
        (ZK + 'job.c',
         '    if (unanswered)\n        sf_zk_finish_unanswered(z, job, reason, text);',
         '    if (unanswered && rc != SF_ZK_NO_AUTH)\n        sf_zk_finish_unanswered(z, job, reason, text);'),
    ], TRAPS + 'test_no_right_leaves'),
    'zk-numbers-from-one': (14, 'an answer to another session is taken for ours, if it has the same number', [
        (ZK + 'link.c', '    link->next_xid = 1 + (int32_t)(sf_random_u64() % INT32_MAX);', '    link->next_xid = 1;'),
    ], TRAPS + 'test_an_answer_to_somebody_else_is_none'),
    'zk-answer-unchecked': (13, 'the record that was written may be another one than was read', [
        (ZK + 'basis.c', '    if (read->incarnation == 0 || read->incarnation == (uint64_t)stat->czxid) {', '    if (true) {'),
    ], TRAPS + 'test_a_record_made_again_in_mid_write'),
    'zk-record-unchecked': (13, 'the record that is looked at before a write may be another one than was read', [
        (ZK + 'basis.c',
         '        if (!sf_version_same(&there.version, &write->expected.version) ||\n'
         '            !sf_slot_content_same(&there, &write->expected))\n'
         '            verdict = SF_ZK_BAD_VERSION;',
         '        verdict = SF_ZK_OK;'),
    ], TRAPS + 'test_a_node_made_again'),
    'zk-config-unchecked': (13, 'the config may be another one, at the same version', [
        (ZK + 'basis.c', '        incarnation = request->basis.config.incarnation;\n        break;', '        return SF_ZK_OK;'),
    ], TRAPS + 'test_a_node_made_again'),
    'zk-reads-lag': ('rule 8', 'a read is not ordered behind a write', [
        (ZK + 'confirm.c',
         '    struct sf_zk_multi *multi = sf_zk_multi_create(1);\n'
         '    sf_zk_multi_check_exists(multi, SF_ZK_ROOT, z->options.root);\n'
         '    return sf_zk_multi_ask(z, job, index, multi, done);',
         '    return sf_zk_exists(z, job, index, z->options.root, NULL, done);'),
    ], TRAPS + 'test_confirmed_reads_do_not_lag'),
    'zk-claim-of-another': ('rule 2', 'the claim of another session is taken for ours', [
        (ZK + 'basis.c',
         '        return stat->ephemeral_owner == z->link->session_id ? SF_ZK_OK : SF_ZK_NO_NODE;',
         '        return SF_ZK_OK;'),
    ], 'contract.zookeeper --case a_claim_of_its_own'),
    'zk-written-claim-is-gone': (21, 'a claim that was written after it had been looked at is told as gone', [
        (ZK + 'basis.c', '        return rc == SF_ZK_NO_NODE ? sf_refusal_claim_gone(write->slot.claim)',
         '        return rc != SF_ZK_OK ? sf_refusal_claim_gone(write->slot.claim)'),
    ], TRAPS + 'test_a_write_that_is_done_twice'),
    'etcd-unanswered-is-not-done': ('rule 1', 'a write whose connection was lost is told as surely not done', [
        (ETCD + 'job.c', '    unanswered(etcd, job, result->fate == SF_ETCD_NO_ANSWER, result->reason', '    unanswered(etcd, job, false, result->reason'),
    ], FAULTS + 'test_dropped_answer_is_unknown'),
    'etcd-any-success': ('rule 7', 'the answer of another request that succeeded is taken for the acknowledgement of a write', [
        (ETCD + 'answer.c', '    if (!sf_etcd_txn_succeeded(answer->root) || sf_etcd_txn_range(answer->root, index, &range) < 0)\n        return -EBADMSG;\n',
         '    if (!sf_etcd_txn_succeeded(answer->root))\n        return -EBADMSG;\n    *ret = (struct sf_coord_version){answer->header.revision, answer->header.revision};\n    return 0;\n'),
        (ETCD + 'job.c', '        if (!job->tagged || sf_etcd_txn_has_tag(', '        if (true || sf_etcd_txn_has_tag('),
    ], FAULTS + 'acknowledgement'),
    'etcd-read-for-write': ('rule 7', 'a record of the slot that somebody read is taken for the one that was written', [
        (ETCD + 'answer.c', ' &&\n                kv->value_size == strlen(value) && strcmp(kv->value, value) == 0 &&', ' &&'),
    ], 'unit.test_etcd_answer'),
    'etcd-records-again': ('rule 2', 'what makes the records of a fleet writes over them when it comes again', [
        (ETCD + 'init.c',
         '.compares = &absent,\n'
         '                                                           .compare_count = 1,',
         '.compares = &absent,\n'
         '                                                           .compare_count = 0,'),
    ], FAULTS + 'test_records_are_made_once'),
    'etcd-tag-unchecked': (14, 'a read believes the answer to another request', [
        (ETCD + 'job.c', '        if (!job->tagged || sf_etcd_txn_has_tag(', '        if (true || sf_etcd_txn_has_tag('),
    ], FAULTS + 'test_an_answer_to_another_request_tells_nothing'),
    'etcd-trusts-on': (14, 'a connection that gave the answer to another request is used again', [
        (ETCD + 'job.c', '    sf_etcd_http_distrust(result);\n', ''),
    ], FAULTS + 'test_a_connection_with_an_answer_too_many'),
    'etcd-any-records': ('rule 5', 'the answer of another request is taken for that of the records that are made', [
        (ETCD + 'init.c', '    if (!is_planted(work, result->answer.root)) {', '    if (false && !is_planted(work, result->answer.root)) {'),
        (ETCD + 'job.c', '        if (!job->tagged || sf_etcd_txn_has_tag(', '        if (true || sf_etcd_txn_has_tag('),
    ], FAULTS + 'test_an_answer_to_another_request_makes_no_records'),
    'etcd-lease-gone-is-refused': ('rule 7', 'a claim that met the end of its lease is told as refused', [
        (ETCD + 'job.c',
         '        sf_etcd_job_fail(etcd, job, result, SF_COORD_UNKNOWN, SF_COORD_SESSION, "%s",',
         '        sf_etcd_job_fail(etcd, job, result, SF_COORD_REFUSED, SF_COORD_SESSION, "%s",'),
    ], FAULTS + 'test_error_answers'),
    'etcd-error-is-refused': ('rule 7', 'a write that was not allowed, or met a full store, is told as refused', [
        (ETCD + 'job.c', 'job->writing ? SF_COORD_UNKNOWN : SF_COORD_REFUSED, reason,', 'SF_COORD_REFUSED, reason,'),
    ], FAULTS + 'test_error_answers'),
    'etcd-claim-of-another': ('rule 2', 'the claim of another session is taken for ours', [
        (ETCD + 'write.c', 'lease_of(write->slot.claim) == etcd->session->lease ? write->slot.fence : INT64_MAX;', 'write->slot.fence;'),
    ], 'contract.etcd --case a_claim_of_its_own'),
    'etcd-content-unchecked': (13, 'the same version is taken for the same content', [
        (ETCD + 'write.c', '    if (before != NULL)\n        compares[compare_count++] =\n', '    if (before != NULL && false)\n        compares[compare_count++] =\n'),
    ], 'contract.etcd --case content_is_compared'),
    'etcd-reads-lag': ('rule 8', 'a member that lags answers reads by itself', [
        (ETCD + 'body.c',
         '/* No key of ours goes on with a byte below \'\\1\' behind another one. */\n'
         'static void add_range(struct sf_strbuf *buf, const struct sf_etcd_op *op)\n'
         '{\n',
         'static void add_range(struct sf_strbuf *buf, const struct sf_etcd_op *op)\n'
         '{\n'
         '    sf_strbuf_addf(buf, "\\"serializable\\":true,");\n'),
    ], FAULTS + 'test_reads_do_not_lag'),
    'local-lock-of-a-removed-file': ('rule 2', 'a lock is held on a file that is not there any more', [
        (LOCAL + 'disk.c', '    if (rc == 0 && !sf_disk_same_file(fd, dirfd, name))\n        rc = -EAGAIN;\n', ''),
    ], 'unit.test_coord_local_lock'),
    'local-claim-of-a-removed-file': ('rule 2', 'a claim counts whose file somebody has removed', [
        (LOCAL + 'claims.c', '    if (claim == NULL || sf_disk_same_file(claim->fd, dc->claims, name))\n', '    if (true)\n'),
    ], 'unit.test_coord_local'),
    'local-lock-left-to-a-child': ('a fork takes nothing along', 'a lock is given back by closing the file, which a child has open, too', [
        (LOCAL + 'disk.c', '    (void)fcntl(fd, F_OFD_SETLK, &whole);\n', '    (void)whole;\n'),
    ], 'unit.test_coord_local_lock'),
    'local-replaced-unnoticed': ('rule 6', 'another directory in the place of the fleet\'s is not a lost connection', [
        (LOCAL + 'watch.c', '    if (was_replaced(watch, store))\n', '    if (was_replaced(watch, store) && false)\n'),
    ], 'unit.test_coord_local_lock'),
}
