/**
 * Key-values in the table `kv`, keys and values as bytes. A change is one conditional statement.
 */
import type { RowDataPacket } from "mysql2/promise";
import type { KeyValue, KeyValues } from "../../ports/topics.js";
import { readScanCursor, scanCursor } from "../cursor.js";
import type { Lines } from "./lines.js";
import { literal } from "./literal.js";

const columns = "category, name, value, version, created_at, updated_at";
const duplicate = 1062;
const [categoryBytesMax, keyBytesMax] = [255, 1024];

/** The part of the store that keeps topics. */
export class MysqlKeyValues implements KeyValues {
  readonly #lines: Lines;

  constructor(lines: Lines) {
    this.#lines = lines;
  }

  async get(category: string, key: string): Promise<KeyValue | undefined> {
    const [rows] = await this.#lines.send(`SELECT ${columns} FROM kv WHERE ${place(category, key)}`);
    return rows!.map(readEntry)[0];
  }

  async put(category: string, key: string, value: string, expected: number, nowMs: number): Promise<boolean> {
    if (expected > 0) {
      const [changed] = await this.#lines.send(
        `UPDATE kv SET value=${literal(value)}, version=version+1, updated_at=${literal(nowMs)}
         WHERE ${place(category, key)} AND version=${literal(expected)}`,
      );
      return changed!.affectedRows === 1;
    }
    mustFit(category, key);
    const row = [category, key, value, 1, nowMs, nowMs].map(literal).join(",");
    try {
      await this.#lines.send(`INSERT INTO kv (${columns}) VALUES (${row})`);
      return true;
    } catch (error) {
      if ((error as { errno?: number }).errno === duplicate) return false;
      throw error;
    }
  }

  async remove(category: string, key: string): Promise<boolean> {
    const [changed] = await this.#lines.send(`DELETE FROM kv WHERE ${place(category, key)}`);
    return changed!.affectedRows === 1;
  }

  async scan(category: string, after: string | undefined, limit: number) {
    const last = readScanCursor(after);
    const conditions: string[] = category === "" ? [] : [`category=${literal(category)}`];
    if (last !== undefined) {
      const [lastCategory, lastKey] = [literal(last.category), literal(last.key)];
      conditions.push(`(category > ${lastCategory} OR (category = ${lastCategory} AND name > ${lastKey}))`);
    }
    const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    const [rows] = await this.#lines.send(
      `SELECT ${columns} FROM kv ${where} ORDER BY category, name LIMIT ${literal(limit + 1)}`,
    );
    const entries = rows!.slice(0, limit).map(readEntry);
    return { entries, next: rows!.length > limit ? scanCursor(entries.at(-1)!) : undefined };
  }
}

function place(category: string, key: string): string {
  return `category=${literal(category)} AND name=${literal(key)}`;
}

function mustFit(category: string, key: string): void {
  const [categoryBytes, keyBytes] = [Buffer.byteLength(category), Buffer.byteLength(key)];
  if (categoryBytes <= categoryBytesMax && keyBytes <= keyBytesMax) return;
  throw new RangeError(
    `category of ${categoryBytes} and key of ${keyBytes} bytes, ${categoryBytesMax} and ${keyBytesMax} fit`,
  );
}

function readEntry(row: RowDataPacket): KeyValue {
  return {
    category: row.category.toString("utf8"),
    key: row.name.toString("utf8"),
    value: row.value.toString("utf8"),
    version: Number(row.version),
    createdAtMs: Number(row.created_at),
    updatedAtMs: Number(row.updated_at),
  };
}
