/**
 * Flushes: sends them, takes apart those that the guards or a taken key held back, tries again after collisions,
 * decides those whose answer was lost. One at a time, in the order in which they are asked for; the first packet is
 * sent within the call when none is under way.
 */
import type { JournalRow } from "../../core/evolve.js";
import type { ShardRow } from "../../ports/leases.js";
import { type Commit, StoreInDoubt, StoreRefused, StoreUnavailable, type Verdict } from "../../ports/store.js";
import type { RowFormats } from "../codec.js";
import { seqOf } from "./columns.js";
import { obstacle, readFacts, regression } from "./judge.js";
import { bumpQuery, factsQuery, flushOf, type Manners, storedRowsQuery } from "./packet.js";
import { type Results, type Session, SessionFailure } from "./session.js";

/** The node as the owner of shards. */
export interface Owner {
  /** Under which name and incarnation the shards of this node stand in `cl_shard`. */
  identity(): { readonly name: string; readonly incarnation: number };
  /** Commits in doubt were decided by taking these shards under a higher epoch; they stay this node's. */
  bumped(rows: readonly ShardRow[]): void;
  /** The database has lost what it had committed: the node must not go on. */
  regressed(what: string): void;
}

/** How rows are written: in the format that the nodes of the database have agreed upon, see `ports/format.ts`. */
export interface Pen {
  readonly formats: RowFormats;
  /** The agreed format, now. */
  format(): number;
}

/** How often one flush is sent before the database counts as unavailable. */
const triesMax = 6;

/** Longest wait before the second try; it doubles with each further one. Drawn uniformly. */
const collisionWaitMs = 10;

/** How often a flush is sent that is answered in no known way, before it counts as refused. */
const unknownMax = 3;

/** What came of one sending of a flush; a failure is an answer in no known way. */
type Sent = "written" | "held back" | "collided" | SessionFailure;

export class Writer {
  readonly #session: Session;
  readonly #owner: Owner;
  readonly #pen: Pen;
  readonly #random: () => number;
  #last: Promise<unknown> = Promise.resolve();
  /** Flushes that were asked for and have not ended. */
  #pending = 0;
  #closed = false;

  constructor(session: Session, owner: Owner, pen: Pen, random: () => number) {
    this.#session = session;
    this.#owner = owner;
    this.#pen = pen;
    this.#random = random;
  }

  /** See `Store.commit`. */
  commit(batch: readonly Commit[]): Promise<readonly Verdict[]> {
    return this.#inTurn(() => this.#commit(batch));
  }

  /** See `Store.settle`. */
  settle(batch: readonly Commit[]): Promise<readonly Verdict[]> {
    return this.#inTurn(() => this.#settle(batch));
  }

  /** Resolves when what was begun has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
    this.#session.close();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreUnavailable("the store is closed"));
    const turn = this.#pending++ === 0 ? this.#work(work) : this.#last.then(() => this.#work(work));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #work<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      this.#pending--;
    }
  }

  async #commit(batch: readonly Commit[]): Promise<readonly Verdict[]> {
    const verdicts = new Map<Commit, Verdict>();
    let left = batch;
    for (let tries = 1; left.length > 0; tries++) {
      const sent = await this.#send(left);
      if (sent === "written") break;
      if (sent instanceof SessionFailure) {
        if (tries >= unknownMax) throw new StoreRefused(sent.message, { cause: sent });
        await this.#waitAfter(tries);
        continue;
      }
      if (tries >= triesMax) throw exhausted(sent, tries);
      if (sent === "collided") await this.#waitAfter(tries);
      else for (const [commit, verdict] of await this.#takeApart(left)) verdicts.set(commit, verdict);
      left = left.filter((commit) => !verdicts.has(commit));
    }
    return batch.map((commit) => verdicts.get(commit) ?? "ok");
  }

  async #settle(batch: readonly Commit[]): Promise<readonly Verdict[]> {
    const { name, incarnation } = this.#owner.identity();
    const shards = new Set(batch.map(({ shard }) => shard));
    const results = await this.#ask(({ brackets }) => bumpQuery(shards, name, incarnation, brackets));
    const rows = results[3]!.map((row) => ({
      shard: row.shard_id,
      epoch: Number(row.epoch),
      owner: name,
      incarnation,
    }));
    this.#owner.bumped(rows);
    const [stored] = await this.#ask(() => storedRowsQuery(batch));
    const bodies = new Map(stored!.map((row) => [`${row.id} ${row.seq}`, row.body as Buffer]));
    const isThere = ({ id, row }: Commit): boolean => this.#holds(bodies.get(`${id} ${seqOf(row)}`), row);
    const epochs = new Map(rows.map(({ shard, epoch }) => [shard, epoch]));
    const absent = batch.filter((commit) => !isThere(commit));
    const again = absent.map((commit) => ({ ...commit, epoch: epochs.get(commit.shard) ?? commit.epoch }));
    const verdicts = await this.#commit(again);
    return batch.map((commit) => verdicts[absent.indexOf(commit)] ?? "ok");
  }

  /** Whether a stored body is that of the row; the agreed format may have been raised since it was written. */
  #holds(body: Buffer | undefined, row: JournalRow): boolean {
    return body !== undefined && this.#pen.formats.encode(row, body[0]!).equals(body);
  }

  /** @throws StoreUnavailable, StoreRefused, StoreInDoubt */
  async #send(batch: readonly Commit[]): Promise<Sent> {
    let packetsLeft = Number.POSITIVE_INFINITY;
    try {
      const packets = this.#flushOf(batch, this.#session.manners ?? (await this.#session.open()));
      packetsLeft = packets.length;
      for (const packet of packets) {
        packetsLeft--;
        await this.#session.send(packet);
      }
      return "written";
    } catch (error) {
      if (!(error instanceof SessionFailure)) throw error;
      return this.#meaning(error, packetsLeft === 0);
    }
  }

  /** What cannot be put into words now never can be: a row too long, a value that the format has no form for. */
  #flushOf(batch: readonly Commit[], manners: Manners): readonly string[] {
    const { formats } = this.#pen;
    const format = this.#pen.format();
    try {
      return flushOf(batch, (row) => formats.encode(row, format), manners);
    } catch (cause) {
      throw new StoreRefused(cause instanceof Error ? cause.message : String(cause), { cause });
    }
  }

  /** `withCommit`: the packet that failed was the one that ends with COMMIT. */
  #meaning(failure: SessionFailure, withCommit: boolean): Sent {
    const { message, kind } = failure;
    switch (kind) {
      case "collision":
        return "collided";
      case "held back":
        return "held back";
      case "unknown":
        return failure;
      case "refused":
        throw new StoreRefused(message, { cause: failure });
      case "lost":
        if (withCommit) throw new StoreInDoubt(message, { cause: failure });
        throw new StoreUnavailable(message, { cause: failure });
      case "unsent":
      case "unavailable":
        throw new StoreUnavailable(message, { cause: failure });
    }
  }

  /** Verdicts of those commits that cannot be written. */
  async #takeApart(batch: readonly Commit[]): Promise<readonly (readonly [Commit, Verdict])[]> {
    const facts = readFacts(await this.#ask(() => factsQuery(batch)));
    const lost = batch.map((commit) => regression(commit, facts)).find((what) => what !== undefined);
    if (lost !== undefined) this.#owner.regressed(lost);
    return batch.flatMap((commit) => {
      const verdict = obstacle(commit, facts);
      return verdict === undefined ? [] : [[commit, verdict] as const];
    });
  }

  /** Sends what may be sent again at will. @throws StoreUnavailable, StoreRefused */
  async #ask(sql: (manners: Manners) => string): Promise<Results> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#session.send(sql(await this.#session.open()));
      } catch (error) {
        if (!(error instanceof SessionFailure)) throw error;
        if (error.kind === "refused" || error.kind === "unknown")
          throw new StoreRefused(error.message, { cause: error });
        if (tries >= triesMax || error.kind !== "collision")
          throw new StoreUnavailable(error.message, { cause: error });
        await this.#waitAfter(tries);
      }
    }
  }

  async #waitAfter(tries: number): Promise<void> {
    const waitMs = this.#random() * collisionWaitMs * 2 ** (tries - 1);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

/** Collisions pass; a flush that is held back though nothing stands in its way never will be taken. */
function exhausted(sent: "held back" | "collided", tries: number): Error {
  const message = `the database: flush ${sent} ${tries} times`;
  return sent === "collided" ? new StoreUnavailable(message) : new StoreRefused(message);
}
