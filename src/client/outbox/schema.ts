// The outbox's table, made where it is missing and brought up to date where an earlier version made it. Columns are
// only ever added, with defaults, so that relays of both versions can work on the table while it is changed.

import { migrateAlone } from "../barrier/pgdialect.js";
import type { SqlDatabase, SqlTx } from "../barrier/sql.js";
import { quotedTable } from "../barrier/table.js";

/** Statements that bring the table `name` of a database up to date. Safe at every start, in several processes. */
export async function migrateOutbox(sql: SqlTx, name: string, database: SqlDatabase): Promise<void> {
  if (database !== "mysql") {
    const statements = database === "postgres" ? postgresStatements(name) : sqliteStatements(name);
    for (const statement of statements) await sql.exec(statement, []);
    return;
  }
  await sql.exec(mysqlTable(quotedTable(name, "`")), []);
  for (const [column, type] of Object.entries(mysqlLater)) await addMysqlColumn(sql, name, column, type);
}

/** Columns of later versions. */
const mysqlLater = {
  refusals: "int not null default 0",
  retry_at: "datetime(3) null",
  dead_at: "datetime(3) null",
  reason: "varchar(1000) null",
} as const;

const postgresLater = {
  refusals: "int not null default 0",
  retry_at: "timestamptz",
  dead_at: "timestamptz",
  reason: "varchar(1000)",
} as const;

/** MySQL has no `if not exists` for columns. Another process may add it between the look and the statement. */
async function addMysqlColumn(sql: SqlTx, name: string, column: string, type: string): Promise<void> {
  const [schema, table] = name.includes(".") ? name.split(".") : [undefined, name];
  const look = async () => {
    const found = await sql.query(
      `select column_name as name from information_schema.columns
       where table_schema = coalesce(?, database()) and table_name = ? and column_name = ?`,
      [schema ?? null, table, column],
    );
    return found.length > 0;
  };
  if (await look()) return;
  try {
    await sql.exec(`alter table ${quotedTable(name, "`")} add column ${column} ${type}`, []);
  } catch (error) {
    if (!(await look())) throw error;
  }
}

const mysqlTable = (table: string): string => `create table if not exists ${table} (
  id bigint primary key auto_increment,
  gid varchar(128) not null,
  order_key varchar(200) not null,
  target varchar(1024) not null,
  payload longtext not null,
  created_at datetime(3) not null default now(3),
  submitted_at datetime(3) null,
  ${Object.entries(mysqlLater)
    .map((column) => column.join(" "))
    .join(",\n  ")},
  unique key (gid),
  key (submitted_at, id),
  key (order_key, id)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin`;

function postgresStatements(name: string): readonly string[] {
  const table = quotedTable(name, '"');
  const plain = name.split(".").at(-1)!;
  const columns = Object.entries(postgresLater).map((column) => column.join(" "));
  const create = `create table if not exists ${table} (
  id bigserial primary key,
  gid varchar(128) not null unique,
  order_key varchar(200) not null,
  target varchar(1024) not null,
  payload text not null,
  created_at timestamptz not null default now(),
  submitted_at timestamptz,
  ${columns.join(",\n  ")}
)`;
  return [
    migrateAlone,
    create,
    `alter table ${table} ${columns.map((column) => `add column if not exists ${column}`).join(", ")}`,
    // The relay looks for what is open, and for what stands before it under the same key; cleaning for what is old.
    `create index if not exists ${quotedTable(`${plain.slice(0, 50)}_open`, '"')} on ${table} (order_key, id)
     where submitted_at is null`,
    `create index if not exists ${quotedTable(`${plain.slice(0, 50)}_done`, '"')} on ${table} (submitted_at)`,
  ];
}

/** Times are texts of UTC to the millisecond, which compare as the times do. */
function sqliteStatements(name: string): readonly string[] {
  const plain = quotedTable(name.split(".").at(-1)!, '"');
  return [
    `create table if not exists ${quotedTable(name, '"')} (
  id integer primary key autoincrement,
  gid varchar(128) not null unique,
  order_key varchar(200) not null,
  target varchar(1024) not null,
  payload text not null,
  created_at datetime not null default (strftime('%Y-%m-%d %H:%M:%f', 'now')),
  submitted_at datetime,
  refusals int not null default 0,
  retry_at datetime,
  dead_at datetime,
  reason varchar(1000)
)`,
    `create index if not exists ${quotedTable(`${name}_open`, '"')} on ${plain} (order_key, id)
     where submitted_at is null`,
    `create index if not exists ${quotedTable(`${name}_done`, '"')} on ${plain} (submitted_at)`,
  ];
}
