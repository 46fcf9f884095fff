/**
 * Engines that die. A life ends at a chosen commit, before or after the store took it; from then on its store answers
 * nothing and its calls do not reach the wire, as with a process that was killed. The next life gets the same store.
 */
import { CHECK, isFinal, type Transaction } from "../../src/core/transaction.js";
import type { Answer, Call, Callers } from "../../src/ports/caller.js";
import type { Store } from "../../src/ports/store.js";
import type { MemoryStore } from "../../src/store/memory/memory.js";
import { type Participants, type World, world } from "./harness.js";

/** When a life ends. */
export interface Death {
  /** Counted from 1 within the life. */
  readonly commit: number;
  readonly written: boolean;
}

/** Sees what goes on the wire, and what the store holds at that instant. */
export interface Wire {
  readonly placed: { readonly call: Call; readonly durable: Transaction | undefined }[];
}

const never = new Promise<never>(() => {});

export interface Life {
  readonly world: World;
  readonly dead: boolean;
  /** Ends it now, wherever it is. */
  kill(): void;
}

/** A new engine over the store of `past`, or over an empty one. */
export function live(wire: Wire, death: Death | undefined, past?: World): Life {
  const state = { dead: false, commits: 0 };
  const origin = past ?? world();
  const ports = { ...mortalStore(origin.store, state, death), callers: mortalCallers(origin, wire, state) };
  const next = world({}, ports, origin);
  return {
    world: next,
    get dead() {
      return state.dead;
    },
    kill() {
      state.dead = true;
    },
  };
}

function mortalStore(store: MemoryStore, state: { dead: boolean; commits: number }, death: Death | undefined) {
  const alive = <T>(work: () => Promise<T>): Promise<T> => (state.dead ? never : work());
  const mortal: Store = {
    commit: (batch) =>
      alive(async () => {
        if (++state.commits !== death?.commit) return store.commit(batch);
        state.dead = true;
        if (death.written) await store.commit(batch).catch(() => {});
        return never;
      }),
    settle: (batch) => alive(() => store.settle(batch)),
    load: (gids) => alive(() => store.load(gids)),
    history: (gid) => alive(() => store.history(gid)),
    due: (...given) => alive(() => store.due(...given)),
    earliest: () => alive(() => store.earliest()),
    list: (...given) => alive(() => store.list(...given)),
    oldestUnfinished: () => alive(() => store.oldestUnfinished()),
    lastId: (shard) => alive(() => store.lastId(shard)),
    count: () => alive(() => store.count()),
    purge: (...given) => alive(() => store.purge(...given)),
    close: () => store.close(),
  };
  return { store: mortal };
}

function mortalCallers({ participants, store }: World, wire: Wire, state: { readonly dead: boolean }): Callers {
  return {
    locate: (protocol, url) => participants.locate(protocol, url),
    close: async () => {},
    async call(call): Promise<Answer> {
      if (state.dead) return never;
      const [stored] = await store.load([call.gid]).catch(() => [undefined]); // read before anything else can happen
      wire.placed.push({ call, durable: stored?.tx });
      const answer = await participants.call(call);
      return state.dead ? never : answer;
    },
  };
}

/** What a call broke, in words; empty = nothing: its intent is durable (S5), and the transaction is not final (S8). */
export function breaches({ placed }: Wire): readonly string[] {
  return placed.flatMap(({ call, durable }) => {
    const name = `${call.gid} ${call.op} ${call.branchId}`;
    if (durable === undefined) return [`${name}: nothing is stored`];
    if (isFinal(durable)) return [`${name}: called after '${durable.status}' was durable`];
    const index = durable.ops.findIndex(({ branchId, op }) => branchId === call.branchId && op === call.op);
    const started = index === CHECK ? durable.checkStartedAtMs : durable.ops[index]?.startedAtMs;
    return started === undefined ? [`${name}: its intent is not stored`] : [];
  });
}

/** Ops that were sent for a transaction, in order. */
export function sentFor({ placed }: Wire, gid: string): readonly string[] {
  return placed.filter(({ call }) => call.gid === gid).map(({ call }) => `${call.op} ${call.branchId}`);
}

/** Everything that participants were asked becomes answerable: no script is left. */
export function recover(participants: Participants): void {
  participants.scripts.clear();
  participants.script = undefined;
}
