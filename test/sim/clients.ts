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
  /** The topic it was sent to. */
  readonly topic: string | undefined;
  /** From when on its creation was asked for. */
  beganMs: number;
  /** An operator stopped it. */
  forced: boolean;
  /** A submit that was answered as done; the answer must be the same for ever (S9). */
  submission: Submission | undefined;
  submitted: boolean;
  /** Has nothing to do any more. */
  ended: boolean;
  /** Where the client met something that must not be. */
  readonly wrong: string[];
}

/** How a client's transactions look like; `plain` ones are for measuring speed. */
export interface Habits {
  readonly plain: boolean;
}

/** How often each is drawn. */
const patterns: readonly TransType[] = [
  ...(["saga", "saga", "saga", "tcc", "tcc", "xa", "xa"] as const),
  ...(["msg", "msg", "workflow", "workflow"] as const),
];

const payload = Buffer.from('{"amount":30}');
const mayHelp: ReadonlySet<string> = new Set(["UNAVAILABLE", "OVERLOADED", "NOT_OWNER", "TOO_MANY", "INTERNAL"]);

export class Client {
  readonly story: Story;
  readonly #world: World;
  readonly #random: Random;
  readonly #vanishes: boolean;
  readonly #plain: boolean;
  #vanished = false;
  #executors = 0;

  constructor(world: World, random: Random, gid: string, { plain }: Habits) {
    this.#world = world;
    this.#random = random;
    this.#plain = plain;
    const type = plain ? "saga" : random.pick(patterns);
    this.#vanishes = type !== "saga" && random.chance(0.25);
    const branches = plain ? 2 : 1 + random.below(4);
    this.story = {
      gid,
      type,
      branches,
      concurrent: !plain && (type === "saga" || type === "msg") && random.chance(0.4),
      topic: type === "msg" && random.chance(0.3) ? "news" : undefined,
      beganMs: 0,
      forced: false,
      submission: undefined,
      submitted: false,
      ended: false,
      wrong: [],
    };
    let left = 0;
    for (let i = 1; i <= branches; i++) {
      const amount = type !== "msg" && i === branches ? -left : random.below(100) - 50;
      left += amount;
      world.services.manners.set(`${gid} ${branchId(i)}`, this.#manner(amount, plain));
    }
  }

  async run(): Promise<void> {
    this.story.beganMs = this.#world.scheduler.nowMs;
    await this.#script();
    this.story.ended = true;
  }

  #script(): Promise<void> {
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

  #manner(amount: number, plain: boolean): Manner {
    const r = this.#random;
    const seldom = plain ? 0.02 : 0.15;
    return {
      refuses: r.chance(seldom * 0.8),
      ongoing: r.chance(seldom) ? 1 + r.below(2) : 0,
      unknownBefore: r.chance(seldom) ? 1 + r.below(3) : 0,
      unknownAfter: r.chance(seldom) ? 1 + r.below(2) : 0,
      amount,
    };
  }

  async #saga(): Promise<void> {
    const r = this.#random;
    const { branches, concurrent } = this.story;
    const orders = concurrent && branches > 2 && r.chance(0.5) ? { [branches - 1]: [0, 1] } : {};
    const submission: Submission = {
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
    };
    if (!this.#plain && r.chance(0.3)) {
      if ((await this.#ask({ kind: "prepare", submission }))?.kind !== "accepted" || r.chance(0.3)) return;
      await this.#sleep(r.between(0, 2000));
    }
    await this.#submit(submission);
    if (r.chance(0.2)) await this.#abortTooLate();
  }

  async #twoPhase(type: "tcc" | "xa"): Promise<void> {
    const submission = this.#submission();
    if ((await this.#ask({ kind: "prepare", submission }))?.kind !== "accepted") return;
    const first = type === "tcc" ? "try" : "action";
    for (const [i, url] of this.#urls().entries()) {
      if (this.#gone()) return;
      const id = branchId(i + 1);
      const registration = this.#branch(type, id, url);
      const registered = await this.#ask({ kind: "registerBranch", registration });
      if (registered?.kind !== "accepted") return void (await this.#abort(type));
      if (this.#world.services.manners.get(`${this.story.gid} ${id}`)?.refuses) return void (await this.#abort(type));
      await this.#world.services.effect({ gid: this.story.gid, branchId: id, op: first, type });
    }
    if (this.#gone()) return;
    if (this.#random.chance(0.15)) return void (await this.#abort(type));
    if (this.#random.chance(0.1)) return this.#race(type, submission);
    await this.#submit(submission);
    if (this.story.submitted && this.#random.chance(0.2)) await this.#registerTooLate(type);
    if (this.#random.chance(0.2)) await this.#abortTooLate();
  }

  /** Abort and submit at once: one of them counts, the other is refused (scenario 27). */
  async #race(type: TransType, submission: Submission): Promise<void> {
    this.#world.hit("abortAndSubmit");
    const [aborted] = await Promise.all([this.#abort(type), this.#submit(submission)]);
    const both = aborted?.kind === "accepted" && this.story.submitted;
    if (both) this.story.wrong.push("S4: abort and submit were both accepted");
    this.#world.coverage.count("checked: of abort and submit one won");
  }

  async #msg(): Promise<void> {
    const r = this.#random;
    const { gid, concurrent, topic } = this.story;
    const { services } = this.#world;
    const own = this.#urls().map((url) => ({ action: `${url}/do`, compensate: "", payload }));
    const amounts = own.map((_, i) => services.manners.get(`${gid} ${branchId(i + 1)}`)!.amount);
    const local = topic === undefined ? -amounts.reduce((sum, amount) => sum + amount, 0) : 0;
    const submission: Submission = {
      ...this.#submission(),
      options: { ...this.#options(), concurrent },
      steps: topic === undefined ? own : [{ action: `topic://${topic}`, compensate: "", payload }],
      queryPrepared: "http://p0.sim/check",
      customData: r.chance(0.2) ? '{"delay":2}' : "",
    };
    if (topic !== undefined)
      for (const id of ["01", "01-01", "01-02", "01-03", "01-04"])
        services.manners.set(`${gid} ${id}`, this.#manner(0, false));
    if (r.chance(0.3)) {
      await services.commitLocally(gid, local);
      return this.#submit(submission);
    }
    if ((await this.#ask({ kind: "prepare", submission }))?.kind !== "accepted") return;
    if (this.#gone()) return;
    await this.#sleep(r.chance(0.2) ? r.between(3000, 12_000) : r.between(0, 50));
    const commits = !r.chance(0.15) && (await services.commitLocally(gid, local));
    if (this.#gone()) return;
    if (commits) await this.#submit(submission);
    else await this.#abort("msg");
  }

  async #workflow(): Promise<void> {
    const leased = this.#random.chance(0.4);
    this.#world.services.executors.set(this.story.gid, () => void this.#execute(leased));
    await this.#execute(leased);
  }

  /** One run of the executor; it may die at any step, and several may run at once. */
  async #execute(leased: boolean): Promise<void> {
    const { gid, branches } = this.story;
    const { services } = this.#world;
    const executorId = leased ? `e${++this.#executors}` : undefined;
    const submission: Submission = {
      ...this.#submission(),
      queryPrepared: "http://p0.sim/resume",
      customData: '{"name":"w","data":"e30="}',
      lease: executorId === undefined ? undefined : { executorId, seconds: 3 },
    };
    const opened = await this.#ask({ kind: "prepareWorkflow", submission }, 3);
    if (opened?.kind !== "transaction" || opened.transaction === undefined || opened.lease === "held") return;
    const { transaction } = opened;
    if (transaction.status !== "prepared") return;
    const recorded = new Map(transaction.ops.map(({ branchId: id, op, status }) => [`${id} ${op}`, status]));
    let failed = [...recorded].some(([key, status]) => status === "failed" || key.endsWith("rollback"));
    for (let i = 1; i <= branches && !failed; i++) {
      const id = branchId(i);
      if (recorded.has(`${id} action`)) continue;
      if (this.#random.chance(0.1)) return this.#world.hit("executorDied");
      const refuses = services.manners.get(`${gid} ${id}`)?.refuses === true;
      if (!refuses) await services.effect({ gid, branchId: id, op: "action", type: "workflow" });
      if (!(await this.#step(id, "action", refuses ? "failed" : "succeed", executorId))) return;
      recorded.set(`${id} action`, refuses ? "failed" : "succeed");
      failed = refuses;
    }
    for (let i = branches; i >= 1 && failed; i--) {
      const id = branchId(i);
      if (recorded.get(`${id} action`) !== "succeed" || recorded.has(`${id} rollback`)) continue;
      await services.effect({ gid, branchId: id, op: "rollback", type: "workflow" });
      if (!(await this.#step(id, "rollback", "succeed", executorId))) return;
    }
    const status = failed ? "failed" : "succeed";
    await this.#ask({ kind: "finishWorkflow", status, reason: failed ? "no" : "", result: "" }, 3);
  }

  async #step(id: string, op: string, status: "succeed" | "failed", executorId: string | undefined): Promise<boolean> {
    const ops = [{ op, url: "", status }];
    const registration: Registration = { type: "workflow", branchId: id, ops, payload, executorId };
    return (await this.#ask({ kind: "registerBranch", registration }, 4))?.kind === "accepted";
  }

  /** Submits, sometimes twice at once and sometimes without waiting to the end. */
  async #submit(submission: Submission): Promise<void> {
    const r = this.#random;
    this.story.submission = submission;
    const leaves = submission.options.waitResult && r.chance(0.1) ? new AbortController() : undefined;
    if (leaves !== undefined) {
      this.#world.hit("clientLeft");
      this.#world.scheduler.after(r.between(0, 1500), () => leaves.abort());
    }
    const request: Request = { kind: "submit", submission };
    const first = this.#ask(request, 200, leaves?.signal);
    const twice = r.chance(0.1);
    if (twice) this.#world.hit("submittedTwice");
    const [reply, twin] = await Promise.all([first, twice ? this.#ask(request) : undefined]);
    for (const one of [reply, twin])
      if (one?.kind === "accepted" || (one?.kind === "refused" && one.code === "ONGOING")) this.story.submitted = true;
    if (this.story.submitted && r.chance(0.15)) await this.#submitOther(submission);
  }

  /** The same gid with other content is refused, whatever has become of the first (S9). */
  async #submitOther(submission: Submission): Promise<void> {
    this.#world.hit("submittedOther");
    const other = { ...submission, digest: `${submission.digest} other` };
    const reply = await this.#ask({ kind: "submit", submission: other }, 50, undefined, false);
    if (reply === undefined || this.#isPoisoned()) return;
    this.#world.coverage.count("checked: other content refused");
    if (!isRefused(reply)) this.story.wrong.push(`S9: other content answered ${JSON.stringify(reply)}`);
  }

  async #registerTooLate(type: "tcc" | "xa"): Promise<void> {
    this.#world.hit("registeredLate");
    const reply = await this.#ask({ kind: "registerBranch", registration: this.#branch(type, "09", "http://p0.sim") });
    if (reply === undefined || this.#isPoisoned()) return;
    this.#world.coverage.count("checked: branch after submit refused");
    if (!isRefused(reply)) this.story.wrong.push(`S4: branch after submit answered ${JSON.stringify(reply)}`);
  }

  async #abortTooLate(): Promise<void> {
    if (!this.story.submitted) return;
    this.#world.hit("abortedLate");
    const reply = await this.#abort(this.story.type);
    if (reply === undefined || this.#isPoisoned()) return;
    this.#world.coverage.count("checked: abort after submit refused");
    if (!isRefused(reply)) this.story.wrong.push(`D22: abort after submit answered ${JSON.stringify(reply)}`);
  }

  #abort(type: TransType): Promise<Reply | undefined> {
    return this.#ask({ kind: "abort", type, reason: "client says no", waitResult: this.#random.chance(0.2) });
  }

  /** Asks until there is an answer that means something. */
  async #ask(request: Request, triesMax = 200, signal?: AbortSignal, own = true): Promise<Reply | undefined> {
    for (let i = 0; i < triesMax && !this.#vanished; i++) {
      const reply = await this.#world.ask(this.#random, this.story.gid, request, 6000, signal, own);
      const again = reply === undefined || (reply.kind === "refused" && mayHelp.has(reply.code));
      if (!again || signal?.aborted || this.#isPoisoned()) return reply;
      await this.#sleep(this.#random.between(50, 500));
    }
    return undefined;
  }

  /** The store takes nothing of it any more; what it is told then is another matter. */
  #isPoisoned(): boolean {
    return this.#world.poisoned.has(this.story.gid);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.scheduler.after(ms, resolve));
  }

  /** Vanishes here, perhaps; afterwards it does nothing any more. */
  #gone(): boolean {
    const vanishes = !this.#vanished && this.#vanishes && this.#random.chance(0.4);
    if (vanishes) this.#world.hit("clientVanished");
    this.#vanished ||= vanishes;
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

  #branch(type: "tcc" | "xa", id: string, url: string): Registration {
    const names = type === "tcc" ? ["cancel", "confirm"] : ["rollback", "commit"];
    const ops = names.map((op) => ({ op, url: `${url}/${op}`, status: "prepared" as const }));
    return { type, branchId: id, ops, payload, executorId: undefined };
  }
}

function isRefused(reply: Reply): boolean {
  return reply.kind === "refused" && reply.code === "REFUSED";
}

/** Id of the branch with that number, from 1. */
export function branchId(i: number): string {
  return String(i).padStart(2, "0");
}
