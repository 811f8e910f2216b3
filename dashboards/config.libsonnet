// What dashboards and alerts assume of the place they are used in; everything else derives from it.
{
  // Scrape jobs of the workers, and of the prober (`snowfleet verify --metrics`).
  job: '.*snowfleet.*',
  verify_job: '.*snowfleet-verify.*',
  min_ready: 2,  // fewer ready workers than this in a fleet is a page
  remember: '1h',  // so long a datacenter that had ready workers is missed
  free_slots: 0.1,  // part of a datacenter's slots that should be free
  error_objective: 0.001,  // part of requests that may fail
  latency_objective_s: 0.01,
  clock_warn_s: 0.1,  // clock.warn_offset_ms
  clock_max_s: 1,  // clock.max_offset_ms
  burn: 14.4,  // times the objective: errors so many eat a month's budget in two days
  reservation_low_s: 120,  // a worker without its coordinator that can mint for less
  certificate_days: 7,  // a certificate that ends within
  timestamp_years: 5,  // a layout whose timestamps end within
  restarts: 2,  // more starts of a worker in 15 minutes
  exhaustions_per_s: 1,  // times a second that a worker waits for the next millisecond
  imbalance: 2,  // times the average that the busiest worker mints
  imbalance_ids_per_s: 100,  // where the average is under this, it does not matter
  overloaded_per_s: 1,
  bad_frames_per_s: 1,
  runbook: 'https://github.com/snowfleet/snowfleet/blob/main/RUNBOOK.md',

  workers: 'job=~"%s",job!~"%s"' % [self.job, self.verify_job],
  // What the chart has a value for, and how it is called there: metrics.prometheusRule.settings.
  settings:: {
    job: 'job',
    verify_job: 'verifyJob',
    min_ready: 'minReady',
    remember: 'remember',
    free_slots: 'freeSlots',
    error_objective: 'errorObjective',
    latency_objective_s: 'latencyObjectiveSeconds',
    clock_warn_s: 'clockWarnSeconds',
    clock_max_s: 'clockMaxSeconds',
    burn: 'burn',
    reservation_low_s: 'reservationLowSeconds',
    certificate_days: 'certificateDays',
    timestamp_years: 'timestampYears',
    restarts: 'restarts',
    exhaustions_per_s: 'exhaustionsPerSecond',
    imbalance: 'imbalance',
    imbalance_ids_per_s: 'imbalanceIdsPerSecond',
    overloaded_per_s: 'overloadedPerSecond',
    bad_frames_per_s: 'badFramesPerSecond',
    runbook: 'runbookUrl',
  },
  // How far each source says that the clock is off. The coordinator's own clock is known to half a second in etcd: only what lies beyond its bound says
  // anything.
  clock_offset: '(snowfleet_clock_offset_seconds{source!="coordinator"} or sgn(snowfleet_clock_offset_seconds{source="coordinator"}) * clamp_min(abs(snowfleet_clock_offset_seconds{source="coordinator"}) - snowfleet_clock_error_bound_seconds{source="coordinator"}, 0))',
  // Failures that are ours, not the client's; draining workers send their clients elsewhere.
  errors: 'not_ready|clock|overloaded|internal',
  // Every state of a worker and its colour, in the order of the program.
  states: [s[0] for s in self.state_colours],
  state_colours: [
    ['starting', 'light-blue'],
    ['claiming', 'blue'],
    ['quarantined', 'purple'],
    ['ready', 'green'],
    ['suspended', 'red'],
    ['resyncing', 'orange'],
    ['halted', 'dark-red'],
    ['exhausted', 'dark-red'],
    ['draining', 'yellow'],
    ['stopped', 'dark-gray'],
  ],

  // A worker's series carry only what the scrape adds; which worker that is, worker_info says. Two releases may have fleets of one name,
  // and two clusters pods of one address: so a target is known by all four labels, and a fleet by where it runs, its name and its id. A
  // label that a scrape does not add is empty everywhere, and does no harm.
  target: 'cluster, namespace, job, instance',
  fleet: 'cluster, namespace, fleet, fleet_id',
  info(filter='')::
    '* on (%s) group_left (fleet, fleet_id, datacenter, worker, node) snowfleet_worker_info' % self.target
    + (if filter == '' then '' else '{%s}' % filter),
}
