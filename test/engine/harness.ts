/**
 * An engine on virtual time: memory store, scripted participants, a clock that moves only when told. Nothing here waits
 * for real time; `run` lets promises settle between two ticks.
 */
import type { Reply, Request, Submission } from "../../src/core/input.js";
import type { Outcome } from "../../src/core/transaction.js";
import { Engine, type EnginePorts } from "../../src/engine/engine.js";
import type { EngineSettings } from "../../src/engine/services.js";
import type { Answer, Call, Callers } from "../../src/ports/caller.js";
import type { Clock } from "../../src/ports/clock.js";
import type { CallName, StuckBranch } from "../../src/ports/observer.js";
import { MemoryStore } from "../../src/store/memory/memory.js";

export interface VirtualClock extends Clock {
  /** Moves time, firing what is due in order, with promises settled in between. */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock, and no timer. */
  jump(ms: number): void;
}

/** Lets everything that is ready run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

export function virtualClock(startMs = Date.UTC(2026, 0, 1)): VirtualClock {
  let nowMs = startMs;
  let jumpedMs = 0;
  let nextId = 0;
  const timers = new Map<number, { atMs: number; task: () => void }>();
  return {
    nowMs: () => nowMs + jumpedMs,
    jump(ms) {
      jumpedMs += ms;
    },
    monotonicMs: () => nowMs - startMs,
    after(delayMs, task) {
      const id = nextId++;
      timers.set(id, { atMs: nowMs + Math.max(0, delayMs), task });
      return () => void timers.delete(id);
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      await settle();
      for (;;) {
        const due = [...timers]
          .filter(([, t]) => t.atMs <= untilMs)
          .sort((a, b) => a[1].atMs - b[1].atMs || a[0] - b[0]);
        const first = due[0];
        if (first === undefined) break;
        timers.delete(first[0]);
        nowMs = Math.max(nowMs, first[1].atMs);
        first[1].task();
        await settle();
      }
      nowMs = untilMs;
    },
  };
}

/** What a participant does: an outcome at once, or an answer when it likes. */
export type Script = (call: Call, nth: number) => Outcome | Answer | Promise<Answer>;

/** Participants by URL. Remembers every call. */
export class Participants implements Callers {
  readonly calls: Call[] = [];
  readonly scripts = new Map<string, Script>();
  /** Of URLs that have none of their own; without it they succeed. */
  script: Script | undefined;
  inFlight = 0;
  mostInFlight = 0;

  locate(_protocol: string, url: string) {
    const target = url.split("?")[0]!;
    return { origin: target.split("/").slice(0, 3).join("/"), target };
  }

  async call(call: Call, _signal?: AbortSignal): Promise<Answer> {
    const nth = this.calls.filter(({ url, gid }) => url === call.url && gid === call.gid).length;
    this.calls.push(call);
    this.inFlight++;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    try {
      const said = await ((this.scripts.get(call.url) ?? this.script)?.(call, nth) ?? "success");
      return typeof said === "string" ? { outcome: said, detail: said } : said;
    } finally {
      this.inFlight--;
    }
  }

  async close(): Promise<void> {}

  /** `action 01`, … in order of arrival, of one gid. */
  of(gid: string): string[] {
    return this.calls.filter((call) => call.gid === gid).map(({ op, branchId }) => `${op} ${branchId}`);
  }
}

export const settings: EngineSettings = {
  defaults: { timeoutToFailMs: 35_000, requestTimeoutMs: 3000, retryIntervalMs: 10_000 },
  alertAfter: 3,
  parkAfter: 0,
  branchesMax: 1000,
  waitResultMs: 20_000,
  residentMax: 10_000,
  residentBytesMax: 1 << 30,
  activeMax: 5000,
  queuedBytesMax: 256 << 20,
  mailboxMax: 1000,
  storeWaitMs: 5000,
  flush: { commitsMax: 256, bytesMax: 8 << 20, lingerMs: 0 },
  dispatch: { perOrigin: 256, perNode: 4096, waitingPerTarget: 10_000, targets: 1000 },
  retention: { journalMs: 7 * 86_400_000, headMs: 30 * 86_400_000 },
};

export interface World {
  readonly engine: Engine;
  readonly clock: VirtualClock;
  readonly participants: Participants;
  readonly store: MemoryStore;
  readonly log: string[];
  readonly stuck: StuckBranch[];
  readonly lateAnswers: CallName[];
  ask(gid: string, request: Request): Promise<Reply>;
  /** The same store under a new engine, as after a crash: nothing of the old one is asked. */
  reborn(): World;
}

export function world(over: Partial<EngineSettings> = {}, ports: Partial<EnginePorts> = {}, past?: World): World {
  const clock = past?.clock ?? virtualClock();
  const participants = past?.participants ?? new Participants();
  const store = past?.store ?? new MemoryStore();
  const log: string[] = [];
  const stuck: StuckBranch[] = [];
  const lateAnswers: CallName[] = [];
  const line = (event: string) => void log.push(event);
  const engine = new Engine(
    {
      store,
      keyValues: store,
      callers: participants,
      ownership: { epochOf: () => 1, remainingMs: () => Number.POSITIVE_INFINITY, lost: () => {} },
      clock,
      random: () => 0.5,
      log: { info: line, warn: line, error: line },
      observer: {
        finished: () => {},
        called: () => {},
        flushed: () => {},
        lateAnswer: (call) => void lateAnswers.push(call),
        breaker: (target, open) => void log.push(`${open ? "open" : "closed"} ${target}`),
        stuck: (alert) => void stuck.push(alert),
      },
      ...ports,
    },
    { ...settings, ...over },
  );
  const self: World = {
    engine,
    clock,
    participants,
    store,
    log,
    stuck,
    lateAnswers,
    ask: (gid, request) => engine.handle(gid, request),
    reborn: () => world(over, ports, self),
  };
  return self;
}

/** A saga over `urls`; each step's compensation is the URL with `/undo` behind it. */
export function saga(urls: readonly string[], over: Partial<Submission["options"]> = {}, customData = ""): Submission {
  const payload = Buffer.from("{}");
  return {
    type: "saga",
    protocol: "http",
    options: {
      waitResult: false,
      timeoutToFailS: undefined,
      requestTimeoutS: undefined,
      retryIntervalS: undefined,
      retryLimit: undefined,
      branchHeaders: undefined,
      concurrent: false,
      ...over,
    },
    steps: urls.map((action) => ({ action, compensate: `${action}/undo`, payload })),
    queryPrepared: "",
    customData,
    digest: `${urls.join(" ")} ${customData}`,
    lease: undefined,
  };
}
