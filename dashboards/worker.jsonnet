local c = import 'config.libsonnet';
local g = import 'grafana.libsonnet';
local info = g.info;
local rate_of(metric) = 'rate(%s[$__rate_interval]) %s' % [metric, info];
local quantile(q, type) = 'histogram_quantile(%g, sum by (le) (%s))' % [q, rate_of('snowfleet_request_duration_seconds_bucket{type="%s"}' % type)];
local uncertainty(of) = '(abs(snowfleet_clock_offset_seconds%s) + snowfleet_clock_error_bound_seconds%s)' % [of, of];
local state = std.join(' or ', ['snowfleet_state{state="%s"} * %d' % [c.states[i], i + 1] for i in std.range(0, std.length(c.states) - 1)]);

g.dashboard('snowfleet-worker', 'Snowfleet / Worker', 'One worker in depth.', [
  ['Now', 5, [
    g.stat('IDs per second', 'IDs that this worker handed out.', 'short', [['sum(%s)' % rate_of('snowfleet_ids_minted_total'), 'minted']]),
    g.stat('p99 of NEXT', 'From reading a request to writing its response.', 's', [[quantile(0.99, 'next'), 'p99']], [['green', null], ['orange', c.latency_objective_s / 2], ['red', c.latency_objective_s]]),
    g.stat('Reservation left', 'How long it can mint without its coordinator.', 's', [['min(snowfleet_reservation_remaining_seconds %s)' % info, 'left']], [['red', null], ['green', 120]]),
    g.stat('Clock offset and error', "Largest offset plus error bound over the sources that tell a time; where none does, by the coordinator's clock, which tells it coarsely.", 's', [
      ['max(((%s and snowfleet_clock_source_up == 1) or on (%s) (%s)) %s)' % [uncertainty(''), c.target, uncertainty('{source="coordinator"}'), info], 'at most'],
    ], [['green', null], ['orange', c.clock_warn_s], ['red', c.clock_max_s]]),
    g.stat('Up for', 'Time since the process started.', 's', [['max((time() - process_start_time_seconds) %s)' % info, 'up']]),
    g.stat('Build', 'Version and commit.', 'none', [['max by (version, commit) (snowfleet_build_info %s)' % info, '{{version}} {{commit}}']]) + { options+: { textMode: 'name' } },
  ]],
  ['State', 6, [
    g.timeline('State', 'What the worker is doing. A gap: it did not answer its scrape.', [
      ['max by (cluster, namespace, instance) ((%s) %s)' % [state, info], '{{instance}}'],
    ], [['unknown', 'gray']] + c.state_colours),
    g.lines('Claims and renewals', 'Attempts to get a slot, renewals of the reservation and sessions that the coordinator ended, a second.', 'ops', [
      ['sum by (result) (%s)' % rate_of('snowfleet_claims_total'), 'claim {{result}}'],
      ['sum by (result) (%s)' % rate_of('snowfleet_reservation_renewals_total'), 'renewal {{result}}'],
      ['sum(%s)' % rate_of('snowfleet_coordinator_session_losses_total'), 'session lost'],
    ]) + g.from_zero,
  ]],
  ['Requests', 8, [
    g.lines('Requests', 'Requests a second by type and status.', 'reqps', [['sum by (type, status) (%s)' % rate_of('snowfleet_requests_total'), '{{type}} {{status}}']]) + g.from_zero,
    g.lines('Latency of NEXT', 'Percentiles.', 's', [[quantile(0.5, 'next'), 'p50'], [quantile(0.95, 'next'), 'p95'], [quantile(0.99, 'next'), 'p99']]) + g.limits([['green', null], ['red', c.latency_objective_s]]) + g.from_zero,
    g.lines('Waiting', 'Requests that wait for their timestamp.', 'none', [['sum(snowfleet_waiting_requests %s)' % info, 'waiting']]) + g.from_zero,
  ]],
  ['Minting', 8, [
    g.lines('Ahead of the clock', "How far the last ID's timestamp is ahead of minting time (mint.max_ahead_ms is the limit).", 's', [['max(snowfleet_mint_ahead_seconds %s)' % info, 'ahead']]) + g.from_zero,
    g.lines('Sequence exhaustion', 'How often every ID up to the borrowing limit was used.', 'ops', [['sum(%s)' % rate_of('snowfleet_sequence_exhausted_total'), 'exhausted']]) + g.from_zero,
    g.lines('Reservation left', 'It jumps up at each renewal; a steady fall means that renewals fail.', 's', [['min(snowfleet_reservation_remaining_seconds %s)' % info, 'left']]) + g.limits([['red', null], ['green', 120]]) + g.from_zero,
  ]],
  ['Clock', 8, [
    g.lines('Offset by source', 'Positive: the clock is behind. Of the coordinator, whose clock tells the time coarsely, what is left beyond its bound.', 's', [['max by (source) (%s %s)' % [c.clock_offset, info], '{{source}}']]) + g.limits([['red', null], ['orange', -c.clock_max_s], ['green', -c.clock_warn_s], ['orange', c.clock_warn_s], ['red', c.clock_max_s]]),
    g.lines('Error bound by source', 'How wrong the offset may be at most.', 's', [['max by (source) (snowfleet_clock_error_bound_seconds %s)' % info, '{{source}}']]) + g.from_zero,
    g.lines('Sources', 'Up and synchronised, 1 or 0; slewing is 1 while minting time is moved towards the clock.', 'none', [
      ['max by (source) (snowfleet_clock_source_up %s)' % info, 'up: {{source}}'],
      ['max by (source) (snowfleet_clock_synchronized %s)' % info, 'synchronised: {{source}}'],
      ['max(snowfleet_clock_slewing %s)' % info, 'slewing'],
    ]) + g.from_zero,
    g.lines('Clock steps', 'Steps of the system clock that were noticed, a second.', 'ops', [['sum by (direction) (%s)' % rate_of('snowfleet_clock_steps_total'), '{{direction}}']]) + g.from_zero,
  ]],
  ['Coordinator', 8, [
    g.lines('Connected', '1 while the coordinator can be reached.', 'none', [['max(snowfleet_coordinator_connected %s)' % info, 'connected']]) + g.from_zero,
    g.lines('Operations', 'Operations a second by how they ended.', 'ops', [['sum by (op, result) (%s)' % rate_of('snowfleet_coordinator_operations_total'), '{{op}} {{result}}']]) + g.from_zero,
    g.lines('Latency, p99', 'Time until an operation ended.', 's', [['histogram_quantile(0.99, sum by (le, op) (%s))' % rate_of('snowfleet_coordinator_operation_seconds_bucket'), '{{op}}']]) + g.from_zero,
  ]],
  ['Connections', 8, [
    g.lines('Open', 'Open data connections.', 'none', [['sum(snowfleet_connections %s)' % info, 'open']]) + g.from_zero,
    g.lines('Opened, refused, closed', 'Connections a second.', 'ops', [
      ['sum(%s)' % rate_of('snowfleet_connections_total'), 'accepted'],
      ['sum by (reason) (%s)' % rate_of('snowfleet_connection_refused_total'), 'refused: {{reason}}'],
      ['sum by (reason) (%s)' % rate_of('snowfleet_connection_closed_total'), 'closed: {{reason}}'],
    ]) + g.from_zero,
    g.lines('Bytes', 'Bytes of the protocol, received and sent, a second.', 'Bps', [['sum by (direction) (%s)' % rate_of('snowfleet_bytes_total'), '{{direction}}']]) + g.from_zero,
    g.lines('Refused requests', 'Overload, rate limits and malformed frames, a second.', 'ops', [
      ['sum by (scope) (%s)' % rate_of('snowfleet_overloaded_total'), 'overloaded: {{scope}}'],
      ['sum by (scope) (%s)' % rate_of('snowfleet_rate_limited_total'), 'rate limit: {{scope}}'],
      ['sum by (scope) (%s)' % rate_of('snowfleet_bad_frames_total'), 'bad frame: {{scope}}'],
    ]) + g.from_zero,
  ]],
  ['Process', 8, [
    g.lines('CPU', 'Cores in use.', 'short', [['sum(%s)' % rate_of('process_cpu_seconds_total'), 'cores']]) + g.from_zero,
    g.lines('Loop time by shard, p99', 'Time that one turn of a shard took, waiting left out.', 's', [['histogram_quantile(0.99, sum by (le, shard) (%s))' % rate_of('snowfleet_shard_loop_seconds_bucket'), 'shard {{shard}}']]) + g.from_zero,
    g.lines('Memory', 'Resident and virtual memory.', 'bytes', [['sum(process_resident_memory_bytes %s)' % info, 'resident'], ['sum(process_virtual_memory_bytes %s)' % info, 'virtual']]) + g.from_zero,
    g.lines('Files and threads', 'Open file descriptors, their limit, threads.', 'none', [['sum(process_open_fds %s)' % info, 'open'], ['sum(process_max_fds %s)' % info, 'limit'], ['sum(process_threads %s)' % info, 'threads']]) + g.from_zero,
  ]],
], true)
