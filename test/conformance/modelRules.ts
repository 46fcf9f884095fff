// A store and the memory store are told the same random story and must answer alike at every step. The run counts as
// passed only if every operation has succeeded at least once.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Head } from "../../src/core/head.js";
import { CHECK } from "../../src/core/transaction.js";
import type { Commit, Store } from "../../src/ports/store.js";
import type { KeyValues } from "../../src/ports/topics.js";
import { MemoryStore } from "../../src/store/memory/memory.js";
import type { Adapter, Place } from "./store.js";
import { type Story, someOp, someTimeMs, Teller } from "./story.js";

type AnyStore = Store & KeyValues;

/** One operation of the random story; numbers are reduced to what exists when it runs. */
type Move =
  | { readonly kind: "create"; readonly gid: number; readonly wake: number; readonly type: "saga" | "msg" }
  | { readonly kind: "batch"; readonly parts: readonly Part[] }
  | { readonly kind: "due"; readonly gid: number; readonly until: number; readonly limit: number }
  | { readonly kind: "list"; readonly unfinished: boolean | undefined; readonly limit: number }
  | { readonly kind: "purge"; readonly journals: number; readonly heads: number }
  | { readonly kind: "put"; readonly key: number; readonly stale: boolean }
  | { readonly kind: "remove"; readonly key: number }
  | { readonly kind: "reopen" };

type Step = "start" | "retry" | "check" | "wake" | "park" | "finish" | "stale" | "gap" | "create" | "settle";
interface Part {
  readonly gid: number;
  readonly step: Step;
  readonly n: number;
}

const gids = ["g", "g1", "g10", "G1", "h"];
const steps: readonly Step[] = [
  "start",
  "retry",
  "check",
  "wake",
  "park",
  "finish",
  "stale",
  "gap",
  "create",
  "settle",
];

const small = fc.nat({ max: 9 });
const gid = fc.nat({ max: gids.length - 1 });
const part: fc.Arbitrary<Part> = fc.record({ gid, step: fc.constantFrom(...steps), n: small });
const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("create"), gid, wake: small, type: fc.constantFrom("saga", "msg") }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("batch"), parts: fc.array(part, { minLength: 1, maxLength: 5 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("due"), gid, until: small, limit: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("list"),
      unfinished: fc.constantFrom(true, false, undefined),
      limit: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("purge"), journals: small, heads: small }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("put"), key: small, stale: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove"), key: small }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen") }) },
);

export function modelRules(adapter: Adapter): void {
  describe(`${adapter.name}: beside the reference model`, () => {
    it("answers every random story as the memory store does", async () => {
      const succeeded = new Map<string, number>();
      const property = fc.asyncProperty(fc.array(move, { minLength: 20, maxLength: 60 }), async (moves) => {
        const place = await adapter.open();
        try {
          const pair = new Pair(place, succeeded);
          for (const next of moves) await pair.make(next);
          await pair.compareAll();
        } finally {
          await place.dispose();
        }
      });
      await fc.assert(property, { numRuns: 60 });
      const wanted = [...steps, "conflict", "create gid", "due", "list", "purge", "put", "stale put", "remove"];
      if (adapter.keeps) wanted.push("reopen");
      expect(wanted.filter((operation) => !succeeded.has(operation))).toEqual([]);
    }, 300_000);
  });
}

/** Both stores, and the stories of the gids as the model knows them. */
class Pair {
  readonly #place: Place;
  readonly #succeeded: Map<string, number>;
  readonly #teller: Teller;
  readonly #model = new MemoryStore();
  readonly #stories = new Map<string, Story>();
  #store: AnyStore;

  constructor(place: Place, succeeded: Map<string, number>) {
    this.#place = place;
    this.#teller = new Teller((shard) => place.epochOf?.(shard));
    this.#store = place.store;
    this.#succeeded = succeeded;
  }

  async make(next: Move): Promise<void> {
    switch (next.kind) {
      case "create":
        return this.#create(gids[next.gid]!, next.wake, next.type);
      case "batch":
        return this.#batch(next.parts);
      case "due": {
        const { shard } = this.#teller.tell(gids[next.gid]!);
        const due = await this.#both((store) => store.due(shard, someTimeMs + next.until, undefined, next.limit));
        if (due.length > 0) this.#count("due");
        return;
      }
      case "list":
        return this.#list(next.unfinished, next.limit);
      case "purge":
        return this.#purge(someTimeMs + next.journals, someTimeMs + next.heads - 4);
      case "put":
        return this.#put(`k${next.key}`, next.stale);
      case "remove": {
        const removed = await this.#both((store) => store.remove("topics", `k${next.key}`));
        if (removed) this.#count("remove");
        return;
      }
      case "reopen":
        if (this.#place.reopen === undefined) return;
        this.#store = await this.#place.reopen();
        await this.compareAll();
        this.#count("reopen");
    }
  }

  async compareAll(): Promise<void> {
    await this.#both((store) => store.load(gids));
    for (const name of gids) await this.#both((store) => store.history(name));
    await this.#both((store) => store.list({}, undefined, 100));
    await this.#both(async (store) => [...(await store.earliest())].sort(([a], [b]) => a - b));
    await this.#both(async (store) => (await store.count()).map((row) => Object.values(row).join(" ")).sort());
    await this.#both((store) => store.scan("", undefined, 100));
  }

  async #both<T>(ask: (store: AnyStore) => Promise<T>): Promise<T> {
    const [expected, answer] = await Promise.all([ask(this.#model), ask(this.#store)]);
    expect(answer).toEqual(expected);
    return expected;
  }

  #count(operation: string): void {
    this.#succeeded.set(operation, (this.#succeeded.get(operation) ?? 0) + 1);
  }

  async #create(name: string, wake: number, type: "saga" | "msg"): Promise<void> {
    const story = this.#teller.tell(name, { type, wakeAtMs: someTimeMs + wake, ops: [someOp(0), someOp(1)] });
    const commit = story.created();
    const [verdict] = await this.#both((store) => store.commit([commit]));
    if (verdict !== "ok") return;
    this.#stories.set(name, story);
    this.#count("create gid");
  }

  async #batch(parts: readonly Part[]): Promise<void> {
    const chosen = new Map(parts.map((choice) => [choice.gid, choice]));
    const told = [...chosen.values()].flatMap(({ gid: index, step, n }) => {
      const story = this.#stories.get(gids[index]!);
      if (story === undefined || story.tx?.endedAtMs !== undefined) return [];
      return [{ story, step, ...commitOf(story, step, n, this.#teller) }];
    });
    const batch = told.map(({ commit }) => commit);
    const settles = told.some(({ step }) => step === "settle");
    const verdicts = await this.#both((store) => (settles ? store.settle(batch) : store.commit(batch)));
    for (const [i, verdict] of verdicts.entries()) {
      const { step, undo, conflicts } = told[i]!;
      if (verdict === "conflict") undo();
      if (conflicts !== (verdict === "conflict")) continue;
      this.#count(step);
      if (conflicts) this.#count("conflict");
    }
    if (settles) await this.#both((store) => store.settle(batch));
  }

  async #list(unfinished: boolean | undefined, limit: number): Promise<void> {
    const heads: Head[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.#both((store) => store.list({ unfinished }, cursor, limit));
      heads.push(...page.heads);
      cursor = page.next;
    } while (cursor !== undefined);
    if (heads.length > limit) this.#count("list");
  }

  async #purge(journalsBeforeMs: number, headsBeforeMs: number): Promise<void> {
    for (const store of [this.#model, this.#store]) {
      while ((await store.purge(journalsBeforeMs, headsBeforeMs, 3)) > 0) this.#count("purge");
    }
    await this.compareAll();
    for (const name of this.#stories.keys()) {
      if ((await this.#model.load([name]))[0] === undefined) this.#stories.delete(name);
    }
  }

  async #put(key: string, stale: boolean): Promise<void> {
    const version = (await this.#model.get("topics", key))?.version ?? 0;
    const expected = stale ? version + 1 : version;
    const wrote = await this.#both((store) => store.put("topics", key, `[${version}]`, expected, someTimeMs + version));
    expect(wrote).toBe(!stale);
    this.#count(stale ? "stale put" : "put");
    await this.#both((store) => store.get("topics", key));
  }
}

/** The commit of a step, whether it must conflict, and how the story forgets it if it was not stored. */
function commitOf(story: Story, step: Step, n: number, teller: Teller) {
  const { tx, wakeAtMs } = story;
  const undo = (): void => {
    story.tx = tx;
    story.wakeAtMs = wakeAtMs;
  };
  const atMs = someTimeMs + n;
  switch (step) {
    case "start":
    case "settle":
      return { commit: story.started(n % 2, atMs), conflicts: false, undo };
    case "retry":
      return { commit: story.retried(n % 2, n), conflicts: false, undo };
    case "check":
      return { commit: story.retried(CHECK, n), conflicts: false, undo };
    case "wake":
      return { commit: story.next([{ kind: "hastened", atMs }], atMs), conflicts: false, undo };
    case "park":
      return { commit: story.parked(atMs), conflicts: false, undo };
    case "finish":
      return { commit: story.finished(n % 2 === 0 ? "succeed" : "failed", atMs), conflicts: false, undo };
    case "create":
      return { commit: teller.tell(story.gid).created(), conflicts: true, undo };
    case "stale":
      return { commit: shifted(story.started(0, atMs), -1), conflicts: true, undo };
    case "gap":
      return { commit: shifted(story.started(0, atMs), 1), conflicts: true, undo };
  }
}

/** The same commit with another version, but never that of a creation, which needs a head. */
function shifted(commit: Commit, by: number): Commit {
  const version = commit.row.version + by;
  return { ...commit, head: undefined, row: { ...commit.row, version: version === 1 ? 0 : version } };
}
