// The demo against a real node: what it prints is what happened, in order, within 80 cells.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runDemo } from "../../src/cli/demo/demo.js";
import type { RunningNode } from "../../src/cli/serve.js";
import { loadConfig } from "../../src/config/config.js";
import { startNode } from "../../src/node.js";
import { recorder } from "../cli/recorder.js";

let node: RunningNode;

beforeAll(async () => {
  const flags = { "Store.Url": "memory:", HttpPort: "0", GrpcPort: "0", LogLevel: "error" } as const;
  node = await startNode(loadConfig({ environment: {}, flags, readFile: () => "" }).config);
});
afterAll(() => node?.close(500));

describe("the demo", () => {
  it("shows a success and a roll-back, step by step, with the balances before and after", async () => {
    const { terminal, out } = recorder();
    const demo = await runDemo(terminal, { paceMs: 0, server: { url: node.addresses.http, store: "memory" } });
    await demo.close();
    const steps = out.filter((line) => /^ +\d+ ms {2}/.test(line)).map((line) => line.replace(/^ +\d+ ms +/, ""));
    const short = steps.map((line) => line.replace(/ {2,}/g, " ").replace(/ FAILURE.*/, " FAILURE"));
    expect(short).toEqual([
      "client POST submit transfer-1: TransOut, TransIn",
      "tandem #1 accepted and stored → 01 action",
      "TransOut call branch 01, action, amount 30",
      "TransOut 200 Alice 100 → 70",
      "tandem #2 01 action succeed → 02 action",
      "TransIn call branch 02, action, amount 30",
      "TransIn 200 Bob 0 → 30",
      "tandem #3 02 action succeed; end: succeed",
      "client 200 SUCCESS",
      "client POST submit transfer-2: TransOut, TransIn",
      "tandem #1 accepted and stored → 01 action",
      "TransOut call branch 01, action, amount 30",
      "TransOut 200 Alice 70 → 40",
      "tandem #2 01 action succeed → 02 action",
      "TransIn call branch 02, action, amount 30",
      "TransIn 409 Bob's account is frozen",
      "tandem #3 02 action failed; rolling back → 02 compensate",
      "TransInCompensate call branch 02, compensate, amount 30",
      "TransInCompensate 200 barrier: not done, nothing to undo",
      "tandem #4 02 compensate succeed → 01 compensate",
      "TransOutCompensate call branch 01, compensate, amount 30",
      "TransOutCompensate 200 Alice 40 → 70",
      "tandem #5 01 compensate succeed; end: failed, undone",
      "client 409 FAILURE",
    ]);
    const balances = out
      .filter((line) => /^ +(before|after) /.test(line))
      .map((line) => line.trim().split(/ +/).join(" "));
    expect(balances).toEqual([
      "before Alice 100 Bob 0 together 100",
      "after Alice 70 Bob 30 together 100 ✓ 30 moved",
      "before Alice 70 Bob 30 together 100",
      "after Alice 70 Bob 30 together 100 ✓ as before",
    ]);
    expect(out.filter((line) => [...line].length > 80)).toEqual([]);
  });
});
