// The vectors that all languages share (tests/vectors of the repository).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as frames from "../dist/esm/frames.js";
import { decode, encode, fromBase32, parseId, toBase32 } from "../dist/esm/index.js";

const read = (name) => JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}`, import.meta.url), "utf8"));

test("ids", () => {
  const vectors = read("ids.json");
  for (const row of vectors.ids) {
    const id = parseId(row.id);
    const layout = { ...row.layout, epochMs: row.epoch_ms };
    const parts = { unixMs: row.unix_ms, datacenter: BigInt(row.datacenter), worker: BigInt(row.worker), sequence: BigInt(row.sequence) };
    assert.deepEqual(decode(layout, id), parts);
    assert.equal(encode(layout, parts), id);
    assert.equal(toBase32(id), row.base32);
    assert.equal(fromBase32(row.base32), id);
  }
  for (const row of vectors.read_as) assert.equal(fromBase32(row.base32), parseId(row.id));
  for (const text of vectors.refused) assert.throws(() => fromBase32(text), RangeError, text);
  for (const text of ["", "-1", "1.5", "0x1", "9223372036854775808", " 1"]) assert.throws(() => parseId(text), RangeError, text);
  const by = (key) => [...vectors.ids].sort((a, b) => (key(a) < key(b) ? -1 : 1)).map((row) => row.id);
  assert.deepEqual(by((row) => row.base32), by((row) => BigInt(row.id)));
});

test("frames", () => {
  const seen = new Set();
  for (const { name, kind, bytes, values = {} } of read("frames.json").frames) {
    const raw = Buffer.from(bytes, "hex");
    const body = raw.subarray(12);
    seen.add(kind);
    if (kind === "next") {
      const after = values.after === undefined ? undefined : BigInt(values.after);
      assert.deepEqual(frames.putNext(Number(values.id), Number(values.count), after), raw, name);
    } else if (kind === "ids") {
      const runs = values.runs.split(",").map((run) => ({ first: BigInt(run.split("+")[0]), count: Number(run.split("+")[1]) }));
      assert.deepEqual(frames.getRuns(body, runs.reduce((sum, run) => sum + run.count, 0)), runs, name);
    } else if (kind === "broken" && raw[5] === 0x81 && raw[7] === 0) {
      for (let count = 0; count <= 65536; count++) assert.equal(frames.getRuns(body, count), undefined, name);
    } else if (kind === "error") {
      assert.deepEqual(frames.getRefusal(body), { retryAfterMs: Number(values.retry), reason: values.reason }, name);
    } else if (kind === "broken" && raw[7] !== 0) {
      assert.equal(frames.getRefusal(body), undefined, name);
    }
  }
  for (const kind of ["next", "ids", "broken", "error"]) assert.ok(seen.has(kind), kind);
});
