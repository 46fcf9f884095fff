/**
 * The reference runs of the protocol notes (S-RUN-1 to 16), adapted to our decisions: first retry after one interval
 * (D7), retry limit with backoff (D8), exact timers, effective values in timeout texts (S-RTY-9).
 */
import { describe, expect, it } from "vitest";
import type { Request } from "../../src/core/input.js";
import { Driver } from "../core/driver.js";
import { msgSteps, participants, prepare, prepareWorkflow, register, sagaSteps, submit } from "../core/submissions.js";
import { transcript } from "./transcript.js";

type Answers = Parameters<typeof participants>[0];

/** Plays requests at once, lets time pass and tells the story. */
function run(
  requests: readonly Request[],
  answers: Answers = {},
  seconds = 100,
  subscribers?: readonly string[],
): string {
  const topics = new Map(subscribers === undefined ? [] : [["news", subscribers]]);
  const driver = new Driver({ script: participants(answers), topics });
  for (const request of requests) driver.apply(request);
  driver.pass(seconds * 1000);
  return transcript(driver);
}

const query = "http://busi/query";
const asked = prepare("msg", { queryPrepared: query, options: { timeoutToFailS: 3, retryIntervalS: 2 } });
const branches = (type: "tcc" | "xa", count: number) =>
  Array.from({ length: count }, (_, i) => register(type, `0${i + 1}`));

describe("reference runs", () => {
  it("S-RUN-1: saga of two steps, all succeed", () => {
    expect(run([submit("saga")])).toMatchInlineSnapshot(`
      "  0.00 submit: accepted
        0.00    submitted
        0.00 -> action 01
        0.01 <- action 01 success
        0.01 -> action 02
        0.02 <- action 02 success
        0.02    succeed
      end: succeed
      rows: compensate 01 prepared, action 01 succeed, compensate 02 prepared, action 02 succeed"
    `);
  });
  it("S-RUN-2: saga of two steps, the second refuses", () => {
    expect(run([submit("saga")], { "action 02": "failure" })).toMatchInlineSnapshot(`
      "  0.00 submit: accepted
        0.00    submitted
        0.00 -> action 01
        0.01 <- action 01 success
        0.01 -> action 02
        0.02 <- action 02 failure
        0.02    aborting
        0.02 -> compensate 02
        0.03 <- compensate 02 success
        0.03 -> compensate 01
        0.04 <- compensate 01 success
        0.04    failed
      end: failed, reason: url:http://busi/a2 return failed:  FAILURE
      rows: compensate 01 succeed, action 01 succeed, compensate 02 succeed, action 02 failed"
    `);
  });
  it("S-RUN-3: concurrent saga with orders, the last refuses", () => {
    const customData = `{"concurrent":true,"orders":{"2":[0,1]}}`;
    const request = submit("saga", { steps: sagaSteps(3), customData });
    expect(run([request], { "action 03": "failure" })).toMatchInlineSnapshot(`
      "  0.00 submit: accepted
        0.00    submitted
        0.00 -> action 01
        0.00 -> action 02
        0.01 <- action 01 success
        0.01 <- action 02 success
        0.01 -> action 03
        0.02 <- action 03 failure
        0.02    aborting
        0.02 -> compensate 03
        0.03 <- compensate 03 success
        0.03 -> compensate 01
        0.03 -> compensate 02
        0.04 <- compensate 01 success
        0.04 <- compensate 02 success
        0.04    failed
      end: failed, reason: url:http://busi/a3 return failed:  FAILURE
      rows: compensate 01 succeed, action 01 succeed, compensate 02 succeed, action 02 succeed, compensate 03 succeed, action 03 failed"
    `);
  });
  it("S-RUN-4: saga with a retry limit of 2, the second step never answers clearly", () => {
    const request = submit("saga", { options: { retryLimit: 2 } });
    expect(run([request], { "action 02": "unknown" })).toMatchInlineSnapshot(`
      "  0.00 submit: accepted
        0.00    submitted
        0.00 -> action 01
        0.01 <- action 01 success
        0.01 -> action 02
        0.02 <- action 02 unknown
       10.02 -> action 02
       10.03 <- action 02 unknown
       30.03 -> action 02
       30.04 <- action 02 unknown
       30.04    aborting
       30.04 -> compensate 02
       30.05 <- compensate 02 success
       30.05 -> compensate 01
       30.06 <- compensate 01 success
       30.06    failed
      end: failed, reason: RetryCount is greater than RetryLimit, RetryLimit: 2
      rows: compensate 01 succeed, action 01 succeed, compensate 02 succeed, action 02 prepared"
    `);
  });
  it("S-RUN-5: saga with a timeout, its action stays ongoing", () => {
    const request = submit("saga", { steps: sagaSteps(1), options: { timeoutToFailS: 4 } });
    expect(run([request], { "action 01": "ongoing" })).toMatchInlineSnapshot(`
      "  0.00 submit: accepted
        0.00    submitted
        0.00 -> action 01
        0.01 <- action 01 ongoing
        4.00    aborting
        4.00 -> compensate 01
        4.01 <- compensate 01 success
        4.01    failed
      end: failed, reason: Timeout after 4 seconds
      rows: compensate 01 succeed, action 01 prepared"
    `);
  });
  it("S-RUN-6: tcc of two branches, submitted", () => {
    expect(run([prepare("tcc"), ...branches("tcc", 2), submit("tcc")])).toMatchInlineSnapshot(`
      "  0.00 prepare: accepted
        0.00    prepared
        0.00 registerBranch: accepted
        0.00 registerBranch: accepted
        0.00 submit: accepted
        0.00    submitted
        0.00 -> confirm 02
        0.01 <- confirm 02 success
        0.01 -> confirm 01
        0.02 <- confirm 01 success
        0.02    succeed
      end: succeed
      rows: cancel 01 prepared, confirm 01 succeed, cancel 02 prepared, confirm 02 succeed"
    `);
  });
  it("S-RUN-7: tcc with a timeout, never submitted", () => {
    const driver = new Driver({ script: participants() });
    for (const request of [prepare("tcc", { options: { timeoutToFailS: 4 } }), register("tcc", "01")])
      driver.apply(request);
    driver.pass(10_000);
    driver.apply(submit("tcc"));
    expect(transcript(driver)).toMatchInlineSnapshot(`
      "  0.00 prepare: accepted
        0.00    prepared
        0.00 registerBranch: accepted
        4.00    aborting
        4.00 -> cancel 01
        4.01 <- cancel 01 success
        4.01    failed
       10.00 submit: REFUSED: current status 'failed', cannot sumbmit. Reason: Timeout after 4 seconds FAILURE
      end: failed, reason: Timeout after 4 seconds
      rows: cancel 01 succeed, confirm 01 prepared"
    `);
  });
  it("S-RUN-8: tcc without option or branch, never submitted", () => {
    expect(run([prepare("tcc")])).toMatchInlineSnapshot(`
      "  0.00 prepare: accepted
        0.00    prepared
       35.00    aborting
       35.00    failed
      end: failed, reason: Timeout after 35 seconds
      rows: "
    `);
  });
  it("S-RUN-9: xa of one branch, submitted", () => {
    expect(run([prepare("xa"), ...branches("xa", 1), submit("xa")])).toMatchInlineSnapshot(`
      "  0.00 prepare: accepted
        0.00    prepared
        0.00 registerBranch: accepted
        0.00 submit: accepted
        0.00    submitted
        0.00 -> commit 01
        0.01 <- commit 01 success
        0.01    succeed
      end: succeed
      rows: rollback 01 prepared, commit 01 succeed"
    `);
  });
  it("S-RUN-10: msg of two steps", () => {
    expect(run([submit("msg")])).toMatchInlineSnapshot(`
      "  0.00 submit: accepted
        0.00    submitted
        0.00 -> action 01
        0.01 <- action 01 success
        0.01 -> action 02
        0.02 <- action 02 success
        0.02    succeed
      end: succeed
      rows: action 01 succeed, action 02 succeed"
    `);
  });
  it("S-RUN-11: prepared msg, the initiator committed", () => {
    expect(run([asked])).toMatchInlineSnapshot(`
      "  0.00 prepare: accepted
        0.00    prepared
        3.00 -> msg 00
        3.01 <- msg 00 success
        3.01    submitted
        3.01 -> action 01
        3.02 <- action 01 success
        3.02 -> action 02
        3.03 <- action 02 success
        3.03    succeed
      end: succeed
      rows: action 01 succeed, action 02 succeed"
    `);
  });
  it("S-RUN-12: the same, the initiator did not, does not know yet, or is away", () => {
    expect(run([asked], { "msg 00": "failure" })).toMatchInlineSnapshot(`
      "  0.00 prepare: accepted
        0.00    prepared
        3.00 -> msg 00
        3.01 <- msg 00 failure
        3.01    failed
      end: failed, reason: url:http://busi/query return failed:  FAILURE
      rows: action 01 prepared, action 02 prepared"
    `);
    expect(run([asked], { "msg 00": "ongoing" }, 8)).toMatchInlineSnapshot(`
      "  0.00 prepare: accepted
        0.00    prepared
        3.00 -> msg 00
        3.01 <- msg 00 ongoing
        5.01 -> msg 00
        5.02 <- msg 00 ongoing
        7.02 -> msg 00
        7.03 <- msg 00 ongoing
      end: prepared
      rows: action 01 prepared, action 02 prepared"
    `);
    expect(run([asked], { "msg 00": "unknown" }, 18)).toMatchInlineSnapshot(`
      "  0.00 prepare: accepted
        0.00    prepared
        3.00 -> msg 00
        3.01 <- msg 00 unknown
        5.01 -> msg 00
        5.02 <- msg 00 unknown
        9.02 -> msg 00
        9.03 <- msg 00 unknown
       17.03 -> msg 00
       17.04 <- msg 00 unknown
      end: prepared
      rows: action 01 prepared, action 02 prepared"
    `);
  });
  it("S-RUN-13: prepared msg with nobody to ask", () => {
    expect(run([prepare("msg", { steps: msgSteps("http://busi/a1") })])).toMatchInlineSnapshot(`
      "  0.00 prepare: accepted
        0.00    prepared
       35.00    submitted
       35.00 -> action 01
       35.01 <- action 01 success
       35.01    succeed
      end: succeed
      rows: action 01 succeed"
    `);
  });
  it("S-RUN-14: msg to a topic of two", () => {
    const request = submit("msg", { steps: msgSteps("topic://news") });
    expect(run([request], {}, 1, ["http://s1", "http://s2"])).toMatchInlineSnapshot(`
      "  0.00 submit: accepted
        0.00    submitted
        0.00 -> action 01-01
        0.01 <- action 01-01 success
        0.01 -> action 01-02
        0.02 <- action 01-02 success
        0.02    succeed
      end: succeed
      rows: action 01-01 succeed, action 01-02 succeed"
    `);
  });
  it("S-RUN-15: workflow with a step, client gone", () => {
    expect(run([prepareWorkflow(), register("workflow", "01")], {}, 80)).toMatchInlineSnapshot(`
      "  0.00 prepareWorkflow: transaction
        0.00    prepared
        0.00 registerBranch: accepted
       10.00 -> callback 00
       10.01 <- callback 00 success
       30.01 -> callback 00
       30.02 <- callback 00 success
       35.00    overdue
       70.02 -> callback 00
       70.03 <- callback 00 success
      end: prepared
      rows: action 01 succeed"
    `);
  });
  it("S-RUN-16: saga, forced to stop while it is retried", () => {
    const driver = new Driver({ script: participants({ "action 01": "unknown" }) });
    driver.apply(submit("saga"));
    driver.pass(12_000);
    driver.apply({ kind: "forceStop" });
    driver.pass(100_000);
    expect(transcript(driver)).toMatchInlineSnapshot(`
      "  0.00 submit: accepted
        0.00    submitted
        0.00 -> action 01
        0.01 <- action 01 unknown
       10.01 -> action 01
       10.02 <- action 01 unknown
       12.00 forceStop: accepted
       12.00    failed
      end: failed
      rows: compensate 01 prepared, action 01 prepared, compensate 02 prepared, action 02 prepared"
    `);
  });
});
