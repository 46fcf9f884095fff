/**
 * The decoders by themselves: what the digest tells apart (D2), JSON within limits, own canonical texts.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newGid } from "../../src/gateway/gid.js";
import { readBody } from "../../src/wire/body.js";
import { canonical, isBase64, readCustomData } from "../../src/wire/customdata.js";
import { base64Of, withoutResultWords } from "../../src/wire/encode.js";
import { InvalidInput } from "../../src/wire/invalid.js";
import { fieldsOf, parseJson, parseObject } from "../../src/wire/json.js";
import { inputLimits } from "../../src/wire/limits.js";
import { readSubmission, readTransType } from "../../src/wire/submission.js";

const bytes = (text: string) => Buffer.from(text, "utf8");

function submissionOf(over: Readonly<Record<string, unknown>> = {}) {
  const json = {
    gid: "g",
    trans_type: "saga",
    steps: [
      { action: "http://a.test/1", compensate: "http://a.test/-1" },
      { action: "http://a.test/2", compensate: "" },
    ],
    payloads: ["one", "two"],
    custom_data: '{"concurrent":true,"orders":{"1":[0]}}',
    retry_interval: 7,
    ...over,
  };
  const body = readBody(fieldsOf(json, "body"), inputLimits);
  return readSubmission(body, readTransType(body.transType), inputLimits);
}

const digest = (over?: Readonly<Record<string, unknown>>) => submissionOf(over).digest;

describe("the digest of a submit (D2)", () => {
  const same: [string, Readonly<Record<string, unknown>>][] = [
    ["protocol", { protocol: "grpc" }],
    ["wait_result", { wait_result: true }],
    ["branch_headers", { branch_headers: { a: "b" } }],
    ["order and spacing of custom_data", { custom_data: '{ "orders": {"1": [0]}, "concurrent": true }' }],
    ["zero for a default", { timeout_to_fail: 0, request_timeout: null }],
    ["a saga's top-level concurrent, which gRPC cannot say", { concurrent: true }],
    ["an unknown member", { unknown: 1 }],
    [
      "payloads in the steps",
      {
        payloads: [],
        steps: [
          { compensate: "http://a.test/-1", action: "http://a.test/1", data: "one" },
          { action: "http://a.test/2", data: "two" },
        ],
      },
    ],
  ];
  for (const [what, over] of same) it(`is the same for ${what}`, () => expect(digest(over)).toBe(digest()));

  const other: [string, Readonly<Record<string, unknown>>][] = [
    ["type", { trans_type: "msg", custom_data: "" }],
    ["a payload", { payloads: ["one", "tw0"] }],
    ["payloads whose bytes together are the same", { payloads: ["onet", "wo"] }],
    ["an URL", { query_prepared: "http://a.test/q" }],
    ["custom_data", { custom_data: '{"concurrent":false,"orders":{"1":[0]}}' }],
    ["no custom_data", { custom_data: "" }],
    ...["timeout_to_fail", "request_timeout", "retry_interval", "retry_limit"].map(
      (name): [string, Record<string, number>] => [name, { [name]: 8 }],
    ),
  ];
  for (const [what, over] of other) it(`is another for another ${what}`, () => expect(digest(over)).not.toBe(digest()));

  it("never changes: it is stored", () => {
    expect(digest()).toBe("0b18b959acfb068b0f5529303963692a52a25a19e94db5685ee2780adb6ee2db");
    expect(new Set(other.map(([, over]) => digest(over))).size).toBe(other.length);
  });

  it("is another for the concurrent of a msg", () => {
    const msg = { trans_type: "msg", custom_data: "" };
    expect(digest({ ...msg, concurrent: true })).not.toBe(digest(msg));
  });
});

describe("JSON", () => {
  it("is what the platform's parser reads, whatever valid JSON comes within the limits", () => {
    const limits = { ...inputLimits, jsonDepth: 1000, jsonValues: 1e9 };
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(parseJson(bytes(text), limits)).toEqual(JSON.parse(text));
      }),
    );
  });

  it("is measured without what stands in strings", () => {
    const text = JSON.stringify({ a: '[[[{{{"\\":,,,', b: "\\" });
    expect(parseJson(bytes(text), { ...inputLimits, jsonDepth: 1, jsonValues: 3 })).toEqual(JSON.parse(text));
    expect(() => parseJson(bytes("[[1]]"), { ...inputLimits, jsonDepth: 1 })).toThrow(/nesting/);
    expect(() => parseJson(bytes('{"a":1,"b":2}'), { ...inputLimits, jsonValues: 2 })).toThrow(/values/);
  });

  it("of depth 64 is taken, of 65 not", () => {
    const nested = (depth: number) => bytes(`{"a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`);
    expect(parseObject(nested(64), inputLimits)).toHaveProperty("a");
    expect(() => parseObject(nested(65), inputLimits)).toThrow(InvalidInput);
  });

  it("throws nothing but InvalidInput, and never repeats what was sent", () => {
    const any = fc.oneof(
      fc.uint8Array(),
      fc.string({ unit: "binary" }).map((text) => bytes(text)),
    );
    fc.assert(
      fc.property(any, (input) => {
        try {
          parseObject(input, inputLimits);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInput);
          expect((error as Error).message).toMatch(/^body: [\w ,.\-()]+$/);
        }
      }),
    );
  });

  it("names are folded, the last spelling wins", () => {
    expect(parseObject(bytes('{"a":1,"A":2}'), inputLimits)).toEqual({ a: 2 });
    expect(parseObject(bytes('\ufeff{"A":2}'), inputLimits)).toEqual({ a: 2 });
  });
});

describe("texts of our own", () => {
  it("canonical JSON is the same for equal values, and reads back as the value", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const shuffled = JSON.parse(JSON.stringify(value), (_, member) =>
          typeof member === "object" && member !== null && !Array.isArray(member)
            ? Object.fromEntries(Object.entries(member).reverse())
            : member,
        );
        expect(canonical(shuffled)).toBe(canonical(value));
        expect(JSON.parse(canonical(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("JSON without the result words reads back the same (D24)", () => {
    const text = fc
      .array(fc.constantFrom("FAILURE", "ONGOING", "\\", '"', "u", "\u001f", "FAILUR", "E"))
      .map((all) => all.join(""));
    fc.assert(
      fc.property(fc.dictionary(text, text), (value) => {
        const json = withoutResultWords(JSON.stringify(value));
        expect(json).not.toMatch(/FAILURE|ONGOING/);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("base64 of bytes is padded standard base64", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (input) => {
        expect(isBase64(base64Of(input))).toBe(true);
        expect(new Uint8Array(Buffer.from(base64Of(input), "base64"))).toEqual(new Uint8Array(input));
      }),
    );
  });

  it("gids are 22 characters, all different, and sort by time (D12)", () => {
    const gids = Array.from({ length: 2000 }, (_, i) => newGid(1_700_000_000_000 + i * 10));
    expect(new Set(gids).size).toBe(2000);
    expect(gids).toEqual(gids.toSorted());
    expect(gids.every((gid) => gid.length === 22)).toBe(true);
  });

  it("a thousand steps in the worst order are judged in no time", () => {
    const chain = (more: readonly number[]) =>
      JSON.stringify({
        concurrent: true,
        orders: Object.fromEntries(Array.from({ length: 999 }, (_, step) => [step, [...more, step + 1]])),
      });
    const began = performance.now();
    for (const orders of [chain([]), chain(Array.from({ length: 13 }, () => 999))])
      readCustomData("saga", orders, 1000, inputLimits);
    expect(performance.now() - began).toBeLessThan(500);
  });
});
