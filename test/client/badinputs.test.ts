// Mistakes of users, and what they are told: what is wrong, and what to do.

import { describe, expect, it } from "vitest";
import { type MemoryTx, memoryBarrier } from "../../src/client/barrier/memory.js";
import {
  barrierFrom,
  createClient,
  type Delivery,
  defineStep,
  type Endpoint,
  Failure,
  readIdentity,
  type SagaOrder,
  type SagaStep,
  TandemError,
  type TccStep,
  workflow,
  type XaStep,
} from "../../src/client/index.js";
import { type Route, route } from "../../src/client/participant/route.js";

const accepting: Endpoint = { address: "accepting", call: async () => ({ status: 200, body: {} }) };
const client = createClient({ endpoints: [accepting], retry: { attempts: 1 } });
const step = { action: "http://p/a", compensate: "http://p/c" };

const thrown = async (deed: () => unknown): Promise<unknown> => {
  try {
    return await deed();
  } catch (error) {
    return error;
  }
};

const cycle: { self?: unknown } = {};
cycle.self = cycle;

const anyStep = defineStep({
  ...{ path: "/a", guard: memoryBarrier() },
  action: async () => {},
  compensate: async () => {},
});

interface Mistake {
  readonly deed: () => unknown;
  readonly code: string;
  readonly says: RegExp;
  readonly hint: RegExp;
}

const mistakes: Readonly<Record<string, Mistake>> = {
  "a delivery without ids": {
    deed: () => readIdentity("http://p/a"),
    ...{
      code: "DTX_INVALID_BRANCH",
      says: /carries no trans_type, gid, branch_id, op/,
      hint: /called by a coordinator/,
    },
  },
  "a header of the transaction that the coordinator says itself": {
    deed: () =>
      client
        .saga({ headers: { "DTM-Gid": "other" } })
        .step(step as SagaStep<unknown>, 1)
        .submit(),
    ...{ code: "DTX_INVALID_INPUT", says: /header "dtm-gid" cannot go along/, hint: /grpc- or dtm-/ },
  },
  "a header of a step with a letter beyond ASCII": {
    deed: () => client.saga().step({ ...step, headers: { tenant: "Zürich" } } as SagaStep<unknown>, 1),
    ...{ code: "DTX_INVALID_INPUT", says: /header "tenant" cannot go along/, hint: /visible ASCII/ },
  },
  "a header whose name is no token": {
    deed: () => client.saga().step({ ...step, headers: { "my tenant": "a" } } as SagaStep<unknown>, 1),
    ...{ code: "DTX_INVALID_INPUT", says: /header "my tenant"/, hint: /HTTP token/ },
  },
  "the body in place of the request": {
    deed: () => barrierFrom({ amount: 30 }),
    ...{ code: "DTX_INVALID_BRANCH", says: /carries no/, hint: /not its body/ },
  },
  "a delivery's gid of 129 characters": {
    deed: () => readIdentity(`?gid=${"x".repeat(129)}&trans_type=saga&branch_id=01&op=action`),
    ...{ code: "DTX_INVALID_BRANCH", says: /gid has more than 128 characters/, hint: /shorter/ },
  },
  "a delivery's op with a line break": {
    deed: () => readIdentity("?gid=g&trans_type=saga&branch_id=01&op=a%0Ab"),
    ...{ code: "DTX_INVALID_BRANCH", says: /op has control characters/, hint: /ids may hold/ },
  },
  "nothing at all for a delivery": {
    deed: () => readIdentity(undefined as never),
    ...{ code: "DTX_INVALID_BRANCH", says: /cannot read a branch from undefined/, hint: /request itself/ },
  },
  "a gid with a quote": {
    deed: () => client.saga({ gid: "it's" }),
    ...{ code: "DTX_INVALID_INPUT", says: /has a quote/, hint: /letters, digits/ },
  },
  "a gid of 129 characters": {
    deed: () => client.saga({ gid: "x".repeat(129) }),
    ...{ code: "DTX_INVALID_INPUT", says: /129 characters, 1 to 128/, hint: /letters, digits/ },
  },
  "an xa gid that no xid can hold": {
    deed: () => client.xa({ gid: "ä" }, async () => {}),
    ...{ code: "DTX_INVALID_INPUT", says: /part of an xid/, hint: /at most 61/ },
  },
  "an address without scheme": {
    deed: () => createClient({ endpoints: ["localhost:36789"] }),
    ...{ code: "DTX_INVALID_INPUT", says: /not an address of a coordinator: "localhost:36789"/, hint: /http:\/\/host/ },
  },
  "no address": {
    deed: () => createClient({ endpoints: [] }),
    ...{ code: "DTX_INVALID_INPUT", says: /has no endpoint/, hint: /http:\/\/host/ },
  },
  "a duration in words": {
    deed: () =>
      client
        .saga({ wait: "soon" as never })
        .step(step)
        .submit(),
    ...{ code: "DTX_INVALID_INPUT", says: /not a duration: "soon"/, hint: /"30s"/ },
  },
  "a payload with a cycle": {
    deed: () => client.saga().step(step as SagaStep<unknown>, cycle),
    ...{ code: "DTX_INVALID_INPUT", says: /payload of step 0 .* cannot be written as JSON/, hint: /plain data/ },
  },
  "a payload that is a function": {
    deed: () => client.saga().step(step as SagaStep<unknown>, () => 1),
    ...{ code: "DTX_INVALID_INPUT", says: /is a function, which JSON cannot hold/, hint: /plain data/ },
  },
  "a saga without steps": {
    deed: () => client.saga().submit(),
    ...{ code: "DTX_INVALID_INPUT", says: /1 to 1000 steps, not 0/, hint: /step\(/ },
  },
  "a definition in place of its reference": {
    deed: () => client.saga().step(anyStep as unknown as SagaStep<undefined>),
    ...{ code: "DTX_INVALID_INPUT", says: /step 0 names no action, compensate to call/, hint: /at\("http:\/\/host"\)/ },
  },
  "a step without its compensation": {
    deed: () =>
      client
        .saga()
        .step(step)
        .step({ action: "http://p/a" } as SagaStep<undefined>),
    ...{ code: "DTX_INVALID_INPUT", says: /step 1 names no compensate to call/, hint: /"" where nothing/ },
  },
  "nothing in place of a step": {
    deed: () => client.saga().step(undefined as unknown as SagaStep<undefined>),
    ...{ code: "DTX_INVALID_INPUT", says: /step 0 names no action, compensate/, hint: /at\(/ },
  },
  "a branch of a tcc without its confirm": {
    deed: () => client.tcc({}, (tcc) => tcc.call({ try: "http://p/t", cancel: "" } as TccStep, {})),
    ...{ code: "DTX_INVALID_INPUT", says: /branch of a tcc names no confirm/, hint: /"" where nothing/ },
  },
  "an XA branch without its address": {
    deed: () => client.xa({}, (xa) => xa.call({} as XaStep, {})),
    ...{ code: "DTX_INVALID_INPUT", says: /XA branch names no url/, hint: /URLs/ },
  },
  "a message to a definition": {
    deed: () => client.msg().to(anyStep as unknown as XaStep, {}),
    ...{ code: "DTX_INVALID_INPUT", says: /target of a message names no url/, hint: /at\(/ },
  },
  "a workflow that was not registered": {
    deed: () => client.workflows([], { callbackUrl: "http://me/wf" }).execute(workflow("lonely", async () => {})),
    ...{ code: "DTX_INVALID_INPUT", says: /'lonely' is not registered/, hint: /client\.workflows/ },
  },
  "the address of another server": {
    deed: () => {
      const call = async () => ({ status: 404, body: { message: "Not Found" } });
      return createClient({ endpoints: [{ address: "a shop", call }] })
        .saga()
        .step(step)
        .submit();
    },
    ...{ code: "DTX_REJECTED", says: /answered submit with 404: Not Found/, hint: /is this a coordinator\?/ },
  },
  "an order that waits for a later step": {
    deed: () =>
      client
        .saga()
        .step(step)
        .step(step)
        .parallel({ 0: [1] } as SagaOrder)
        .submit(),
    ...{ code: "DTX_INVALID_INPUT", says: /order 0: \[1\]/, hint: /earlier/ },
  },
  "a message without a check-back": {
    deed: () =>
      client
        .msg()
        .to("http://p/a")
        .commitWith(memoryBarrier(), async () => {}),
    ...{ code: "DTX_INVALID_INPUT", says: /needs a check-back URL/, hint: /checkBackUrl/ },
  },
  "a message without a target": {
    deed: () => client.msg().submit(),
    ...{ code: "DTX_INVALID_INPUT", says: /has no target/, hint: /to\(/ },
  },
  "a step's base that is no URL": {
    deed: () => reserve(async () => {}).at("stock"),
    ...{ code: "DTX_INVALID_INPUT", says: /not a base URL: "stock"/, hint: /http:\/\/host:port/ },
  },
  "a participant's URL of a scheme that is not called from here": {
    deed: () => client.tcc((t) => t.call({ try: "amqp://q", confirm: "", cancel: "" }, {})),
    ...{ code: "DTX_INVALID_INPUT", says: /amqp:\/\/q/, hint: /grpcCalls/ },
  },
  "two barrier calls of one number": {
    deed: () => {
      const delivery = barrierFrom("?gid=g&trans_type=saga&branch_id=01&op=action");
      delivery.nextBarrierId(1);
      delivery.nextBarrierId(1);
    },
    ...{ code: "DTX_INVALID_INPUT", says: /barrier id 1 cannot be used \(again\)/, hint: /its own id/ },
  },
  "a coordinator that is away": {
    deed: () => createClient({ endpoints: ["http://127.0.0.1:9"], retry: { attempts: 1 } }).query("g"),
    ...{
      code: "DTX_UNREACHABLE",
      says: /no coordinator answered query at http:\/\/127.0.0.1:9.*: (connect ECONNREFUSED|bad port)/,
      hint: /ask|repeat|right/,
    },
  },
  "the gid of a workflow that is running here with another input": {
    deed: async () => {
      const count = workflow("count", async (_flow, to: number) => to);
      const silent: Endpoint = { address: "silent", call: () => new Promise(() => {}) };
      const flows = createClient({ endpoints: [silent] }).workflows([count], { callbackUrl: "http://me/wf" });
      void flows.execute(count, { gid: "g" }, 1).catch(() => {});
      await flows.execute(count, { gid: "g" }, 2);
    },
    ...{ code: "DTX_INVALID_INPUT", says: /g is running here with another name or input/, hint: /gid of its own/ },
  },
  "a workflow without a name": {
    deed: () => workflow("", async () => {}),
    ...{ code: "DTX_INVALID_INPUT", says: /1 to 45 characters/, hint: /stored with every run/ },
  },
};

function reserve(compensate: () => Promise<void>, action: () => Promise<unknown> = async () => {}) {
  return defineStep<MemoryTx, unknown>({ path: "/reserve", guard: memoryBarrier(), action, compensate });
}

describe("a user who gives", () => {
  it.each(Object.entries(mistakes))(
    "%s is told what is wrong and what to do",
    async (_, { deed, code, says, hint }) => {
      const error = await thrown(deed);
      expect(error).toBeInstanceOf(TandemError);
      expect(error).toMatchObject({ code, message: expect.stringMatching(says), hint: expect.stringMatching(hint) });
    },
  );
});

describe("a handler that", () => {
  const branch = (op: string) => `?gid=g&trans_type=saga&branch_id=01&op=${op}`;
  const call = async (to: Route, op: string) => {
    const { status, body } = await to.handle({ url: to.path + branch(op), body: "" });
    return { status, body: JSON.parse(body) as Record<string, unknown> };
  };

  it("refuses a compensation is called again, and says aloud why that is wrong", async () => {
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    const routes = reserve(async () => {
      throw new Failure("no");
    }).routes;
    await call(routes[0]!, "action");
    const answer = await call(routes[1]!, "compensate");
    expect(answer).toMatchObject({ status: 500, body: { error: expect.stringContaining("cannot refuse") } });
    expect(answer.body.hint).toMatch(/get through/);
    expect((await warned).message).toContain("compensate of g/01 refused");
  });

  it.each([
    ["a BigInt", 1n],
    ["a cycle", cycle],
    ["a function", () => 1],
  ])("returns %s is told so, and never answers half of it", async (_, value) => {
    const answer = await call(
      route("/odd", () => value),
      "action",
    );
    expect(answer).toMatchObject({
      status: 500,
      body: { error: expect.stringContaining("cannot be answered"), hint: expect.stringContaining("plain JSON data") },
    });
  });

  it("is called without a branch answers with the missing ids and what to look at", async () => {
    const { status, body } = await route("/x", () => 1).handle({ url: "/x?gid=g", body: "" });
    expect(status).toBe(400);
    expect(JSON.parse(body)).toMatchObject({
      error: "the delivery carries no trans_type, branch_id, op",
      hint: expect.stringContaining("called by a coordinator"),
    });
  });

  it("is at the address of another op says whose address it is", async () => {
    const answer = await call(reserve(async () => {}).routes[1]!, "action");
    expect(answer).toMatchObject({ status: 400, body: { error: expect.stringContaining("address of compensate") } });
    expect(answer.body.hint).toMatch(/at\(base\)/);
  });

  it("keeps its delivery is told that it was answered, before the barrier counts on under new numbers", async () => {
    const kept: Delivery[] = [];
    await call(
      route("/x", (delivery) => void kept.push(delivery)),
      "action",
    );
    const late = await thrown(() => memoryBarrier().run(kept[0]!, async () => 1));
    expect(late).toMatchObject({
      ...{ code: "DTX_INVALID_INPUT", message: expect.stringContaining("delivery of g/01 was answered before") },
      hint: expect.stringContaining("before the handler returns"),
    });
  });

  it("gets a body that is no JSON says so", async () => {
    const { status, body } = await route("/x", () => 1).handle({ url: `/x${branch("action")}`, body: "{" });
    expect([status, JSON.parse(body)]).toEqual([400, expect.objectContaining({ error: "the body is not JSON" })]);
    expect(JSON.parse(body).hint).toMatch(/JSON/);
  });
});
