"""Bugs of finding a slot without lists, and of clients that use some of many workers; the test that is named with each must find it
(mutants.py)."""
DECIDE = 'src/worker/reservation_decide.c'
SEEK = 'src/worker/reservation_seek.c'
ZK = 'src/coord/zookeeper/'
RECORDS = 'src/coord/records.c'
POLICY = 'src/client/policy.c'
SOUGHT = 'unit.test_reservation_seek'
CLIENT = 'unit.test_client_policy'

BUGS = {
    'doubt-lists': ('claims', 'a claim in doubt is looked for in a list of everything', [
        (DECIDE, '    if (sf_res_probes(s->res))\n        sf_res_ask_find(s);', '    if (false)\n        sf_res_ask_find(s);'),
    ], SOUGHT),
    'looked-for-ever': ('claims', 'a notice does not make a renewal look again at what it had looked at', [
        (ZK + 'basis.c', ' &&\n           moment->notices == now.notices;', ';'),
    ], 'contract.zookeeper_traps -k test_what_is_watched_is_looked_at_once'),
    'looked-on-another-connection': ('claims', 'what was looked at on one connection is believed on the next', [
        (ZK + 'basis.c', ' && moment->losses == now.losses &&', ' &&'),
    ], 'contract.zookeeper_traps -k test_what_is_watched_is_looked_at_once'),
    'half-of-the-slots': ('claims', 'a seeker comes to half of the slots only', [
        (SEEK, '.step = sf_prng_next(&res->prng) | 1', '.step = sf_prng_next(&res->prng) & ~UINT64_C(1)'),
    ], SOUGHT),
    'living-robbed': ('claims', 'a slot whose reservation has passed is taken from a holder that lives', [
        (SEEK, 'sf_slot_state(slot, c->claims, c->claim_count,', 'sf_slot_state(slot, NULL, 0,'),
    ], SOUGHT),
    'judged-too-late': ('claims', 'a reservation that ends while its slot is looked at makes the slot free', [
        (SEEK, 'c->claim_count, asked_ms, NULL)', 'c->claim_count, s->now->mint_ms, NULL)'),
    ], SOUGHT),
    'asked-again-at-once': ('claims', 'who holds nothing is as impatient with a busy coordinator as who holds a slot', [
        ('src/worker/reservation_step.c', 'res->patient && !holds ?', 'false ?'),
    ], SOUGHT),
    'told-again-at-once': ('claims', 'what a claim could not be told is told again each second', [
        ('src/worker/reservation_tell.c', 'res->tells_failed < 2 ? res->tells_failed : 2', '0'),
    ], SOUGHT),
    'resting-forgotten': ('claims', 'a reservation that ends is not waited for', [
        (SEEK, '        seek->out_of_turn = true;\n        seek->earliest_ms = -1;\n'
               '        probe->workers[probe->count++] = seek->earliest;', '        seek->earliest_ms = -1;'),
    ], SOUGHT),
    'crowd-uncounted': ('claims', 'how many claims there are changes nothing', [
        (SEEK, '    const uint64_t others = c->claim_total - (seeks ? 1 : 0);', '    const uint64_t others = seeks ? 0 : 1;'),
    ], SOUGHT),
    'claims-beside': ('claims', 'of many claims the one at the fence is passed over', [
        (RECORDS, '        if (claims[middle].fence < fence)', '        if (claims[middle].fence <= fence)'),
    ], 'unit.test_coord_records'),
    'subset-of-all': ('clients', 'a client uses every worker that it knows', [
        (POLICY, '    if (most == 0 || policy->places <= most)', '    if (most != 0 || policy->places <= most)'),
    ], CLIENT),
    'first-come-kept': ('clients', 'of more workers than are kept those that were known first are', [
        ('src/client/resolve.c', '        if (policy->servers[last].rank >= rank)\n            return -1;', '        if (last >= 0)\n            return -1;'),
    ], 'unit.test_client_bounds'),
    'first-told-kept': ('clients', 'of more workers than are kept those that were told of first are', [
        ('src/client/discover.c', '    if (least >= rank_of(shared, at))\n        return SF_NAMES_MAX;', '    if (least >= 1)\n        return SF_NAMES_MAX;'),
    ], 'unit.test_client_bounds'),
    'subset-the-same': ('clients', 'all clients use the same workers', [
        (POLICY, '    hash ^= seed;\n', '    hash ^= seed & 1;\n'),
    ], CLIENT),
}
