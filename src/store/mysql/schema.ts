/**
 * Tables and their migrations. Ids come first in every key, so new rows land at the end of the tables; gids are bytes.
 * Several nodes that migrate at once do it once: the server's named lock lets one after the other look what is left.
 */
import { randomUUID } from "node:crypto";
import type { Connection, RowDataPacket } from "mysql2/promise";
import { shardCount, shardHash } from "../../core/shard.js";
import { StoreUnavailable } from "../../ports/store.js";
import { formatVersion, mustKnowFormat, UnknownFormat } from "../codec.js";
import { leaseTables } from "./leasetables.js";

/** The database cannot be used as it is; the message says what to do. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
}

const engine = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4";

/** Statements of each version after the one before; never changed once released, only appended. */
const migrations: readonly (readonly string[])[] = [
  [
    `CREATE TABLE IF NOT EXISTS head (
      id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
      gid VARBINARY(512) NOT NULL,
      shard SMALLINT UNSIGNED NOT NULL,
      type VARBINARY(16) NOT NULL,
      protocol VARBINARY(16) NOT NULL,
      status VARBINARY(16) NOT NULL,
      wake_at BIGINT NULL,
      digest VARBINARY(255) NULL,
      parked TINYINT NOT NULL,
      overdue TINYINT NOT NULL,
      rollback_reason MEDIUMBLOB NOT NULL,
      aborted_by_client TINYINT NOT NULL,
      created_at BIGINT NOT NULL,
      updated_at BIGINT NOT NULL,
      ended_at BIGINT NULL,
      UNIQUE KEY head_gid (gid),
      KEY head_shard_wake (shard, wake_at)
    ) ${engine}`,
    `CREATE TABLE IF NOT EXISTS journal (
      id BIGINT UNSIGNED NOT NULL,
      seq INT NOT NULL,
      body LONGBLOB NOT NULL,
      PRIMARY KEY (id, seq)
    ) ${engine}`,
    `CREATE TABLE IF NOT EXISTS kv (
      category VARBINARY(255) NOT NULL,
      name VARBINARY(1024) NOT NULL,
      value LONGBLOB NOT NULL,
      version BIGINT NOT NULL,
      created_at BIGINT NOT NULL,
      updated_at BIGINT NOT NULL,
      PRIMARY KEY (category, name)
    ) ${engine}`,
    ...leaseTables,
  ],
];

/**
 * Privileges on the database that suffice: `serve` for a node, and those of `migrate` besides for whoever migrates.
 * Ending a dead node's connections needs none where the nodes share a user, else CONNECTION ADMIN (it is optional).
 */
export const privileges = {
  serve: ["SELECT", "INSERT", "UPDATE", "DELETE"],
  migrate: ["CREATE", "ALTER", "INDEX"],
} as const;

/** Version of the tables that this program needs. */
export const schemaVersion = migrations.length;

/** Seconds to wait for another node that migrates. */
const lockWaitS = 120;

const metaTable = `CREATE TABLE IF NOT EXISTS meta (
  name VARBINARY(64) NOT NULL PRIMARY KEY,
  value VARBINARY(1024) NOT NULL
) ${engine}`;

/** Brings the tables to this program's version; resolves to the versions before and after. @throws SchemaError */
export async function migrate(connection: Connection): Promise<{ readonly from: number; readonly to: number }> {
  const [[lock]] = await connection.query<RowDataPacket[]>(
    `SELECT GET_LOCK(CONCAT('tandem.', DATABASE()), ${lockWaitS}) AS taken`,
  );
  if (lock?.taken !== 1) throw new StoreUnavailable(`another node has migrated for more than ${lockWaitS} s`);
  try {
    const meta = await readMeta(connection);
    const from = Number(meta.get("schema") ?? 0);
    if (from > 0) mustFit(meta, from);
    if (from < schemaVersion) await connection.query(metaTable);
    for (let version = from + 1; version <= schemaVersion; version++) {
      for (const statement of migrations[version - 1]!) await connection.query(statement);
      await noteVersion(connection, version);
    }
    return { from, to: schemaVersion };
  } finally {
    await connection.query("DO RELEASE_LOCK(CONCAT('tandem.', DATABASE()))");
  }
}

/** Refuses tables that this program does not fit, without changing them. @throws SchemaError, UnknownFormat */
export async function checkSchema(connection: Connection): Promise<void> {
  const meta = await readMeta(connection);
  const version = Number(meta.get("schema") ?? 0);
  if (version === 0) throw new SchemaError("the database has no tables of tandem: run `tandem migrate`");
  mustFit(meta, version);
  if (version < schemaVersion) {
    throw new SchemaError(
      `the tables have version ${version}, this program needs ${schemaVersion}: run 'tandem migrate'`,
    );
  }
}

function mustFit(meta: ReadonlyMap<string, string>, version: number): void {
  if (version > schemaVersion) {
    throw new UnknownFormat(`the tables have version ${version}, this program knows ${schemaVersion}: use a newer one`);
  }
  mustKnowFormat(Number(meta.get("format")), "store in the database");
  const shards = meta.get("shards");
  const needed = `${shardCount} ${shardHash}`;
  if (shards !== needed) throw new SchemaError(`the store has shards '${shards}', this program needs '${needed}'`);
}

async function readMeta(connection: Connection): Promise<ReadonlyMap<string, string>> {
  const [tables] = await connection.query<RowDataPacket[]>("SHOW TABLES LIKE 'meta'");
  if (tables.length === 0) return new Map();
  const [rows] = await connection.query<RowDataPacket[]>("SELECT name, value FROM meta");
  return new Map(rows.map((row) => [row.name.toString("utf8"), row.value.toString("utf8")]));
}

async function noteVersion(connection: Connection, version: number): Promise<void> {
  if (version > 1) {
    await connection.query("UPDATE meta SET value=? WHERE name='schema'", [String(version)]);
    return;
  }
  const rows = [
    ["schema", String(version)],
    ["format", String(formatVersion)],
    ["shards", `${shardCount} ${shardHash}`],
    ["cluster", randomUUID()],
  ];
  await connection.query("INSERT INTO meta (name, value) VALUES ?", [rows]);
}
