local c = import 'config.libsonnet';
local g = import 'grafana.libsonnet';
local by_worker = '{{datacenter}}/{{worker}} {{node}}';
local info = g.info;
local workers = 'snowfleet_worker_info{%s}' % g.picked;
local scraped = 'cluster=~"$cluster",namespace=~"$namespace"';
local sum_worker(expr) = 'sum by (cluster, namespace, datacenter, worker, node) (%s %s)' % [expr, info];
local max_worker(expr) = 'max by (cluster, namespace, datacenter, worker, node) (%s %s)' % [expr, info];
local quantile(q) = 'histogram_quantile(%g, sum by (le) (rate(snowfleet_request_duration_seconds_bucket{type="next"}[$__rate_interval]) %s))' % [q, info];
local state = std.join(' or ', ['snowfleet_state{state="%s"} * %d' % [c.states[i], i + 1] for i in std.range(0, std.length(c.states) - 1)]);

g.dashboard('snowfleet-fleet', 'Snowfleet / Fleet', 'Is the fleet well, and if not, what is wrong. Alerts lead to RUNBOOK.md.', [
  ['At a glance', 5, [
    g.stat('IDs per second', 'IDs handed out by the workers chosen above; the second value is what their layout allows at most.', 'short', [
      ['sum(rate(snowfleet_ids_minted_total[$__rate_interval]) %s)' % info, 'minted'],
      ['sum(snowfleet_capacity_ids_per_second %s)' % info, 'possible'],
    ]),
    g.stat('Error ratio', 'Part of the requests answered with a failure of ours (%s). %g %% may fail.' % [c.errors, 100 * c.error_objective], 'percentunit', [
      ['(sum(rate(snowfleet_requests_total{status=~"%s"}[$__rate_interval]) %s) or vector(0)) / sum(rate(snowfleet_requests_total[$__rate_interval]) %s)' % [c.errors, info, info], 'failed'],
    ], [['green', null], ['orange', c.error_objective], ['red', 14.4 * c.error_objective]]),
    g.stat('Latency of NEXT', 'From reading a request to writing its response, in the worker.', 's', [
      [quantile(0.5), 'p50'], [quantile(0.95), 'p95'], [quantile(0.99), 'p99'],
    ], [['green', null], ['orange', c.latency_objective_s / 2], ['red', c.latency_objective_s]]),
    g.stat('Live workers', 'Workers that answer their scrape, by datacenter; empty while a worker holds no slot.', 'none', [
      ['count by (datacenter) (%s)' % workers, 'datacenter {{datacenter}}'],
    ]),
    g.stat('Slots free', 'Slots that a new worker could take at once, by datacenter.', 'none', [
      ['sum by (datacenter) (max by (%s, datacenter) (snowfleet_slots{state="free"} %s))' % [c.fleet, info], 'datacenter {{datacenter}}'],
    ], [['red', null], ['orange', 1], ['green', 3]]),
  ]],
  ['Workers over time', 10, [
    g.timeline('State of each worker', 'One row a worker, one colour a state. A gap: the worker did not answer its scrape.', [
      ['max by (cluster, namespace, datacenter, worker, node, instance) ((%s) %s)' % [state, info], '{{datacenter}}/{{worker}} {{instance}}'],
    ], [['unknown', 'gray']] + c.state_colours),
    g.lines('Slots by state', 'Slots of the datacenters chosen: free, held, quarantined (no live claim, reservation not yet over).', 'none', [
      ['sum by (state) (max by (%s, datacenter, state) (snowfleet_slots %s))' % [c.fleet, info], '{{state}}'],
    ]) + g.stacked + g.from_zero,
  ]],
  ['Who is missing', 8, [
    g.timeline('Up or down', 'Every target of the workers and whether it answers its scrape; of all fleets, since nobody who is down says which fleet it is of.', [
      ['max by (cluster, namespace, instance) (up{%s,%s})' % [c.workers, scraped], '{{instance}}'],
    ], [['down', 'red'], ['up', 'green']]),
    g.lines('Ready workers by datacenter', 'Ready now, and at most within the last %s (expected): a gap between the two is who is missing.' % c.remember, 'none', [
      ['sum by (datacenter) (snowfleet:datacenter_workers_ready:sum{%s,fleet=~"$fleet",datacenter=~"$datacenter"})' % scraped, 'datacenter {{datacenter}}'],
      ['sum by (datacenter) (max_over_time(snowfleet:datacenter_workers_ready:sum{%s,fleet=~"$fleet",datacenter=~"$datacenter"}[%s]))' % [scraped, c.remember], 'datacenter {{datacenter}} expected'],
    ]) + g.from_zero,
  ]],
  ['Who is to be there', 8, [
    g.lines('Members by state', 'Everybody who holds a slot or waits for one, or did within the hour, as the coordinator knows them: also those that nobody can scrape. Lost: gone, and the slot was not given back.', 'none', [
      ['sum by (state) (max by (%s, datacenter, state) (snowfleet_members * on (%s) group_left (fleet, fleet_id) snowfleet_worker_info{%s,fleet=~"$fleet"})) > 0' % [c.fleet, c.target, scraped], '{{state}}'],
    ]) + g.stacked + g.from_zero,
    g.lines('Load against what the layout allows', 'IDs of all workers chosen, and what the layout allows their slots at most.', 'short', [
      ['sum(rate(snowfleet_ids_minted_total[$__rate_interval]) %s)' % info, 'minted'],
      ['sum(snowfleet_capacity_ids_per_second %s)' % info, 'possible'],
    ]) + g.from_zero,
    g.lines('Saturation', 'Share of what its slots can mint that was asked of a worker, waiting and refused included. Over 0.7 requests begin to wait; it is what autoscaling goes by.', 'percentunit', [
      [max_worker('snowfleet_saturation'), by_worker],
    ]) + g.limits([['green', null], ['orange', 0.7], ['red', 1]]) + g.from_zero,
  ]],
  ['Seen by the prober', 8, [
    g.lines('Duplicates and order', 'IDs that the prober got twice, and IDs that did not ascend on one connection, a second. Both stay at zero, always.', 'ops', [
      ['sum by (worker) (rate(snowfleet_verify_duplicates_total{%s}[$__rate_interval]))' % scraped, 'twice: {{worker}}'],
      ['sum by (worker) (rate(snowfleet_verify_order_errors_total{%s}[$__rate_interval]))' % scraped, 'out of order: {{worker}}'],
    ]) + g.limits([['green', null], ['red', 0.001]]) + g.from_zero,
    g.lines('Latency that a client sees', 'From sending a request to its answer, over the network.', 's', [
      ['histogram_quantile(%g, sum by (le) (rate(snowfleet_verify_duration_seconds_bucket{%s}[$__rate_interval])))' % [q, scraped], 'p%d' % (q * 100)] for q in [0.5, 0.99]
    ]) + g.from_zero,
    g.lines('Failed requests of the prober', 'A second, by the worker that was asked.', 'ops', [
      ['sum by (worker) (rate(snowfleet_verify_failures_total{%s}[$__rate_interval]))' % scraped, '{{worker}}'],
    ]) + g.from_zero,
  ]],
  ['Traffic', 8, [
    g.lines('IDs per second by worker', 'Load of each worker; lines far apart mean that clients are not spread.', 'short', [
      [sum_worker('rate(snowfleet_ids_minted_total[$__rate_interval])'), by_worker],
    ]) + g.from_zero,
    g.lines('Latency of NEXT', 'Percentiles over all workers chosen.', 's', [
      [quantile(0.5), 'p50'], [quantile(0.95), 'p95'], [quantile(0.99), 'p99'],
    ]) + g.limits([['green', null], ['red', c.latency_objective_s]]) + g.from_zero,
    g.lines('Requests by status', 'Requests a second by the status they were answered with.', 'reqps', [
      ['sum by (status) (rate(snowfleet_requests_total[$__rate_interval]) %s)' % info, '{{status}}'],
    ]) + g.from_zero,
  ]],
  ['Load', 8, [
    g.bars('Share of each worker', "Each worker's part of all IDs. Equal parts are the goal; over twice the average for 15 minutes is an alert.", 'percentunit', [
      ['%s / on () group_left () sum(rate(snowfleet_ids_minted_total[$__rate_interval]) %s)' % [sum_worker('rate(snowfleet_ids_minted_total[$__rate_interval])'), info], by_worker],
    ]),
    g.lines('Sequence exhaustion', 'How often a worker had used every ID of a millisecond and of what it may borrow, so that requests waited.', 'ops', [
      [sum_worker('rate(snowfleet_sequence_exhausted_total[$__rate_interval])'), by_worker],
    ]) + g.limits([['green', null], ['orange', 1]]) + g.from_zero,
    g.lines('Refused: overload and limits', 'Requests and connections turned away because a queue, a limit or a quota was full.', 'ops', [
      ['sum by (scope) (rate(snowfleet_overloaded_total[$__rate_interval]) %s)' % info, 'overloaded: {{scope}}'],
      ['sum by (scope) (rate(snowfleet_rate_limited_total[$__rate_interval]) %s)' % info, 'rate limit: {{scope}}'],
      ['sum by (reason) (rate(snowfleet_connection_refused_total[$__rate_interval]) %s)' % info, 'connection: {{reason}}'],
    ]) + g.from_zero,
  ]],
  ['Clocks', 8, [
    g.lines('Clock offset', 'How far each source says that the clock is off; positive: the clock is behind. Of the coordinator, whose clock tells the time coarsely, what is left beyond its bound. Over %g s (with the error) is an alert, over %g s the worker stops.' % [c.clock_warn_s, c.clock_max_s], 's', [
      ['max by (cluster, namespace, datacenter, worker, node, source) (%s %s)' % [c.clock_offset, info], by_worker + ' {{source}}'],
    ]) + g.limits([['red', null], ['orange', -c.clock_max_s], ['green', -c.clock_warn_s], ['orange', c.clock_warn_s], ['red', c.clock_max_s]]),
    g.lines('Clock error bound', 'How wrong the offset may be at most; it grows while a source does not answer.', 's', [
      ['max by (cluster, namespace, datacenter, worker, node, source) (snowfleet_clock_error_bound_seconds %s)' % info, by_worker + ' {{source}}'],
    ]) + g.limits([['green', null], ['orange', c.clock_warn_s], ['red', c.clock_max_s]]) + g.from_zero,
    g.lines('Sources synchronised', '1 while a source calls the clock synchronised.', 'none', [
      ['min by (cluster, namespace, datacenter, worker, node, source) (snowfleet_clock_synchronized %s)' % info, by_worker + ' {{source}}'],
    ]) + g.from_zero,
  ]],
  ['Coordinator', 8, [
    g.lines('Coordinator connected', '1 while a worker can reach its coordinator. At 0 it mints on from its reservation.', 'none', [
      [max_worker('snowfleet_coordinator_connected'), by_worker],
    ]) + g.from_zero,
    g.lines('Reservation left', 'How long each worker can mint without its coordinator.', 's', [
      ['min by (cluster, namespace, datacenter, worker, node) (snowfleet_reservation_remaining_seconds %s)' % info, by_worker],
    ]) + g.limits([['red', null], ['green', 120]]) + g.from_zero,
    g.lines('Coordinator operations', 'Operations a second by outcome: lost and unknown mean that no answer came.', 'ops', [
      ['sum by (op, result) (rate(snowfleet_coordinator_operations_total[$__rate_interval]) %s)' % info, '{{op}} {{result}}'],
    ]) + g.from_zero,
    g.lines('Coordinator latency, p99', 'Time until an operation on the coordinator ended.', 's', [
      ['histogram_quantile(0.99, sum by (le, op) (rate(snowfleet_coordinator_operation_seconds_bucket[$__rate_interval]) %s))' % info, '{{op}}'],
    ]) + g.from_zero,
  ]],
  ['Resources', 8, [
    g.lines('CPU', 'Cores in use by each worker.', 'short', [[sum_worker('rate(process_cpu_seconds_total[$__rate_interval])'), by_worker]]) + g.from_zero,
    g.lines('Memory', 'Resident memory of each worker.', 'bytes', [[max_worker('process_resident_memory_bytes'), by_worker]]) + g.from_zero,
    g.lines('Connections', 'Open data connections of each worker.', 'none', [[max_worker('snowfleet_connections'), by_worker]]) + g.from_zero,
    g.lines('Open files', 'Part of the file descriptors that is in use.', 'percentunit', [
      [max_worker('process_open_fds / process_max_fds'), by_worker],
    ]) + g.from_zero,
  ]],
], false)
