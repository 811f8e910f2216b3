// Calls of the program, and what they ask of servers.
import type { Conn } from "./conn.js";
import type { ErrorCode, SnowfleetError } from "./errors.js";
import type * as frames from "./frames.js";
import type { Server } from "./policy.js";

/** A call's request to one server (no call: a probe). It may share its frame with others. */
export class Attempt {
  abandoned = false;

  constructor(
    readonly call: Call | undefined,
    readonly server: Server,
    readonly conn: Conn,
    readonly count: number,
    readonly after: bigint | undefined,
    readonly sent: number,
  ) {}

  /** It is not sent, or has been answered. */
  drop(): void {
    if (this.call !== undefined) this.server.load--;
  }
}

/** One call of the program. */
export class Call {
  left: number;
  done = false;
  runs: frames.Run[] = [];
  inFlight: Attempt[] = [];
  tried: Server[] = [];
  sent = 0;
  round = 0;
  retryAfterMs = 0;
  silenced = false;
  hasty = false;
  bereft = false;
  hedged = false;
  lastError: ErrorCode | "" = "";
  detail = "";
  server = "";
  hedge = Infinity;
  wake: number;
  timer: NodeJS.Timeout | undefined;
  armed = Infinity;

  constructor(
    readonly count: number,
    readonly after: bigint | undefined,
    readonly deadline: number,
    readonly resolve: (runs: frames.Run[]) => void,
    readonly reject: (error: SnowfleetError) => void,
  ) {
    this.left = count;
    this.wake = deadline;
  }

  /** No answer that is still to come counts any more. */
  abandon(): void {
    for (const each of this.inFlight) each.abandoned = true;
    this.inFlight = [];
  }

  landed(attempt: Attempt): void {
    const at = this.inFlight.indexOf(attempt);
    if (at >= 0) this.inFlight.splice(at, 1);
  }
}
