// Recording rules and alerts. Every alert has an entry of its own name in RUNBOOK.md (tests/dash checks both ways).
// A function of the config (config.libsonnet): the chart has one with places for its values.
function(c)
local texts = { [name]: if std.isNumber(c[name]) then '%g' % c[name] else c[name] for name in std.objectFields(c) };
local v = texts {
  info: c.info(),
  member: c.info('fleet_id!=""'),
  seated: c.info('fleet_id!="",datacenter!=""'),
};

local ratio(window) = {
  record: 'snowfleet:request_errors:ratio_rate' + window,
  // A fleet without errors has no series with an error's status: then the ratio is 0.
  expr: |||
    (sum by (%(fleet)s) (rate(snowfleet_requests_total{status=~"%(errors)s"}[%(w)s]) %(info)s) or 0 * sum by (%(fleet)s) (rate(snowfleet_requests_total[%(w)s]) %(info)s))
    / (sum by (%(fleet)s) (rate(snowfleet_requests_total[%(w)s]) %(info)s) > 0)
  ||| % { errors: c.errors, w: window, info: c.info(), fleet: c.fleet },
};

local quantile(q) = {
  record: 'snowfleet:request_duration_seconds:p%d' % (q * 100),
  expr: 'histogram_quantile(%g, sum by (%s, le) (rate(snowfleet_request_duration_seconds_bucket{type="next"}[5m]) %s))' % [q, c.fleet, c.info()],
};

local recording = [
  { record: 'snowfleet:ids_minted:rate2m', expr: 'rate(snowfleet_ids_minted_total[2m]) ' + c.info() },
  // Whoever has never read the config knows no fleet id, and is no member yet.
  { record: 'snowfleet:workers_ready:sum', expr: 'sum by (%s) (snowfleet_state{state="ready"} %s)' % [c.fleet, c.info('fleet_id!=""')] },
  {
    record: 'snowfleet:datacenter_workers_ready:sum',
    expr: 'sum by (%s, datacenter) (snowfleet_state{state="ready"} %s)' % [c.fleet, c.info('fleet_id!="",datacenter!=""')],
  },
  {
    record: 'snowfleet:clock_uncertainty_seconds:max',
    expr: 'max by (%s) ((abs(snowfleet_clock_offset_seconds) + snowfleet_clock_error_bound_seconds) and snowfleet_clock_source_up == 1) %s' % [c.target, c.info()],
  },
  {
    record: 'snowfleet:slots:max',
    expr: 'max by (%s, datacenter, state) (snowfleet_slots %s)' % [c.fleet, c.info('datacenter!=""')],
  },
  {
    // Whoever read the datacenter lately says who is in it; who is there without a slot has no datacenter of its own, and says so too.
    record: 'snowfleet:members:max',
    expr: 'max by (%s, datacenter, state) (snowfleet_members * on (%s) group_left (fleet, fleet_id) snowfleet_worker_info{fleet_id!=""})' % [c.fleet, c.target],
  },
] + [ratio(w) for w in ['5m', '30m', '1h', '6h']] + [quantile(q) for q in [0.5, 0.95, 0.99]];

local place = '{{ with $labels.namespace }} in namespace {{ . }}{{ end }}{{ with $labels.cluster }} of cluster {{ . }}{{ end }}';
local who = '{{ $labels.datacenter }}/{{ $labels.worker }} ({{ $labels.instance }})' + place;
local fleet = '{{ $labels.fleet }}' + place;

local alert(name, severity, expr, wait, summary, description) = {
  alert: 'Snowfleet' + name,
  expr: expr % v,
  'for': wait,
  labels: { severity: severity },
  annotations: {
    summary: summary % v,
    description: description % v,
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
        'count by (%(fleet)s) (count_values by (%(fleet)s) ("ends", snowfleet_timestamp_bits_exhausted_seconds %(member)s)) > 1', '1m',
        'Workers of one fleet disagree about the layout',
        'Fleet ' + fleet + ' has {{ $value }} different ends of its timestamps, so workers with different epochs or layouts.'),
  // One process that is scraped twice has one start; two processes have two. Whatever cluster or namespace they are in: the id is the fleet.
  alert('SlotHeldTwice', 'critical', |||
          count by (fleet, fleet_id, datacenter, worker) (count_values by (fleet, fleet_id, datacenter, worker) ("started",
            process_start_time_seconds * on (%(target)s) group_left (fleet, fleet_id, datacenter, worker)
            (snowfleet_worker_info{fleet_id!="",worker!=""} and on (%(target)s) snowfleet_state{state="ready"} == 1))) > 1
        |||, '1m',
        'One slot is held by two ready workers',
        '{{ $value }} ready workers say that they hold slot {{ $labels.datacenter }}/{{ $labels.worker }} of fleet {{ $labels.fleet }} ({{ $labels.fleet_id }}): stop all of them but one.'),
  alert('FleetHalted', 'critical', 'max by (%(fleet)s) (snowfleet_fleet_halted %(info)s) == 1', '0s',
        'A fleet grants nothing: its coordinator lost data',
        'Somebody in fleet ' + fleet + ' noticed that the coordinator was put back or lost data (halted = {{ $value }}): workers spend what they have, then stop. It ends with `snowfleet init --after-data-loss`.'),

  // Availability
  alert('WorkerDown', 'warning', 'up{%(workers)s} == 0', '1m',
        'A worker does not answer its scrape',
        '{{ $labels.instance }} of job {{ $labels.job }} has not answered for a minute (up = {{ $value }}).'),
  alert('TargetMissing', 'critical', 'absent(up{%(workers)s})', '5m',
        'Prometheus knows no worker at all',
        'No target matches the job of the workers (absent = {{ $value }}): nothing below this alert can fire.'),
  // Where no worker of a job answers or has read a config, nobody says how many are ready, nor of which fleet.
  alert('FewReady', 'critical', 'snowfleet:workers_ready:sum < %(min_ready)s or (sum by (cluster, namespace, job) (snowfleet_state{state="ready",%(workers)s}) == 0 or sum by (cluster, namespace, job) (up{%(workers)s}) == 0) unless on (cluster, namespace) snowfleet:workers_ready:sum', '1m',
        'Too few workers are ready',
        '{{ if $labels.fleet }}Fleet {{ $labels.fleet }}{{ else }}Job {{ $labels.job }}{{ end }}' + place + ' has {{ $value }} ready workers; at least %(min_ready)s are wanted.'),
  alert('DatacenterGone', 'critical',
        'max_over_time(snowfleet:datacenter_workers_ready:sum[%(remember)s]) > 0 unless snowfleet:datacenter_workers_ready:sum > 0', '2m',
        'No worker of a datacenter is ready any more',
        'Datacenter {{ $labels.datacenter }} of fleet ' + fleet + ' has no ready worker; within the last %(remember)s it had {{ $value }}.'),
  // What is missing is judged by what serves: who is lost and has been replaced is no trouble.
  alert('MembersLost', 'warning',
        'snowfleet:members:max{state="lost"} > 0 unless on (%(fleet)s, datacenter) snowfleet:datacenter_workers_ready:sum >= max_over_time(snowfleet:datacenter_workers_ready:sum[%(remember)s])', '5m',
        'Workers are gone, and nobody took their place',
        '{{ $value }} workers of datacenter {{ $labels.datacenter }} in fleet ' + fleet + ' are gone without having given their slots back, and fewer are ready than within the last %(remember)s.'),
  alert('WorkersWaiting', 'warning',
        'sum by (%(fleet)s, datacenter) (snowfleet:members:max{state=~"claiming|quarantined"}) > 0', '15m',
        'Workers wait for a slot',
        '{{ $value }} workers of datacenter {{ $labels.datacenter }} in fleet ' + fleet + ' hold no slot and wait for one.'),
  alert('WorkerSuspended', 'warning', '(sum by (%(target)s) (snowfleet_state{state=~"suspended|resyncing|exhausted"}) %(info)s) > 0', '2m',
        'A worker has stopped minting',
        'Worker ' + who + ' is suspended, resyncing or exhausted ({{ $value }}): its clock, its reservation or the end of its timestamps does not allow IDs.'),
  alert('Restarts', 'warning', 'changes(process_start_time_seconds{%(workers)s}[15m]) > %(restarts)s', '0s',
        'A worker restarts again and again',
        '{{ $labels.instance }} started {{ $value }} times in 15 minutes.'),

  // Objectives
  alert('ErrorsFastBurn', 'critical',
        'snowfleet:request_errors:ratio_rate5m > %(burn)s * %(error_objective)s and snowfleet:request_errors:ratio_rate1h > %(burn)s * %(error_objective)s', '2m',
        'Many requests fail',
        '{{ $value | humanizePercentage }} of the requests to fleet ' + fleet + ' failed in the last 5 minutes.'),
  alert('ErrorsSlowBurn', 'warning',
        'snowfleet:request_errors:ratio_rate30m > %(error_objective)s and snowfleet:request_errors:ratio_rate6h > %(error_objective)s', '15m',
        'More requests fail than the objective allows',
        '{{ $value | humanizePercentage }} of the requests to fleet ' + fleet + ' failed in the last 30 minutes; {{ %(error_objective)s | humanizePercentage }} may.'),
  alert('LatencyHigh', 'warning', 'snowfleet:request_duration_seconds:p99 > %(latency_objective_s)s', '5m',
        'Requests are slow',
        'The p99 of NEXT in fleet ' + fleet + ' is {{ $value | humanizeDuration }}.'),

  // Clocks
  alert('ClockOffset', 'warning', 'snowfleet:clock_uncertainty_seconds:max > %(clock_warn_s)s', '1m',
        'A clock is off, or may be',
        'The clock of worker ' + who + ' may be off by {{ $value | humanizeDuration }} (offset plus error bound); at %(clock_max_s)s s it stops minting.'),
  alert('ClockUnsynchronised', 'warning', '(max by (%(target)s) (snowfleet_clock_synchronized) %(info)s) == 0', '5m',
        'No time source calls the clock synchronised',
        'Every time source of worker ' + who + ' says that the clock is not synchronised (synchronized = {{ $value }}).'),
  alert('ClockStep', 'warning', 'sum by (%(target)s, direction) (increase(snowfleet_clock_steps_total[10m])) > 0', '0s',
        'A system clock was stepped',
        'The clock of {{ $labels.instance }} was stepped {{ $labels.direction }} {{ $value | humanize }} times in 10 minutes.'),

  // Coordinator and slots
  alert('CoordinatorUnreachable', 'warning', '(snowfleet_coordinator_connected %(info)s) == 0', '1m',
        'A worker cannot reach its coordinator',
        'Worker ' + who + ' has lost its coordinator (connected = {{ $value }}); it lives on its reservation.'),
  alert('ReservationLow', 'critical',
        '(snowfleet_reservation_remaining_seconds %(info)s) < %(reservation_low_s)s and on (%(target)s) snowfleet_coordinator_connected == 0', '0s',
        'A worker is about to stop minting',
        'Worker ' + who + ' can mint for {{ $value | humanizeDuration }} more without its coordinator.'),
  alert('Fenced', 'warning', 'sum by (%(target)s) (increase(snowfleet_reservation_renewals_total{result="lost"}[15m])) > 0', '0s',
        'A worker lost its slot to another one',
        '{{ $labels.instance }} found its slot taken {{ $value | humanize }} times in 15 minutes: it was paused or cut off for longer than its reservation.'),
  alert('SlotsNearlyExhausted', 'warning',
        'sum by (%(fleet)s, datacenter) (snowfleet:slots:max{state="free"}) / sum by (%(fleet)s, datacenter) (snowfleet:slots:max) < %(free_slots)s', '10m',
        'A datacenter has hardly any free slots',
        '{{ $value | humanizePercentage }} of the slots of datacenter {{ $labels.datacenter }} in fleet ' + fleet + ' are free.'),
  // True where this Prometheus scrapes every worker of the datacenter.
  alert('ClaimsLeaked', 'warning',
        'max by (fleet, fleet_id, datacenter) (snowfleet_slots{state="held"} %(seated)s) - sum by (fleet, fleet_id, datacenter) (snowfleet_worker_slots %(seated)s) > 0', '30m',
        'Slots are held that no worker has',
        '{{ $value }} slots of datacenter {{ $labels.datacenter }} in fleet {{ $labels.fleet }} are held by claims of nobody that is scraped here.'),
  alert('TimestampBitsEnding', 'warning',
        'min by (%(fleet)s) ((snowfleet_timestamp_bits_exhausted_seconds - time()) %(info)s) < %(timestamp_years)s * 365 * 86400', '1h',
        "The layout's timestamps end within %(timestamp_years)s years",
        'Fleet ' + fleet + ' can make IDs for {{ $value | humanizeDuration }} more.'),

  // Doors
  alert('CertificateExpires', 'warning', '((snowfleet_certificate_expiry_seconds - time()) %(info)s) < %(certificate_days)s * 86400', '10m',
        'A certificate ends within %(certificate_days)s days',
        '{{ $labels.file }} ({{ $labels.use }}) of worker ' + who + ' ends in {{ $value | humanizeDuration }}.'),
  alert('ReloadRefused', 'warning', '(increase(snowfleet_reloads_total{result="refused"}[1h]) %s) > 0' % c.info(), '0s',
        'A worker was given options or files that it cannot use',
        'Worker ' + who + ' refused {{ $value | humanize }} times within an hour to take its options, certificates or tokens anew, and goes on with the old ones.'),

  // Load
  alert('SequenceExhaustion', 'warning', '(rate(snowfleet_sequence_exhausted_total[5m]) %(info)s) > %(exhaustions_per_s)s', '5m',
        'A worker runs out of IDs within its milliseconds',
        'Worker ' + who + ' had to wait for the next millisecond {{ $value | humanize }} times a second.'),
  alert('LoadImbalance', 'warning',
        'max by (%(fleet)s) (snowfleet:ids_minted:rate2m) / avg by (%(fleet)s) (snowfleet:ids_minted:rate2m) > %(imbalance)s and avg by (%(fleet)s) (snowfleet:ids_minted:rate2m) > %(imbalance_ids_per_s)s and on (%(fleet)s) snowfleet:workers_ready:sum > 1', '15m',
        'One worker carries much more than the others',
        'The busiest worker of fleet ' + fleet + ' mints {{ $value | humanize }} times the average.'),
  alert('Overloaded', 'warning', '(sum by (%(target)s) (rate(snowfleet_overloaded_total[5m])) %(info)s) > %(overloaded_per_s)s', '5m',
        'A worker turns requests away',
        'Worker ' + who + ' answers OVERLOADED {{ $value | humanize }} times a second.'),
  alert('ConnectionsRefused', 'warning',
        '(sum by (%(target)s) (rate(snowfleet_connection_refused_total{reason=~"limit|descriptors|memory"}[5m])) %(info)s) > 0', '5m',
        'A worker refuses connections',
        'Worker ' + who + ' refuses {{ $value | humanize }} connections a second for lack of room.'),
  alert('BadFrames', 'warning', '(sum by (%(target)s) (rate(snowfleet_bad_frames_total[5m])) %(info)s) > %(bad_frames_per_s)s', '5m',
        'Somebody sends what is not the protocol',
        'Worker ' + who + ' gets {{ $value | humanize }} malformed frames a second.'),

  // Housekeeping
  alert('VersionSkew', 'warning', 'count by (%(fleet)s) (count by (%(fleet)s, version, commit) (snowfleet_build_info %(info)s)) > 1', '1h',
        'A fleet runs several versions',
        'Fleet ' + fleet + ' has run {{ $value }} different builds for an hour: an upgrade was not finished.'),
  alert('VerifyFailing', 'warning', 'sum by (%(target)s, worker) (rate(snowfleet_verify_failures_total[5m])) > 0', '5m',
        "The prober's requests fail",
        'Requests of the prober {{ $labels.instance }} to worker {{ $labels.worker }} fail {{ $value | humanize }} times a second.'),
];

{
  groups: [
    { name: 'snowfleet.recording', interval: '15s', rules: recording },
    { name: 'snowfleet.alerts', interval: '15s', rules: alerts },
  ],
}
