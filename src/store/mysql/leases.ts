/**
 * Leases in MySQL or MariaDB, on a connection of their own that never waits behind flushes. Every judgment is made by
 * the database's clock, inside the statement that acts on it; every statement may be sent twice.
 */
import { type Formats, inWords, knows, formats as ownFormats } from "../../ports/format.js";
import {
  JoinRefused,
  type Leases,
  type NodeRow,
  type NodeState,
  type ShardRow,
  type Sight,
} from "../../ports/leases.js";
import type { Log } from "../../ports/observer.js";
import { Line, type Result } from "./line.js";

/** Where the tables are and how long an answer may take. */
export interface MysqlLeaseOptions {
  readonly url: string;
  /** Below the lease, so that a hanging database is noticed before the lease is over. */
  readonly timeoutMs: number;
  readonly log: Log;
  /** What this build knows; the program's own unless a test of upgrades says otherwise. */
  readonly formats?: Formats;
  /** Newest format that the others may agree upon with this node: holds an upgrade, so that it can be rolled back. */
  readonly formatMax?: number;
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
  SELECT node_id, incarnation, state, ${toMs("lease_until")} AS lease_until_ms, address, format FROM cl_node
    ORDER BY node_id;
  SELECT ${toMs("UTC_TIMESTAMP(3)")} AS now_ms;
  SELECT CAST(value AS UNSIGNED) AS format FROM meta WHERE name='format'`;

/**
 * Who joins holds the row of the agreed format until its own row stands among the nodes, and writes none if it does not
 * know that format; who raises the format waits for that row. So it is never raised past a node that is joining.
 */
const agreedFormat = (lock: string) => `SELECT CAST(value AS UNSIGNED) INTO @f FROM meta WHERE name='format' ${lock}`;

/** Rows of nodes that were fenced longer ago than this are removed when another joins. */
const forgetAfterDays = 7;

/** A server counts as the same if it was started within this of what was noted, seconds: its uptime is in seconds. */
const startToleranceS = 5;

/** Leases of one process; `enlist` its writing connections, so that whoever fences it can end them. */
export class MysqlLeases implements Leases {
  readonly #line: Line;
  readonly #log: Log;
  /**
   * How many have each id: a server that was restarted gives the low ones again, to another thread of this node perhaps
   * before the one that had it has noticed.
   */
  readonly #connections = new Map<number, number>();
  #self: { readonly name: string; readonly incarnation: number } | undefined;
  #known: { readonly epochs: number; readonly shards: readonly ShardRow[] } = { epochs: -1, shards: [] };
  #startedS = 0;
  #killsDenied = 0;
  readonly #formats: Formats;
  readonly #formatMax: number;
  #format: number;

  constructor({ url, timeoutMs, log, formats = ownFormats, formatMax = formats.newest }: MysqlLeaseOptions) {
    this.#log = log;
    this.#formats = formats;
    this.#formatMax = formatMax;
    this.#format = formats.oldest;
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

  /** The format in which this node is to write, to the store and to other nodes; known once it has joined. */
  get format(): number {
    return this.#format;
  }

  /** Connections of fenced nodes that could not be ended, though they were there. */
  get killsDenied(): number {
    return this.#killsDenied;
  }

  /**
   * A connection that will write: its id stands in the node's row before this resolves, so that whoever fences this
   * node can end it. Called before the connection's first write, after the node has joined.
   */
  async enlist(connectionId: number): Promise<void> {
    this.#connections.set(connectionId, (this.#connections.get(connectionId) ?? 0) + 1);
    await this.#noteConnections();
  }

  /** A connection that was enlisted and will not write any more; to be said once. */
  dismiss(connectionId: number): void {
    const others = (this.#connections.get(connectionId) ?? 0) - 1;
    if (others > 0) this.#connections.set(connectionId, others);
    else this.#connections.delete(connectionId);
  }

  async join(name: string, address: string, leaseMs: number): Promise<{ readonly incarnation: number }> {
    await this.#line.send("SELECT 1"); // learns when the server was started, which belongs into the row
    const until = "UTC_TIMESTAMP(3) + INTERVAL ? MICROSECOND";
    const ids = this.#ids();
    const results = await this.#atomically(
      `START TRANSACTION;
       ${agreedFormat("LOCK IN SHARE MODE")};
       SELECT @f AS format;
       SELECT incarnation, conn_ids FROM cl_node WHERE node_id=? FOR UPDATE;
       DELETE FROM cl_node
         WHERE state=0 AND node_id<>? AND lease_until < UTC_TIMESTAMP(3) - INTERVAL ${forgetAfterDays} DAY;
       INSERT INTO cl_node (node_id, incarnation, state, lease_until, address, conn_ids, format)
         SELECT ?, UNIX_TIMESTAMP(), 1, ${until}, ?, ?, ? FROM DUAL WHERE @f BETWEEN ? AND ?
         ON DUPLICATE KEY UPDATE incarnation=cl_node.incarnation+1, state=1, lease_until=${until}, address=?,
           conn_ids=?, format=?;
       SELECT incarnation FROM cl_node WHERE node_id=?;
       COMMIT`,
      [
        ...[name, name],
        ...[name, leaseMs * 1000, address, ids, this.#formatMax, this.#formats.oldest, this.#formats.newest],
        ...[leaseMs * 1000, address, ids, this.#formatMax, name],
      ],
    );
    this.#mustKnow(Number(results[2]![0]?.format));
    const before = results[3]![0];
    if (before !== undefined) await this.#kill(String(before.conn_ids));
    const incarnation = Number(results[6]![0]!.incarnation);
    this.#self = { name, incarnation };
    if (ids !== this.#ids()) await this.#noteConnections(); // one was made meanwhile, and noted with the row before
    return { incarnation };
  }

  async renew(name: string, incarnation: number, leaseMs: number, leaving: boolean): Promise<Sight> {
    const results = await this.#line.send(
      `UPDATE cl_node SET lease_until=UTC_TIMESTAMP(3) + INTERVAL ? MICROSECOND, state=IF(?, 2, state)
         WHERE node_id=? AND incarnation=? AND state<>0;${look}`,
      [leaseMs * 1000, leaving, name, incarnation, this.#known.epochs],
    );
    const sight = this.#sight(results.slice(1));
    await this.#raiseFormat(results.slice(1));
    return sight;
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

  #sight([, epochs, shards, nodes, now, meta]: readonly Result[]): Sight {
    const format = Number(meta![0]?.format);
    if (knows(this.#formats, format)) this.#format = format; // else this node was fenced long ago, and will learn so
    const sum = Number(epochs![0]!.epochs);
    if (sum !== this.#known.epochs) this.#known = { epochs: sum, shards: shards!.map(shardRow) };
    return { storeNowMs: Number(now![0]!.now_ms), nodes: nodes!.map(nodeRow), shards: this.#known.shards };
  }

  /** @throws JoinRefused */
  #mustKnow(format: number): void {
    if (!knows(this.#formats, format))
      throw new JoinRefused(
        `the nodes of this database write format ${format}, this program knows ${inWords(this.#formats)}`,
      );
    this.#format = format;
  }

  /** To what every node that may write knows: fenced ones may not, and join before they may again. */
  async #raiseFormat([, , , nodes, , meta]: readonly Result[]): Promise<void> {
    const writing = nodes!.filter(({ state }) => Number(state) !== 0);
    const target = Math.min(this.#formatMax, ...writing.map(({ format }) => Number(format)));
    if (!(target > Number(meta![0]?.format))) return;
    try {
      const results = await this.#atomically(
        `START TRANSACTION;
         ${agreedFormat("FOR UPDATE")};
         SELECT MIN(format) INTO @all FROM cl_node WHERE state<>0;
         UPDATE meta SET value=? WHERE name='format' AND @f<? AND @all>=?;
         COMMIT`,
        [String(target), target, target],
      );
      if (results[3]!.affectedRows === 1) this.#log.info("format_raised", { format: target });
    } catch (cause) {
      this.#log.warn("format_not_raised", { cause: String(cause) }); // the next look tries again
    }
  }

  /** A transaction in one packet: one that was refused halfway must leave no lock behind. */
  async #atomically(sql: string, values: readonly unknown[]): Promise<readonly Result[]> {
    try {
      return await this.#line.send(sql, values);
    } catch (error) {
      await this.#line.send("ROLLBACK").catch(() => {});
      throw error;
    }
  }

  #ids(): string {
    return `${this.#startedS}:${[...this.#connections.keys()].slice(-40).join(",")}`;
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
        if (!unknown && this.#killsDenied++ === 0) this.#log.warn("kill_denied", { cause: String(cause) });
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
