/**
 * The alert webhook: what it is told (S-RTY-10), and that it is told again when it was away (S-BUG-22).
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { Alerts } from "../../src/alerts.js";
import { virtualClock } from "../engine/harness.js";

const stuck = { gid: "g1", status: "submitted", branch: "http://b/pay", error: "resp 500", retryCount: 3 };
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A hook that answers with these statuses in turn, the last one for ever. */
async function hook(...statuses: number[]) {
  const bodies: string[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    bodies.push(body);
    response.statusCode = statuses.length > 1 ? statuses.shift()! : statuses[0]!;
    response.end("whatever");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, bodies };
}

function alerts(url: string) {
  const clock = virtualClock();
  const log: string[] = [];
  const line = (event: string) => void log.push(event);
  return { clock, log, alerts: new Alerts(url, clock, { info: line, warn: line, error: line }) };
}

describe("alerts", () => {
  it("posts DTM's JSON, with its words for what is asked again (S-RTY-10, S-ODD-18)", async () => {
    const { url, bodies } = await hook(200);
    const w = alerts(url);
    w.alerts.send(stuck);
    await expect.poll(() => bodies.length).toBe(1);
    const { gid, status, branch, error } = stuck;
    expect(JSON.parse(bodies[0]!)).toEqual({
      gid,
      status,
      branch,
      error: `unkown result will be retried: ${error}`,
      retry_count: 3,
    });
  });

  it("S-BUG-22: tries a hook again that was away, later each time, and says when it gives up", async () => {
    const { url, bodies } = await hook(500, 500, 200);
    const w = alerts(url);
    w.alerts.send(stuck);
    await expect.poll(() => bodies.length).toBe(1);
    const seenAfter = (ms: number) => w.clock.advance(ms).then(() => bodies.length);
    await expect.poll(() => seenAfter(1000)).toBe(2);
    await expect.poll(() => seenAfter(2000)).toBe(3);
    const dead = alerts("http://127.0.0.1:1/none");
    dead.alerts.send(stuck);
    const loggedAfter = (ms: number) => dead.clock.advance(ms).then(() => dead.log);
    await expect.poll(() => loggedAfter(60_000), { timeout: 10_000 }).toContain("alert_not_delivered");
  });

  it("keeps the newest thousand while the hook is slow, and needs no hook", async () => {
    const { url, bodies } = await hook(200);
    const w = alerts(url);
    for (let i = 0; i < 1500; i++) w.alerts.send({ ...stuck, gid: `g${i}` });
    await expect.poll(() => bodies.length, { timeout: 20_000 }).toBe(1001);
    expect(bodies.at(-1)).toContain('"g1499"');
    alerts("").alerts.send(stuck);
  });
});
