/**
 * Leases in MySQL or MariaDB, on a connection of their own that never waits behind flushes. Every judgment is made by
 * the database's clock, inside the statement that acts on it; every statement may be sent twice.
 */
import type { Leases, NodeRow, NodeState, ShardRow, Sight } from "../../ports/leases.js";
import type { Log } from "../../ports/observer.js";
import { Line, type Result } from "./line.js";

/** Where the tables are and how long an answer may take. */
export interface MysqlLeaseOptions {
  readonly url: string;
  /** Below the lease, so that a hanging database is noticed before the lease is over. */
  readonly timeoutMs: number;
  readonly log: Log;
}

const states: readonly NodeState[] = ["fenced", "live", "leaving"];

/** Milliseconds since the epoch of a DATETIME(3) in UTC. */
const toMs = (time: string) => `TIMESTAMPDIFF(MICROSECOND, '1970-01-01', ${time}) DIV 1000`;

/**
 * Shards are read before nodes: whoever owns a shard joined before, so an owner that is missing among the nodes is
 * gone. Rows of shards are sent only when the sum of their epochs is another than the reader knows.
 */
const look = `
  SELECT CAST(COALESCE(SUM(epoch), 0) AS UNSIGNED) INTO @epochs FROM cl_shard;
  SELECT @epochs AS epochs;
  SELECT shard_id, epoch, owner, incarnation FROM cl_shard WHERE @epochs <> ? ORDER BY shard_id;
  SELECT node_id, incarnation, state, ${toMs("lease_until")} AS lease_until_ms, address FROM cl_node ORDER BY node_id;
  SELECT ${toMs("UTC_TIMESTAMP(3)")} AS now_ms`;

/** Rows of nodes that were fenced longer ago than this are removed when another joins. */
const forgetAfterDays = 7;

/** A server counts as the same if it was started within this of what was noted, seconds: its uptime is in seconds. */
const startToleranceS = 5;

/** Leases of one process; `enlist` its writing connections, so that whoever fences it can end them. */
export class MysqlLeases implements Leases {
  readonly #line: Line;
  readonly #log: Log;
  readonly #connectionIds = new Set<number>();
  #self: { readonly name: string; readonly incarnation: number } | undefined;
  #known: { readonly epochs: number; readonly shards: readonly ShardRow[] } = { epochs: -1, shards: [] };
  #startedS = 0;
  #killWarned = false;

  constructor({ url, timeoutMs, log }: MysqlLeaseOptions) {
    this.#log = log;
    this.#line = new Line({
      url,
      timeoutMs,
      greet: async (_, send) => {
        const [rows] = (await send("SHOW GLOBAL STATUS LIKE 'Uptime'")) as [{ Value: string }[]];
        const [now] = (await send("SELECT UNIX_TIMESTAMP() AS now_s")) as [{ now_s: number }[]];
        this.#startedS = now[0]!.now_s - Number(rows[0]?.Value ?? 0);
      },
    });
  }

  /**
   * A connection that will write: its id stands in the node's row before this resolves, so that whoever fences this
   * node can end it. Called before the connection's first write, after the node has joined.
   */
  async enlist(connectionId: number): Promise<void> {
    this.#connectionIds.add(connectionId);
    await this.#noteConnections();
  }

  /** A connection that will not write any more. */
  dismiss(connectionId: number): void {
    this.#connectionIds.delete(connectionId);
  }

  async join(name: string, address: string, leaseMs: number): Promise<{ readonly incarnation: number }> {
    await this.#line.send("SELECT 1"); // learns when the server was started, which belongs into the row
    const results = await this.#line.send(
      `START TRANSACTION;
       SELECT incarnation, conn_ids FROM cl_node WHERE node_id=? FOR UPDATE;
       DELETE FROM cl_node
         WHERE state=0 AND node_id<>? AND lease_until < UTC_TIMESTAMP(3) - INTERVAL ${forgetAfterDays} DAY;
       INSERT INTO cl_node (node_id, incarnation, state, lease_until, address, conn_ids)
         VALUES (?, UNIX_TIMESTAMP(), 1, UTC_TIMESTAMP(3) + INTERVAL ? MICROSECOND, ?, ?)
         ON DUPLICATE KEY UPDATE incarnation=incarnation+1, state=1,
           lease_until=UTC_TIMESTAMP(3) + INTERVAL ? MICROSECOND, address=?, conn_ids=?;
       SELECT incarnation FROM cl_node WHERE node_id=?;
       COMMIT`,
      [name, name, name, leaseMs * 1000, address, this.#ids(), leaseMs * 1000, address, this.#ids(), name],
    );
    const before = results[1]![0];
    if (before !== undefined) await this.#kill(String(before.conn_ids));
    const incarnation = Number(results[4]![0]!.incarnation);
    this.#self = { name, incarnation };
    return { incarnation };
  }

  async renew(name: string, incarnation: number, leaseMs: number, leaving: boolean): Promise<Sight> {
    const results = await this.#line.send(
      `UPDATE cl_node SET lease_until=UTC_TIMESTAMP(3) + INTERVAL ? MICROSECOND, state=IF(?, 2, state)
         WHERE node_id=? AND incarnation=? AND state<>0;${look}`,
      [leaseMs * 1000, leaving, name, incarnation, this.#known.epochs],
    );
    return this.#sight(results.slice(1));
  }

  async look(): Promise<Sight> {
    return this.#sight(await this.#line.send(look, [this.#known.epochs]));
  }

  async fence(name: string, incarnation: number): Promise<boolean> {
    const [changed, rows] = await this.#line.send(
      `UPDATE cl_node SET state=0 WHERE node_id=? AND incarnation=? AND state<>0 AND lease_until<UTC_TIMESTAMP(3);
       SELECT conn_ids FROM cl_node WHERE node_id=? AND incarnation=? AND state=0`,
      [name, incarnation, name, incarnation],
    );
    if (changed!.affectedRows !== 1) return false;
    await this.#kill(String(rows![0]?.conn_ids ?? ""));
    return true;
  }

  async claim(shards: readonly ShardRow[], name: string, incarnation: number): Promise<readonly ShardRow[]> {
    return this.#move(shards, name, incarnation);
  }

  async release(shards: readonly ShardRow[]): Promise<readonly ShardRow[]> {
    return this.#move(shards, "", 0);
  }

  async leave(name: string, incarnation: number): Promise<void> {
    await this.#line.send("UPDATE cl_node SET state=0 WHERE node_id=? AND incarnation=?", [name, incarnation]);
  }

  close(): Promise<void> {
    return this.#line.close();
  }

  /** Every shard that is still as given goes to `owner` under the next epoch: one statement, then a look at them. */
  async #move(shards: readonly ShardRow[], owner: string, incarnation: number): Promise<readonly ShardRow[]> {
    if (shards.length === 0) return [];
    const [, rows] = await this.#line.send(
      `UPDATE cl_shard SET owner=?, incarnation=?, epoch=epoch+1
         WHERE ${shards.map(() => "(shard_id=? AND epoch=? AND owner=?)").join(" OR ")};
       SELECT shard_id, epoch, owner, incarnation FROM cl_shard WHERE shard_id IN (?) AND owner=? AND incarnation=?`,
      [
        ...[owner, incarnation],
        ...shards.flatMap(({ shard, epoch, owner: before }) => [shard, epoch, before]),
        ...[shards.map(({ shard }) => shard), owner, incarnation],
      ],
    );
    const before = new Map(shards.map(({ shard, epoch }) => [shard, epoch]));
    return rows!.map(shardRow).filter(({ shard, epoch }) => epoch === before.get(shard)! + 1);
  }

  #sight([, epochs, shards, nodes, now]: readonly Result[]): Sight {
    const sum = Number(epochs![0]!.epochs);
    if (sum !== this.#known.epochs) this.#known = { epochs: sum, shards: shards!.map(shardRow) };
    return { storeNowMs: Number(now![0]!.now_ms), nodes: nodes!.map(nodeRow), shards: this.#known.shards };
  }

  #ids(): string {
    return `${this.#startedS}:${[...this.#connectionIds].slice(-40).join(",")}`;
  }

  async #noteConnections(): Promise<void> {
    if (this.#self === undefined) return; // joining writes them
    const { name, incarnation } = this.#self;
    await this.#line.send("UPDATE cl_node SET conn_ids=? WHERE node_id=? AND incarnation=?", [
      this.#ids(),
      name,
      incarnation,
    ]);
  }

  /** Ends what a fenced node still has open; only shortens waiting, so no failure of it matters. */
  async #kill(connIds: string): Promise<void> {
    const [started = "", ids = ""] = connIds.split(":");
    if (Math.abs(Number(started) - this.#startedS) > startToleranceS) return; // numbers of another life of the server
    for (const id of ids.split(",").filter((text) => /^\d+$/.test(text))) {
      try {
        await this.#line.send(`KILL CONNECTION ${id}`);
      } catch (cause) {
        const unknown = (cause as { errno?: number }).errno === 1094;
        if (!unknown && !this.#killWarned) this.#log.warn("kill_denied", { cause: String(cause) });
        this.#killWarned ||= !unknown;
      }
    }
  }
}

function shardRow(row: Result[number]): ShardRow {
  const { shard_id, epoch, owner, incarnation } = row;
  return { shard: Number(shard_id), epoch: Number(epoch), owner: String(owner), incarnation: Number(incarnation) };
}

function nodeRow(row: Result[number]): NodeRow {
  const { node_id, incarnation, state, lease_until_ms, address } = row;
  return {
    name: String(node_id),
    incarnation: Number(incarnation),
    state: states[Number(state)] ?? "fenced",
    leaseUntilMs: Number(lease_until_ms),
    address: String(address),
  };
}
