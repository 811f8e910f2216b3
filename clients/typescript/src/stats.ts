// The counters of a client.

/** What happened so far, by the names of the C library's struct sf_client_stats. */
export interface Stats {
  calls: number;
  calls_by_error: Record<string, number>;
  ids: number;
  attempts: number;
  retries: number;
  hedges: number;
  silences: number;
  late_answers: number;
  budget_waits: number;
  connects: number;
  connect_failures: number;
  disconnects: number;
  goaways: number;
  breaker_opens: number;
  probes: number;
  order_errors: number;
  protocol_errors: number;
  wrong_fleet: number;
  last_protocol_error: string;
  prefetch_hits: number;
  prefetch_fills: number;
  prefetch_expired: number;
  resolves: number;
  resolve_failures: number;
  discoveries: number;
  servers: number;
  servers_usable: number;
  servers_discovered: number;
}

export const noStats = (): Stats => ({
  calls: 0, calls_by_error: {}, ids: 0, attempts: 0, retries: 0, hedges: 0, silences: 0, late_answers: 0, budget_waits: 0, connects: 0,
  connect_failures: 0, disconnects: 0, goaways: 0, breaker_opens: 0, probes: 0, order_errors: 0, protocol_errors: 0, wrong_fleet: 0,
  last_protocol_error: "", prefetch_hits: 0, prefetch_fills: 0, prefetch_expired: 0, resolves: 0, resolve_failures: 0, discoveries: 0, servers: 0,
  servers_usable: 0, servers_discovered: 0,
});
