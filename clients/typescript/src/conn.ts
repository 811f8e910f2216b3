// One connection: socket or TLS, and the requests that wait for their answers, in order. It knows frames, but neither calls nor policy.
import { connect, isIP, type Socket } from "node:net";
import { checkServerIdentity, connect as connectTls } from "node:tls";

import type { Attempt } from "./calls.js";
import type { Engine } from "./engine.js";
import * as frames from "./frames.js";
import type { Outcome, Server } from "./policy.js";

export type RequestKind = "call" | "probe" | "info" | "auth";
const FRAME_OF: Record<RequestKind, number> = { call: frames.NEXT, probe: frames.NEXT, info: frames.INFO, auth: frames.AUTH };

/** Requests in flight on one connection. What comes meanwhile waits together and goes out together, as one request: the slower the answers, the
 * more callers share one. */
const IN_FLIGHT_MAX = 4;
/** A connection whose oldest request has waited this many attempt timeouts, and a second, is given up. */
const SILENCE_FACTOR = 10;

/** One frame that waits for its answer. */
export interface Request {
  id: number;
  kind: RequestKind;
  count: number;
  after: bigint | undefined; // every ID must be above this
  floor: bigint; // an ID of the same slot must be above this; 0: unknown
  sent: number;
  silent: boolean;
  attempts: Attempt[];
}

/** Is it a matter of certificates, and not of the network? */
const isUntrusted = (error: NodeJS.ErrnoException): boolean =>
  /^(ERR_TLS_|ERR_SSL_|EPROTO|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|INVALID_|HOSTNAME_MISMATCH)/.test(error.code ?? "") &&
  error.code !== "ERR_SSL_UNEXPECTED_EOF_WHILE_READING";

export class Conn {
  state: "connecting" | "up" | "leaving" | "ended" = "connecting";
  waiting: Attempt[] = [];
  readonly pending: Request[] = [];
  announced = false;
  answered = false;
  denied = false; // the token was refused: it must be shown again
  askingInfo = false;
  nameless = false; // the worker did not know its fleet when INFO was answered
  idsCame = false; // IDs came while it was nameless
  lastId = 0n;
  private nextId = 0;
  private out: Buffer[] = [];
  private rest: Buffer | undefined;
  private checking: NodeJS.Timeout | undefined;
  private readonly patience: NodeJS.Timeout;
  private readonly socket: Socket;

  constructor(
    private readonly engine: Engine,
    readonly server: Server,
  ) {
    const { settings } = engine;
    const to = { host: server.ip, port: server.port, noDelay: true, keepAlive: true };
    if (settings.secure !== undefined) {
      const name = settings.tlsServerName ?? server.host;
      this.socket = connectTls({
        ...to,
        secureContext: settings.secure,
        checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
        ...(isIP(name) === 0 ? { servername: name } : {}),
      });
      this.socket.once("secureConnect", () => this.up());
    } else {
      this.socket = connect(to);
      this.socket.once("connect", () => this.up());
    }
    this.socket.on("data", (data: Buffer) => this.receive(data));
    this.socket.once("error", (error: NodeJS.ErrnoException) => {
      this.end(this.announced ? "lost" : "unreached", error.message || (error.code ?? "failed"), isUntrusted(error) ? "TLS" : "UNREACHABLE");
    });
    this.socket.once("close", () => this.end("lost", "the server closed the connection"));
    this.patience = setTimeout(() => {
      this.end("unreached", `no connection within ${settings.connectTimeoutMs} ms`);
    }, settings.connectTimeoutMs);
    this.keepAlive(engine.busy);
  }

  /** An idle client does not keep the process. */
  keepAlive(busy: boolean): void {
    if (busy) this.socket.ref();
    else this.socket.unref();
    if (this.state === "connecting" && !busy) this.patience.unref();
  }

  private up(): void {
    if (this.state !== "connecting") return;
    clearTimeout(this.patience);
    this.state = "up";
    this.announced = true;
    this.engine.stats.connects++;
    this.introduce();
    this.flush();
  }

  // --- requests ---

  private ask(kind: RequestKind, body?: Uint8Array): void {
    this.nextId = (this.nextId + 1) >>> 0;
    this.pending.push({ id: this.nextId, kind, count: 0, after: undefined, floor: 0n, sent: performance.now(), silent: false, attempts: [] });
    this.out.push(frames.put(FRAME_OF[kind], this.nextId, body));
  }

  private introduce(): void {
    this.denied = false;
    if (this.engine.settings.token !== undefined) this.ask("auth", this.engine.settings.token);
    this.askingInfo = true;
    this.ask("info");
  }

  /** Who the worker is, and who its fellows are: beside the other requests. */
  askInfo(): void {
    if (this.state !== "up" || this.askingInfo) return;
    this.askingInfo = true;
    this.ask("info");
  }

  /** Makes frames of the attempts that wait, one for all that can share it, the sum of their counts; and sends them. */
  flush(): void {
    if (this.state !== "up") return;
    if (this.waiting.length > 0) {
      if (this.denied) this.introduce();
      else if (this.nameless) this.askInfo();
      this.build();
    }
    if (this.out.length === 0) return;
    this.socket.write(this.out.length === 1 ? this.out[0]! : Buffer.concat(this.out));
    this.out = [];
    if (this.checking === undefined && this.pending.length > 0) this.check(this.engine.settings.attemptTimeoutMs);
  }

  private build(): void {
    const { waiting } = this;
    const most = this.server.maxBatch; // 0: not known yet, so each for itself
    const now = performance.now();
    let taken = 0;
    while (taken < waiting.length && this.pending.length < IN_FLIGHT_MAX) {
      const first = waiting[taken++]!;
      if (first.abandoned) {
        first.drop();
        continue;
      }
      const kind = first.call ? "call" : "probe";
      const request: Request = {
        id: 0, kind, count: first.count, after: undefined, floor: this.server.lastId, sent: now, silent: false, attempts: [first],
      };
      while (first.call && first.after === undefined && taken < waiting.length) {
        const other = waiting[taken]!;
        if (!other.call || other.after !== undefined || request.count + other.count > most) break;
        taken++;
        if (other.abandoned) {
          other.drop();
          continue;
        }
        request.count += other.count;
        request.attempts.push(other);
      }
      if (first.call) request.after = this.engine.laterThan(first.after);
      this.nextId = (this.nextId + 1) >>> 0;
      request.id = this.nextId;
      this.pending.push(request);
      this.out.push(frames.putNext(request.id, request.count, request.after));
    }
    this.waiting = taken === waiting.length ? [] : waiting.slice(taken);
  }

  /** Whoever waits for an answer judges the server himself; this is for the others, and for connections that stay silent. */
  private check(inMs: number): void {
    const { attemptTimeoutMs } = this.engine.settings;
    this.checking = setTimeout(() => {
      this.checking = undefined;
      const oldest = this.pending[0];
      if (oldest === undefined || this.state === "ended") return;
      const age = performance.now() - oldest.sent;
      if (age >= Math.max(attemptTimeoutMs * SILENCE_FACTOR, 1000)) {
        this.end("lost", `silent for ${Math.round(age)} ms`);
        return;
      }
      if (age >= attemptTimeoutMs && !oldest.silent) {
        oldest.silent = true;
        this.engine.report(this.server, "silent");
      }
      this.check(age < attemptTimeoutMs ? attemptTimeoutMs - age : attemptTimeoutMs);
    }, Math.ceil(inMs)).unref();
  }

  // --- what comes ---

  private receive(data: Buffer): void {
    let from = this.rest === undefined ? data : Buffer.concat([this.rest, data]);
    this.rest = undefined;
    while (from.length >= 4 && this.state !== "ended") {
      const length = from.readUInt32BE(0);
      if (length < frames.LENGTH_MIN || length > frames.LENGTH_MAX) {
        this.end("broken", "what came is no Snowfleet frame (length field)");
        return;
      }
      if (from.length < 4 + length) break;
      const wrong = this.take(from, from.subarray(frames.HEADER_SIZE, 4 + length));
      if (wrong !== undefined) {
        this.end("broken", wrong);
        return;
      }
      from = from.subarray(4 + length);
    }
    if (this.isEnded()) return;
    if (from.length > 0) this.rest = from;
    if (this.state === "leaving" && this.pending.length === 0) this.end("lost", "the server asked us to leave");
    else if (this.waiting.length > 0) this.engine.touch(this);
  }

  private isEnded(): boolean {
    return this.state === "ended";
  }

  /** What is wrong with the frame, or undefined. */
  private take(header: Buffer, body: Buffer): string | undefined {
    const [version, kind, code, requestId] = [header[4], header[5]!, header.readUInt16BE(6), header.readUInt32BE(8)];
    if (version !== 1) return "a frame of another protocol version came";
    if (kind === frames.GOAWAY) {
      if (body.length < 4) return "a malformed GOAWAY came";
      if (this.state === "up") this.state = "leaving";
      this.engine.stats.goaways++;
      this.forsake();
      this.engine.lookSoon();
      return undefined;
    }
    if (kind > frames.GOAWAY) return undefined; // a push of a later version
    if (kind === frames.ERROR) {
      if (code === frames.STATUS.BAD_REQUEST || code === frames.STATUS.UNSUPPORTED) return "the server could not read our stream";
      this.end("lost", `the server refused the connection: ${frames.statusName(code)}`);
      return undefined;
    }
    const request = this.pending[0];
    if (request === undefined) return "an answer came that nobody asked for";
    if (requestId !== request.id || kind !== (FRAME_OF[request.kind] | frames.ANSWER)) return "an answer came out of order";
    this.pending.shift();
    this.answered = true;
    return this.engine.onAnswer(this, request, code, body);
  }

  // --- the end ---

  /** Nothing new here: what was not sent yet goes over another connection. */
  forsake(): void {
    if (this.server.conn === this) this.server.conn = undefined;
    const moved = this.waiting;
    this.waiting = [];
    for (const each of moved) this.engine.onMoved(each);
  }

  /** Its server is no longer in use; what was asked is still answered. */
  retire(): void {
    this.forsake();
    if (this.pending.length === 0) this.end("lost", "its server is no longer in use");
    else if (this.state !== "ended") this.state = "leaving";
  }

  /** Closes, judges the server, hands its calls on. Only the first call of it counts. */
  end(outcome: Outcome, why: string, code: "TLS" | "UNREACHABLE" = "UNREACHABLE"): void {
    if (this.state === "ended") return;
    this.state = "ended";
    clearTimeout(this.patience);
    clearTimeout(this.checking);
    this.socket.destroy();
    if (this.server.conn === this) this.server.conn = undefined;
    this.engine.buried(this, !this.announced && outcome === "lost" ? "unreached" : outcome, outcome === "broken" ? "PROTOCOL" : code, why);
  }
}
