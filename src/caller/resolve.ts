/**
 * Names of participants to addresses, by the operating system, kept apart from each other: its resolver works in the
 * few threads that files and stores need, too, so a name server that does not answer would stop everything.
 *
 * At most two look-ups run at a time, one per name; a known answer is used while a newer one is fetched, and for a
 * while after the name cannot be resolved any more.
 */
import { type LookupAddress, lookup as systemLookup } from "node:dns";
import type { LookupFunction } from "node:net";

/** An answer is asked for again after this, in the background. */
const freshMs = 30_000;
/** An answer that could not be renewed is used no longer than this. */
const staleMs = 600_000;
/** A name that could not be resolved is not asked for again within this. */
const failedMs = 1_000;
/** Of the four threads that a process has by default. */
const lookupsMax = 2;
/** Most names that are remembered; past it those that were asked for first are forgotten. */
const namesMax = 10_000;

/** All addresses of a name; rejects when there are none. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

interface Entry {
  addresses: readonly LookupAddress[] | undefined;
  resolvedAtMs: number;
  error: Error | undefined;
  failedAtMs: number;
  pending: Promise<readonly LookupAddress[]> | undefined;
}

/** One for a process's callers. `ask` is the look-up itself. */
export class Resolver {
  readonly #ask: Resolve;
  readonly #entries = new Map<string, Entry>();
  readonly #queue: (() => void)[] = [];
  #running = 0;

  constructor(ask: Resolve = askSystem) {
    this.#ask = ask;
  }

  /** Addresses of a name, at once where they are known. */
  async resolve(host: string): Promise<readonly LookupAddress[]> {
    const nowMs = performance.now();
    const entry = this.#entry(host);
    const { addresses } = entry;
    if (addresses !== undefined && nowMs - entry.resolvedAtMs < staleMs) {
      if (nowMs - entry.resolvedAtMs > freshMs && nowMs - entry.failedAtMs > failedMs)
        this.#renew(host, entry).catch(() => {}); // kept in the entry
      return addresses;
    }
    if (entry.error !== undefined && nowMs - entry.failedAtMs < failedMs) throw entry.error;
    return this.#renew(host, entry);
  }

  /** For `net.connect` and what builds on it. */
  readonly lookup: LookupFunction = (host, options, callback) => {
    this.resolve(host).then(
      (addresses) => {
        const wanted = options.family === 4 || options.family === 6 ? options.family : 0;
        const fitting = addresses.filter(({ family }) => wanted === 0 || family === wanted);
        const [first] = fitting;
        if (first === undefined) callback(new Error(`${host} has no address of the wanted kind`), "", 0);
        else if (options.all) callback(null, [...fitting]);
        else callback(null, first.address, first.family);
      },
      (error: Error) => callback(error, "", 0),
    );
  };

  #entry(host: string): Entry {
    const known = this.#entries.get(host);
    if (known !== undefined) return known;
    if (this.#entries.size >= namesMax) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    const never = Number.NEGATIVE_INFINITY;
    const entry = {
      addresses: undefined,
      resolvedAtMs: never,
      error: undefined,
      failedAtMs: never,
      pending: undefined,
    };
    this.#entries.set(host, entry);
    return entry;
  }

  /** One look-up per name at a time. */
  #renew(host: string, entry: Entry): Promise<readonly LookupAddress[]> {
    entry.pending ??= this.#turn()
      .then(() => this.#ask(host))
      .then(
        (addresses) => {
          Object.assign(entry, { addresses, resolvedAtMs: performance.now(), error: undefined });
          return addresses;
        },
        (error: Error) => {
          Object.assign(entry, { error, failedAtMs: performance.now() });
          throw error;
        },
      )
      .finally(() => {
        entry.pending = undefined;
        this.#running -= 1;
        this.#queue.shift()?.();
      });
    return entry.pending;
  }

  /** Resolves when a look-up may run. */
  #turn(): Promise<void> {
    return new Promise((resolve) => {
      const run = () => {
        this.#running += 1;
        resolve();
      };
      if (this.#running < lookupsMax) run();
      else this.#queue.push(run);
    });
  }
}

function askSystem(host: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(host, { all: true, order: "verbatim" }, (error, addresses) =>
      error === null ? resolve(addresses) : reject(error),
    );
  });
}
