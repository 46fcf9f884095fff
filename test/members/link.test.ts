/**
 * Asks between nodes and a process that follows another under the same name.
 */
import { expect, it } from "vitest";
import { MemoryHub } from "../../cluster/bus/memory.js";
import { Link } from "../../cluster/link.js";
import type { Reply } from "../../src/core/input.js";
import { settle, virtualClock } from "../engine/harness.js";

const log = { info: () => {}, warn: () => {}, error: () => {} };

it("never takes an answer to an earlier process of its name for its own (S1)", async () => {
  const clock = virtualClock();
  const hub = new MemoryHub(clock);
  const waiting = new Map<string, (reply: Reply) => void>();
  const owner = { handle: (gid: string) => new Promise<Reply>((resolve) => waiting.set(gid, resolve)) };
  const nobody = { handle: () => Promise.reject(new Error("asked by nobody")) };
  let seed = 0.125;
  const chance = () => {
    seed = (seed * 7) % 1;
    return seed;
  };
  new Link("b", hub.connect("b"), clock, log, owner, () => {}, chance);
  const before = new Link("a", hub.connect("a"), clock, log, nobody, () => {}, chance);
  void before.ask("b", "first", { kind: "query" }, 60_000);
  await clock.advance(1);
  const after = new Link("a", hub.connect("a"), clock, log, nobody, () => {}, chance);
  const told: (Reply | undefined)[] = [];
  void after.ask("b", "second", { kind: "query" }, 60_000).then((reply) => told.push(reply));
  await clock.advance(1);
  waiting.get("first")!({ kind: "accepted" });
  await clock.advance(1);
  await settle();
  expect(told).toEqual([]);
  waiting.get("second")!({ kind: "transaction", transaction: undefined });
  await clock.advance(1);
  await settle();
  expect(told).toEqual([{ kind: "transaction", transaction: undefined }]);
});
