/**
 * Topics and key-values (S-HTTP-23…27, 70…75; D29): effective at once, no subscriber lost,
 * deletion and re-creation right.
 */
import { afterAll, describe, expect, it } from "vitest";
import { coordinator, freshGid } from "./harness.js";

const c = coordinator();
afterAll(() => c.close());

const ok = { dtm_result: "SUCCESS" };
const subscribe = (topic: string, url: string, remark = "") =>
  c.get(`subscribe?topic=${topic}&url=${encodeURIComponent(url)}&remark=${remark}`);
const unsubscribe = (topic: string, url: string) => c.get(`unsubscribe?topic=${topic}&url=${encodeURIComponent(url)}`);
const remove = async (topic: string) => {
  const { statusCode, body } = await c.http.app.inject({ method: "DELETE", url: `/api/dtmsvr/topic/${topic}` });
  return { status: statusCode, json: JSON.parse(body) as Record<string, unknown> };
};
const entry = async (topic: string) => {
  const { kv } = (await c.get(`queryKV?cat=topics&key=${topic}`)).json as { kv: Record<string, unknown>[] };
  return kv[0];
};
const message = (topic: string, gid = freshGid()) => ({
  gid,
  trans_type: "msg",
  steps: [{ action: `topic://${topic}` }],
  payloads: ["{}"],
  wait_result: true,
});

describe("a topic", () => {
  it("S-HTTP-70, 74: is a key-value with a version; a message goes to all subscribers at once after it", async () => {
    expect((await subscribe("t1", "http://a.test/1", "rm")).json).toEqual(ok);
    expect((await subscribe("t1", "http://a.test/2")).json).toEqual(ok);
    expect(await entry("t1")).toMatchObject({
      cat: "topics",
      k: "t1",
      v: '[{"url":"http://a.test/1","remark":"rm"},{"url":"http://a.test/2","remark":""}]',
      version: 2,
    });
    const gid = freshGid();
    expect((await c.post("submit", message("t1", gid))).json).toEqual(ok);
    expect(c.participants.of(gid)).toEqual(["action 01-01", "action 01-02"]);
  });

  it("D29: incomplete is 400, twice is 409, what is not there is 404", async () => {
    expect((await c.get("subscribe?topic=&url=http://a.test")).json).toEqual({ message: "empty topic" });
    expect((await c.get("unsubscribe?topic=t2")).json).toEqual({ message: "empty url" });
    for (const url of ["file:///x", "http://me:pw@a.test/", "x", `http://a.test/${"x".repeat(1024)}`])
      expect((await subscribe("t2", url)).status, url).toBe(400);
    expect((await unsubscribe("t2", "http://a.test/1")).status).toBe(404);
    expect(await entry("t2")).toBeUndefined();
    await subscribe("t2", "http://a.test/1");
    const twice = await subscribe("t2", "http://a.test/1");
    expect([twice.status, twice.json]).toEqual([409, { dtm_result: "FAILURE", message: "this url exists" }]);
    expect((await unsubscribe("t2", "http://a.test/2")).json).toEqual({ message: "no such an url " });
    expect((await unsubscribe("t2", "http://a.test/1")).json).toEqual(ok);
    expect(await entry("t2")).toMatchObject({ v: "[]", version: 2 }); // S-HTTP-72
    expect((await unsubscribe("t2", "http://a.test/1")).json).toEqual({ message: "this topic is empty" });
    expect((await c.post("submit", message("t2"))).status).toBe(400);
    expect((await remove("t2")).status).toBe(200);
    expect((await remove("t2")).status).toBe(404);
  });

  it("S-BUG-17: deleted is gone, created again it has only its new subscribers", async () => {
    await subscribe("t3", "http://a.test/old");
    await subscribe("t3", "http://a.test/older");
    await remove("t3");
    const refused = await c.post("submit", message("t3"));
    expect([refused.status, refused.json.message]).toEqual([400, "topic not found: 't3'"]);
    await subscribe("t3", "http://a.test/new");
    const gid = freshGid();
    await c.post("submit", message("t3", gid));
    expect((await c.stored(gid))?.ops.map(({ branchId, url }) => `${branchId} ${url}`)).toEqual([
      "01 http://a.test/new",
    ]);
  });

  it("loses none of fifty subscribers that come at once", async () => {
    const replies = await Promise.all(Array.from({ length: 50 }, (_, i) => subscribe("t4", `http://a.test/${i}`)));
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
    const stored = await entry("t4");
    expect(stored?.version).toBe(50);
    expect((JSON.parse(String(stored?.v)) as unknown[]).length).toBe(50);
  });

  it("S-ODD-11: is changed by POST, too; names of all kinds are data", async () => {
    expect((await c.post("subscribe?topic=t5&url=http://a.test/1")).json).toEqual(ok);
    expect((await c.post("unsubscribe?topic=t5&url=http://a.test/1")).json).toEqual(ok);
    const odd = encodeURIComponent("a/b?c'd--ä");
    expect((await subscribe(odd, "http://a.test/1")).json).toEqual(ok);
    expect((await remove(odd)).status).toBe(200);
    expect((await subscribe("a%00b", "http://a.test/1")).status).toBe(400);
    expect((await subscribe("x".repeat(129), "http://a.test/1")).status).toBe(400);
    expect((await remove("%E0%A4%A")).status).toBe(400);
  });
});

describe("key-values", () => {
  it("S-HTTP-75: queryKV without match is empty; scanKV gives pages", async () => {
    for (let i = 0; i < 5; i++) await subscribe(`page${i}`, "http://a.test/1");
    expect((await c.get("queryKV?cat=topics&key=nobody")).text).toBe('{"kv":[]}');
    expect((await c.get("queryKV?key=page3")).json).toMatchObject({ kv: [{ k: "page3" }] });
    const seen: string[] = [];
    for (let position = ""; ; ) {
      const path = `scanKV?cat=topics&limit=2&position=${encodeURIComponent(position)}`;
      const page = (await c.get(path)).json as { kv: { k: string }[]; next_position: string };
      expect(page.kv.length).toBeLessThanOrEqual(2);
      seen.push(...page.kv.map(({ k }) => k));
      if (page.next_position === "") break;
      position = page.next_position;
    }
    expect(seen.filter((key) => key.startsWith("page"))).toEqual(["page0", "page1", "page2", "page3", "page4"]);
    expect(new Set(seen).size).toBe(seen.length);
    expect((await c.get("scanKV?limit=x")).json).toEqual({ message: "convert to int error: x" });
  });
});
