/**
 * Nodes whose engines are on threads of their own, as `cluster/threads.ts` makes them, but on simulated threads: what
 * is said between them arrives in order and late, and each of them now and then stands still for a while, the main one
 * too. All of it dies at once with its process.
 */
import { unpack } from "msgpackr";
import { Crew } from "../../cluster/crew/crew.js";
import { startHand, type Writership } from "../../cluster/crew/hand.js";
import type { Channel, Order, Report } from "../../cluster/crew/messages.js";
import { partOf } from "../../cluster/crew/part.js";
import { Shared as Memory } from "../../cluster/crew/shared.js";
import type { Tenure } from "../../cluster/crew/tenure.js";
import type { MemberPorts } from "../../cluster/member.js";
import type { EngineSettings } from "../../src/engine/services.js";
import type { Callers } from "../../src/ports/caller.js";
import { type Store, StoreInDoubt, StoreUnavailable } from "../../src/ports/store.js";
import type { KeyValues } from "../../src/ports/topics.js";
import type { Coverage } from "./coverage.js";
import type { Place, Process, StorePath } from "./machine.js";
import type { Random } from "./random.js";
import { Past, type Right } from "./rights.js";
import type { Scheduler } from "./scheduler.js";
import { Thread } from "./thread.js";

/** The world, as threads meet it. */
export interface Ground {
  readonly scheduler: Scheduler;
  readonly coverage: Coverage;
  readonly violations: string[];
  readonly settings: EngineSettings;
  /** A thread stands still until then. */
  disturb(untilMs: number): void;
  /** All faults are over. */
  isHealed(): boolean;
}

/** What an engine's thread gets of the node around it. */
export interface Furnishing {
  readonly path: StorePath;
  /** The store and the participants as a thread reaches them; `right` is what its engine may do. */
  store(thread: Place, owner: () => Pick<Tenure, "incarnation" | "bumped">, right: () => Right): Store;
  keyValues(thread: Place): KeyValues;
  callers(thread: Place, right: () => Right, settings: EngineSettings): Callers;
}

/** A node with a crew. */
export interface Staff {
  /** Runs all but the engines. */
  readonly main: Thread;
  readonly employ: NonNullable<MemberPorts["employ"]>;
}

/** Makes crews. Each seed has a pace of its own: how late messages are, and whether threads stand still. */
export class Crews {
  readonly #random: Random;
  readonly #ground: Ground;
  readonly #lateMs: number;
  readonly #stalls: boolean;

  constructor(random: Random, ground: Ground) {
    this.#random = random;
    this.#ground = ground;
    this.#lateMs = random.pick([0.05, 2, 20]);
    this.#stalls = random.chance(0.5);
  }

  /** Threads for a process, or `undefined`: its only engine is beside all else. */
  draw(process: Process, furnishing: Furnishing): Staff | undefined {
    if (this.#random.chance(0.2)) return undefined;
    const random = this.#random.fork();
    const { scheduler, coverage } = this.#ground;
    coverage.count("crew: node");
    const engines = random.pick([2, 2, 3]);
    const main = new Thread(process, scheduler);
    const memory = Memory.make();
    const channels = Array.from({ length: engines }, (_, engine) => {
      const thread = new Thread(process, scheduler);
      const hand = new SimulatedHand(this.#ground, thread, furnishing);
      const orders = this.#line(random.fork(), thread, hand);
      const reports = this.#line(random.fork(), main);
      hand.start(
        { send: reports.send, receive: orders.receive },
        memory,
        partOf(this.#ground.settings, engine, engines),
      );
      if (this.#stalls) this.#stallNowAndThen(random.fork(), process, thread);
      return { send: orders.send, receive: reports.receive };
    });
    if (this.#stalls) this.#stallNowAndThen(random.fork(), process, main);
    const clock = main.clock();
    return {
      main,
      employ: ({ log, observer }, landlord) => {
        const crew = new Crew({
          ...{ channels, clock, log, observer, landlord, ownAddresses: () => ["n.sim:1"], format: () => 1 },
          soon: (task) => void clock.after(0, task),
          shared: new Memory(memory),
          enlist: () => main.remote(furnishing.path, true, async () => {}),
          dismiss: () => coverage.count("crew: dismissed"),
        });
        this.#lookAtTargets(random.fork(), main, crew);
        return crew;
      },
    };
  }

  /** One direction between two threads. */
  #line(random: Random, to: Thread, hand?: SimulatedHand): Channel {
    const { scheduler, coverage } = this.#ground;
    const inbox: Uint8Array[] = [];
    let handler: ((bytes: Uint8Array) => void) | undefined;
    let lastMs = 0;
    const deliver = (): void => {
      if (handler === undefined) return void scheduler.after(1, () => to.run(deliver));
      const bytes = inbox.shift()!;
      const said = unpack(bytes) as readonly (Order | Report)[];
      for (const { kind } of said) coverage.count(`crew: ${hand === undefined ? "report" : "order"} ${kind}`);
      if (said.length > 1) coverage.count("crew: several in one message");
      hand?.look();
      handler(bytes);
      hand?.look();
    };
    return {
      send: (bytes) => {
        inbox.push(bytes);
        lastMs = Math.max(lastMs, scheduler.nowMs + random.between(0, this.#lateMs));
        scheduler.after(lastMs - scheduler.nowMs, () => to.run(deliver));
      },
      receive: (its) => {
        handler = its;
      },
    };
  }

  #stallNowAndThen(random: Random, process: Process, thread: Thread): void {
    const { scheduler, coverage } = this.#ground;
    scheduler.after(random.between(200, 6000), () => {
      if (!process.alive || this.#ground.isHealed()) return;
      const ms = random.chance(0.7) ? random.between(20, 200) : random.between(200, 900);
      coverage.count("crew: thread stalled");
      this.#ground.disturb(scheduler.nowMs + ms);
      thread.stall(ms);
      this.#stallNowAndThen(random, process, thread);
    });
  }

  /** Whoever looks at the participants is told of those of all engines. */
  #lookAtTargets(random: Random, main: Thread, crew: Crew): void {
    const { coverage, violations } = this.#ground;
    const look = async () => {
      const targets = await crew.targets.list();
      if (targets.length > 0) coverage.count("crew: targets listed");
      if (new Set(targets.map(({ target }) => target)).size !== targets.length)
        violations.push(`bug: ${main.name} lists a target twice`);
    };
    main.clock().after(random.between(1000, 20_000), () => void look());
  }
}

/** An engine's thread. */
class SimulatedHand {
  readonly #ground: Ground;
  readonly #thread: Thread;
  readonly #furnishing: Furnishing;
  readonly #past = new Past();
  #tenure: Tenure | undefined;

  constructor(ground: Ground, thread: Thread, furnishing: Furnishing) {
    this.#ground = ground;
    this.#thread = thread;
    this.#furnishing = furnishing;
  }

  start(channel: Channel, memory: SharedArrayBuffer, settings: EngineSettings): void {
    const { callers, keyValues } = this.#furnishing;
    const clock = this.#thread.clock();
    const ports = {
      channel,
      clock,
      soon: (task: () => void) => void clock.after(0, task),
      shared: new Memory(memory),
      random: () => this.#thread.random(),
      debug: false,
    };
    void startHand(
      {
        ...ports,
        openStore: async (writer) => ({ store: this.#openStore(writer), keyValues: keyValues(this.#thread) }),
        makeCallers: () => callers(this.#thread, () => this.#tenure!, settings),
      },
      settings,
    ).then((made) => {
      this.#tenure = made;
    });
  }

  /** Notes what the engine holds; see `Past`. */
  look(): void {
    for (const what of this.#tenure === undefined ? [] : this.#past.look(this.#tenure))
      this.#ground.violations.push(`S2: an engine of ${this.#thread.name} takes up ${what} again, which was over`);
  }

  /** Like a real one it writes through connections that are enlisted; what broke is another one the next time. */
  #openStore({ incarnation, bumped, enlist, dismiss }: Writership): Store {
    const owner = {
      get incarnation() {
        return incarnation();
      },
      bumped,
    };
    const store = this.#furnishing.store(
      this.#thread,
      () => owner,
      () => this.#tenure!,
    );
    let connection = 0;
    let isOpen = false;
    return {
      ...store,
      commit: async (batch) => {
        if (!isOpen) {
          await enlist(connection).catch((cause: Error) => {
            this.#ground.coverage.count("crew: enlisting failed");
            throw new StoreUnavailable(cause.message);
          });
          isOpen = true;
          throw new StoreUnavailable("connected only now"); // the lease may be over meanwhile: asked anew
        }
        return store.commit(batch).catch((cause: unknown) => {
          if (cause instanceof StoreInDoubt) {
            isOpen = false;
            dismiss(connection++);
          }
          throw cause;
        });
      },
    };
  }
}
