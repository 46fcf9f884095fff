/**
 * Tables and their migrations. Ids come first in every key, so new rows land at the end of the tables; gids are bytes.
 * Several nodes that migrate at once do it once: the server's named lock lets one after the other look what is left.
 */
import { randomUUID } from "node:crypto";
import type { Connection, RowDataPacket } from "mysql2/promise";
import { shardCount, shardHash } from "../../core/shard.js";
import { type Formats, formats as ownFormats } from "../../ports/format.js";
import { StoreUnavailable } from "../../ports/store.js";
import { mustKnowFormat, UnknownFormat } from "../codec.js";
import { leaseTables } from "./leasetables.js";

/** The database cannot be used as it is; the message says what to do. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
}

const engine = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4";

/** From one version of the tables to the next. */
export interface Migration {
  readonly statements: readonly string[];
  /**
   * Oldest program, by the version of the tables that it knows, that can go on with these: what is only added keeps the
   * nodes of the previous build going, and startable, while an upgrade is rolled out.
   */
  readonly oldest: number;
}

const creation: readonly string[] = [
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
];

/** Never changed once released, only appended. */
const ownMigrations: readonly Migration[] = [{ statements: creation, oldest: 1 }];

/**
 * Privileges on the database that suffice: `serve` for a node, and those of `migrate` besides for whoever migrates.
 * Ending a dead node's connections needs none where the nodes share a user, else CONNECTION ADMIN (it is optional).
 */
export const privileges = {
  serve: ["SELECT", "INSERT", "UPDATE", "DELETE"],
  migrate: ["CREATE", "ALTER", "INDEX"],
} as const;

/** Version of the tables that this program needs. */
export const schemaVersion = ownMigrations.length;

/** Seconds to wait for another node that migrates. */
const lockWaitS = 120;

const metaTable = `CREATE TABLE IF NOT EXISTS meta (
  name VARBINARY(64) NOT NULL PRIMARY KEY,
  value VARBINARY(1024) NOT NULL
) ${engine}`;

/**
 * Brings the tables to this program's version, unless they are ahead; resolves to the versions before and after. New
 * tables get the newest of the formats. @throws SchemaError, UnknownFormat
 */
export async function migrate(
  connection: Connection,
  formats: Formats = ownFormats,
  migrations: readonly Migration[] = ownMigrations,
): Promise<{ readonly from: number; readonly to: number }> {
  const [[lock]] = await connection.query<RowDataPacket[]>(
    `SELECT GET_LOCK(CONCAT('tandem.', DATABASE()), ${lockWaitS}) AS taken`,
  );
  if (lock?.taken !== 1) throw new StoreUnavailable(`another node has migrated for more than ${lockWaitS} s`);
  try {
    const meta = await readMeta(connection);
    const from = Number(meta.get("schema") ?? 0);
    if (from > 0) mustFit(meta, from, migrations.length, formats);
    if (from < migrations.length) await connection.query(metaTable);
    for (const [n, migration] of migrations.entries()) {
      if (n < from) continue;
      for (const statement of migration.statements) await connection.query(statement);
      await noteVersion(connection, n + 1, migration, formats);
    }
    return { from, to: Math.max(from, migrations.length) };
  } finally {
    await connection.query("DO RELEASE_LOCK(CONCAT('tandem.', DATABASE()))");
  }
}

/**
 * Refuses tables that this program does not fit, without changing them; resolves to the format that its nodes write.
 * @throws SchemaError, UnknownFormat
 */
export async function checkSchema(connection: Connection, formats: Formats = ownFormats): Promise<number> {
  const meta = await readMeta(connection);
  const version = Number(meta.get("schema") ?? 0);
  if (version === 0) throw new SchemaError("the database has no tables of tandem: run `tandem migrate`");
  mustFit(meta, version, schemaVersion, formats);
  if (version < schemaVersion) {
    throw new SchemaError(
      `the tables have version ${version}, this program needs ${schemaVersion}: run 'tandem migrate'`,
    );
  }
  return Number(meta.get("format"));
}

function mustFit(meta: ReadonlyMap<string, string>, version: number, known: number, formats: Formats): void {
  if (version > known && Number(meta.get("schema_oldest") ?? version) > known) {
    throw new UnknownFormat(`the tables have version ${version}, this program knows ${known}: use a newer one`);
  }
  mustKnowFormat(Number(meta.get("format")), "store in the database", formats);
  mustKnowFormat(Number(meta.get("format_oldest")), "the oldest row in the database", formats);
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

/**
 * Of the rows, `format` is what nodes write (raised by `MysqlLeases`), `format_oldest` what may still lie there.
 */
async function noteVersion(
  connection: Connection,
  version: number,
  { oldest }: Migration,
  formats: Formats,
): Promise<void> {
  if (version > 1) {
    await connection.query("UPDATE meta SET value=? WHERE name='schema_oldest'", [String(oldest)]);
    await connection.query("UPDATE meta SET value=? WHERE name='schema'", [String(version)]);
    return;
  }
  const rows = [
    ["schema", String(version)],
    ["schema_oldest", String(oldest)],
    ["format", String(formats.newest)],
    ["format_oldest", String(formats.newest)],
    ["shards", `${shardCount} ${shardHash}`],
    ["cluster", randomUUID()],
  ];
  await connection.query("INSERT INTO meta (name, value) VALUES ?", [rows]);
}
