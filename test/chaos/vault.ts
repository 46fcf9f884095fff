/**
 * A bank on a database of its own whose branches are made with the client library: steps of sagas and workflows, TCC,
 * XA, messages with a check-back and an outbox. Every change of an account is a row beside it, in the same local
 * transaction, so that what became of each transfer can be told at the end.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type Connection, createPool, type Pool, type RowDataPacket } from "mysql2/promise";
import { type MysqlBarrier, mysqlBarrier, mysqlLibrary } from "../../src/client/barrier/mysql2.js";
import {
  checkBack,
  type Delivery,
  defineReceiver,
  defineStep,
  defineTccStep,
  Failure,
  type Route,
} from "../../src/client/index.js";
import { type Outbox, sqlOutbox } from "../../src/client/outbox/outbox.js";
import { tandemRoutes } from "../../src/client/participant/express.js";
import { type XaDatabase, xaRoute } from "../../src/client/xa/index.js";
import { mysqlXa } from "../../src/client/xa/mysql2.js";
import { type Database, makeDatabase, type Server, startMariadb } from "../servers.js";

/** Money of each account at first, and how many there are. */
const initial = 1000;
export const accounts = 400;

/** What a branch is asked to do. `refuse`: its action says no. */
export interface Order {
  readonly account: number;
  readonly amount: number;
  readonly refuse: boolean;
}

/** Accounts that a transfer has changed, and by how much; what it holds back counts as changed as well. */
export type Effects = ReadonlyMap<number, number>;

/** The running bank. */
export interface Vault {
  readonly server: Server;
  readonly guard: MysqlBarrier;
  readonly xa: XaDatabase<Connection>;
  readonly outbox: Outbox<Connection>;
  readonly base: string;
  readonly steps: ReturnType<typeof stepsOf>;
  /** Calls of participants under way. */
  readonly atWork: number;
  readonly calls: number;
  /** Mounts routes beside its own. */
  mount(routes: readonly Route[]): void;
  /** Runs in a local transaction. */
  transaction<T>(work: (tx: Connection) => Promise<T>): Promise<T>;
  /** Of every transfer that has changed anything. */
  effects(): Promise<ReadonlyMap<string, Effects>>;
  /** Messages of the outbox that the coordinator has not taken yet. */
  unsent(): Promise<number>;
  /** What the database is doing, for people: its sessions and its open transactions. */
  busy(): Promise<string>;
  /** All accounts and all that is held. */
  total(): Promise<number>;
  readonly expectedTotal: number;
  close(): Promise<void>;
}

/** Changes an account on behalf of a transfer. */
export async function change(tx: Connection, gid: string, account: number, amount: number, held = 0): Promise<void> {
  await tx.execute("update account set balance = balance + ?, held = held + ? where id = ?", [amount, held, account]);
  await tx.execute("insert into move (gid, account, amount) values (?, ?, ?)", [gid, account, amount + held]);
}

function stepsOf(guard: MysqlBarrier, base: string) {
  const sides = (sign: 1 | -1) => ({
    guard,
    action: async (tx: Connection, { account, amount, refuse }: Order, { branch }: Delivery) => {
      if (refuse) throw new Failure(`account ${account} is closed`);
      await change(tx, branch.gid, account, sign * amount);
    },
    compensate: (tx: Connection, { account, amount }: Order, { branch }: Delivery) =>
      change(tx, branch.gid, account, -sign * amount),
  });
  const debit = defineStep<Connection, Order>({ path: "/debit", ...sides(-1) });
  const credit = defineStep<Connection, Order>({ path: "/credit", ...sides(1) });
  const hold = defineTccStep<Connection, object, Order>({
    ...{ path: "/hold", guard },
    try: async (tx, { account, amount }, { branch }) => {
      await change(tx, branch.gid, account, -amount, amount);
      return {};
    },
    confirm: (tx, { account, amount }, { branch }) => change(tx, branch.gid, account, 0, -amount),
    cancel: (tx, { account, amount }, { branch }) => change(tx, branch.gid, account, amount, -amount),
  });
  const take = defineTccStep<Connection, object, Order>({
    ...{ path: "/take", guard },
    try: async (_tx, { account, refuse }) => {
      if (refuse) throw new Failure(`account ${account} is closed`);
      return {};
    },
    confirm: (tx, { account, amount }, { branch }) => change(tx, branch.gid, account, amount),
    cancel: async () => {},
  });
  const receive = defineReceiver<Connection, Order>({
    ...{ path: "/receive", guard },
    receive: (tx, { account, amount }, { branch }) => change(tx, branch.gid, account, amount),
  });
  return {
    routes: [...[debit, credit, hold, take, receive].flatMap((step) => step.routes), checkBack("/check", guard)],
    ...{ debit: debit.at(base), credit: credit.at(base), hold: hold.at(base), take: take.at(base) },
    ...{ receive: receive.at(base), xa: `${base}/xa`, check: `${base}/check`, workflow: `${base}/workflow` },
  };
}

async function makeTables(pool: Pool, guard: MysqlBarrier, outbox: Outbox<Connection>): Promise<void> {
  await pool.query("create table account (id int primary key, balance bigint not null, held bigint not null)");
  await pool.query(
    "create table move (id bigint primary key auto_increment, gid varchar(64), account int, amount bigint, key (gid))",
  );
  const rows = Array.from({ length: accounts }, (_, id) => [id, initial, 0]);
  await pool.query("insert into account values ?", [rows]);
  await guard.migrate();
  await outbox.migrate();
}

/** Opens it; answers take a few milliseconds, now and then a quarter of a second. `note` hears of relays' errors. */
export async function openVault(random: () => number, note: (text: string) => void): Promise<Vault> {
  const server = await startMariadb({ args: ["--innodb-lock-wait-timeout=2"] });
  const database: Database = await makeDatabase(server);
  const pool = createPool({ uri: database.url, connectionLimit: 40, connectTimeout: 3000 });
  const guard = mysqlBarrier(pool, { table: "barrier" });
  const xa = mysqlXa(pool, { table: "barrier" });
  const library = mysqlLibrary(pool);
  const outbox = sqlOutbox(library, { onError: () => note("outbox: tried again"), interval: "200ms" });
  await makeTables(pool, guard, outbox);
  let routes: readonly Route[] = [];
  let [atWork, calls] = [0, 0];
  const http = createServer((request, response) => {
    calls++;
    atWork++;
    response.once("close", () => atWork--);
    void delay(random() < 0.05 ? 250 : random() * 15).then(() =>
      tandemRoutes(routes, { onError: () => note("participants: failed deliveries") })(request, response),
    );
  });
  await new Promise<void>((done) => http.listen(0, "127.0.0.1", done));
  const base = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const steps = stepsOf(guard, base);
  routes = steps.routes;
  return {
    ...{ server, guard, xa, outbox, base, steps },
    get atWork() {
      return atWork;
    },
    get calls() {
      return calls;
    },
    mount: (more) => {
      routes = [...routes, ...more];
    },
    transaction: (work) => library.transaction(work),
    effects: () => effectsIn(pool),
    unsent: async () => {
      const [[row]] = await pool.query<RowDataPacket[]>(
        "select count(*) as unsent from tandem_outbox where submitted_at is null and dead_at is null",
      );
      return Number(row!.unsent);
    },
    busy: async () => {
      const [sessions] = await pool.query("select id, command, time, state, info from information_schema.processlist");
      const [open] = await pool.query("select * from information_schema.innodb_trx");
      return JSON.stringify({ sessions, open });
    },
    total: async () => {
      const [[row]] = await pool.query<RowDataPacket[]>("select sum(balance) + sum(held) as total from account");
      return Number(row!.total);
    },
    expectedTotal: initial * accounts,
    async close() {
      http.closeAllConnections();
      await new Promise((done) => http.close(done));
      await pool.end().catch(() => {});
      await server.stop();
    },
  };
}

async function effectsIn(pool: Pool): Promise<ReadonlyMap<string, Effects>> {
  const [rows] = await pool.query<RowDataPacket[]>(
    "select gid, account, sum(amount) as amount from move group by gid, account having sum(amount) <> 0",
  );
  const all = new Map<string, Map<number, number>>();
  for (const { gid, account, amount } of rows) {
    const of = all.get(gid) ?? new Map<number, number>();
    all.set(gid, of.set(Number(account), Number(amount)));
  }
  return all;
}

/** The route of XA branches: `account` changes by `amount`, which may be below zero. */
export function xaBranch({ xa }: Pick<Vault, "xa">, client: Parameters<typeof xaRoute>[1]["client"]): Route {
  return xaRoute("/xa", { database: xa, client }, async (tx, payload, { branch }) => {
    const { account, amount, refuse } = payload as Order;
    if (refuse) throw new Failure(`account ${account} is closed`);
    await change(tx, branch.gid, account, amount);
  });
}
