// The example against the real TypeORM, where `check` has installed it (SF_EXAMPLES names the folder).
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { Worker } from "./worker.mjs";

const folder = process.env.SF_EXAMPLES;

test("TypeORM", { skip: folder === undefined }, async () => {
  const copy = join(folder, "typeorm.mjs");
  cpSync(new URL("../examples/typeorm.mjs", import.meta.url), copy);
  const { main } = await import(pathToFileURL(copy).href);
  const worker = await new Worker().start();
  try {
    const ids = await main(worker.address, { type: "sqljs" });
    assert.equal(ids.length, 2);
    assert.ok(ids.every((id) => typeof id === "bigint") && ids[0] < ids[1]);
    assert.equal(ids[1], worker.last);
  } finally {
    worker.stop();
  }
});
