import { Call } from "./calls.js";
import { Engine } from "./engine.js";
import { SnowfleetError, invalid } from "./errors.js";
import type { Run } from "./frames.js";
import { MAX_ID, decode, type Layout, type Parts } from "./ids.js";
import { COUNT_MAX, check, type Options } from "./options.js";
import type { Stats } from "./stats.js";

/** What a call may say beside its count. */
export interface Ask {
  /** Every ID shall be greater than this one. */
  after?: bigint;
  /** Deadline of this call. */
  timeoutMs?: number;
  /** Ends the call early. */
  signal?: AbortSignal;
}

interface Kept {
  next: bigint;
  left: number;
}

/** IDs from a fleet. Make one for each fleet and keep it: calls that wait at the same moment share one request. An idle client does not keep the
 * process alive. */
export class Client {
  private readonly engine: Engine;
  private kept: Kept[] = [];
  private keptUntil = 0;
  private filling: Promise<void> | undefined;

  /** Does not connect yet, and waits for no name. Throws a SnowfleetError for what is not allowed. */
  constructor(options: Options | string) {
    const given = typeof options === "string" ? { servers: options } : options;
    if (typeof given?.servers !== "string") throw invalid("servers: none given; example: ids-0:7450,ids-1:7450");
    this.engine = new Engine(check(given));
  }

  /** One ID. */
  async next(ask: Ask = {}): Promise<bigint> {
    if (this.engine.settings.prefetch > 0 && ask.after === undefined) {
      const ready = this.takeKept();
      return ready ?? this.prefetched(ask);
    }
    return (await this.runs(1, ask))[0]!.first;
  }

  /** One ID as a decimal string, for JSON and databases. */
  async nextString(ask: Ask = {}): Promise<string> {
    return String(await this.next(ask));
  }

  /** `count` IDs, all of them or none. Up to the worker's max_batch they come from one worker and ascend. */
  async nextMany(count: number, ask: Ask = {}): Promise<bigint[]> {
    const ids: bigint[] = [];
    for (const run of await this.runs(count, ask)) for (let k = 0; k < run.count; k++) ids.push(run.first + BigInt(k));
    return ids;
  }

  private runs(count: number, { after, timeoutMs, signal }: Ask): Promise<Run[]> {
    const { engine } = this;
    return new Promise((resolve, reject) => {
      const wrong =
        !Number.isInteger(count) || count < 1 || count > COUNT_MAX ||
        (after !== undefined && (typeof after !== "bigint" || after < 0n || after > MAX_ID)) ||
        (timeoutMs !== undefined && !(timeoutMs >= 1 && timeoutMs <= 3600000));
      if (wrong) {
        engine.countCall("INVALID");
        reject(invalid(`the request is not allowed: count 1 to ${COUNT_MAX}, timeoutMs up to 3600000, after 0 to 2^63-1`));
        return;
      }
      if (engine.closed || signal?.aborted) {
        engine.countCall("CANCELLED");
        reject(new SnowfleetError("CANCELLED", engine.closed ? "the client is closed" : "the signal aborted", "", 0, 0, { cause: signal?.reason }));
        return;
      }
      let heard: (() => void) | undefined;
      const settle = <T>(how: (value: T) => void) => (value: T): void => {
        if (heard !== undefined) signal?.removeEventListener("abort", heard);
        how(value);
      };
      const call = new Call(count, after, performance.now() + (timeoutMs ?? engine.settings.timeoutMs), settle(resolve), settle(reject));
      if (signal !== undefined) {
        heard = () => engine.cancel(call, "the signal aborted", signal.reason);
        signal.addEventListener("abort", heard, { once: true });
      }
      engine.start(call);
    });
  }

  // --- prefetch ---

  private takeKept(): bigint | undefined {
    const run = this.kept[0];
    if (run === undefined) return undefined;
    const { stats } = this.engine;
    if (performance.now() > this.keptUntil) {
      stats.prefetch_expired += this.kept.reduce((sum, each) => sum + each.left, 0);
      this.kept = [];
      return undefined;
    }
    if (--run.left === 0) this.kept.shift();
    stats.prefetch_hits++;
    this.engine.countCall("OK");
    return run.next++;
  }

  private async prefetched(ask: Ask): Promise<bigint> {
    for (;;) {
      if (this.filling === undefined) {
        let mine: bigint | undefined;
        this.filling = this.fill(ask).then((first) => {
          mine = first;
        });
        try {
          await this.filling;
        } finally {
          this.filling = undefined;
        }
        return mine!;
      }
      await this.filling.catch(() => undefined); // whose own call that was hears of it; this one fetches for itself
      const ready = this.takeKept();
      if (ready !== undefined) return ready;
    }
  }

  private async fill(ask: Ask): Promise<bigint> {
    const asked = performance.now();
    const runs = await this.runs(this.engine.settings.prefetch, ask);
    this.engine.stats.prefetch_fills++;
    this.kept = runs.map(({ first, count }) => ({ next: first, left: count }));
    this.keptUntil = asked + this.engine.settings.prefetchMaxAgeMs;
    const run = this.kept[0]!;
    if (--run.left === 0) this.kept.shift();
    return run.next++;
  }

  // --- what is known ---

  /** That of the fleet, as the workers told it; undefined while none has answered yet. */
  get layout(): Layout | undefined {
    return this.engine.layout;
  }

  /** Takes an ID of the fleet apart. Where no worker has answered yet, one is asked. */
  async decode(id: bigint): Promise<Parts> {
    if (this.engine.layout === undefined) await this.runs(1, {});
    if (this.engine.layout === undefined) throw new SnowfleetError("NOT_READY", "no worker has told the fleet's layout");
    try {
      return decode(this.engine.layout, id);
    } catch (error) {
      throw invalid(String(error));
    }
  }

  stats(): Stats {
    return this.engine.snapshot();
  }

  /** Ends everything; calls under way get CANCELLED. */
  close(): void {
    if (!this.engine.closed) this.engine.close();
  }
}
