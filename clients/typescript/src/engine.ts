// What happens to calls: a server is chosen and asked, asked again or beside another, and the call ends.
import { Attempt, type Call } from "./calls.js";
import { Conn, type Request } from "./conn.js";
import { SnowfleetError, type ErrorCode } from "./errors.js";
import * as frames from "./frames.js";
import { isLayout, sameSlot, type Layout } from "./ids.js";
import { Names } from "./names.js";
import { parseServers, type Settings } from "./options.js";
import { Policy, type Outcome, type Server } from "./policy.js";
import { noStats, type Stats } from "./stats.js";

const ATTEMPTS_MAX = 8; // requests of one call that may wait for an answer at a time
const AFTER_LOSS = 4; // the part of the attempt timeout that a worker has alone once another one was silent or lost
const { STATUS } = frames;

/** status: outcome, error, may another worker do better? */
const VERDICTS = new Map<number, [Outcome, ErrorCode, boolean]>([
  [STATUS.BAD_REQUEST, ["fine", "REFUSED", false]],
  [STATUS.UNSUPPORTED, ["fine", "REFUSED", false]],
  [STATUS.TOO_LARGE, ["fine", "REFUSED", false]],
  [STATUS.NOT_READY, ["unusable", "NOT_READY", true]],
  [STATUS.CLOCK, ["unusable", "CLOCK", true]],
  [STATUS.OVERLOADED, ["full", "OVERLOADED", true]],
  [STATUS.RATE_LIMITED, ["fine", "RATE_LIMITED", false]],
  [STATUS.DRAINING, ["unusable", "DRAINING", true]],
  [STATUS.DENIED, ["fine", "DENIED", false]],
  [STATUS.CAUSALITY, ["fine", "CAUSALITY", false]],
  [STATUS.INTERNAL, ["fault", "INTERNAL", true]],
]);
const INTERNAL: [Outcome, ErrorCode, boolean] = ["fault", "INTERNAL", true];

export class Engine {
  readonly stats = noStats();
  readonly policy: Policy;
  layout: Layout | undefined;
  causalId = 0n;
  closed = false;
  private fleetId = "";
  private readonly names: Names;
  private readonly calls = new Set<Call>();
  private readonly conns = new Set<Conn>();
  private readonly touched = new Set<Conn>();
  private readonly dueAt: Call[] = []; // those with a timer, in no order
  private timer: NodeJS.Timeout | undefined;
  private timerAt = Infinity;

  constructor(readonly settings: Settings) {
    const entries = parseServers(settings.servers);
    this.policy = new Policy(settings);
    this.names = new Names(this, entries);
  }

  /** Does a call wait? */
  get busy(): boolean {
    return this.calls.size > 0;
  }

  // --- a call ---

  start(call: Call): void {
    this.policy.callBegins();
    this.calls.add(call);
    if (this.calls.size === 1) this.keepAlive();
    this.attempt(call, performance.now());
  }

  private keepAlive(): void {
    for (const conn of this.conns) conn.keepAlive(this.busy);
    if (this.timer !== undefined) {
      if (this.busy) this.timer.ref();
      else this.timer.unref();
    }
  }

  cancel(call: Call, detail: string, cause?: unknown): void {
    if (call.done) return;
    call.detail = detail;
    this.finish(call, "CANCELLED", cause);
  }

  close(): void {
    this.closed = true;
    for (const call of [...this.calls]) this.cancel(call, "the client was closed");
    for (const conn of [...this.conns]) conn.end("lost", "the client was closed");
    this.names.stop();
    clearTimeout(this.timer);
  }

  /** The connection has something to send: once the others that can run have put theirs beside it. */
  touch(conn: Conn): void {
    if (this.touched.size === 0) {
      process.nextTick(() => {
        const all = [...this.touched];
        this.touched.clear();
        for (const each of all) each.flush();
      });
    }
    this.touched.add(conn);
  }

  /** Wakes the call then. One timer serves all calls; it is set anew only when it would tick too late. */
  private arm(call: Call, when: number): void {
    call.wake = Math.min(when, call.deadline);
    if (call.armed === Infinity) {
      this.dueAt.push(call);
      call.armed = call.wake;
    }
    if (call.wake < this.timerAt) this.setTimer(call.wake);
  }

  private setTimer(when: number): void {
    clearTimeout(this.timer);
    this.timerAt = when;
    this.timer = setTimeout(() => this.tick(), Math.max(1, Math.ceil(when - performance.now())));
    if (!this.busy) this.timer.unref();
  }

  private tick(): void {
    this.timer = undefined;
    this.timerAt = Infinity;
    const now = performance.now();
    const due: Call[] = [];
    let next = Infinity;
    let kept = 0;
    for (const call of this.dueAt) {
      if (call.done) continue;
      if (call.wake <= now) {
        call.armed = Infinity;
        due.push(call);
      } else {
        next = Math.min(next, call.wake);
        this.dueAt[kept++] = call;
      }
    }
    this.dueAt.length = kept;
    if (next < Infinity) this.setTimer(next);
    for (const call of due) if (!call.done) this.onTimer(call, now);
  }

  /** Servers have come: calls that wait for one need not wait longer. */
  runWaiting(): void {
    const now = performance.now();
    for (const call of [...this.calls]) {
      if (call.inFlight.length === 0 && !call.done && (call.lastError === "NAME" || call.lastError === "UNREACHABLE")) this.attempt(call, now);
    }
  }

  private connTo(server: Server): Conn {
    if (server.conn === undefined) {
      server.conn = new Conn(this, server);
      this.conns.add(server.conn);
    }
    return server.conn;
  }

  /** Asks a server. */
  private attempt(call: Call, now: number): void {
    const { policy } = this;
    const server = policy.choose(now, call.tried);
    const probe = policy.opens > 0 || this.settings.discover ? policy.probe(now) : undefined;
    if (probe !== undefined) this.sendProbe(probe, now);
    if (server === undefined) {
      if (call.lastError === "") {
        call.lastError = policy.servers.length > 0 ? "UNREACHABLE" : "NAME";
        if (policy.servers.length === 0) call.detail = "no server name has an address";
      }
      if (call.inFlight.length > 0) {
        this.arm(call, this.attemptEnds(call, now)); // nobody else to ask: go on waiting for the answers that are due
      } else {
        call.tried = [];
        this.arm(call, policy.wake(now));
      }
      return;
    }
    const conn = this.connTo(server);
    if (this.settings.discover && this.names.lookDue(now)) conn.askInfo();
    const count = Math.min(call.left, server.maxBatch || 65536, 65536);
    const attempt = new Attempt(call, server, conn, count, call.after, now);
    server.load++;
    call.inFlight.push(attempt);
    conn.waiting.push(attempt);
    this.touch(conn);
    call.sent++;
    this.stats.attempts++;
    if (call.lastError !== "") this.stats.retries++;
    call.hasty = call.bereft || server.failures > 0;
    call.hedge = policy.hedge();
    this.arm(call, this.attemptEnds(call, now));
  }

  /** A request for one ID that nobody waits for: does the server mint? */
  private sendProbe(server: Server, now: number): void {
    this.stats.probes++;
    const conn = this.connTo(server);
    const oldest = conn.pending[0];
    if (oldest !== undefined && now - oldest.sent >= this.settings.attemptTimeoutMs) {
      this.report(server, "silent");
      return;
    }
    conn.waiting.push(new Attempt(undefined, server, conn, 1, undefined, now));
    this.touch(conn);
  }

  private mayHedge(call: Call): boolean {
    return !call.hedged && call.hedge < this.settings.attemptTimeoutMs;
  }

  /** Where one worker fell silent others may have, and one that broke off may still be dying: there the next is asked quickly. */
  private attemptEnds(call: Call, now: number): number {
    const wait = this.settings.attemptTimeoutMs / (call.silenced || call.hasty ? AFTER_LOSS : 1);
    return now + (this.mayHedge(call) ? Math.min(call.hedge, wait) : wait);
  }

  private onTimer(call: Call, now: number): void {
    if (now >= call.deadline) this.expire(call);
    else if (call.inFlight.length === 0) this.attempt(call, now);
    else this.growImpatient(call, now);
  }

  /** The attempt has had its time: marks the server (unless the time was a short one) and asks another one beside it. */
  private growImpatient(call: Call, now: number): void {
    const latest = call.inFlight[call.inFlight.length - 1]!;
    if (this.mayHedge(call)) {
      call.hedged = true;
      if (!this.policy.mayHedge()) {
        this.arm(call, this.attemptEnds(call, latest.sent));
        return;
      }
      this.stats.hedges++;
    } else if (call.silenced || call.hasty) {
      this.stats.hedges++;
    } else {
      call.silenced = true;
      this.stats.silences++;
      if (call.lastError === "") call.lastError = "TIMEOUT";
      this.report(latest.server, "silent");
    }
    call.tried.push(latest.server);
    if (call.inFlight.length < ATTEMPTS_MAX) this.attempt(call, now);
    else this.arm(call, this.attemptEnds(call, now));
  }

  /** The last thing heard is the error. */
  private expire(call: Call): void {
    let code = call.lastError;
    if (code === "" || code === "UNREACHABLE" || code === "TIMEOUT") {
      code = call.inFlight.some((each) => each.conn.announced) ? "TIMEOUT" : "UNREACHABLE";
      if (code === "TIMEOUT") call.detail = `no answer by the deadline (${call.sent} requests)`;
      else if (call.detail === "") call.detail = "no server could be connected to by the deadline";
    }
    this.finish(call, code);
  }

  private finish(call: Call, code: ErrorCode | "OK", cause?: unknown): void {
    call.done = true;
    call.abandon();
    this.calls.delete(call);
    this.countCall(code);
    if (code === "OK") {
      this.stats.ids += call.count;
      if (this.settings.causal) {
        for (const { first, count } of call.runs) {
          const last = first + BigInt(count - 1);
          if (last > this.causalId) this.causalId = last;
        }
      }
      call.resolve(call.runs);
    } else {
      const options = cause === undefined ? undefined : { cause };
      call.reject(new SnowfleetError(code, call.detail, call.server, call.retryAfterMs, call.sent, options));
    }
    if (this.calls.size === 0) setImmediate(() => this.busy || this.keepAlive());
  }

  countCall(code: ErrorCode | "OK"): void {
    this.stats.calls++;
    this.stats.calls_by_error[code] = (this.stats.calls_by_error[code] ?? 0) + 1;
  }

  // --- what comes back ---

  report(server: Server, outcome: Outcome, retryAfterMs = 0): void {
    const before = server.state;
    this.policy.report(server, outcome, retryAfterMs, performance.now());
    if (before === "closed" && server.state === "open") this.settings.log({ level: "warn", message: "left alone: it failed", server: server.address });
    else if (before !== "closed" && server.state === "closed") this.settings.log({ level: "info", message: "used again: it answers", server: server.address });
    if (outcome === "lost" || outcome === "unreached") this.names.resolveSoon();
  }

  lookSoon(): void {
    this.names.lookSoon(performance.now());
  }

  /** It was never sent: GOAWAY came first. */
  onMoved(attempt: Attempt): void {
    attempt.drop();
    if (attempt.call === undefined || attempt.abandoned) return;
    attempt.call.landed(attempt);
    this.again(attempt.call);
  }

  /** Asks at once, unless an answer is still due. */
  private again(call: Call): void {
    if (call.inFlight.length > 0) return;
    queueMicrotask(() => {
      if (!call.done && call.inFlight.length === 0) this.attempt(call, performance.now());
    });
  }

  /** A connection has ended. */
  buried(conn: Conn, outcome: Outcome, code: ErrorCode, why: string): void {
    const { server } = conn;
    this.conns.delete(conn);
    if (outcome === "broken") {
      this.stats.protocol_errors++;
      this.stats.last_protocol_error = `${server.address}: ${why}`;
      this.settings.log({ level: "warn", message: why, server: server.address });
    }
    if (outcome === "unreached") this.stats.connect_failures++;
    else this.stats.disconnects++;
    const orphans = [...conn.pending.flatMap((request) => request.attempts), ...conn.waiting];
    // A connection that the server wanted to end, or that ended while nothing was asked, says nothing bad about the server.
    if (!this.closed && (conn.pending.length + conn.waiting.length > 0 || outcome !== "lost")) this.report(server, outcome);
    conn.pending.length = conn.waiting.length = 0;
    if (conn.announced) this.lookSoon();
    for (const attempt of orphans) {
      attempt.drop();
      const { call } = attempt;
      if (call === undefined || attempt.abandoned) continue;
      call.landed(attempt);
      this.note(call, code, `${server.address}: ${why}`, server);
      call.bereft ||= outcome === "lost";
      // A worker that closed a connection that had worked may well answer on a new one: it may be asked again.
      if (conn.answered && outcome === "lost" && call.round === 0) call.round++;
      else call.tried.push(server);
      this.retry(call);
    }
  }

  private note(call: Call, code: ErrorCode, detail: string, server: Server, retryAfterMs = 0): void {
    call.lastError = code;
    call.detail = detail;
    call.server = server.address;
    call.retryAfterMs = retryAfterMs;
  }

  /** The call failed at its last server. It waits, or asks another one at once. */
  private retry(call: Call): void {
    if (call.inFlight.length > 0 || call.done) return;
    const now = performance.now();
    const { wait, noBudget } = this.policy.retryWait(now, call.tried, call.round);
    if (wait === 0) {
      this.again(call);
      return;
    }
    if (noBudget) {
      this.stats.budget_waits++;
    } else {
      call.round++;
      call.tried = [];
    }
    this.arm(call, now + wait);
  }

  /** What is wrong with it, so that the connection must end; or undefined. */
  onAnswer(conn: Conn, request: Request, status: number, body: Buffer): string | undefined {
    if (request.kind === "info") return this.onInfo(conn, status, body);
    if (request.kind === "auth") return undefined;
    for (const attempt of request.attempts) attempt.drop();
    const waiting = request.attempts.filter((attempt) => attempt.call !== undefined && !attempt.abandoned);
    if (request.kind === "call" && waiting.length === 0) this.stats.late_answers++;
    for (const attempt of waiting) attempt.call!.landed(attempt);
    if (status !== STATUS.OK) return this.onRefusal(conn, request, waiting, status, body);
    this.policy.answered(performance.now() - request.sent);
    if (conn.server.state !== "closed" || conn.server.failures > 0) this.report(conn.server, "fine");
    return this.onIds(conn, request, waiting, body);
  }

  private onIds(conn: Conn, request: Request, waiting: Attempt[], body: Buffer): string | undefined {
    const runs = frames.getRuns(body, request.count);
    if (runs === undefined) return this.nonsense(conn, waiting, "an answer to NEXT is malformed");
    if (conn.nameless) {
      conn.idsCame = true; // whose they are is not known; it is asked again, INFO first
      for (const attempt of waiting) this.again(attempt.call!);
      return undefined;
    }
    const first = runs[0]!.first;
    const end = runs[runs.length - 1]!;
    const before = conn.lastId > request.floor ? conn.lastId : request.floor;
    if (!this.inOrder(conn, request, first, end.first + BigInt(end.count - 1))) {
      this.stats.order_errors++;
      const above = request.after !== undefined && first <= request.after;
      const why = above ? `ID ${first} is not above ID ${request.after}, as was asked for` : `ID ${first} came after ID ${before}`;
      for (const attempt of waiting) {
        this.note(attempt.call!, "ORDER", why, conn.server);
        this.finish(attempt.call!, "ORDER");
      }
      return "IDs repeated or went back";
    }
    this.split(request, runs);
    return undefined;
  }

  /** What NEXT's AFTER is to say: the call's own, or the largest ID that was handed out. */
  laterThan(given: bigint | undefined): bigint | undefined {
    return this.causalId > (given ?? 0n) ? this.causalId : given;
  }

  /** Do these IDs go on from what the connection and the server gave before, and are they above what was asked for? */
  private inOrder(conn: Conn, request: Request, first: bigint, last: bigint): boolean {
    const { server } = conn;
    if (conn.lastId > 0n && first <= conn.lastId) return false;
    if (request.after !== undefined && first <= request.after) return false;
    if (request.floor > 0n && this.layout !== undefined && first <= request.floor && sameSlot(this.layout, first, request.floor)) return false;
    conn.lastId = last;
    if (server.lastId < last || this.layout === undefined || !sameSlot(this.layout, server.lastId, last)) server.lastId = last;
    return true;
  }

  /** Each of those that shared the request gets its part, in the order in which they came. */
  private split(request: Request, runs: frames.Run[]): void {
    if (request.attempts.length === 1) {
      const [only] = request.attempts;
      if (only!.call !== undefined && !only!.abandoned) this.give(only!, runs);
      return;
    }
    let at = 0;
    let used = 0;
    for (const attempt of request.attempts) {
      const part: frames.Run[] = [];
      for (let need = attempt.count; need > 0; ) {
        const run = runs[at]!;
        const n = Math.min(run.count - used, need);
        part.push({ first: run.first + BigInt(used), count: n });
        need -= n;
        used += n;
        if (used === run.count) {
          at++;
          used = 0;
        }
      }
      if (!attempt.abandoned) this.give(attempt, part);
    }
  }

  private give(attempt: Attempt, runs: frames.Run[]): void {
    const call = attempt.call!;
    call.left -= attempt.count;
    call.server = attempt.server.address;
    call.runs = call.runs.length === 0 ? runs : [...call.runs, ...runs];
    if (call.left === 0) {
      this.finish(call, "OK");
      return;
    }
    call.abandon(); // an answer to a repeated request would be counted twice
    call.tried = [];
    this.again(call);
  }

  private nonsense(conn: Conn, waiting: Attempt[], why: string): string {
    for (const { call } of waiting) {
      this.note(call!, "PROTOCOL", `${conn.server.address}: ${why}`, conn.server);
      call!.tried.push(conn.server);
      this.retry(call!);
    }
    return why;
  }

  private onRefusal(conn: Conn, request: Request, waiting: Attempt[], status: number, body: Buffer): string | undefined {
    const told = frames.getRefusal(body);
    if (told === undefined) return this.nonsense(conn, waiting, "an error answer is malformed");
    const { server } = conn;
    const [outcome, code, another] = VERDICTS.get(status) ?? INTERNAL;
    this.report(server, outcome, told.retryAfterMs);
    conn.denied ||= status === STATUS.DENIED;
    const detail = `${server.address} says ${frames.statusName(status)}${told.reason === "" ? "" : `: ${told.reason}`}`;
    for (const attempt of waiting) {
      const call = attempt.call!;
      if (status === STATUS.TOO_LARGE && (request.attempts.length > 1 || (server.maxBatch > 0 && attempt.count > server.maxBatch))) {
        this.again(call); // INFO has told us meanwhile how much it gives at a time; or each alone may not be too large
        continue;
      }
      this.note(call, code, detail, server, told.retryAfterMs);
      if (code === "RATE_LIMITED" || code === "CAUSALITY") {
        this.waitAsTold(call, code);
      } else if (another) {
        call.tried.push(server);
        this.retry(call);
      } else {
        this.finish(call, code);
      }
    }
    return undefined;
  }

  /** The call waits as long as the worker asked, if it may last that long. */
  private waitAsTold(call: Call, code: ErrorCode): void {
    const when = performance.now() + Math.max(call.retryAfterMs, 1);
    if (when >= call.deadline) {
      this.finish(call, code);
      return;
    }
    call.abandon();
    call.tried = [];
    this.arm(call, when);
  }

  private onInfo(conn: Conn, status: number, body: Buffer): string | undefined {
    conn.askingInfo = false;
    if (status !== STATUS.OK) return undefined; // an AUTH that failed shows in NEXT too
    const malformed = "an answer to INFO is malformed";
    let told: { fleet_id?: unknown; epoch_ms?: unknown; max_batch?: unknown; workers?: unknown; layout?: Partial<Record<string, unknown>> };
    try {
      told = JSON.parse(body.toString()) as typeof told;
    } catch {
      return malformed;
    }
    if (typeof told !== "object" || told === null || Array.isArray(told)) return malformed;
    const idsCame = conn.idsCame;
    const nameless = typeof told.fleet_id !== "string" || told.fleet_id === "";
    conn.idsCame = false;
    conn.nameless = nameless;
    if (typeof told.max_batch === "number" && told.max_batch > 0) conn.server.maxBatch = told.max_batch;
    if (nameless) return idsCame ? "IDs came from a worker whose fleet is not known" : undefined;
    const { timestamp, datacenter, worker, sequence } = told.layout ?? {};
    const layout = { timestamp, datacenter, worker, sequence, epochMs: told.epoch_ms } as Layout;
    if (!isLayout(layout)) return malformed;
    if (this.layout === undefined) {
      this.layout = layout;
      this.fleetId = told.fleet_id as string;
    }
    if (told.fleet_id !== this.fleetId) {
      this.stats.wrong_fleet++;
      return "the worker belongs to another fleet than the first one that answered";
    }
    if (Array.isArray(told.workers)) this.names.told(told.workers, performance.now());
    return undefined;
  }

  snapshot(): Stats {
    const { servers } = this.policy;
    return {
      ...this.stats,
      calls_by_error: { ...this.stats.calls_by_error },
      breaker_opens: this.policy.opens,
      servers: servers.length,
      servers_usable: this.policy.usable(performance.now(), []).length,
      servers_discovered: servers.filter((each) => each.name.discovered).length,
    };
  }
}
