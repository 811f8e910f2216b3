// Whom to ask, when to ask again, and whom to leave alone: circuit breakers, retry budget, hedging, as in the C library (src/client/policy.c).
// It sends nothing and knows no clock: times are arguments, in milliseconds.
import type { Conn } from "./conn.js";
import type { Name } from "./names.js";
import type { Settings } from "./options.js";

export type Breaker = "closed" | "open" | "probing";

/** What an attempt, a probe or a connection came to. */
export type Outcome =
  | "fine" // it answers and mints, or refused for a reason that is the caller's
  | "unusable" // says itself that others may do
  | "full"
  | "fault" // INTERNAL
  | "unreached" // connecting failed
  | "lost" // the connection broke
  | "silent" // no answer in time
  | "broken"; // nonsense, IDs out of order, another fleet

const TRY_SPACING_MS = 5; // for each server, while none works: 200 tries a second in all at most

/** One address that may mint, and how it does. */
export class Server {
  readonly address: string;
  conn: Conn | undefined;
  maxBatch = 0; // 0: not known yet
  lastId = 0n;
  gone = false;
  state: Breaker = "closed";
  failures = 0;
  load = 0;
  openFor = 0;
  opened = 0;
  probeAt = 0;
  probingSince = 0;
  busyUntil = 0;

  constructor(
    readonly ip: string,
    readonly port: number,
    readonly host: string,
    readonly name: Name,
  ) {
    this.address = ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
  }
}

export class Policy {
  readonly servers: Server[] = [];
  opens = 0;
  private budget: number;
  private latency = 0;

  constructor(private readonly options: Settings) {
    this.budget = options.retryBudgetMax;
  }

  add(server: Server): void {
    server.openFor = this.options.breakerOpenMinMs;
    this.servers.push(server);
  }

  /** A server just added that nobody has heard yet is probed before calls are sent to it. */
  doubt(server: Server, now: number): void {
    server.state = "open";
    server.opened = server.probeAt = now;
  }

  callBegins(): void {
    this.budget = Math.min(this.budget + this.options.retryBudgetPercent / 100, this.options.retryBudgetMax);
  }

  /** The time between two tries of one server while none works; Infinity while one does. */
  idle(): number {
    if (this.servers.some((each) => each.state === "closed")) return Infinity;
    return Math.max(TRY_SPACING_MS * this.servers.length, this.options.breakerIdleMs);
  }

  private due(server: Server, idle: number): number {
    // A probe that nobody looked after lapses.
    return server.state === "probing" ? server.probingSince + this.options.breakerOpenMaxMs : Math.min(server.opened + idle, server.probeAt);
  }

  usable(now: number, tried: readonly Server[]): Server[] {
    return this.servers.filter((each) => each.state === "closed" && now >= each.busyUntil && !tried.includes(each));
  }

  /** Of two random usable servers the less loaded. When none at all is usable, one that is due for a probe. undefined: nobody now. */
  choose(now: number, tried: readonly Server[]): Server | undefined {
    const able = this.usable(now, tried);
    if (able.length > 0) {
      const a = Math.floor(Math.random() * able.length);
      const first = able[a]!;
      if (able.length === 1) return first;
      const second = able[(a + 1 + Math.floor(Math.random() * (able.length - 1))) % able.length]!;
      return second.load < first.load ? second : first;
    }
    const idle = this.idle();
    if (idle === Infinity) return undefined;
    const lookedAt = (each: Server): number => (each.state === "probing" ? each.probingSince : each.opened);
    let found: Server | undefined;
    const start = Math.floor(Math.random() * this.servers.length);
    for (let i = 0; i < this.servers.length; i++) {
      const each = this.servers[(start + i) % this.servers.length]!;
      if (now >= this.due(each, idle) && (found === undefined || lookedAt(each) < lookedAt(found))) found = each;
    }
    if (found !== undefined) {
      found.state = "probing";
      found.probingSince = now;
    }
    return found;
  }

  /** A server to be probed beside the calls. Only while some server is closed: else calls are the probes. */
  probe(now: number): Server | undefined {
    let found: Server | undefined;
    let works = false;
    for (const each of this.servers) {
      if (each.state === "closed") works = true;
      else if (this.due(each, Infinity) <= now && (found === undefined || this.due(each, Infinity) < this.due(found, Infinity))) found = each;
    }
    if (found === undefined || !works) return undefined;
    found.state = "probing";
    found.probingSince = now;
    return found;
  }

  /** When asking again makes sense if choose found nobody. */
  wake(now: number): number {
    const idle = this.idle();
    let wake = now + this.options.breakerIdleMs;
    for (const each of this.servers) {
      const at = each.state === "closed" ? each.busyUntil : this.due(each, idle);
      if (at > now && at < wake) wake = at;
    }
    return wake;
  }

  private move(server: Server, to: "closed" | "open", now: number): void {
    const before = server.state;
    server.state = to;
    if (to === "closed") {
      server.failures = 0;
      server.openFor = this.options.breakerOpenMinMs;
      return;
    }
    if (before === "closed") {
      this.opens++;
      server.openFor = this.options.breakerOpenMinMs;
    } else {
      server.openFor = Math.min(server.openFor * 2, this.options.breakerOpenMaxMs);
    }
    server.opened = now;
    server.probeAt = now + (server.openFor * (1 + Math.random())) / 2;
  }

  report(server: Server, outcome: Outcome, retryAfterMs: number, now: number): void {
    if (server.gone) return;
    if (outcome === "fine" || outcome === "full") {
      if (server.state !== "closed") this.move(server, "closed", now);
      server.failures = 0;
      if (outcome === "full") {
        // A little more than asked for, so that not all come back in the same instant.
        const until = now + retryAfterMs + Math.random() * (retryAfterMs / 4 + this.options.backoffMinMs);
        server.busyUntil = Math.max(server.busyUntil, until);
      }
      return;
    }
    if (server.state === "open") return; // old news
    server.failures++;
    const counted = outcome === "lost" || outcome === "fault";
    if (server.state === "probing" || !counted || server.failures >= this.options.breakerFailures) this.move(server, "open", now);
  }

  /** How long a call waits before it tries again after its round-th fruitless round. 0: at once; a token is taken. */
  retryWait(now: number, tried: readonly Server[], round: number): { wait: number; noBudget: boolean } {
    const idle = this.idle();
    if (idle !== Infinity) {
      // No server works: the next one as soon as it is due.
      const due = this.servers.some((each) => this.due(each, idle) <= now);
      return { wait: due ? 0.001 : this.wake(now) - now, noBudget: false };
    }
    if (this.usable(now, tried).length === 0) {
      const top = Math.min(this.options.backoffMinMs * 2 ** Math.min(round, 30), this.options.backoffMaxMs);
      return { wait: Math.random() * top + 0.001, noBudget: false };
    }
    if (this.mayHedge()) return { wait: 0, noBudget: false };
    return { wait: Math.random() * this.options.backoffMaxMs + 0.001, noBudget: true };
  }

  /** Stochastic approximation of a quantile, in steps that are parts of the estimate. */
  answered(latency: number): void {
    const percentile = this.options.hedgePercentile;
    if (percentile === 0) return;
    if (this.latency === 0) this.latency = latency * 8;
    const step = this.latency / 16;
    this.latency += latency > this.latency ? (step * percentile) / 100 : (-step * (100 - percentile)) / 100;
  }

  /** How long to wait for an answer before another server is asked beside; Infinity: never. */
  hedge(): number {
    const least = this.options.hedgeMs;
    if (this.options.hedgePercentile === 0) return least > 0 ? least : Infinity;
    return this.latency > 0 ? Math.max(this.latency, least) : Infinity;
  }

  /** Takes a token. */
  mayHedge(): boolean {
    if (this.budget < 1) return false;
    this.budget -= 1;
    return true;
  }
}
