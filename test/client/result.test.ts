// Answers and their reading: statuses, words, causes, escapes; durations.
import { describe, expect, it } from "vitest";
import { toMs, toSeconds } from "../../src/client/duration.js";
import {
  Duplicated,
  errorCode,
  Failure,
  InvalidBranch,
  isFailure,
  isOngoing,
  Ongoing,
} from "../../src/client/errors.js";
import { calmJson, classifyGrpc, classifyHttp, toGrpc, toHttp, withWord } from "../../src/client/result.js";

const throwing = (error: unknown) => () => {
  throw error;
};

describe("answers of a participant", () => {
  it.each([
    [new Failure("sold out"), 409, "failure"],
    [new Error("wrapped", { cause: new Failure("sold out") }), 409, "failure"],
    [new Ongoing("later"), 425, "ongoing"],
    [new InvalidBranch("no gid"), 400, "unknown"],
    [new Duplicated("again"), 500, "unknown"],
    [new Error("the word FAILURE in a log line"), 500, "unknown"],
    [new Error("ONGOING"), 500, "unknown"],
    [new Failure("not ONGOING any more"), 409, "failure"],
    [new Ongoing("after FAILURE of another"), 425, "ongoing"],
    ["a thrown string", 500, "unknown"],
    [undefined, 500, "unknown"],
  ])("%s is answered %i and read as %s", async (error, status, outcome) => {
    const answer = await toHttp(throwing(error));
    expect(answer.status).toBe(status);
    expect(classifyHttp(answer.status, answer.body)).toBe(outcome);
    expect(() => JSON.parse(answer.body)).not.toThrow();
  });

  it("treats a returned error like a thrown one, so that a refusal is never committed by mistake", async () => {
    expect((await toHttp(() => new Failure("no"))).status).toBe(409);
  });

  it("carries details and the word in a refusal", async () => {
    const { body } = await toHttp(throwing(new Failure("sold out", { details: { left: 2 } })));
    expect(JSON.parse(body)).toEqual({ dtm_result: "FAILURE", error: "sold out FAILURE", details: { left: 2 } });
  });

  it("leaves out details that JSON cannot hold instead of losing the refusal", async () => {
    const { status, body } = await toHttp(throwing(new Failure("no", { details: 1n })));
    expect([status, JSON.parse(body)]).toEqual([409, { dtm_result: "FAILURE", error: "no FAILURE" }]);
  });

  it("never writes FAILURE or ONGOING into a success body, and the value stays the same", async () => {
    const value = { status: "FAILURE", ONGOING: ["ONGOING", "\\FAILURE"] };
    const { status, body } = await toHttp(() => value);
    expect(classifyHttp(status, body)).toBe("success");
    expect(JSON.parse(body)).toEqual(value);
  });

  it("answers nothing as DTM's clients expect it, and what JSON cannot hold as 500", async () => {
    expect(await toHttp(() => undefined)).toEqual({ status: 200, body: '{"dtm_result":"SUCCESS"}' });
    expect((await toHttp(() => () => 1)).status).toBe(500);
    expect((await toHttp(() => 10n)).status).toBe(500);
  });

  it("gives the gRPC status of DTM", () => {
    expect(toGrpc(new Failure("no money"))).toEqual({ code: 10, message: "no money FAILURE" });
    expect(toGrpc(new Ongoing())).toEqual({ code: 9, message: "ONGOING" });
    expect(toGrpc(new InvalidBranch("no gid")).code).toBe(3);
    expect(toGrpc(new Error("x")).code).toBe(2);
  });
});

describe("reading an answer", () => {
  it.each([
    [200, "", "success"],
    [200, "FAILURE", "failure"],
    [200, '{"a":"ONGOING FAILURE"}', "ongoing"],
    [409, "ONGOING", "ongoing"],
    [425, "FAILURE", "ongoing"],
    [201, "", "unknown"],
    [204, "", "unknown"],
    [302, "", "unknown"],
    [500, "FAILURE", "failure"],
    [503, "", "unknown"],
  ])("HTTP %i with body %j is %s", (status, body, outcome) => {
    expect(classifyHttp(status, body)).toBe(outcome);
  });

  it.each([
    [0, "", "success"],
    [10, "x", "failure"],
    [10, "ONGOING", "ongoing"],
    [10, "x ONGOING", "failure"],
    [9, "", "ongoing"],
    [14, "FAILURE", "unknown"],
  ])("gRPC %i %j is %s", (code, message, outcome) => {
    expect(classifyGrpc(code, message)).toBe(outcome);
  });
});

describe("errors", () => {
  it("are recognised across two copies of the package", () => {
    const foreign = Object.assign(new Error("no"), { [Symbol.for("tandem.error")]: "DTX_FAILURE" });
    expect(isFailure(foreign)).toBe(true);
    expect(isFailure(new Error("outer", { cause: foreign }))).toBe(true);
  });

  it("mean what the outermost says, and a cycle of causes ends", () => {
    expect(isOngoing(new Ongoing("", { cause: new Failure() }))).toBe(true);
    const cycle = new Error("a");
    cycle.cause = cycle;
    expect(errorCode(cycle)).toBeUndefined();
  });

  it("get the word once", () => {
    expect(withWord("no money", "FAILURE")).toBe("no money FAILURE");
    expect(withWord("no money FAILURE", "FAILURE")).toBe("no money FAILURE");
    expect(withWord("", "FAILURE")).toBe("FAILURE");
    expect(calmJson("FAILURE ONGOING")).toBe('"\\u0046AILURE \\u004fNGOING"');
  });
});

describe("durations", () => {
  it("read numbers and units, and round up to whole seconds", () => {
    expect([toMs(250), toMs("250ms"), toMs("1.5s"), toMs("10m"), toMs("2h"), toMs("7d")]).toEqual([
      250, 250, 1_500, 600_000, 7_200_000, 604_800_000,
    ]);
    expect([toSeconds(0), toSeconds(1), toSeconds("1001ms"), toSeconds("3s")]).toEqual([0, 1, 2, 3]);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, "5", "5 s", "-3s", "soon", ""])("refuse %j", (text) => {
    expect(() => toMs(text as number)).toThrow(/not a duration/);
  });
});
