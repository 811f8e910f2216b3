"""Bugs of what people are told of a fleet that is halted (docs/uniqueness.md, rule 8); the test that is named with each must find it (mutants.py)."""
PUBLISH = 'src/member/publish.c'
COLLECT = 'src/daemon/collect.c'
INFO = 'src/daemon/info.c'
SNAPSHOT = 'unit.test_member_publish'
HALTED = 'unit.test_daemon_halted'

BUGS = {
    'halt-of-the-speaker': ('rule 8', 'of several machines the one that speaks for the member has not heard of the halt', [
        (PUBLISH, '.halted = halted(loop),', '.halted = halted(loop) && res->halted,'),
    ], SNAPSHOT),
    'halt-unpublished': ('rule 8', 'the member keeps the halt to itself', [
        (PUBLISH, '.halted = halted(loop),', '.halted = halted(loop) && false,'),
    ], HALTED),
    'gauge-never-halted': ('rule 8', 'the gauge stays 0', [
        (COLLECT, 'SF_METRIC_FLEET_HALTED, "", member.halted);', 'SF_METRIC_FLEET_HALTED, "", 0);'),
    ], HALTED),
    'gauge-by-state': ('rule 8', 'the gauge waits until everything is spent', [
        (COLLECT, 'SF_METRIC_FLEET_HALTED, "", member.halted);', 'SF_METRIC_FLEET_HALTED, "", member.state == SF_WORKER_HALTED);'),
    ], HALTED),
    'status-never-halted': ('rule 8', '/status and INFO never say it', [
        (INFO, 'json_boolean(member->halted)', 'json_boolean(false)'),
    ], HALTED),
    'losses-of-one': ('rule 8', 'losses that other machines noticed are not counted', [
        (PUBLISH, 'counts->data_losses += stats->data_losses;', 'counts->data_losses = stats->data_losses;'),
    ], SNAPSHOT),
}
