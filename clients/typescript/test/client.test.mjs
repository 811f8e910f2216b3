import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { Client, SnowfleetError } from "../dist/esm/index.js";
import { Worker } from "./worker.mjs";

let worker;
const clients = [];
const newClient = (options = {}) => {
  const client = new Client({ servers: worker.address, ...options });
  clients.push(client);
  return client;
};

before(async () => {
  worker = await new Worker().start();
});

after(() => {
  for (const client of clients) client.close();
  worker.stop();
});

const fails = (promise, code) => assert.rejects(promise, (error) => error instanceof SnowfleetError && error.code === code);

test("calls that wait together share requests", async () => {
  const client = newClient();
  await client.next();
  const asked = worker.asked;
  worker.slowMs = 2;
  const parts = await Promise.all(Array.from({ length: 1000 }, (_, n) => client.nextMany(1 + (n % 3))));
  worker.slowMs = 0;
  const ids = parts.flat();
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(parts.every((part) => part.every((id, n) => typeof id === "bigint" && (n === 0 || id > part[n - 1]))));
  assert.ok(worker.asked - asked < 50, `${worker.asked - asked} requests`);
  assert.equal(client.stats().ids, ids.length + 1);
});

test("an AbortSignal ends a call", async () => {
  const client = newClient({ timeoutMs: 20000 });
  worker.silent = true;
  try {
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error("enough")), 50);
    const begin = performance.now();
    await assert.rejects(client.next({ signal: abort.signal }), (error) => error.code === "CANCELLED" && error.cause.message === "enough");
    assert.ok(performance.now() - begin < 5000);
    await fails(client.next({ signal: AbortSignal.abort() }), "CANCELLED");
    await fails(client.nextMany(1, { timeoutMs: 80 }), "TIMEOUT");
  } finally {
    worker.silent = false;
  }
});

test("close ends calls", async () => {
  const client = newClient({ timeoutMs: 20000 });
  worker.silent = true;
  try {
    const call = client.next();
    setTimeout(() => client.close(), 50);
    await fails(call, "CANCELLED");
    await fails(client.next(), "CANCELLED");
  } finally {
    worker.silent = false;
  }
});

test("prefetched IDs are handed out once", async () => {
  const client = newClient({ prefetch: 100, prefetchMaxAgeMs: 60000 });
  const asked = worker.asked;
  const ids = await Promise.all(Array.from({ length: 1500 }, () => client.next()));
  assert.equal(new Set(ids).size, 1500);
  assert.equal(worker.asked - asked, 15);
});

test("what is not allowed is said", async () => {
  assert.throws(() => new Client({ servers: "x:1", colour: "red" }), { code: "INVALID" });
  assert.throws(() => new Client({}), { code: "INVALID" });
  assert.throws(() => new Client({ servers: "x:1", prefetch: 1.5 }), { code: "INVALID" });
  await fails(newClient().nextMany(0), "INVALID");
  await fails(newClient().next({ after: 5 }), "INVALID");
});

test("names are looked up", async () => {
  const client = newClient({ servers: worker.address.replace("127.0.0.1", "localhost"), timeoutMs: 5000 });
  assert.equal(typeof (await client.nextString()), "string");
});

test("what an operator wants to know is told, and nothing is printed", async () => {
  const events = [];
  await fails(newClient({ servers: "127.0.0.1:1", timeoutMs: 100, log: (event) => events.push(event) }).next(), "UNREACHABLE");
  assert.equal(events[0].level, "warn");
  assert.equal(events[0].server, "127.0.0.1:1");
});

test("CommonJS has the same", async () => {
  const cjs = createRequire(import.meta.url)("../dist/cjs/index.js");
  const client = new cjs.Client(worker.address);
  assert.equal(cjs.toBase32(await client.next()).length, 13);
  client.close();
});

test("an idle client does not keep the process", async () => {
  const program = `import { Client } from ${JSON.stringify(new URL("../dist/esm/index.js", import.meta.url).href)};
    console.log(String(await new Client(${JSON.stringify(worker.address)}).next()));`;
  const said = await new Promise((resolve, reject) => {
    execFile(process.execPath, ["--input-type=module", "-e", program], { timeout: 20000 }, (error, stdout) => (error ? reject(error) : resolve(stdout)));
  });
  assert.match(said, /^\d{18,19}\n$/);
});
