/**
 * Participants over a real NATS: which reply means what. Whatever is no clear answer is unknown: nobody there, no
 * reply, another status, too long a reply.
 */
import { connect, headers, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCallers } from "../../src/caller/callers.js";
import { callOf } from "../caller/participant.js";
import { available, type Server, startNats } from "../servers.js";

describe.runIf(await available("nats"))("a participant over NATS", () => {
  let server: Server;
  let ours: NatsConnection;
  let theirs: NatsConnection;

  beforeAll(async () => {
    server = await startNats({ config: "max_payload: 4MB" });
    const servers = server.url.replace("nats://", "");
    [ours, theirs] = await Promise.all([connect({ servers }), connect({ servers })]);
  });
  afterAll(async () => {
    await Promise.all([ours?.close(), theirs?.close()]);
    await server?.stop();
  });

  /** Calls a participant that answers so; without an answer nobody or nothing replies. */
  const call = async (answer: Partial<{ head: Record<string, string>; body: string }> | "silence" | "nobody") => {
    const subject = `p.${crypto.randomUUID()}`;
    const told: string[] = [];
    if (answer !== "nobody")
      theirs.subscribe(subject, {
        callback: (_, message) => {
          const names = ["gid", "trans_type", "branch_id", "op", "X-Tenant"];
          told.push([...names.map((name) => message.headers?.get(name)), Buffer.from(message.data)].join(" "));
          if (answer === "silence") return;
          const all = headers();
          for (const [name, value] of Object.entries(answer.head ?? {})) all.set(name, value);
          message.respond(Buffer.from(answer.body ?? ""), { headers: all });
        },
      });
    await theirs.flush();
    const callers = createCallers({ nats: { connection: () => ours, prefix: "tandem" } });
    const wanted = { url: `nats://${subject}`, gid: "g ü/1", headers: { "X-Tenant": "t1" }, timeoutMs: 300 };
    const { outcome, detail } = await callers.call(callOf(wanted), new AbortController().signal);
    await callers.close();
    return { outcome, detail, told };
  };

  it("is told gid, type, branch and op in headers, beside those of the transaction, and gets the payload", async () => {
    const { outcome, told } = await call({ head: { Status: "200" } });
    expect(outcome).toBe("success");
    expect(told).toEqual([`g%20%C3%BC%2F1 saga 01 action t1 {"a":1}`]);
  });

  it.each<readonly [string, Parameters<typeof call>[0], string]>([
    ["Status 200 is success, whatever the words", { head: { Status: "200" }, body: "FAILURE" }, "success"],
    ["Status 409 is failure", { head: { Status: "409" }, body: "sold out" }, "failure"],
    ["Status 425 is ongoing", { head: { Status: "425" } }, "ongoing"],
    ["no Status and no word is success", { body: "well" }, "success"],
    ["no Status and FAILURE is failure", { body: '{"dtm_result":"FAILURE"}' }, "failure"],
    ["no Status and ONGOING is ongoing", { body: "ONGOING, not FAILURE yet" }, "ongoing"],
    ["an error of a micro-service with 409 is failure", { head: { "Nats-Service-Error-Code": "409" } }, "failure"],
    ["another Status is unknown", { head: { Status: "500" }, body: "FAILURE" }, "unknown"],
    ["a Status that is none is unknown", { head: { Status: "yes" } }, "unknown"],
    ["a reply above 1 MiB is unknown", { body: "x".repeat((1 << 20) + 1) }, "unknown"],
    ["no reply in time is unknown", "silence", "unknown"],
    ["nobody there is unknown", "nobody", "unknown"],
  ])("%s", async (_, answer, outcome) => {
    expect((await call(answer)).outcome).toBe(outcome);
  });

  it("says what was the matter", async () => {
    expect((await call("nobody")).detail).toMatch(/^NATS p\..*: nobody listens there$/);
    expect((await call("silence")).detail).toMatch(/no reply within 300 ms$/);
  });
});
