/**
 * Group commit: transitions of many transactions in one durable flush. While one flush is under way the next one
 * gathers; no timer delays a commit that somebody waits for. A flush that the store refuses is taken apart, so that
 * every commit gets its own verdict and one bad transaction never blocks another (L3). What cannot be written now is
 * kept and tried again.
 */
import type { Clock } from "../ports/clock.js";
import type { Log, Observer } from "../ports/observer.js";
import { type Commit, type Store, StoreInDoubt, StoreRefused, StoreUnavailable, type Verdict } from "../ports/store.js";

/** What became of a commit. `refused`: the store will never take it; the actor is isolated. */
export type Committed = Verdict | "refused";

/** Most commits of one flush, and their most bytes (the caller's estimate). */
export interface FlushLimits {
  readonly commitsMax: number;
  readonly bytesMax: number;
  /**
   * Longest wait, milliseconds, of a commit that nobody waits for, for a flush that goes anyway. It spares a flush
   * where few clients keep the store busy; 0: none waits.
   */
  readonly lingerMs: number;
}

/** How a commit is taken. */
export interface Manner {
  /** Whoever decided it has ended. */
  readonly isAbandoned?: () => boolean;
  /** Nobody waits for it: it may go with a later flush. */
  readonly lingers?: boolean;
}

interface Waiting {
  readonly commit: Commit;
  readonly sinceMs: number;
  readonly bytes: number;
  readonly done: (result: Committed) => void;
  readonly isAbandoned: () => boolean;
}

/** Commits of a flush that is over, with what became of them. */
type Decided = readonly (readonly [Waiting, Committed])[];

/** First and longest wait before a flush is tried again when the store cannot be reached. */
const againMs = { first: 50, longest: 1000 };

export class Committer {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #observer: Observer;
  readonly #log: Log;
  readonly #limits: FlushLimits;
  readonly #mayWrite: () => boolean;
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  /** Some of the queue are waited for, or have lingered long enough. */
  #hurried = false;
  #cancelLingering: (() => void) | undefined;
  #flushing: Promise<void> | undefined;
  #inFlush = 0;
  /** When the oldest commit of the present flush was added; how long that took in the last one. */
  #oldestMs = 0;
  #tookMs = 0;
  #closed = false;
  #wakeUp: () => void = () => {};
  #unavailableSinceMs: number | undefined;

  /** @param mayWrite whether this node's lease lasts: without it nothing is sent to the store. */
  constructor(
    store: Store,
    clock: Clock,
    observer: Observer,
    log: Log,
    limits: FlushLimits,
    mayWrite: () => boolean = () => true,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#observer = observer;
    this.#log = log;
    this.#limits = limits;
    this.#mayWrite = mayWrite;
  }

  /** Commits that wait for a flush or are in one. */
  get queued(): number {
    return this.#queue.length + this.#inFlush;
  }

  /** Their bytes, estimated. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /**
   * How long commits wait for their verdict now, milliseconds; 0 when none waits. Long waits mean that this process or
   * its store is behind, whatever the numbers of things under way are.
   */
  get delayMs(): number {
    if (this.queued === 0) return 0;
    const oldestMs = this.#inFlush > 0 ? this.#oldestMs : this.#queue[0]!.sinceMs;
    return Math.max(this.#tookMs, this.#clock.monotonicMs() - oldestMs);
  }

  /** Since when the store has taken nothing, monotonic milliseconds; `undefined` while it works. */
  get unavailableSinceMs(): number | undefined {
    return this.#unavailableSinceMs;
  }

  /**
   * Takes a commit; `done` is called once, after its flush, unless `close` gave it up. Two commits of one gid (an actor
   * that lost its shard, and one that got it again) never share a flush.
   */
  add(commit: Commit, bytes: number, done: (result: Committed) => void, manner: Manner = {}): void {
    if (this.#closed) return;
    const { isAbandoned = () => false, lingers = false } = manner;
    this.#queue.push({ commit, bytes, done, isAbandoned, sinceMs: this.#clock.monotonicMs() });
    this.#queuedBytes += bytes;
    if (!lingers || this.#limits.lingerMs === 0) this.#hurry();
    else this.#cancelLingering ??= this.#clock.after(this.#limits.lingerMs, () => this.#hurry());
  }

  /** Resolves when nothing is left to write. */
  async drained(): Promise<void> {
    while (this.#queue.length > 0 || this.#flushing !== undefined) {
      this.#hurry();
      await this.#flushing;
    }
  }

  /**
   * Writes what the store takes, and gives up the rest: nobody was told that it is durable. Resolves when no flush is
   * under way any more, at the latest when the store has answered the one that is.
   */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wakeUp();
    await this.drained();
  }

  #hurry(): void {
    this.#hurried = true;
    this.#flushing ??= this.#run();
  }

  /**
   * The next flush is sent before those of the last one hear of it: the store writes while they go on. What they then
   * add goes with the flush after it.
   */
  async #run(): Promise<void> {
    await Promise.resolve(); // the rest of this tick's commits join the first flush
    let decided: Decided | undefined = [];
    while (decided !== undefined) {
      const next = this.#isDue ? this.#flushNext() : undefined;
      for (const [waiting, result] of decided) this.#tell(waiting, result);
      if (next === undefined && !this.#isDue) break;
      decided = next === undefined ? [] : await next;
    }
    if (this.#closed) {
      this.#queue.length = 0;
      this.#queuedBytes = 0;
    }
    this.#flushing = undefined;
  }

  get #isDue(): boolean {
    return this.#hurried && this.#queue.length > 0;
  }

  /** Resolves to the verdicts; `undefined`: given up. */
  async #flushNext(): Promise<Decided | undefined> {
    const batch = this.#take();
    this.#hurried = this.#queue.length > 0;
    this.#cancelLingering?.();
    this.#cancelLingering = undefined;
    this.#inFlush = batch.length;
    this.#oldestMs = batch[0]!.sinceMs;
    const results = await this.#flush(batch);
    this.#inFlush = 0;
    this.#tookMs = this.#clock.monotonicMs() - this.#oldestMs;
    return results && batch.map((waiting, i) => [waiting, results[i]!] as const);
  }

  /** A bug in one actor's turn must not stop the flushes of all others (L3). */
  #tell({ commit, bytes, done }: Waiting, result: Committed): void {
    this.#queuedBytes -= bytes;
    try {
      done(result);
    } catch (cause) {
      this.#log.error("commit_listener_failed", { gid: commit.gid, cause: String(cause) });
    }
  }

  #take(): readonly Waiting[] {
    const gids = new Set<string>();
    let bytes = 0;
    for (const waiting of this.#queue) {
      const { size } = gids;
      bytes += waiting.bytes;
      if (size > 0 && (size >= this.#limits.commitsMax || bytes > this.#limits.bytesMax)) break;
      if (gids.add(waiting.commit.gid).size === size) break;
    }
    return this.#queue.splice(0, gids.size);
  }

  /**
   * Verdicts of a batch, however long it takes; `undefined` when it was given up. One in doubt is settled, and from
   * then on never simply sent again.
   */
  async #flush(batch: readonly Waiting[], inDoubt = false): Promise<readonly Committed[] | undefined> {
    for (let waitMs = againMs.first; ; waitMs = Math.min(waitMs * 2, againMs.longest)) {
      if (inDoubt && batch.every(({ isAbandoned }) => isAbandoned())) {
        this.#unavailableSinceMs = undefined; // nobody asks the store any more: the next commit finds out how it is
        return batch.map(() => "fenced");
      }
      try {
        const verdicts = await (inDoubt ? this.#settle(batch) : this.#send(batch.map(({ commit }) => commit)));
        this.#available();
        return verdicts;
      } catch (error) {
        if (error instanceof StoreInDoubt && !inDoubt) return this.#flush(batch, true);
        if (!(error instanceof StoreUnavailable || error instanceof StoreInDoubt)) {
          this.#available(); // it has spoken; else a node with no other work would refuse all for ever
          return this.#halve(batch, error, inDoubt);
        }
        this.#unavailable(error);
        if (!(await this.#again(waitMs))) return undefined;
      }
    }
  }

  /**
   * Settling renews a commit's epoch. One of an actor that has lost its shard stays fenced: were the shard this node's
   * again, it would be written beside what its successors have seen.
   */
  async #settle(batch: readonly Waiting[]): Promise<readonly Committed[]> {
    const kept = batch.filter(({ isAbandoned }) => !isAbandoned());
    const verdicts = await this.#store.settle(kept.map(({ commit }) => commit));
    return batch.map((waiting) => verdicts[kept.indexOf(waiting)] ?? "fenced");
  }

  async #send(commits: readonly Commit[]): Promise<readonly Committed[]> {
    if (!this.#mayWrite()) throw new StoreUnavailable("the lease of this node is over, it stands still");
    const startedMs = this.#clock.monotonicMs();
    const verdicts = await this.#store.commit(commits);
    this.#observer.flushed(commits.length, this.#clock.monotonicMs() - startedMs);
    return verdicts;
  }

  /**
   * Some commit is at fault: the store refuses it, or handling it meets an error of which no adapter says that it will
   * pass. Those beside it are stored, it alone is not.
   */
  async #halve(batch: readonly Waiting[], error: unknown, inDoubt: boolean): Promise<readonly Committed[] | undefined> {
    if (batch.length === 1) {
      const event = error instanceof StoreRefused ? "commit_refused" : "store_failed";
      this.#log.error(event, { gid: batch[0]!.commit.gid, cause: String(error) });
      return ["refused"];
    }
    const middle = batch.length >> 1;
    const first = await this.#flush(batch.slice(0, middle), inDoubt);
    const second = first && (await this.#flush(batch.slice(middle), inDoubt));
    return second && [...first, ...second];
  }

  /** Waits before a store that takes nothing is asked again; `false` when nobody wants to know any more. */
  async #again(waitMs: number): Promise<boolean> {
    if (!this.#closed)
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(waitMs, resolve);
        this.#wakeUp = () => {
          cancel();
          resolve();
        };
      });
    return !this.#closed;
  }

  #available(): void {
    if (this.#unavailableSinceMs === undefined) return;
    this.#log.info("store_available", { afterMs: this.#clock.monotonicMs() - this.#unavailableSinceMs });
    this.#unavailableSinceMs = undefined;
  }

  #unavailable(error: unknown): void {
    if (this.#unavailableSinceMs !== undefined) return;
    this.#unavailableSinceMs = this.#clock.monotonicMs();
    this.#log.warn("store_unavailable", { cause: String(error) });
  }
}
