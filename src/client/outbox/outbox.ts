// The outbox: messages written as rows in the business database, in the caller's own transaction, and submitted by a
// relay afterwards. No coordinator is asked before the commit, and no check-back is needed. Each row is submitted with
// its own gid, so submitting it again after a lost answer does nothing: every message is delivered, once as far as the
// barrier of its target goes.

import { type LockRetry, retryTransaction } from "../barrier/retry.js";
import { type SqlDatabase, type SqlLibrary, type SqlTx, sqlDialect } from "../barrier/sql.js";
import { UnfitTable } from "../barrier/unfit.js";
import type { Client } from "../client.js";
import { type Duration, toMs, toSeconds } from "../duration.js";
import { BarrierError, errorCode, invalidInput, messageOf } from "../errors.js";
import { checkGid, newGid, payloadText } from "../global.js";
import { migrateOutbox } from "./schema.js";

/** A message to be enqueued. */
export interface OutboxMessage {
  /** URL of the target, or `topic://name`. */
  readonly to: string;
  readonly payload?: unknown;
  /**
   * Messages with the same key are submitted in the order in which they were enqueued, each once the one before is
   * accepted. Whose transactions overlap have no order. Up to 200 characters.
   */
  readonly key?: string;
  /** Default: a new id. A message of a gid that is in the outbox already is refused by the table. */
  readonly gid?: string;
}

/** Settings of an outbox and its relay. */
export interface OutboxOptions {
  /** `table` or `schema.table`; default `tandem_outbox`. */
  readonly table?: string;
  /** How often the relay looks when nobody told it; default 1 s. */
  readonly interval?: Duration;
  /** Rows taken in one look; default 100. */
  readonly batch?: number;
  /**
   * A message that the coordinator refused this often (bad content, unknown topic) is dead: not tried any more until
   * `revive`. Tries are 1 s apart at first, then twice as long each time, up to 5 min. Default 10. Not being reached is
   * no refusal: it is tried for ever.
   */
  readonly refusals?: number;
  /** How long rows are kept after they were submitted, to answer questions; default 1 day. */
  readonly keep?: Duration;
  /** Told of every row that could not be submitted now; it is tried again. Default: a process warning. */
  readonly onError?: (gid: string, error: unknown) => void;
}

/** A message that is not tried any more. */
export interface DeadMessage {
  readonly gid: string;
  readonly to: string;
  /** What the last refusal said. */
  readonly reason: string;
}

/** An outbox in one database. */
export interface Outbox<Tx> {
  /** Creates the table where it is missing, and adds what a table of an earlier version lacks. */
  migrate(): Promise<void>;
  /**
   * Writes the message in `tx`; it goes out if and only if that transaction commits. Resolves to its gid. A transaction
   * must be open in `tx`: the statement is committed by itself on a connection without one.
   */
  enqueue(tx: Tx, message: OutboxMessage): Promise<string>;
  /** Submits what is there, until nothing is left to do now; resolves to the number submitted. For tests and jobs. */
  relayOnce(client: Client): Promise<number>;
  /** Submits what comes, until `close`. Several relays on one table share the work; a key is one relay's at a time. */
  start(client: Client): Relay;
  /** Deletes rows that were submitted longer ago than `keep`; resolves to their number. The relay does it, too. */
  clean(): Promise<number>;
  /**
   * Dead messages, oldest first, at most 1,000. Later messages of their key wait behind them, so that the order is
   * kept; all others pass.
   */
  dead(): Promise<readonly DeadMessage[]>;
  /** Tries a dead message again, from the first attempt; resolves to false if there is none of that gid. */
  revive(gid: string): Promise<boolean>;
  /** Deletes a dead message, so that those behind it go on; resolves to false if there is none of that gid. */
  discard(gid: string): Promise<boolean>;
}

/** A running relay. */
export interface Relay extends AsyncDisposable {
  /** Look now: call it after a commit to save the wait. */
  wake(): void;
  /** Ends after the submission under way. */
  close(): Promise<void>;
}

interface Row {
  readonly id: number;
  readonly gid: string;
  readonly key: string;
  readonly target: string;
  readonly payload: string;
  /** Refusals so far. */
  readonly refusals: number;
}

/** An outbox over a library's transactions. */
export function sqlOutbox<Tx>(library: SqlLibrary<Tx>, options: OutboxOptions = {}): Outbox<Tx> {
  const { table: name = "tandem_outbox" } = options;
  const dialect = sqlDialect(library.database, { table: name });
  const { table } = dialect;
  const onError = options.onError ?? warn;
  const { batch = 100, refusals: refusalsMax = 10 } = options;
  const explain = (error: unknown): never => {
    throw dialect.explain(error) instanceof UnfitTable ? unfitTable(table, error) : error;
  };
  const inTransaction: InTransaction = (work) => {
    const attempt = () => library.transaction((tx) => work(library.statements(tx)));
    return retryTransaction(lockRetry, attempt, dialect.collided).catch(explain);
  };
  const keepSeconds = toSeconds(options.keep ?? "1d");
  const rows: Rows = { table, batch, refusalsMax, keepSeconds, ...dialectOf(library.database) };
  const clean = () => inTransaction((sql) => deleteOld(sql, rows));
  const relayOnce = async (client: Client) => {
    for (let total = 0; ; ) {
      const { done, aside } = await relayBatch(inTransaction, rows, client, onError);
      total += done;
      if (done + aside === 0) return total;
    }
  };
  return {
    async migrate() {
      await inTransaction((sql) => migrateOutbox(sql, name, library.database));
    },
    async enqueue(tx, { to, payload, key, gid = newGid() }) {
      if (to === "" || to.length > widths.target || (key ?? "").length > widths.key) {
        throw invalidInput(`a message's target has 1 to ${widths.target} characters, its key up to ${widths.key}`, {
          ...{ gid, hint: "to: a URL or topic://name; key: what its order depends on, an order's number for instance" },
        });
      }
      if (payload instanceof Uint8Array) {
        throw invalidInput("an outbox keeps JSON, not bytes", { gid, hint: "give the message as plain data" });
      }
      const written = library.statements(tx).exec(
        `insert into ${table} (gid, order_key, target, payload) values (?, ?, ?, ?)`,
        // Without a key of its own a message waits for nobody.
        [checkGid(gid), key ?? `gid:${gid}`, to, payloadText(payload, to)],
      );
      await written.catch(explain);
      return gid;
    },
    relayOnce,
    clean,
    ...burials(inTransaction, table),
    start(client) {
      const look = async () => {
        await relayOnce(client);
        await clean();
      };
      return startRelay(look, toMs(options.interval ?? "1s"), (error) => onError("", error));
    },
  };
}

const unfitTable = (table: string, cause: unknown) =>
  new BarrierError(`the outbox's table ${table} is not as it must be: ${messageOf(cause)}`, {
    cause,
    hint: "call migrate() of this outbox at the service's start, or name its table with the option `table`",
  });

/** Of the table's columns. */
const widths = { target: 1_024, key: 200 } as const;

/** The table and how it is read. */
interface Rows extends Dialect {
  readonly table: string;
  readonly batch: number;
  readonly refusalsMax: number;
  readonly keepSeconds: number;
}

/** How a database writes its own time, and an update that reads the rows of given ids and no others. */
interface Dialect {
  readonly now: string;
  readonly later: (seconds: number) => string;
  /** Stands between the table's name and `set`. */
  readonly byId: string;
  /** Ends a claim's query: rows that another relay is claiming are left to it. */
  readonly passing: string;
}

const passing = "for update skip locked";
const sqliteTime = "strftime('%Y-%m-%d %H:%M:%f', 'now'";
const dialects: Readonly<Partial<Record<SqlDatabase, Dialect>>> = {
  mysql: {
    ...{ now: "now(3)", later: (seconds) => `now(3) + interval ${seconds} second`, passing },
    // Without it a small table is read from end to end, and the update waits for every row that another has locked.
    byId: "force index (primary)",
  },
  postgres: { now: "now()", later: (seconds) => `now() + interval '${seconds} seconds'`, byId: "", passing },
  // Its transactions are one after the other.
  sqlite: {
    ...{ now: `${sqliteTime})`, later: (seconds) => `${sqliteTime}, '${seconds} seconds')`, byId: "", passing: "" },
  },
};

function dialectOf(database: SqlDatabase): Dialect {
  const known = dialects[database];
  if (known !== undefined) return known;
  throw invalidInput(`there is no outbox for ${database}`, { hint: "use client.msg(…).commitWith(guard, …)" });
}

/** The work may be done several times; each but the last is rolled back. */
type InTransaction = <T>(work: (sql: SqlTx) => Promise<T>) => Promise<T>;

/** Of the relay's own transactions, which take milliseconds; a caller's, with its message in it, is never repeated. */
const lockRetry: LockRetry = { attemptsMax: 6, firstPauseMs: 5 };

/**
 * Longest time a batch is worked on; then the rest is given back. A relay that dies leaves its rows claimed until
 * `claimSeconds` are over: more than a batch takes, with one submission that needs all of its retries.
 */
const batchMsMax = 20_000;
const claimSeconds = 60;
/** Submissions of one batch that reach nobody, before the rest is left for later. */
const awayMax = 3;

/**
 * Claims a batch, submits it without holding any lock, and notes how each went: nobody who enqueues waits for the
 * network. Two relays that submit the same message, after a claim ran out, do no harm: its gid is the same. Resolves
 * to the number submitted, and of those put aside.
 */
async function relayBatch(
  inTransaction: InTransaction,
  rows: Rows,
  client: Client,
  onError: (gid: string, error: unknown) => void,
): Promise<{ readonly done: number; readonly aside: number }> {
  const claimed = await inTransaction((sql) => claim(sql, rows));
  const until = performance.now() + batchMsMax;
  const ends = new Map<Row, { readonly refused?: unknown }>();
  const stuckKeys = new Set<string>();
  let away = 0;
  for (const row of claimed) {
    if (stuckKeys.has(row.key) || away >= awayMax || performance.now() > until) continue;
    try {
      await submitted(client, row);
      ends.set(row, {});
    } catch (error) {
      onError(row.gid, error);
      stuckKeys.add(row.key);
      if (isRefusal(error)) ends.set(row, { refused: error });
      else away++;
    }
  }
  if (claimed.length > 0) await inTransaction((sql) => note(sql, rows, claimed, ends));
  const aside = [...ends.values()].filter(({ refused }) => refused !== undefined).length;
  return { done: ends.size - aside, aside };
}

/** Takes rows that stand first of their key. */
async function claim(sql: SqlTx, { table, batch, now, later, byId, passing }: Rows): Promise<readonly Row[]> {
  const found = await sql.query(
    `select id, gid, order_key, target, payload, refusals from ${table} o where submitted_at is null and dead_at is null
     and (retry_at is null or retry_at <= ${now}) and not exists (
       select 1 from ${table} e where e.order_key = o.order_key and e.id < o.id and e.submitted_at is null)
     order by id limit ${batch} ${passing}`,
    [],
  );
  const claimed = found.map(asRow);
  await eachSome(claimed, (some, marks) =>
    sql.exec(`update ${table} ${byId} set retry_at = ${later(claimSeconds)} where id in (${marks})`, some),
  );
  return claimed;
}

/** What was submitted is done; what was refused waits its turn; what nobody heard of is free again. */
async function note(
  sql: SqlTx,
  rows: Rows,
  claimed: readonly Row[],
  ends: ReadonlyMap<Row, { readonly refused?: unknown }>,
): Promise<void> {
  const { table, now, byId } = rows;
  const isDone = (row: Row) => ends.has(row) && ends.get(row)!.refused === undefined;
  await eachSome(claimed.filter(isDone), (some, marks) =>
    sql.exec(`update ${table} ${byId} set submitted_at = coalesce(submitted_at, ${now}) where id in (${marks})`, some),
  );
  await eachSome(
    claimed.filter((row) => !ends.has(row)),
    (some, marks) =>
      sql.exec(`update ${table} ${byId} set retry_at = null where submitted_at is null and id in (${marks})`, some),
  );
  for (const [row, { refused }] of ends) if (refused !== undefined) await noteRefusal(sql, rows, row, refused);
}

/** Ids of some rows at a time, with their question marks. */
async function eachSome(
  rows: readonly Row[],
  work: (ids: readonly number[], marks: string) => Promise<unknown>,
): Promise<void> {
  for (let start = 0; start < rows.length; start += 500) {
    const ids = rows.slice(start, start + 500).map(({ id }) => id);
    await work(ids, ids.map(() => "?").join(", "));
  }
}

/** Longest pause between two tries of a refused message, seconds. */
const pauseSecondsMax = 300;

/** Asking again will hardly help: the coordinator, or the client before it was asked, said what is wrong with it. */
function isRefusal(error: unknown): boolean {
  const code = errorCode(error);
  return code !== "DTX_UNREACHABLE" && code !== "DTX_ONGOING";
}

/** Puts a refused message aside for a while, so that it holds up only those of its key; or for good. */
async function noteRefusal(
  sql: SqlTx,
  { table, now, later, refusalsMax }: Rows,
  row: Row,
  error: unknown,
): Promise<void> {
  const refusals = row.refusals + 1;
  const retryAt = later(Math.min(2 ** row.refusals, pauseSecondsMax));
  const deadAt = refusals < refusalsMax ? "null" : now;
  await sql.exec(
    `update ${table} set refusals = ?, retry_at = ${retryAt}, dead_at = ${deadAt}, reason = ? where id = ?`,
    [refusals, messageOf(error).slice(0, 1_000), row.id],
  );
}

/** What people do about messages that are dead. */
function burials(inTransaction: InTransaction, table: string): Pick<Outbox<never>, "dead" | "revive" | "discard"> {
  const isDead = "dead_at is not null and submitted_at is null";
  const change = async (statement: string, gid: string) =>
    (await inTransaction((sql) => sql.exec(`${statement} where gid = ? and ${isDead}`, [gid]))).affected > 0;
  return {
    async dead() {
      const select = `select gid, target, reason from ${table} where ${isDead} order by id limit 1000`;
      const found = await inTransaction((sql) => sql.query(select, []));
      return found.map(({ gid, target, reason }) => ({ gid: String(gid), to: String(target), reason: String(reason) }));
    },
    revive: (gid) => change(`update ${table} set dead_at = null, retry_at = null, refusals = 0`, gid),
    discard: (gid) => change(`delete from ${table}`, gid),
  };
}

async function deleteOld(sql: SqlTx, { table, later, keepSeconds }: Rows): Promise<number> {
  return (await sql.exec(`delete from ${table} where submitted_at < ${later(-keepSeconds)}`, [])).affected;
}

/** One look after the other, with a pause that `wake` ends. */
function startRelay(look: () => Promise<void>, intervalMs: number, onError: (error: unknown) => void): Relay {
  let isOpen = true;
  let wake = () => {};
  const run = async () => {
    while (isOpen) {
      await look().catch(onError);
      if (!isOpen) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, intervalMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  const ended = run();
  const close = async () => {
    isOpen = false;
    wake();
    await ended;
  };
  return { wake: () => wake(), close, [Symbol.asyncDispose]: close };
}

/** Accepted, or accepted before: both are the end of the relay's duty. */
async function submitted(client: Client, { gid, target, payload }: Row): Promise<void> {
  const value: unknown = payload === "" ? undefined : JSON.parse(payload);
  const message = client.msg({ gid });
  const topic = /^topic:\/\/(.*)$/s.exec(target)?.[1];
  await (topic === undefined ? message.to(target, value) : message.topic(topic, value)).submit();
}

function asRow(row: Readonly<Record<string, unknown>>): Row {
  const { id, gid, order_key, target, payload, refusals } = row;
  const texts = { gid: String(gid), key: String(order_key), target: String(target), payload: String(payload) };
  return { id: Number(id), ...texts, refusals: Number(refusals) };
}

function warn(gid: string, error: unknown): void {
  const what = gid === "" ? "the outbox cannot be read" : `message ${gid} is not submitted yet`;
  process.emitWarning(`${what}: ${messageOf(error)}`, { type: "TandemWarning", code: "DTX_OUTBOX" });
}
