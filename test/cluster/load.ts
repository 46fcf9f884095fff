/**
 * Clients of a cluster: submit transfers to any node, ask again elsewhere when that fails, remember what was
 * acknowledged, and see to the end of it.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Bank } from "./bank.js";
import type { Fleet, Node } from "./fleet.js";

export interface Load {
  /** Transfers that a node has acknowledged. */
  readonly acknowledged: ReadonlySet<string>;
  /** Requests that needed more than one retry since `mark`. */
  readonly stubborn: number;
  readonly retries: number;
  mark(): void;
  /** No new transfers; resolves when the clients have their answers. */
  stop(): Promise<void>;
}

/** Longest that a client asks for one transfer. */
const patienceMs = 90_000;

/** Starts so many clients, each with one transfer at a time; gids begin with the prefix. */
export function startLoad(fleet: Fleet, bank: Bank, clients: number, random: () => number, prefix = "t"): Load {
  const acknowledged = new Set<string>();
  let running = true;
  let nth = 0;
  let stubborn = 0;
  let retries = 0;
  const pick = (not: Node | undefined) => {
    const others = fleet.nodes.filter((node) => node !== not);
    return others[Math.floor(random() * others.length)]!;
  };
  const client = async () => {
    while (running) {
      const i = nth++;
      const gid = `${prefix}${i}`;
      const body = { ...bank.transfer(gid, i), wait_result: i % 5 === 0 };
      const endMs = performance.now() + patienceMs;
      let node = pick(undefined);
      for (let tries = 0; performance.now() < endMs; tries++) {
        if (await submit(node, body)) {
          acknowledged.add(gid);
          break;
        }
        retries++;
        if (tries === 1) stubborn++;
        node = pick(node);
        await delay(100);
      }
      await delay(random() * 20);
    }
  };
  const all = Promise.all(Array.from({ length: clients }, client));
  return {
    acknowledged,
    get stubborn() {
      return stubborn;
    },
    get retries() {
      return retries;
    },
    mark() {
      stubborn = 0;
      retries = 0;
    },
    async stop() {
      running = false;
      await all;
    },
  };
}

/** Whether it was taken: a refusal for its own sake (409) and "still going on" (425) are answers, too. */
async function submit(node: Node, body: Readonly<Record<string, unknown>>): Promise<boolean> {
  try {
    const answer = await fetch(`${node.http}/api/dtmsvr/submit`, {
      method: "POST",
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    await answer.arrayBuffer();
    return [200, 409, 425].includes(answer.status);
  } catch {
    return false;
  }
}

/** The end of a transfer as any node tells it; `undefined` while it has none. */
export async function statusOf(node: Node, gid: string): Promise<string | undefined> {
  const answer = await fetch(`${node.http}/api/dtmsvr/query?gid=${encodeURIComponent(gid)}`, {
    signal: AbortSignal.timeout(10_000),
  });
  const { transaction } = (await answer.json()) as { transaction: { status: string } | null };
  return transaction?.status;
}

/** Waits for the end of all that was acknowledged and judges it: complaints, none when everything is right. */
export async function judgeAll(fleet: Fleet, bank: Bank, load: Load, withinMs: number): Promise<readonly string[]> {
  const complaints: string[] = [];
  const endMs = performance.now() + withinMs;
  const living = fleet.nodes.filter(({ pid }) => pid !== undefined);
  const queue = [...load.acknowledged];
  const counts = new Map<string, number>();
  const worker = async (i: number) => {
    for (let gid = queue.pop(); gid !== undefined; gid = queue.pop()) {
      const node = living[i % living.length]!;
      let status = await statusOf(node, gid).catch(() => undefined);
      while (status !== "succeed" && status !== "failed" && performance.now() < endMs) {
        await delay(100);
        status = await statusOf(node, gid).catch(() => undefined);
      }
      counts.set(String(status), (counts.get(String(status)) ?? 0) + 1);
      if (status !== "succeed" && status !== "failed") complaints.push(`${gid} was acknowledged and is ${status}`);
      else {
        const complaint = bank.judge(gid, status);
        if (complaint !== "") complaints.push(complaint);
      }
    }
  };
  await Promise.all(Array.from({ length: 12 }, (_, i) => worker(i)));
  if (bank.onTheWire.size === 0 && complaints.length === 0 && bank.total() !== bank.expectedTotal)
    complaints.push(`the bank has ${bank.total()}, not ${bank.expectedTotal}`);
  return complaints;
}
