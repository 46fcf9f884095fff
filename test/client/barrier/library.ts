// What the barrier in transactions of any query builder or ORM must do: the truth table, and understanding what the
// library makes of its driver's errors. The table `barrier` has one row of stock, sku "a", beside it.

import { expect, it } from "vitest";
import type { SqlBarrierOptions, SqlGuard } from "../../../src/client/barrier/sql.js";
import { Failure, isOngoing } from "../../../src/client/index.js";

/** A library with business code of its own. */
export interface Library<Tx> {
  guard(options: SqlBarrierOptions): SqlGuard<Tx>;
  /** Takes `n` of the stock. */
  take(tx: Tx, n: number): Promise<unknown>;
}

/** How many are left, asked outside of the library. */
export type Left = () => Promise<number>;

let count = 0;
const gid = () => `orm-${process.pid}-${count++}`;
/** A request, not a `Delivery`: the examples use the built package, whose classes are not those of here. */
const delivery = (gid: string, op: string) => ({
  url: `/?${new URLSearchParams({ gid, trans_type: "saga", branch_id: "01", op })}`,
});

/** A promise with its resolver. */
function gate(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve: () => resolve() };
}

/** What is at stake with any library: the truth table, and that its errors are still understood. */
export function libraryConformance<Tx>(open: () => Library<Tx>, left: Left): void {
  const table = "barrier";

  it("runs an action once, its repeat never, its compensation once", async () => {
    const { guard, take } = open();
    const [id, before] = [gid(), await left()];
    const act = (op: string, n: number) => guard({ table }).run(delivery(id, op), (tx) => take(tx, n));
    expect((await act("action", 2)).kind).toBe("executed");
    expect((await act("action", 2)).kind).toBe("duplicate");
    expect(await left()).toBe(before - 2);
    expect((await act("compensate", -2)).kind).toBe("executed");
    expect((await act("compensate", -2)).kind).toBe("duplicate");
    expect(await left()).toBe(before);
  });

  it("suspends an action whose compensation came first", async () => {
    const { guard, take } = open();
    const [id, before] = [gid(), await left()];
    const act = (op: string, n: number) => guard({ table }).run(delivery(id, op), (tx) => take(tx, n));
    expect((await act("compensate", -2)).kind).toBe("null-compensation");
    expect((await act("action", 2)).kind).toBe("suspended");
    expect(await left()).toBe(before);
  });

  it("undoes the barrier's row with the business that failed, and so runs the next delivery", async () => {
    const { guard, take } = open();
    const [id, before] = [gid(), await left()];
    const refused = guard({ table }).run(delivery(id, "action"), async (tx) => {
      await take(tx, 1);
      throw new Failure("sold out");
    });
    await expect(refused).rejects.toThrow("sold out");
    expect(await left()).toBe(before);
    expect((await guard({ table }).run(delivery(id, "action"), (tx) => take(tx, 1))).kind).toBe("executed");
    expect(await left()).toBe(before - 1);
  });

  it("works in a transaction that its user opened, and leaves its end to the user", async () => {
    const { guard, take } = open();
    const own = guard({ table });
    const [id, before] = [gid(), await left()];
    const act = (tx: Tx) => own.within(tx, delivery(id, "action"), (inner) => take(inner, 2));
    const undone = own.transaction(async (tx) => {
      expect((await act(tx)).kind).toBe("executed");
      throw new Error("changed my mind");
    });
    await expect(undone).rejects.toThrow("changed my mind");
    expect(await left()).toBe(before);
    expect((await own.transaction(act)).kind).toBe("executed");
    expect((await own.transaction(act)).kind).toBe("duplicate");
    expect(await left()).toBe(before - 2);
  });

  it("remembers what the first delivery gave", async () => {
    const guard = open().guard({ table, remember: true });
    const id = gid();
    await guard.run(delivery(id, "action"), async () => ({ receipt: 5 }));
    const again = await guard.run(delivery(id, "action"), async () => ({ receipt: 6 }));
    expect(again).toEqual({ kind: "duplicate", value: { receipt: 5 } });
  });

  it("understands through the library's errors that another delivery is still at work", async () => {
    const guard = open().guard({ table, lockTimeout: "1s" });
    const [id, started, held] = [gid(), gate(), gate()];
    const slow = guard.run(delivery(id, "action"), async () => {
      started.resolve();
      await held.promise;
    });
    await started.promise;
    const impatient = guard.run(delivery(id, "compensate"), async () => {});
    await expect(impatient.catch((error: unknown) => isOngoing(error))).resolves.toBe(true);
    held.resolve();
    expect((await slow).kind).toBe("executed");
  });

  it("names a missing table and the way out through the library's errors", async () => {
    const lost = open().guard({ table: "nowhere" });
    await expect(lost.run(delivery(gid(), "action"), async () => {})).rejects.toMatchObject({
      ...{ code: "DTX_BARRIER", message: expect.stringContaining("nowhere"), hint: expect.stringContaining("migrate") },
    });
  });

  it("checks its table through the library: a right one passes, a missing one is told with the command", async () => {
    await open().guard({ table, remember: true }).selfCheck();
    const lost = open().guard({ table: "nowhere" }).selfCheck();
    await expect(lost).rejects.toMatchObject({
      ...{ code: "DTX_BARRIER", message: expect.stringContaining("nowhere") },
      hint: expect.stringContaining("tandem barrier migrate"),
    });
  });
}
