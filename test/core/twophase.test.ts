/**
 * TCC and XA: order of the endings (S-TCC-2, S-XA-2), deadlines, registration (D3, S-HTTP-65, 67) and abort (D22, D27).
 */
import { describe, expect, it } from "vitest";
import { Driver } from "./driver.js";
import { abort, participants, prepare, prepareWorkflow, register, submit } from "./submissions.js";

type Phased = "tcc" | "xa";

function opened(type: Phased, branches: readonly string[], answers: Parameters<typeof participants>[0] = {}): Driver {
  const driver = new Driver({ script: participants(answers) });
  driver.apply(prepare(type, { options: { timeoutToFailS: 4, retryIntervalS: 1 } }));
  for (const branch of branches) expect(driver.apply(register(type, branch))).toEqual({ kind: "accepted" });
  return driver;
}

describe.each([
  ["tcc", "confirm", "cancel", ["0201", "02", "01"]],
  ["xa", "commit", "rollback", ["01", "02", "0201"]],
] as const)("%s", (type, forward, backward, order) => {
  it(`calls ${forward} of every branch after a submit, one at a time`, () => {
    const driver = opened(type, ["01", "02", "0201"]);
    driver.apply(submit(type));
    expect(driver.calls).toHaveLength(1);
    driver.rest();
    expect(driver.calls).toEqual(order.map((branch) => `${forward} ${branch}`));
    expect(driver.tx!.status).toBe("succeed");
    expect(driver.tx!.ops.map(({ status }) => status).join()).toBe(
      "prepared,succeed,prepared,succeed,prepared,succeed",
    );
  });

  it(`calls ${backward} of every branch after an abort or at the timeout`, () => {
    const aborted = opened(type, ["01", "02", "0201"]);
    expect(aborted.apply(abort(type, "no"))).toEqual({ kind: "accepted" });
    const late = opened(type, ["01", "02", "0201"]);
    late.pass(3999);
    expect(late.calls).toEqual([]);
    for (const driver of [aborted, late]) {
      driver.rest();
      expect(driver.calls).toEqual(order.map((branch) => `${backward} ${branch}`));
    }
    expect(aborted.tx).toMatchObject({ status: "failed", rollbackReason: "no", abortedByClient: true });
    expect(late.tx).toMatchObject({ status: "failed", rollbackReason: "Timeout after 4 seconds" });
  });

  it(`never calls ${backward} once ${forward} was decided`, () => {
    const driver = opened(type, ["01"], { [`${forward} 01`]: ["failure", "failure", "unknown", "success"] });
    driver.apply(submit(type));
    expect(driver.apply(abort(type))).toMatchObject({ kind: "refused", code: "REFUSED" });
    driver.pass(60_000);
    expect(new Set(driver.calls)).toEqual(new Set([`${forward} 01`]));
    expect(driver.tx!.status).toBe("succeed");
  });

  it("stops at the first branch that does not succeed, until it does", () => {
    const first = `${forward} ${order[0]}`;
    const driver = opened(type, ["01", "02", "0201"], { [first]: ["unknown", "success"] });
    driver.apply(submit(type));
    driver.rest();
    expect(driver.calls.slice(0, 3)).toEqual([first, first, `${forward} ${order[1]}`]);
  });

  it("ends at once without branches", () => {
    const [done, undone] = [opened(type, []), opened(type, [])];
    done.apply(submit(type));
    undone.apply(abort(type));
    expect([done.tx!.status, undone.tx!.status]).toEqual(["succeed", "failed"]);
  });

  it("takes no branch after the end was decided, in DTM's words (S-HTTP-65, C-TCC-4)", () => {
    for (const end of [submit(type), abort(type)]) {
      const driver = opened(type, ["01"], { [`${forward} 01`]: "ongoing", [`${backward} 01`]: "ongoing" });
      driver.apply(end);
      const reply = driver.apply(register(type, "02"));
      expect(reply).toMatchObject({ kind: "refused", code: "REFUSED" });
      expect(reply).toHaveProperty("message", "no trans with gid: g status: prepared found FAILURE");
      expect(driver.tx!.ops).toHaveLength(2);
    }
  });

  it("answers a repeated abort as the first, and refuses it where something else decided (D27)", () => {
    const aborted = opened(type, ["01"]);
    aborted.apply(abort(type));
    expect(aborted.apply(abort(type))).toEqual({ kind: "accepted" });
    aborted.rest();
    expect(aborted.apply(abort(type))).toEqual({ kind: "accepted" });
    const late = opened(type, ["01"]);
    late.rest();
    expect(late.apply(abort(type))).toMatchObject({ code: "REFUSED" });
    const done = opened(type, ["01"]);
    done.apply(submit(type));
    done.rest();
    expect(done.apply(abort(type))).toMatchObject({ code: "REFUSED" });
  });

  it("goes the way that was committed first when submit and abort race", () => {
    const [won, lost] = [opened(type, ["01"]), opened(type, ["01"])];
    won.apply(submit(type));
    expect(won.apply(abort(type))).toMatchObject({ code: "REFUSED" });
    lost.apply(abort(type));
    expect(lost.apply(submit(type))).toMatchObject({ code: "REFUSED" });
    for (const driver of [won, lost]) driver.rest();
    expect([won.tx!.status, lost.tx!.status]).toEqual(["succeed", "failed"]);
  });
});

describe("a repeated registration (D3)", () => {
  it("with the same content changes nothing, with other content is refused with what is stored", () => {
    const driver = opened("tcc", ["01"]);
    const { rows } = driver;
    expect(driver.apply(register("tcc", "01"))).toEqual({ kind: "accepted" });
    expect(driver.apply(register("tcc", "01", "other"))).toMatchObject({
      code: "REFUSED",
      progress: { branchId: "01", op: "cancel", status: "prepared" },
    });
    expect(driver.rows).toEqual(rows);
  });

  it("of another URL is other content", () => {
    const driver = opened("tcc", ["01"]);
    const again = register("tcc", "01");
    if (again.kind !== "registerBranch") throw new Error("not a registration");
    const [cancel, confirm] = again.registration.ops;
    const moved = { ...again.registration, ops: [cancel!, { ...confirm!, url: "http://elsewhere" }] };
    expect(driver.apply({ kind: "registerBranch", registration: moved })).toMatchObject({ code: "REFUSED" });
  });

  it("does not count against the limit of branches, a new one does", () => {
    const driver = new Driver({ script: participants(), branchesMax: 2 });
    driver.apply(prepare("tcc"));
    driver.apply(register("tcc", "01"));
    driver.apply(register("tcc", "02"));
    expect(driver.apply(register("tcc", "02"))).toEqual({ kind: "accepted" });
    expect(driver.apply(register("tcc", "03"))).toMatchObject({ code: "BAD_REQUEST" });
  });

  it("of a gid of another type is refused (S-HTTP-67), of an unknown gid not found", () => {
    expect(opened("tcc", []).apply(register("xa", "01"))).toMatchObject({ code: "REFUSED" });
    expect(new Driver({ script: participants() }).apply(register("tcc", "01"))).toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("abort", () => {
  it.each(["saga", "msg", "workflow"] as const)("of a running %s is refused and changes nothing (D22)", (type) => {
    const driver = new Driver({ script: participants({ "action 01": "ongoing" }) });
    driver.apply(type === "workflow" ? prepareWorkflow() : submit(type));
    const { rows } = driver;
    expect(driver.apply(abort(type))).toMatchObject({ kind: "refused", code: "REFUSED" });
    expect(driver.rows).toEqual(rows);
  });

  it("of an unknown gid is not found (D4)", () => {
    expect(new Driver({ script: participants() }).apply(abort("tcc"))).toMatchObject({
      code: "NOT_FOUND",
      message: "no TransGlobal with gid: unknown found",
    });
  });

  it("of a prepared msg is for a msg only (D21)", () => {
    const driver = new Driver({ script: participants() });
    driver.apply(prepare("msg", { queryPrepared: "http://busi/q" }));
    expect(driver.apply(abort("tcc"))).toMatchObject({ code: "REFUSED" });
    expect(driver.tx!.status).toBe("prepared");
    expect(driver.apply(abort("msg"))).toEqual({ kind: "accepted" });
    expect(driver.tx!.status).toBe("failed");
    expect(driver.apply(abort("msg"))).toEqual({ kind: "accepted" });
  });
});
