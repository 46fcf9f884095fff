/**
 * The fault schedule of a run: a list made from the seed, so that it can be printed, replayed and shortened. Each fault
 * has a time, a length and a place; all are over when healing begins.
 */
import type { Random } from "./random.js";

/** Faults of a schedule, in the order of the table. */
export const faultKinds = [
  "crash",
  "crashAtDeed",
  "pause",
  "clockJump",
  "usurp",
  "leaveAndJoin",
  "join",
  "cutBus",
  "cutBusOneWay",
  "lossyBus",
  "cutStore",
  "isolate",
  "storeSlow",
  "storeDown",
  "storeRestart",
  "storeClockJump",
  "commitDoubt",
  "deadlock",
  "poison",
  "participantDead",
  "participantSlow",
  "participantFlaky",
] as const;

export type FaultKind = (typeof faultKinds)[number];

/** What befalls single messages, calls and statements, and who behaves badly, counted where it happens. */
export const momentaryKinds = [
  "messageLost",
  "messageDoubled",
  "messageCut",
  "callCut",
  "answerCut",
  "requestCut",
  "replyCut",
  "callLost",
  "callDoubled",
  "answerLost",
  "answerLate",
  "diedBeforeStatement",
  "diedAfterStatement",
  "diedBeforeMessage",
  "diedBeforeCall",
  "diedBeforeReply",
  "statementAway",
  "statementSlow",
  "statementCut",
  "statementPoor",
  "statementDeadlock",
  "commitRefused",
  // what participants answer
  ...(["answeredOngoing", "unclearBeforeWork", "unclearAfterWork", "refusedWork", "checkBackUnclear"] as const),
  // what clients do
  ...(["clientVanished", "clientLeft", "executorDied", "submittedTwice", "submittedOther", "abortAndSubmit"] as const),
  ...(["abortedLate", "registeredLate"] as const),
  // what operators do
  ...(["operatorStops", "operatorHastens", "operatorLooks", "operatorParks"] as const),
] as const;

export type MomentaryKind = (typeof momentaryKinds)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** From the start of the run. */
  readonly atMs: number;
  readonly lengthMs: number;
  /** Index of a node, or of a participant; taken modulo how many there are. */
  readonly place: number;
  readonly other: number;
}

/** Drawn apart, so that the rest of a seed is as it was before there was this fault. */
const drawnApart: ReadonlySet<FaultKind> = new Set(["isolate"]);
const drawnTogether = faultKinds.filter((kind) => !drawnApart.has(kind));

/** In every fourth run a node is cut off from everything at once, once or twice. */
export function drawIsolations(random: Random, spanMs: number): readonly Fault[] {
  if (!random.chance(0.25)) return [];
  return Array.from({ length: 1 + random.below(2) }, () => drawFault(random, ["isolate"], spanMs));
}

/** Faults over `spanMs`. Each seed has kinds of its own, so that some runs are all of one trouble. */
export function drawFaults(random: Random, spanMs: number): readonly Fault[] {
  const kinds = drawnTogether.filter(() => random.chance(0.4));
  if (kinds.length === 0) kinds.push(random.pick(drawnTogether));
  const quiet = random.chance(0.15); // but for a death, so that it can be seen how soon others take over
  if (quiet) kinds.splice(0, kinds.length, "crash");
  const count = quiet ? 1 + random.below(2) : 2 + random.below(Math.max(2, Math.round(spanMs / 1200)));
  return inOrder(Array.from({ length: count }, () => drawFault(random, kinds, spanMs)));
}

/** By their times. */
export function inOrder(faults: readonly Fault[]): readonly Fault[] {
  return [...faults].sort((a, b) => a.atMs - b.atMs);
}

function drawFault(random: Random, kinds: readonly FaultKind[], spanMs: number): Fault {
  return {
    kind: random.pick(kinds),
    atMs: Math.round(random.between(200, spanMs)),
    lengthMs: Math.round(drawLength(random)),
    place: random.below(1000),
    other: random.below(1000),
  };
}

function drawLength(random: Random): number {
  if (random.chance(0.3)) return random.between(3000, 9000);
  return random.chance(0.15) ? random.between(2, 50) : random.between(50, 3000);
}

/** One fault as a line of a story. */
export function faultText({ kind, atMs, lengthMs, place, other }: Fault): string {
  return `${(atMs / 1000).toFixed(3)} s ${kind} for ${lengthMs} ms (place ${place}, other ${other})`;
}
