// What dashboards and alerts assume of the place they are used in; everything else derives from it.
{
  // Scrape jobs of the workers, and of the prober (`snowfleet verify --metrics`).
  job: '.*snowfleet.*',
  verify_job: '.*snowfleet-verify.*',
  min_ready: 2,  // fewer ready workers than this in a fleet is a page
  error_objective: 0.001,  // part of requests that may fail
  latency_objective_s: 0.01,
  clock_warn_s: 0.1,  // clock.warn_offset_ms
  clock_max_s: 1,  // clock.max_offset_ms
  capacity_per_worker: 4096000,  // 2^sequence bits each millisecond, default layout
  runbook: 'https://github.com/snowfleet/snowfleet/blob/main/RUNBOOK.md',

  workers: 'job=~"%s",job!~"%s"' % [self.job, self.verify_job],
  // Failures that are ours, not the client's; draining workers send their clients elsewhere.
  errors: 'not_ready|clock|overloaded|internal',
  states: ['starting', 'claiming', 'quarantined', 'ready', 'suspended', 'resyncing', 'halted', 'exhausted', 'draining', 'stopped'],

  // A worker's series carry only what the scrape adds (job, instance); which worker that is, worker_info says.
  info(filter=''):: '* on (job, instance) group_left (fleet, datacenter, worker, node) snowfleet_worker_info' + (if filter == '' then '' else '{%s}' % filter),
}
