/**
 * The judge: after the last kill everything that was acknowledged must be there, must be final, and must have taken
 * effect exactly as its end says, each effect once.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Noted, Queries } from "./initiators.js";
import type { Participants } from "./participants.js";

/** What was found. All lists name gids; all but `ends` must be empty. */
export interface Verdict {
  readonly lost: readonly string[];
  readonly unfinished: readonly string[];
  readonly wrong: readonly string[];
  readonly doubled: readonly string[];
  readonly ends: Readonly<Record<string, number>>;
}

/** Waits until all are final, at most that long, then judges. */
export async function judge(
  queries: Queries,
  participants: Participants,
  noted: readonly Noted[],
  withinMs: number,
): Promise<Verdict> {
  const states = new Map<string, string>();
  const endMs = Date.now() + withinMs;
  let open = [...noted];
  while (open.length > 0) {
    for (let i = 0; i < open.length; i += 32)
      await Promise.all(open.slice(i, i + 32).map(async ({ gid }) => states.set(gid, await statusOf(queries, gid))));
    open = open.filter(({ gid }) => !["succeed", "failed", ""].includes(states.get(gid)!));
    if (Date.now() > endMs) break;
    await delay(500);
  }
  const ends: Record<string, number> = {};
  for (const { gid, kind } of noted) {
    const name = `${kind} ${states.get(gid)}`;
    ends[name] = (ends[name] ?? 0) + 1;
  }
  return {
    lost: noted.filter(({ gid }) => states.get(gid) === "").map(({ gid }) => gid),
    unfinished: open.map(({ gid }) => `${gid} ${states.get(gid)}`),
    wrong: noted.flatMap((one) => faults(participants, one, states.get(one.gid)!)),
    doubled: [...participants.bank.values].flatMap(([key, count]) => (count === 1 ? [] : [`${key}: ${String(count)}`])),
    ends,
  };
}

/** Empty when nobody knows it. */
async function statusOf(queries: Queries, gid: string): Promise<string> {
  const { status, body } = await queries.call("query", { gid });
  if (status !== 200) throw new Error(`query ${gid} answered ${status}`);
  return String((body.transaction as { status?: string } | null)?.status ?? "");
}

function faults(participants: Participants, { gid, kind, branches, wanted }: Noted, status: string): readonly string[] {
  if (status !== "succeed" && status !== "failed") return [];
  if (wanted !== undefined && wanted !== status) return [`${gid} ${kind}: ended '${status}', needed '${wanted}'`];
  return branches.flatMap((branch) => {
    const effects = (op: string) => participants.effects(gid, branch, op);
    const bad = (text: string) => [`${gid} ${kind} ${status}, branch ${branch}: ${text}`];
    for (const [op, count] of expected(kind, status, effects))
      if (effects(op) !== count) return bad(`${op} took effect ${effects(op)} times, needed ${count}`);
    return [];
  });
}

/** How often each op of a branch must have taken effect. What was done is undone once, what was not is not. */
function expected(
  kind: Noted["kind"],
  status: "succeed" | "failed",
  effects: (op: string) => number,
): readonly (readonly [string, number])[] {
  const good = status === "succeed";
  switch (kind) {
    case "saga":
      return good
        ? [
            ["action", 1],
            ["compensate", 0],
          ]
        : [["compensate", effects("action")]];
    case "tcc":
      return good
        ? [
            ["confirm", 1],
            ["cancel", 0],
          ]
        : [
            ["confirm", 0],
            ["cancel", 1],
          ];
    case "xa":
      return good
        ? [
            ["commit", 1],
            ["rollback", 0],
          ]
        : [
            ["commit", 0],
            ["rollback", 1],
          ];
    case "msg":
      return [["action", good ? 1 : 0]];
    case "workflow":
      return [["step", 1]];
  }
}
