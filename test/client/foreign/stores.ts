// The databases that services in several languages share: our barrier on each, and what all of them did there.

import { Redis } from "ioredis";
import { createPool, type RowDataPacket } from "mysql2/promise";
import { Pool } from "pg";
import { redisBarrier } from "../../../src/client/barrier/ioredis.js";
import { mysqlBarrier } from "../../../src/client/barrier/mysql2.js";
import { postgresBarrier } from "../../../src/client/barrier/pg.js";
import type { BarrierResult, CheckBack, Delivery } from "../../../src/client/index.js";
import { type ServerKind, startMariadb, startPostgres, startRedis } from "../../servers.js";

/** Who may have done something, each by its own client. */
export type Who = "ours" | "go" | "python";

/** A database in use. */
export interface SharedStore {
  readonly port: number;
  /** One delivery behind our barrier; its effect is signed `ours`. */
  handle(delivery: Delivery): Promise<BarrierResult<unknown>>;
  queryPrepared(delivery: Delivery): Promise<CheckBack>;
  /** What was done for a gid, each `who op`: in its order, or sorted where the database keeps none. */
  effects(gid: string): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** A kind of database, and whose clients work on it. */
export interface StoreKind {
  readonly kind: ServerKind;
  readonly name: string;
  readonly keepsOrder: boolean;
  /** DTM's Python client knows MySQL only. */
  readonly whos: readonly Who[];
  open(): Promise<SharedStore>;
}

const table = "dtm_barrier.effects";

/** DTM's Python client knows one table only, so this server is nobody else's. */
async function openMysql(): Promise<SharedStore> {
  const server = await startMariadb({ own: true });
  const pool = createPool({ uri: server.url });
  const guard = mysqlBarrier(pool);
  await guard.migrate();
  await pool.query(`create table ${table} (id bigint primary key auto_increment, gid varchar(128), op text, who text)`);
  return {
    port: server.port,
    handle: (delivery) =>
      guard.run(delivery, async (tx) => {
        const { gid, op } = delivery.branch;
        await tx.execute(`insert into ${table} (gid, op, who) values (?, ?, 'ours')`, [gid, op]);
      }),
    queryPrepared: (delivery) => guard.queryPrepared(delivery),
    async effects(gid) {
      const select = `select who, op from ${table} where gid = ? order by id`;
      const [rows] = await pool.execute<RowDataPacket[]>(select, [gid]);
      return rows.map(({ who, op }) => `${who} ${op}`);
    },
    async close() {
      await pool.end();
      await server.stop();
    },
  };
}

async function openPostgres(): Promise<SharedStore> {
  const server = await startPostgres({ own: true });
  const pool = new Pool({ connectionString: server.url });
  const guard = postgresBarrier(pool);
  await guard.migrate();
  await pool.query(`create table ${table} (id bigserial primary key, gid text, op text, who text)`);
  return {
    port: server.port,
    handle: (delivery) =>
      guard.run(delivery, async (tx) => {
        const { gid, op } = delivery.branch;
        await tx.query(`insert into ${table} (gid, op, who) values ($1, $2, 'ours')`, [gid, op]);
      }),
    queryPrepared: (delivery) => guard.queryPrepared(delivery),
    async effects(gid) {
      const { rows } = await pool.query(`select who, op from ${table} where gid = $1 order by id`, [gid]);
      return rows.map(({ who, op }) => `${who} ${op}`);
    },
    async close() {
      await pool.end();
      await server.stop();
    },
  };
}

/** An effect is a number of its own: DTM's client can do nothing but add to one. */
async function openRedis(): Promise<SharedStore> {
  const server = await startRedis({ own: true });
  const redis = new Redis(server.url);
  const barrier = redisBarrier(redis);
  return {
    port: server.port,
    async handle(delivery) {
      const { gid, op } = delivery.branch;
      const key = `effects ${gid} ours ${op}`;
      await redis.setnx(key, 0);
      return barrier.adjust(delivery, key, 1);
    },
    queryPrepared: (delivery) => barrier.queryPrepared(delivery),
    async effects(gid) {
      const keys = await redis.keys(`effects ${gid} *`);
      const done = await Promise.all(
        keys.map(async (key) => Array<string>(Number(await redis.get(key))).fill(key.slice(`effects ${gid} `.length))),
      );
      return done.flat().sort();
    },
    async close() {
      redis.disconnect();
      await server.stop();
    },
  };
}

/** The databases there are. */
export const storeKinds: readonly StoreKind[] = [
  { kind: "mysql", name: "MariaDB", keepsOrder: true, whos: ["ours", "go", "python"], open: openMysql },
  { kind: "postgres", name: "Postgres", keepsOrder: true, whos: ["ours", "go"], open: openPostgres },
  { kind: "redis", name: "Redis", keepsOrder: false, whos: ["ours", "go"], open: openRedis },
];
