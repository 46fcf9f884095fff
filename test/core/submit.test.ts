/**
 * prepare, submit and submit again: digests (D2), what a submit merges (S-HTTP-35, C-MSG-1), what is left after
 * retention
 * (D26), forced ends, and the words that waiting clients get (D1, S-HTTP-45).
 */
import { describe, expect, it } from "vitest";
import { decide } from "../../src/core/decide.js";
import { Draft } from "../../src/core/draft.js";
import { headOf, restoreFromHead } from "../../src/core/head.js";
import { heldReply } from "../../src/core/outcome.js";
import type { Transaction } from "../../src/core/transaction.js";
import { Driver, startMs } from "./driver.js";
import { abort, participants, prepare, prepareWorkflow, register, sagaSteps, submit } from "./submissions.js";

const accepted = { kind: "accepted" };
const other = { digest: "digest-2" };

function driverFor(answers: Parameters<typeof participants>[0] = {}): Driver {
  return new Driver({ script: participants(answers) });
}

describe("submit of a gid that exists (D2)", () => {
  it("with the same digest joins while running or succeeded, and never runs twice", () => {
    const driver = driverFor({ "action 01": ["ongoing", "success"] });
    driver.apply(submit("saga"));
    driver.step();
    expect(driver.apply(submit("saga"))).toEqual(accepted);
    expect(driver.apply(submit("saga", { options: { waitResult: true } }))).toEqual({ kind: "held", of: "submit" });
    driver.rest();
    expect(driver.apply(submit("saga"))).toEqual(accepted);
    expect(driver.calls).toEqual(["action 01", "action 01", "action 02"]);
  });

  it("with another digest is refused and changes nothing, at any time", () => {
    const driver = driverFor({ "action 01": ["ongoing", "success"] });
    driver.apply(submit("saga"));
    for (let i = 0; i < 5; i++) {
      const { rows } = driver;
      expect(driver.apply(submit("saga", other))).toMatchObject({ kind: "refused", code: "REFUSED" });
      expect(driver.rows).toEqual(rows);
      driver.step();
    }
  });

  it("after a refusal is told the reason", () => {
    const driver = driverFor({
      "action 01": { outcome: "failure", detail: "sold out 4711" },
      "compensate 01": "ongoing",
    });
    driver.apply(submit("saga"));
    driver.step();
    const reply = driver.apply(submit("saga"));
    expect(reply).toMatchObject({ code: "REFUSED" });
    expect(reply).toHaveProperty(
      "message",
      expect.stringMatching(/'aborting', cannot sumbmit.*sold out 4711.*FAILURE$/),
    );
  });

  it("is the first while none is recorded: after a prepare, and after a check-back decided", () => {
    const driver = driverFor();
    driver.apply(prepare("msg", { queryPrepared: "http://busi/q", digest: "ignored" }));
    expect(driver.tx!.digest).toBeUndefined();
    driver.rest();
    expect(driver.tx!.status).toBe("succeed");
    expect(driver.apply(submit("msg"))).toEqual(accepted);
    expect(driver.tx!.digest).toBe("digest-1");
    expect(driver.apply(submit("msg", other))).toMatchObject({ code: "REFUSED" });
  });

  it("ignores the steps of a submit after a prepare, and merges options and custom data", () => {
    const driver = driverFor();
    driver.apply(prepare("saga", { steps: sagaSteps(1), options: { retryIntervalS: 7 } }));
    const options = { waitResult: true, timeoutToFailS: 9 };
    driver.apply(submit("saga", { steps: sagaSteps(3), options, customData: `{"concurrent":true}` }));
    expect(driver.tx).toMatchObject({
      options: { retryIntervalS: 7, timeoutToFailS: 9, waitResult: true },
      customData: `{"concurrent":true}`,
    });
    driver.rest();
    expect(driver.calls).toEqual(["action 01"]);
  });

  it("merges nothing once it is submitted", () => {
    const driver = driverFor({ "action 01": "ongoing" });
    driver.apply(prepare("msg", { options: { timeoutToFailS: 1 } }));
    driver.pass(1000);
    expect(driver.tx!.status).toBe("submitted");
    driver.apply(submit("msg", { customData: `{"delay":5}`, options: { retryIntervalS: 1 } }));
    expect(driver.tx).toMatchObject({ customData: "", options: { retryIntervalS: undefined }, digest: "digest-1" });
  });

  it("prepares a prepared gid by doing nothing, and refuses it later (S-HTTP-32, 33)", () => {
    const driver = driverFor({ "action 01": "ongoing" });
    driver.apply(prepare("saga"));
    const { rows } = driver;
    expect(driver.apply(prepare("saga", { steps: sagaSteps(5) }))).toEqual(accepted);
    expect(driver.rows).toEqual(rows);
    driver.apply(submit("saga"));
    expect(driver.apply(prepare("saga"))).toMatchObject({
      code: "REFUSED",
      message: "current status 'submitted', cannot prepare. FAILURE",
    });
  });
});

describe("when retention has taken the journal (D26)", () => {
  function remembered(driver: Driver): Transaction {
    return restoreFromHead(headOf(driver.tx!, undefined));
  }
  const ended = (answers: Parameters<typeof participants>[0]) => {
    const driver = driverFor(answers);
    driver.apply(submit("saga"));
    driver.rest();
    return driver;
  };

  it("a repeated submit gets the old answer, another content is refused (S9)", () => {
    const done = ended({});
    const undone = ended({ "action 01": { outcome: "failure", detail: "sold out" } });
    const ask = (driver: Driver, request: ReturnType<typeof submit>) =>
      decide(remembered(driver), request, driver.turn());
    expect(ask(done, submit("saga"))).toMatchObject({ events: [], calls: [], reply: accepted });
    expect(ask(done, submit("saga", other))).toMatchObject({ events: [], reply: { code: "REFUSED" } });
    const reply = ask(undone, submit("saga")).reply;
    expect(reply).toHaveProperty("message", expect.stringContaining("sold out"));
  });

  it("nothing is recorded on it by any request", () => {
    const driver = driverFor();
    driver.apply(prepare("msg", { queryPrepared: "http://busi/q" }));
    driver.rest();
    const tx = remembered(driver);
    const requests = [
      submit("msg"),
      prepare("msg"),
      abort("msg"),
      { kind: "forceStop" },
      { kind: "hasten", bulk: false },
    ];
    for (const request of [...requests, { kind: "park", by: "me", reason: "" }, { kind: "unpark" }, { kind: "query" }])
      expect(decide(tx, request as Parameters<typeof decide>[1], driver.turn()).events).toEqual([]);
  });
});

describe("forceStop", () => {
  it.each([
    ["saga", () => [submit("saga")]],
    ["tcc", () => [prepare("tcc"), register("tcc", "01"), submit("tcc")]],
    ["msg", () => [prepare("msg", { queryPrepared: "http://busi/q" })]],
    ["workflow", () => [prepareWorkflow(), register("workflow", "01")]],
  ] as const)("ends a %s as failed, without a call, and late answers are ignored", (_type, requests) => {
    const driver = driverFor({ "action 01": { outcome: "success", afterMs: 1000 }, "confirm 01": "ongoing" });
    for (const request of requests()) driver.apply(request);
    driver.apply({ kind: "park", by: "me", reason: "" });
    const ops = driver.tx!.ops;
    const { calls } = driver;
    expect(driver.apply({ kind: "forceStop" })).toEqual(accepted);
    driver.rest();
    expect(driver.tx).toMatchObject({ status: "failed", rollbackReason: "", ops });
    expect(driver.calls).toEqual(calls);
    expect(driver.apply({ kind: "forceStop" })).toMatchObject({ code: "REFUSED" });
  });

  it("of an unknown gid is not found", () => {
    expect(driverFor().apply({ kind: "forceStop" })).toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("a waiting client (D1)", () => {
  it("is told the end, and a failure with its reason and the word FAILURE once", () => {
    const done = driverFor();
    done.apply(submit("saga"));
    done.rest();
    expect(heldReply(done.tx!, "submit")).toEqual(accepted);
    const late = driverFor({ "action 01": "ongoing" });
    late.apply(submit("saga", { options: { timeoutToFailS: 2 } }));
    late.rest();
    expect(heldReply(late.tx!, "submit")).toMatchObject({
      code: "REFUSED",
      message: "Timeout after 2 seconds FAILURE",
    });
    const refused = driverFor({ "action 01": { outcome: "failure", detail: "no FAILURE" } });
    refused.apply(submit("saga"));
    refused.rest();
    expect(heldReply(refused.tx!, "submit")).toMatchObject({ message: "url:http://busi/a1 return failed: no FAILURE" });
    const stopped = driverFor({ "action 01": "ongoing" });
    stopped.apply(submit("saga"));
    stopped.apply({ kind: "forceStop" });
    expect(heldReply(stopped.tx!, "submit")).toMatchObject({ message: "wait result not return success: FAILURE" });
    expect(heldReply(stopped.tx!, "abort")).toEqual(accepted);
  });

  it("is told ONGOING with the branch that is waited for and its last error", () => {
    const driver = driverFor({ "action 02": { outcome: "unknown", detail: "out of order" } });
    driver.apply(submit("saga"));
    driver.pass(100);
    const reply = heldReply(driver.tx!, "submit");
    expect(reply).toMatchObject({ code: "ONGOING" });
    expect(reply).toHaveProperty("message", expect.stringMatching(/branch 02 action http:\/\/busi\/a2.*out of order/));
    expect(heldReply(driver.tx!, "submit", { 3: "http://busi" })).toHaveProperty(
      "message",
      expect.stringMatching(/branch 02 action http:\/\/busi\/a2 is blocked by http:\/\/busi/),
    );
  });

  it("is told of the compensation that is waited for, not of the action that was given up", () => {
    const away = { outcome: "unknown", detail: "cannot undo" } as const;
    const driver = driverFor({ "action 01": "unknown", "compensate 01": away });
    driver.apply(submit("saga", { options: { retryLimit: 1, retryIntervalS: 1 } }));
    driver.pass(3000);
    expect(heldReply(driver.tx!, "submit")).toHaveProperty(
      "message",
      expect.stringMatching(/branch 01 compensate .*cannot undo/),
    );
  });
});

describe("what must never be written", () => {
  it("S4: an event that leads from one status to one that must not follow breaks off", () => {
    const driver = driverFor();
    driver.apply(submit("saga"));
    driver.rest();
    const draft = new Draft(driver.tx, driver.turn());
    const event = { kind: "aborting", atMs: startMs, reason: "", byClient: false } as const;
    expect(() => draft.record(event)).toThrow(/'succeed' to 'aborting'/);
  });

  it("recorded time never runs backwards, though the clock does", () => {
    const driver = driverFor({ "action 01": ["unknown", "success"] });
    driver.apply(submit("saga"));
    driver.pass(5000);
    const turn = { ...driver.turn(), nowMs: startMs - 3_600_000 };
    const { events } = decide(driver.tx, { kind: "park", by: "me", reason: "" }, turn);
    expect(events[0]!.atMs).toBe(driver.tx!.updatedAtMs);
  });
});
