// A MySQL-protocol database as the barrier's conformance tests see it.

import type { Connection, Pool, RowDataPacket } from "mysql2/promise";
import type { Guard } from "../../../src/client/barrier/guard.js";
import type { Effect, Row, World } from "../barrier/world.js";

/** Makes the table of effects and gives the world over `pool`; `table` is the barrier's. */
export async function mysqlWorld(pool: Pool, guard: Guard<Connection>, table: string): Promise<World<unknown>> {
  await pool.query(`create table if not exists effects (
    id bigint primary key auto_increment, gid varchar(200) character set utf8mb4 collate utf8mb4_bin,
    branch_id varchar(200), op varchar(45), call_number int, key (gid)) engine = InnoDB`);
  const world: World<Connection> = {
    guard,
    async apply(tx, gid, { branchId, op, call }) {
      await tx.execute("insert into effects (gid, branch_id, op, call_number) values (?, ?, ?, ?)", [
        gid,
        branchId,
        op,
        call,
      ]);
    },
    async effects(gid) {
      const [found] = await pool.execute<(RowDataPacket & Effect)[]>(
        "select branch_id as branchId, op, call_number as `call` from effects where gid = ? order by id",
        [gid],
      );
      return found.map(({ branchId, op, call }) => ({ branchId, op, call }));
    },
    async rows(gid) {
      const [found] = await pool.execute<(RowDataPacket & Row)[]>(
        `select branch_id as branchId, op, barrier_id as barrierId, reason from ${table} where gid = ?`,
        [gid],
      );
      return found.map(({ branchId, op, barrierId, reason }) => ({ branchId, op, barrierId, reason }));
    },
  };
  return world as World<unknown>;
}
