"""Bugs of what a worker tells of itself in its claim, for others to see: as in bugs.py. No ID depends on it, so tests find them."""
TELL = 'src/worker/reservation_tell.c'
DECIDE = 'src/worker/reservation_decide.c'
UNIT = 'unit.test_reservation_tell'

BUGS = {
    'suspended-unseen': ('claims', 'who cannot use a slot keeps no claim', [
        (DECIDE, '    if (!has)\n        ask_claim(s);', '    (void)has;'),
    ], UNIT),
    'suspended-in-the-queue': ('claims', 'who cannot use a slot waits in order all the same', [
        ('src/worker/reservation_choose.c', 'claim->slot >= 0 || !claim->seeks ||', 'claim->slot >= 0 ||'),
    ], 'unit.test_reservation_choose'),
    'back-in-front': ('claims', 'who comes back waits where it was before those who came meanwhile', [
        (DECIDE, '    if (sf_res_claim_is_idle(res)) {', '    if (false) {'),
    ], UNIT),
    'tell-stream': ('claims', 'a claim is written as often as its reason changes', [
        (TELL, 's->now->mono_ms - res->told_mono_ms < pause_ms || !differs(s)', '!differs(s)'),
    ], UNIT),
    'tell-numbers': ('claims', 'a claim is written anew for each number in its reason', [
        (TELL, '    static const char numbers[] = "0123456789.";', '    static const char numbers[] = "";'),
    ], UNIT),
    'tell-once': ('claims', 'what was not heard is not told again', [
        (TELL, "        says->state[0] = '\\0'; /* nobody knows: it is told again */", '        (void)0;'),
    ], UNIT),
    'etcd-tell-of-another': ('claims', 'the claim of another session is told a state', [
        ('src/coord/etcd/write.c',
         'range.kvs[0].create_revision == own_fence(etcd, write);\n    const uint64_t mod_revision',
         'range.kvs[0].create_revision == write->slot.fence;\n    const uint64_t mod_revision'),
        ('src/coord/etcd/write.c',
         '.revision = own_fence(etcd, write)},\n        {.key = key, .target = SF_ETCD_MOD, .revision = mod_revision}};',
         '.revision = write->slot.fence},\n        {.key = key, .target = SF_ETCD_MOD, .revision = mod_revision}};'),
    ], 'contract.etcd --case tell_needs_claim'),
    'zk-tell-makes-anew': ('claims', 'the state of a claim that is gone is told as done', [
        ('src/coord/zookeeper/claim.c',
         '    static const enum sf_zk_condition list[] = {SF_ZK_CLAIM};\n'
         '    sf_zk_look(z, job, list, sizeof list / sizeof list[0], send_tell);',
         '    (void)send_tell;\n'
         '    sf_zk_finish_done(z, job);'),
    ], 'contract.zookeeper --case tell_needs_claim'),
}
