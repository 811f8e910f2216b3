// The options of a client, by the meaning, defaults and bounds of the C library (include/snowfleet/client.h).
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { createSecureContext, type SecureContext } from "node:tls";

import { SnowfleetError, invalid } from "./errors.js";

/** 0 in a time or count that has a default means the default. */
export interface Options {
  /** "host:port,host:port": addresses, or names, every address of which is a server. Without a port: 7450. */
  servers: string;
  /** Deadline of a call [2000]. */
  timeoutMs?: number;
  /** After this another worker is asked beside a silent one [100]. */
  attemptTimeoutMs?: number;
  connectTimeoutMs?: number;
  /** A second worker is asked beside the first after this [never] ... */
  hedgeMs?: number;
  /** ... or when that part of the latest answers would have come: 50 to 99. */
  hedgePercentile?: number;
  /** Names are looked up again [30000]. */
  resolveMs?: number;
  /** Use the workers that the workers tell of, too. */
  discover?: boolean;
  discoverMs?: number;
  /** Each call brings that part of a retry [20]. */
  retryBudgetPercent?: number;
  retryBudgetMax?: number;
  backoffMinMs?: number;
  backoffMaxMs?: number;
  /** Lost connections in a row that open a server's breaker [3]. */
  breakerFailures?: number;
  breakerOpenMinMs?: number;
  breakerOpenMaxMs?: number;
  /** Between tries of one server while none works [75]. */
  breakerIdleMs?: number;
  /** IDs fetched ahead by one request; not together with causal. */
  prefetch?: number;
  /** No older one is handed out [100]. */
  prefetchMaxAgeMs?: number;
  /** Every ID is greater than all that were handed out before. */
  causal?: boolean;
  /** TLS 1.2 or later. */
  tls?: boolean;
  /** File of trusted certificates [those of Node.js]. */
  tlsCa?: string;
  /** Own certificate chain and key, for mutual TLS. */
  tlsCert?: string;
  tlsKey?: string;
  /** What the certificate must bear [the host of `servers`]. */
  tlsServerName?: string;
  /** Sent with AUTH on every connection. */
  token?: string;
  /** Is told what an operator wants to know. Nothing is printed. */
  log?: (event: { level: "info" | "warn"; message: string; server: string }) => void;
}

export const COUNT_MAX = 1048576;
export const NAMES_MAX = 64;
export const DISCOVER_MAX = 128;
export const SERVERS_MAX = 256;

// name in C, standard (in place of 0), least, most
const NUMBERS = {
  timeoutMs: ["timeout_ms", 2000, 1, 3600000],
  attemptTimeoutMs: ["attempt_timeout_ms", 100, 1, 3600000],
  connectTimeoutMs: ["connect_timeout_ms", 1000, 1, 3600000],
  hedgeMs: ["hedge_ms", 0, 0, 3600000],
  hedgePercentile: ["hedge_percentile", 0, 50, 99],
  resolveMs: ["resolve_ms", 30000, 1000, 86400000],
  discoverMs: ["discover_ms", 30000, 1000, 86400000],
  retryBudgetPercent: ["retry_budget_percent", 20, 1, 1000],
  retryBudgetMax: ["retry_budget_max", 100, 1, 1000000],
  backoffMinMs: ["backoff_min_ms", 2, 1, 60000],
  backoffMaxMs: ["backoff_max_ms", 100, 1, 60000],
  breakerFailures: ["breaker_failures", 3, 1, 1000000],
  breakerOpenMinMs: ["breaker_open_min_ms", 100, 1, 600000],
  breakerOpenMaxMs: ["breaker_open_max_ms", 1000, 1, 600000],
  breakerIdleMs: ["breaker_idle_ms", 75, 1, 60000],
  prefetch: ["prefetch", 0, 0, 65536],
  prefetchMaxAgeMs: ["prefetch_max_age_ms", 100, 1, 600000],
} as const satisfies Partial<Record<keyof Options, readonly [string, number, number, number]>>;

type Numbers = { -readonly [name in keyof typeof NUMBERS]: number };
const FLAGS = ["discover", "causal", "tls"] as const;
const TEXTS = ["servers", "tlsCa", "tlsCert", "tlsKey", "tlsServerName", "token"] as const;

export type Settings = Numbers & {
  servers: string;
  discover: boolean;
  causal: boolean;
  tls: boolean;
  tlsServerName: string | undefined;
  token: Buffer | undefined;
  secure: SecureContext | undefined;
  log: NonNullable<Options["log"]>;
};

function numbers(options: Options): Numbers {
  const made: Partial<Numbers> = {};
  for (const [key, [name, standard, least, most]] of Object.entries(NUMBERS) as [keyof Numbers, readonly [string, number, number, number]][]) {
    const given: unknown = options[key] ?? 0;
    if (typeof given !== "number" || !Number.isSafeInteger(given)) throw invalid(`${name}: a whole number is wanted`);
    const value = given === 0 ? standard : given;
    if (value !== standard && (value < least || value > most)) {
      throw invalid(`${name}: ${value} is out of range; allowed are ${least} to ${most}`);
    }
    made[key] = value;
  }
  return made as Numbers;
}

function checkKinds(options: Options): void {
  const known = new Set<string>([...Object.keys(NUMBERS), ...FLAGS, ...TEXTS, "log"]);
  for (const [key, value] of Object.entries(options) as [string, unknown][]) {
    if (!known.has(key)) throw invalid(`${key}: there is no such option`);
    if (value === undefined) continue;
    if ((FLAGS as readonly string[]).includes(key) && typeof value !== "boolean") throw invalid(`${key}: true or false is wanted`);
    if ((TEXTS as readonly string[]).includes(key) && typeof value !== "string") throw invalid(`${key}: a text is wanted`);
  }
}

function secureContext(options: Options): SecureContext | undefined {
  if (options.tls !== true) return undefined;
  const read = (name: string, path: string | undefined): Buffer | undefined => {
    if (path === undefined) return undefined;
    try {
      return readFileSync(path);
    } catch (error) {
      throw new SnowfleetError("TLS", `${name}: ${String(error)}`);
    }
  };
  const ca = read("tls_ca", options.tlsCa);
  const cert = read("tls_cert", options.tlsCert);
  const key = read("tls_key", options.tlsKey);
  try {
    if (ca !== undefined) new X509Certificate(ca); // else a file without any is taken for an empty list
    return createSecureContext({ minVersion: "TLSv1.2", ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
  } catch (error) {
    throw new SnowfleetError("TLS", `tls_ca ${options.tlsCa}, tls_cert ${options.tlsCert}, tls_key ${options.tlsKey}: ${String(error)}`);
  }
}

/** The options with their defaults, or an error that says what is not allowed. */
export function check(options: Options): Settings {
  checkKinds(options);
  const made = numbers(options);
  const { tls = false, causal = false, discover = false, tlsCa, tlsCert, tlsKey, tlsServerName } = options;
  if (made.backoffMinMs > made.backoffMaxMs) throw invalid("backoff_min_ms: must not be above backoff_max_ms");
  if (made.breakerOpenMinMs > made.breakerOpenMaxMs) throw invalid("breaker_open_min_ms: must not be above breaker_open_max_ms");
  if (causal && made.prefetch > 0) throw invalid("prefetch: gives up the order that causal promises; use one");
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw invalid("tls_cert, tls_key: give both or none");
  if (!tls && (tlsCa !== undefined || tlsCert !== undefined || tlsServerName !== undefined)) {
    throw invalid("tls: must be true for the other tls options to have a use");
  }
  const token = options.token === undefined ? undefined : Buffer.from(options.token);
  if (token !== undefined && (token.length < 1 || token.length > 256)) throw invalid("token: must have 1 to 256 bytes");
  return { ...made, servers: options.servers, tls, causal, discover, tlsServerName, token, secure: secureContext(options), log: options.log ?? (() => {}) };
}

export interface HostPort {
  host: string;
  port: number;
}

export function parseHostPort(text: string, defaultPort: string): HostPort | undefined {
  const match = /^\[([^\]]+)\](?::([0-9]+))?$/.exec(text) ?? /^([^:[\]/\s]+)(?::([0-9]+))?$/.exec(text);
  const host = match?.[1] ?? (isIP(text) === 6 ? text : undefined);
  const port = match?.[2] ?? defaultPort;
  if (host === undefined || host.length > 253 || !/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535) return undefined;
  return { host, port: Number(port) };
}

export function parseServers(text: string): HostPort[] {
  const found = text.split(/[, ]+/).filter((entry) => entry !== "").map((entry) => {
    const at = parseHostPort(entry, "7450");
    if (at === undefined) {
      throw invalid(`servers: ${JSON.stringify(entry)} is not a server; allowed are HOST, HOST:PORT, ADDRESS:PORT and [IPV6]:PORT`);
    }
    return at;
  });
  if (found.length === 0) throw invalid("servers: none given; example: ids-0:7450,ids-1:7450");
  if (found.length > NAMES_MAX) throw invalid(`servers: more than ${NAMES_MAX} entries`);
  return found;
}
