"""Bugs of claims that a hop made twice, or late (docs/uniqueness.md, rule 7): as in bugs.py. What the simulated coordinator never does,
refuse that a claim is deleted, a unit test does.
"""
LIST = 'src/worker/reservation_list.c'
EVENTS = 'src/worker/reservation_events.c'
DECIDE = 'src/worker/reservation_decide.c'
STRAYS = 'unit.test_reservation_strays'

BUGS = {
    'stray-kept': ('claims', 'a claim that was given up, or made twice, is left when it turns up', [
        (LIST, '        if (ours && !in_use)', '        if (ours && !in_use && false)'),
    ]),
    'double-kept': ('claims', 'the double of a claim is left', [
        (LIST,
         'strcmp(claim->name, res->claim.name) == 0;',
         'strcmp(claim->guid, res->claim.guid) == 0;'),
    ]),
    'given-up-kept': ('claims', 'only the double of a claim is deleted, none that was given up', [
        (LIST,
         'strncmp(claim->guid, res->mark, strlen(res->mark)) == 0;',
         'strcmp(claim->guid, res->claim.guid) == 0;'),
    ]),
    'stray-by-node': ('claims', 'the claims of the other machines of a process are taken for strays', [
        (LIST,
         'strncmp(claim->guid, res->mark, strlen(res->mark)) == 0;',
         'strcmp(claim->node, res->params.node) == 0;'),
    ], STRAYS),
    'mark-drawn-each-time': ('claims', 'a claim is found again only as long as no other was asked for', [
        (DECIDE, "    if (res->mark[0] == '\\0')\n        memcpy(res->mark", '        memcpy(res->mark'),
    ]),
    'stray-before-renewal': ('claims', 'a claim that cannot be deleted is tried again before anything else', [
        (EVENTS, '        if (c->outcome != SF_COORD_DONE)\n            res->stray_count = 0;\n        else if (res->stray_count > 0)',
         '        if (c->outcome == SF_COORD_DONE && res->stray_count > 0)'),
        (DECIDE,
         '    if (hold->must_read) {\n'
         '        ask_slot(s, hold);\n'
         '        return;\n'
         '    }\n'
         '    const bool rebind',
         '    if (ask_stray(s))\n'
         '        return;\n'
         '    if (hold->must_read) {\n'
         '        ask_slot(s, hold);\n'
         '        return;\n'
         '    }\n'
         '    const bool rebind'),
    ], STRAYS),
    'claim-before-look': ('claims', 'who was refused a release makes a claim before it looks whether it was done', [
        (DECIDE,
         '    if (res->hold.must_read) {\n'
         '        ask_slot(s, &res->hold); /* it may be given back already',
         '    if (res->hold.must_read) {\n'
         '        if (!have_claim(s))\n'
         '            return;\n'
         '        ask_slot(s, &res->hold); /* it may be given back already'),
    ], STRAYS),
    'probes-pile-up': ('claims', 'who is suspended does not look for claims that were made twice', [
        (DECIDE, ': s->now->mono_ms - res->census.read_mono_ms >= SF_RES_CENSUS_MS;', ': false;'),
    ], STRAYS),
}
