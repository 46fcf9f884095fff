// Values of steps as text. JSON, with bytes as {"$b64": "…"}: over HTTP DTM keeps a result as a JSON string, in which
// raw bytes would not survive. A value goes through this once even when it is first made, so that a replay sees the
// same thing.

import { invalidInput, type TandemError } from "../errors.js";

const bytesKey = "$b64";
const escapeKey = "$esc";

/**
 * JSON text of a value. Throws DTX_INVALID_INPUT naming the place of what cannot be kept (functions, symbols, BigInt,
 * cycles).
 */
export function encodeValue(value: unknown, where: string): string | undefined {
  const plain = toPlain(value, where, []);
  return plain === undefined ? undefined : JSON.stringify(plain);
}

/** The value of a text made by `encodeValue`, or of any JSON. */
export function decodeValue(text: string | undefined): unknown {
  return text === undefined || text === "" ? undefined : fromPlain(JSON.parse(text));
}

/** As `decodeValue`, for a value that is part of a larger JSON. */
export function fromPlain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromPlain);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [key, inner] = entries.length === 1 ? entries[0]! : [undefined, undefined];
  if (key === bytesKey && typeof inner === "string") return new Uint8Array(Buffer.from(inner, "base64"));
  const source = key === escapeKey && typeof inner === "object" && inner !== null ? Object.entries(inner) : entries;
  return Object.fromEntries(source.map(([name, member]) => [name, fromPlain(member)]));
}

/** As `encodeValue`, for a value that becomes part of a larger JSON. `path` are the objects around it. */
export function toPlain(value: unknown, where: string, path: readonly object[] = []): unknown {
  if (value instanceof Uint8Array) return { [bytesKey]: Buffer.from(value).toString("base64") };
  if (typeof value === "number" && !Number.isFinite(value)) throw unfit(where, String(value));
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") {
    throw unfit(where, typeof value);
  }
  if (typeof value !== "object" || value === null) return value;
  if (path.includes(value)) throw unfit(where, "cycle");
  const inner = [...path, value];
  if ("toJSON" in value && typeof value.toJSON === "function") return toPlain(value.toJSON(), where, inner);
  if (Array.isArray(value)) return value.map((member, index) => toPlain(member, `${where}[${index}]`, inner));
  if (value instanceof Map || value instanceof Set) throw unfit(where, value instanceof Map ? "Map" : "Set");
  const members = Object.entries(value).map(([key, member]) => [key, toPlain(member, `${where}.${key}`, inner)]);
  const plain: unknown = Object.fromEntries(members);
  const looksEncoded = members.length === 1 && (members[0]![0] === bytesKey || members[0]![0] === escapeKey);
  return looksEncoded ? { [escapeKey]: plain } : plain;
}

function unfit(where: string, what: string): TandemError {
  return invalidInput(`the result of ${where} holds a ${what}, which cannot be recorded`, {
    hint: "return JSON values or Uint8Array",
  });
}
