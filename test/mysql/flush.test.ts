// The flush of the shared store on a real database: the fence holds, nothing stays locked, doubts are decided.
import { setTimeout as delay } from "node:timers/promises";
import { type Connection, createConnection } from "mysql2/promise";
import { afterEach, describe, expect, it } from "vitest";
import { type Commit, StoreInDoubt, StoreRefused, StoreUnavailable } from "../../src/ports/store.js";
import { rowCodec } from "../../src/store/codec.js";
import { brackets, flushOf } from "../../src/store/mysql/packet.js";
import { privileges } from "../../src/store/mysql/schema.js";
import { greet } from "../../src/store/mysql/session.js";
import { someOp, someTimeMs } from "../conformance/story.js";
import { available, startMariadb } from "../servers.js";
import { openPlace } from "./database.js";
import { gatedStore } from "./gated.js";
import type { ProxyMode } from "./proxy.js";

describe.runIf(await available("mysql"))("the flush", () => {
  const at = gatedStore(() => startMariadb({ own: true, args: ["--max-allowed-packet=1M"] }));
  const aside: Connection[] = [];
  afterEach(() => {
    for (const connection of aside.splice(0)) connection.destroy();
  });

  /** The server's view of its transactions is renewed only when nobody has asked for 100 ms. */
  const openTransactions = async () => {
    await delay(150);
    return (await at.ground.ask("SELECT trx_id FROM information_schema.innodb_trx")).length;
  };
  /** A connection past the store, ended with the test whatever becomes of it. */
  const connectAside = async () => {
    const connection = await createConnection({ uri: at.ground.url, multipleStatements: true });
    connection.on("error", () => {});
    aside.push(connection);
    return connection;
  };
  const epochInTable = async (shard: number) =>
    Number((await at.ground.ask(`SELECT epoch FROM cl_shard WHERE shard_id=${shard}`))[0]!.epoch);
  const claim = (shard: number) =>
    at.ground.ask(`UPDATE cl_shard SET epoch=epoch+1, owner='other' WHERE shard_id=${shard}`);

  /** Waits until so many statements wait for locks. The server's view of that stays old while it is asked too often. */
  async function untilWaiting(statements: number, orElse: () => boolean = () => false): Promise<void> {
    const deadlineMs = performance.now() + 10_000;
    for (;;) {
      const [row] = await at.ground.ask("SELECT COUNT(*) AS waiting FROM information_schema.innodb_lock_waits");
      if (row!.waiting >= statements || orElse()) return;
      if (performance.now() > deadlineMs) throw new Error(`${row!.waiting} wait for a lock`);
      await delay(150);
    }
  }

  it("9: S2: holds its shards to the commit, so that a claim waits for it", async () => {
    const saga = at.teller.tell("g");
    await at.place.store.commit([saga.created()]);
    const blocker = await connectAside();
    const claimer = await connectAside();
    await blocker.query(`START TRANSACTION; SELECT id FROM head WHERE id=${saga.id} FOR UPDATE`);
    const flush = at.place.store.commit([saga.finished()]);
    await untilWaiting(1);
    let claimed = false;
    const claiming = claimer
      .query(`UPDATE cl_shard SET epoch=epoch+1, owner='other' WHERE shard_id=${saga.shard}`)
      .then(() => {
        claimed = true;
      });
    await untilWaiting(2, () => claimed);
    expect(claimed).toBe(false);
    await blocker.query("COMMIT");
    expect(await flush).toEqual(["ok"]);
    await claiming;
  });

  it("leaves no transaction open when it is fenced, or meets a conflict", async () => {
    const [lost, twice] = [at.teller.tell("lost"), at.teller.tell("twice")];
    await at.place.store.commit([lost.created(), twice.created()]);
    await claim(lost.shard);
    const again = at.teller.tell("twice").created();
    expect(await at.place.store.commit([lost.started(), again, at.teller.tell("new").created()])).toEqual([
      "fenced",
      "conflict",
      "ok",
    ]);
    expect(await openTransactions()).toBe(0);
    expect(await at.place.store.commit([again])).toEqual(["conflict"]);
    expect(await openTransactions()).toBe(0);
  });

  it.each(Object.keys(brackets) as (keyof typeof brackets)[])(
    "10: of a process that stops right after an error holds its locks for little more than a second, in words of %s",
    async (server) => {
      const saga = at.teller.tell("g");
      const created = saga.created();
      await at.place.store.commit([created]);
      const zombie = await connectAside();
      const manners = { ...(await greet(zombie)), brackets: brackets[server] };
      if (server === "mysql") await zombie.query("SET SESSION idle_transaction_timeout=0"); // which MySQL has not
      const [packet] = flushOf([created], rowCodec.encode, manners);
      await expect(zombie.query(packet!)).rejects.toMatchObject({ errno: 1062 });
      expect(await openTransactions()).toBe(1);
      const startedMs = performance.now();
      await claim(saga.shard);
      expect(performance.now() - startedMs).toBeLessThan(2_000);
    },
  );

  it("29: is sent again as a whole when the server has ended it for a deadlock, and written once", async () => {
    const sagas = [at.teller.tell("g"), at.teller.tell("h")].sort((a, b) => a.id - b.id);
    await at.place.store.commit(sagas.map((saga) => saga.created()));
    const deadlocks = async () => Number((await at.ground.ask("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'"))[0]!.Value);
    const before = await deadlocks();
    const rival = await connectAside();
    const many = Array.from({ length: 300 }, (_, n) => `('rival','${n}','',1,0,0)`).join();
    await rival.query(
      `START TRANSACTION; INSERT INTO kv (category, name, value, version, created_at, updated_at) VALUES ${many};
       SELECT id FROM head WHERE id=${sagas[1]!.id} FOR UPDATE`,
    ); // has done more than the flush, so the flush is the one that the server ends
    const flush = at.place.store.commit(sagas.map((saga) => saga.finished()));
    await untilWaiting(1);
    await rival.query(`SELECT id FROM head WHERE id=${sagas[0]!.id} FOR UPDATE`);
    expect(await deadlocks()).toBe(before + 1);
    for (const { gid } of sagas) expect(await at.place.store.history(gid)).toHaveLength(1);
    await rival.query("ROLLBACK");
    expect(await flush).toEqual(["ok", "ok"]);
    for (const { gid } of sagas) expect(await at.place.store.history(gid)).toHaveLength(2);
  });

  it("is sent again when it met a held row, and written once", async () => {
    const saga = at.teller.tell("g");
    await at.place.store.commit([saga.created()]);
    const blocker = await connectAside();
    await blocker.query(`START TRANSACTION; SELECT id FROM head WHERE id=${saga.id} FOR UPDATE`);
    const flush = at.place.store.commit([saga.finished(), at.teller.tell("other").created()]);
    await untilWaiting(1);
    await delay(2_200); // longer than a flush waits for a row
    await blocker.query("COMMIT");
    expect(await flush).toEqual(["ok", "ok"]);
    expect(await at.place.store.history("g")).toHaveLength(2);
  });

  it.each<[ProxyMode, boolean]>([
    ["loseCommit", false],
    ["loseAnswer", true],
  ])(
    "3: whose connection ends with its COMMIT on the way (%s) is in doubt, and settled by a claim",
    async (mode, written) => {
      const [old, fresh] = [at.teller.tell("old"), at.teller.tell("fresh")];
      await at.place.store.commit([old.created()]);
      at.proxy.mode = mode;
      const batch = [old.retried(0, 1), fresh.created()];
      await expect(at.place.store.commit(batch)).rejects.toThrow(StoreInDoubt);
      expect(at.proxy.struck).toBe(1);
      const deadlineMs = performance.now() + 5_000;
      while (written && (await at.ground.ask("SELECT id FROM head")).length < 2) {
        if (performance.now() > deadlineMs) throw new Error("the flush was not written");
      }
      expect(await at.place.store.settle(batch)).toEqual(["ok", "ok"]);
      expect(at.place.shards.bumps.map(({ shard, epoch }) => [shard, epoch]).sort()).toEqual(
        [
          [old.shard, 2],
          [fresh.shard, 2],
        ].sort(),
      );
      expect(await epochInTable(old.shard)).toBe(2);
      const loaded = await at.place.store.load(["old", "fresh"]);
      expect(loaded.map((stored) => stored?.tx)).toEqual([old.tx, fresh.tx]);
      expect(await at.place.store.commit([old.started(), fresh.started()])).toEqual(["ok", "ok"]);
    },
  );

  it("that got no answer in time is in doubt; settling waits for it to be decided", async () => {
    const saga = at.teller.tell("g");
    at.proxy.mode = "silence";
    const created = saga.created();
    await expect(at.place.store.commit([created])).rejects.toThrow(StoreInDoubt);
    expect(await at.place.store.settle([created])).toEqual(["ok"]);
    expect(await at.place.store.history("g")).toHaveLength(1);
  }, 30_000);

  it("in doubt of a shard that was lost meanwhile is fenced where it was not written", async () => {
    const [lost, kept] = [at.teller.tell("lost"), at.teller.tell("kept")];
    expect(lost.shard).not.toBe(kept.shard);
    at.proxy.mode = "loseCommit";
    const batch = [lost.created(), kept.created()];
    await expect(at.place.store.commit(batch)).rejects.toThrow(StoreInDoubt);
    await claim(lost.shard);
    expect(await at.place.store.settle(batch)).toEqual(["fenced", "ok"]);
    expect(at.place.shards.bumps.map(({ shard }) => shard)).toEqual([kept.shard]);
    expect(await epochInTable(lost.shard)).toBe(2);
    expect((await at.place.store.load(["lost", "kept"])).map((stored) => stored?.tx.gid)).toEqual([undefined, "kept"]);
  });

  it("that arrives after it was settled writes nothing", async () => {
    const saga = at.teller.tell("g");
    at.proxy.mode = "loseCommit";
    const created = saga.created();
    await expect(at.place.store.commit([created])).rejects.toThrow(StoreInDoubt);
    await at.place.store.settle([created]);
    const next = saga.started();
    const late = await connectAside();
    const [packet] = flushOf([{ ...next, epoch: 1 }], rowCodec.encode, await greet(late));
    await expect(late.query(packet!)).rejects.toMatchObject({ errno: 1048 });
    expect(await at.place.store.history("g")).toHaveLength(1);
  });

  it("is refused when the server answers it in no known way, and those beside its cause are stored without it", async () => {
    const [good, bad] = [at.teller.tell("good"), at.teller.tell("bad")];
    await at.ground.ask(
      `CREATE TRIGGER strange BEFORE INSERT ON journal FOR EACH ROW
       IF NEW.id=${bad.id} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='not foreseen'; END IF`,
    );
    const [first, second] = [good.created(), bad.created()];
    await expect(at.place.store.commit([first, second])).rejects.toThrow(StoreRefused);
    expect(await openTransactions()).toBe(0);
    expect(await at.place.store.commit([first])).toEqual(["ok"]);
    await expect(at.place.store.commit([second])).rejects.toThrow(StoreRefused);
    await at.ground.ask("DROP TRIGGER strange");
  });

  it("is refused when it cannot be put into words, and unavailable while a table is missing", async () => {
    const saga = at.teller.tell("g");
    const created = saga.created();
    const events = [{ kind: "unheard of", atMs: 1 }] as unknown as Commit["row"]["events"];
    await expect(at.place.store.commit([{ ...created, row: { ...created.row, events } }])).rejects.toThrow(
      StoreRefused,
    );
    await at.ground.ask("RENAME TABLE journal TO elsewhere");
    await expect(at.place.store.commit([created])).rejects.toThrow(StoreUnavailable);
    await at.ground.ask("RENAME TABLE elsewhere TO journal");
    expect(await at.place.store.commit([created])).toEqual(["ok"]);
  });

  it("30: is unavailable on a database that has become read-only, and taken when it no longer is", async () => {
    await at.ground.ask(`CREATE USER IF NOT EXISTS plain@'%' IDENTIFIED BY 'secret'`);
    await at.ground.ask(`GRANT ${privileges.serve.join(",")} ON ${at.ground.name}.* TO plain@'%'`); // root may write always
    const url = Object.assign(new URL(at.ground.url), { username: "plain", password: "secret" }).href;
    const plain = await openPlace(at.ground, { url });
    const [first, second] = [at.teller.tell("g"), at.teller.tell("h")];
    expect(await plain.store.commit([first.created()])).toEqual(["ok"]);
    await at.ground.ask("SET GLOBAL read_only=1");
    const created = second.created();
    await expect(plain.store.commit([created])).rejects.toThrow(StoreUnavailable);
    expect((await plain.store.load(["g", "h"])).map((stored) => stored?.tx.gid)).toEqual(["g", undefined]);
    await at.ground.ask("SET GLOBAL read_only=0");
    expect(await plain.store.commit([created])).toEqual(["ok"]);
    await plain.dispose();
  });

  it("says unavailable while the database is away, and goes on when it is back", async () => {
    const saga = at.teller.tell("g");
    await at.place.store.commit([saga.created()]);
    at.proxy.mode = "refuse";
    const step = saga.started();
    const deadlineMs = performance.now() + 10_000;
    for (;;) {
      const error = await at.place.store.commit([step]).catch((cause: unknown) => cause);
      if (error instanceof StoreInDoubt) await expect(at.place.store.settle([step])).rejects.toThrow(StoreUnavailable);
      else if (error instanceof StoreUnavailable) break;
      expect(performance.now()).toBeLessThan(deadlineMs);
    }
    await expect(at.place.store.load(["g"])).rejects.toThrow(StoreUnavailable);
    await expect(at.place.store.put("topics", "t", "[]", 0, 1)).rejects.toThrow(StoreUnavailable);
    at.proxy.mode = "pass";
    expect(await at.place.store.settle([step])).toEqual(["ok"]);
    expect(await at.place.store.history("g")).toHaveLength(2);
  });

  it("is in no doubt when its connection had ended before it was sent", async () => {
    let ended = 0;
    const other = await openPlace(at.ground, { dismiss: () => void ended++ });
    const saga = at.teller.tell("g");
    await other.store.commit([saga.created()]);
    await at.ground.ask(
      `SELECT GROUP_CONCAT(CONCAT('KILL CONNECTION ', id) SEPARATOR ';') INTO @kill FROM information_schema.processlist
       WHERE db='${at.ground.name}' AND id<>CONNECTION_ID()`,
    );
    const [row] = await at.ground.ask("SELECT @kill AS kills");
    for (const kill of String(row!.kills).split(";")) await at.ground.ask(kill);
    const deadlineMs = performance.now() + 5_000;
    while (ended === 0 && performance.now() < deadlineMs) await delay(10);
    expect(await other.store.commit([saga.started()])).toEqual(["ok"]);
    expect(other.shards.bumps).toEqual([]);
    await other.dispose();
  });

  it("refuses a row that no table takes, and writes nothing of its batch", async () => {
    const [bad, good] = [at.teller.tell("bad"), at.teller.tell("good")];
    const created = bad.created();
    const tooLong: Commit = { ...created, head: { ...created.head!, digest: "x".repeat(256) } };
    await expect(at.place.store.commit([good.created(), tooLong])).rejects.toThrow(StoreRefused);
    expect(await at.place.store.load(["good", "bad"])).toEqual([undefined, undefined]);
    expect(await openTransactions()).toBe(0);
  });

  it("larger than the server takes at once goes in several packets of one transaction", async () => {
    const large = (gid: string) => at.teller.tell(gid, { ops: [someOp(0, new Uint8Array(150_000).fill(7))] });
    const sagas = Array.from({ length: 8 }, (_, n) => large(`large ${n}`));
    expect(await at.place.store.commit(sagas.map((saga) => saga.created()))).toEqual(sagas.map(() => "ok"));
    expect((await at.place.store.load([sagas[5]!.gid]))[0]?.tx).toEqual(sagas[5]!.tx);
    await claim(sagas[3]!.shard);
    const more = [...sagas.slice(3, 4), ...Array.from({ length: 7 }, (_, n) => large(`more ${n}`))];
    const commits = more.map((saga, n) => (n === 0 ? saga.started() : saga.created()));
    expect(await at.place.store.commit(commits)).toEqual(["fenced", ...more.slice(1).map(() => "ok")]);
    at.proxy.mode = "loseCommit";
    const doubtful = Array.from({ length: 8 }, (_, n) => large(`doubtful ${n}`).created());
    await expect(at.place.store.commit(doubtful)).rejects.toThrow(StoreInDoubt);
    expect(await at.place.store.settle(doubtful)).toEqual(doubtful.map(() => "ok"));
  });

  it("31: refuses a single row that the server takes in no packet", async () => {
    const saga = at.teller.tell("g", { ops: [someOp(0, new Uint8Array(300_000))] });
    await expect(at.place.store.commit([saga.created()])).rejects.toThrow(StoreRefused);
  });

  it("18: tells of a database that has lost what it had committed", async () => {
    const [young, old] = [at.teller.tell("young"), at.teller.tell("old")];
    await at.place.store.commit([young.created(), old.created()]);
    await at.place.store.commit([old.started()]);
    await at.ground.ask(`DELETE FROM journal WHERE id=${old.id} AND seq=2`);
    expect(await at.place.store.commit([old.finished()])).toEqual(["conflict"]);
    expect(at.place.shards.regressions).toEqual(["gid old has version 1, it had 2"]);
    await at.ground.ask(`UPDATE cl_shard SET epoch=0 WHERE shard_id=${young.shard}`);
    expect(await at.place.store.commit([young.started()])).toEqual(["fenced"]);
    expect(at.place.shards.regressions).toContain(`shard ${young.shard} has epoch 0, it had 1`);
  });

  it("tells of no loss when the actor is merely mistaken, or retention was there", async () => {
    const [ended, mistaken] = [at.teller.tell("ended"), at.teller.tell("mistaken")];
    await at.place.store.commit([ended.created(), mistaken.created()]);
    await at.place.store.commit([ended.finished(), mistaken.started()]);
    while ((await at.place.store.purge(someTimeMs + 1e6, 0, 10)) > 0);
    const stale = { ...mistaken.finished(), row: { version: 2, retryOf: undefined, events: [] } };
    expect(await at.place.store.commit([ended.started(), stale])).toEqual(["conflict", "conflict"]);
    expect(at.place.shards.regressions).toEqual([]);
  });

  it("notes every connection that writes before it writes", async () => {
    const noted: number[] = [];
    const enlist = async (id: number): Promise<void> => void noted.push(id);
    const other = await openPlace(at.ground, { enlist });
    await other.store.commit([at.teller.tell("g").created()]);
    const [row] = await at.ground.ask(
      `SELECT COUNT(*) AS there FROM information_schema.processlist WHERE id=${noted[0]}`,
    );
    expect(row!.there).toBe(1);
    await at.ground.ask(`KILL CONNECTION ${noted[0]}`);
    const step = at.teller.tell("h").created();
    expect(await other.store.commit([step]).catch(() => other.store.settle([step]))).toEqual(["ok"]);
    expect(noted).toHaveLength(2);
    await other.dispose();
  });
});
