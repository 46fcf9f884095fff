/**
 * Initiators of a simulated business, one script per pattern: each asks for a transaction, asks again when no answer
 * comes, may vanish at any step, and remembers what it was told. What must be true at the end is in `checks.ts`.
 */
import type { Registration, Reply, Request, Submission } from "../../src/core/input.js";
import type { TransType } from "../../src/core/transaction.js";
import type { Manner } from "./participants.js";
import type { Random } from "./random.js";
import type { World } from "./world.js";

/** What a client knows in the end. */
export interface Story {
  readonly gid: string;
  readonly type: TransType;
  readonly branches: number;
  readonly concurrent: boolean;
  /** A request that creates or moves the transaction was acknowledged. */
  acknowledged: boolean;
  /** The submit itself was. */
  submitted: boolean;
  /** Answer to a submit that waited for the end. */
  waited: "succeed" | "failed" | undefined;
  forced: boolean;
  /** Submit with which the answer must be the same for ever (S9). */
  submission: Submission | undefined;
  /** Where the client did something that must be refused, and was not. */
  wrong: string[];
}

const payload = Buffer.from('{"amount":30}');

export class Client {
  readonly story: Story;
  readonly #world: World;
  readonly #random: Random;
  readonly #vanishes: boolean;
  #vanished = false;

  constructor(world: World, random: Random, gid: string) {
    this.#world = world;
    this.#random = random;
    const type = random.pick(["saga", "saga", "saga", "tcc", "xa", "msg", "msg", "workflow"] as const);
    this.#vanishes = type !== "saga" && random.chance(0.25);
    const branches = 1 + random.below(4);
    this.story = {
      gid,
      type,
      branches,
      concurrent: (type === "saga" || type === "msg") && random.chance(0.4),
      acknowledged: false,
      submitted: false,
      waited: undefined,
      forced: false,
      submission: undefined,
      wrong: [],
    };
    for (let i = 1; i <= branches; i++) world.services.manners.set(`${gid} ${branchId(i)}`, this.#manner());
  }

  async run(): Promise<void> {
    switch (this.story.type) {
      case "saga":
        return this.#saga();
      case "tcc":
      case "xa":
        return this.#twoPhase(this.story.type);
      case "msg":
        return this.#msg();
      case "workflow":
        return this.#workflow();
    }
  }

  #manner(): Manner {
    const r = this.#random;
    return {
      refuses: r.chance(0.12),
      ongoing: r.chance(0.15) ? 1 + r.below(2) : 0,
      unknownBefore: r.chance(0.15) ? 1 + r.below(3) : 0,
      unknownAfter: r.chance(0.15) ? 1 + r.below(2) : 0,
    };
  }

  async #saga(): Promise<void> {
    const r = this.#random;
    const { branches, concurrent } = this.story;
    const orders = concurrent && branches > 2 && r.chance(0.5) ? { [branches - 1]: [0, 1] } : {};
    await this.#submit({
      ...this.#submission(),
      options: {
        ...this.#options(),
        retryLimit: r.chance(0.2) ? 2 : undefined,
        timeoutToFailS: r.chance(0.3) ? 5 : undefined,
      },
      customData: concurrent ? JSON.stringify({ concurrent, orders }) : "",
      steps: this.#urls().map((url) => ({
        action: `${url}/do`,
        compensate: r.chance(0.05) ? "" : `${url}/undo`,
        payload,
      })),
    });
    if (r.chance(0.2)) await this.#abort("saga");
  }

  async #twoPhase(type: "tcc" | "xa"): Promise<void> {
    const submission = this.#submission();
    if ((await this.#ask({ kind: "prepare", submission }))?.kind !== "accepted") return;
    this.story.acknowledged = true;
    const first = type === "tcc" ? "try" : "action";
    for (const [i, url] of this.#urls().entries()) {
      if (this.#gone()) return;
      const id = branchId(i + 1);
      const names = type === "tcc" ? ["cancel", "confirm"] : ["rollback", "commit"];
      const ops = names.map((op) => ({ op, url: `${url}/${op}`, status: "prepared" as const }));
      const registered = await this.#ask({ kind: "registerBranch", registration: this.#registration(type, id, ops) });
      if (registered?.kind !== "accepted") return this.#abort(type);
      if (this.#world.services.manners.get(`${this.story.gid} ${id}`)?.refuses) return this.#abort(type);
      await this.#world.services.effect({ gid: this.story.gid, branchId: id, op: first, type });
    }
    if (this.#gone()) return;
    await this.#submit(submission);
  }

  async #msg(): Promise<void> {
    const r = this.#random;
    const { gid, concurrent } = this.story;
    const submission: Submission = {
      ...this.#submission(),
      options: { ...this.#options(), concurrent },
      steps: this.#urls().map((url) => ({ action: `${url}/do`, compensate: "", payload })),
      queryPrepared: "http://p0.sim/check",
      customData: r.chance(0.2) ? '{"delay":2}' : "",
    };
    if (r.chance(0.3)) {
      this.#world.services.committed.set(gid, true);
      return this.#submit(submission);
    }
    if ((await this.#ask({ kind: "prepare", submission }))?.kind !== "accepted") return;
    this.story.acknowledged = true;
    if (this.#gone()) return;
    await this.#sleep(r.chance(0.2) ? r.between(3000, 12_000) : r.between(0, 50));
    const fails = r.chance(0.15);
    if (!fails && this.#world.services.committed.get(gid) === undefined) this.#world.services.committed.set(gid, true);
    if (this.#gone()) return;
    if (this.#world.services.committed.get(gid) === true) await this.#submit(submission);
    else await this.#abort("msg");
  }

  async #workflow(): Promise<void> {
    const { gid } = this.story;
    this.#world.services.executors.set(gid, () => void this.#execute());
    await this.#execute();
  }

  /** One run of the executor; it may die at any step, and several may run at once. */
  async #execute(): Promise<void> {
    const { gid, branches } = this.story;
    const submission: Submission = {
      ...this.#submission(),
      queryPrepared: "http://p0.sim/resume",
      customData: '{"name":"w","data":"e30="}',
    };
    const opened = await this.#ask({ kind: "prepareWorkflow", submission }, 3);
    if (opened?.kind !== "transaction" || opened.transaction === undefined) return;
    this.story.acknowledged = true;
    const { transaction } = opened;
    if (transaction.status !== "prepared") return;
    const recorded = new Map(transaction.ops.map(({ branchId: id, op, status }) => [`${id} ${op}`, status]));
    let failed = [...recorded].some(([key, status]) => status === "failed" || key.endsWith("rollback"));
    for (let i = 1; i <= branches && !failed; i++) {
      const id = branchId(i);
      if (recorded.has(`${id} action`)) continue;
      if (this.#random.chance(0.1)) return;
      const refuses = this.#world.services.manners.get(`${gid} ${id}`)?.refuses === true;
      if (!refuses) await this.#world.services.effect({ gid, branchId: id, op: "action", type: "workflow" });
      if (!(await this.#step(id, "action", refuses ? "failed" : "succeed"))) return;
      recorded.set(`${id} action`, refuses ? "failed" : "succeed");
      failed = refuses;
    }
    for (let i = branches; i >= 1 && failed; i--) {
      const id = branchId(i);
      if (recorded.get(`${id} action`) !== "succeed" || recorded.has(`${id} rollback`)) continue;
      await this.#world.services.effect({ gid, branchId: id, op: "rollback", type: "workflow" });
      if (!(await this.#step(id, "rollback", "succeed"))) return;
    }
    const status = failed ? "failed" : "succeed";
    await this.#ask({ kind: "finishWorkflow", status, reason: failed ? "no" : "", result: "" }, 3);
  }

  async #step(id: string, op: string, status: "succeed" | "failed"): Promise<boolean> {
    const ops = [{ op, url: "", status }];
    const reply = await this.#ask({ kind: "registerBranch", registration: this.#registration("workflow", id, ops) }, 4);
    return reply?.kind === "accepted";
  }

  async #submit(submission: Submission): Promise<void> {
    this.story.submission = submission;
    const reply = await this.#ask({ kind: "submit", submission });
    if (reply === undefined) return;
    const ongoing = reply.kind === "refused" && reply.code === "ONGOING";
    if (reply.kind === "accepted" || ongoing) this.story.acknowledged = this.story.submitted = true;
    if (submission.options.waitResult && reply.kind === "accepted") this.story.waited = "succeed";
    if (reply.kind === "refused" && reply.code === "REFUSED") this.story.waited = "failed";
    if (this.story.submitted && this.#random.chance(0.15)) {
      const other = { ...submission, digest: `${submission.digest} other` };
      const wrong = await this.#ask({ kind: "submit", submission: other });
      if (wrong !== undefined && !(wrong.kind === "refused" && wrong.code === "REFUSED"))
        this.story.wrong.push(`S9: other content answered ${JSON.stringify(wrong)}`);
    }
  }

  async #abort(type: TransType): Promise<void> {
    await this.#ask({ kind: "abort", type, reason: "client says no", waitResult: false });
  }

  /** Asks until there is an answer that means something. */
  async #ask(request: Request, triesMax = 200): Promise<Reply | undefined> {
    for (let i = 0; i < triesMax && !this.#vanished; i++) {
      const reply = await this.#world.ask(this.#random, this.story.gid, request, 6000);
      const again = reply === undefined || (reply.kind === "refused" && mayHelp.has(reply.code));
      if (!again) return reply;
      await this.#sleep(this.#random.between(50, 500));
    }
    return undefined;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.scheduler.after(ms, resolve));
  }

  /** Vanishes here, perhaps; afterwards it does nothing any more. */
  #gone(): boolean {
    this.#vanished ||= this.#vanishes && this.#random.chance(0.4);
    return this.#vanished;
  }

  #urls(): readonly string[] {
    return Array.from({ length: this.story.branches }, () => `http://p${this.#random.below(4)}.sim`);
  }

  #options(): Submission["options"] {
    return {
      waitResult: this.#random.chance(0.3),
      timeoutToFailS: undefined,
      requestTimeoutS: undefined,
      retryIntervalS: 1,
      retryLimit: undefined,
      branchHeaders: undefined,
      concurrent: false,
    };
  }

  #submission(): Submission {
    const { gid, type } = this.story;
    return {
      type,
      protocol: "http",
      options: this.#options(),
      steps: [],
      queryPrepared: "",
      customData: "",
      digest: `digest of ${gid}`,
      lease: undefined,
    };
  }

  #registration(type: TransType, id: string, ops: Registration["ops"]): Registration {
    return { type, branchId: id, ops, payload, executorId: undefined };
  }
}

const mayHelp: ReadonlySet<string> = new Set(["UNAVAILABLE", "OVERLOADED", "NOT_OWNER", "TOO_MANY", "INTERNAL"]);

export function branchId(i: number): string {
  return String(i).padStart(2, "0");
}
