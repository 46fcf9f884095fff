/**
 * A look at a database before a node uses it: whether it can be reached, is new enough, keeps what it commits, has the
 * tables, and lets this user do what a node does. Changes nothing: privileges are tried with EXPLAIN, which needs those
 * of the statement that it explains.
 */
import { type Connection, createConnection, type RowDataPacket } from "mysql2/promise";
import { UnknownFormat } from "../codec.js";
import { wordsOf } from "./answers.js";
import { headColumns } from "./columns.js";
import { checkSchema, privileges, SchemaError } from "./schema.js";

/** What was found, and what to do about it; `advice` is empty when all is well. */
export interface Remark {
  readonly state: "ok" | "warning" | "trouble";
  readonly found: string;
  readonly advice: string;
}

/** Oldest servers whose SQL is used. */
const needed = { MariaDB: [10, 6, 0], MySQL: [8, 0, 19] } as const;

/** A column of each table, to be set to itself. */
const tables = {
  head: headColumns[5],
  journal: "body",
  kv: "value",
  meta: "value",
  cl_node: "state",
  cl_shard: "epoch",
};

/** Looks at the database of a URL. Never rejects: what cannot be found out is a remark. */
export async function inspect(url: string, migratesByHand: boolean): Promise<readonly Remark[]> {
  let connection: Connection;
  try {
    connection = await createConnection({ uri: url, connectTimeout: 5000 });
  } catch (error) {
    return [unreachable(error, new URL(url))];
  }
  try {
    const database = decodeURIComponent(new URL(url).pathname.slice(1));
    const [version, kept] = [await lookAtVersion(connection), await lookAtDurability(connection)];
    return [version, ...kept, ...(await lookAtTables(connection, database, migratesByHand))];
  } catch (error) {
    return [{ state: "trouble", found: `the look was cut short: ${wordsOf(error)}`, advice: "see the database's log" }];
  } finally {
    connection.destroy();
  }
}

function unreachable(error: unknown, { hostname, port, username, pathname }: URL): Remark {
  const { errno } = error as { errno?: number };
  const database = pathname.slice(1);
  const trouble = (found: string, advice: string): Remark => ({ state: "trouble", found, advice });
  if (errno === 1045) return trouble(wordsOf(error), "correct user or password in Store.Url");
  if (errno === 1049) return trouble(wordsOf(error), `make it: CREATE DATABASE \`${database}\``);
  if (errno === 1044)
    return trouble(wordsOf(error), grantOf([...privileges.serve, ...privileges.migrate], database, username));
  return trouble(`${hostname}:${port || 3306} cannot be reached: ${wordsOf(error)}`, "start it, or correct Store.Url");
}

async function lookAtVersion(connection: Connection): Promise<Remark> {
  const version = String(await one(connection, "SELECT VERSION() AS value"));
  const kind = version.includes("MariaDB") ? "MariaDB" : "MySQL";
  const met = version.split(/[.-]/).slice(0, 3).map(Number);
  const place = met.findIndex((part, i) => part !== needed[kind][i]);
  const ok = place < 0 || met[place]! > needed[kind][place]!;
  const advice = ok ? "" : `use ${kind} ${needed[kind].join(".")} or newer`;
  return { state: ok ? "ok" : "trouble", found: `${kind} ${version}`, advice };
}

/** Settings under which an acknowledged transaction could be lost, or two nodes could write to one shard. */
async function lookAtDurability(connection: Connection): Promise<readonly Remark[]> {
  const value = async (name: string) => {
    const [[row]] = await connection.query<RowDataPacket[]>("SHOW GLOBAL VARIABLES LIKE ?", [name]);
    return row === undefined ? undefined : String(row.Value);
  };
  const remarks: Remark[] = [];
  const flush = await value("innodb_flush_log_at_trx_commit");
  if (flush !== "1")
    remarks.push({
      state: "warning",
      found: `innodb_flush_log_at_trx_commit is ${flush}: a crash of the database loses acknowledged transactions`,
      advice: "set it to 1",
    });
  const sync = await value("sync_binlog");
  if ((await value("log_bin")) === "ON" && sync !== "1")
    remarks.push({
      state: "warning",
      found: `sync_binlog is ${sync}`,
      advice: "set it to 1, for fail-over to a replica",
    });
  if ((await value("wsrep_on")) === "ON")
    remarks.push({
      state: "trouble",
      found: "Galera: its row locks are local to one member, two nodes could write to one shard",
      advice: "use one writable primary",
    });
  if ((await value("read_only")) === "ON")
    remarks.push({ state: "warning", found: "read_only is on", advice: "point Store.Url at the primary" });
  return remarks;
}

async function lookAtTables(
  connection: Connection,
  database: string,
  migratesByHand: boolean,
): Promise<readonly Remark[]> {
  const user = String(await one(connection, "SELECT CURRENT_USER() AS value"));
  const granted = await grantsOn(connection, database);
  const [present] = await connection.query<RowDataPacket[]>("SHOW TABLES LIKE 'meta'");
  const state = present.length === 0 ? "none" : await stateOfTables(connection);
  const mayServe = state === "none" ? privileges.serve.filter((name) => !granted(name)) : await denied(connection);
  const mayMigrate = privileges.migrate.filter((name) => !granted(name));
  const makes = state !== "fit" && !migratesByHand;
  const missing = makes ? [...mayServe, ...mayMigrate] : mayServe;
  const remarks: Remark[] = [];
  if (missing.length > 0)
    remarks.push({
      state: "trouble",
      found: `${user} lacks ${missing.join(", ")} on ${database}`,
      advice: grantOf(missing, database, user),
    });
  else remarks.push({ state: "ok", found: `${user} may do on ${database} what a node does`, advice: "" });
  if (state === "fit" && mayMigrate.length > 0 && !migratesByHand)
    remarks.push({
      state: "warning",
      found: `${user} lacks ${mayMigrate.join(", ")}, which the tables of a later version need`,
      advice: "let another user run `tandem migrate` then, and set Store.MigrateByHand",
    });
  if (state === "fit") remarks.push({ state: "ok", found: "the tables are there", advice: "" });
  else if (state === "none" || state instanceof SchemaError)
    remarks.push({
      state: migratesByHand ? "trouble" : "ok",
      found: state === "none" ? "no tables yet" : state.message,
      advice: migratesByHand ? "run `tandem migrate`" : "the first node makes them",
    });
  else remarks.push({ state: "trouble", found: state.message, advice: "use the version of tandem that made them" });
  return remarks;
}

async function stateOfTables(connection: Connection): Promise<"fit" | SchemaError | UnknownFormat> {
  try {
    await checkSchema(connection);
    return "fit";
  } catch (error) {
    if (error instanceof SchemaError || error instanceof UnknownFormat) return error;
    if ((error as { errno?: number }).errno === 1142) return "fit"; // said under the privileges
    throw error;
  }
}

/** Privileges that some table does not give to this user. */
async function denied(connection: Connection): Promise<readonly string[]> {
  const missing = new Set<string>();
  for (const [table, column] of Object.entries(tables)) {
    const statements = {
      SELECT: `SELECT * FROM ${table} WHERE 1=0`,
      INSERT: `INSERT INTO ${table} (${column}) VALUES (NULL)`,
      UPDATE: `UPDATE ${table} SET ${column}=1 WHERE 1=0`,
      DELETE: `DELETE FROM ${table} WHERE 1=0`,
    };
    for (const [privilege, statement] of Object.entries(statements)) {
      try {
        await connection.query(`EXPLAIN ${statement}`);
      } catch (error) {
        const { errno } = error as { errno?: number };
        if (errno === 1142 || errno === 1143) missing.add(privilege);
      }
    }
  }
  return privileges.serve.filter((privilege) => missing.has(privilege));
}

/** Which privileges this user has on a whole database, by its grants and those of its enabled roles. */
async function grantsOn(connection: Connection, database: string): Promise<(privilege: string) => boolean> {
  const role = await one(connection, "SELECT CURRENT_ROLE() AS value").catch(() => null);
  const isMysqlRole = typeof role === "string" && role.includes("@");
  const [rows] = await connection.query<RowDataPacket[]>(
    isMysqlRole ? `SHOW GRANTS FOR CURRENT_USER() USING ${role}` : "SHOW GRANTS",
  );
  const found = new Set<string>();
  for (const row of rows) {
    const [, list, on] =
      /^GRANT (.+?) ON (\*|`(?:[^`]|``)*`|"[^"]*")\.\* TO /.exec(String(Object.values(row)[0])) ?? [];
    if (list === undefined || !(on === "*" || matches(on!.slice(1, -1), database))) continue;
    for (const privilege of list.split(/,\s*/)) found.add(privilege.toUpperCase());
  }
  return (privilege) => found.has("ALL PRIVILEGES") || found.has(privilege);
}

/** In grants a database may be a pattern of LIKE. */
function matches(pattern: string, database: string): boolean {
  const source = pattern
    .replaceAll("``", "`")
    .replace(/\\?[\s\S]/g, (part) => (part === "%" ? ".*" : part === "_" ? "." : escaped(part.at(-1)!)));
  return new RegExp(`^${source}$`, "s").test(database);
}

function escaped(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");
}

/** `user` as the server says it (name@host), or a name alone. */
function grantOf(missing: readonly string[], database: string, user: string): string {
  const at = user.lastIndexOf("@");
  const [name, host] = at < 0 ? [user, "%"] : [user.slice(0, at), user.slice(at + 1)];
  return `GRANT ${missing.join(", ")} ON \`${database}\`.* TO '${name}'@'${host}'`;
}

async function one(connection: Connection, sql: string): Promise<unknown> {
  const [[row]] = await connection.query<RowDataPacket[]>(sql);
  return row?.value;
}
