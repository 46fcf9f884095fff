/**
 * The shared store of a cluster: MySQL ≥ 8.0.19 and MariaDB ≥ 10.6, one writable primary. A node writes through one
 * connection, fenced by the epochs of its shards; it reads, and changes key-values, through others.
 */
import { createConnection } from "mysql2/promise";
import type { JournalRow } from "../../core/evolve.js";
import type { Head } from "../../core/head.js";
import {
  type Commit,
  type DueCursor,
  type DueEntry,
  type Filter,
  type Page,
  type Store,
  type Stored,
  StoreUnavailable,
  type Verdict,
} from "../../ports/store.js";
import type { KeyValue, KeyValues } from "../../ports/topics.js";
import { type RowFormats, rowFormats, UnknownFormat } from "../codec.js";
import { Counts } from "./counts.js";
import { MysqlKeyValues } from "./keyvalues.js";
import { Lines } from "./lines.js";
import { Purge } from "./purge.js";
import * as reads from "./reads.js";
import { checkSchema, migrate, SchemaError } from "./schema.js";
import { Session } from "./session.js";
import { type Owner, Writer } from "./writer.js";

/** How to reach the database, and who writes to it. */
export interface MysqlOptions {
  /** mysql://user:password@host:port/db; options of the driver (such as `ssl`) as query. */
  readonly url: string;
  readonly owner: Owner;
  /** Connections for reading. */
  readonly connections?: number;
  /** Longest wait for a connection, and for the answer to one packet. */
  readonly timeoutMs?: number;
  /** Awaited for each connection that is to write, before it does; see `MysqlLeases.enlist`. */
  readonly enlist?: (connectionId: number) => Promise<void>;
  /** Told of writing connections that have ended. */
  readonly dismiss?: (connectionId: number) => void;
  /** Stored forms that this build knows; another than the program's own is for tests of upgrades. */
  readonly formats?: RowFormats;
  /** The format to write now, see `MysqlLeases.format`; unless given the one that the store names when it is opened. */
  readonly format?: () => number;
  /** Uniform in [0, 1); spreads the waits after collisions. */
  readonly random?: () => number;
}

const defaults = { connections: 4, timeoutMs: 10_000 } as const;

/**
 * Opens the store after a look at its tables. @throws StoreUnavailable while the database cannot be reached;
 * SchemaError, UnknownFormat when its tables are not for this program
 */
export async function openMysql(options: MysqlOptions): Promise<MysqlStore> {
  const { url, timeoutMs = defaults.timeoutMs, formats = rowFormats } = options;
  const format = await withConnection(url, timeoutMs, (connection) => checkSchema(connection, formats));
  return new MysqlStore({ ...options, format: options.format ?? (() => format) });
}

/** Brings the tables of a database to this program's version. @throws as `openMysql` */
export async function migrateMysql(
  url: string,
  timeoutMs: number = defaults.timeoutMs,
  formats: RowFormats = rowFormats,
) {
  return withConnection(url, timeoutMs, (connection) => migrate(connection, formats));
}

/** See `openMysql`. */
export class MysqlStore implements Store, KeyValues {
  readonly #lines: Lines;
  readonly #formats: RowFormats;
  readonly #writer: Writer;
  readonly #keyValues: MysqlKeyValues;
  readonly #purge: Purge;
  readonly #counts: Counts<Awaited<ReturnType<typeof reads.count>>>;

  /** @internal `openMysql` is the door. */
  constructor(options: MysqlOptions & { readonly format: () => number }) {
    const { url, owner, enlist, dismiss, random = Math.random, formats = rowFormats, format } = options;
    const timeoutMs = options.timeoutMs ?? defaults.timeoutMs;
    this.#lines = new Lines({ url, timeoutMs }, options.connections ?? defaults.connections);
    this.#formats = formats;
    const session = new Session({ url, timeoutMs, enlist, dismiss });
    this.#writer = new Writer(session, owner, { formats, format }, random);
    this.#keyValues = new MysqlKeyValues(this.#lines);
    this.#purge = new Purge(this.#lines);
    this.#counts = new Counts(() => reads.count(this.#lines));
  }

  commit(batch: readonly Commit[]): Promise<readonly Verdict[]> {
    return this.#writer.commit(batch);
  }

  settle(batch: readonly Commit[]): Promise<readonly Verdict[]> {
    return this.#writer.settle(batch);
  }

  load(gids: readonly string[]): Promise<readonly (Stored | undefined)[]> {
    return reads.load(this.#lines, this.#formats, gids);
  }

  history(gid: string): Promise<readonly JournalRow[]> {
    return reads.history(this.#lines, this.#formats, gid);
  }

  due(shard: number, untilMs: number, after: DueCursor | undefined, limit: number): Promise<readonly DueEntry[]> {
    return reads.due(this.#lines, shard, untilMs, after, limit);
  }

  earliest(): Promise<ReadonlyMap<number, number>> {
    return reads.earliest(this.#lines);
  }

  list(filter: Filter, cursor: string | undefined, limit: number): Promise<Page> {
    return reads.list(this.#lines, filter, cursor, limit);
  }

  oldestUnfinished(): Promise<Head | undefined> {
    return reads.oldestUnfinished(this.#lines);
  }

  lastId(shard: number): Promise<number> {
    return reads.lastId(this.#lines, shard);
  }

  count() {
    return this.#counts.get();
  }

  purge(journalsBeforeMs: number, headsBeforeMs: number, limit: number): Promise<number> {
    return this.#purge.run(journalsBeforeMs, headsBeforeMs, limit);
  }

  get(category: string, key: string): Promise<KeyValue | undefined> {
    return this.#keyValues.get(category, key);
  }

  put(category: string, key: string, value: string, expected: number, nowMs: number): Promise<boolean> {
    return this.#keyValues.put(category, key, value, expected, nowMs);
  }

  remove(category: string, key: string): Promise<boolean> {
    return this.#keyValues.remove(category, key);
  }

  scan(category: string, after: string | undefined, limit: number) {
    return this.#keyValues.scan(category, after, limit);
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#lines.close();
  }
}

async function withConnection<T>(
  url: string,
  timeoutMs: number,
  work: (connection: Awaited<ReturnType<typeof createConnection>>) => Promise<T>,
): Promise<T> {
  try {
    const connection = await createConnection({ uri: url, connectTimeout: timeoutMs });
    connection.on("error", () => {});
    return await work(connection).finally(() => connection.destroy());
  } catch (cause) {
    if (cause instanceof SchemaError || cause instanceof UnknownFormat || cause instanceof StoreUnavailable)
      throw cause;
    throw new StoreUnavailable(`the database: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
