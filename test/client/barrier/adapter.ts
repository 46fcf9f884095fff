// What every adapter of a database must do beside the algorithm: leave a transaction to its owner, give up waiting in
// time, name what is missing, clean. One table of rules for all databases.

import { expect, it } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import type { Guard } from "../../../src/client/barrier/guard.js";
import type { SqlGuard } from "../../../src/client/barrier/sql.js";
import { BarrierError, Ongoing } from "../../../src/client/errors.js";
import type { Row } from "./world.js";

/** An adapter on a real database, as far as the rules need it. */
export interface Adapter<Tx> {
  readonly guard: Guard<Tx> & { clean(options?: { readonly older?: "1h" }): Promise<number> };
  /** The same with a patience of a second at most. */
  readonly impatient: Guard<Tx>;
  /** On a table that nobody made. */
  readonly lost: Guard<Tx>;
  /** A transaction in the test's hands. */
  begin(): Promise<{ readonly tx: Tx; commit(): Promise<unknown>; rollback(): Promise<unknown> }>;
  rows(gid: string): Promise<readonly Row[]>;
  /** Makes the rows of a gid eight days old. */
  age(gid: string): Promise<unknown>;
}

const action = (gid: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op: "action" });
const compensation = (gid: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op: "compensate" });

/** A promise with its resolver. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

/** Registers the rules; `adapter` is asked inside the tests only. */
export function adapterConformance<Tx>(adapter: () => Adapter<Tx>): void {
  it("answers ongoing when another delivery of the branch takes too long, and goes on once that one has ended", async () => {
    const { impatient } = adapter();
    const [inside, end] = [gate(), gate()];
    const slow = impatient.run(action("slow"), async () => {
      inside.open();
      await end.opened;
    });
    await inside.opened;
    const began = performance.now();
    await expect(impatient.run(compensation("slow"), async () => {})).rejects.toThrow(Ongoing);
    expect(performance.now() - began).toBeLessThan(3_000);
    end.open();
    expect((await slow).kind).toBe("executed");
    expect((await impatient.run(compensation("slow"), async () => {})).kind).toBe("executed");
  });

  it("answers ongoing, with its defaults, before a coordinator hangs up after three seconds", async () => {
    const { guard } = adapter();
    const [inside, end] = [gate(), gate()];
    const slow = guard.run(action("patient"), async () => {
      inside.open();
      await end.opened;
    });
    await inside.opened;
    const began = performance.now();
    await expect(guard.run(action("patient"), async () => {})).rejects.toThrow(Ongoing);
    expect(performance.now() - began).toBeLessThan(2_900);
    end.open();
    await slow;
  });

  it("leaves commit and rollback to the owner of the transaction", async () => {
    const { guard, begin, rows } = adapter();
    const first = await begin();
    expect((await guard.within(first.tx, action("within"), async () => 6)).kind).toBe("executed");
    await first.rollback();
    expect(await rows("within")).toEqual([]);
    const second = await begin();
    expect(await guard.within(second.tx, action("within"), async () => 7)).toEqual({ kind: "executed", value: 7 });
    await second.commit();
    expect((await guard.run(action("within"), async () => 8)).kind).toBe("duplicate");
  });

  it("refuses a connection without an open transaction, before it leaves a row there", async () => {
    const { guard, begin, rows } = adapter();
    const { tx, commit } = await begin();
    await commit();
    const outside = guard.within(tx, action("outside"), () => expect.fail("business runs unguarded"));
    await expect(outside).rejects.toMatchObject({
      ...{ code: "DTX_BARRIER", message: expect.stringContaining("no transaction is open") },
      hint: expect.stringContaining("run()"),
    });
    expect(await rows("outside")).toEqual([]);
  });

  it("names what is missing and the way out", async () => {
    const error = await adapter()
      .lost.run(action("lost"), async () => {})
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BarrierError);
    expect(error).toMatchObject({
      message: expect.stringContaining("nowhere"),
      hint: expect.stringContaining("migrate()"),
    });
  });

  it("cleans only rows that are old enough, and refuses to delete young ones", async () => {
    const { guard, rows, age } = adapter();
    await guard.run(action("old"), async () => {});
    await guard.run(action("young"), async () => {});
    await age("old");
    expect(await guard.clean()).toBe(1);
    expect([await rows("old"), (await rows("young")).length]).toEqual([[], 1]);
    await expect(guard.clean({ older: "1h" })).rejects.toThrow(/younger than a day/);
  });
}

/** A SQL barrier whose table is as it must be, the same on a table that nobody made, and the number of all rows. */
export interface Started<Tx> {
  readonly guard: SqlGuard<Tx>;
  readonly lost: SqlGuard<Tx>;
  count(): Promise<number>;
}

/** Registers what `selfCheck` says of a right table and of none. */
export function startConformance<Tx>(open: () => Started<Tx>): void {
  it("checks its table at a service's start: is content with a right one, which it leaves as it is", async () => {
    const { guard, count } = open();
    const before = await count();
    await guard.selfCheck();
    expect(await count()).toBe(before);
  });

  it("says at a service's start how a missing table is made", async () => {
    await expect(open().lost.selfCheck()).rejects.toMatchObject({
      ...{ code: "DTX_BARRIER", message: expect.stringContaining("is missing") },
      hint: expect.stringMatching(
        /tandem barrier migrate --database (\w+:\/\/USER@HOST\/DB|sqlite:FILE) --table nowhere/,
      ),
    });
  });
}
