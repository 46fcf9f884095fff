// DTM's Go and Python clients and our barrier on one table of one MariaDB: each compensates, repeats and suspends what
// the other did for the same branch; and all three take part in one global transaction.
import { createServer } from "node:http";
import { createPool, type Pool, type RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { barrierFrom, type Delivery } from "../../../src/client/barrier/delivery.js";
import { type MysqlBarrier, mysqlBarrier } from "../../../src/client/barrier/mysql2.js";
import { type Client, createClient, Failure, type Route, route } from "../../../src/client/index.js";
import { tandemRoutes } from "../../../src/client/participant/express.js";
import { type Embedded, startEmbedded } from "../../../src/embedded/embedded.js";
import { available, type Server, startMariadb } from "../../servers.js";
import { listen, stop } from "../e2e/service.js";
import { until } from "../e2e/suite.js";
import { buildable, type ForeignParticipant, foreigners } from "../foreign/participants.js";

const hasDatabase = await available("mysql");
const here = hasDatabase ? await buildable() : [];
if (!hasDatabase) process.stderr.write("\n*** SKIPPED: DTM's clients beside our barrier: there is no MariaDB ***\n");

type Who = "ours" | "go" | "python";

let server: Server;
let pool: Pool;
let guard: MysqlBarrier;
const built = new Map<Who, ForeignParticipant>();

beforeAll(async () => {
  if (here.length === 0) return;
  // DTM's Python client knows one table only, so this server is nobody else's.
  server = await startMariadb({ own: true });
  pool = createPool({ uri: server.url });
  guard = mysqlBarrier(pool);
  await guard.migrate();
  const columns = "id bigint primary key auto_increment, gid varchar(128), op text, who text";
  await pool.query(`create table dtm_barrier.effects (${columns})`);
  await Promise.all(here.map(async ({ who, start }) => built.set(who, await start(server.port))));
}, 300_000);

afterAll(async () => {
  await pool?.end();
  await server?.stop();
  for (const one of built.values()) await one.remove();
});

async function effects(gid: string): Promise<readonly string[]> {
  const [rows] = await pool.execute<RowDataPacket[]>(
    "select who, op from dtm_barrier.effects where gid = ? order by id",
    [gid],
  );
  return rows.map(({ who, op }) => `${who} ${op}`);
}

async function ours(delivery: Delivery): Promise<string> {
  const { gid, op } = delivery.branch;
  const result = await guard.run(delivery, async (tx) => {
    await tx.execute("insert into dtm_barrier.effects (gid, op, who) values (?, ?, 'ours')", [gid, op]);
  });
  return result.kind;
}

const pairs = [
  ["saga", "action", "compensate"],
  ["tcc", "try", "cancel"],
] as const;

describe.each(foreigners)("our barrier beside $name", (foreign) => {
  describe.runIf(here.includes(foreign))("on one table", () => {
    const { who } = foreign;
    const theirs = (type: string, gid: string, op: string) => built.get(who)!.deliver(type, gid, "01", op);
    const our = (type: string, gid: string, op: string) =>
      ours(barrierFrom({ gid, trans_type: type, branch_id: "01", op }));

    it.each(pairs)("%s: we undo what it did, once, and it does not do it again", async (type, origin, undo) => {
      const gid = `${who}-first-${type}`;
      await theirs(type, gid, origin);
      expect(await our(type, gid, origin)).toBe("duplicate");
      expect(await our(type, gid, undo)).toBe("executed");
      await theirs(type, gid, undo);
      await theirs(type, gid, origin);
      expect(await effects(gid)).toEqual([`${who} ${origin}`, `ours ${undo}`]);
    });

    it.each(pairs)("%s: it undoes what we did, once, and we do not do it again", async (type, origin, undo) => {
      const gid = `${who}-second-${type}`;
      expect(await our(type, gid, origin)).toBe("executed");
      await theirs(type, gid, origin);
      await theirs(type, gid, undo);
      expect(await our(type, gid, undo)).toBe("duplicate");
      expect(await our(type, gid, origin)).toBe("duplicate");
      expect(await effects(gid)).toEqual([`ours ${origin}`, `${who} ${undo}`]);
    });

    it.each(pairs)("%s: what either undid before it was done stays undone for both", async (type, origin, undo) => {
      const [byThem, byUs] = [`${who}-null-${type}`, `${who}-null-by-us-${type}`];
      await theirs(type, byThem, undo);
      expect(await our(type, byThem, origin)).toBe("suspended");
      expect(await our(type, byUs, undo)).toBe("null-compensation");
      await theirs(type, byUs, origin);
      expect([await effects(byThem), await effects(byUs)]).toEqual([[], []]);
    });
  });
});

/** Each handles what the one before it did, so that every client meets every other's rows. */
const circle: Readonly<Record<Who, Who>> = { go: "ours", ours: "python", python: "go" };

describe.runIf(here.length === foreigners.length)(
  "one transaction with participants in Go, Python and TypeScript",
  () => {
    const handle = (who: Who) => (delivery: Delivery) => {
      const { transType, gid, branchId, op } = delivery.branch;
      return who === "ours" ? ours(delivery).then(() => {}) : built.get(who)!.deliver(transType, gid, branchId, op);
    };
    /** Every delivery comes twice: the second must do nothing, whoever handled the first. */
    const twice = (who: Who) =>
      route(`/${who}`, async (delivery) => {
        await handle(who)(delivery);
        const again = who === "ours" ? barrierFrom({ ...delivery.branch }) : delivery;
        await handle(who)(again);
      });
    const routes: readonly Route[] = [
      ...(["ours", "go", "python"] as const).map(twice),
      route("/refuse", () => {
        throw new Failure("no");
      }),
    ];
    const http = createServer(tandemRoutes(routes));
    let coordinator: Embedded;
    let client: Client;
    let url = "";
    const whos = Object.keys(circle) as Who[];

    beforeAll(async () => {
      coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
      client = createClient({ endpoints: [coordinator.endpoint], callTimeout: "30s" });
      url = await listen(http);
    });
    afterAll(async () => {
      await stop(http);
      await coordinator?.close(100);
    });

    const sagaOf = () => {
      const saga = client.saga({ wait: "60s", requestTimeout: "30s" });
      for (const who of whos) saga.step({ action: `${url}/${who}`, compensate: `${url}/${circle[who]}` });
      return saga;
    };
    const ending = (gid: string, wanted: readonly string[]) =>
      until(
        async () => (await effects(gid)).join() === wanted.join(),
        () => effects(gid),
      );

    it("is done once by each as a saga", async () => {
      const saga = sagaOf();
      expect((await saga.submit()).status).toBe("succeeded");
      expect(await effects(saga.gid)).toEqual(["go action", "ours action", "python action"]);
    });

    it("is undone as a saga, each step by another client than did it", async () => {
      const saga = sagaOf().step({ action: `${url}/refuse`, compensate: "" });
      expect((await saga.submit()).status).toBe("failed");
      const undone = ["go compensate", "python compensate", "ours compensate"];
      expect(await effects(saga.gid)).toEqual(["go action", "ours action", "python action", ...undone]);
    });

    const tccOf = (gid: string, refuses: boolean) =>
      client.tcc({ gid, wait: "60s", requestTimeout: "30s", timeoutToFail: "5m" }, async (tcc) => {
        for (const who of whos) {
          const [one, other] = [`${url}/${who}`, `${url}/${circle[who]}`];
          await tcc.call({ try: one, confirm: other, cancel: other }, undefined);
        }
        if (refuses) throw new Failure("changed my mind");
      });

    it("is confirmed as a tcc, each branch by another client than tried it", async () => {
      const gid = client.newGid();
      await tccOf(gid, false);
      await ending(gid, ["go try", "ours try", "python try", "go confirm", "python confirm", "ours confirm"]);
    });

    it("is cancelled as a tcc, each branch by another client than tried it", async () => {
      const gid = client.newGid();
      await expect(tccOf(gid, true)).rejects.toThrow("changed my mind");
      await ending(gid, ["go try", "ours try", "python try", "go cancel", "python cancel", "ours cancel"]);
    });
  },
);
