/**
 * A witness inside the database (S2): a trigger that holds every journal row, in the transaction that writes it,
 * against the table of shards. A row is astray when the connection that writes it is none of the node that owns the
 * shard then.
 */
import { createConnection, type RowDataPacket } from "mysql2/promise";

/** What was seen. */
export interface Testimony {
  /** Journal rows that were committed under the witness' eyes. */
  readonly rows: number;
  /** Those by a node that did not own their shard. */
  readonly astray: readonly string[];
}

/** Someone who watches; the database's tables must be there. */
export interface Witness {
  tell(): Promise<Testimony>;
}

/** The shard stands in an id above its four lowest bits, see `src/core/shard.ts`. */
const trigger = `
  CREATE TRIGGER witness BEFORE INSERT ON journal FOR EACH ROW
  BEGIN
    DECLARE whose VARCHAR(64) DEFAULT NULL;
    SELECT owner INTO whose FROM cl_shard WHERE shard_id = (NEW.id DIV 16) & 255;
    IF NOT EXISTS (SELECT 1 FROM cl_node WHERE node_id = whose
                   AND FIND_IN_SET(CONNECTION_ID(), SUBSTRING_INDEX(conn_ids, ':', -1)) > 0) THEN
      INSERT INTO astray (id, seq, connection, owner) VALUES (NEW.id, NEW.seq, CONNECTION_ID(), whose);
    END IF;
  END`;

/** Begins to watch a database of nodes. */
export async function watchCommits(url: string): Promise<Witness> {
  const ask = async (sql: string): Promise<RowDataPacket[]> => {
    const connection = await createConnection({ uri: url, connectTimeout: 10_000 });
    try {
      const [rows] = await connection.query(sql);
      return Array.isArray(rows) ? (rows as RowDataPacket[]) : [];
    } finally {
      connection.destroy();
    }
  };
  const count = async () => Number((await ask("SELECT COUNT(*) AS n FROM journal"))[0]!.n);
  await ask("CREATE TABLE astray (id BIGINT, seq BIGINT, connection BIGINT, owner VARCHAR(64))");
  await ask(trigger);
  const before = await count();
  return {
    async tell() {
      const found = await ask("SELECT id, seq, connection, owner FROM astray LIMIT 100");
      const astray = found.map(
        ({ id, seq, connection, owner }) => `${id}/${seq} by connection ${connection}, its shard was ${owner}'s`,
      );
      return { rows: (await count()) - before, astray };
    },
  };
}
