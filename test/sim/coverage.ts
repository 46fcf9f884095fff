/**
 * What a corpus of seeds has exercised, counted, and what it must have: a run that found nothing because nothing
 * happened is a failure. Every count has a name `group: item`; counts of seeds are added.
 */
import { faultKinds, momentaryKinds } from "./faults.js";

/** Every allowed change of status. */
export const edges: ReadonlySet<string> = new Set([
  ...["prepared>submitted", "prepared>failed", "submitted>aborting"].map((edge) => `saga ${edge}`),
  ...["submitted>succeed", "submitted>failed", "aborting>failed"].map((edge) => `saga ${edge}`),
  ...["tcc", "xa"].flatMap((type) => [
    ...["prepared>submitted", "prepared>aborting", "prepared>failed"].map((edge) => `${type} ${edge}`),
    ...["submitted>succeed", "submitted>failed", "aborting>failed"].map((edge) => `${type} ${edge}`),
  ]),
  ...["prepared>submitted", "prepared>failed", "submitted>succeed", "submitted>failed"].map((edge) => `msg ${edge}`),
  ...["prepared>succeed", "prepared>failed"].map((edge) => `workflow ${edge}`),
]);

/** Unfinished states in which a fault may find a transaction. */
export const states: readonly string[] = [
  ...["saga prepared", "saga submitted", "saga aborting", "tcc prepared", "tcc submitted", "tcc aborting"],
  ...["xa prepared", "xa submitted", "xa aborting", "msg prepared", "msg submitted", "workflow prepared"],
];

const ops: readonly string[] = [
  ...["action prepared>succeed", "action prepared>failed", "compensate prepared>succeed", "confirm prepared>succeed"],
  ...["cancel prepared>succeed", "commit prepared>succeed", "rollback prepared>succeed"],
  ...["action", "compensate", "confirm", "cancel", "commit", "rollback", "check"].map((op) => `${op} retried`),
];

const nodeEvents: readonly string[] = [
  ...["joined", "suspended", "resumed", "fenced", "peer_dead", "claimed", "shard_lost", "recovery_interrupted"],
  ...["hand_over_interrupted", "leave_interrupted", "load_failed", "store_unavailable", "store_available"],
  ...["ownership_interrupted", "commit_refused", "transaction_isolated", "join_failed", "usurped"],
];

const checks: readonly string[] = [
  ...["call has an intent and no end", "acknowledged and durable", "succeed without a hole"],
  ...[
    "action in its turn",
    "compensation in its turn",
    "take-over in time",
    "same submit, same answer",
    "other content refused",
  ],
  ...["money conserved", "one effect per op", "journal folds to the state", "topic as subscribed"],
  "subscription acknowledged and there",
  ...["of abort and submit one won", "queues empty at the end", "final status stays", "branch after submit refused"],
  ...["abort after submit refused", "rolled back for a reason", "call and flush within the lease"],
  ...["no epoch is used after it was given up", "told of a rollback, and there is one", "what is shown is durable"],
  "no more calls than there may be",
  ...["work taken up in time", "every node serves at the end", "others finish beside a poisoned one"],
];

/** What the threads of a node with a crew say to one another, and what befalls them. */
const crews: readonly string[] = [
  ...["request", "cancel", "stored", "owned", "lost", "drain", "start", "close", "targets", "enlisted"].map(
    (kind) => `order ${kind}`,
  ),
  ...["reply", "done", "targets", "fenced", "bumped", "enlist", "dismiss", "stats", "log"].map(
    (kind) => `report ${kind}`,
  ),
  ...["finished", "called", "flushed", "late", "breaker", "stuck"].map((kind) => `report ${kind}`),
  ...["node", "thread stalled", "several in one message", "targets listed", "dismissed", "enlisting failed"],
];

/** Names that must have been counted at least once over a large corpus. */
export function expectedNames(): readonly string[] {
  return [
    ...[...edges].map((edge) => `transaction: ${edge}`),
    ...["saga", "msg"].flatMap((type) => ["prepared", "submitted"].map((s) => `transaction: ${type} born ${s}`)),
    ...ops.map((op) => `op: ${op}`),
    ...["parked", "unparked", "hastened", "overdue", "leased"].map((kind) => `event: ${kind}`),
    ...["ok", "conflict", "fenced"].map((verdict) => `commit: ${verdict}`),
    ...["written", "lost"].map((end) => `doubt: ${end}`),
    ...["open", "closed"].map((state) => `breaker: ${state}`),
    ...nodeEvents.map((event) => `node: ${event}`),
    ...faultKinds.map((kind) => `fault: ${kind}`),
    ...momentaryKinds.map((kind) => `hit: ${kind}`),
    ...faultKinds.flatMap((kind) => states.map((state) => `met: ${kind} × ${state}`)),
    ...checks.map((check) => `checked: ${check}`),
    ...crews.map((what) => `crew: ${what}`),
    ...["journal", "late answer"].map((what) => `purge or late: ${what}`),
  ];
}

export class Coverage {
  readonly #counts = new Map<string, number>();

  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  count(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  add(counts: Iterable<readonly [string, number]>): void {
    for (const [name, by] of counts) this.count(name, by);
  }

  /** Expected, but never counted. */
  missing(): readonly string[] {
    return expectedNames().filter((name) => !this.#counts.has(name));
  }

  /** All counts as lines: a matrix of faults and states, then the other groups. */
  table(): readonly string[] {
    const width = Math.max(...faultKinds.map((kind) => kind.length)) + 2;
    const short = states.map((state) => state.replace("workflow", "wf").replace(" ", ".").slice(0, 9));
    const lines = ["Faults by the states in which they met transactions:"];
    lines.push(`${"".padEnd(width)}${"hits".padStart(9)}${short.map((name) => name.padStart(10)).join("")}`);
    for (const kind of faultKinds) {
      const cells = states.map((state) => this.#of(`met: ${kind} × ${state}`).padStart(10)).join("");
      lines.push(`${kind.padEnd(width)}${this.#of(`fault: ${kind}`).padStart(9)}${cells}`);
    }
    const groups = new Map<string, string[]>();
    for (const name of [...new Set([...this.#counts.keys(), ...expectedNames()])].sort()) {
      const [group, item] = [name.slice(0, name.indexOf(": ")), name.slice(name.indexOf(": ") + 2)];
      if (group === "met" || group === "fault") continue;
      groups.set(group, [...(groups.get(group) ?? []), `${item} ${this.#of(name)}`]);
    }
    for (const [group, items] of groups) lines.push(`${group}:`, ...wrapped(items));
    return lines;
  }

  #of(name: string): string {
    return String(this.#counts.get(name) ?? 0);
  }
}

function wrapped(items: readonly string[]): readonly string[] {
  const lines: string[] = [];
  let line = " ";
  for (const item of items) {
    if (line.length + item.length > 116) {
      lines.push(line);
      line = " ";
    }
    line += ` ${item};`;
  }
  return [...lines, line];
}
