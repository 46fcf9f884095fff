/**
 * The table of what each outcome of a call does (S-RES-10 to 13), every type and op against every outcome: status of
 * the op and of the transaction after the answer, and how long until the same op is called again.
 */
import { describe, expect, it } from "vitest";
import type { Request } from "../../src/core/input.js";
import type { Outcome } from "../../src/core/transaction.js";
import { Driver, startMs } from "../core/driver.js";
import {
  abort,
  msgSteps,
  participants,
  prepare,
  prepareWorkflow,
  register,
  sagaSteps,
  submit,
} from "../core/submissions.js";

interface Case {
  readonly call: string;
  readonly requests: readonly Request[];
  /** The other answers that are needed to get there. */
  readonly others?: Readonly<Record<string, Outcome>>;
}

/** After the answer: status of the op (`-` where it has none), of the transaction, seconds until it is called again. */
type Effect = readonly [op: string, tx: string, againS: number | undefined];
type Effects = Readonly<Record<Outcome, Effect>>;

const one = { steps: sagaSteps(1) };
const branch = (type: "tcc" | "xa") => [prepare(type), register(type, "01")];

/** Failure is no answer to these: asked again as if nothing had been said (D9). */
const endings = (status: string, end: string): Effects => ({
  success: ["succeed", end, undefined],
  failure: ["prepared", status, 10],
  ongoing: ["prepared", status, 10],
  unknown: ["prepared", status, 10],
});

const table: readonly (readonly [string, Case, Effects])[] = [
  [
    "S-RES-10: saga action",
    { call: "action 01", requests: [submit("saga", one)] },
    {
      success: ["succeed", "succeed", undefined],
      failure: ["failed", "failed", undefined],
      ongoing: ["prepared", "submitted", 10],
      unknown: ["prepared", "submitted", 10],
    },
  ],
  [
    "S-RES-11: saga compensate",
    { call: "compensate 01", requests: [submit("saga", one)], others: { "action 01": "failure" } },
    endings("aborting", "failed"),
  ],
  [
    "S-RES-11: tcc confirm",
    { call: "confirm 01", requests: [...branch("tcc"), submit("tcc")] },
    endings("submitted", "succeed"),
  ],
  [
    "S-RES-11: tcc cancel",
    { call: "cancel 01", requests: [...branch("tcc"), abort("tcc")] },
    endings("aborting", "failed"),
  ],
  [
    "S-RES-11: xa commit",
    { call: "commit 01", requests: [...branch("xa"), submit("xa")] },
    endings("submitted", "succeed"),
  ],
  [
    "S-RES-11: xa rollback",
    { call: "rollback 01", requests: [...branch("xa"), abort("xa")] },
    endings("aborting", "failed"),
  ],
  [
    "S-RES-11: msg action",
    { call: "action 01", requests: [submit("msg", { steps: msgSteps("http://busi/a1") })] },
    endings("submitted", "succeed"),
  ],
  [
    "S-RES-12: msg query-prepared",
    {
      call: "msg 00",
      requests: [prepare("msg", { steps: msgSteps("http://busi/a1"), queryPrepared: "http://busi/q" })],
    },
    {
      success: ["-", "succeed", undefined],
      failure: ["-", "failed", undefined],
      ongoing: ["-", "prepared", 10],
      unknown: ["-", "prepared", 10],
    },
  ],
  [
    "S-RES-13: workflow callback",
    { call: "callback 00", requests: [prepareWorkflow(), register("workflow", "01")] },
    {
      success: ["-", "prepared", 20], // one interval passed before this one already (D10)
      failure: ["-", "prepared", 20],
      ongoing: ["-", "prepared", 10],
      unknown: ["-", "prepared", 20],
    },
  ],
];

const outcomes: readonly Outcome[] = ["success", "failure", "ongoing", "unknown"];

function play({ call, requests, others = {} }: Case, outcome: Outcome) {
  const driver = new Driver({ script: participants({ ...others, [call]: outcome }) });
  for (const request of requests) driver.apply(request);
  const times = () =>
    driver.trace.flatMap((t) => (t.kind === "called" && t.call.name === call ? [t.call.atMs - startMs] : []));
  while (times().length === 0) if (!driver.step()) throw new Error(`${call} is never called`);
  driver.pass(1000);
  const [op, branchId] = call.split(" ");
  const status = driver.tx!.ops.find((one) => one.op === op && one.branchId === branchId)?.status ?? "-";
  const then = driver.tx!.status;
  driver.pass(300_000);
  const waits = times().map((atMs, i, all) => Math.round((atMs - (all[i - 1] ?? 0)) / 1000));
  return { effect: [status, then, waits[1]] as const, waits: waits.slice(1) };
}

describe("what an outcome does", () => {
  for (const [name, what, effects] of table)
    for (const outcome of outcomes)
      it(`${name}, ${outcome}`, () => {
        const { effect, waits } = play(what, outcome);
        expect(effect).toEqual(effects[outcome]);
        if (effect[2] === undefined) expect(waits).toEqual([]);
        else if (outcome === "ongoing") expect(new Set(waits.slice(0, 5))).toEqual(new Set([10]));
        else expect(waits.slice(0, 3)).toEqual([1, 2, 4].map((times) => times * effect[2]!));
      });
});
