/**
 * Messages between nodes: every kind arrives as it was sent, and nothing that is none gets past the door.
 */
import fc from "fast-check";
import { Packr } from "msgpackr";
import { describe, expect, it } from "vitest";
import { decode, encode, type Message } from "../../cluster/codec.js";
import type { Reply, Request } from "../../src/core/input.js";
import { formats } from "../../src/ports/format.js";
import { saga } from "../engine/harness.js";

const plain = saga(["http://p.test/1"], { timeoutToFailS: 7, branchHeaders: { a: "b" } });
const submission = {
  ...plain,
  steps: plain.steps.map((step) => ({ ...step, headers: { c: "d" }, requestTimeoutS: 30 })),
};
const registration = {
  type: "tcc",
  branchId: "01",
  ops: [{ op: "confirm", url: "http://p.test/c", status: "prepared" }],
  payload: Buffer.from([0, 255, 1]),
  headers: { "x-token": "t" },
  requestTimeoutS: 30,
  executorId: undefined,
} as const;

const requests: readonly Request[] = [
  { kind: "prepare", submission },
  { kind: "submit", submission, hold: false },
  { kind: "abort", type: "tcc", reason: "why", waitResult: true },
  { kind: "forceStop" },
  { kind: "registerBranch", registration },
  { kind: "prepareWorkflow", submission: { ...submission, lease: { executorId: "e", seconds: 3 } } },
  { kind: "finishWorkflow", status: "failed", reason: "r", result: "" },
  { kind: "hasten", bulk: true },
  { kind: "park", by: "me", reason: "" },
  { kind: "unpark" },
  { kind: "query" },
  { kind: "await", of: "submit", sliceMs: 1000 },
];

const replies: readonly Reply[] = [
  { kind: "accepted", await: "submit" },
  { kind: "refused", code: "NOT_OWNER", message: "elsewhere", retryAfterS: 1 },
  { kind: "transaction", transaction: undefined, blocked: {} },
];

const packr = new Packr({ useRecords: false });

function withVersion(value: unknown): Uint8Array {
  return Buffer.concat([Buffer.from([formats.newest]), packr.pack(value)]);
}

/** Bytes of whatever class as their hex text, so that only contents are compared. */
function bare(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, bare(member)]));
}

describe("messages between nodes", () => {
  it("arrive as they were sent, whatever they hold", () => {
    const messages: Message[] = [
      { kind: "asks", from: "a", items: requests.map((request, id) => ({ id, gid: `g;*/../ü ${id}`, request })) },
      { kind: "answers", from: "b", items: replies.map((reply, id) => ({ id, reply })) },
      { kind: "changed", from: "c", shards: [{ shard: 255, epoch: 2 ** 40, owner: "", incarnation: 1_795_373_982 }] },
    ];
    for (const message of messages) expect(bare(decode(encode(message)))).toEqual(bare(message));
  });

  it("of an unknown format, or cut short, are refused whatever follows", () => {
    const good = encode({ kind: "changed", from: "a", shards: [] });
    expect(decode(good)).toMatchObject({ kind: "changed" });
    expect(decode(Buffer.concat([Buffer.from([formats.newest + 1]), good.subarray(1)]))).toMatchObject({
      kind: "unreadable",
    });
    for (let length = 0; length < good.length; length++)
      expect(decode(good.subarray(0, length))).toMatchObject({ kind: "unreadable" });
  });

  it("with any member missing or of another type are refused", () => {
    for (const request of requests) {
      const item = { id: 1, gid: "g", request };
      for (const broken of brokenCopies(item)) {
        const decoded = decode(withVersion({ kind: "asks", from: "a", items: [broken.value] }));
        if (!broken.mayBeAbsent) expect(decoded, JSON.stringify(broken.value)).toMatchObject({ kind: "unreadable" });
      }
    }
  });

  it("made of random bytes or values never pass and never throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(decode(bytes).kind).toBe("unreadable");
        expect(decode(Buffer.concat([Buffer.from([formats.newest]), bytes])).kind).toBe("unreadable");
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(
        fc.anything({ withNullPrototype: false }),
        fc.constantFrom("asks", "answers", "changed"),
        (value, kind) => {
          for (const items of [value, [value]]) {
            const decoded = decode(withVersion({ kind, from: "a", items, shards: items }));
            const isEmptyList = Array.isArray(value) && value.length === 0 && items === value;
            expect(decoded.kind).toBe(isEmptyList ? kind : "unreadable");
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

/** Members that a message may lack. */
const optional = new Set([
  "hold",
  "sliceMs",
  "lease",
  "executorId",
  "branchHeaders",
  "headers",
  "requestTimeoutS",
  "retryLimit",
]);

/** Copies of a value, in each of which one member is gone or of another type. */
function* brokenCopies(
  value: object,
  path: readonly string[] = [],
): Generator<{ value: unknown; mayBeAbsent: boolean }> {
  for (const [name, member] of Object.entries(value)) {
    const mayBeAbsent = optional.has(name) || /S$/.test(name) || member === undefined;
    const { [name]: _, ...rest } = value as Record<string, unknown>;
    yield { value: rest, mayBeAbsent };
    yield {
      value: { ...value, [name]: Symbol.iterator in Object(member) ? 7 : ["x"] },
      mayBeAbsent: member === undefined,
    };
    const isPlain = typeof member === "object" && member !== null && Object.getPrototypeOf(member) === Object.prototype;
    if (!isPlain || /headers$/i.test(name)) continue;
    for (const inner of brokenCopies(member, [...path, name]))
      yield { value: { ...value, [name]: inner.value }, mayBeAbsent: inner.mayBeAbsent };
  }
}
