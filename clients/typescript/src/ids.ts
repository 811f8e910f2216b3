// IDs as the programs of a fleet need them: bigints, their parts, and their forms as text. Never a `number`: that loses digits.

export const MAX_ID = (1n << 63n) - 1n;

const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Always 13 digits of Crockford's base 32, which sort as the IDs do. */
export function toBase32(id: bigint): string {
  if (typeof id !== "bigint" || id < 0n || id > MAX_ID) throw new RangeError(`${String(id)} is not an ID; 0 to ${MAX_ID} are`);
  let text = "";
  for (let rest = id, n = 0; n < 13; n++, rest >>= 5n) text = DIGITS[Number(rest & 31n)]! + text;
  return text;
}

/** Reads what toBase32 writes, in either case; I, L and O are read as 1, 1 and 0. RangeError for another text. */
export function fromBase32(text: string): bigint {
  let id = 0n;
  for (const letter of text.toUpperCase()) {
    const digit = letter === "O" ? 0 : letter === "I" || letter === "L" ? 1 : DIGITS.indexOf(letter);
    id = digit < 0 ? -1n : id < 0n ? id : (id << 5n) | BigInt(digit);
    if (id < 0n) break;
  }
  if (text.length !== 13 || id < 0n || id > MAX_ID) {
    throw new RangeError(`${JSON.stringify(text)} is not an ID in base 32; 0000000000000 to 7ZZZZZZZZZZZZ are`);
  }
  return id;
}

/** Reads the decimal form: what `String(id)` gives. RangeError for another text. */
export function parseId(text: string): bigint {
  const id = typeof text === "string" && /^[0-9]{1,20}$/.test(text) ? BigInt(text) : -1n;
  if (id < 0n || id > MAX_ID) throw new RangeError(`${JSON.stringify(text)} is not an ID; 0 to ${MAX_ID} are`);
  return id;
}

/** The fields of an ID. */
export interface Parts {
  unixMs: number;
  datacenter: bigint;
  worker: bigint;
  sequence: bigint;
}

/** Which bits of an ID mean what, and when its timestamps begin. It belongs to a fleet and never changes. */
export interface Layout {
  timestamp: number;
  datacenter: number;
  worker: number;
  sequence: number;
  epochMs: number;
}

export const DEFAULT_LAYOUT: Layout = { timestamp: 41, datacenter: 5, worker: 5, sequence: 12, epochMs: 1704067200000 };

export function isLayout(l: Layout): boolean {
  const widths = [l.timestamp, l.datacenter, l.worker, l.sequence];
  return (
    widths.every((width) => Number.isInteger(width) && width >= 0) &&
    l.timestamp >= 1 &&
    widths.reduce((a, b) => a + b) === 63 &&
    Number.isSafeInteger(l.epochMs)
  );
}

const mask = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

/** Takes an ID apart. RangeError for a number that is none. */
export function decode(layout: Layout, id: bigint): Parts {
  if (typeof id !== "bigint" || id < 0n || id > MAX_ID) throw new RangeError(`${String(id)} is not an ID; 0 to ${MAX_ID} are`);
  const rest = id >> BigInt(layout.sequence);
  return {
    unixMs: layout.epochMs + Number(rest >> BigInt(layout.worker + layout.datacenter)),
    datacenter: (rest >> BigInt(layout.worker)) & mask(layout.datacenter),
    worker: rest & mask(layout.worker),
    sequence: id & mask(layout.sequence),
  };
}

/** The ID of these parts; of a time alone the smallest of that millisecond: a bound for queries by time. */
export function encode(layout: Layout, parts: Pick<Parts, "unixMs"> & Partial<Parts>): bigint {
  const timestamp = BigInt(parts.unixMs - layout.epochMs);
  const { datacenter = 0n, worker = 0n, sequence = 0n } = parts;
  const fits = (value: bigint, bits: number): boolean => value >= 0n && value <= mask(bits);
  if (!fits(timestamp, layout.timestamp) || !fits(datacenter, layout.datacenter) || !fits(worker, layout.worker) || !fits(sequence, layout.sequence)) {
    throw new RangeError("the parts do not fit the layout");
  }
  return (((((timestamp << BigInt(layout.datacenter)) | datacenter) << BigInt(layout.worker)) | worker) << BigInt(layout.sequence)) | sequence;
}

/** Were they minted by the same slot? */
export function sameSlot(layout: Layout, a: bigint, b: bigint): boolean {
  return (((a ^ b) >> BigInt(layout.sequence)) & mask(layout.datacenter + layout.worker)) === 0n;
}
