/**
 * Kill after kill: a server under load of all five patterns, killed at chosen points, started again at once, judged at
 * the end. A kill counts only if something was under way at that instant, and under the kind that was really met.
 */
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "../../src/client/client.js";
import { checkBack } from "../../src/client/participant/route.js";
import { freePort, makeFolder } from "../servers.js";
import { judge, type Verdict } from "./check.js";
import { diceOf } from "./dice.js";
import { initiate, kinds, type Noted, type Scene, stepsOf } from "./initiators.js";
import { Participants } from "./participants.js";
import { type Aim, KilledServer } from "./server.js";

/** Where a kill met the server. Before: decided, not handed to the disk. After: durable, nobody told. */
export const kindsOfKill = [
  "before a flush",
  "in a flush",
  "after a flush",
  "call on the wire",
  "between result and next intent",
] as const;
export type KindOfKill = (typeof kindsOfKill)[number];

/** How much of it. */
export interface Size {
  /** Counted kills of each kind, at least. */
  readonly killsOfEach: number;
  readonly initiators: number;
  readonly seed: number;
  /** Ends with an error beyond. */
  readonly withinMs: number;
}

/** What happened. */
export interface Report {
  readonly kills: Readonly<Record<KindOfKill, number>>;
  /** Kills at which nothing was under way, or that came before the server took requests. */
  readonly uncounted: number;
  readonly acknowledged: number;
  readonly flushes: number;
  readonly moods: Readonly<Record<string, number>>;
  readonly verdict: Verdict;
  readonly errors: readonly string[];
}

const aims: Partial<Record<KindOfKill, Aim["at"]>> = {
  "before a flush": "before",
  "in a flush": "in",
  "after a flush": "after",
};

/** How long a life may last before it is ended whatever it does. */
const lifeMs = 8000;

export async function campaign(size: Size, progress: (text: string) => void): Promise<Report> {
  const dice = diceOf(size.seed);
  const participants = new Participants(dice);
  const base = await participants.listen();
  const server = new KilledServer(await makeFolder("crash"), await freePort());
  const client = createClient({ endpoints: [server.url], retry: { attempts: 3, totalMs: 2000 } });
  const steps = stepsOf(participants);
  const flows = client.workflows([steps], { callbackUrl: `${base}/workflow` });
  participants.mount([checkBack("/check", participants.bank), flows.route]);
  const state = { stopped: false };
  const noted: Noted[] = [];
  const scene: Scene = {
    client,
    participants,
    base,
    dice,
    noted,
    open: new Set(),
    stopped: () => state.stopped,
  };
  const errors: string[] = [];
  const crowd = Array.from({ length: size.initiators }, async (_, i) => {
    for (let n = 0; !state.stopped; n++) {
      const kind = kinds[Math.floor(dice() * kinds.length)]!;
      await initiate(scene, kind, `${kind}-${size.seed}-${i}-${n}`, flows, steps).catch((cause: unknown) => {
        if (!state.stopped && errors.length < 100) errors.push(String(cause));
      });
      await delay(20 + dice() * 60);
    }
  });
  const kills = Object.fromEntries(kindsOfKill.map((kind) => [kind, 0])) as Record<KindOfKill, number>;
  const totals = { uncounted: 0, flushes: 0 };
  const untilMs = Date.now() + size.withinMs;
  try {
    for (;;) {
      const wanted = kindsOfKill.filter((kind) => kills[kind] < size.killsOfEach);
      if (wanted.length === 0) break;
      if (Date.now() > untilMs) throw new Error(`out of time: ${JSON.stringify(kills)}, ${server.logTail()}`);
      const kind = wanted[Math.floor(dice() * wanted.length)]!;
      const met = await oneLife(server, scene, kind);
      totals.flushes += server.last().flushes;
      if (met === undefined) totals.uncounted++;
      else kills[met]++;
      progress(`${met ?? "uncounted"} (aimed at: ${kind}); ${noted.length} acknowledged, ${errors.length} errors`);
    }
    participants.heal();
    await server.start(undefined);
    await delay(300);
    state.stopped = true;
    await Promise.all(crowd);
    const verdict = await judge(client.api, participants, noted, 90_000);
    const moods = Object.fromEntries(participants.met);
    return { kills, ...totals, acknowledged: noted.length, moods, verdict, errors };
  } finally {
    state.stopped = true;
    server.kill();
    await server.ended;
    await client.close();
    await participants.close();
  }
}

/** Starts the server, lets it work, kills it; resolves to what the kill met. */
async function oneLife(server: KilledServer, scene: Scene, wanted: KindOfKill): Promise<KindOfKill | undefined> {
  const { dice, participants } = scene;
  const at = aims[wanted];
  const ready = await server.start(at && { at, flush: 1 + Math.floor(dice() * 60) });
  const overdue = setTimeout(() => server.kill(), lifeMs);
  let wire = 0;
  const strike = () => {
    wire = participants.onTheWire;
    server.kill();
  };
  if (ready && at === undefined) {
    await delay(100 + dice() * 900);
    if (wanted === "call on the wire") await whenOnTheWire(server, participants, strike);
    else participants.onNextAnswer(strike);
  }
  await server.ended;
  clearTimeout(overdue);
  const { step, durableBeganNs } = server.last();
  if (step === "D") return "before a flush";
  if (step === "B") return "in a flush";
  if (wanted === "after a flush" && step === "E") return scene.open.size > 0 ? "after a flush" : undefined;
  const undurable = participants.answersSince(durableBeganNs) > 0;
  if (wanted === "between result and next intent" && undurable) return wanted;
  return wire > 0 ? "call on the wire" : undefined;
}

/** Strikes as soon as the server has a call on the wire and no flush under way, or after a while in any case. */
async function whenOnTheWire(server: KilledServer, participants: Participants, strike: () => void): Promise<void> {
  for (let looks = 0; server.running; looks++) {
    if (participants.onTheWire > 0 && (looks > 500 || !server.flushing)) return strike();
    await delay(1);
  }
}
