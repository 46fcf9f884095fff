// The witness itself: a row of the owner passes under its eyes, one of anybody else does not.
import { createConnection } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { firstIdAt } from "../../src/core/shard.js";
import { migrateMysql } from "../../src/store/mysql/mysql.js";
import { makeDatabase, type Server, startMariadb } from "../servers.js";
import { watchCommits } from "./witness.js";

describe("the witness", () => {
  let mariadb: Server;
  beforeAll(async () => {
    mariadb = await startMariadb();
  });
  afterAll(() => mariadb.stop());

  it("tells which rows were written by another than the owner of their shard", async () => {
    const { url } = await makeDatabase(mariadb);
    await migrateMysql(url);
    const connection = await createConnection({ uri: url });
    try {
      const owner = `INSERT INTO cl_node (node_id, incarnation, state, lease_until, address, conn_ids, format)
        VALUES ('a', 1, 1, NOW(3), '', '1:${connection.threadId}', 1), ('b', 1, 1, NOW(3), '', '1:', 1)`;
      await connection.query(owner);
      await connection.query("UPDATE cl_shard SET owner='a', incarnation=1 WHERE shard_id=7");
      await connection.query("UPDATE cl_shard SET owner='b', incarnation=1 WHERE shard_id=8");
      const witness = await watchCommits(url);
      const write = (shard: number, seq: number) =>
        connection.query("INSERT INTO journal (id, seq, body) VALUES (?, ?, '')", [firstIdAt(shard, Date.now()), seq]);
      await write(7, 1);
      expect(await witness.tell()).toEqual({ rows: 1, astray: [] });
      await write(8, 1);
      await write(9, 1);
      const { rows, astray } = await witness.tell();
      expect(rows).toBe(3);
      expect(astray).toHaveLength(2);
      expect(astray[0]).toContain(`by connection ${connection.threadId}, its shard was b's`);
    } finally {
      connection.destroy();
    }
  });
});
