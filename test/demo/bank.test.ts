// The demo's banks, called as a coordinator calls them: a repeat, or a compensation without action, does nothing.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bank, type Move, openBank } from "../../src/cli/demo/bank.js";

describe("the demo's banks", () => {
  let bank: Bank;
  let moves: Move[];

  beforeEach(async () => {
    moves = [];
    bank = await openBank({ paceMs: 0, onMove: (move) => void moves.push(move) });
  });
  afterEach(() => bank.close());

  const call = async (url: string, branch: string, op: string) => {
    const query = `gid=g&trans_type=saga&branch_id=${branch}&op=${op}`;
    const response = await fetch(`${url}?${query}`, { method: "POST", body: '{"amount":30}' });
    return response.status;
  };

  it("move money once, however often they are called", async () => {
    expect(await call(`${bank.alice}/TransOut`, "01", "action")).toBe(200);
    expect(await call(`${bank.alice}/TransOut`, "01", "action")).toBe(200);
    expect(await call(`${bank.bob}/TransIn`, "02", "action")).toBe(200);
    expect(bank.balances()).toEqual({ alice: 70, bob: 30 });
    expect(moves.map(({ text }) => text)).toContain("barrier: done before, not done twice");
  });

  it("undo what was done, and nothing that was not", async () => {
    await call(`${bank.alice}/TransOut`, "01", "action");
    expect(await call(`${bank.alice}/TransOutCompensate`, "01", "compensate")).toBe(200);
    expect(await call(`${bank.bob}/TransInCompensate`, "02", "compensate")).toBe(200);
    expect(bank.balances()).toEqual({ alice: 100, bob: 0 });
  });

  it("answer 409 while Bob's account is frozen, and change nothing", async () => {
    bank.freezeBob(true);
    expect(await call(`${bank.bob}/TransIn`, "02", "action")).toBe(409);
    expect(await call(`${bank.bob}/TransInCompensate`, "02", "compensate")).toBe(200);
    expect(bank.balances()).toEqual({ alice: 100, bob: 0 });
    expect(moves.map(({ kind, status }) => `${kind} ${status}`)).toEqual([
      "called 0",
      "answered 409",
      "called 0",
      "answered 200",
    ]);
  });

  it("answer 500 to what they do not understand", async () => {
    expect(await call(`${bank.alice}/Steal`, "01", "action")).toBe(500);
    expect((await fetch(`${bank.alice}/TransOut?gid=g&trans_type=saga&branch_id=01&op=action`)).status).toBe(500);
  });
});
