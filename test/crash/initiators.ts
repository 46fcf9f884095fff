/**
 * Initiators of all five patterns. Each repeats a request under the same gid until it is answered, however often the
 * server dies meanwhile; what was answered with success is acknowledged from then on, and noted.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Api, ApiAnswer, Operation } from "../../src/client/api.js";
import type { Client } from "../../src/client/client.js";
import { errorCode, isFailure } from "../../src/client/errors.js";
import { type Workflow, type Workflows, workflow } from "../../src/client/workflow/workflow.js";
import type { Dice } from "./dice.js";
import type { Participants } from "./participants.js";

/** DTM's names of the patterns. */
export const kinds = ["saga", "tcc", "xa", "msg", "workflow"] as const;
export type Kind = (typeof kinds)[number];

/** A transaction that the server acknowledged, and what its initiator knows about it. */
export interface Noted {
  readonly gid: string;
  readonly kind: Kind;
  readonly branches: readonly string[];
  /** `undefined`: either end is right, if its effects fit. */
  readonly wanted: "succeed" | "failed" | undefined;
}

/** Where the flows happen. */
export interface Scene {
  readonly client: Client;
  readonly participants: Participants;
  readonly base: string;
  readonly dice: Dice;
  readonly noted: Noted[];
  /** Requests that were sent and have no answer. */
  readonly open: Set<string>;
  stopped(): boolean;
}

interface Input {
  readonly gid: string;
  readonly branches: number;
}

const common = { retry_interval: 1, request_timeout: 3 } as const;

/** One transaction of that kind, from first to last request. */
export async function initiate(scene: Scene, kind: Kind, gid: string, flows: Workflows, steps: Steps): Promise<void> {
  const count = 1 + Math.floor(scene.dice() * 3);
  const branches = Array.from({ length: count }, (_, i) => String(i + 1).padStart(2, "0"));
  if (kind === "saga") return saga(scene, gid, branches);
  if (kind === "msg") return message(scene, gid, branches);
  if (kind === "workflow") return run(scene, gid, branches, flows, steps);
  return twoPhase(scene, kind, gid, branches);
}

/** Asks until there is an answer that stays: anything but "not now". */
async function ask({ client, open, stopped }: Scene, operation: Operation, body: object): Promise<ApiAnswer> {
  const name = `${operation} ${JSON.stringify(body)}`;
  open.add(name);
  try {
    for (;;) {
      try {
        return await client.api.call(operation, { ...body }, { timeoutMs: 5000 });
      } catch (cause) {
        if (stopped()) throw cause;
        await delay(20);
      }
    }
  } finally {
    open.delete(name);
  }
}

async function accepted(scene: Scene, operation: Operation, body: object): Promise<void> {
  const { status, body: said } = await ask(scene, operation, body);
  if (status !== 200)
    throw new Error(`${operation} ${JSON.stringify(body)} answered ${status}: ${JSON.stringify(said)}`);
}

/** A repeated submit may learn that the saga has failed already: it was acknowledged then, too. */
async function saga(scene: Scene, gid: string, branches: readonly string[]): Promise<void> {
  const at = (op: string) => `${scene.base}/saga/${op}`;
  const steps = branches.map(() => ({ action: at("action"), compensate: at("compensate") }));
  const payloads = branches.map(() => "{}");
  const custom_data = scene.dice() < 0.3 ? '{"concurrent":true}' : undefined;
  const body = { gid, trans_type: "saga", steps, payloads, custom_data, ...common };
  const { status, body: said } = await ask(scene, "submit", body);
  if (status !== 200 && status !== 409) throw new Error(`submit ${gid} answered ${status}: ${JSON.stringify(said)}`);
  scene.noted.push({ gid, kind: "saga", branches, wanted: status === 409 ? "failed" : undefined });
}

async function twoPhase(scene: Scene, kind: "tcc" | "xa", gid: string, branches: readonly string[]): Promise<void> {
  const own = { gid, trans_type: kind };
  await accepted(scene, "prepare", { ...own, ...common, timeout_to_fail: 600 });
  const at = (op: string) => `${scene.base}/${kind}/${op}`;
  for (const branch_id of branches) {
    const ends = kind === "tcc" ? { confirm: at("confirm"), cancel: at("cancel") } : { url: at("end") };
    await accepted(scene, "registerBranch", { ...own, branch_id, data: "{}", ...ends });
    const op = kind === "tcc" ? "try" : "action";
    const local = `http://localhost/?trans_type=${kind}&gid=${gid}&branch_id=${branch_id}&op=${op}`;
    await scene.participants.carryOut(local, gid, branch_id, op);
  }
  const commits = scene.dice() < 0.75;
  await accepted(scene, commits ? "submit" : "abort", { ...own, ...common, timeout_to_fail: 600 });
  scene.noted.push({ gid, kind, branches, wanted: commits ? "succeed" : "failed" });
}

/** A third goes out at once; the others are prepared first, and some of these leave it to the check-back. */
async function message(scene: Scene, gid: string, branches: readonly string[]): Promise<void> {
  const steps = branches.map(() => ({ action: `${scene.base}/msg/action` }));
  const body = { gid, trans_type: "msg", steps, payloads: branches.map(() => "{}"), ...common };
  const style = scene.dice();
  if (style < 0.33) {
    await accepted(scene, "submit", body);
    scene.noted.push({ gid, kind: "msg", branches, wanted: "succeed" });
    return;
  }
  const prepared = { ...body, query_prepared: `${scene.base}/check`, timeout_to_fail: 1 };
  const { status, body: said } = await ask(scene, "prepare", prepared);
  if (status === 409) {
    // the answer to the first try was lost, and the check-back has decided meanwhile
    scene.noted.push({ gid, kind: "msg", branches, wanted: "failed" });
    return;
  }
  if (status !== 200) throw new Error(`prepare ${gid} answered ${status}: ${JSON.stringify(said)}`);
  // the local transaction: it may come too late, then the check-back has decided that it never happened
  const local = `http://localhost/?trans_type=msg&gid=${gid}&branch_id=00&op=msg`;
  const committed = await scene.participants.carryOut(local, gid, "00", "msg").then(
    () => true,
    () => false,
  );
  if (style < 0.8 && committed) await accepted(scene, "submit", prepared);
  scene.noted.push({ gid, kind: "msg", branches, wanted: committed ? "succeed" : "failed" });
}

/** The workflow that is run: each step takes effect once, behind the barrier. */
export type Steps = Workflow<Input, string>;

/** Defines it over the participants' database. */
export function stepsOf(participants: Participants): Steps {
  return workflow("steps", async (flow, { gid, branches }: Input) => {
    for (let i = 1; i <= branches; i++) {
      await flow.tx(`step${i}`, participants.bank, {
        run: async (tx) => {
          await tx.update(`${gid} ${String(i).padStart(2, "0")} step`, (count) => Number(count ?? 0) + 1);
          return i;
        },
      });
    }
    return "done";
  });
}

async function run(
  scene: Scene,
  gid: string,
  branches: readonly string[],
  flows: Workflows,
  steps: Steps,
): Promise<void> {
  for (;;) {
    try {
      scene.open.add(`workflow ${gid}`);
      await flows.execute(steps, { gid, retryInterval: "1s" }, { gid, branches: branches.length });
      break;
    } catch (cause) {
      if (scene.stopped() || isFailure(cause) || errorCode(cause) === "DTX_INVALID_INPUT") throw cause;
      await delay(20);
    } finally {
      scene.open.delete(`workflow ${gid}`);
    }
  }
  scene.noted.push({ gid, kind: "workflow", branches, wanted: "succeed" });
}

/** The API of a client, for queries. */
export type Queries = Pick<Api, "call">;
