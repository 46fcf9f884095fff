/**
 * Our front beside the library alone: whatever bytes a client sends, in whatever pieces, both say the same, byte for
 * byte but for the date, and count the same. Seeded by fast-check: a failure prints how to repeat it.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { behind, good, odd, plain, request, variants, written } from "./requests.js";
import { conversation, type Served, served, until } from "./server.js";

const runs = Number(process.env.FUZZ_RUNS ?? 400);
/** A failure is told at once, with its seed and path; without this they are made smaller first, which takes minutes. */
const once = { endOnFailure: true };
let [front, library]: Served[] = [];
beforeAll(async () => {
  [front, library] = [await served(true), await served(false)];
});
afterAll(async () => {
  await Promise.all([front?.close(), library?.close()]);
});

const change = fc.record({
  at: fc.double({ min: 0, max: 0.999, noNaN: true }),
  remove: fc.nat(4),
  insert: fc.oneof(
    fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom("\r\n", "\n", "\r", "\0", ":", " ", "0", "\r\n\r\n").map((s) => Buffer.from(s)),
  ),
});
const places = fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 6 });

/** Cuts the bytes at the given fractions. */
function cut(bytes: Buffer, where: readonly number[]): Buffer[] {
  const at = [0, ...where.map((place) => Math.floor(place * bytes.length)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).flatMap((end, i) => (end > (at[i] as number) ? [bytes.subarray(at[i], end)] : []));
}

const statuses = (said: string) => said.match(/HTTP\/1\.1 \d{3}/g) ?? [];

/**
 * The same bytes were said, the same asked and counted. Sorted: requests that come together may be asked together, and
 * be done in another order than they are answered.
 */
function expectEqual({ said, expected }: Compared): void {
  expect(said).toBe(expected);
  expect(front?.asked.sort()).toEqual(library?.asked.sort());
  expect(front?.counted.sort()).toEqual(library?.counted.sort());
}

interface Compared {
  readonly said: string;
  readonly expected: string;
  /** Answers that the front gave itself. */
  readonly own: number;
  readonly handedOver: number;
}

/** What the two said to the same pieces. */
async function compare(pieces: readonly Buffer[]): Promise<Compared> {
  const [own, other] = [front as Served, library as Served];
  const libraryBefore = own.library();
  for (const notes of [own.counted, other.counted, own.asked, other.asked]) notes.length = 0;
  const [said, expected] = [await conversation(own, pieces), await conversation(other, pieces)];
  await until(() => own.arriving.bytes === 0 && other.arriving.bytes === 0, "no bytes are counted as arriving");
  const handedOver = own.library() - libraryBefore;
  return { said, expected, own: Math.max(0, statuses(said).length - handedOver), handedOver };
}

describe("the front says what the library says", () => {
  it("to good requests one after another, in one piece each or cut anywhere, and serves them itself", async () => {
    let own = 0;
    const one = fc.tuple(good, fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, places));
    await fc.assert(
      fc.asyncProperty(fc.array(one, { minLength: 1, maxLength: 4 }), async (requests) => {
        const pieces = requests.flatMap(([shape, where]) => cut(Buffer.from(written(shape), "latin1"), where));
        const result = await compare(pieces);
        expectEqual(result);
        own += result.own;
      }),
      { numRuns: runs, ...once },
    );
    expect(own).toBeGreaterThan(runs / 2);
  });

  it("to each odd request that we know of, between plain ones", async () => {
    const [before, after] = [plain, plain].map((shape) => Buffer.from(written(shape)));
    for (const vary of variants) {
      const odd = Buffer.from(written(vary(plain)), "latin1");
      expectEqual(await compare([before, odd, after] as Buffer[]));
    }
  });

  it("to what is none behind a request: a refusal behind its answer, whenever that is made, if it is to come", async () => {
    const [before, after] = [plain, plain].map((shape) => Buffer.from(written(shape)));
    for (const [text, ...expected] of behind) {
      const alone = await compare([Buffer.from(text, "latin1")]);
      expectEqual(alone);
      expect(statuses(alone.said), JSON.stringify(text)).toEqual(expected.map((status) => `HTTP/1.1 ${status}`));
      expectEqual(await compare([before, Buffer.from(text, "latin1"), after] as Buffer[]));
    }
  });

  it("to good requests with an odd one among them, which it hands over with all that follow", async () => {
    let [own, handedOver, refused] = [0, 0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(good, { maxLength: 2 }), odd, good, async (first, between, last) => {
        const texts = [...first.map(written), between, written(last)];
        const result = await compare(texts.map((text) => Buffer.from(text, "latin1")));
        expectEqual(result);
        own += result.own;
        handedOver += result.handedOver;
        refused += statuses(result.said).filter((line) => line.includes(" 400")).length;
      }),
      { numRuns: 2 * runs, ...once },
    );
    for (const count of [own, handedOver, refused]) expect(count).toBeGreaterThan(runs / 4);
  });

  /**
   * Requests behind one that ends the connection get no answer. But the library itself asks more or fewer of them,
   * depending on whether its parser reads from the socket or gets bytes that were read already.
   */
  it("to any stream of requests, changed at random and cut at random, and never takes a body for a request", async () => {
    let [own, handedOver] = [0, 0];
    const requests = fc.array(request, { minLength: 1, maxLength: 4 });
    const stream = fc.tuple(requests, fc.array(change, { maxLength: 3 }), places);
    await fc.assert(
      fc.asyncProperty(stream, async ([texts, changes, where]) => {
        let bytes: Buffer = Buffer.from(texts.join(""), "latin1");
        for (const { at, remove, insert } of changes) {
          const place = Math.floor(at * Math.min(bytes.length, 400));
          bytes = Buffer.concat([bytes.subarray(0, place), insert, bytes.subarray(place + remove)]);
        }
        const result = await compare(cut(bytes, where));
        expect(result.said).toBe(result.expected);
        const asked = [(front as Served).asked, (library as Served).asked] as const;
        const [fewer, more] = asked[0].length < asked[1].length ? asked : [asked[1], asked[0]];
        expect(more).toEqual(expect.arrayContaining(fewer));
        own += result.own;
        handedOver += result.handedOver;
      }),
      { numRuns: 3 * runs, ...once },
    );
    expect(own).toBeGreaterThan(runs / 8);
    expect(handedOver).toBeGreaterThan(runs / 2);
  });
});
