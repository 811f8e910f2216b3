// Where servers come from: the entries of `servers`, and what workers tell of their fellows.
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";

import type { Engine } from "./engine.js";
import { DISCOVER_MAX, SERVERS_MAX, parseHostPort, type HostPort } from "./options.js";
import { Server } from "./policy.js";

const RESOLVE_MIN_MS = 1000; // between two look-ups, however many connections are lost
const RETRY_MS = 1000; // while a name has no address
const LOOK_MIN_MS = 1000;

/** An entry of `servers`, or a worker that another worker told of. */
export interface Name extends HostPort {
  discovered: boolean;
  resolved: boolean;
  listed: number;
}

const isNumeric = (name: HostPort): boolean => isIP(name.host) !== 0;

export class Names {
  private all: Name[];
  private lookAt = 0;
  private looked = 0;
  private timer: NodeJS.Timeout | undefined;
  private resolving = false;
  private resolvedAt = -Infinity;

  constructor(
    private readonly engine: Engine,
    entries: HostPort[],
  ) {
    this.all = entries.map((at) => ({ ...at, discovered: false, resolved: false, listed: 0 }));
    for (const name of this.all) if (isNumeric(name)) this.take(name, [name.host], 0);
    if (this.all.some((name) => !isNumeric(name))) void this.resolve();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  /** A connection was lost, or a name is new: names are looked up soon. */
  resolveSoon(): void {
    if (this.engine.closed || this.resolving || this.all.every(isNumeric)) return;
    this.later(Math.max(0, this.resolvedAt + RESOLVE_MIN_MS - performance.now()));
  }

  private later(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.resolve(), ms).unref();
  }

  private async resolve(): Promise<void> {
    this.resolving = true;
    let complete = true;
    for (const name of [...this.all]) {
      if (isNumeric(name)) continue;
      try {
        const found = await lookup(name.host, { all: true });
        this.engine.stats.resolves++;
        if (!this.engine.closed && this.all.includes(name)) {
          this.take(name, found.map((each) => each.address), performance.now());
          this.engine.runWaiting();
        }
      } catch (error) {
        this.engine.stats.resolve_failures++;
        this.engine.settings.log({ level: "warn", message: `the name has no address: ${String(error)}`, server: name.host });
      }
      complete &&= name.resolved || name.discovered;
    }
    this.resolving = false;
    this.resolvedAt = performance.now();
    if (!this.engine.closed) this.later(complete ? this.engine.settings.resolveMs * (0.8 + 0.4 * Math.random()) : RETRY_MS);
  }

  /** Makes servers of a name's addresses, and forgets those that the name no longer has. */
  private take(name: Name, addresses: string[], now: number): void {
    const { policy } = this.engine;
    name.resolved = true;
    const wanted = new Set(addresses);
    for (const server of [...policy.servers]) {
      if (server.port === name.port && wanted.has(server.ip)) wanted.delete(server.ip);
      else if (server.name === name) this.remove(server);
    }
    for (const ip of wanted) {
      if (policy.servers.length === SERVERS_MAX) return;
      const server = new Server(ip, name.port, name.host, name);
      policy.add(server);
      if (name.discovered) policy.doubt(server, now);
    }
  }

  private remove(server: Server): void {
    const { servers } = this.engine.policy;
    server.gone = true;
    servers.splice(servers.indexOf(server), 1);
    const { conn } = server;
    if (conn !== undefined) queueMicrotask(() => conn.retire());
  }

  /** Is it time to ask a worker who is there? */
  lookDue(now: number): boolean {
    const { discover, discoverMs } = this.engine.settings;
    if (!discover || now < this.lookAt) return false;
    this.looked = now;
    this.lookAt = now + discoverMs * (0.8 + 0.4 * Math.random());
    return true;
  }

  /** The fleet may have changed. */
  lookSoon(now: number): void {
    this.lookAt = Math.min(this.lookAt, Math.max(now, this.looked + LOOK_MIN_MS) + Math.random() * LOOK_MIN_MS);
  }

  /** What a worker tells of its fellows adds servers, and takes away only those that nobody has told of for a while and that do not answer. */
  told(workers: unknown[], now: number): void {
    const { settings, policy, stats } = this.engine;
    if (!settings.discover) return;
    stats.discoveries++;
    for (const text of workers) {
      const at = typeof text === "string" ? parseHostPort(text, "") : undefined;
      if (at !== undefined) this.listed(at, now);
    }
    this.all = this.all.filter((name) => {
      const own = policy.servers.filter((each) => each.name === name);
      if (!name.discovered || now - name.listed < settings.discoverMs || own.some((each) => each.state === "closed")) return true;
      for (const server of own) this.remove(server);
      return false;
    });
  }

  private listed(at: HostPort, now: number): void {
    const known = this.all.find((name) => name.host === at.host && name.port === at.port);
    if (known !== undefined) {
      known.listed = now;
      return;
    }
    if (this.all.filter((name) => name.discovered).length === DISCOVER_MAX) return;
    const name: Name = { ...at, discovered: true, resolved: false, listed: now };
    this.all.push(name);
    if (isNumeric(name)) this.take(name, [name.host], now);
    else this.resolveSoon();
  }
}
