// The driver of the common suite (docs/clients.md): one JSON object a line on stdin, one a line on stdout. `driver` builds and starts it.
import { closeSync, openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";

import { COUNT_MAX, Client, SnowfleetError, parseId, toBase32 } from "./dist/esm/index.js";

const invalid = (detail) => new SnowfleetError("INVALID", detail);
const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
let client;

function open(request) {
  const options = {};
  for (const [name, value] of Object.entries(request)) {
    if (name === "n" || name === "op") continue;
    if (name !== name.toLowerCase() || name === "log") throw invalid(`${name}: there is no such option`);
    if (name === "pool") {
      // Of the C library alone: here callers share connections.
      if (!Number.isInteger(value)) throw invalid("pool: a number is wanted");
      continue;
    }
    if (typeof value === "number" && value < 0) throw invalid(`${name}: ${value} is out of range`);
    options[name === "deadline_ms" ? "timeoutMs" : camel(name)] = value;
  }
  client = new Client({ servers: "127.0.0.1:7450", ...options });
  return {};
}

function countOf({ count = 1 }) {
  if (!Number.isInteger(count) || count < 1 || count > COUNT_MAX) throw invalid(`count: 1 to ${COUNT_MAX} are allowed`);
  return count;
}

function idOf(text, what) {
  try {
    return parseId(text);
  } catch {
    throw invalid(`${what}: an ID as a decimal string is wanted`);
  }
}

// As a program would: the short form where nothing but one ID is asked for, so that prefetch is used.
const call = async (count, after) => (count === 1 && after === undefined ? [await client.next()] : client.nextMany(count, after === undefined ? {} : { after }));

async function load(request) {
  const { callers = 1, seconds, calls, file } = request;
  const count = countOf(request);
  if (!Number.isInteger(callers) || callers < 1 || callers > 1024) throw invalid("callers: 1 to 1024 are allowed");
  if (typeof seconds !== "number" && !Number.isInteger(calls)) throw invalid("seconds or calls is wanted");
  let left = calls ?? Infinity;
  const end = seconds === undefined ? Infinity : performance.now() + seconds * 1000;
  const told = { calls: 0, ids: 0, failed: 0, longest_ms: 0, order_errors: 0, detail: "" };
  const before = client.stats().order_errors;
  const to = file === undefined ? undefined : openSync(file, "w");
  let buffer = Buffer.allocUnsafe(1 << 16);
  let used = 0;
  const flush = () => {
    if (used > 0) writeSync(to, buffer, 0, used);
    used = 0;
  };
  const caller = async () => {
    while (left > 0 && performance.now() < end) {
      left--;
      const begin = performance.now();
      try {
        const ids = await call(count);
        told.ids += ids.length;
        for (const id of to === undefined ? [] : ids) {
          if (used === buffer.length) flush();
          used = buffer.writeBigUInt64BE(id, used);
        }
      } catch (error) {
        if (told.failed++ === 0) told.detail = String(error.message);
      }
      told.calls++;
      told.longest_ms = Math.max(told.longest_ms, performance.now() - begin);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  if (to !== undefined) {
    flush();
    closeSync(to);
  }
  told.order_errors = client.stats().order_errors - before;
  return told;
}

async function perform(request) {
  if (typeof request?.op !== "string") throw invalid("no JSON object with an op");
  if (request.op === "open") {
    if (client !== undefined) throw invalid("a client is open already");
    return open(request);
  }
  if (client === undefined) throw invalid("no client is open");
  switch (request.op) {
    case "next": {
      const count = countOf(request);
      const after = request.after === undefined ? undefined : idOf(request.after, "after");
      return { ids: (await call(count, after)).map(String) };
    }
    case "load":
      return load(request);
    case "decode": {
      const id = idOf(request.id, "id");
      const { unixMs, datacenter, worker, sequence } = await client.decode(id);
      return { unix_ms: unixMs, datacenter: Number(datacenter), worker: Number(worker), sequence: Number(sequence), base32: toBase32(id) };
    }
    case "stats":
      return client.stats();
    case "close":
      client.close();
      client = undefined;
      return {};
    default:
      throw invalid("op: open, next, load, decode, stats and close are known");
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let request;
  try {
    request = JSON.parse(line);
  } catch {
    request = undefined;
  }
  let answer;
  try {
    answer = { ok: true, ...(await perform(request)) };
  } catch (error) {
    if (!(error instanceof SnowfleetError)) throw error;
    answer = { ok: false, error: error.code, detail: error.detail };
  }
  if (request?.n !== undefined) answer.n = request.n;
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
client?.close();
