/**
 * Initiators of transfers through all patterns, on the client library: each asks again where that is the library's way,
 * remembers what it was told, and is held against what has become of the transfer and of its money.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Client, Failure, type GlobalState, isFailure, type Workflows, workflow } from "../../src/client/index.js";
import { accounts, change, type Effects, type Order, type Vault } from "./vault.js";

/** How money is moved. */
export const patterns = ["saga", "tcc", "xa", "msg", "workflow", "outbox"] as const;
export type Pattern = (typeof patterns)[number];

/** What an initiator was told. `accepted`: it goes on; `succeeded`, `failed`: its end; `unknown`: no clear answer. */
export type Told = "accepted" | "succeeded" | "failed" | "unknown";

/** A transfer of money between two accounts. */
export interface Transfer {
  readonly gid: string;
  readonly pattern: Pattern;
  readonly from: number;
  readonly to: number;
  readonly amount: number;
  readonly refuse: boolean;
  told: Told;
}

/** Where initiators work. */
export interface Counter {
  readonly client: Client;
  readonly vault: Vault;
  readonly flows: Workflows;
  readonly random: () => number;
  /** Hears what is only counted. */
  note(text: string): void;
}

/** What a workflow is given: all that its steps need. */
interface Move {
  readonly from: number;
  readonly to: number;
  readonly amount: number;
  readonly refuse: boolean;
}

/** Longest that an initiator repeats itself. */
const patienceMs = 60_000;

/** A workflow that debits here and credits by a call; its process "dies" now and then between the two. */
export function moving({ guard, steps }: Vault, random: () => number) {
  return workflow("moving", async (flow, { from, to, amount, refuse }: Move) => {
    await flow.tx("debit", guard, {
      run: (tx) => change(tx, flow.gid, from, -amount),
      rollback: (tx) => change(tx, flow.gid, from, amount),
    });
    if (random() < 0.1) throw new Error("the process dies here");
    const order: Order = { account: to, amount, refuse };
    await flow.step("credit", {
      run: (scope) => scope.call(steps.credit.action, order),
      rollback: (scope) => scope.call(steps.credit.compensate, order),
    });
  });
}

/** One of a pattern, drawn. */
export function draw(pattern: Pattern, gid: string, random: () => number): Transfer {
  const from = Math.floor(random() * accounts);
  const to = (from + 1 + Math.floor(random() * (accounts - 1))) % accounts;
  const refuse = random() < 0.15 && pattern !== "outbox";
  return { gid, pattern, from, to, amount: 1 + Math.floor(random() * 50), refuse, told: "unknown" };
}

/** Carries it out, from first to last request. */
export async function carryOut(counter: Counter, transfer: Transfer, flow: ReturnType<typeof moving>): Promise<void> {
  const { from, to, amount, refuse, gid } = transfer;
  switch (transfer.pattern) {
    case "saga":
      transfer.told = await insist(counter, transfer, async () => stateTold(await saga(counter, transfer)));
      return;
    case "workflow":
      transfer.told = await insist(counter, transfer, async () => {
        // Given up by the coordinator before it has recorded a step, its first one would stand for ever: only its own
        // code knows of it (docs/correctness.md). So it is given time.
        const options = { gid, retryInterval: "1s", timeoutToFail: "1h" } as const;
        await counter.flows.execute(flow, options, { from, to, amount, refuse });
        return "succeeded";
      });
      return;
    case "tcc":
    case "xa":
    case "msg":
    case "outbox":
      transfer.told = await once(counter, transfer).catch((error: unknown) => told(counter, transfer, error));
  }
}

const common = { retryInterval: "1s", requestTimeout: "3s" } as const;

function saga({ client, vault: { steps } }: Counter, transfer: Transfer): Promise<GlobalState> {
  const { gid, from, to, amount, refuse } = transfer;
  const wait = transfer.amount % 3 === 0 ? { wait: "5s" as const } : {};
  const made = client
    .saga({ gid, ...common, ...wait })
    .step(steps.debit, { account: from, amount, refuse: false })
    .step(steps.credit, { account: to, amount, refuse });
  return (transfer.amount % 4 === 0 ? made.parallel() : made).submit(); // the same each time it is asked
}

/** What must not be repeated as a whole: the coordinator, the check-back or the relay decide when it stays unclear. */
async function once(counter: Counter, transfer: Transfer): Promise<Told> {
  const { client, vault } = counter;
  const { gid, pattern, from, to, amount, refuse } = transfer;
  const { steps } = vault;
  const options = { gid, ...common, timeoutToFail: "5s" } as const;
  const debit: Order = { account: from, amount, refuse: false };
  const credit: Order = { account: to, amount, refuse };
  if (pattern === "tcc") {
    await client.tcc(options, async (tcc) => {
      await tcc.call(steps.hold, debit);
      await tcc.call(steps.take, credit);
    });
    return "accepted";
  }
  if (pattern === "xa") {
    await client.xa(options, async (xa) => {
      await xa.call(steps.xa, { ...debit, amount: -amount });
      await xa.call(steps.xa, credit);
    });
    return "accepted";
  }
  if (pattern === "msg") {
    const { outcome } = await client
      .msg(options)
      .to(steps.receive, { ...credit, refuse: false })
      .commitWith(vault.guard, async (tx) => {
        await change(tx, gid, from, -amount);
        if (refuse) throw new Failure("not today");
      });
    return outcome === "submitted" ? "accepted" : "unknown";
  }
  await vault.transaction(async (tx) => {
    await change(tx, gid, from, -amount);
    await vault.outbox.enqueue(tx, { gid, to: steps.receive, payload: credit });
  });
  return "accepted";
}

/** Asks under the same gid until there is an answer that stays. */
async function insist(counter: Counter, transfer: Transfer, ask: () => Promise<Told>): Promise<Told> {
  const endMs = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (isFailure(error)) return "failed";
      counter.note(`${transfer.pattern}: asked again`);
      if (performance.now() > endMs) return "unknown";
      await delay(100 + counter.random() * 400);
    }
  }
}

function stateTold({ status }: GlobalState): Told {
  return status === "pending" ? "accepted" : status;
}

function told({ note }: Counter, { pattern }: Transfer, error: unknown): Told {
  const outcome = (error as { outcome?: unknown }).outcome;
  if (outcome === "submitted") return "accepted";
  if (outcome === "aborted" || (outcome === undefined && isFailure(error))) return "failed";
  note(`${pattern}: left unclear`);
  return "unknown";
}

/** How a transfer ended; `none`: the coordinator has never stored it. */
export type End = "succeeded" | "failed" | "pending" | "none";

/** What is wrong with a transfer that ended so, with these effects; empty when nothing is. */
export function judgeTransfer({ gid, pattern, told, from, to, amount }: Transfer, end: End, effects?: Effects): string {
  const has = JSON.stringify([...(effects ?? [])]);
  const of = `${gid} (${pattern}), told '${told}', ended '${end}', effects ${has}`;
  if (end === "pending") return `no end: ${of}`;
  if (end === "none" && told !== "unknown") return `forgotten: ${of}`;
  if ((told === "succeeded" || told === "failed") && end !== told) return `told otherwise: ${of}`;
  if (told === "accepted" && end === "failed" && pattern !== "saga") return `accepted, then given up: ${of}`;
  const wanted =
    end === "succeeded"
      ? new Map([
          [from, -amount],
          [to, amount],
        ])
      : new Map<number, number>();
  const right =
    (effects?.size ?? 0) === wanted.size && [...wanted].every(([account, sum]) => effects?.get(account) === sum);
  return right ? "" : `money: ${of}, should be ${JSON.stringify([...wanted])}`;
}
