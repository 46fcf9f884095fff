/**
 * Members of a JSON object as typed values: `null` and absence are the zero value (D23), a wrong type is refused.
 */
import { classOf, invalid } from "./invalid.js";
import type { Fields } from "./json.js";

/** Text, `""` when not given. */
export function readText(fields: Fields, name: string, path = name): string {
  const value = fields[name];
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return "";
  throw invalid(path, classOf(value), "text");
}

/** Number, 0 when not given; its range is somebody else's matter. */
export function readNumber(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value === "number") return value;
  if (value === undefined || value === null) return 0;
  throw invalid(name, classOf(value), "number");
}

/** `false` when absent or null. @throws what tells the client that it must be true or false */
export function readBoolean(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value === "boolean") return value;
  if (value === undefined || value === null) return false;
  throw invalid(name, classOf(value), "true or false");
}

/** Array, `undefined` when not given. */
export function readArray(fields: Fields, name: string): readonly unknown[] | undefined {
  const value = fields[name];
  if (Array.isArray(value)) return value;
  if (value === undefined || value === null) return undefined;
  throw invalid(name, classOf(value), "array");
}

/** Map of texts, `undefined` when not given; a `null` member is `""` as in DTM. Names keep their case. */
export function readTextMap(fields: Fields, name: string): Readonly<Record<string, string>> | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value)) throw invalid(name, classOf(value), "object of texts");
  return textMapOf(value, name);
}

/** All members of an object as texts. `path` names the object in messages, empty for the whole body. */
export function textMapOf(value: object, path: string): Readonly<Record<string, string>> {
  const map: Record<string, string> = Object.create(null);
  for (const [name, member] of Object.entries(value)) {
    if (typeof member !== "string" && member !== null) throw invalid(memberPath(path, name), classOf(member), "text");
    map[name] = member ?? "";
  }
  return map;
}

/** Names are the client's words: only what is short and plain is repeated in an answer. */
function memberPath(path: string, name: string): string {
  const shown = /^[\w-]{1,64}$/.test(name) ? name : "member";
  return path === "" ? shown : `${path}.${shown}`;
}
