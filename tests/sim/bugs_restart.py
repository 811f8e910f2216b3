"""Bugs of minting time, and of what a restart believes of its state file; the test that is named with each must find it (mutants.py)."""
MINT = 'src/clock/minttime.c'
POLICY = 'src/clock/policy.c'
STATE = 'src/worker/statefile.c'
MINTTIME = 'unit.test_minttime'
CLOCK = 'unit.test_clock_policy'
DECIDE = 'src/worker/reservation_decide.c'
LIST = 'src/worker/reservation_list.c'
STATEFILE = 'unit.test_statefile'
RESTART = 'unit.test_reservation_restart'

BUGS = {
    'restarts-below-minted': ('minting time', 'minting time restarts at the wall clock, below what was minted', [
        (POLICY, 'minted_ns > in->real_ns ? minted_ns : in->real_ns);', 'minted_ns > INT64_MAX - 1 ? minted_ns : in->real_ns);'),
    ], CLOCK),
    'restarts-lower': ('minting time', 'minting time restarts lower whenever the wall clock is behind it', [
        (POLICY, 'if (behind_ns > policy->options.max_ns) /* it ran', 'if (behind_ns > 0) /* it ran'),
    ], CLOCK),
    'anchor-lower': ('minting time', 'minting time loses a nanosecond with each correction', [
        (MINT, '    mint->anchor_mint_ns = now;', '    mint->anchor_mint_ns = now - 1;'),
    ], MINTTIME),
    'correction-lost': ('minting time', 'what was worked in of a correction is lost with the next one', [
        (MINT, '    const int64_t now = sf_minttime_at(mint, mono_ns);\n    mint->pending_ns',
         '    const int64_t now = mint->anchor_mint_ns + elapsed_ns(mint, mono_ns);\n    mint->pending_ns'),
    ], MINTTIME),
    'anchor-rewound': ('minting time', 'a reading from before the anchor takes it back', [
        (MINT, '    if (mono_ns <= mint->anchor_mono_ns)\n        return;\n', ''),
    ], MINTTIME),
    'before-the-anchor': ('minting time', 'before the anchor minting time runs backwards', [
        (MINT, '    if (mono_ns <= mint->anchor_mono_ns)\n        return 0;\n', ''),
    ], MINTTIME),
    'cell-torn': ('minting time', 'a reader does not look whether a writer came between', [
        (MINT, 'if (before == after && before % 2 == 0)', 'if (before == after || before % 2 == 0)'),
    ], MINTTIME),
    'device-ignored': (1, 'a state file on another device is taken for the own one', [
        (STATE, 'if (header.device != device || header.inode != inode)', 'if (header.inode != inode)'),
    ], STATEFILE),
    'inode-ignored': (1, 'a copy of the state file is taken for it', [
        (STATE, 'if (header.device != device || header.inode != inode)', 'if (header.device != device)'),
    ], STATEFILE),
    'device-not-recorded': (1, 'the state file\'s device is not asked for', [
        (STATE, '    ret->device = (uint64_t)st.st_dev;', '    ret->device = 0;'),
    ], STATEFILE),
    'boot-ignored': (1, 'the state file of another boot is believed', [
        (STATE, 'if (strncmp(header.boot_id, boot_id, sizeof header.boot_id) != 0)', 'if (boot_id[0] == \'\\0\')'),
    ], STATEFILE),
    'coordinator-warns-for-good': ('minting time', 'what the coordinator warns of it does not confirm', [
        (POLICY, 'look->verified || away_ns <= look->max_ns;', 'look->verified || away_ns <= look->warn_ns;'),
    ], CLOCK),
    'file-names-the-old': (1, 'the state file names a slot while another is written for', [
        (DECIDE, '    s->out->forget = true;\n    sf_tenure_write(s, SF_COORD_BIND, &res->bid', '    sf_tenure_write(s, SF_COORD_BIND, &res->bid'),
    ], RESTART),
    'another-slot-first': (1, 'a free slot is taken before the one of the state file', [
        (LIST, '!res->bid.active && !res->memory.valid && ', '!res->bid.active && '),
    ], RESTART),
    'checksum-ignored': (1, 'half of an update is taken for a whole one', [
        (STATE, 'header->checksum == checksum_of(header);', '(header->checksum != 0 || checksum_of(header) == 0);'),
    ], STATEFILE),
}
