// The barrier on a stand-in for SQL Server: no server could be had where the tests run. What is proven is the use of
// its statements, and that a server which does not keep the rules is noticed before any delivery is handled.
import { beforeAll, describe, expect, it } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import {
  type SqlServerBarrier,
  type SqlServerTransaction,
  sqlServerBarrier,
} from "../../../src/client/barrier/sqlserver.js";
import { adapterConformance } from "../barrier/adapter.js";
import { barrierConformance } from "../barrier/conformance.js";
import { rememberConformance } from "../barrier/remember.js";
import type { World } from "../barrier/world.js";
import { type StandIn, standIn } from "./standin.js";

process.stderr.write("SKIPPED: barrier on a real SQL Server, none can be had here\n");

const action = (gid: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op: "action" });

function worldOf(server: StandIn, guard: SqlServerBarrier<SqlServerTransaction>): World<SqlServerTransaction> {
  return {
    guard,
    async apply(tx, gid, { branchId, op, call }) {
      const request = tx.request();
      for (const [index, value] of [gid, branchId, op, call].entries()) request.input(`p${index}`, value);
      await request.query("insert into effects (gid, branch_id, op, call_number) values (@p0, @p1, @p2, @p3)");
    },
    effects: async (gid) =>
      server
        .committed("effects")
        .filter((row) => row.gid === gid)
        .map((row) => ({ branchId: row.branch_id!, op: row.op!, call: Number(row.call_number) })),
    rows: async (gid) =>
      server
        .committed("dbo.barrier")
        .filter((row) => row.gid === gid)
        .map((row) => ({ branchId: row.branch_id!, op: row.op!, barrierId: row.barrier_id!, reason: row.reason! })),
  };
}

describe("barrier on the stand-in for SQL Server", () => {
  const server = standIn();
  const guard = sqlServerBarrier(server.pool);
  const world = worldOf(server, guard);
  beforeAll(async () => {
    await guard.migrate();
    await guard.migrate();
    await guard.selfCheck();
  });

  barrierConformance(() => world, { traces: 100, pauseMsMax: 4 });
  adapterConformance(() => ({
    guard,
    impatient: sqlServerBarrier(server.pool, { lockTimeout: "1s" }),
    lost: sqlServerBarrier(server.pool, { table: "nowhere" }),
    async begin() {
      const tx = server.pool.transaction();
      await tx.begin();
      return { tx, commit: () => tx.commit(), rollback: () => tx.rollback() };
    },
    rows: (gid) => world.rows(gid),
    async age(gid) {
      for (const entry of server.tables.get("dbo.barrier")!.entries)
        if (entry.fields.gid === gid) entry.createdAtMs -= 8 * 86_400_000;
    },
  }));
  describe("that remembers", () => {
    const remembering = sqlServerBarrier(server.pool, { table: "other.barrier", remember: true });
    beforeAll(() => remembering.migrate());
    rememberConformance(() => remembering);
  });

  it("leaves no row of its trial", () => {
    expect(server.committed("dbo.barrier").filter(({ gid }) => gid?.startsWith("selfcheck"))).toEqual([]);
  });

  it("puts the lock's timeout into the batch that waits, for its setting ends with the batch", () => {
    const waiting = server.texts.filter((text) => /into "dbo"."barrier"|readcommittedlock/.test(text));
    expect(waiting.length).toBeGreaterThan(100);
    expect(waiting.filter((text) => !/^set lock_timeout [12]000;\n/.test(text))).toEqual([]);
  });

  it("refuses an id that ends in a space, which the server would not tell from another", async () => {
    await expect(guard.run(action("space "), async () => {})).rejects.toMatchObject({ code: "DTX_INVALID_BRANCH" });
  });
});

describe("a server that does otherwise is noticed before any delivery is handled:", () => {
  const refused = async (server: StandIn) => {
    const guard = sqlServerBarrier(server.pool);
    await guard.migrate();
    const run = guard.run(action("never"), () => expect.fail("business ran"));
    const error = await run.then(
      () => expect.fail("the delivery was handled"),
      (thrown: unknown) => thrown,
    );
    expect(server.committed("dbo.barrier")).toEqual([]);
    return error;
  };

  it("its key refuses duplicates", async () => {
    expect(await refused(standIn("refused"))).toMatchObject({
      ...{ code: "DTX_BARRIER", message: expect.stringContaining("no unique key") },
      hint: expect.stringContaining("with (ignore_dup_key = on)"),
    });
  });

  it("an insert does not wait for an open transaction", async () => {
    expect(await refused(standIn("ignored at once"))).toMatchObject({
      ...{ code: "DTX_BARRIER", message: expect.stringContaining("did not wait") },
      hint: expect.stringContaining("two connections"),
    });
  });

  it("a rollback undoes nothing", async () => {
    const server = standIn();
    const { transaction } = server.pool;
    const keeping = () => {
      const tx = transaction();
      return { ...tx, rollback: () => tx.commit() };
    };
    const guard = sqlServerBarrier({ transaction: keeping });
    await guard.migrate();
    await expect(guard.run(action("never"), () => expect.fail("business ran"))).rejects.toMatchObject({
      ...{ code: "DTX_BARRIER", message: expect.stringContaining("rolled back is still in") },
    });
  });
});
