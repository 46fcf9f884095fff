// The same routes behind every framework: what the coordinator sends is understood, what it understands is answered.
import { createServer } from "node:http";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { memoryBarrier } from "../../../src/client/barrier/memory.js";
import {
  currentDelivery,
  defineStep,
  Failure,
  fetchHandler,
  Ongoing,
  route,
  type StandardSchema,
} from "../../../src/client/index.js";
import { tandemRoutes as expressRoutes } from "../../../src/client/participant/express.js";
import { tandemRoutes as fastifyRoutes } from "../../../src/client/participant/fastify.js";
import { mountRoutes } from "../../../src/client/participant/hono.js";
import { listen, stop } from "../e2e/service.js";

const db = memoryBarrier();
const echo = defineStep({
  path: "/echo",
  guard: db,
  action: async (_tx, input, { branch }) => ({ input, op: branch.op }),
  compensate: async () => {},
});
const routes = [
  ...echo.routes,
  route("/refuse", () => {
    throw new Failure("no", { details: { left: 1 } });
  }),
  route("/later", () => {
    throw new Ongoing("soon");
  }),
  route("/broken", () => {
    throw new Error("oops");
  }),
  route("/context", () => ({ gid: currentDelivery()?.branch.gid })),
];

/** What was told of unexpected errors. */
const told: { readonly message: string; readonly error: unknown }[] = [];
const options = { onError: (message: string, error: unknown) => void told.push({ message, error }) };

type Running = { url: string; stop(): Promise<unknown> };

const frameworks: Readonly<Record<string, () => Promise<Running>>> = {
  express: async () => {
    const app = express();
    app.use(expressRoutes(routes, options));
    const server = createServer(app);
    return { url: await listen(server), stop: () => stop(server) };
  },
  "express after a JSON parser": async () => {
    const app = express();
    app.use(express.json());
    app.use(expressRoutes(routes, options));
    const server = createServer(app);
    return { url: await listen(server), stop: () => stop(server) };
  },
  "node:http": async () => {
    const server = createServer(expressRoutes(routes, options));
    return { url: await listen(server), stop: () => stop(server) };
  },
  fastify: async () => {
    const app = fastify();
    await app.register(fastifyRoutes(routes, options));
    return { url: await app.listen({ port: 0, host: "127.0.0.1" }), stop: () => app.close() };
  },
  hono: async () => {
    const app = mountRoutes(new Hono(), routes, options);
    return overFetch(async (request) => app.fetch(request));
  },
  fetch: async () => {
    const handler = fetchHandler(routes, options);
    return overFetch(async (request) => (await handler(request)) ?? new Response("", { status: 404 }));
  },
};

/** Fetch-style handlers are called through a plain server, as their runtimes do. */
async function overFetch(handler: (request: Request) => Promise<Response>): Promise<Running> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = "GET" } = request;
    const body = method === "GET" ? undefined : Buffer.concat(chunks);
    const answer = await handler(new Request(`http://h${request.url}`, { method, body }));
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
  });
  return { url: await listen(server), stop: () => stop(server) };
}

let count = 0;
const query = (op = "action") => `gid=adapter-${count++}&trans_type=saga&branch_id=01&op=${op}`;

describe.each(Object.entries(frameworks))("participants behind %s", (name, start) => {
  let app: Running;
  const post = async (path: string, body?: string, type = "application/json") => {
    const init = { method: "POST", body, headers: { "content-type": type } };
    const response = await fetch(`${app.url}${path}`, body === undefined ? {} : init);
    return { status: response.status, body: JSON.parse((await response.text()) || "null") as unknown };
  };

  beforeAll(async () => {
    app = await start();
  });
  afterAll(() => app.stop());

  // Express's own parser has a limit of its own, which its user sets.
  it.runIf(!name.includes("parser"))("takes payloads of several megabytes", async () => {
    const text = "x".repeat(3_000_000);
    const { status, body } = await post(`/echo?${query()}`, JSON.stringify({ text }));
    expect([status, JSON.stringify(body).length > text.length]).toEqual([200, true]);
  });

  it("get the branch and the payload, and answer the value", async () => {
    const answer = await post(`/echo?${query()}`, '{"a":[1,"ä"]}');
    expect(answer).toEqual({ status: 200, body: { input: { a: [1, "ä"] }, op: "action" } });
  });

  it("are called with GET when there is no payload, and answer a skip as DTM's success", async () => {
    expect((await post(`/echo?${query()}`)).status).toBe(200);
    expect(await post(`/echo/compensate?${query("compensate")}`)).toEqual({
      status: 200,
      body: { dtm_result: "SUCCESS" },
    });
  });

  it("tell a logger of what nobody expected, whose it was and what to do; of refusals and delays nothing", async () => {
    told.length = 0;
    const ids = query();
    for (const path of ["/refuse", "/later", "/broken"]) await post(`${path}?${ids}`);
    const [gid] = /adapter-\d+/.exec(ids) ?? [];
    expect(told).toEqual([
      {
        message: expect.stringMatching(
          `^action of ${gid}/01 at .*/broken: oops \\(it is called again .* throw Failure`,
        ),
        error: expect.objectContaining({ message: "oops", stack: expect.stringContaining("adapters.test") }),
      },
    ]);
    await post("/context?op=action");
    expect(told[1]?.message).toMatch(
      /^action of \(no gid\)\/.* no trans_type, gid, branch_id .*called by a coordinator/,
    );
  });

  it("answer refusal, delay and breakdown with 409, 425 and 500", async () => {
    expect(await post(`/refuse?${query()}`, "{}")).toMatchObject({ status: 409, body: { details: { left: 1 } } });
    expect(await post(`/later?${query()}`, "{}")).toMatchObject({ status: 425 });
    expect(await post(`/broken?${query()}`, "{}")).toMatchObject({ status: 500, body: { error: "oops" } });
  });

  it("answer 400 to a call without a branch, or for another op than theirs", async () => {
    expect(await post("/echo", "{}")).toMatchObject({ status: 400, body: { error: expect.stringContaining("gid") } });
    expect(await post(`/echo?${query("compensate")}`, "{}")).toMatchObject({ status: 400 });
  });

  it("know their branch anywhere inside the handler", async () => {
    const answer = await post(`/context?${query()}`, "{}");
    expect(answer.body).toEqual({ gid: `adapter-${count - 1}` });
  });

  it("take a payload whatever its content type says", async () => {
    const answer = await post(`/echo?${query()}`, '{"a":1}', "application/json; charset=utf-8");
    expect(answer.body).toMatchObject({ input: { a: 1 } });
  });
});

describe("participants", () => {
  it("turn a refusal of a compensation into an error that says it cannot be refused", async () => {
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    const step = defineStep({
      path: "/s",
      guard: db,
      action: async () => {},
      compensate: async () => {
        throw new Failure("I will not");
      },
    });
    const [action, undo] = step.routes;
    const branch = "gid=stubborn&trans_type=saga&branch_id=01";
    await action!.handle({ url: `/s?${branch}&op=action`, body: "" });
    const answer = await undo!.handle({ url: `/s/compensate?${branch}&op=compensate`, body: "" });
    expect(answer).toMatchObject({ status: 500, body: expect.stringContaining("It cannot refuse") });
    expect((await warned).message).toContain("compensate of stubborn/01 refused: I will not");
  });

  it("refuse an invalid payload by their schema, and compensate it to no effect", async () => {
    const schema: StandardSchema<number> = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) =>
          typeof value === "number" ? { value } : { issues: [{ message: "no number", path: ["a", { key: 1 }] }] },
      },
    };
    const seen: string[] = [];
    const step = defineStep({
      path: "/n",
      guard: db,
      input: schema,
      action: async (_tx, input) => {
        seen.push(`did ${input.toFixed(1)}`);
      },
      compensate: async () => {
        seen.push("undid");
      },
    });
    const [action, undo] = step.routes;
    const branch = "gid=invalid&trans_type=saga&branch_id=01";
    const refused = await action!.handle({ url: `/n?${branch}&op=action`, body: '"x"' });
    expect(refused.status).toBe(409);
    const issues = [{ message: "no number", path: ["a", "1"] }];
    expect(JSON.parse(refused.body)).toMatchObject({ details: { issues } });
    expect((await undo!.handle({ url: `/n/compensate?${branch}&op=compensate`, body: '"x"' })).status).toBe(200);
    expect(seen).toEqual([]);
  });
});
