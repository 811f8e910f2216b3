/** Unique, time-ordered 64-bit IDs from a Snowfleet fleet, as if it were one service that does not fail. */
export { Client, type Ask } from "./client.js";
export { SnowfleetError, type ErrorCode } from "./errors.js";
export { DEFAULT_LAYOUT, MAX_ID, decode, encode, fromBase32, parseId, toBase32, type Layout, type Parts } from "./ids.js";
export { COUNT_MAX, type Options } from "./options.js";
export type { Stats } from "./stats.js";
