/**
 * Messages: topics, delay, order (D28), and what becomes of one whose initiator fell silent (S-MSG-1 to 6, S-RES-12).
 */
import { describe, expect, it } from "vitest";
import { Driver, startMs } from "./driver.js";
import { abort, msgSteps, participants, prepare, submit } from "./submissions.js";

const query = "http://busi/query";
const toTopic = { steps: msgSteps("topic://news", "http://busi/a2") };

function driverFor(answers: Parameters<typeof participants>[0] = {}, subscribers?: readonly string[]): Driver {
  const topics = new Map(subscribers === undefined ? [] : [["news", subscribers]]);
  return new Driver({ script: participants(answers), topics });
}

describe("the plan of a msg", () => {
  it.each([
    [["http://s1"], "01 http://s1, 02 http://busi/a2"],
    [["http://s1", "http://s2"], "01-01 http://s1, 01-02 http://s2, 02 http://busi/a2"],
  ])("with the subscribers %s has the branches %s (S-GEN-10)", (subscribers, branches) => {
    const driver = driverFor({}, subscribers);
    driver.apply(submit("msg", toTopic));
    expect(driver.tx!.ops.map(({ branchId, url }) => `${branchId} ${url}`).join(", ")).toBe(branches);
  });

  it.each([[undefined], [[]]])("to a topic with the subscribers %s is refused and stored nowhere", (subscribers) => {
    const driver = driverFor({}, subscribers);
    const reply = driver.apply(prepare("msg", toTopic));
    expect(reply).toMatchObject({ kind: "refused", code: "BAD_REQUEST" });
    expect(reply).toHaveProperty("message", expect.stringContaining("topic not found"));
    expect(driver.rows).toEqual([]);
  });

  it("counts the subscribers, not the steps, against the limit of branches", () => {
    const driver = driverFor(
      {},
      Array.from({ length: 1000 }, (_, i) => `http://s${i}`),
    );
    expect(driver.apply(submit("msg", toTopic))).toMatchObject({ code: "BAD_REQUEST" });
  });

  it("keeps the subscribers of the prepare, whatever the topic became until the submit", () => {
    const driver = driverFor({}, ["http://s1"]);
    driver.apply(prepare("msg", toTopic));
    driver.topics = new Map();
    expect(driver.apply(submit("msg", toTopic))).toEqual({ kind: "accepted" });
    driver.rest();
    expect(driver.calls).toEqual(["action 01", "action 02"]);
  });
});

describe("deliveries", () => {
  it("keep their order: a later branch waits while an earlier one is retried (D28)", () => {
    const driver = driverFor({ "action 01": ["failure", "unknown", "success"] });
    driver.apply(submit("msg"));
    driver.rest();
    expect(driver.calls).toEqual(["action 01", "action 01", "action 01", "action 02"]);
    expect(driver.tx!.status).toBe("succeed");
  });

  it("begin after the delay, counted from creation, by whatever spelling (S-MSG-4, S-BODY-9)", () => {
    const driver = driverFor();
    driver.apply(prepare("msg", { queryPrepared: query }));
    driver.pass(3000);
    driver.apply(submit("msg", { customData: `{"DELAY":5}` }));
    driver.pass(1999);
    expect(driver.calls).toEqual([]);
    expect(driver.wakeAtMs).toBe(startMs + 5000);
    driver.pass(1);
    expect(driver.calls).toEqual(["action 01"]);
  });
});

describe("an undecided msg", () => {
  const undecided = (answers: Parameters<typeof participants>[0], queryPrepared = query) => {
    const driver = driverFor(answers);
    driver.apply(prepare("msg", { queryPrepared, options: { timeoutToFailS: 3, retryIntervalS: 2 } }));
    return driver;
  };

  it("is not asked about before its timeout", () => {
    const driver = undecided({});
    driver.pass(2999);
    expect(driver.calls).toEqual([]);
    driver.pass(1);
    expect(driver.calls).toEqual(["msg 00"]);
  });

  it("is sent on success, fails on failure", () => {
    const sent = undecided({});
    const gone = undecided({ "msg 00": { outcome: "failure", detail: "rolled back" } });
    for (const driver of [sent, gone]) driver.rest();
    expect(sent.calls).toEqual(["msg 00", "action 01", "action 02"]);
    expect(sent.tx!.status).toBe("succeed");
    expect(gone.calls).toEqual(["msg 00"]);
    expect(gone.tx).toMatchObject({ status: "failed" });
    expect(gone.tx!.rollbackReason).toBe(`url:${query} return failed: rolled back FAILURE`);
  });

  it("is asked again: at the interval when ongoing, later and later when unknown", () => {
    const times = (outcome: "ongoing" | "unknown") => {
      const driver = undecided({ "msg 00": outcome });
      driver.pass(18_000);
      return driver.trace.flatMap((t) => (t.kind === "called" ? [Math.round((t.call.atMs - startMs) / 1000)] : []));
    };
    expect(times("ongoing")).toEqual([3, 5, 7, 9, 11, 13, 15, 17]);
    expect(times("unknown")).toEqual([3, 5, 9, 17]);
  });

  it("counts as committed when there is nobody to ask (S-RUN-13)", () => {
    const driver = undecided({}, "");
    driver.rest();
    expect(driver.calls).toEqual(["action 01", "action 02"]);
  });

  it("takes the client's word while it is being asked about, and ignores the late answer", () => {
    const late = { outcome: "failure", afterMs: 500 } as const;
    const committed = undecided({ "msg 00": late });
    committed.pass(3000);
    committed.apply(submit("msg"));
    committed.rest();
    expect(committed.tx!.status).toBe("succeed");
    const aborted = undecided({ "msg 00": { outcome: "success", afterMs: 500 } });
    aborted.pass(3000);
    aborted.apply(abort("msg", "changed my mind"));
    aborted.rest();
    expect(aborted.tx).toMatchObject({ status: "failed", rollbackReason: "changed my mind" });
    expect(aborted.calls).toEqual(["msg 00"]);
  });
});
