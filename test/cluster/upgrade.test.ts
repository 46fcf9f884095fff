/**
 * A rolling upgrade to a build of another stored format, as real processes under load: while a node of the old build
 * lives everybody writes what it reads, and each step can be taken back; when all are of the new build they write the
 * new format, and the old program is kept out.
 */
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formats } from "../../src/ports/format.js";
import { available } from "../servers.js";
import { type Bank, openBank } from "./bank.js";
import { type Fleet, type Node, startFleet, until } from "./fleet.js";
import { judgeAll, startLoad } from "./load.js";
import { nextFormat } from "./next/build.js";

const isThere = (await available("mysql")) && (await available("nats"));
const next = ["--import", "tsx", "test/cluster/next/main.ts"];

describe.runIf(isThere)("a rolling upgrade to a build of another stored format", () => {
  let fleet: Fleet;
  let bank: Bank;

  beforeAll(async () => {
    fleet = await startFleet({ names: ["a", "b", "c"], leaseMs: 3000 });
    bank = await openBank(Math.random);
  });
  afterAll(async () => {
    await fleet?.close();
    await bank?.close();
  });

  const ask = async (sql: string) => {
    const connection = await createConnection({ uri: fleet.database.url });
    const [rows] = await connection.query<RowDataPacket[]>(sql);
    await connection.end();
    return rows;
  };
  /** Formats of all stored rows, and the agreed one. */
  const stored = async () => {
    const rows = await ask("SELECT DISTINCT ORD(body) AS format FROM journal ORDER BY format");
    const [meta] = await ask("SELECT value FROM meta WHERE name='format'");
    return { rows: rows.map(({ format }) => Number(format)), agreed: Number(meta!.value) };
  };
  /** Ends a node in good order and starts it as another program. */
  const replace = async (node: Node, program: readonly string[]) => {
    node.signal("SIGTERM");
    await node.gone();
    expect(node.ended).toBe("0");
    node.program = program;
    await node.start();
    await fleet.settled(60, 20_000);
  };

  it("is rolled out, back and out again node by node, and no promise is broken", { timeout: 180_000 }, async () => {
    const [a, b, c] = fleet.nodes as [Node, Node, Node];
    const old = a.program;
    const load = startLoad(fleet, bank, 6, Math.random);
    const onlyOld = { rows: [formats.newest], agreed: formats.newest };
    try {
      await replace(a, next);
      await replace(b, next);
      expect(await stored()).toEqual(onlyOld);
      await replace(a, old); // back
      expect(await stored()).toEqual(onlyOld);
      await replace(a, next);
      c.signal("SIGSTOP"); // an old node that is not gone in good order must not come back to rows that it can't read
      await until("all write the next format", 10_000, async () => (await stored()).agreed === nextFormat);
      c.signal("SIGCONT");
      await c.gone();
      expect(c.ended).toBe("5");
      c.program = next;
      await c.start();
      await fleet.settled(60, 20_000);
      const before = (await ask(`SELECT COUNT(*) AS n FROM journal WHERE ORD(body)=${nextFormat}`))[0]!.n;
      await until("rows of the next format come in", 10_000, async () => {
        const [now] = await ask(`SELECT COUNT(*) AS n FROM journal WHERE ORD(body)=${nextFormat}`);
        return now!.n > before + 50;
      });
      expect(await stored()).toEqual({ rows: [formats.newest, nextFormat], agreed: nextFormat });
      const last = async () => Number((await ask("SELECT MAX(id) AS id FROM head"))[0]!.id);
      const from = await last();
      await until("new transactions are there", 10_000, async () => (await last()) > from);
      const young = `SELECT DISTINCT ORD(j.body) AS format FROM journal j JOIN head h ON h.id=j.id WHERE h.id > ${from}`;
      expect((await ask(young)).map(({ format }) => Number(format))).toEqual([nextFormat]);
      await until("100 transfers acknowledged", 60_000, async () => load.acknowledged.size > 100);
    } finally {
      await load.stop();
    }
    expect(await judgeAll(fleet, bank, load, 60_000)).toEqual([]);
    c.signal("SIGTERM");
    await c.gone();
    c.program = old;
    await expect(c.start()).rejects.toThrow(/ended with 5.*store in the database has format 2.*reads 1/s);
    expect(await fleet.served(10_000)).toBeLessThan(10_000);
  });
});
