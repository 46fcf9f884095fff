/**
 * `/api/v1` and its document: every documented route is served, every answer is as documented.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { coordinator, freshGid, type HttpReply, sagaBody } from "./harness.js";

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly content: Readonly<Record<string, { schema: object }>> }>>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

const c = coordinator();
const ajv = new Ajv2020({ strict: false, formats: { "date-time": (text: string) => !Number.isNaN(Date.parse(text)) } });
let document: Document;

beforeAll(async () => {
  const reply = await c.get("/api/v1/openapi.json");
  document = reply.json as unknown as Document;
  ajv.addSchema({ $id: "doc", components: document.components }, "doc");
});
afterAll(() => c.close());

/** Fails unless the answer is one that the document names for the operation, in the shape it gives. */
function asDocumented(method: string, path: string, reply: HttpReply): HttpReply {
  const operation = document.paths[path]?.[method];
  const schema = operation?.responses[String(reply.status)]?.content["application/json"]?.schema;
  expect(schema, `${method} ${path} answered ${reply.status}: ${reply.text}`).toBeDefined();
  const absolute = JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"doc#/components'));
  const validate = ajv.compile(absolute);
  expect(validate(reply.json), `${path}: ${ajv.errorsText(validate.errors)} in ${reply.text}`).toBe(true);
  return reply;
}

describe("the document", () => {
  it("is OpenAPI 3.1 with an operation of its own name for every route that is served", () => {
    expect(document.openapi).toBe("3.1.0");
    const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    const served = [...c.http.app.printRoutes({ commonPrefix: false }).matchAll(/\(([A-Z, ]+)\)$/gm)].flatMap(
      ([, methods]) => methods!.split(", "),
    );
    const undocumented = ["/api/json-rpc", "/api/v1/openapi.json", "/api/metrics", "/healthz", "/readyz"];
    expect(operations.length + undocumented.length).toBe(served.length);
    for (const [path, methods] of Object.entries(document.paths))
      for (const method of Object.keys(methods)) {
        const isServed = c.http.app.hasRoute({
          method: method.toUpperCase() as "GET",
          url: path.replace(/\{(\w+)\}/g, ":$1"),
        });
        expect(isServed, `${method} ${path}`).toBe(true);
      }
  });

  it("describes what DTM's routes answer, too", async () => {
    const gid = freshGid();
    const dtm = "/api/dtmsvr";
    asDocumented("post", `${dtm}/submit`, await c.post("submit", sagaBody(gid, { wait_result: true })));
    asDocumented("post", `${dtm}/submit`, await c.post("submit", sagaBody(gid, { payloads: ["other"] })));
    asDocumented("post", `${dtm}/submit`, await c.post("submit", {}));
    asDocumented("get", `${dtm}/query`, await c.get(`query?gid=${gid}`));
    asDocumented("get", `${dtm}/query`, await c.get("query?gid=nobody"));
    asDocumented("get", `${dtm}/query`, await c.get("query"));
    asDocumented("get", `${dtm}/all`, await c.get("all?limit=2"));
    asDocumented("get", `${dtm}/newGid`, await c.get("newGid"));
    asDocumented("get", `${dtm}/resetCronTime`, await c.get("resetCronTime?timeout=100000"));
    asDocumented("post", `${dtm}/abort`, await c.post("abort", { gid: freshGid(), trans_type: "tcc" }));
    const custom_data = '{"name":"w","data":"e30="}';
    const workflow = { gid: freshGid(), trans_type: "workflow", custom_data, lease_seconds: 5, executor_id: "me" };
    asDocumented("post", `${dtm}/prepareWorkflow`, await c.post("prepareWorkflow", workflow));
    const other = await c.post("prepareWorkflow", { ...workflow, custom_data: '{"name":"other"}' });
    expect(asDocumented("post", `${dtm}/prepareWorkflow`, other).status).toBe(409);
    asDocumented("get", `${dtm}/subscribe`, await c.get("subscribe?topic=t1&url=http://a.test/1"));
    asDocumented("get", `${dtm}/subscribe`, await c.get("subscribe?topic=t1&url=http://a.test/1"));
    asDocumented("get", `${dtm}/queryKV`, await c.get("queryKV?cat=topics"));
    asDocumented("get", `${dtm}/scanKV`, await c.get("scanKV?cat=topics"));
    asDocumented("get", "/api/v1/topics", await c.get("/api/v1/topics"));
  });
});

describe("one transaction", () => {
  it("is shown with its branches, and 404 says that there is none", async () => {
    const gid = `${freshGid()}/../;'*>`;
    await c.post("submit", sagaBody(gid, { wait_result: true }));
    const path = "/api/v1/transactions/{gid}";
    const found = asDocumented("get", path, await c.get(`/api/v1/transactions/${encodeURIComponent(gid)}`));
    expect(found.json.transaction).toMatchObject({ gid, status: "succeed" });
    expect(asDocumented("get", path, await c.get("/api/v1/transactions/nobody")).status).toBe(404);
  });

  it("has a history, event by event, that names branches and their ends", async () => {
    const gid = freshGid();
    c.participants.scripts.set("http://busi.test/history", () => ({ outcome: "failure", detail: "sold out" }));
    const steps = [{ action: "http://busi.test/history", compensate: "http://busi.test/undo" }];
    expect((await c.post("submit", sagaBody(gid, { wait_result: true, steps }))).status).toBe(409);
    const path = "/api/v1/transactions/{gid}/history";
    const history = asDocumented("get", path, await c.get(`/api/v1/transactions/${gid}/history`));
    const events = history.json.events as Record<string, unknown>[];
    expect(events.map(({ event, op, status }) => [event, op, status].filter(Boolean).join(" "))).toEqual([
      "created submitted",
      "started",
      "settled action failed",
      "aborting aborting",
      "started",
      "settled compensate succeed",
      "finished failed",
    ]);
    expect(events.find(({ event }) => event === "aborting")?.rollback_reason).toMatch(/sold out FAILURE$/);
    expect(asDocumented("get", path, await c.get("/api/v1/transactions/nobody/history")).status).toBe(404);
  });

  it("is parked, shown as parked without a next time, and goes on when it is un-parked or retried", async () => {
    const gid = freshGid();
    let answer: "unknown" | "success" = "unknown";
    c.participants.scripts.set("http://busi.test/parked", () => answer);
    const steps = [{ action: "http://busi.test/parked", compensate: "" }];
    await c.post("submit", sagaBody(gid, { wait_result: true, steps }));
    const of = (word: string) => `/api/v1/transactions/{gid}/${word}`;
    const park = await c.post(`/api/v1/transactions/${gid}/park`, { by: "ops", reason: "night" });
    expect(asDocumented("post", of("park"), park).status).toBe(200);
    const { transaction } = (await c.get(`query?gid=${gid}`)).json as { transaction: Record<string, unknown> };
    expect(transaction.parked).toMatchObject({ by: "ops", reason: "night" });
    expect(transaction.next_cron_time).toBeNull();
    expect((await c.get("/api/v1/transactions?parked=true")).text).toContain(gid);
    asDocumented("post", of("unpark"), await c.post(`/api/v1/transactions/${gid}/unpark`));
    expect((await c.stored(gid))?.parked).toBeUndefined();
    answer = "success";
    asDocumented("post", of("retry"), await c.post(`/api/v1/transactions/${gid}/retry`));
    await c.until(gid, "succeed");
    expect(asDocumented("post", of("stop"), await c.post(`/api/v1/transactions/${gid}/stop`)).status).toBe(409);
    expect(asDocumented("post", of("retry"), await c.post("/api/v1/transactions/nobody/retry")).status).toBe(404);
  });
});

describe("lists", () => {
  it("gives pages of heads with filters, and 400 for what it cannot read", async () => {
    const gids = [freshGid(), freshGid(), freshGid()];
    for (const gid of gids) await c.post("prepare", { gid, trans_type: "xa" });
    const path = "/api/v1/transactions";
    const seen: unknown[] = [];
    for (let cursor = ""; ; ) {
      const reply = asDocumented("get", path, await c.get(`${path}?trans_type=xa&limit=2&cursor=${cursor}`));
      seen.push(...(reply.json.transactions as { gid: string }[]).map(({ gid }) => gid));
      if (reply.json.next === undefined) break;
      cursor = encodeURIComponent(String(reply.json.next));
    }
    expect(seen.toSorted()).toEqual(gids.toSorted());
    for (const bad of ["status=weird", "trans_type=SAGA", "limit=abc", "parked=maybe", "cursor=%00nonsense"])
      expect(asDocumented("get", path, await c.get(`${path}?${bad}`)).status, bad).toBe(400);
  });

  it("shows targets, and the node with its figures", async () => {
    await c.post("submit", sagaBody(freshGid(), { wait_result: true }));
    const targets = asDocumented("get", "/api/v1/targets", await c.get("/api/v1/targets"));
    expect(targets.text).toContain("http://busi.test/TransOut");
    const status = asDocumented("get", "/api/v1/status", await c.get("/api/v1/status"));
    expect(status.json).toMatchObject({ node: "n1", store: "memory:", ready: true });
  });
});
