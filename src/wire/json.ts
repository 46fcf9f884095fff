/**
 * Bytes to JSON values, within limits: one pass over the bytes counts depth and values before anything is built, then
 * the platform's parser does the work. Duplicate names: the last one wins, as in DTM (D23).
 */
import { isUtf8 } from "node:buffer";
import { classOf, InvalidInput, invalid, tooLarge } from "./invalid.js";
import type { InputLimits } from "./limits.js";

/** A JSON object whose names are in lower case. */
export type Fields = Readonly<Record<string, unknown>>;

type JsonLimits = Pick<InputLimits, "bodyBytes" | "jsonDepth" | "jsonValues">;

/** The value that the bytes hold. @throws InvalidInput */
export function parseJson(bytes: Uint8Array, limits: JsonLimits, field = "body"): unknown {
  if (bytes.length === 0) throw invalid(field, "nothing", "JSON");
  if (bytes.length > limits.bodyBytes)
    throw tooLarge(field, `${bytes.length} bytes`, `at most ${limits.bodyBytes} bytes`);
  if (!isUtf8(bytes)) throw invalid(field, "invalid UTF-8", "JSON in UTF-8");
  measure(bytes, limits, field);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (cause) {
    throw new InvalidInput(`${field}: malformed JSON met${placeOf(cause)}, JSON needed`);
  }
}

/** The object that the bytes hold, its names in lower case (S-HTTP-4). @throws InvalidInput */
export function parseObject(bytes: Uint8Array, limits: JsonLimits, field = "body"): Fields {
  return fieldsOf(parseJson(bytes, limits, field), field);
}

/** A decoded value as fields with lower-case names. @throws InvalidInput when it is no object. */
export function fieldsOf(value: unknown, field: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid(field, classOf(value), "JSON object");
  for (const name in value) if (upperCase.test(name)) return folded(value);
  return value as Fields;
}

const upperCase = /[A-Z]/;

function folded(value: object): Fields {
  const fields: Record<string, unknown> = Object.create(null);
  for (const [name, member] of Object.entries(value)) fields[name.toLowerCase()] = member;
  return fields;
}

/** Where the platform's parser stopped; its words may hold what was sent, so only the number is taken. */
function placeOf(cause: unknown): string {
  const found = cause instanceof SyntaxError ? /at position (\d+)/.exec(cause.message) : null;
  return found === null ? "" : ` at byte ${found[1]} or near`;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
/** `[` and `{` differ from `]` and `}` by bits that no other structural byte has. */
const OPEN = [0x5b, 0x7b];
const CLOSE = [0x5d, 0x7d];

function measure(bytes: Uint8Array, limits: JsonLimits, field: string): void {
  let depth = 0;
  let values = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) i = endOfString(bytes, i);
    else if (byte === COMMA || byte === COLON) values++;
    else if (byte === OPEN[0] || byte === OPEN[1]) {
      if (++depth > limits.jsonDepth)
        throw invalid(field, "deeper nesting", `JSON of depth at most ${limits.jsonDepth}`);
    } else if (byte === CLOSE[0] || byte === CLOSE[1]) depth--;
  }
  if (values > limits.jsonValues) throw invalid(field, `${values} values`, `at most ${limits.jsonValues} JSON values`);
}

/** Index of the quote that ends the string which begins at `start`, or of the last byte. */
function endOfString(bytes: Uint8Array, start: number): number {
  let i = start + 1;
  while (i < bytes.length && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1;
  return i;
}
