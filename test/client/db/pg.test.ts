// The barrier on a real Postgres: the conformance every store passes, and what only this database can get wrong.
import { Client, type ClientBase, Pool } from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import { type PostgresBarrier, postgresBarrier, postgresLibrary } from "../../../src/client/barrier/pg.js";
import { sqlBarrier } from "../../../src/client/barrier/sql.js";
import { isOngoing, Ongoing } from "../../../src/client/errors.js";
import { available, type Server, startPostgres } from "../../servers.js";
import { adapterConformance, gate, startConformance } from "../barrier/adapter.js";
import { barrierConformance } from "../barrier/conformance.js";
import { rememberConformance } from "../barrier/remember.js";
import type { Effect, Row, World } from "../barrier/world.js";

let server: Server;
let pool: Pool;
let guard: PostgresBarrier;
let world: World<ClientBase>;
const here = await available("postgres");

beforeAll(async () => {
  if (!here) return;
  server = await startPostgres();
  pool = new Pool({ connectionString: server.url, max: 12 });
  pool.on("error", () => {});
  guard = postgresBarrier(pool);
  await guard.migrate();
  await guard.migrate();
  world = await postgresWorld(pool, guard);
});

afterAll(async () => {
  await pool?.end();
  await server?.stop();
});

/** A Postgres database as the conformance tests see it. */
async function postgresWorld(of: Pool, over: PostgresBarrier): Promise<World<ClientBase>> {
  await of.query("create table effects (id bigserial primary key, gid text, branch_id text, op text, call_number int)");
  return {
    guard: over,
    async apply(tx, gid, { branchId, op, call }) {
      const values = [gid, branchId, op, call];
      await tx.query("insert into effects (gid, branch_id, op, call_number) values ($1, $2, $3, $4)", values);
    },
    async effects(gid) {
      const { rows } = await of.query<Effect>(
        'select branch_id as "branchId", op, call_number as call from effects where gid = $1 order by id',
        [gid],
      );
      return rows;
    },
    async rows(gid) {
      const { rows } = await of.query<Row>(
        'select branch_id as "branchId", op, barrier_id as "barrierId", reason from dtm_barrier.barrier where gid = $1',
        [gid],
      );
      return rows;
    },
  };
}

const action = (gid: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op: "action" });
const lockWait = async (client: ClientBase) =>
  (await client.query<{ own: string }>("select current_setting('lock_timeout') as own")).rows[0]?.own;

describe.runIf(here)("barrier on Postgres", () => {
  barrierConformance(() => world, { traces: 150, pauseMsMax: 8 });

  describe("that remembers", () => {
    const open = () => postgresBarrier(pool, { table: "recalled.barrier", remember: true });
    beforeAll(() => open().migrate());
    rememberConformance(open);

    it("cleans what it remembered with the rows", async () => {
      await open().run(action("old value"), async () => 5);
      for (const table of ["barrier", "barrier_result"]) {
        await pool.query(
          `update recalled.${table} set create_time = now() - interval '8 days' where gid = 'old value'`,
        );
      }
      expect(await open().clean()).toBe(1);
      expect((await pool.query("select * from recalled.barrier_result where gid = 'old value'")).rows).toEqual([]);
    });
  });

  adapterConformance(() => ({
    guard,
    impatient: postgresBarrier(pool, { lockTimeout: "1s" }),
    lost: postgresBarrier(pool, { table: "nowhere" }),
    async begin() {
      const tx = await pool.connect();
      await tx.query("begin");
      const end = (command: string) => tx.query(command).then(() => tx.release());
      return { tx: tx as ClientBase, commit: () => end("commit"), rollback: () => end("rollback") };
    },
    rows: (gid) => world.rows(gid),
    age: (gid) =>
      pool.query("update dtm_barrier.barrier set create_time = now() - interval '8 days' where gid = $1", [gid]),
  }));

  it("puts the transaction's own lock timeout back before business code runs", async () => {
    expect(await guard.run(action("setting"), lockWait)).toEqual({ kind: "executed", value: "0" });
    const client = await pool.connect();
    await client.query("begin");
    await client.query("set local lock_timeout = '77s'");
    expect(await guard.within(client, action("own setting"), lockWait)).toMatchObject({ value: "77s" });
    await client.query("rollback");
    client.release();
  });

  it("does not answer success when business code swallowed a failed statement and nothing was committed", async () => {
    const careless = guard.run(action("careless"), async (tx) => {
      await world.apply(tx, "careless", { branchId: "01", op: "action", call: 1 });
      await tx.query("select * from nowhere").catch(() => {});
    });
    await expect(careless).rejects.toThrow(/nothing was committed/);
    expect([await world.rows("careless"), await world.effects("careless")]).toEqual([[], []]);
  });

  it("asks again under repeatable read, where a row of the meantime cannot be seen", async () => {
    const client = await pool.connect();
    await client.query("begin isolation level repeatable read");
    await client.query("select count(*) from dtm_barrier.barrier");
    await guard.run(action("snapshot"), async () => {});
    const error = await guard.within(client, action("snapshot"), async () => {}).catch((thrown: unknown) => thrown);
    expect(isOngoing(error)).toBe(true);
    await client.query("rollback");
    client.release();
  });

  describe("a check-back", () => {
    const message = (gid: string) => ({ gid, trans_type: "msg", branch_id: "00", op: "msg" });
    /** Runs the local transaction of a message, and lets it end when it is told. */
    async function atWork(gid: string) {
      const [inside, end] = [gate(), gate()];
      const local = guard.run(barrierFrom(message(gid)), async () => {
        inside.open();
        await end.opened;
      });
      await inside.opened;
      return { local, end };
    }

    it("is one statement, which leaves no setting behind", async () => {
      const statements = vi.spyOn(Client.prototype, "query");
      try {
        expect(await guard.queryPrepared(message("at once"))).toBe("rolled-back");
        expect(statements).toHaveBeenCalledTimes(1);
        expect(await guard.queryPrepared(message("at once"))).toBe("rolled-back");
        expect(statements).toHaveBeenCalledTimes(2);
      } finally {
        statements.mockRestore();
      }
      const clients = await Promise.all(Array.from({ length: 12 }, () => pool.connect()));
      const settings = await Promise.all(clients.map(lockWait));
      for (const client of clients) client.release();
      expect(new Set(settings)).toEqual(new Set(["0"]));
    });

    it("that waits for the local transaction says committed when that commits", async () => {
      const { local, end } = await atWork("commits meanwhile");
      const asked = guard.queryPrepared(message("commits meanwhile"));
      const waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like 'with patience%'";
      const deadline = Date.now() + 1_900;
      while ((await pool.query(waiting)).rows.length === 0 && Date.now() < deadline);
      end.open();
      await local;
      expect(await asked).toBe("committed");
    });

    it("answers ongoing in time while the local transaction is open", async () => {
      const { local, end } = await atWork("stays open");
      const began = performance.now();
      await expect(guard.queryPrepared(message("stays open"))).rejects.toThrow(Ongoing);
      expect(performance.now() - began).toBeLessThan(2_900);
      end.open();
      await local;
      expect(await guard.queryPrepared(message("stays open"))).toBe("committed");
    });
  });

  it("works on a table that DTM's own script made", async () => {
    await pool.query(`create schema other; create sequence other.barrier_seq;
      create table other.barrier (id bigint not null default nextval('other.barrier_seq'),
        trans_type varchar(45) default '', gid varchar(128) default '', branch_id varchar(128) default '',
        op varchar(45) default '', barrier_id varchar(45) default '', reason varchar(45) default '',
        create_time timestamp(0) with time zone default null, update_time timestamp(0) with time zone default null,
        primary key (id), constraint uniq_barrier unique (gid, branch_id, op, barrier_id))`);
    const theirs = postgresBarrier(pool, { table: "other.barrier" });
    await theirs.selfCheck();
    expect((await theirs.run(action("theirs"), async () => {})).kind).toBe("executed");
    expect((await theirs.run(action("theirs"), async () => {})).kind).toBe("duplicate");
  });

  it("has several tables in one schema, the first of them as DTM's clients expect it", async () => {
    const names = ["shared.first", "shared.second", "shared.with$$dollars"];
    for (const table of names) {
      const one = postgresBarrier(pool, { table });
      await one.migrate();
      await one.migrate();
      await one.selfCheck();
      expect((await one.run(action("in each"), async () => {})).kind).toBe("executed");
      expect((await one.run(action("in each"), async () => {})).kind).toBe("duplicate");
    }
    const asDtm = (table: string) =>
      pool.query(`insert into ${table} (trans_type, gid, branch_id, op, barrier_id, reason)
        values ('saga', 'in each', '01', 'action', '01', 'action') on conflict on constraint uniq_barrier do nothing`);
    expect((await asDtm("shared.first")).rowCount).toBe(0);
    await expect(asDtm("shared.second"), "its name is taken").rejects.toThrow(/uniq_barrier/);
  });

  it("can be migrated by services that start at the same moment", async () => {
    const open = () => postgresBarrier(pool, { table: "rushed.barrier", remember: true }).migrate();
    await Promise.all(Array.from({ length: 10 }, open));
    await postgresBarrier(pool, { table: "rushed.barrier", remember: true }).selfCheck();
  });

  it("answers an error when the connection dies before the commit, and runs the next delivery", async () => {
    const killed = guard.run(action("killed"), async (client) => {
      const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
      await pool.query("select pg_terminate_backend($1)", [rows[0]?.pid]);
      await client.query("select 1");
    });
    await expect(killed).rejects.toThrow();
    expect((await guard.run(action("killed"), async () => {})).kind).toBe("executed");
  });

  describe("checked at a service's start", () => {
    startConformance(() => ({
      guard,
      lost: postgresBarrier(pool, { table: "nowhere" }),
      count: async () => Number((await pool.query("select count(*) as n from dtm_barrier.barrier")).rows[0].n),
    }));

    it.each([
      [
        "keyless",
        "drop constraint uniq_barrier",
        /no unique key/,
        /alter table keyless.barrier add constraint uniq_barrier/,
      ],
      ["short", "alter gid type varchar(64)", /cannot be used: value too long/, /columns that migrate\(\) makes/],
      ["caseless", "alter gid type text collate caseless", /two ids for one/, /deterministic collation/],
      ["ageless", "drop column create_time", /has other columns/, /migrate\(\)/],
    ])("finds a table that is %s", async (table, alter, message, hint) => {
      await pool.query(
        "create collation if not exists caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
      );
      const bad = postgresBarrier(pool, { table: `${table}.barrier` });
      await bad.migrate();
      await pool.query(`alter table ${table}.barrier ${alter}`);
      await expect(bad.selfCheck()).rejects.toMatchObject({
        ...{ code: "DTX_BARRIER", message: expect.stringMatching(message), hint: expect.stringMatching(hint) },
      });
    });

    it("finds that its user may not insert", async () => {
      await pool.query("create role looker login; grant select on all tables in schema dtm_barrier to looker");
      await pool.query("grant usage on schema dtm_barrier to looker");
      const looking = postgresLibrary(pool);
      const transaction: typeof looking.transaction = (work) =>
        looking.transaction(async (client) => {
          await client.query("set local role looker");
          return work(client);
        });
      await expect(sqlBarrier({ ...looking, transaction }).selfCheck()).rejects.toMatchObject({
        message: expect.stringMatching(/cannot be used: permission denied/),
        hint: expect.stringContaining("the rights insert and select on dtm_barrier.barrier"),
      });
    });

    it("finds that the library's transactions are none", async () => {
      const loose = postgresLibrary(pool);
      const committing = sqlBarrier<ClientBase>({
        ...loose,
        async transaction(work) {
          let thrown: unknown;
          const value = await loose.transaction((tx) => work(tx).catch((error: unknown) => (thrown = error)));
          if (thrown !== undefined) throw thrown;
          return value as never;
        },
      });
      await expect(committing.selfCheck()).rejects.toMatchObject({
        message: expect.stringContaining("rolled back is still in dtm_barrier.barrier"),
        hint: expect.stringContaining("does not roll back"),
      });
    });
  });
});
