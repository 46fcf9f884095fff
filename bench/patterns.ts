// What each measured pattern must do to its participants, as sets of bits: the one thing that load generator and
// participants share.

/** The patterns that can be measured. `rollback` is a saga whose second branch refuses. */
export type Pattern = "saga" | "rollback" | "tcc" | "msg";

/** All of them, in the order of the report. */
export const patterns: readonly Pattern[] = ["saga", "rollback", "tcc", "msg"];

const ops = ["action", "compensate", "confirm", "cancel", "try"] as const;

/** Bit of one branch op of the two branches `01` and `02`; 0 for an op or branch that no measured pattern has. */
export function callBit(branchId: string, op: string): number {
  const place = ops.indexOf(op as (typeof ops)[number]);
  if (place < 0 || (branchId !== "01" && branchId !== "02")) return 0;
  return 1 << (place + (branchId === "01" ? 0 : ops.length));
}

function bits(...calls: readonly (readonly [string, string])[]): number {
  return calls.reduce((mask, [branchId, op]) => mask | callBit(branchId, op), 0);
}

/** A transaction is complete when all these calls were seen; any further or second call counts as repeated. */
export const requiredCalls: Readonly<Record<Pattern, number>> = {
  saga: bits(["01", "action"], ["02", "action"]),
  rollback: bits(["01", "action"], ["02", "action"], ["02", "compensate"], ["01", "compensate"]),
  tcc: bits(["01", "try"], ["02", "try"], ["01", "confirm"], ["02", "confirm"]),
  msg: bits(["01", "action"], ["02", "action"]),
};
