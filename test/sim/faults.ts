/**
 * The fault schedule of a run: a list made from the seed, so that it can be printed, replayed and shortened. Each fault
 * has a time, a length and a place; all are over when healing begins.
 */
import type { Random } from "./random.js";

export type FaultKind =
  | "crash"
  | "pause"
  | "clockJump"
  | "cutBus"
  | "cutBusOneWay"
  | "cutStore"
  | "lossyBus"
  | "storeSlow"
  | "storeDown"
  | "commitDoubt"
  | "leaveAndJoin"
  | "join"
  | "participantDead"
  | "participantSlow";

export interface Fault {
  readonly kind: FaultKind;
  /** From the start of the run. */
  readonly atMs: number;
  readonly lengthMs: number;
  /** Index of a node, or of a participant; taken modulo how many there are. */
  readonly place: number;
  readonly other: number;
}

export const faultKinds: readonly FaultKind[] = [
  "crash",
  "pause",
  "clockJump",
  "cutBus",
  "cutBusOneWay",
  "cutStore",
  "lossyBus",
  "storeSlow",
  "storeDown",
  "commitDoubt",
  "leaveAndJoin",
  "join",
  "participantDead",
  "participantSlow",
];

/** Faults over `spanMs`, at most about one in two seconds, kinds drawn evenly. */
export function drawFaults(random: Random, spanMs: number): readonly Fault[] {
  const count = 2 + random.below(7);
  const faults = Array.from({ length: count }, () => ({
    kind: random.pick(faultKinds),
    atMs: Math.round(random.between(200, spanMs)),
    lengthMs: Math.round(random.chance(0.3) ? random.between(3000, 9000) : random.between(50, 3000)),
    place: random.below(1000),
    other: random.below(1000),
  }));
  return faults.sort((a, b) => a.atMs - b.atMs);
}

/** One fault as a line of a story. */
export function faultText({ kind, atMs, lengthMs, place, other }: Fault): string {
  return `${(atMs / 1000).toFixed(3)}s ${kind} for ${lengthMs} ms (place ${place}, other ${other})`;
}
