"""Bugs of minting time, and of what a restart believes of its state file; the test that is named with each must find it (mutants.py)."""
MINT = 'src/clock/minttime.c'
POLICY = 'src/clock/policy.c'
STATE = 'src/worker/statefile.c'
OPEN = 'src/worker/statefile_open.c'
HOLDER = 'src/worker/state_holder.c'
HOLD = 'src/member/hold.c'
NAME = 'src/member/state_name.c'
NAMES = 'unit.test_state_name'
MINTTIME = 'unit.test_minttime'
CLOCK = 'unit.test_clock_policy'
DECIDE = 'src/worker/reservation_decide.c'
STEP = 'src/worker/reservation_step.c'
STATEFILE = 'unit.test_statefile'
RESTART = 'unit.test_reservation_restart'
LOCK = 'unit.test_statefile_lock'
MEMBER = 'unit.test_member_state'
EVENTS = 'src/worker/reservation_events.c'
STRAYS = 'unit.test_reservation_strays'

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
        (OPEN, '    file->device = (uint64_t)st.st_dev;', '    file->device = 0;'),
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
        (STEP, '!res->bid.active && !res->memory.valid &&', '!res->bid.active &&'),
    ], RESTART),
    'strays-below-none': (1, 'a deletion that is answered after the strays were forgotten counts below none', [
        (EVENTS, '        else if (res->stray_count > 0) /* they', '        else /* they'),
    ], STRAYS),
    'checksum-ignored': (1, 'half of an update is taken for a whole one', [
        (STATE, 'header->checksum == checksum_of(header);', '(header->checksum != 0 || checksum_of(header) == 0);'),
    ], STATEFILE),
    'lock-of-the-process': (19, 'a descriptor that is closed elsewhere takes the lock of the state file away', [
        (OPEN, '    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)', '    if (fcntl(fd, F_SETLK, &whole) == 0)'),
    ], LOCK),
    'lock-by-descriptor': (19, 'the lock of the state file ends with its descriptor', [
        (OPEN, '    close(file->fd);\n    file->fd = open(path', '    return 0;\n    file->fd = open(path'),
    ], LOCK),
    'lock-inherited': (19, 'a forked child has the mapping of the state file, and with it the lock', [
        (OPEN, 'MADV_DONTFORK) != 0)', 'MADV_DOFORK) != 0)'),
    ], LOCK),
    'holder-unnamed': (19, 'a state file does not say whose it is', [
        (OPEN, '        file.block->holder = file.self;\n', ''),
    ], LOCK),
    'holder-left': (19, 'a file that was closed still names its process', [
        (OPEN, '    memset(&file->block->holder, 0, sizeof file->block->holder);\n', ''),
    ], STATEFILE),
    'holder-unchecked': (19, 'a living process that lost its lock is not looked for', [
        (OPEN, '    if (is == SF_STATE_HOLDER_LIVES)\n', '    if (false)\n'),
    ], LOCK),
    'number-alone': (19, 'whoever has the number of the process is taken for it', [
        (HOLDER, '    if (process.start_ticks != holder->start_ticks)\n', '    if (false)\n'),
    ], LOCK),
    'other-namespace-is-gone': (19, 'what cannot be seen from this namespace is taken for dead', [
        (HOLDER, '    if (holder->pid_ns != self->pid_ns)\n', '    if (false)\n'),
    ], LOCK),
    'hidden-is-gone': (19, 'a process that is hidden is taken for dead', [
        (HOLDER, 'return say(SF_STATE_HOLDER_UNKNOWN, holder, "and is hidden', 'return say(SF_STATE_HOLDER_GONE, holder, "and is hidden'),
    ], LOCK),
    'damaged-name-is-nobody': (19, 'a damaged name is taken for nobody', [
        (HOLDER, '        return SF_STATE_HOLDER_UNKNOWN;\n    }\n', '        return SF_STATE_HOLDER_NOBODY;\n    }\n'),
    ], LOCK),
    'foreign-proc': (19, 'a process names itself by the /proc of another namespace', [
        (HOLDER, '    if (rc == 0 && self.pid != (uint64_t)getpid())\n', '    if (false)\n'),
    ], LOCK),
    'old-format-taken': (19, 'the file of an older version, whose process is not named, is taken over', [
        (OPEN, ' && sf_state_is_old(file->block)) {', ' && false) {'),
    ], LOCK),
    'zombie-lives': (19, 'a process that ended, and that nobody has reaped, keeps its file', [
        (HOLDER, "(process.state == 'Z' || process.state == 'X')", "(process.state == 'X')"),
    ], LOCK),
    'file-believed': ('rule 12', 'the word of a living process lies in its file, for everybody to write', [
        (HOLD, '    _Atomic uint64_t *word = &hold->right->word;\n',
         '    _Atomic uint64_t *word = hold->file.block != NULL ? &hold->file.block->word : &hold->right->word;\n'),
    ], MEMBER),
    'borrows-what-is-allowed-now': (1, 'a restart reckons with what it may borrow itself, not with what the dead process could', [
        (STATE, '(int64_t)(header.max_ahead_ms > max_ahead_ms ? header.max_ahead_ms : max_ahead_ms);', '(int64_t)max_ahead_ms;'),
    ], STATEFILE),
    'ahead-not-recorded': (1, 'the state file does not say how far its process may borrow', [
        (HOLD, '    header.max_ahead_ms = res->max_ahead_ms;\n', ''),
    ], MEMBER),
    'auto-init-is-first': ('rule 10', 'a fleet that a worker makes begins at once wherever it knows of none', [
        ('src/member/member.c', '!options->auto_init_first ||', 'false ||'),
    ], MEMBER),
    'init-by-one-machine': ('rule 10', 'a worker makes a fleet anew where several machines meet', [
        ('src/worker/reservation_config.c', '!(known && res->params.first_only)', 'true'),
    ], 'unit.test_reservation_config'),
    'gone-directory-as-spelled': ('rule 10', 'a directory that is gone is known by one spelling only', [
        (NAME, '    append_plainly(ret, path + end);\n', '    strncat(ret, path + end, REAL_MAX - 1 - strlen(ret));\n'),
    ], NAMES),
    'known-as-spelled': ('rule 10', 'a directory that is spelled otherwise is another one', [
        (NAME, 'real = hash_of(directory);', 'real = hash_of(url);'),
    ], NAMES),
    'known-as-meant': ('rule 10', 'a name that leads elsewhere now was never used', [
        (NAME, 'if (sf_statefile_any(dir, pattern))\n        return true;', 'if (false)\n        return true;'),
    ], NAMES),
    'replaced-is-trouble': ('rule 9', 'a directory in the place of its own that is closed to it is taken for a disk in trouble', [
        ('src/coord/local/fleet.c', '!other || job', 'true || job'),
    ], 'unit.test_coord_local_init'),
}
