/**
 * Values as SQL text. Only numbers and hexadecimal strings ever reach a statement, so no value can be read as SQL,
 * whatever the session's modes and character sets are.
 */

/** Text of a value within a statement. Strings are stored as their UTF-8 bytes. */
export function literal(value: number | string | boolean | Uint8Array | undefined): string {
  if (value === undefined) return "NULL";
  if (typeof value === "boolean") return value ? "1" : "0";
  if (typeof value === "string") return `x'${Buffer.from(value, "utf8").toString("hex")}'`;
  if (typeof value !== "number") {
    const { buffer, byteOffset, byteLength } = value;
    return `x'${Buffer.from(buffer, byteOffset, byteLength).toString("hex")}'`;
  }
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} cannot be stored: no safe integer`);
  return String(value);
}

/** `(a,b,…)` of literals. */
export function tuple(values: readonly Parameters<typeof literal>[0][]): string {
  return `(${values.map(literal).join(",")})`;
}

/** `column IN (…)`; never true for no values. */
export function within(column: string, values: Iterable<Parameters<typeof literal>[0]>): string {
  const list = [...values].map(literal).join(",");
  return list === "" ? "FALSE" : `${column} IN (${list})`;
}

/** `((a=1 AND b=2) OR …)`: the form of pairs that the range optimizers of both servers understand. */
export function anyPair(first: string, second: string, pairs: Iterable<readonly [number, number]>): string {
  const terms = [...pairs].map(([a, b]) => `(${first}=${literal(a)} AND ${second}=${literal(b)})`);
  return terms.length === 0 ? "FALSE" : `(${terms.join(" OR ")})`;
}
