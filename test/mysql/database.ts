// A migrated database for the tests of the shared store, and the store in it as the only owner of all shards.
import { type Connection, createConnection, type RowDataPacket } from "mysql2/promise";
import type { ShardRow } from "../../src/ports/leases.js";
import { type MysqlOptions, type MysqlStore, migrateMysql, openMysql } from "../../src/store/mysql/mysql.js";
import type { Place } from "../conformance/store.js";
import { type Database, makeDatabase, type Server } from "../servers.js";

/** Under which the tests' node holds its shards. */
export const self = { name: "self", incarnation: 1 } as const;

/** A database of one suite and a connection to look into it, past the store. */
export interface Ground extends Database {
  readonly admin: Connection;
  /** Rows of a statement, several statements allowed. */
  ask(sql: string): Promise<RowDataPacket[]>;
  drop(): Promise<void>;
}

/** Makes a database with tables in which this node owns every shard under epoch 1. */
export async function makeGround(server: Pick<Server, "url">): Promise<Ground> {
  const database = await makeDatabase(server);
  await migrateMysql(database.url);
  const admin = await createConnection({ uri: database.url, multipleStatements: true });
  const ask = async (sql: string) => (await admin.query<RowDataPacket[]>(sql))[0];
  const ground = {
    ...database,
    admin,
    ask,
    drop: async () => {
      await admin.end();
      await database.drop();
    },
  };
  await clear(ground);
  return ground;
}

/** Empties all tables and gives all shards back to this node. */
export async function clear({ admin }: Ground): Promise<void> {
  await admin.query(
    `DELETE FROM journal; DELETE FROM head; DELETE FROM kv;
     UPDATE cl_shard SET epoch=1, owner='${self.name}', incarnation=${self.incarnation}`,
  );
}

/** A node's view of its shards, as the keeper has it. */
export class Shards {
  readonly epochs = new Map<number, number>();
  readonly regressions: string[] = [];
  readonly bumps: ShardRow[] = [];

  identity() {
    return self;
  }

  bumped(rows: readonly ShardRow[]): void {
    this.bumps.push(...rows);
    for (const { shard, epoch } of rows) this.epochs.set(shard, epoch);
  }

  regressed(what: string): void {
    this.regressions.push(what);
  }

  epochOf(shard: number): number {
    return this.epochs.get(shard) ?? 1;
  }
}

/** The store in the ground, which must have been cleared. */
export async function openPlace(
  ground: Ground,
  options: Partial<MysqlOptions> = {},
): Promise<Place & { shards: Shards }> {
  const shards = new Shards();
  const open = (): Promise<MysqlStore> => openMysql({ url: ground.url, owner: shards, ...options });
  let store = await open();
  return {
    store,
    shards,
    epochOf: (shard) => shards.epochOf(shard),
    claim: async (shard) => {
      await ground.admin.query(`UPDATE cl_shard SET epoch=epoch+1, owner='other' WHERE shard_id=${shard}`);
      return shards.epochOf(shard) + 1;
    },
    reopen: async () => {
      await store.close();
      store = await open();
      return store;
    },
    dispose: () => store.close(),
  };
}
