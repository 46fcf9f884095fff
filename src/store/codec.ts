/**
 * The stored form of journal rows, heads and key-values, the same in every store: one byte that names the format, then
 * msgpack of arrays by position (shape.ts), so that a row costs little more than its payloads. Fields may be appended
 * within a format; anything else is a new format, whose program still reads the one before (test/fixtures/format-N).
 */
import { Packr } from "msgpackr";
import type { Event, NewOp } from "../core/event.js";
import type { JournalRow } from "../core/evolve.js";
import type { Head } from "../core/head.js";
import type { Defaults, Executor, Options, Parked, Tries } from "../core/transaction.js";
import { type Formats, formats, inWords, knows } from "../ports/format.js";
import { bytes, list, optional, plain, type RecordShape, record, type Shape, sparing, texts } from "./shape.js";

/** Newest format of this program: the first byte of what an embedded store writes, and the marker of new stores. */
export const formatVersion = formats.newest;

/** Something stored is of a format that this program does not know; nothing was changed. */
export class UnknownFormat extends Error {
  override readonly name = "UnknownFormat";
}

/** @throws UnknownFormat unless the build reads the format. `what` and `format` go into the message. */
export function mustKnowFormat(format: number | undefined, what: string, known: Formats = formats): void {
  if (knows(known, format)) return;
  throw new UnknownFormat(
    `${what} has format ${format ?? "none"}, this program reads ${inWords(known)}: use the version of tandem that wrote it`,
  );
}

const text = plain<string>();
const count = plain<number>();
const flag = plain<boolean>();
const maybeText = plain<string | undefined>();
const maybeCount = plain<number | undefined>();

const options = record<Options>({
  waitResult: flag,
  timeoutToFailS: maybeCount,
  requestTimeoutS: maybeCount,
  retryIntervalS: maybeCount,
  retryLimit: maybeCount,
  branchHeaders: optional(texts),
  concurrent: flag,
});
const defaults = record<Defaults>({ timeoutToFailMs: count, requestTimeoutMs: count, retryIntervalMs: count });
const newOp = sparing(
  record<NewOp>({
    branchId: text,
    op: text,
    url: text,
    payload: bytes,
    status: plain<NewOp["status"]>(),
    headers: optional(texts),
    requestTimeoutS: maybeCount,
  }),
);
const executor = record<Executor>({ id: text, leaseMs: count, untilMs: count });
const parked = record<Parked>({ sinceMs: count, by: text, reason: text });
const tries = record<Tries>({
  attempts: count,
  unknowns: count,
  refusals: count,
  intervalMs: count,
  nextAtMs: count,
  lastError: text,
});

type Kind = Event["kind"];
type Body<K extends Kind> = Omit<Extract<Event, { kind: K }>, "kind">;

/** Codes are for ever: a kind that falls out of use keeps its number. */
const events: {
  readonly [K in Kind]: readonly [code: number, shape: RecordShape<Body<K>>];
} = {
  created: [
    1,
    record<Body<"created">>({
      atMs: count,
      id: count,
      gid: text,
      type: plain<Body<"created">["type"]>(),
      protocol: plain<Body<"created">["protocol"]>(),
      status: plain<Body<"created">["status"]>(),
      options,
      defaults,
      digest: maybeText,
      queryPrepared: text,
      customData: text,
      ops: list(newOp),
      executor: optional(executor),
    }),
  ],
  submitted: [
    2,
    record<Body<"submitted">>({
      atMs: count,
      digest: maybeText,
      options: optional(options),
      customData: maybeText,
    }),
  ],
  digestRecorded: [3, record<Body<"digestRecorded">>({ atMs: count, digest: text })],
  branchRegistered: [4, record<Body<"branchRegistered">>({ atMs: count, ops: list(newOp) })],
  started: [5, record<Body<"started">>({ atMs: count, ops: list(count) })],
  settled: [6, record<Body<"settled">>({ atMs: count, op: count, status: plain<Body<"settled">["status"]>() })],
  retried: [7, record<Body<"retried">>({ atMs: count, op: count, tries })],
  hastened: [8, record<Body<"hastened">>({ atMs: count })],
  aborting: [9, record<Body<"aborting">>({ atMs: count, reason: text, byClient: flag })],
  finished: [
    10,
    record<Body<"finished">>({
      atMs: count,
      status: plain<Body<"finished">["status"]>(),
      reason: text,
      result: text,
      byClient: flag,
    }),
  ],
  overdue: [11, record<Body<"overdue">>({ atMs: count })],
  leased: [12, record<Body<"leased">>({ atMs: count, executor })],
  parked: [13, record<Body<"parked">>({ atMs: count, parked })],
  unparked: [14, record<Body<"unparked">>({ atMs: count })],
};

const byCode = new Map((Object.keys(events) as Kind[]).map((kind) => [events[kind][0], kind]));

/** An event is the array of its code and its fields. */
const event: Shape<Event> = {
  write: (value) => writeEvent(value.kind, value),
  read: (stored) => {
    if (!Array.isArray(stored)) throw new TypeError(`event needed, ${typeof stored} met`);
    const [code, ...fields] = stored;
    const kind = byCode.get(code);
    if (kind === undefined) throw new UnknownFormat(`event code ${code} is unknown to this program`);
    return { kind, ...events[kind][1].read(fields) } as Event;
  },
};

function writeEvent<K extends Kind>(kind: K, value: Body<K>): unknown[] {
  return [events[kind][0], ...events[kind][1].write(value)];
}

const row = record<JournalRow>({ version: count, retryOf: maybeCount, events: list(event) });

const head = record<Head>({
  id: count,
  gid: text,
  shard: count,
  type: plain<Head["type"]>(),
  protocol: plain<Head["protocol"]>(),
  status: plain<Head["status"]>(),
  wakeAtMs: maybeCount,
  digest: maybeText,
  parked: flag,
  overdue: flag,
  rollbackReason: text,
  abortedByClient: flag,
  createdAtMs: count,
  updatedAtMs: count,
  endedAtMs: maybeCount,
});

/** Encoding and decoding of one kind of stored value. */
export interface Codec<T> {
  /** The same value gives the same bytes. The result is the caller's own. */
  encode(value: T): Buffer;
  /** @throws UnknownFormat for a format byte or an event this program does not know; Error for broken bytes */
  decode(stored: Uint8Array): T;
}

/** Codec of values that have a shape; `what` names them in errors. */
export function codecOf<T>(what: string, shape: Shape<T>): Codec<T> {
  const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
  return {
    encode(value) {
      const packed = packr.pack(shape.write(value));
      const stored = Buffer.allocUnsafe(1 + packed.length);
      stored[0] = formatVersion;
      packed.copy(stored, 1);
      return stored;
    },
    decode(stored) {
      mustKnowFormat(stored[0], what);
      try {
        return shape.read(packr.unpack(stored.subarray(1)));
      } catch (cause) {
        if (cause instanceof UnknownFormat) throw cause;
        throw new Error(`stored ${what} of ${stored.length} bytes cannot be read`, { cause });
      }
    },
  };
}

/** Journal rows, version and op of a retry record included. */
export const rowCodec: Codec<JournalRow> = codecOf("journal row", row);

/** Heads. */
export const headCodec: Codec<Head> = codecOf("head", head);

/** The stored forms of journal rows in each format that a build knows. */
export interface RowFormats extends Formats {
  /** @throws RangeError for a format that the build does not know */
  encode(row: JournalRow, format: number): Buffer;
  /** @throws as `Codec.decode` */
  decode(stored: Uint8Array): JournalRow;
}

/** Those of this program. */
export const rowFormats: RowFormats = {
  ...formats,
  encode(row, format) {
    if (format !== formatVersion) throw new RangeError(`format ${format} cannot be written, only ${formatVersion}`);
    return rowCodec.encode(row);
  },
  decode: rowCodec.decode,
};
