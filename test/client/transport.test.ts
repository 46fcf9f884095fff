// The client when the coordinator is away, slow or says no; and input that never leaves the process.
import { describe, expect, it } from "vitest";
import type { ApiAnswer, Endpoint, Operation } from "../../src/client/api.js";
import { createClient, Failure, newGid, Rejected, type SagaOrder, TandemError } from "../../src/client/index.js";

type Answerer = (operation: Operation, body: Readonly<Record<string, unknown>>, call: number) => ApiAnswer | Error;

/** An endpoint that answers from a script and keeps what it was asked. */
function scripted(name: string, answer: Answerer) {
  const calls: { operation: Operation; body: Readonly<Record<string, unknown>> }[] = [];
  const endpoint: Endpoint = {
    address: name,
    async call(operation, body, signal) {
      signal.throwIfAborted();
      calls.push({ operation, body });
      const given = answer(operation, body, calls.length);
      if (given instanceof Error) throw given;
      return given;
    },
  };
  return { endpoint, calls };
}

const ok: ApiAnswer = { status: 200, body: { dtm_result: "SUCCESS" } };
const step = { action: "http://p/a", compensate: "http://p/c" };
const at = (...endpoints: (Endpoint | string)[]) => createClient({ endpoints });
const cannotSubmit: ApiAnswer = {
  status: 409,
  body: { message: "current status 'failed', cannot sumbmit. FAILURE" },
};
const stored = (status: string, rollback_reason?: string): ApiAnswer => ({
  status: 200,
  body: { transaction: { status, rollback_reason } },
});

describe("a client with several endpoints", () => {
  it("asks the next one when one is away, and stays with the one that answered", async () => {
    const away = scripted("a", () => new Error("connection refused"));
    const good = scripted("b", () => ok);
    const client = at(away.endpoint, good.endpoint);
    await client.saga().step(step).submit();
    await client.saga().step(step).submit();
    expect([away.calls.length, good.calls.length]).toEqual([1, 2]);
  });

  it.each([2, 3, 8])(
    "leaves an endpoint that is away once, however many calls fail there at a time (%i)",
    async (calls) => {
      const away = scripted("a", () => new Error("connection refused"));
      const good = scripted("b", () => ok);
      const client = at(away.endpoint, good.endpoint);
      await Promise.all(Array.from({ length: calls }, () => client.saga().step(step).submit()));
      expect([away.calls.length, good.calls.length]).toEqual([calls, calls]);
    },
  );

  it.each([429, 502, 503, 504])("takes %i for away", async (status) => {
    const away = scripted("a", () => ({ status, body: {} }));
    const good = scripted("b", () => ok);
    expect(await at(away.endpoint, good.endpoint).saga().step(step).submit()).toMatchObject({ status: "pending" });
  });

  it("sends the same gid and content every time", async () => {
    const flaky = scripted("a", (_operation, _body, call) => (call < 3 ? new Error("lost") : ok));
    await at(flaky.endpoint).saga().step(step, { n: 1 }).submit();
    expect(flaky.calls).toHaveLength(3);
    expect(new Set(flaky.calls.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  });

  it("says whom it asked and that the outcome is not known, when nobody answers", async () => {
    const away = scripted("http://a", () => new Error("connection refused"));
    const client = createClient({ endpoints: [away.endpoint], retry: { attempts: 2 } });
    const error = await client
      .saga({ gid: "g1" })
      .step(step)
      .submit()
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "DTX_UNREACHABLE",
      gid: "g1",
      message: expect.stringMatching(/http:\/\/a: connection refused$/),
      hint: expect.stringMatching(/a coordinator run there .*It may have arrived/),
    });
    expect(away.calls).toHaveLength(2);
  });

  it("stops at once when its signal is aborted", async () => {
    const away = scripted("a", () => new Error("connection refused"));
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(at(away.endpoint).saga({ signal }).step(step).submit()).rejects.toThrow("enough");
    expect(away.calls).toHaveLength(0);
  });
});

describe("a submit", () => {
  it("is resolved by asking when its first answer was lost and the transaction has failed since", async () => {
    const late = scripted("a", (operation, _body, call) => {
      if (call === 1) return new Error("answer lost");
      if (operation === "submit") return cannotSubmit;
      return stored("failed", "no money");
    });
    const state = await at(late.endpoint).saga({ gid: "g" }).step(step).submit();
    expect(state).toEqual({ gid: "g", status: "failed", reason: "no money" });
  });

  it("is rejected when the gid was used for something else", async () => {
    const taken = scripted("a", (operation) =>
      operation === "query"
        ? stored("succeed")
        : { status: 409, body: { message: "cannot sumbmit. It was submitted with other content. FAILURE" } },
    );
    await expect(at(taken.endpoint).saga().step(step).submit()).rejects.toThrow(Rejected);
  });

  it("is rejected with the coordinator's words when the content is wrong", async () => {
    const picky = scripted("a", () => ({ status: 400, body: { message: "steps[0].action: no URL" } }));
    await expect(at(picky.endpoint).saga().step(step).submit()).rejects.toThrow(/400: steps\[0\].action: no URL/);
  });

  it("waits by asking on when the coordinator's patience is shorter", async () => {
    const slow = scripted("a", (operation, _body, call) => {
      if (operation === "submit") return { status: 425, body: {} };
      return stored(call < 4 ? "submitted" : "succeed");
    });
    expect(await at(slow.endpoint).saga({ wait: "5s" }).step(step).submit()).toMatchObject({ status: "succeeded" });
  });

  it("is pending when the time is up, which is no error", async () => {
    const slow = scripted("a", (operation) =>
      operation === "submit" ? { status: 425, body: {} } : stored("submitted"),
    );
    expect(await at(slow.endpoint).saga({ wait: 150 }).step(step).submit()).toMatchObject({ status: "pending" });
  });

  it("of a tcc that was rolled back by timeout is a failure, never a success", async () => {
    for (const status of ["aborting", "failed"]) {
      const late = scripted("a", (operation) => {
        if (operation === "query") return stored(status, "timeout");
        return operation === "submit" ? { status: 409, body: { message: `current status '${status}'` } } : ok;
      });
      await expect(at(late.endpoint).tcc(async () => 1)).rejects.toThrow(Failure);
    }
  });

  it("of a tcc with unknown outcome is never followed by an abort", async () => {
    const lost = scripted("a", (operation) => (operation === "submit" ? new Error("lost") : ok));
    const client = createClient({ endpoints: [lost.endpoint], retry: { attempts: 2 } });
    await expect(client.tcc(async () => 1)).rejects.toMatchObject({ code: "DTX_UNREACHABLE" });
    expect(lost.calls.map(({ operation }) => operation)).toEqual(["prepare", "submit", "submit"]);
  });
});

describe("what cannot be right is refused before anything is sent", () => {
  const silent = scripted("a", () => new Error("must not be asked"));
  const client = at(silent.endpoint);
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;

  it.each([
    ["no steps", () => client.saga().submit(), /1 to 1000 steps/],
    [
      "a step that waits for a later one",
      () =>
        client
          .saga()
          .step(step)
          .step(step)
          .parallel({ 0: [1] } as SagaOrder)
          .submit(),
      /order 0/,
    ],
    [
      "a step that does not exist",
      () =>
        client
          .saga()
          .step(step)
          .parallel({ 3: [0] })
          .submit(),
      /order 3/,
    ],
    ["a payload with a cycle", async () => client.saga().step(step, cycle), /payload of step 0 .* cannot be written/],
    ["a function as payload", async () => client.saga().step(step, () => 1), /is a function/],
    ["a gid with a quote", async () => client.saga({ gid: "a'b" }), /quote/],
    ["a gid that is too long", async () => client.saga({ gid: "x".repeat(129) }), /129 characters/],
    ["an empty gid", async () => client.saga({ gid: "" }), /0 characters/],
    ["a timeout below a second", () => client.saga({ timeoutToFail: 0 }).step(step).submit(), /at least a second/],
    ["a message without target", () => client.msg().submit(), /no target/],
    [
      "a message without check-back",
      async () =>
        client
          .msg()
          .to("http://p")
          .doAndSubmit(async () => 1),
      /check-back URL/,
    ],
    ["an XA gid that fits no xid", () => client.xa({ gid: "x".repeat(62) }, async () => 1), /part of an xid/],
  ])("%s", async (_, act, message) => {
    const error = await Promise.resolve()
      .then<unknown>(act)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TandemError);
    expect((error as TandemError).message).toMatch(message);
    expect(silent.calls).toEqual([]);
  });

  it.each(["localhost:36789", "ftp://h", "", "grpc://h:1"])("the address %j", (address) => {
    expect(() => at(address)).toThrow(/not an address of a coordinator/);
  });

  it("a change after the saga was sent", async () => {
    const saga = at(scripted("a", () => ok).endpoint)
      .saga()
      .step(step);
    await saga.submit();
    expect(() => saga.step(step)).toThrow(/cannot be changed/);
  });
});

describe("a new gid", () => {
  it("is short, lower case, and sorts by time", () => {
    const [early, late] = [newGid(1_000), newGid(2_000)];
    expect(early).toMatch(/^[0-9a-z]{26}$/);
    expect(early < late).toBe(true);
    expect(newGid()).not.toBe(newGid());
  });
});
