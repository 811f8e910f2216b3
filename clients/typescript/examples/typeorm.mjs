// IDs as primary keys with TypeORM: the key is there before the row is written, so that children can refer to it at once. It is a bigint here, and 13
// digits in the database, which sort as the IDs do: some drivers of databases lose digits of a 64-bit integer. Where yours does not (PostgreSQL's gives a
// text), { type: "bigint", transformer: { to: String, from: BigInt } } takes half the room.
import { DataSource, EntitySchema } from "typeorm";

import { Client, fromBase32, toBase32 } from "snowfleet";

const snowflake = { type: "varchar", length: 13, transformer: { to: (id) => (typeof id === "bigint" ? toBase32(id) : id), from: fromBase32 } };

export const Order = new EntitySchema({ name: "Order", columns: { id: { ...snowflake, primary: true }, customer: { type: "varchar" } } });
export const Line = new EntitySchema({
  name: "Line",
  columns: { id: { ...snowflake, primary: true }, orderId: snowflake, what: { type: "varchar" } },
});

/** Writes an order with two lines; the IDs of the lines as they were read back. */
export async function main(servers, database) {
  const client = new Client(servers);
  const source = await new DataSource({ ...database, entities: [Order, Line], synchronize: true }).initialize();
  try {
    const [orderId, ...lineIds] = await client.nextMany(3);
    await source.getRepository("Order").insert({ id: orderId, customer: "Ada" });
    await source.getRepository("Line").insert(["a book", "a pen"].map((what, n) => ({ id: lineIds[n], orderId, what })));
    const lines = await source.getRepository("Line").find({ where: { orderId }, order: { id: "ASC" } });
    return lines.map((line) => line.id);
  } finally {
    await source.destroy();
    client.close();
  }
}
