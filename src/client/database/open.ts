// A participant's database by its URL, for tools: its barrier tables and its XA branches, with a pool of its own. The
// drivers are loaded here only, when they are needed.

import type { RowDataPacket } from "mysql2/promise";
import { mysqlBarrier } from "../barrier/mysql2.js";
import { postgresBarrier } from "../barrier/pg.js";
import { type SqlBarrierOptions, sqlDialect } from "../barrier/sql.js";
import { invalidInput } from "../errors.js";
import type { XaDatabase } from "../xa/branch.js";
import { mysqlXa } from "../xa/mysql2.js";
import { postgresXa } from "../xa/pg.js";
import { columns, type ShownRow, type StoredRow, shown } from "./rows.js";
import { openSqlite } from "./sqlite.js";

/** A participant's database. */
export interface ParticipantDatabase {
  /** Makes the barrier's tables where they are missing. */
  migrate(): Promise<void>;
  /** Deletes rows older than so many milliseconds, at least a day; resolves to their number. */
  clean(olderMs: number): Promise<number>;
  /** Rows of a transaction, oldest first. */
  rows(gid: string): Promise<readonly ShownRow[]>;
  /** Not given where the database has no prepared transactions. */
  readonly xa?: Pick<XaDatabase<unknown>, "prepared" | "finish">;
  end(): Promise<void>;
}

/** Connects at the first call of a method. Rejects with DTX_INVALID_INPUT for a URL of another kind. */
export async function openDatabase(url: string, options: SqlBarrierOptions): Promise<ParticipantDatabase> {
  const file = /^sqlite:(?:\/\/)?(.+)$/.exec(url)?.[1];
  if (file !== undefined) return openSqlite(file, options);
  const scheme = /^(\w+):\/\/[^/]+\/[^/]/.exec(url)?.[1];
  if (scheme === "mysql" || scheme === "mariadb") return openMysql(url.replace(/^mariadb/, "mysql"), options);
  if (scheme === "postgres" || scheme === "postgresql") return openPostgres(url, options);
  throw invalidInput("not the URL of a participant's database", {
    hint: "write mysql://USER:PASSWORD@HOST:PORT/DB, postgres://USER:PASSWORD@HOST:PORT/DB or sqlite:FILE",
  });
}

async function openMysql(url: string, options: SqlBarrierOptions): Promise<ParticipantDatabase> {
  const { createPool } = await import("mysql2/promise");
  const pool = createPool({ uri: url, connectionLimit: 2, dateStrings: true });
  const barrier = mysqlBarrier(pool, options);
  const { table } = sqlDialect("mysql", options);
  return {
    migrate: () => barrier.migrate(),
    clean: (olderMs) => barrier.clean({ older: olderMs }),
    async rows(gid) {
      const [found] = await pool.query<(RowDataPacket & StoredRow)[]>(
        `select ${columns} from ${table} where gid = ? order by id`,
        [gid],
      );
      return found.map(shown);
    },
    xa: mysqlXa(pool, options),
    end: () => pool.end(),
  };
}

async function openPostgres(url: string, options: SqlBarrierOptions): Promise<ParticipantDatabase> {
  const { default: pg } = await import("pg").catch((cause: unknown) => {
    throw invalidInput("the driver pg is not installed", { cause, hint: "install it beside tandem: npm install pg" });
  });
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  pool.on("error", () => {}); // of an idle connection: the next statement finds out
  const barrier = postgresBarrier(pool, options);
  const { table } = sqlDialect("postgres", options);
  return {
    migrate: () => barrier.migrate(),
    clean: (olderMs) => barrier.clean({ older: olderMs }),
    async rows(gid) {
      const text = columns.replace("create_time", "create_time::text as create_time");
      const { rows } = await pool.query<StoredRow>(`select ${text} from ${table} where gid = $1 order by id`, [gid]);
      return rows.map(shown);
    },
    xa: postgresXa(pool, options),
    end: () => pool.end(),
  };
}
