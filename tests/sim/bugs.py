"""Bugs to be planted in the product's code, one at a time; the simulation must find each.

name: (trap of docs/uniqueness.md or what it is against, what it breaks, [(file, search text, replacement), ...]).
Several edits: a second line of the code stands against the first one alone, and is taken away with it.
"""
TENURE = 'src/worker/reservation_tenure.c'
DECIDE = 'src/worker/reservation_decide.c'
EVENTS = 'src/worker/reservation_events.c'
LIST = 'src/worker/reservation_list.c'
MOVES = 'src/worker/reservation_moves.c'
MACHINE = 'src/worker/reservation.c'
CONFIG = 'src/worker/reservation_config.c'
STATE = 'src/worker/statefile.c'
GEN = 'src/id/generator.c'
GENH = 'src/id/generator.h'
READY = 'src/worker/readiness.c'
CALLER = 'src/client/policy.c'
CLOCK = 'src/clock/policy.c'

BUGS = {
    'trust-unacked': ('rule 1', 'a write counts before it is acknowledged', [
        (TENURE,
         'if (tenure->outstanding[i].reserved_until_ms < least)',
         'if (tenure->outstanding[i].reserved_until_ms > least)'),
    ]),
    'nonce-dropped': (2, 'a write is adopted by the fence', [
        (TENURE,
         'if (strcmp(tenure->outstanding[i].nonce, slot->nonce) != 0)',
         'if (slot->fence != s->res->claim.fence || i + 1 != tenure->outstanding_count)'),
    ]),
    'any-record-is-ours': (2, 'whatever was written is taken for ours', [
        (TENURE,
         'if (strcmp(tenure->outstanding[i].nonce, slot->nonce) != 0)',
         'if (i + 1 != tenure->outstanding_count)'),
    ]),
    'unknown-forgotten': ('unknown outcome', 'a write of unknown outcome is taken for not done', [
        (TENURE,
         '    case SF_COORD_UNKNOWN:\n'
         '        tenure->must_read = true;',
         '    case SF_COORD_UNKNOWN:\n'
         '        tenure->outstanding_count--;\n'
         '        tenure->must_read = true;'),
    ]),
    'unknown-is-done': ('rule 1', 'a write of unknown outcome is taken for done', [
        (TENURE,
         '    case SF_COORD_UNKNOWN:\n'
         '        tenure->must_read = true;',
         '    case SF_COORD_UNKNOWN:\n'
         '        if (s->res->claim_status == SF_CLAIM_HAVE) {\n'
         '            tenure->sent.version = tenure->record.version;\n'
         '            acknowledge(s, tenure, &tenure->sent);\n'
         '            return true;\n'
         '        }\n'
         '        tenure->must_read = true;'),
    ]),
    'read-settles': ('unknown outcome', 'a read settles that a write was not done', [
        (TENURE,
         '        tenure->must_read = false;\n'
         '        return SF_VIEW_UNCHANGED;',
         '        tenure->must_read = false;\n'
         '        tenure->outstanding_count = 0;\n'
         '        return SF_VIEW_UNCHANGED;'),
    ]),
    'foreign-ignored': (4, 'somebody else\'s record is taken for ours unchanged', [
        (TENURE,
         '    return is_loss(tenure, slot) ? SF_VIEW_LOST : SF_VIEW_FOREIGN;',
         '    (void)is_loss;\n'
         '    tenure->record = *slot;\n'
         '    tenure->must_read = false;\n'
         '    return SF_VIEW_UNCHANGED;'),
    ]),
    'own-clock': ('rule 3', 'a new owner starts at its own clock', [
        (LIST,
         '    res->bid.floor_ms = slot->reserved_until_ms > res->config.floor_ms ? slot->reserved_until_ms\n'
         '                                                                       : res->config.floor_ms;',
         '    res->bid.floor_ms = 0;'),
    ]),
    'release-below-floor': (6, 'a release writes less than the owner started from', [
        (TENURE,
         '    int64_t until = tenure->floor_ms;',
         '    int64_t until = res->config.epoch_ms;'),
    ]),
    'release-at-last': (6, 'a release gives the last millisecond back', [
        (TENURE,
         '        until = sf_res_last_ms(res) + 1;',
         '        until = sf_res_last_ms(res);'),
    ]),
    'opened-ignored': (6, 'a release does not count what was minted', [
        (TENURE,
         'if (tenure->opened && until < sf_res_last_ms(res) + 1)',
         'if (false)'),
    ]),
    'release-open': (6, 'suspension does not close before the release', [
        (MACHINE,
         '        sf_res_close(s, "the clock is not safe: %s", clock_text(s));\n',
         ""),
    ]),
    'leave-open': (6, 'leaving does not close before the release', [
        (MACHINE,
         '        sf_res_close(&s, "leaving the fleet");\n',
         ""),
    ]),
    'reopen-released': (3, 'minting again after a release of unknown outcome', [
        (MACHINE,
         '    if (res->hold.active && !res->leaving && !sf_tenure_release_sent(&res->hold) &&\n',
         '    for (unsigned i = 0; i < res->hold.outstanding_count; i++)\n'
         '        res->hold.outstanding[i].reserved_until_ms = res->hold.acked_ms;\n'
         '    if (res->hold.active && !res->leaving &&\n'),
    ]),
    'file-any-version': (1, 'the state file takes over the version that it finds', [
        (EVENTS,
         '    if (ours && slot->version.version == known->version.version) {',
         '    if (there) {'),
    ]),
    'not-before': (1, 'an old copy of the file starts where its word stands', [
        (CONFIG,
         '    res->least_start_ms = memory->not_before_ms;\n',
         '    res->least_start_ms = 0;\n'),
    ]),
    'file-kept-by-stranger': (1, 'a file that was not believed leaves its word', [
        (MOVES,
         '        atomic_store(res->word, SF_GENERATOR_CLOSED);\n'
         '        sf_res_log',
         '        atomic_store(res->word, (uint64_t)1 << 62 | SF_GENERATOR_CLOSED);\n'
         '        sf_res_log'),
    ]),
    'lower-word': ('rule 1', 'a reservation shrinks and the word is not moved', [
        (GEN,
         '    const uint64_t before = atomic_fetch_add(gen->word, 1) & ~SF_GENERATOR_CLOSED;',
         '    const uint64_t before = atomic_load(gen->word) & ~SF_GENERATOR_CLOSED;'),
    ]),
    'lower-never': ('rule 1', 'the limit of a shrunk reservation stays', [
        (TENURE,
         '            sf_generator_lower(res->gen, want);\n',
         '            (void)0;\n'),
    ]),
    'limit-past': ('rule 1', 'a batch runs past the reservation', [
        (GENH,
         'const uint64_t room = (limit < horizon ? limit : horizon) - first;',
         'const uint64_t room = horizon - first;'),
    ]),
    'limit-plus-one': (6, 'one millisecond more than was reserved', [
        (GEN,
         '    return (limit_ms < gen->end_ms ? limit_ms : gen->end_ms) << gen->layout.sequence_bits;',
         '    return (limit_ms < gen->end_ms ? limit_ms + 1 : gen->end_ms) << gen->layout.sequence_bits;'),
    ]),
    'sequence-wrap': (8, 'a full millisecond starts over', [
        (GENH,
         'uint64_t first = word + 1 > fresh ? word + 1 : fresh;',
         'uint64_t first = word + 1 > fresh ? (word + 1 + ((word + 1) % 64 == 0 ? (uint64_t)-64 : 0)) : fresh;'),
    ]),
    'clock-back': ('rule 4', 'the clock decides, not the counter', [
        (GENH,
         'uint64_t first = word + 1 > fresh ? word + 1 : fresh;',
         'uint64_t first = fresh;'),
    ]),
    'closed-ignored': (6, 'a closed generator mints', [
        (GENH,
         '    if (word & SF_GENERATOR_CLOSED)\n'
         '        return SF_MINT_CLOSED;',
         '    if (word & SF_GENERATOR_CLOSED) {\n'
         '        atomic_store(gen->word, word & ~SF_GENERATOR_CLOSED);\n'
         '        return sf_mint_look(gen, ask, ret);\n'
         '    }'),
    ]),
    'open-start': ('rule 3', 'the owner\'s start is not looked at', [
        (GEN,
         '    if (word < last_word)\n        word = last_word;\n',
         '    (void)last_word;\n'),
    ]),
    'open-below-word': ('rule 4', 'a new slot may start below the last ID', [
        (GEN,
         '    if (word < last_word)\n        word = last_word;\n',
         '    word = last_word;\n'),
    ]),
    'orphan-writes': ('rule 2', 'an orphan goes on renewing with the version it finds', [
        (MOVES,
         '    res->orphan = hold->active;\n',
         '    res->orphan = false;\n'
         '    hold->must_read = false;\n'
         '    hold->record.version.version++;\n'),
    ]),
    'orphan-stops': ('liveness', 'an orphan stops looking for a slot', [
        (DECIDE,
         '    if (res->hold.active && !res->orphan)\n'
         '        decide_hold(s);',
         '    if (res->hold.active)\n'
         '        decide_hold(s);'),
    ]),
    'window-mixed': (6, 'the limit is the target of the next write', [
        (TENURE,
         '    int64_t limit_ms = sf_tenure_granted_ms(&res->hold);',
         '    int64_t limit_ms = sf_tenure_granted_ms(&res->hold) + 1;'),
    ]),
    'clock-cap': (12, 'a clock that is ahead reserves too far, and is not suspended for it', [
        (TENURE,
         '    if (s->now->trusted_ms >= 0 && target > s->now->trusted_ms + window_ms + SF_RES_MARGIN_MS)',
         '    if (false)'),
        (CLOCK,
         '    if (away_ns > look->max_ns)\n'
         '        found(look, look->synchronized ? WARNING : BAD,',
         '    if (false)\n'
         '        found(look, look->synchronized ? WARNING : BAD,'),
    ]),
    'claim-not-made-again': ('liveness', 'no new claim after a session was lost', [
        (EVENTS,
         '        res->claim_status = SF_CLAIM_NONE;\n'
         '        res->claim_bound = false;\n'
         '        res->mark[0]',
         '        res->mark[0]'),
    ]),
    'claim-gone-ignored': ('liveness', 'a claim that is gone is not made again', [
        (EVENTS,
         '        if (strcmp(tenure->sent.claim, res->claim.name) == 0)\n'
         '            sf_res_give_claim_up(res);',
         '        (void)0;'),
    ]),
    # The watch tells it, and so does every refusal.
    'config-change-ignored': (11, 'a changed config is not read again', [
        (EVENTS,
         '    case SF_COORD_CONFIG_CHANGED:\n'
         '    case SF_COORD_CURRENT_GONE:',
         '    case SF_COORD_CONFIG_CHANGED:\n'
         '        return;\n'
         '    case SF_COORD_CURRENT_GONE:'),
        (EVENTS,
         '        res->claim_status = SF_CLAIM_DOUBTFUL;\n'
         '        res->config_stale = true;',
         '        res->claim_status = SF_CLAIM_DOUBTFUL;'),
        (EVENTS,
         '    case SF_COORD_FLEET_CHANGED:\n'
         '        res->config_stale = true;',
         '    case SF_COORD_FLEET_CHANGED:'),
    ]),
    'must-read-stuck': ('liveness', 'a read of our own write does not settle it', [
        (TENURE,
         '        if (strcmp(tenure->outstanding[i].nonce, slot->nonce) != 0)\n'
         '            continue;',
         '        if (strcmp(tenure->outstanding[i].nonce, slot->nonce) != 0 || i == 0)\n'
         '            continue;'),
    ]),
    'ready-without-right': ('readiness', 'a worker calls itself ready while nothing may be minted', [
        (MACHINE,
         '    } else if (sf_reservation_left_ms(res, s->now->mint_ms) > 0) {',
         '    } else if (res->hold.active) {'),
    ]),
    'suspension-ignored': ('clock', 'a bad clock goes on minting', [
        (MACHINE,
         '    if (!s->now->clock_ok && !res->suspended) {',
         '    if (false) {'),
    ]),
    'not-resumed': ('liveness', 'minting is not resumed when the clock is right again', [
        (MACHINE,
         '    res->suspended = false;\n'
         '    sf_res_log(s, SF_LOG_INFO, "worker.resumed"',
         '    sf_res_log(s, SF_LOG_INFO, "worker.resumed"'),
    ]),
    'claim-never-again': ('liveness', 'neither a lost session nor a refused write makes a new claim', [
        (EVENTS,
         '        res->claim_status = SF_CLAIM_NONE;\n'
         '        res->claim_bound = false;\n'
         '        res->mark[0]',
         '        res->mark[0]'),
        (EVENTS,
         '        if (strcmp(tenure->sent.claim, res->claim.name) == 0)\n'
         '            sf_res_give_claim_up(res);',
         '        (void)0;'),
    ]),
    'move-below-last': ('rule 4', 'another slot may start below the last ID, and opening does not look', [
        (GEN,
         '    if (word < last_word)\n        word = last_word;\n',
         '    word = last_word;\n'),
        (MOVES,
         '    if (res->minted_once && start_ms < sf_res_last_ms(res) + 1)\n'
         '        start_ms = sf_res_last_ms(res) + 1;\n',
         ""),
    ]),
    'file-by-fence': (1, 'the state file is believed when the record is newer than it says', [
        (EVENTS,
         '    if (ours && slot->version.version == known->version.version) {',
         '    if (there && slot->version.version >= known->version.version) {'),
    ]),
    'file-of-the-future': (1, 'a state file\'s minting time is not carried on to now', [
        (STATE,
         '    const int64_t latest_ns = header.mint.anchor_mint_ns + elapsed_ns + slew_ns;',
         '    const int64_t latest_ns = header.mint.anchor_mint_ns + 0 * (elapsed_ns + slew_ns);'),
        (CONFIG,
         '    if (last_ms >= memory->not_before_ms + SF_GENERATOR_COPY_SPAN_MS) {',
         '    if (false) {'),
    ]),
    'nonce-not-fresh': (2, 'every write carries the same nonce', [
        (TENURE,
         '    sf_hex128(s->now->random, slot->nonce);',
         '    sf_hex128((const uint8_t[16]){1}, slot->nonce);'),
    ]),
    'claim-by-node': (2, 'a claim is adopted by its machine\'s name', [
        (LIST,
         '        if (strcmp(c->claims[i].guid, res->claim.guid) != 0)\n'
         '            continue;\n'
         '        res->claim = c->claims[i];',
         '        if (strcmp(c->claims[i].node, res->params.node) != 0)\n'
         '            continue;\n'
         '        res->claim = c->claims[i];'),
    ]),
    'floor-from-later-read': (4, 'a slot\'s start is from one read, its version from another', [
        (EVENTS,
         '            sf_res_bid_dropped(s, foreign);',
         '            tenure->record = c->slots[0], tenure->must_read = false;'),
    ]),
    'release-now': (6, 'a release writes the present time', [
        (TENURE,
         '        reserved_until_ms = released_until_ms(res, tenure);',
         '        (void)released_until_ms;\n'
         '        reserved_until_ms = s->now->mint_ms;'),
    ]),
    'gone-goes-on': ('positive loss', 'minting goes on when the fleet is gone', [
        (CONFIG,
         '        sf_res_drop(s, "the fleet\'s config is gone from the coordinator");',
         '        sf_res_orphan(s, "gone");'),
    ]),
    'field-unchecked': (8, 'a timestamp may leave its field', [
        (GEN,
         '    gen->end_ms = sf_layout_max_timestamp(layout) + 1;',
         '    gen->end_ms = sf_layout_max_timestamp(layout) + 1000000000;'),
    ]),
    'silence-unbounded': ('max_silence', 'mint.max_silence_ms is not obeyed', [
        (TENURE,
         '    if (silence_ms > 0 && limit_ms > res->heard_mint_ms + silence_ms)',
         '    if (false)'),
    ]),
    'shrink-after-write': ('rule 1', 'the limit shrinks only when the shorter reservation is acknowledged', [
        (TENURE,
         '        sf_res_apply_limit(s); /* before the write leaves: it may shrink the reservation */',
         '        (void)0;'),
        (MACHINE,
         '        sf_res_apply_limit(&s);\n'
         '        next_state(&s);',
         '        if (!res->busy)\n'
         '            sf_res_apply_limit(&s);\n'
         '        next_state(&s);'),
    ]),
    # A clock that the servers contradict is stopped three times over: as wrong, as not verified when it jumps, and by the coordinator.
    'clock-follows': ('clock', 'what the time servers say of the clock is ignored', [
        (CLOCK,
         '    if (wrong_ns > look->max_ns) {',
         '    if (false) {'),
        (CLOCK,
         '    if (value_ns > look->max_ns) {',
         '    if (false) {'),
    ]),
    'step-believed': ('clock', 'a wall clock that jumps ahead is followed without being confirmed', [
        (CLOCK,
         '    if (ahead_ns > max_ns && (look->severity == BAD || !look->verified))',
         '    if (false)'),
        (CLOCK,
         '    if (wrong_ns > look->max_ns) {',
         '    if (wrong_ns > 3600 * look->max_ns) {'),
        (CLOCK,
         '    if (away_ns > look->max_ns)\n        found(look, look->synchronized ? WARNING : BAD,',
         '    if (away_ns > look->max_ns)\n        found(look, WARNING,'),
    ]),
    'ready-without-reservation': ('readiness', 'a reservation that is used up does not matter', [
        (READY,
         '        put(ret, SF_CHECK_RESERVATION, false, "used up%s%s",',
         '        put(ret, SF_CHECK_RESERVATION, true, "used up%s%s",'),
    ]),
    'ready-while-draining': ('readiness', 'a worker that drains is ready', [
        (READY,
         '    put(ret, SF_CHECK_DRAIN, !facts->draining, "%s",',
         '    put(ret, SF_CHECK_DRAIN, true, "%s",'),
    ]),
    'ready-with-bad-clock': ('readiness', 'the clock does not matter to readiness', [
        (READY,
         '    put(ret, SF_CHECK_CLOCK, facts->clock_ok, "%s", facts->clock_text);',
         '    put(ret, SF_CHECK_CLOCK, true, "%s", facts->clock_text);'),
        (READY,
         '        put(ret, SF_CHECK_RESERVATION, false, "used up%s%s",',
         '        put(ret, SF_CHECK_RESERVATION, facts->coordinator_connected, "used up%s%s",'),
    ]),
    'never-ready': ('readiness', 'readiness demands a whole window', [
        (READY,
         '        put(ret, SF_CHECK_RESERVATION, true, "%s left", left);',
         '        put(ret, SF_CHECK_RESERVATION, left_ms > 60000, "%s left", left);'),
    ]),
    'breaker-stays-open': ('client', 'an answer does not close a breaker', [
        (CALLER,
         '        if (server->state != SF_BREAKER_CLOSED)\n'
         '            breaker_move',
         '        if (false)\n'
         '            breaker_move'),
    ]),
    'no-probes': ('client', 'nobody looks whether a server is back', [
        (CALLER,
         '    if (due < 0 || !closed_exists)',
         '    if (true)'),
    ]),
    'probe-stuck': ('client', 'a probe that was lost never lapses', [
        (CALLER,
         '        return server->probing_since_ns + policy->options.open_max_ns;',
         '        return INT64_MAX;'),
        (CALLER,
         '    if (server->state == SF_BREAKER_OPEN)\n'
         '        return; /* old news */',
         '    if (server->state == SF_BREAKER_OPEN || outcome == SF_OUTCOME_LOST)\n'
         '        return;'),
    ]),
    'tried-again': ('client', 'the server that just failed is asked again', [
        (CALLER,
         '    return usable(server, now_ns) && !sf_client_policy_tried_has(tried, index);',
         '    return usable(server, now_ns);'),
        (CALLER,
         '    if (server->state == SF_BREAKER_PROBING || !counted ||',
         '    if (server->state == SF_BREAKER_PROBING ||'),
    ]),
    'no-calls-as-probes': ('client', 'with all breakers open, calls do not probe', [
        (CALLER,
         '    return found < 0 ? -1 : start_probe(&policy->servers[found], now_ns, found);',
         '    (void)found;\n'
         '    return -1;'),
    ]),
    'probe-the-last': ('client', 'the last server of the list that is due is probed first', [
        (CALLER,
         '        const bool sooner = due < 0 ? at_ns <= due_ns : at_ns < due_ns;',
         '        const bool sooner = at_ns <= now_ns;'),
    ]),
    'backoff-grows': ('client', 'the wait between rounds grows without end', [
        (CALLER,
         '    for (uint32_t i = 0; i < round && top < policy->options.backoff_max_ns; i++)\n'
         '        top *= 2;\n'
         '    if (top > policy->options.backoff_max_ns)\n'
         '        top = policy->options.backoff_max_ns;\n'
         '    return 1 + (int64_t)(random % (uint64_t)top);',
         '    (void)random;\n'
         '    return (top * 1000) << (round < 20 ? round : 20);'),
    ]),
    'busy-for-ever': ('client', 'an overloaded server is left alone for ever', [
        (CALLER,
         '                now_ns + retry_after_ns + (int64_t)(random % (uint64_t)(spread + 1));',
         '                now_ns + 1000000000000 + retry_after_ns + (int64_t)(random % (uint64_t)(spread + 1));'),
    ]),
}
