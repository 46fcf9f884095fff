// The outbox: messages written as rows in the business database, in the caller's own transaction, and submitted by a
// relay afterwards. No coordinator is asked before the commit, and no check-back is needed. Each row is submitted with
// its own gid, so submitting it again after a lost answer does nothing: every message is delivered, once as far as the
// barrier of its target goes.

import type { SqlLibrary, SqlTx } from "../barrier/sql.js";
import { quotedTable } from "../barrier/table.js";
import type { Client } from "../client.js";
import { type Duration, toMs, toSeconds } from "../duration.js";
import { errorCode, invalidInput, messageOf } from "../errors.js";
import { checkGid, newGid, payloadText } from "../global.js";

/** A message to be enqueued. */
export interface OutboxMessage {
  /** URL of the target, or `topic://name`. */
  readonly to: string;
  readonly payload?: unknown;
  /** Messages with the same key are submitted in the order in which they were enqueued, one after the other's end. */
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
  /** Creates the table where it is missing. */
  migrate(): Promise<void>;
  /** Writes the message in `tx`; it goes out if and only if that transaction commits. Resolves to its gid. */
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
  readonly target: string;
  readonly payload: string;
  /** Refusals so far. */
  readonly refusals: number;
}

/** An outbox over a library's transactions. */
export function sqlOutbox<Tx>(library: SqlLibrary<Tx>, options: OutboxOptions = {}): Outbox<Tx> {
  const isMysql = library.database === "mysql";
  const table = quotedTable(options.table ?? "tandem_outbox", isMysql ? "`" : '"');
  const onError = options.onError ?? warn;
  const { batch = 100, refusals: refusalsMax = 10 } = options;
  const rows: Rows = { table, isMysql, batch, refusalsMax, keepSeconds: toSeconds(options.keep ?? "1d") };
  const inTransaction = <T>(work: (sql: SqlTx) => Promise<T>) =>
    library.transaction((tx) => work(library.statements(tx)));
  const clean = () => inTransaction((sql) => deleteOld(sql, rows));
  const relayOnce = async (client: Client) => {
    for (let total = 0; ; ) {
      const { done, aside } = await inTransaction((sql) => submitBatch(sql, rows, client, onError));
      total += done;
      if (done + aside === 0) return total;
    }
  };
  return {
    async migrate() {
      await inTransaction((sql) => sql.exec(isMysql ? mysqlTable(table) : postgresTable(table), []));
    },
    async enqueue(tx, { to, payload, key, gid = newGid() }) {
      if (to === "") throw invalidInput("an outbox message needs a target", { gid });
      await library.statements(tx).exec(
        `insert into ${table} (gid, order_key, target, payload) values (?, ?, ?, ?)`,
        // Without a key of its own a message waits for nobody.
        [checkGid(gid), key ?? `gid:${gid}`, to, payloadText(payload, to)],
      );
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

/** The table and how it is read. */
interface Rows {
  readonly table: string;
  readonly isMysql: boolean;
  readonly batch: number;
  readonly refusalsMax: number;
  readonly keepSeconds: number;
}

/** Takes rows that stand first of their key; `skip locked` leaves those that another relay holds. */
async function submitBatch(
  sql: SqlTx,
  rows: Rows,
  client: Client,
  onError: (gid: string, error: unknown) => void,
): Promise<{ readonly done: number; readonly aside: number }> {
  const { table, isMysql, batch } = rows;
  const now = isMysql ? "now(3)" : "now()";
  const found = await sql.query(
    `select id, gid, target, payload, refusals from ${table} o where submitted_at is null and dead_at is null
     and (retry_at is null or retry_at <= ${now}) and not exists (
       select 1 from ${table} e where e.order_key = o.order_key and e.id < o.id and e.submitted_at is null)
     order by id limit ${batch} for update skip locked`,
    [],
  );
  let done = 0;
  let aside = 0;
  for (const row of found.map(asRow)) {
    try {
      await submitted(client, row);
    } catch (error) {
      onError(row.gid, error);
      if (!isRefusal(error)) continue;
      await noteRefusal(sql, rows, row, error);
      aside++;
      continue;
    }
    await sql.exec(`update ${table} set submitted_at = ${now} where id = ?`, [row.id]);
    done++;
  }
  return { done, aside };
}

/** Longest pause between two tries of a refused message, seconds. */
const pauseSecondsMax = 300;

/** Asking again will hardly help: the coordinator, or the client before it was asked, said what is wrong with it. */
function isRefusal(error: unknown): boolean {
  const code = errorCode(error);
  return code !== "DTX_UNREACHABLE" && code !== "DTX_ONGOING";
}

/** Puts a refused message aside for a while, so that it holds up only those of its key; or for good. */
async function noteRefusal(sql: SqlTx, { table, isMysql, refusalsMax }: Rows, row: Row, error: unknown): Promise<void> {
  const refusals = row.refusals + 1;
  const pauseSeconds = Math.min(2 ** row.refusals, pauseSecondsMax);
  const later = isMysql ? `now(3) + interval ${pauseSeconds} second` : `now() + interval '${pauseSeconds} seconds'`;
  const deadAt = refusals < refusalsMax ? "null" : "now()";
  await sql.exec(
    `update ${table} set refusals = ?, retry_at = ${later}, dead_at = ${deadAt}, reason = ? where id = ?`,
    [refusals, messageOf(error).slice(0, 1_000), row.id],
  );
}

/** What people do about messages that are dead. */
function burials(
  inTransaction: <T>(work: (sql: SqlTx) => Promise<T>) => Promise<T>,
  table: string,
): Pick<Outbox<never>, "dead" | "revive" | "discard"> {
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

async function deleteOld(sql: SqlTx, { table, isMysql, keepSeconds }: Rows): Promise<number> {
  const before = isMysql ? `now(3) - interval ${keepSeconds} second` : `now() - interval '${keepSeconds} seconds'`;
  return (await sql.exec(`delete from ${table} where submitted_at < ${before}`, [])).affected;
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
  const { id, gid, target, payload, refusals } = row;
  const texts = { gid: String(gid), target: String(target), payload: String(payload) };
  return { id: Number(id), ...texts, refusals: Number(refusals) };
}

function warn(gid: string, error: unknown): void {
  const what = gid === "" ? "the outbox cannot be read" : `message ${gid} is not submitted yet`;
  process.emitWarning(`${what}: ${messageOf(error)}`, { type: "TandemWarning", code: "DTX_OUTBOX" });
}

const mysqlTable = (table: string): string => `create table if not exists ${table} (
  id bigint primary key auto_increment,
  gid varchar(128) not null,
  order_key varchar(200) not null,
  target varchar(1024) not null,
  payload longtext not null,
  created_at datetime(3) not null default now(3),
  submitted_at datetime(3) null,
  refusals int not null default 0,
  retry_at datetime(3) null,
  dead_at datetime(3) null,
  reason varchar(1000) null,
  unique key (gid),
  key (submitted_at, id),
  key (order_key, id)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin`;

const postgresTable = (table: string): string => `create table if not exists ${table} (
  id bigserial primary key,
  gid varchar(128) not null unique,
  order_key varchar(200) not null,
  target varchar(1024) not null,
  payload text not null,
  created_at timestamptz not null default now(),
  submitted_at timestamptz,
  refusals int not null default 0,
  retry_at timestamptz,
  dead_at timestamptz,
  reason varchar(1000)
)`;
