// Frames of the protocol (docs/protocol.md).

export const NEXT = 0x01;
export const INFO = 0x03;
export const AUTH = 0x05;
export const ANSWER = 0x80;
export const ERROR = 0xbf;
export const GOAWAY = 0xc0;
export const HEADER_SIZE = 12;
export const LENGTH_MIN = 8;
export const LENGTH_MAX = 65536;

export const STATUS = {
  OK: 0,
  BAD_REQUEST: 1,
  UNSUPPORTED: 2,
  TOO_LARGE: 3,
  NOT_READY: 4,
  CLOCK: 5,
  OVERLOADED: 6,
  RATE_LIMITED: 7,
  DRAINING: 8,
  DENIED: 9,
  CAUSALITY: 10,
  INTERNAL: 11,
} as const;
const STATUS_NAMES = Object.keys(STATUS);

export const statusName = (status: number): string => STATUS_NAMES[status] ?? `status ${status}`;

/** The IDs first, first + 1, ... first + count - 1. */
export interface Run {
  first: bigint;
  count: number;
}

export function put(kind: number, requestId: number, body: Uint8Array = new Uint8Array(0), code = 0): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_SIZE + body.length);
  frame.writeUInt32BE(LENGTH_MIN + body.length, 0);
  frame.writeUInt8(1, 4);
  frame.writeUInt8(kind, 5);
  frame.writeUInt16BE(code, 6);
  frame.writeUInt32BE(requestId, 8);
  frame.set(body, HEADER_SIZE);
  return frame;
}

export function putNext(requestId: number, count: number, after?: bigint): Buffer {
  const body = Buffer.allocUnsafe(after === undefined ? 4 : 12);
  body.writeUInt32BE(count, 0);
  if (after !== undefined) body.writeBigUInt64BE(after, 4);
  return put(NEXT, requestId, body, after === undefined ? 0 : 1);
}

/** undefined where it is not what docs/protocol.md allows, or not `count` IDs. */
export function getRuns(body: Buffer, count: number): Run[] | undefined {
  if (body.length === 0 || body.length % 12 !== 0) return undefined;
  const runs: Run[] = [];
  let last = -1n;
  let total = 0;
  for (let at = 0; at < body.length; at += 12) {
    const first = body.readBigUInt64BE(at);
    const n = body.readUInt32BE(at + 8);
    if (n === 0 || first <= last) return undefined;
    last = first + BigInt(n) - 1n;
    if (last >= 1n << 63n) return undefined;
    total += n;
    runs.push({ first, count: n });
  }
  return total === count ? runs : undefined;
}

export function getRefusal(body: Buffer): { retryAfterMs: number; reason: string } | undefined {
  return body.length < 4 ? undefined : { retryAfterMs: body.readUInt32BE(0), reason: body.subarray(4, 154).toString() };
}
