/**
 * Bodies of the NATS API: JSON, or msgpack where the header `Content-Type` says so. Either gives the same fields,
 * within the same limits; the answer has the form of the request.
 */
import { isUtf8 } from "node:buffer";
import { Packr } from "msgpackr";
import { classOf, InvalidInput, invalid, tooLarge } from "../../wire/invalid.js";
import { type Fields, fieldsOf, parseObject } from "../../wire/json.js";
import type { InputLimits } from "../../wire/limits.js";

/** How a body is written. */
export type Form = "json" | "msgpack";

/** Of the header, by form; the first is what is answered. */
const types: Readonly<Record<Form, readonly string[]>> = {
  json: ["application/json"],
  msgpack: ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"],
};

const packr = new Packr({ useRecords: false, int64AsType: "number" });

/** The form that a `Content-Type` asks for; none is JSON. @throws InvalidInput for any other */
export function formOf(contentType: string): Form {
  const type = contentType.split(";")[0]!.trim().toLowerCase();
  if (type === "" || types.json.includes(type)) return "json";
  if (types.msgpack.includes(type)) return "msgpack";
  throw new InvalidInput(
    "Content-Type: other type met, application/json or application/msgpack needed",
    "UNSUPPORTED_MEDIA",
  );
}

/** `Content-Type` of a form. */
export function typeOf(form: Form): string {
  return types[form][0]!;
}

/** The object in a request's body, names in lower case; an empty body is an empty object. @throws InvalidInput */
export function readFields(form: Form, bytes: Uint8Array, limits: InputLimits): Fields {
  if (bytes.length === 0) return {};
  if (form === "json") return parseObject(bytes, limits);
  if (bytes.length > limits.bodyBytes)
    throw tooLarge("body", `${bytes.length} bytes`, `at most ${limits.bodyBytes} bytes`);
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch {
    throw new InvalidInput("body: malformed msgpack met, msgpack needed");
  }
  return fieldsOf(plain(value, limits, { left: limits.jsonValues }, 1), "body");
}

/** A value as bytes of a form. */
export function write(form: Form, value: unknown): Uint8Array {
  const text = JSON.stringify(value);
  return form === "json" ? Buffer.from(text) : packr.pack(JSON.parse(text));
}

/** What JSON could have said too: bytes that are text become text, everything else is refused. */
function plain(value: unknown, limits: InputLimits, count: { left: number }, depth: number): unknown {
  if (count.left-- <= 0) throw invalid("body", "more values", `at most ${limits.jsonValues} values`);
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return value;
  if (depth > limits.jsonDepth) throw invalid("body", "deeper nesting", `depth at most ${limits.jsonDepth}`);
  if (value instanceof Uint8Array) {
    if (!isUtf8(value)) throw invalid("body", "bytes that are no UTF-8", "text");
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("utf8");
  }
  if (Array.isArray(value)) return value.map((member) => plain(member, limits, count, depth + 1));
  if (typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype)
    throw invalid("body", classOf(value), "what JSON has");
  const entries = Object.entries(value).map(([name, member]) => [name, plain(member, limits, count, depth + 1)]);
  return Object.fromEntries(entries);
}
