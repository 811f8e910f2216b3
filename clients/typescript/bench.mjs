// Speed of the client against one worker, in turns with a bare socket loop; one JSON object. tests/bench/clients.py starts it.
// usage: bench.mjs HOST:PORT
import { connect } from "node:net";

import { Client } from "./dist/esm/index.js";

const address = process.argv[2];
const [host, port] = address.split(":");
const ONE = Buffer.from("0000000c010100000000000100000001", "hex");
const SECONDS = 1;
const median = (all) => all.sort((a, b) => a - b)[all.length >> 1];

async function timed(what, n, to) {
  for (let i = 0; i < n; i++) {
    const begin = performance.now();
    await what();
    to.push((performance.now() - begin) * 1000);
  }
}

async function rate(client, callers) {
  const end = performance.now() + SECONDS * 1000;
  let done = 0;
  const caller = async () => {
    while (performance.now() < end) {
      await client.next();
      done++;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return done / SECONDS;
}

const socket = connect({ host, port: Number(port), noDelay: true });
await new Promise((resolve) => socket.once("connect", resolve));
const ask = () =>
  new Promise((resolve) => {
    socket.once("data", resolve);
    socket.write(ONE);
  });
const client = new Client(address);
const ahead = new Client({ servers: address, prefetch: 1000 });
await client.next();
const [bare, own] = [[], []];
for (let round = 0; round < 20; round++) {
  await timed(ask, 200, bare);
  await timed(() => client.next(), 200, own);
}
socket.destroy();
const told = { bare_us: median(bare), client_us: median(own), one_per_s: await rate(client, 1), many_per_s: await rate(client, 64), prefetch_per_s: await rate(ahead, 1) };
console.log(JSON.stringify(told));
client.close();
ahead.close();
