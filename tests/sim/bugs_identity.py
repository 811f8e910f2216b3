"""Bugs of the rules 5 to 10 of docs/uniqueness.md: makings, content before counters, refusals, losses, floors. As bugs.py."""
TENURE = 'src/worker/reservation_tenure.c'
EVENTS = 'src/worker/reservation_events.c'
CONFIG = 'src/worker/reservation_config.c'
DECIDE = 'src/worker/reservation_decide.c'
MOVES = 'src/worker/reservation_moves.c'
MACHINE = 'src/worker/reservation.c'
STATE = 'src/worker/statefile.c'
LOSS = 'src/worker/reservation_loss.c'
PLAN = 'src/coord/init_plan.c'
STORE = 'tests/sim/store.c'

BUGS = {
    'making-ignored': ('rule 5', 'another making is taken for the same, as long as the counters match', [
        (CONFIG,
         '        if (is_other_making(res, config))\n'
         '            sf_res_other_making(s, config);\n',
         '        memcpy(res->hold.token, config->token, sizeof res->hold.token);\n'),
    ]),
    'current-unchecked': ('rule 5', 'a grant does not check that its making is the named one', [
        (STORE,
         '    else if (by_name && (tree == NULL || !tree->named))',
         '    else if (by_name && tree == NULL)'),
    ]),
    'reconnect-unread': ('rule 6', 'the record is not read after the connection was lost', [
        (EVENTS,
         '        res->hold.must_read = res->hold.active && !res->orphan;',
         '        (void)0;'),
    ]),
    'version-before-content': ('rule 6', 'the same version is taken for the same content', [
        (TENURE,
         '    if (strcmp(slot->nonce, tenure->record.nonce) == 0) {',
         '    if (slot->version.version == tenure->record.version.version) {'),
    ], 'unit.test_reservation_loss'),
    'refusal-believed': ('rule 7', 'a refused write is taken for not done', [
        (TENURE,
         '        tenure->outstanding[last].refused = true;\n'
         '        tenure->must_read = true;\n',
         '        tenure->outstanding_count--;\n'),
    ]),
    'bid-refusal-believed': ('rule 7', 'a refused bid is dropped unread', [
        (EVENTS,
         '    if (c->outcome == SF_COORD_REFUSED) {\n'
         '        refused(s, c, tenure);\n',
         '    if (c->outcome == SF_COORD_REFUSED) {\n'
         '        if (on_bid)\n'
         '            sf_res_bid_dropped(s, "refused");\n'
         '        refused(s, c, tenure);\n'),
    ]),
    'refused-settled-by-reading': ('rule 7', 'a read that shows the record as it was settles that a refused write was not done', [
        (TENURE,
         '        tenure->must_read = false;\n'
         '        return SF_VIEW_UNCHANGED;',
         '        tenure->must_read = false;\n'
         '        if (!sf_tenure_in_doubt(tenure))\n'
         '            tenure->outstanding_count = 0;\n'
         '        return SF_VIEW_UNCHANGED;'),
    ], 'unit.test_reservation_reopen'),
    'halt-ignored': ('rule 8', 'who reads that the fleet is halted goes on', [
        (LOSS,
         '    if (state != NULL && state->halted) {',
         '    if (false && state->halted) {'),
    ]),
    'list-unheeded': ('rule 8', 'a list shows the own record changed, and it is not read', [
        ('src/worker/reservation_list.c',
         '    doubt_own_record(res, c);\n',
         '    (void)doubt_own_record;\n'),
    ], 'unit.test_reservation_told'),
    'loss-kept-secret': ('rule 8', 'a loss is noticed and not told', [
        (LOSS,
         '    if (!res->notice.due)\n'
         '        return false;',
         '    if (true)\n'
         '        return false;'),
    ]),
    'gone-untold': ('rule 8', 'who leaves, or was killed, does not tell', [
        (MACHINE,
         '(!res->notice.due || time_is_over)',
         'true'),
        (STATE,
         '    ret->notice = header.notice;\n',
         ''),
    ], 'unit.test_reservation_leave'),
    'report-ignored': ('rule 8', 'the holder of a reported slot goes on', [
        (LOSS,
         '    if (!hold->active || hold->floor_ms >= until_ms',
         '    if (true || hold->floor_ms >= until_ms'),
    ]),
    'report-while-closed': ('rule 8', 'a report that is read while nothing may be minted is forgotten', [
        (LOSS,
         '        hold->floor_ms = until_ms; /* where it begins if it is opened again */\n',
         ''),
    ], 'unit.test_reservation_reopen'),
    'loss-by-acked': ('rule 8', 'what follows an unanswered release is compared with what was acknowledged', [
        (TENURE,
         '    const int64_t least_ms = sf_tenure_granted_ms(tenure);\n',
         '    const int64_t least_ms = tenure->acked_ms;\n'),
    ]),
    'loss-by-fence': ('rule 8', 'a lower fence is taken for a loss', [
        (TENURE,
         '    return slot->version.version <= tenure->record.version.version ||',
         '    return slot->fence < tenure->fence ||'),
    ]),
    'loss-by-file': ('rule 8', 'a restart takes the write that was under way for a loss', [
        (EVENTS,
         '    else if (there && slot->version.version < known->version.version)',
         '    else if (there && !ours)'),
    ]),
    'orphan-spends-all': ('rule 7', 'an orphan spends what was acknowledged last, not the least', [
        (MOVES,
         '        hold->acked_ms = sf_tenure_granted_ms(hold);\n',
         ''),
    ]),
    'floor-below-goes-on': ('rule 9', 'a making with a floor below what was minted is taken for a successor', [
        (LOSS,
         '    if (config->floor_ms < most_ms) {',
         '    if (false) {'),
    ]),
    'file-floor-unchecked': ('rule 9', 'a restart does not compare the floor with its word', [
        (CONFIG,
         '    if (config->floor_ms < res->least_start_ms)',
         '    if (false)'),
    ]),
    'survivors-ignored': ('rule 10', 'a new making does not start above the records that survive', [
        (PLAN,
         '        if (floor_ms < survivor_ms && survivor_ms <= init->survivor_max_ms)',
         '        if (false)'),
    ]),
}
