/**
 * Protocol buffers, as far as our messages go: strings, bytes, bool, int64, messages and maps of strings. Strict like
 * the official readers: what is cut short, overlong or no UTF-8 is refused; unknown fields are skipped.
 *
 * Written by hand because the general libraries repair broken UTF-8 instead of refusing it, and because the few
 * messages of a coordinator are decoded for every call.
 */
import { isUtf8 } from "node:buffer";
import { InvalidInput } from "./invalid.js";

const wireVarint = 0;
const wireFixed64 = 1;
const wireBytes = 2;
const wireGroup = 3;
const wireGroupEnd = 4;
const wireFixed32 = 5;

const groupDepthMax = 64;

function malformed(why: string): InvalidInput {
  return new InvalidInput(`message: ${why} met, a protobuf message needed`);
}

/** Reads one message's fields in their order. Views of bytes share the memory of the message. */
export class ProtobufReader {
  readonly #bytes: Buffer;
  #at = 0;
  /** Number of the field that `next` found. */
  field = 0;
  #wire = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Goes to the next field, false at the end. Each field must then be read or skipped. @throws InvalidInput */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false;
    const tag = this.#varint32();
    this.field = tag >>> 3;
    this.#wire = tag & 7;
    if (this.field === 0) throw malformed("field number 0");
    return true;
  }

  /** Bytes of the field; `undefined`, and skipped, where the field is of another kind. */
  bytes(): Buffer | undefined {
    if (this.#wire !== wireBytes) return this.skip();
    const length = this.#varint32();
    const start = this.#at;
    if (length > this.#bytes.length - start) throw malformed("a field longer than the message");
    this.#at = start + length;
    return this.#bytes.subarray(start, this.#at);
  }

  /** Text of the field. @throws InvalidInput for what is no UTF-8 */
  text(): string | undefined {
    const bytes = this.bytes();
    if (bytes === undefined) return undefined;
    if (!isUtf8(bytes)) throw malformed(`text of field ${this.field} that is no UTF-8`);
    return bytes.toString("utf8");
  }

  /** Number of an int64 field; beyond 2^53 it is only nearly right, which is far out of every range. */
  int64(): number | undefined {
    if (this.#wire !== wireVarint) return this.skip();
    return Number(BigInt.asIntN(64, this.#varint64()));
  }

  bool(): boolean | undefined {
    if (this.#wire !== wireVarint) return this.skip();
    return this.#varint64() !== 0n;
  }

  /** Adds the entry of a map of texts to `into`. */
  entry(into: Record<string, string>): void {
    const bytes = this.bytes();
    if (bytes === undefined) return;
    const reader = new ProtobufReader(bytes);
    let [key, value] = ["", ""];
    while (reader.next()) {
      if (reader.field === 1) key = reader.text() ?? key;
      else if (reader.field === 2) value = reader.text() ?? value;
      else reader.skip();
    }
    into[key] = value;
  }

  /** Passes over the field. */
  skip(depth = 0): undefined {
    switch (this.#wire) {
      case wireVarint:
        this.#varint64();
        return;
      case wireFixed64:
        return this.#pass(8);
      case wireFixed32:
        return this.#pass(4);
      case wireBytes:
        return this.#pass(this.#varint32());
      case wireGroup:
        return this.#skipGroup(depth + 1);
      default:
        throw malformed(`wire type ${this.#wire}`);
    }
  }

  #skipGroup(depth: number): undefined {
    const { field } = this;
    if (depth > groupDepthMax) throw malformed("deep nesting");
    while (this.next()) {
      if (this.#wire !== wireGroupEnd) this.skip(depth);
      else if (this.field === field) return;
      else throw malformed("the end of another group");
    }
    throw malformed("a group without end");
  }

  #pass(count: number): undefined {
    if (count > this.#bytes.length - this.#at) throw malformed("a field longer than the message");
    this.#at += count;
  }

  /** A tag or a length: more than 32 bits are never right. */
  #varint32(): number {
    const first = this.#bytes[this.#at];
    if (first !== undefined && first < 0x80) {
      this.#at += 1;
      return first;
    }
    const value = this.#varint64();
    if (value > 0xffff_ffffn) throw malformed("a tag or length beyond 32 bits");
    return Number(value);
  }

  #varint64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw malformed("a number cut short");
      this.#at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw malformed("a number of more than ten bytes");
  }
}

/** Collects the fields of a message. Empty texts and bytes are left out, as proto3 wants it. */
export class ProtobufWriter {
  readonly #parts: Uint8Array[] = [];

  /** A bytes field, or a message in it; `always` writes it although it is empty. */
  bytes(field: number, value: Uint8Array, always = false): this {
    if (value.length === 0 && !always) return this;
    this.#parts.push(Buffer.from([...varint(field * 8 + wireBytes), ...varint(value.length)]), value);
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value, "utf8"));
  }

  /** A non-negative whole number or a truth value. */
  uint(field: number, value: number): this {
    if (value !== 0) this.#parts.push(Buffer.from([...varint(field * 8 + wireVarint), ...varint(value)]));
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return [...bytes, left];
    bytes.push((left % 128) + 128);
  }
}
