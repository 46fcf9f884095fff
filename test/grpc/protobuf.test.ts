/**
 * Our protobuf reader and writer beside protobufjs on the same `proto/*.proto`: the same messages mean the same, and
 * bytes that are none are refused as bad input, never with another error.
 */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import type { Transaction } from "../../src/core/transaction.js";
import { progressesReply, readBranch, readRequest, readTopic } from "../../src/gateway/grpc/messages.js";
import { InvalidInput } from "../../src/wire/invalid.js";
import { inputLimits } from "../../src/wire/limits.js";
import { ProtobufReader, ProtobufWriter } from "../../src/wire/protobuf.js";

const root = protobuf.parse(readFileSync("proto/dtm.proto", "utf8"), { keepCase: true }).root;
const typeOf = (name: string) => root.lookupType(`dtmgimp.${name}`);
const encode = (name: string, value: object) =>
  Buffer.from(typeOf(name).encode(typeOf(name).fromObject(value)).finish());

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const map = fc.dictionary(text, text, { maxKeys: 4 });
const bytes = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value));
const seconds = fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, 2 ** 40, -(2 ** 40), Number.MAX_SAFE_INTEGER));
const request = fc.record({
  Gid: text,
  TransType: text,
  TransOptions: fc.record({
    WaitResult: fc.boolean(),
    TimeoutToFail: seconds,
    RetryInterval: seconds,
    BranchHeaders: map,
    RequestTimeout: seconds,
    RetryLimit: seconds,
  }),
  CustomedData: text,
  BinPayloads: fc.array(bytes, { maxLength: 4 }),
  QueryPrepared: text,
  ReqExtra: map,
  RollbackReason: text,
});

describe("messages of dtmgimp.Dtm", () => {
  it("are read as protobufjs wrote them", () => {
    fc.assert(
      fc.property(request, (value) => {
        const read = readRequest(encode("DtmRequest", value), inputLimits);
        const { TransOptions: options } = value;
        expect(read).toMatchObject({
          gid: value.Gid,
          transType: value.TransType,
          protocol: "grpc",
          customData: value.CustomedData,
          queryPrepared: value.QueryPrepared,
          rollbackReason: value.RollbackReason,
          steps: undefined,
        });
        expect(read.payloads.map((payload) => Buffer.from(payload))).toEqual(value.BinPayloads);
        expect({ ...read.extra }).toEqual({ ...value.ReqExtra });
        expect(read.options).toMatchObject({
          waitResult: options.WaitResult,
          timeoutToFail: options.TimeoutToFail,
          retryInterval: options.RetryInterval,
          requestTimeout: options.RequestTimeout,
          retryLimit: options.RetryLimit,
          concurrent: false,
        });
        expect({ ...read.options.branchHeaders }).toEqual({ ...options.BranchHeaders });
      }),
    );
  });

  it("of a branch and of a topic likewise, without looking at Op", () => {
    fc.assert(
      fc.property(text, map, bytes, (word, data, payload) => {
        const branch = { Gid: word, TransType: "tcc", BranchID: "01", Op: "x", Data: data, BusiPayload: payload };
        const read = readBranch(encode("DtmBranchRequest", branch));
        expect({ ...read, data: { ...read.data }, payload: Buffer.from(read.payload) }).toEqual({
          ...{ gid: word, transType: "tcc", branchId: "01", data: { ...data }, payload },
        });
        const topic = { Topic: word, URL: "u", Remark: word };
        expect(readTopic(encode("DtmTopicRequest", topic))).toEqual({ topic: word, url: "u", remark: word });
      }),
    );
  });

  it("take Steps as JSON, `null` as an empty list (D23), nothing as not given, and refuse other text", () => {
    const stepsOf = (Steps: string) => readRequest(encode("DtmRequest", { Steps }), inputLimits).steps;
    expect(stepsOf("null")).toEqual([]);
    expect(stepsOf("")).toBeUndefined();
    expect(stepsOf(`[{"action":"a","compensate":"c"}]`)).toMatchObject([{ action: "a", compensate: "c" }]);
    for (const bad of ["notjson", "{}", "1", `["x"]`, `[{"action":1}]`])
      expect(() => stepsOf(bad)).toThrow(InvalidInput);
  });

  it("keep names of maps that objects are born with", () => {
    const data = JSON.parse(`{"__proto__":"a","constructor":"b"}`) as object;
    const entries = Object.entries(data).map(([key, value]) =>
      new ProtobufWriter().text(1, key).text(2, value).finish(),
    );
    const message = new ProtobufWriter();
    for (const entry of entries) message.bytes(5, entry);
    const read = readBranch(message.finish());
    expect(Object.entries(read.data)).toEqual([
      ["__proto__", "a"],
      ["constructor", "b"],
    ]);
  });

  it("hold payloads that do not keep the message they came in", () => {
    const message = encode("DtmRequest", { BinPayloads: [Buffer.from("pay")] });
    const [payload] = readRequest(message, inputLimits).payloads;
    message.fill(0);
    expect(Buffer.from(payload ?? []).toString()).toBe("pay");
  });

  it("are written as protobufjs reads them: a workflow with its result and its steps", () => {
    const ops = [{ status: "succeed", payload: Buffer.from([0, 255]), branchId: "01", op: "action" }];
    const tx = { gid: "gw", status: "failed", rollbackReason: "größe", result: "UkVT", ops } as unknown as Transaction;
    const reply = typeOf("DtmProgressesReply").toObject(typeOf("DtmProgressesReply").decode(progressesReply(tx)));
    expect(reply).toEqual({
      Transaction: { Gid: "gw", Status: "failed", RollbackReason: "größe", Result: "UkVT" },
      Progresses: [{ Status: "succeed", BinData: Buffer.from([0, 255]), BranchID: "01", Op: "action" }],
    });
  });
});

describe("the protobuf reader", () => {
  const bad: readonly (readonly [string, string])[] = [
    ["field number 0", "0000"],
    ["a tag cut short", "80"],
    ["a tag without end", "ffffffffffffffffffffff01"],
    ["a length beyond the message", "0a05616263"],
    ["a length cut short", "0a"],
    ["a huge length", "0affffffff0f61"],
    ["a length beyond 32 bits", "0affffffffffffffffff01"],
    ["a fixed field cut short", "0d0102"],
    ["the end of a group that never began", "0c"],
    ["a group without end", "0b"],
    ["the end of another group", "0b14"],
    ["wire type 6", "0e"],
    ["text that is no UTF-8", "0a02c328"],
    ["text with a lone surrogate", "0a03eda080"],
    ["a map entry that is no message", "2a0180"],
    ["deep groups", `${"0b".repeat(100)}${"0c".repeat(100)}`],
  ];
  for (const [name, hex] of bad)
    it(`refuses ${name}`, () => {
      expect(() => readBranch(Buffer.from(hex, "hex"))).toThrow(InvalidInput);
    });

  it("skips unknown fields of every kind, and known ones of another kind", () => {
    const unknown = Buffer.from(
      ["f80601", "f9060102030405060708", "fa0602abcd", "fd0601020304", "fb060801fc06"].join(""),
      "hex",
    );
    const known = encode("DtmTopicRequest", { Topic: "t" });
    expect(readTopic(Buffer.concat([unknown, known, unknown]))).toMatchObject({ topic: "t" });
    expect(readTopic(Buffer.from("0801", "hex"))).toMatchObject({ topic: "" });
  });

  it("takes the last of a field that comes twice, and merges messages", () => {
    const twice = Buffer.concat([
      encode("DtmRequest", { Gid: "a", TransOptions: { RetryLimit: 1, BranchHeaders: { a: "1" } } }),
      encode("DtmRequest", { Gid: "b", TransOptions: { RetryInterval: 2, BranchHeaders: { b: "2" } } }),
    ]);
    const read = readRequest(twice, inputLimits);
    expect(read.gid).toBe("b");
    expect(read.options).toMatchObject({ retryLimit: 1, retryInterval: 2 });
    expect({ ...read.options.branchHeaders }).toEqual({ a: "1", b: "2" });
  });

  it("gives a message or bad input for any bytes, as protobufjs takes what it takes", () => {
    let taken = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (value) => {
        try {
          readRequest(Buffer.from(value), inputLimits);
          taken += 1;
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInput);
          return;
        }
        expect(() => typeOf("DtmRequest").decode(value)).not.toThrow();
      }),
      { numRuns: 5000 },
    );
    expect(taken).toBeGreaterThan(10);
  });

  it("reads numbers of 64 bits with their sign", () => {
    const numberOf = (hex: string) => {
      const reader = new ProtobufReader(Buffer.from(hex, "hex"));
      reader.next();
      return reader.int64();
    };
    expect(numberOf("08ffffffffffffffffff01")).toBe(-1);
    expect(numberOf("08808080808080808080 01".replace(" ", ""))).toBe(-(2 ** 63));
    expect(numberOf("08ffffffffffffff7f")).toBe(2 ** 56 - 1);
  });
});
