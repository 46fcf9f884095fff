/**
 * Queries, pages and the bulk reset over DTM's routes: S-HTTP-50…58, S-CRON-9.
 */
import { afterAll, describe, expect, it } from "vitest";
import { coordinator, freshGid, sagaBody } from "./harness.js";

const c = coordinator();
afterAll(() => c.close());

const tcc = (gid: string) => ({ gid, trans_type: "tcc" });

describe("query and all (S-HTTP-50…58)", () => {
  it("S-HTTP-50: no gid is refused, an unknown one is 200 with nulls", async () => {
    for (const path of ["query", "query?gid="]) {
      const reply = await c.get(path);
      expect([reply.status, reply.json]).toEqual([400, { message: "no gid specified" }]);
    }
    expect((await c.get("query?gid=nobody")).text).toBe('{"branches":[],"transaction":null}');
  });

  it("S-HTTP-55: a limit or a time that is no number is refused in DTM's words", async () => {
    for (const name of ["limit", "createTimeStart", "createTimeEnd"]) {
      const reply = await c.get(`all?${name}=abc`);
      expect([reply.status, reply.json.message]).toEqual([400, "convert to int error: abc"]);
    }
    for (const bad of ["status=weird", "transType=SAGA", "position=nonsense"])
      expect((await c.get(`all?${bad}`)).status, bad).toBe(400);
  });

  it("S-HTTP-56: one gid gives one transaction, or null", async () => {
    const gid = freshGid();
    await c.post("prepare", tcc(gid));
    const found = (await c.get(`all?gid=${gid}`)).json as { next_position: string; transactions: { gid: string }[] };
    expect([found.next_position, found.transactions.map((tx) => tx.gid)]).toEqual(["", [gid]]);
    expect((await c.get("all?gid=nobody")).text).toBe('{"next_position":"","transactions":null}');
    expect((await c.get(`all?createTimeStart=${Date.now() + 3_600_000}`)).json).toEqual({
      next_position: "",
      transactions: [],
    });
  });

  it("S-HTTP-57, 58: pages hold each transaction once; a limit below 1 is a page, too", async () => {
    const before = Date.now();
    const gids = Array.from({ length: 7 }, freshGid);
    for (const gid of gids) await c.post("prepare", { gid, trans_type: "xa" });
    const seen: string[] = [];
    for (let position = ""; ; ) {
      const path = `all?limit=3&transType=xa&status=prepared&createTimeStart=${before}&position=${position}`;
      const page = (await c.get(path)).json as { next_position: string; transactions: { gid: string }[] };
      expect(page.transactions.length).toBeLessThanOrEqual(3);
      seen.push(...page.transactions.map(({ gid }) => gid));
      if (page.next_position === "") break;
      position = encodeURIComponent(page.next_position);
    }
    expect(seen.toSorted()).toEqual(gids.toSorted()); // by id: newest first, within a millisecond by shard
    for (const limit of [0, -1, 5000]) {
      const { transactions } = (await c.get(`all?limit=${limit}`)).json as { transactions: unknown[] };
      expect(transactions.length).toBeGreaterThan(7);
      expect(transactions.length).toBeLessThanOrEqual(1000);
    }
  });
});

describe("a node with far too much work", () => {
  it("refuses lists and queries of what is not in memory, and serves what exists", async () => {
    const own = coordinator({ engine: { activeMax: 2 } });
    own.participants.scripts.set("http://busi.test/hang", () => new Promise(() => {}));
    const steps = Array.from({ length: 5 }, () => ({ action: "http://busi.test/hang" }));
    const gid = freshGid();
    await own.post(
      "submit",
      sagaBody(gid, { steps, payloads: steps.map(() => "x"), custom_data: '{"concurrent":true}' }),
    );
    await expect.poll(() => own.participants.inFlight).toBe(5);
    const lists = ["all", "resetCronTime", "queryKV?cat=topics", "scanKV"];
    const v1 = ["transactions", `transactions/${gid}/history`, "topics"].map((path) => `/api/v1/${path}`);
    for (const path of [...lists, ...v1, "query?gid=nobody"]) {
      const { status, headers } = await own.get(path);
      expect([path, status, headers["retry-after"]]).toEqual([path, 503, "1"]);
    }
    for (const path of [`query?gid=${gid}`, "/api/v1/status", "/api/v1/targets", "/api/metrics", "/readyz"])
      expect([path, (await own.get(path)).status]).toEqual([path, 200]);
    expect((await own.post("forceStop", { gid })).status).toBe(200);
    await own.close();
  });
});

describe("resetCronTime (S-CRON-9, S-HTTP-21)", () => {
  it("makes due what would wait longer, up to the limit, and says whether more may be left", async () => {
    const url = "http://busi.test/far";
    let answer: "unknown" | "success" = "unknown";
    c.participants.scripts.set(url, () => answer);
    const gids = Array.from({ length: 3 }, freshGid);
    for (const gid of gids)
      await c.post("submit", sagaBody(gid, { steps: [{ action: url }], retry_interval: 600_000, wait_result: true }));
    expect((await c.get("resetCronTime?timeout=1000000")).json).toEqual({ has_remaining: false, succeed_count: 0 });
    answer = "success";
    expect((await c.get("resetCronTime?timeout=100000&limit=2")).json).toEqual({
      has_remaining: true,
      succeed_count: 2,
    });
    expect((await c.post("resetCronTime?timeout=100000&limit=2")).json).toEqual({
      has_remaining: false,
      succeed_count: 1,
    });
    for (const gid of gids) await c.until(gid, "succeed");
  });

  it("S-CRON-9: spends its limit only on what has a next try, whatever newer ones wait for", async () => {
    const url = "http://busi.test/hour";
    let answer: "unknown" | "success" = "unknown";
    c.participants.scripts.set(url, () => answer);
    const gid = freshGid();
    await c.post("submit", sagaBody(gid, { steps: [{ action: url }], retry_interval: 600_000, wait_result: true }));
    const waiting = { timeout_to_fail: 5_000_000 };
    for (const type of ["tcc", "xa", "msg", "tcc", "xa", "msg"])
      await c.post("prepare", { gid: freshGid(), trans_type: type, ...waiting });
    const delayed = { trans_type: "msg", custom_data: '{"delay":2000000}', steps: [{ action: url }], payloads: ["{}"] };
    for (let i = 0; i < 3; i++) await c.post("submit", { gid: freshGid(), ...delayed });
    answer = "success";
    expect((await c.get("resetCronTime?timeout=100000&limit=2")).json).toEqual({
      has_remaining: false,
      succeed_count: 1,
    });
    await c.until(gid, "succeed");
    expect((await c.get("resetCronTime?timeout=100000&limit=2")).json.succeed_count).toBe(0);
  });

  it("leaves parked transactions alone (D8), which resetNextCronTime un-parks", async () => {
    const gid = freshGid();
    const url = "http://busi.test/night";
    c.participants.scripts.set(url, (_, nth) => (nth === 0 ? "unknown" : "success"));
    await c.post("submit", sagaBody(gid, { steps: [{ action: url }], retry_interval: 600_000, wait_result: true }));
    await c.post(`/api/v1/transactions/${gid}/park`);
    expect((await c.get("resetCronTime?timeout=0")).status).toBe(200);
    expect((await c.stored(gid))?.parked).toBeDefined();
    await c.post("resetNextCronTime", { gid });
    await c.until(gid, "succeed");
  });
});
