/** What went wrong, by the names of the C library's enum sf_client_error. */
export type ErrorCode =
  | "INVALID" // an argument or option is not allowed; the detail says which
  | "UNREACHABLE" // no worker could be connected to by the deadline
  | "TIMEOUT" // connected and asked, but nothing answered by the deadline
  | "NOT_READY" // every worker said that it holds no slot or reservation
  | "CLOCK" // every worker said that its clock is not safe
  | "OVERLOADED" // queues full until the deadline
  | "RATE_LIMITED" // over quota, and the wait is longer than the call may last
  | "DRAINING" // every worker is shutting down
  | "DENIED" // the token is missing or was refused
  | "CAUSALITY" // `after` lies further ahead than the call may wait
  | "INTERNAL" // a worker reported a defect, or a status unknown to this library
  | "REFUSED" // the worker does not accept the request
  | "PROTOCOL" // what answered does not speak the Snowfleet protocol
  | "ORDER" // a worker gave an ID that repeats or goes back: page somebody, use none of these IDs
  | "NAME" // a server name has no address
  | "TLS" // certificate, key or handshake
  | "WRONG_FLEET" // a worker belongs to another fleet than the ones before it
  | "CANCELLED"; // the client was closed, or the signal aborted

/** Every failed call rejects with one of these. */
export class SnowfleetError extends Error {
  override readonly name = "SnowfleetError";

  constructor(
    readonly code: ErrorCode,
    /** For people: what happened, and what to do where something can be done. */
    readonly detail: string,
    /** Who answered last, "address:port"; may be empty. */
    readonly server = "",
    /** RATE_LIMITED, CAUSALITY, OVERLOADED: what the worker asked for. */
    readonly retryAfterMs = 0,
    /** Requests sent. */
    readonly attempts = 0,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${detail}`, options);
  }
}

export const invalid = (detail: string): SnowfleetError => new SnowfleetError("INVALID", detail);
