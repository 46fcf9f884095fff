/**
 * Who owns which shard, as the shared store records it (reliability 3). Epochs are safety: a committed bump is the only
 * way to take a shard. Leases are liveness, judged by the store's clock alone. All statements are conditional; the
 * caller learns what they did from their results.
 */

/** `leaving` serves what it has and gets nothing more; `fenced` has lost everything and must join anew. */
export type NodeState = "live" | "leaving" | "fenced";

/** A node as its row says; the newest incarnation of a name is the only one that counts. */
export interface NodeRow {
  readonly name: string;
  readonly incarnation: number;
  readonly state: NodeState;
  /** By the store's clock, milliseconds since the epoch. */
  readonly leaseUntilMs: number;
  /** URL at which other nodes reach this one without NATS; empty: it runs alone and takes no others beside it. */
  readonly address: string;
}

/** Right to a shard: owner and incarnation hold it under `epoch`, which only ever grows. */
export interface ShardRow {
  readonly shard: number;
  readonly epoch: number;
  /** Empty: nobody. */
  readonly owner: string;
  readonly incarnation: number;
}

/**
 * The store does not let this process take part, now and later: the other nodes have agreed on a format that its
 * program does not know. Nothing was changed.
 */
export class JoinRefused extends Error {
  override readonly name = "JoinRefused";
}

/** One look at all rows, at one time of the store's clock. */
export interface Sight {
  readonly storeNowMs: number;
  readonly nodes: readonly NodeRow[];
  readonly shards: readonly ShardRow[];
}

/**
 * Every method rejects when the store cannot be reached, within a lease's time; it may have done its work all the same.
 */
export interface Leases {
  /** Looks without being a node. */
  look(): Promise<Sight>;
  /**
   * Writes this node's row under the next incarnation of its name, which ends a predecessor's rights at once.
   * @throws JoinRefused
   */
  join(name: string, address: string, leaseMs: number): Promise<{ readonly incarnation: number }>;
  /** Extends the lease if the row still has this incarnation and is not fenced, and looks; one round trip. */
  renew(name: string, incarnation: number, leaseMs: number, leaving: boolean): Promise<Sight>;
  /** Ends the rights of a node whose lease is over by the store's clock; `false`: it was not, or another was faster. */
  fence(name: string, incarnation: number): Promise<boolean>;
  /** Takes those of the shards that are still as given, each under the next epoch; resolves to what was taken. */
  claim(shards: readonly ShardRow[], name: string, incarnation: number): Promise<readonly ShardRow[]>;
  /** Gives up those shards that are still as given: nobody's, under the next epoch; resolves to what was given up. */
  release(shards: readonly ShardRow[]): Promise<readonly ShardRow[]>;
  /** Ends this node's own row. */
  leave(name: string, incarnation: number): Promise<void>;
  close(): Promise<void>;
}
