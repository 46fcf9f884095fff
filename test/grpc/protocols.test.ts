/**
 * The protocols say and store the same: one script of operations through HTTP, JSON-RPC and gRPC, fixed ones and random
 * ones, with the answers and the stored transactions compared (codecs must not drift apart; the digest of D2 is
 * independent of the protocol, too). test/cluster does the same with NATS besides, on a cluster.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Participants, startParticipants, startTestNode, type TestNode } from "./node.js";
import { anyScript, type Name, rareScripts, Scripts, type Step, scripted, workflowScript } from "./script.js";

let node: TestNode;
let busi: Participants;
let scripts: Scripts;
beforeAll(async () => {
  [node, busi] = await Promise.all([startTestNode(), startParticipants()]);
  scripts = new Scripts(node, busi);
});
afterAll(async () => {
  await node.close();
  await busi.close();
});

describe("HTTP, JSON-RPC and gRPC", () => {
  const all: readonly Name[] = ["http", "json-rpc", "grpc"];
  for (const [name, script, meanings] of scripted)
    it(`say and store the same of ${name}`, async () => {
      const names = meanings.includes("large") ? (["http", "grpc"] as const) : all;
      expect(await scripts.compare(script, names)).toEqual(meanings);
    });

  it("say and store the same of workflows and topics, where both have them", async () => {
    const [script, meanings] = workflowScript;
    expect(await scripts.compare(script, ["http", "grpc"])).toEqual(meanings);
  });

  it("take the same submit by another protocol for the same (D2)", async () => {
    const step: Step = { operation: "submit", type: "saga", actions: ["yes", ""], payload: "{}" };
    const gid = scripts.freshGid();
    for (const name of all) expect((await scripts.say(name, step, gid)).meaning).toBe("ok");
    expect(busi.received.filter((call) => call.gid === gid)).toHaveLength(1);
  });

  it("say and store the same of any script", async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(anyScript, async (script) => {
        for (const meaning of await scripts.compare(script, all)) seen.add(meaning);
      }),
      { numRuns: 60, examples: rareScripts.map((script): [readonly Step[]] => [script]) },
    );
    expect([...seen].sort()).toEqual(["bad", "later", "no", "none", "ok"]);
  });
});
