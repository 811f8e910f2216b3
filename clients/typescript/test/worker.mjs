// A small worker: what the common suite (tests/clients) plays is not played again here, but what only Node has.
import { createServer } from "node:net";

const INFO = Buffer.from(
  JSON.stringify({ fleet_id: "f", epoch_ms: 1704067200000, max_batch: 65536, layout: { timestamp: 41, datacenter: 5, worker: 5, sequence: 12 } }),
);

export class Worker {
  last = 382339661470629888n;
  asked = 0;
  silent = false;
  slowMs = 0;
  sockets = new Set();

  async start() {
    this.server = createServer((socket) => this.serve(socket));
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.address = `127.0.0.1:${this.server.address().port}`;
    return this;
  }

  stop() {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  serve(socket) {
    let rest = Buffer.alloc(0);
    this.sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => {
      rest = Buffer.concat([rest, data]);
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
        const size = 4 + rest.readUInt32BE(0);
        this.answer(socket, rest.subarray(0, size));
        rest = rest.subarray(size);
      }
    });
  }

  answer(socket, frame) {
    let body = INFO;
    if (frame[5] === 1) {
      this.asked++;
      if (this.silent) return;
      const count = frame.readUInt32BE(12);
      body = Buffer.alloc(12);
      body.writeBigUInt64BE(this.last + 1n);
      body.writeUInt32BE(count, 8);
      this.last += BigInt(count);
    }
    const head = Buffer.from(frame.subarray(0, 12));
    head.writeUInt32BE(8 + body.length);
    head[5] |= 0x80;
    head.writeUInt16BE(0, 6);
    setTimeout(() => socket.write(Buffer.concat([head, body])), frame[5] === 1 ? this.slowMs : 0);
  }
}
