// The stored format: everything comes back, costs little more than its payload, and what is unknown is refused.
import fc from "fast-check";
import { pack, unpack } from "msgpackr";
import { describe, expect, it } from "vitest";
import type { Event } from "../../src/core/event.js";
import type { JournalRow } from "../../src/core/evolve.js";
import type { Head } from "../../src/core/head.js";
import { statuses, transTypes } from "../../src/core/transaction.js";
import { formatVersion, headCodec, mustKnowFormat, rowCodec, UnknownFormat } from "../../src/store/codec.js";
import { noOptions, someOp, someTimeMs, someTries, Teller } from "./story.js";

const text = fc.string({ unit: "binary" });
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const time = fc.integer({ min: 0, max: 2 ** 43 });
const op = fc.integer({ min: -1, max: 2000 });
const id = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const opStatus = fc.constantFrom("prepared", "succeed", "failed");
const protocol = fc.constantFrom("http", "grpc", "json-rpc");
const options = fc.record({
  waitResult: fc.boolean(),
  timeoutToFailS: maybe(fc.nat()),
  requestTimeoutS: maybe(fc.nat()),
  retryIntervalS: maybe(fc.nat()),
  retryLimit: maybe(fc.nat()),
  branchHeaders: maybe(fc.dictionary(text, text, { noNullPrototype: true })),
  concurrent: fc.boolean(),
});
const newOp = fc.record({
  branchId: text,
  op: text,
  url: text,
  payload: fc.uint8Array(),
  status: opStatus,
  headers: maybe(fc.dictionary(text, text, { noNullPrototype: true })),
  requestTimeoutS: maybe(fc.nat()),
});
const executor = fc.record({ id: text, leaseMs: fc.nat(), untilMs: time });
const parked = fc.record({ sinceMs: time, by: text, reason: text });
const tries = fc.record({
  attempts: fc.nat(),
  unknowns: fc.nat(),
  refusals: fc.nat(),
  intervalMs: fc.nat(),
  nextAtMs: time,
  lastError: text,
});

const created = fc.record({
  kind: fc.constant("created"),
  atMs: time,
  id,
  gid: text,
  type: fc.constantFrom(...transTypes),
  protocol,
  status: fc.constantFrom("prepared", "submitted"),
  options,
  defaults: fc.record({ timeoutToFailMs: fc.nat(), requestTimeoutMs: fc.nat(), retryIntervalMs: fc.nat() }),
  digest: maybe(text),
  queryPrepared: text,
  customData: text,
  ops: fc.array(newOp),
  executor: maybe(executor),
});

/** Every kind of event, by kind: one that is missing here does not compile. */
const events: { readonly [K in Event["kind"]]: fc.Arbitrary<Extract<Event, { kind: K }>> } = {
  created,
  submitted: fc.record({
    kind: fc.constant("submitted"),
    atMs: time,
    digest: maybe(text),
    options: maybe(options),
    customData: maybe(text),
  }),
  digestRecorded: fc.record({ kind: fc.constant("digestRecorded"), atMs: time, digest: text }),
  branchRegistered: fc.record({ kind: fc.constant("branchRegistered"), atMs: time, ops: fc.array(newOp) }),
  started: fc.record({ kind: fc.constant("started"), atMs: time, ops: fc.array(op) }),
  settled: fc.record({ kind: fc.constant("settled"), atMs: time, op, status: fc.constantFrom("succeed", "failed") }),
  retried: fc.record({ kind: fc.constant("retried"), atMs: time, op, tries }),
  hastened: fc.record({ kind: fc.constant("hastened"), atMs: time }),
  aborting: fc.record({ kind: fc.constant("aborting"), atMs: time, reason: text, byClient: fc.boolean() }),
  finished: fc.record({
    kind: fc.constant("finished"),
    atMs: time,
    status: fc.constantFrom("succeed", "failed"),
    reason: text,
    result: text,
    byClient: fc.boolean(),
  }),
  overdue: fc.record({ kind: fc.constant("overdue"), atMs: time }),
  leased: fc.record({ kind: fc.constant("leased"), atMs: time, executor }),
  parked: fc.record({ kind: fc.constant("parked"), atMs: time, parked }),
  unparked: fc.record({ kind: fc.constant("unparked"), atMs: time }),
};

const row: fc.Arbitrary<JournalRow> = fc.record({
  version: fc.nat(),
  retryOf: maybe(op),
  events: fc.array(fc.oneof(...Object.values(events))),
});

const head: fc.Arbitrary<Head> = fc.record({
  id,
  gid: text,
  shard: fc.nat({ max: 255 }),
  type: fc.constantFrom(...transTypes),
  protocol,
  status: fc.constantFrom(...statuses),
  wakeAtMs: maybe(time),
  digest: maybe(text),
  parked: fc.boolean(),
  overdue: fc.boolean(),
  rollbackReason: text,
  abortedByClient: fc.boolean(),
  createdAtMs: time,
  updatedAtMs: time,
  endedAtMs: maybe(time),
});

/** A stored value with its msgpack part changed, as another program would have written it. */
function rewritten(stored: Buffer, change: (value: unknown[]) => unknown): Buffer {
  return Buffer.concat([stored.subarray(0, 1), pack(change(unpack(stored.subarray(1))))]);
}

describe("the stored format", () => {
  it("gives back every row and every head as it was", () => {
    const rows = fc.property(row, (value) => {
      expect(rowCodec.decode(rowCodec.encode(value))).toEqual(value);
    });
    const heads = fc.property(head, (value) => {
      expect(headCodec.decode(headCodec.encode(value))).toEqual(value);
    });
    fc.assert(rows, { numRuns: 500 });
    fc.assert(heads, { numRuns: 500 });
  });

  it("begins with the byte of its format and gives equal values equal bytes", () => {
    fc.assert(
      fc.property(row, (value) => {
        const stored = rowCodec.encode(value);
        expect(stored[0]).toBe(formatVersion);
        expect(rowCodec.encode(structuredClone(value))).toEqual(stored);
      }),
    );
  });

  it("refuses a format it does not know and says which it reads", () => {
    const stored = headCodec.encode(new Teller().tell("g").created().head!);
    for (const format of [0, formatVersion + 1, 255]) {
      const strange = Buffer.from([format, ...stored.subarray(1)]);
      expect(() => headCodec.decode(strange)).toThrow(UnknownFormat);
      expect(() => headCodec.decode(strange)).toThrow(`head has format ${format}, this program reads ${formatVersion}`);
    }
    expect(() => mustKnowFormat(undefined, "store")).toThrow("store has format none");
  });

  it("refuses an event it does not know instead of passing over it", () => {
    const stored = rowCodec.encode({ version: 2, retryOf: undefined, events: [{ kind: "hastened", atMs: 1 }] });
    const strange = rewritten(stored, ([version, retryOf]) => [version, retryOf, [[99, 1]]]);
    expect(() => rowCodec.decode(strange)).toThrow("event code 99 is unknown");
  });

  it("passes over fields that a later program appended, and reads what an earlier one had not", () => {
    const value = new Teller().tell("g").created().head!;
    const later = rewritten(headCodec.encode(value), (fields) => [...fields, "new", 7]);
    expect(headCodec.decode(later)).toStrictEqual(value);
    const earlier = rewritten(headCodec.encode(value), (fields) => fields.slice(0, -1));
    expect(headCodec.decode(earlier)).toStrictEqual({ ...value, endedAtMs: undefined });
  });

  it("stores an op without headers or timeout as the builds before them did, others so that those can read them", () => {
    const stored = (headers: Record<string, string> | undefined, requestTimeoutS?: number) => {
      const ops = [{ ...someOp(0), headers, requestTimeoutS }];
      return unpack(rowCodec.encode(new Teller().tell("g", { ops }).created().row).subarray(1));
    };
    const opIn = (row: unknown) => JSON.stringify(row).match(/\["01","action".*?"prepared"(.*?)\]\]/)?.[1];
    expect(opIn(stored(undefined))).toBe("");
    expect(opIn(stored({ "x-token": "t" }))).toBe(',["x-token","t"');
    expect(opIn(stored(undefined, 30))).toBe(",null,30");
    expect(JSON.stringify(stored({ "x-token": "t" }, 30))).toContain('"prepared",["x-token","t"],30]]');
  });

  it("says what cannot be read when bytes are broken", () => {
    const stored = rowCodec.encode({ version: 1, retryOf: undefined, events: [{ kind: "hastened", atMs: 1 }] });
    for (const broken of [stored.subarray(0, 4), Buffer.from([formatVersion, 0xc1]), Buffer.from([formatVersion, 5])]) {
      expect(() => rowCodec.decode(broken)).toThrow(/stored journal row of \d+ bytes cannot be read/);
    }
  });

  it("gives the reader payloads of its own, not windows on what was read", () => {
    const stored = rowCodec.encode(new Teller().tell("g").created().row);
    const [event] = rowCodec.decode(stored).events;
    stored.fill(0);
    expect(event).toMatchObject({ ops: [someOp(0)] });
    expect(event?.kind === "created" && event.ops[0]!.payload.buffer.byteLength).toBe(someOp(0).payload.length);
  });

  it("costs little more than the payload, and a step a few bytes", () => {
    const size = (events: readonly Event[]) => rowCodec.encode({ version: 7, retryOf: undefined, events }).length;
    const saga = new Teller().tell("g", { ops: [someOp(0, new Uint8Array(100_000))], options: noOptions });
    expect(size(saga.created().row.events)).toBeLessThan(100_000 + 250);
    const settled: Event = { kind: "settled", atMs: someTimeMs, op: 3, status: "succeed" };
    expect(size([settled, { kind: "started", atMs: someTimeMs, ops: [4] }])).toBeLessThan(45);
    expect(size([{ kind: "retried", atMs: someTimeMs, op: 3, tries: someTries(5, "") }])).toBeLessThan(40);
  });
});
