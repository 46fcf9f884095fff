// One run of a scenario: participants, a coordinator with a store in memory and virtual time, and an initiator's
// client, all in this process and joined by a network that follows a plan of faults.

import { Endings } from "../caller/ending.js";
import { callHttp } from "../caller/http.js";
import { unknown } from "../caller/result.js";
import { parseUrl } from "../caller/url.js";
import type { Endpoint } from "../client/api.js";
import { type Client, createClient } from "../client/client.js";
import type { Fetch } from "../client/http.js";
import { matchRoute, type Route } from "../client/participant/route.js";
import { loadConfig } from "../config/config.js";
import { type EmbeddedCoordinator, embeddedCoordinator } from "../embedded/coordinator.js";
import { engineSettings } from "../node.js";
import type { Callers } from "../ports/caller.js";
import { MemoryStore } from "../store/memory/memory.js";
import { VirtualClock } from "./clock.js";
import { type Answered, Network, type Plan } from "./network.js";

/** Base URL under which a scenario's routes are reached by coordinator and initiator. */
export const participantUrl = "http://participant.test";

/**
 * Timers fired in one run before it counts as endless. Runs that end need a few dozen; this is a week of retries at the
 * capped interval. Higher means that a participant that never answers yes is found late: every timer is a call.
 */
const timersMax = 2_000;

/** Milliseconds, at least, that are waited without any timer to move to. */
const idlesMax = 2_000;

/** Milliseconds, at least, that a participant's handler may take before time goes on without it. */
const patienceMs = 2_000;

/** A world for one run. */
export interface World {
  readonly client: Client;
  readonly network: Network;
  /** Moves time until `work` is settled. */
  drive<T>(work: Promise<T>): Promise<T>;
  /**
   * Moves time until every transaction is final, also after what was held back is delivered. Rejects if that never
   * comes.
   */
  settle(): Promise<void>;
  close(): Promise<void>;
}

/** Makes a world whose participants are `routes`. */
export function createWorld(routes: () => readonly Route[], plan: Plan): World {
  return new RunningWorld(routes, plan);
}

class RunningWorld implements World {
  readonly client: Client;
  readonly network: Network;
  readonly #clock = new VirtualClock();
  readonly #store = new MemoryStore();
  readonly #routes: () => readonly Route[];
  #coordinator: EmbeddedCoordinator;
  /** Requests of the client that wait for the coordinator or for time; and those that wait for time alone. */
  #asking = 0;
  #pausing = 0;
  #patience = patienceMs;

  constructor(routes: () => readonly Route[], plan: Plan) {
    this.#routes = routes;
    this.network = new Network(plan, { restartCoordinator: () => this.#restart() });
    this.#coordinator = this.#start();
    this.client = createClient({
      endpoints: [this.#endpoint()],
      checkBackUrl: `${participantUrl}/check`,
      fetch: initiatorFetch(this.network, routes),
      clock: { nowMs: () => this.#clock.nowMs(), pause: (ms) => this.#pause(ms) },
    });
  }

  async drive<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    work.then(mark, mark);
    const steps = this.#stepper("the scenario waits for something that never comes");
    while (!settled) {
      await turn();
      // Code of the initiator's own may be waiting for something real; time stands still meanwhile.
      if (!settled && this.#asking > 0 && !(await this.#isWorking())) await steps();
    }
    return work;
  }

  async settle(): Promise<void> {
    await this.#finish();
    await this.network.deliverLate();
    await this.#finish();
  }

  close(): Promise<void> {
    return this.drive(this.#coordinator.close(0));
  }

  #start(): EmbeddedCoordinator {
    return startCoordinator(this.#clock, this.#store, participantCallers(this.network, this.#routes));
  }

  async #restart(): Promise<void> {
    await this.drive(this.#coordinator.close(0));
    this.#coordinator = this.#start();
  }

  async #pause(ms: number): Promise<void> {
    this.#asking++;
    this.#pausing++;
    await new Promise<void>((resolve) => void this.#clock.after(ms, resolve));
    this.#asking--;
    this.#pausing--;
  }

  #endpoint(): Endpoint {
    const call: Endpoint["call"] = async (operation, body, signal) => {
      const branch = body.branch_id === undefined ? "" : ` of ${body.branch_id}`;
      const label = `initiator → coordinator: ${operation}${branch}`;
      const deliver = async () => {
        const { status, body: said } = await this.#coordinator.endpoint.call(operation, body, signal);
        return { status, text: JSON.stringify(said) };
      };
      this.#asking++;
      try {
        const { status, text } = await this.network.carry({ from: "initiator", label, mayBeRefused: false, deliver });
        return { status, body: JSON.parse(text) as Record<string, unknown> };
      } finally {
        this.#asking--;
      }
    };
    return { address: "http://coordinator.test/api/dtmsvr", call };
  }

  /** Moves time until no transaction is open. */
  async #finish(): Promise<void> {
    const steps = this.#stepper("a transaction never becomes final");
    for (;;) {
      await turn();
      if (await this.#isWorking()) continue;
      const counts = await this.#store.count();
      const open = counts.filter(({ status }) => status !== "succeed" && status !== "failed");
      if (open.every(({ transactions }) => transactions === 0)) return;
      await steps();
    }
  }

  /** True while a handler runs, unless it waits for virtual time itself, or seems to hang. */
  async #isWorking(): Promise<boolean> {
    if (!this.network.busy || this.#pausing > 0) {
      this.#patience = patienceMs;
      return false;
    }
    if (this.#patience === 0) return false;
    this.#patience--;
    await new Promise((resolve) => setTimeout(resolve, 1));
    return true;
  }

  /**
   * Moves to the next timer; where there is none, something real is awaited. Rejects when this goes on for too long.
   */
  #stepper(problem: string): () => Promise<void> {
    let [timers, idles] = [0, 0];
    return async () => {
      if (this.#clock.next()) timers++;
      else {
        idles++;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      if (timers > timersMax || idles > idlesMax) throw new Error(problem);
    };
  }
}

/** Lets everything that is ready run. */
async function turn(): Promise<void> {
  for (let count = 0; count < 3; count++) await new Promise<void>((resolve) => setImmediate(resolve));
}

const ignore = () => {};
const silent = { info: ignore, warn: ignore, error: ignore };
const observer = {
  finished: ignore,
  called: ignore,
  flushed: ignore,
  lateAnswer: ignore,
  breaker: ignore,
  stuck: ignore,
};

function startCoordinator(clock: VirtualClock, store: MemoryStore, callers: Callers): EmbeddedCoordinator {
  const flags = { "Store.Url": "memory:" };
  const settings = engineSettings(loadConfig({ environment: {}, flags, readFile: () => "" }).config);
  const ports = { store, keyValues: store, callers, clock, random: () => 0.5, observer, log: silent };
  return embeddedCoordinator(ports, settings);
}

/** The coordinator's calls, judged by its own code, over the network of the test. */
function participantCallers(network: Network, routes: () => readonly Route[]): Callers {
  const endings = new Endings();
  return {
    locate: (protocol, url) => {
      const parsed = parseUrl(protocol, url);
      return parsed.kind === "invalid" ? parsed : { origin: parsed.origin, target: parsed.target };
    },
    call: (call, signal) => {
      const url = parseUrl(call.protocol, call.url);
      if (url.kind !== "http") return Promise.resolve(unknown("the test kit carries plain HTTP only"));
      const label = `coordinator → participant: ${call.op} of ${call.branchId} at ${url.path}`;
      const op = `${call.gid} ${call.branchId} ${call.op}`;
      const mayBeRefused = call.type === "saga" && call.op === "action";
      const exchange = {
        send(request: Sent, done: Done) {
          const header = (name: string) => valueIn(request.headers, name);
          const deliver = () => answerOf(routes(), request.path, request.body ?? new Uint8Array(), header);
          network.carry({ from: "coordinator", label, op, mayBeRefused, deliver }).then(
            ({ status, text }) => done({ status, body: Buffer.from(text), cut: false, encoding: undefined }),
            (error: Error) => done(error),
          );
          return ignore;
        },
        close: async () => {},
      };
      return callHttp(exchange, false, url, call, endings.of(signal));
    },
    close: async () => {},
  };
}

type Sent = Parameters<Parameters<typeof callHttp>[0]["send"]>[0];
type Done = Parameters<Parameters<typeof callHttp>[0]["send"]>[1];

/** A header's value in a list of names and values. */
function valueIn(list: readonly string[], name: string): string | undefined {
  const at = list.findIndex((one, index) => index % 2 === 0 && one.toLowerCase() === name);
  return at === -1 ? undefined : list[at + 1];
}

/** The initiator's own calls: try, xa action, steps of workflows. */
function initiatorFetch(network: Network, routes: () => readonly Route[]): Fetch {
  return async (url, init) => {
    const { pathname, search, searchParams } = new URL(url);
    const [gid, branchId, op] = ["gid", "branch_id", "op"].map((name) => searchParams.get(name));
    const label = `initiator → participant: ${op} of ${branchId} at ${pathname}`;
    const body = typeof init.body === "string" || init.body instanceof Uint8Array ? init.body : "";
    const headers = new Headers(init.headers);
    const { status, text } = await network.carry({
      from: "initiator",
      label,
      op: `${gid} ${branchId} ${op}`,
      mayBeRefused: op === "try" || op === "action",
      deliver: () => answerOf(routes(), pathname + search, body, (name) => headers.get(name) ?? undefined),
    });
    return new Response(text, { status });
  };
}

async function answerOf(
  routes: readonly Route[],
  url: string,
  body: string | Uint8Array,
  header: (name: string) => string | undefined,
): Promise<Answered> {
  const found = matchRoute(routes, url);
  if (found === undefined) return { status: 404, text: '{"error":"no such route"}' };
  // What nobody expected ends up in the story.
  const answer = await found.handle({ url, body, header, onError: ignore });
  return { status: answer.status, text: answer.body };
}
