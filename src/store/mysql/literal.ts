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

/** `column IN (…)`; never true for no values. */
export function within(column: string, values: Iterable<Parameters<typeof literal>[0]>): string {
  const list = [...values].map(literal).join(",");
  return list === "" ? "FALSE" : `${column} IN (${list})`;
}

/** `((b=2 AND a IN (1,…)) OR …)`: a form of pairs that both servers look up key by key, and quickly. */
export function anyPair(first: string, second: string, pairs: Iterable<readonly [number, number]>): string {
  const groups = new Map<number, number[]>();
  for (const [a, b] of pairs) {
    const group = groups.get(b);
    if (group === undefined) groups.set(b, [a]);
    else group.push(a);
  }
  const terms = [...groups].map(([b, values]) => `(${second}=${literal(b)} AND ${within(first, values)})`);
  return terms.length === 0 ? "FALSE" : `(${terms.join(" OR ")})`;
}
