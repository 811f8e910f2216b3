"""The runs of the second model (identity/), by name: what each is about, its bounds in ./check, and its bounds in --long."""

W2 = "T=3 WRITES=2"
W3 = "T=3 WRITES=3"
W4 = "T=3 WRITES=4"
T4 = "T=4 WRITES=3"

# name: (what it adds, bounds, bounds of --long)
BASE = {
    "two slots": ("unknown, late and lost writes, releases, shrinking, a change of slots", W4, "T=4 WRITES=4"),
    "claims": ("claims that end at any moment and are made again", W3 + " CLAIMS=3", W3 + " CLAIMS=4"),
    "double": ("a hop delivers a write twice and hands on the refusal", W3 + " DOUBLE=1", W4 + " DOUBLE=1"),
    "double, put back": ("and the copy outlives an older state", W2 + " DOUBLE=1 CONTENT=1 RESTORES=1",
                         W3 + " DOUBLE=1 CONTENT=1 RESTORES=1"),
    "lag": ("a member lags", W3 + " LAG=1", W4 + " LAG=1"),
    "lag, anew": ("a member lags behind a making after a loss", W2 + " LAG=1 LOSSES=1", W3 + " LAG=1 LOSSES=1"),
    "first": ("two init race on an empty coordinator, with workers that wait", W3 + " FRESH=1 INITS=2",
              W4 + " FRESH=1 INITS=2"),
    "wiped": ("everything wiped, and made again", W3 + " WIPES=1 INITS=1", W4 + " WIPES=1 INITS=1"),
    "wiped, raced": ("made, wiped and made again by two", W2 + " FRESH=1 INITS=2 WIPES=1",
                     W3 + " FRESH=1 INITS=3 WIPES=1"),
    "wiped, content": ("writes under way outlive it", W2 + " WIPES=1 INITS=1 CONTENT=1",
                       W3 + " WIPES=1 INITS=1 CONTENT=1"),
    "wiped, two ways": ("init races with init --after-data-loss", W2 + " WIPES=1 INITS=1 LOSSES=1",
                        W3 + " WIPES=1 INITS=1 LOSSES=1"),
    "anew": ("init --after-data-loss while all workers live", W3 + " LOSSES=1", T4 + " LOSSES=1"),
    "anew, raced": ("two of them at once", W2 + " LOSSES=2", W3 + " LOSSES=2"),
    "unconfigured": ("the config alone deleted, the tree survives", W2 + " UNCONFIG=1 INITS=1",
                     W3 + " UNCONFIG=1 INITS=1"),
    "record deleted": ("a slot record deleted", W3 + " DELETES=1", W4 + " DELETES=1"),
    "put back": ("an older state put back, versions compared", W3 + " RESTORES=1", "T=4 WRITES=3 RESTORES=1"),
    "put back, content": ("the same, content compared, writes under way outlive it",
                          W2 + " RESTORES=1 CONTENT=1", W3 + " RESTORES=1 CONTENT=1"),
    "put back, anew": ("and made anew, before and after", W2 + " RESTORES=1 LOSSES=1", W3 + " RESTORES=1 LOSSES=1"),
    "put back twice": ("two older states", "T=2 WRITES=2 RESTORES=2 LOSSES=1", W2 + " RESTORES=2 LOSSES=1"),
    "restart": ("kill -9, with the state file and without", W3 + " KILLS=1", W4 + " KILLS=1"),
    "restart, copy": ("with an old copy of the file", W3 + " KILLS=1 COPIES=1", W3 + " KILLS=1 COPIES=1"),
    "restart twice": ("two of them", W2 + " KILLS=2", W3 + " KILLS=2"),
    "restart, wiped": ("across a wipe and a making", W2 + " KILLS=1 WIPES=1 INITS=1",
                       W3 + " KILLS=1 WIPES=1 INITS=1"),
    "restart, put back": ("across an older state", W2 + " KILLS=1 RESTORES=1", "T=2 WRITES=3 KILLS=1 RESTORES=1"),
    "restart, anew": ("across an older state and a making", "T=2 WRITES=2 KILLS=1 RESTORES=1 LOSSES=1",
                      W2 + " KILLS=1 RESTORES=1 LOSSES=1"),
}

# What docs/uniqueness.md names under "Where the promise ends": it must be found.
ENDS = {
    "init that waits": ("an init stands still between reading and naming, while another one names and all is wiped",
                        W2 + " FRESH=1 INITS=2 WIPES=1 STAY=1"),
}

# bug: (the rule, what it is, bounds)
BUGS = {
    "token_reused": (5, "a making has no name of its own, counters are compared", W3 + " WIPES=1 INITS=1"),
    "current_unchecked": (5, "writes check the config by its version, not current-<token>", W3 + " UNCONFIG=1 INITS=1"),
    "names_survive": (5, "naming leaves the older names", W3 + " UNCONFIG=1 INITS=1"),
    "naming_unconditional": (5, "naming does not check root and config", W2 + " FRESH=1 INITS=2"),
    "survey_before_unname": (5, "survivors are read while the old making still grants", W2 + " LOSSES=1"),
    "missing_read_as_zero": (5, "a record that is missing is read as version 0", W3 + " DELETES=1"),
    "reconnect_unread": (6, "no read before the first write after a lost connection", W3 + " RESTORES=1"),
    "version_before_content": (6, "the read compares the version, not the nonce", W3 + " RESTORES=1"),
    "refusal_believed": (7, "a refusal counts as not done", W3 + " DOUBLE=1"),
    "hop_refusal_believed": (7, "a hop's own refusal counts as not done", W3),
    "orphan_spends_all": (7, "an orphan spends what was acknowledged, not the least", W3),
    "reopen_released": (7, "minting goes on after a release of unknown outcome", W3),
    "loss_by_acked": (8, "loss is what lies below the acknowledged", W3),
    "lag_believed": (8, "reads that are not confirmed count", W3 + " LAG=1"),
    "not_sticky": (8, "a loss is not remembered", W3 + " RESTORES=1"),
    "file_forgets_loss": (8, "the state file does not remember a loss", W2 + " RESTORES=1 KILLS=1"),
    "halt_own_only": (8, "only the own making is halted", W2 + " RESTORES=1 LOSSES=1"),
    "loss_kept_secret": (8, "nobody is told", W2 + " RESTORES=1"),
    "halt_unchecked": (8, "writes do not check that the making is not halted", W3 + " RESTORES=1"),
    "report_ignored": (8, "what others reported of the slot is not obeyed", W3 + " RESTORES=1"),
    "floor_ignored": (9, "the limit does not fall to a lower floor", W2 + " RESTORES=1 LOSSES=1"),
    "superseded_unasked": (9, "any other making supersedes", W2 + " RESTORES=1 LOSSES=1"),
    "file_floor_unchecked": (9, "a restart does not compare the floor", "T=2 WRITES=2 RESTORES=1 LOSSES=1 KILLS=1"),
    "config_gone_spends": (9, "minting goes on though the config is gone", W2 + " WIPES=1"),
    "survivors_ignored": (10, "the floor ignores what survives", W2 + " LOSSES=1"),
    "floor_of_zero": (10, "the floor is the present where somebody minted", W2 + " WIPES=1 INITS=1"),
    "fork_keeps_right": (11, "a child keeps the right to mint", W2),
    "file_read_live": (12, "the state file is read while the process lives", W2 + " KILLS=1 COPIES=1"),
    "file_lock_ignored": (12, "a second process goes on from a file in use", W2 + " KILLS=1"),
    "file_unchecked": (6, "a restart goes on without reading the record", W3 + " KILLS=1"),
    "file_by_version": (6, "a restart compares the version alone", "T=2 WRITES=3 KILLS=1 RESTORES=1"),
}

# Steps that only a bug takes, or that start everything.
STEPS_OF_BUGS = {
    "start",
    "a hop refuses for itself, while the write is under way",
    "a process forks",
    "another process starts on a file that is in use",
    "an old copy is put back under the living process",
    "a slot is bid for, by an old list",
}
