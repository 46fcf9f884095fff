/**
 * The metrics page (S-MET-1…8): DTM's names, labels from fixed tables, and what operators need besides.
 */
import { afterAll, describe, expect, it } from "vitest";
import { coordinator, freshGid, patient, sagaBody } from "./harness.js";

const c = coordinator();
afterAll(() => c.close());

const page = async () => (await c.get("/api/metrics")).text;

describe("metrics", () => {
  it("S-MET-1…6: keeps DTM's names, and counts what happened", async () => {
    c.participants.scripts.set("http://busi.test/no", () => "failure");
    await c.post("submit", sagaBody(freshGid(), { wait_result: true }));
    const gid = freshGid();
    const failing = [{ action: "http://busi.test/no", compensate: "http://busi.test/undo" }];
    await c.post("submit", sagaBody(gid, { steps: failing, wait_result: true }));
    const text = await page();
    expect((await c.get("/api/metrics")).headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const line of [
      /^dtm_server_info\{gin_version="\w+",grpc_version="\w+"\} 1$/m,
      /^dtm_server_process_total\{type="http",api="submit",status="ok"\} 1$/m,
      /^dtm_server_process_total\{type="http",api="submit",status="fail"\} 1$/m,
      /^dtm_server_response_duration_bucket\{le="0\.005",type="http",api="submit"\} \d$/m,
      /^dtm_transaction_process_total\{model="saga",status="ok"\} 1$/m,
      /^dtm_transaction_process_total\{model="saga",status="fail"\} 1$/m,
      /^dtm_transaction_handled_duration_count\{model="saga"\} 2$/m,
      /^dtm_branch_process_total\{model="saga",branchid="01",branchtype="action",status="ok"\} 1$/m,
      /^dtm_branch_process_total\{model="saga",branchid="01",branchtype="compensate",status="ok"\} 1$/m,
    ])
      expect(text).toMatch(line);
  });

  it("S-MET-2: counts refusals that no route makes: bodies too large or compressed, lengths that lie, no such path", async () => {
    const own = coordinator({ limits: { bodyBytes: 100 } });
    const failed = async (api: string) => {
      const { text } = await own.get("/api/metrics");
      return Number(
        text.match(`dtm_server_process_total\\{type="http",api="${api}",status="fail"\\} (\\d+)`)?.[1] ?? 0,
      );
    };
    expect((await own.post("submit", "x".repeat(200))).status).toBe(413);
    expect((await own.post("submit", "x", { "content-encoding": "gzip" })).status).toBe(415);
    expect((await own.post("submit", "x", { "content-length": "5" })).status).toBe(400);
    expect(await failed("submit")).toBe(3);
    expect((await own.get("nowhere")).status).toBe(404);
    expect((await own.get("/%zz")).status).toBe(400);
    expect((await own.get("query/")).status).toBe(301);
    expect((await own.post("nowhere", "x", { "content-encoding": "gzip" })).status).toBe(415);
    expect([await failed("unknown"), await failed("query")]).toEqual([3, 0]);
    expect((await own.get("/api/metrics")).text).toMatch(
      /^dtm_server_response_duration_count\{type="http",api="submit"\} 3$/m,
    );
    await own.close();
  });

  it("adds what operators need: stored by type and status, oldest age, queues, batches, calls, breakers, delay", async () => {
    const text = await page();
    for (const line of [
      /^tandem_transactions\{type="saga",status="succeed"\} 1$/m,
      /^tandem_oldest_unfinished_seconds [\d.e-]+$/m,
      /^tandem_commit_queue_length 0$/m,
      /^tandem_commit_batch_size_count [1-9]/m,
      /^tandem_calls_in_flight 0$/m,
      /^tandem_calls_total\{target="http:\/\/busi\.test\/TransOut",outcome="success"\} 1$/m,
      /^tandem_call_duration_seconds_count\{target="http:\/\/busi\.test\/TransOut"\} 1$/m,
      /^tandem_breaker_open\{target="http:\/\/busi\.test\/TransOut"\} 0$/m,
      /^nodejs_eventloop_lag_p99_seconds/m,
      /^process_resident_memory_bytes/m,
    ])
      expect(text).toMatch(line);
  });

  it("counts calls that were given up at their deadline by participant", async () => {
    const url = "http://busi.test/slow";
    c.participants.scripts.set(url, () => ({ outcome: "unknown", detail: "no answer", timedOut: true }));
    await c.post("submit", sagaBody(freshGid(), { steps: [{ action: url }], payloads: ["x"] }));
    await expect.poll(page, patient).toMatch(/^tandem_call_timeouts_total\{target="http:\/\/busi\.test\/slow"\} 1$/m);
  });

  it("are lines of the log at level debug: each request with its status, each call with what was said", async () => {
    const loud = coordinator({ debug: true });
    const gid = freshGid();
    loud.participants.scripts.set("http://busi.test/no", () => ({ outcome: "failure", detail: "sold out" }));
    await loud.post("submit", sagaBody(gid, { steps: [{ action: "http://busi.test/no" }], wait_result: true }));
    await loud.post("submit", "{");
    await loud.get("nowhere");
    const lines = loud.log
      .filter((line) => /^(?:request|call) /.test(line))
      .map((line) => line.replace(/,"ms":.*/, ""));
    await loud.close();
    expect(lines).toEqual([
      `call {"gid":"${gid}","type":"saga","branch":"01","op":"action","target":"http://busi.test/no",` +
        '"outcome":"failure","said":"sold out"',
      'request {"type":"http","api":"submit","status":409',
      'request {"type":"http","api":"submit","status":400',
      'request {"type":"http","api":"unknown","status":404',
    ]);
    expect(c.log.filter((line) => /^(?:request|call) /.test(line))).toEqual([]);
  });

  it("S-MET-7, S-BUG-23: no number of gids, paths, branches or workflow names makes more series", async () => {
    const series = async () => (await page()).split("\n").filter((line) => /^(dtm|tandem)_/.test(line)).length;
    const custom_data = (name: string) => JSON.stringify({ name, data: "" });
    const round = async (salt: string) => {
      for (let i = 0; i < 30; i++) {
        await c.get(`query?gid=${salt}${i}`);
        await c.get(`nowhere/${salt}${i}`);
        const workflow = { gid: freshGid(), trans_type: "workflow", custom_data: custom_data(`${salt}${i}`) };
        await c.post("prepareWorkflow", { ...workflow, query_prepared: "http://busi.test/wf", retry_interval: 1 });
        await c.post("resetNextCronTime", { gid: workflow.gid });
      }
      const steps = Array.from({ length: 600 }, (_, i) => ({ action: `http://busi.test/${salt}/${i}` }));
      await c.post("submit", sagaBody(freshGid(), { steps, payloads: steps.map(() => salt), wait_result: true }));
    };
    await round("a");
    await expect.poll(() => c.participants.calls.filter(({ type }) => type === "workflow").length, patient).toBe(30);
    const before = await series();
    await round("b");
    await expect.poll(() => c.participants.calls.filter(({ type }) => type === "workflow").length, patient).toBe(60);
    expect(await series()).toBe(before);
    expect(await page()).toMatch(/^tandem_calls_total\{target="other",outcome="success"\} [6-9]\d\d$/m);
  });

  it("tells the age of the oldest unfinished transaction by one look at the store, however many hang", async () => {
    const own = coordinator();
    own.participants.script = () => new Promise(() => {});
    await Promise.all([1, 2, 3].map(() => own.post("submit", sagaBody(freshGid()))));
    const [, , oldest] = (await own.store.list({}, undefined, 9)).heads;
    own.store.list = () => Promise.reject(new Error("not to be listed"));
    const before = Date.now();
    const text = (await own.get("/api/metrics")).text;
    const age = Number(text.match(/^tandem_oldest_unfinished_seconds (.*)$/m)?.[1]);
    expect(age).toBeGreaterThanOrEqual((before - oldest!.createdAtMs) / 1000);
    expect(age).toBeLessThanOrEqual((Date.now() - oldest!.createdAtMs) / 1000);
    await own.close();
  });

  it("leaves out what cannot be read, and nothing else, while the store is away", async () => {
    const own = coordinator();
    own.store.faults.down = true;
    const { status, text } = await own.get("/api/metrics");
    expect(status).toBe(200);
    expect(text).toContain("\ntandem_resident_transactions 0\n");
    expect(text).not.toMatch(/^tandem_(transactions|oldest_unfinished_seconds)[ {]/m);
    own.store.faults.down = false;
    expect((await own.get("/api/metrics")).text).toContain("\ntandem_oldest_unfinished_seconds 0\n");
    await own.close();
  });

  it("answers probes, and says not ready while the store takes no writes", async () => {
    expect((await c.get("/healthz")).text).toBe("ok");
    expect((await c.get("/readyz")).json).toMatchObject({ ready: true, store: "available" });
    c.store.faults.down = true;
    const submit = c.post("submit", sagaBody(freshGid()));
    await expect.poll(async () => (await c.get("/readyz")).status, patient).toBe(503);
    const down = await c.get("query?gid=nobody-knows");
    expect([down.status, down.headers["retry-after"]]).toEqual([503, "1"]);
    expect((await c.get("subscribe?topic=t&url=http://a.test/")).status).toBe(503);
    expect((await c.get("all")).status).toBe(503);
    expect((await c.get("/healthz")).status).toBe(200);
    const status = await c.get("/api/v1/status");
    expect([status.status, status.json.ready, "transactions" in status.json]).toEqual([200, false, false]);
    c.store.faults.down = false;
    expect([200, 503]).toContain((await submit).status);
    await expect.poll(async () => (await c.post("submit", sagaBody(freshGid()))).status, patient).toBe(200);
    await expect.poll(async () => (await c.get("/readyz")).status, patient).toBe(200);
  });
});
