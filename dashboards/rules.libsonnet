// Recording rules and alerts. Every alert has an entry of its own name in RUNBOOK.md (tests/dash checks both ways).
local c = import 'config.libsonnet';

local ratio(window) = {
  record: 'snowfleet:request_errors:ratio_rate' + window,
  // A fleet without errors has no series with an error's status: then the ratio is 0.
  expr: |||
    (sum by (fleet) (rate(snowfleet_requests_total{status=~"%(errors)s"}[%(w)s]) %(info)s) or 0 * sum by (fleet) (rate(snowfleet_requests_total[%(w)s]) %(info)s))
    / (sum by (fleet) (rate(snowfleet_requests_total[%(w)s]) %(info)s) > 0)
  ||| % { errors: c.errors, w: window, info: c.info() },
};

local quantile(q) = {
  record: 'snowfleet:request_duration_seconds:p%d' % (q * 100),
  expr: 'histogram_quantile(%g, sum by (fleet, le) (rate(snowfleet_request_duration_seconds_bucket{type="next"}[5m]) %s))' % [q, c.info()],
};

local recording = [
  { record: 'snowfleet:ids_minted:rate2m', expr: 'rate(snowfleet_ids_minted_total[2m]) ' + c.info() },
  { record: 'snowfleet:workers_ready:sum', expr: 'sum by (fleet) (snowfleet_state{state="ready"} %s)' % c.info() },
  {
    record: 'snowfleet:clock_uncertainty_seconds:max',
    expr: 'max by (job, instance) ((abs(snowfleet_clock_offset_seconds) + snowfleet_clock_error_bound_seconds) and snowfleet_clock_source_up == 1) ' + c.info(),
  },
  {
    record: 'snowfleet:slots:max',
    expr: 'max by (fleet, datacenter, state) (snowfleet_slots %s{datacenter!=""})' % c.info(),
  },
] + [ratio(w) for w in ['5m', '30m', '1h', '6h']] + [quantile(q) for q in [0.5, 0.95, 0.99]];

local who = '{{ $labels.datacenter }}/{{ $labels.worker }} ({{ $labels.instance }})';

local alert(name, severity, expr, wait, summary, description) = {
  alert: 'Snowfleet' + name,
  expr: expr,
  'for': wait,
  labels: { severity: severity },
  annotations: {
    summary: summary,
    description: description,
    runbook_url: '%s#%s' % [c.runbook, std.asciiLower('Snowfleet' + name)],
  },
};

local alerts = [
  // Uniqueness
  alert('Duplicate', 'critical', 'snowfleet_verify_duplicates_total > 0', '0s',
        'An ID was handed out twice',
        'The prober {{ $labels.instance }} received {{ $value }} IDs of worker {{ $labels.worker }} twice. Stop writes that depend on uniqueness.'),
  alert('OrderViolation', 'critical', 'snowfleet_verify_order_errors_total > 0', '0s',
        'IDs of one worker did not ascend',
        'The prober {{ $labels.instance }} saw {{ $value }} IDs of worker {{ $labels.worker }} that did not ascend on one connection.'),
  alert('LayoutSkew', 'critical',
        'count by (fleet) (count_values by (fleet) ("ends", snowfleet_timestamp_bits_exhausted_seconds %s)) > 1' % c.info(), '1m',
        'Workers of one fleet disagree about the layout',
        'Fleet {{ $labels.fleet }} has {{ $value }} different ends of its timestamps, so workers with different epochs or layouts.'),

  // Availability
  alert('WorkerDown', 'warning', 'up{%s} == 0' % c.workers, '1m',
        'A worker does not answer its scrape',
        '{{ $labels.instance }} of job {{ $labels.job }} has not answered for a minute (up = {{ $value }}).'),
  alert('TargetMissing', 'critical', 'absent(up{%s})' % c.workers, '5m',
        'Prometheus knows no worker at all',
        'No target matches the job of the workers (absent = {{ $value }}): nothing below this alert can fire.'),
  // Where no worker of a job answers, nobody says how many are ready, nor of which fleet.
  alert('FewReady', 'critical', 'snowfleet:workers_ready:sum < %d or sum by (job) (up{%s}) == 0' % [c.min_ready, c.workers], '1m',
        'Too few workers are ready',
        '{{ if $labels.fleet }}Fleet {{ $labels.fleet }}{{ else }}Job {{ $labels.job }}{{ end }} has {{ $value }} ready workers; at least %d are wanted.' % c.min_ready),
  alert('WorkerSuspended', 'warning', '(sum by (job, instance) (snowfleet_state{state=~"suspended|resyncing|exhausted"}) %s) > 0' % c.info(), '2m',
        'A worker has stopped minting',
        'Worker ' + who + ' is suspended, resyncing or exhausted ({{ $value }}): its clock, its reservation or the end of its timestamps does not allow IDs.'),
  alert('Restarts', 'warning', 'changes(process_start_time_seconds{%s}[15m]) > 2' % c.workers, '0s',
        'A worker restarts again and again',
        '{{ $labels.instance }} started {{ $value }} times in 15 minutes.'),

  // Objectives
  alert('ErrorsFastBurn', 'critical',
        'snowfleet:request_errors:ratio_rate5m > %(b)g and snowfleet:request_errors:ratio_rate1h > %(b)g' % { b: 14.4 * c.error_objective }, '2m',
        'Many requests fail',
        '{{ $value | humanizePercentage }} of the requests to fleet {{ $labels.fleet }} failed in the last 5 minutes.'),
  alert('ErrorsSlowBurn', 'warning',
        'snowfleet:request_errors:ratio_rate30m > %(b)g and snowfleet:request_errors:ratio_rate6h > %(b)g' % { b: c.error_objective }, '15m',
        'More requests fail than the objective allows',
        '{{ $value | humanizePercentage }} of the requests to fleet {{ $labels.fleet }} failed in the last 30 minutes; %g %% may.' % (100 * c.error_objective)),
  alert('LatencyHigh', 'warning', 'snowfleet:request_duration_seconds:p99 > %g' % c.latency_objective_s, '5m',
        'Requests are slow',
        'The p99 of NEXT in fleet {{ $labels.fleet }} is {{ $value | humanizeDuration }}.'),

  // Clocks
  alert('ClockOffset', 'warning', 'snowfleet:clock_uncertainty_seconds:max > %g' % c.clock_warn_s, '1m',
        'A clock is off, or may be',
        'The clock of worker ' + who + ' may be off by {{ $value | humanizeDuration }} (offset plus error bound); at %g s it stops minting.' % c.clock_max_s),
  alert('ClockUnsynchronised', 'warning', '(max by (job, instance) (snowfleet_clock_synchronized) %s) == 0' % c.info(), '5m',
        'No time source calls the clock synchronised',
        'Every time source of worker ' + who + ' says that the clock is not synchronised (synchronized = {{ $value }}).'),
  alert('ClockStep', 'warning', 'sum by (job, instance, direction) (increase(snowfleet_clock_steps_total[10m])) > 0', '0s',
        'A system clock was stepped',
        'The clock of {{ $labels.instance }} was stepped {{ $labels.direction }} {{ $value | humanize }} times in 10 minutes.'),

  // Coordinator and slots
  alert('CoordinatorUnreachable', 'warning', '(snowfleet_coordinator_connected %s) == 0' % c.info(), '1m',
        'A worker cannot reach its coordinator',
        'Worker ' + who + ' has lost its coordinator (connected = {{ $value }}); it lives on its reservation.'),
  alert('ReservationLow', 'critical',
        '(snowfleet_reservation_remaining_seconds %s) < 120 and on (job, instance) snowfleet_coordinator_connected == 0' % c.info(), '0s',
        'A worker is about to stop minting',
        'Worker ' + who + ' can mint for {{ $value | humanizeDuration }} more without its coordinator.'),
  alert('Fenced', 'warning', 'sum by (job, instance) (increase(snowfleet_reservation_renewals_total{result="lost"}[15m])) > 0', '0s',
        'A worker lost its slot to another one',
        '{{ $labels.instance }} found its slot taken {{ $value | humanize }} times in 15 minutes: it was paused or cut off for longer than its reservation.'),
  alert('SlotsNearlyExhausted', 'warning',
        'sum by (fleet, datacenter) (snowfleet:slots:max{state="free"}) / sum by (fleet, datacenter) (snowfleet:slots:max) < 0.1', '10m',
        'A datacenter has hardly any free slots',
        '{{ $value | humanizePercentage }} of the slots of datacenter {{ $labels.datacenter }} in fleet {{ $labels.fleet }} are free.'),
  alert('TimestampBitsEnding', 'warning',
        'min by (fleet) ((snowfleet_timestamp_bits_exhausted_seconds - time()) %s) < 5 * 365 * 86400' % c.info(), '1h',
        "The layout's timestamps end within five years",
        'Fleet {{ $labels.fleet }} can make IDs for {{ $value | humanizeDuration }} more.'),

  // Load
  alert('SequenceExhaustion', 'warning', '(rate(snowfleet_sequence_exhausted_total[5m]) %s) > 1' % c.info(), '5m',
        'A worker runs out of IDs within its milliseconds',
        'Worker ' + who + ' had to wait for the next millisecond {{ $value | humanize }} times a second.'),
  alert('LoadImbalance', 'warning',
        'max by (fleet) (snowfleet:ids_minted:rate2m) / avg by (fleet) (snowfleet:ids_minted:rate2m) > 2 and avg by (fleet) (snowfleet:ids_minted:rate2m) > 100 and on (fleet) snowfleet:workers_ready:sum > 1', '15m',
        'One worker carries much more than the others',
        'The busiest worker of fleet {{ $labels.fleet }} mints {{ $value | humanize }} times the average.'),
  alert('Overloaded', 'warning', '(sum by (job, instance) (rate(snowfleet_overloaded_total[5m])) %s) > 1' % c.info(), '5m',
        'A worker turns requests away',
        'Worker ' + who + ' answers OVERLOADED {{ $value | humanize }} times a second.'),
  alert('ConnectionsRefused', 'warning',
        '(sum by (job, instance) (rate(snowfleet_connection_refused_total{reason=~"limit|descriptors|memory"}[5m])) %s) > 0' % c.info(), '5m',
        'A worker refuses connections',
        'Worker ' + who + ' refuses {{ $value | humanize }} connections a second for lack of room.'),
  alert('BadFrames', 'warning', '(sum by (job, instance) (rate(snowfleet_bad_frames_total[5m])) %s) > 1' % c.info(), '5m',
        'Somebody sends what is not the protocol',
        'Worker ' + who + ' gets {{ $value | humanize }} malformed frames a second.'),

  // Housekeeping
  alert('VersionSkew', 'warning', 'count by (fleet) (count by (fleet, version, commit) (snowfleet_build_info %s)) > 1' % c.info(), '1h',
        'A fleet runs several versions',
        'Fleet {{ $labels.fleet }} has run {{ $value }} different builds for an hour: an upgrade was not finished.'),
  alert('VerifyFailing', 'warning', 'sum by (job, instance, worker) (rate(snowfleet_verify_failures_total[5m])) > 0', '5m',
        "The prober's requests fail",
        'Requests of the prober {{ $labels.instance }} to worker {{ $labels.worker }} fail {{ $value | humanize }} times a second.'),
];

{
  groups: [
    { name: 'snowfleet.recording', interval: '15s', rules: recording },
    { name: 'snowfleet.alerts', interval: '15s', rules: alerts },
  ],
}
