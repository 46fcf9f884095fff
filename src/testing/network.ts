// The network between initiator, coordinator and participants, with a plan of what goes wrong at which exchange. Keeps
// the story of what happened, so that a failure can be told.

import { AsyncLocalStorage } from "node:async_hooks";

/** What can befall an exchange. */
export type Fault =
  | "request lost"
  | "answer lost"
  | "delivered twice"
  | "delivered after the end"
  | "refused"
  | "refused, its first request delivered after the end"
  | "coordinator restarts before"
  | "coordinator restarts after"
  | "initiator dies before"
  | "initiator dies after";

/** The plan: faults by the number of the exchange, from 0, in order of their beginning. */
export type Plan = ReadonlyMap<number, Fault>;

/** One exchange as it began: who asks for what, and which faults make sense there. */
export interface ExchangePoint {
  readonly label: string;
  readonly faults: readonly Fault[];
}

/** What an exchange is told by the network itself when nothing comes back. */
export class ConnectionLost extends Error {}

/** Who takes part, as far as the network can reach them. */
export interface Parties {
  restartCoordinator(): Promise<void>;
}

/** An answer in the network's terms. */
export interface Answered {
  readonly status: number;
  readonly text: string;
}

/** An exchange to be carried. `deliver` may be called any number of times. */
export interface Exchange {
  readonly from: "initiator" | "coordinator";
  readonly label: string;
  /** Set for calls of participants: gid, branch and op together. */
  readonly op?: string;
  /** True for action and try: a participant may refuse these. */
  readonly mayBeRefused: boolean;
  deliver(): Promise<Answered>;
}

const always: readonly Fault[] = ["request lost", "answer lost", "delivered twice"];
const ofRefusable: readonly Fault[] = ["refused", "refused, its first request delivered after the end"];
const ofInitiator: readonly Fault[] = ["initiator dies before", "initiator dies after"];
const ofCoordinator: readonly Fault[] = ["coordinator restarts before", "coordinator restarts after"];

/** Whether a process that asks is still there to hear the answer. */
interface Life {
  isOver: boolean;
}

/** Carries exchanges by a plan. */
export class Network {
  readonly story: string[] = [];
  readonly points: ExchangePoint[] = [];
  readonly #plan: Plan;
  readonly #parties: Parties;
  readonly #late: Exchange[] = [];
  readonly #refusing = new Set<string>();
  #inFlight = 0;
  readonly #initiator: Life = { isOver: false };
  /** A participant's handler is a process of its own: the initiator's death is not its, nor its own the initiator's. */
  readonly #lives = new AsyncLocalStorage<Life>();

  constructor(plan: Plan, parties: Parties) {
    this.#plan = plan;
    this.#parties = parties;
  }

  /** Exchanges whose handler is running. */
  get busy(): boolean {
    return this.#inFlight > 0;
  }

  /** True once a fault has ended the initiator: its transaction is the coordinator's affair then. */
  get initiatorDied(): boolean {
    return this.#initiator.isOver;
  }

  /** Delivers what was held back; the answers reach nobody. */
  async deliverLate(): Promise<void> {
    for (const exchange of this.#late.splice(0)) {
      const answer = await this.#busily(exchange).catch((error: unknown) => ({ status: 0, text: String(error) }));
      this.story.push(`${exchange.label}: delivered now, long after; answered ${answer.status}`);
    }
  }

  /** Carries one exchange. Rejects with `ConnectionLost` where the asker hears nothing. */
  async carry(exchange: Exchange): Promise<Answered> {
    const { from, label, op, mayBeRefused } = exchange;
    if (from === "initiator" && this.#life.isOver) throw new ConnectionLost("this process is dead");
    const own = from === "initiator" ? ofInitiator : [];
    const restart = op === undefined || from === "coordinator" ? ofCoordinator : [];
    const late: readonly Fault[] = op === undefined ? [] : ["delivered after the end"];
    const fault = this.#plan.get(this.points.length);
    this.points.push({ label, faults: [...always, ...late, ...(mayBeRefused ? ofRefusable : []), ...own, ...restart] });
    if (op !== undefined && mayBeRefused && this.#refusing.has(op)) return this.#refuse(label);
    if (fault === undefined) return this.#told(label, await this.#busily(exchange));
    return this.#befall(exchange, fault);
  }

  async #befall(exchange: Exchange, fault: Fault): Promise<Answered> {
    const { label, op } = exchange;
    const who = this.#life === this.#initiator ? "the initiator" : "the participant";
    const lost = (what: string): never => {
      this.story.push(`${label}: ${what}`);
      throw new ConnectionLost(fault);
    };
    switch (fault) {
      case "request lost":
        return lost("the request is lost");
      case "answer lost": {
        const { status } = await this.#busily(exchange);
        return lost(`answered ${status}, but the answer is lost`);
      }
      case "delivered twice": {
        const [first] = await Promise.all([this.#busily(exchange), this.#busily(exchange)]);
        return this.#told(`${label} (delivered twice)`, first);
      }
      case "delivered after the end":
        this.#late.push(exchange);
        return lost("the request is held back by the network");
      case "refused":
        return this.#refuse(label);
      case "refused, its first request delivered after the end":
        this.#late.push(exchange);
        this.#refusing.add(op!);
        return lost("the request is held back by the network; further ones will be refused");
      case "coordinator restarts before":
        await this.#restart();
        return lost("nobody answers");
      case "coordinator restarts after": {
        await this.#busily(exchange);
        await this.#restart();
        return lost("the answer meets a coordinator that has just restarted");
      }
      case "initiator dies before":
        this.#life.isOver = true;
        return lost(`${who} dies before it asks`);
      case "initiator dies after": {
        const { status } = await this.#busily(exchange);
        this.#life.isOver = true;
        return lost(`answered ${status}, but ${who} has died`);
      }
    }
  }

  get #life(): Life {
    return this.#lives.getStore() ?? this.#initiator;
  }

  async #restart(): Promise<void> {
    this.story.push("the coordinator restarts");
    await this.#parties.restartCoordinator();
  }

  #refuse(label: string): Answered {
    this.story.push(`${label}: the participant refuses`);
    return { status: 409, text: '{"dtm_result":"FAILURE","error":"refused by the test FAILURE"}' };
  }

  #told(label: string, answer: Answered): Answered {
    this.story.push(
      `${label}: answered ${answer.status}${answer.status === 200 ? "" : ` ${answer.text.slice(0, 200)}`}`,
    );
    return answer;
  }

  /** A request to the coordinator may be held there until time passes, so it does not count as busy. */
  async #busily({ op, deliver }: Exchange): Promise<Answered> {
    const counts = op === undefined ? 0 : 1;
    this.#inFlight += counts;
    try {
      return await (op === undefined ? deliver() : this.#lives.run({ isOver: false }, deliver));
    } finally {
      this.#inFlight -= counts;
    }
  }
}
