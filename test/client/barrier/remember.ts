// What every barrier that remembers must do alike: repeated deliveries are answered with the value of the first.

import { expect, it } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import type { Guard } from "../../../src/client/barrier/guard.js";
import { Failure } from "../../../src/client/errors.js";
import { route } from "../../../src/client/participant/route.js";

let count = 0;
const freshGid = (): string => `remember-${process.pid}-${Date.now().toString(36)}-${count++}`;
const delivery = (gid: string, op: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op });

/** Registers the tests of a guard that was made with `remember`; it is asked for inside the tests only. */
export function rememberConformance<Tx>(guard: () => Guard<Tx>): void {
  it("answers a repeat with the value of the first delivery, call by call, and runs nothing again", async () => {
    const gid = freshGid();
    let runs = 0;
    const serve = async () => {
      const one = delivery(gid, "action");
      return [
        await guard().run(one, async () => ({ run: ++runs, text: "ä \\u0046 'q'" })),
        await guard().run(one, async () => ["second", ++runs]),
      ];
    };
    const values = [{ run: 1, text: "ä \\u0046 'q'" }, ["second", 2]];
    expect(await serve()).toEqual(values.map((value) => ({ kind: "executed", value })));
    expect(await serve()).toEqual(values.map((value) => ({ kind: "duplicate", value })));
    expect(runs).toBe(2);
  });

  it("gives the value to whoever calls the route again", async () => {
    const gid = freshGid();
    const one = route("/pay", (of) => guard().run(of, async () => ({ receipt: 17 })));
    const ask = () => one.handle({ url: `/pay?gid=${gid}&trans_type=saga&branch_id=01&op=action`, body: "" });
    const answers = [await ask(), await ask()];
    expect(answers).toEqual([
      { status: 200, body: '{"receipt":17}' },
      { status: 200, body: '{"receipt":17}' },
    ]);
  });

  it("has nothing to say of an undo that came first, of what it suspended, and of work without a value", async () => {
    const [undone, silent] = [freshGid(), freshGid()];
    const give = (gid: string, op: string, value?: unknown) => guard().run(delivery(gid, op), async () => value);
    expect(await give(undone, "compensate", 1)).toEqual({ kind: "null-compensation" });
    expect(await give(undone, "action", 1)).toEqual({ kind: "suspended" });
    expect((await give(silent, "action")).kind).toBe("executed");
    expect(await give(silent, "action")).toEqual({ kind: "duplicate" });
  });

  it("forgets the value with the work that was rolled back", async () => {
    const gid = freshGid();
    const refused = guard().transaction(async (tx) => {
      await guard().within(tx, delivery(gid, "action"), async () => "first");
      throw new Failure("no");
    });
    await expect(refused).rejects.toThrow("no");
    expect(await guard().run(delivery(gid, "action"), async () => "second")).toMatchObject({ value: "second" });
    expect(await guard().run(delivery(gid, "action"), async () => "third")).toEqual({
      kind: "duplicate",
      value: "second",
    });
  });

  it("undoes work whose value cannot be kept, and says what to return", async () => {
    const gid = freshGid();
    const odd = guard().run(delivery(gid, "action"), async () => 1n);
    await expect(odd).rejects.toMatchObject({ code: "DTX_INVALID_INPUT", hint: expect.stringContaining("BigInt") });
    expect((await guard().run(delivery(gid, "action"), async () => 1)).kind).toBe("executed");
  });
}
