/**
 * People: operators who stop, hasten, park and unpark transactions, and one who changes a topic's subscribers while
 * messages are sent to it.
 */

import type { Reply, Request } from "../../src/core/input.js";
import { type TopicOperations, topicOperations } from "../../src/gateway/topicoperations.js";
import { inputLimits } from "../../src/wire/limits.js";
import type { Story } from "./clients.js";
import type { Random } from "./random.js";
import type { Node, World } from "./world.js";

/** An operator does something to a transaction, soon or some time after its client has begun. */
export function operate(world: World, random: Random, story: Story): void {
  const ask = (request: Request) => world.ask(random, story.gid, request);
  world.scheduler.after(random.chance(0.5) ? random.between(0, 30) : random.between(0, 4000), () => {
    const deed = random.below(4);
    world.hit((["operatorStops", "operatorHastens", "operatorLooks", "operatorParks"] as const)[deed]!);
    if (deed === 0) {
      story.forced = true;
      void ask({ kind: "forceStop" });
    } else if (deed === 1) void ask({ kind: "hasten", bulk: random.chance(0.5) });
    else if (deed === 2) void ask({ kind: "query" });
    else {
      void ask({ kind: "park", by: "operator", reason: "looking" });
      world.scheduler.after(random.between(100, 8000), () => void unpark(world, random, story));
    }
  });
}

/** Until it is said to be done, or that there is nothing to do. */
async function unpark(world: World, random: Random, story: Pick<Story, "gid">): Promise<void> {
  const { gid } = story;
  const reply = await world.ask(random, gid, { kind: "unpark" });
  const done = reply !== undefined && (reply.kind !== "refused" || reply.code === "NOT_FOUND");
  if (!done && !world.poisoned.has(gid)) world.scheduler.after(500, () => void unpark(world, random, story));
}

/** Changes the subscribers of one topic while messages are sent to it. */
export class Editor {
  readonly #world: World;
  readonly #random: Random;
  readonly #topic: string;

  constructor(world: World, random: Random, topic: string) {
    this.#world = world;
    this.#random = random;
    this.#topic = topic;
  }

  async run(untilMs: number): Promise<void> {
    const { scheduler } = this.#world;
    while (scheduler.nowMs < untilMs) {
      await this.#change();
      await new Promise<void>((resolve) => void scheduler.after(this.#random.between(50, 1500), resolve));
    }
  }

  /** One change, asked for until it is known what came of it. */
  async #change(): Promise<void> {
    const before = this.#world.editions.at(-1)?.urls ?? [];
    const url = `http://p${this.#random.below(4)}.sim/do`;
    const has = before.includes(url);
    if (has && before.length === 1) return; // an empty topic is none, and messages to it are refused
    const begunMs = this.#world.scheduler.nowMs;
    for (;;) {
      const reply = await this.#ask((topics) =>
        has ? topics.unsubscribe(this.#topic, url) : topics.subscribe(this.#topic, url, ""),
      );
      const known = reply?.kind === "accepted" || (reply?.kind === "refused" && reply.code !== "UNAVAILABLE");
      if (reply?.kind === "accepted") this.#judge(url, !has, begunMs);
      if (known) return;
      await new Promise<void>((resolve) => void this.#world.scheduler.after(200, resolve));
    }
  }

  /** S1 of topics: what was acknowledged was so in the store at some moment since it was asked for. */
  #judge(url: string, wanted: boolean, begunMs: number): void {
    const { editions, violations, coverage } = this.#world;
    coverage.count("checked: subscription acknowledged and there");
    const there = editions.some(({ urls, sinceMs }) => sinceMs >= begunMs && urls.includes(url) === wanted);
    if (!there) violations.push(`S1: subscription of ${url} acknowledged, but the topic never said ${wanted}`);
  }

  #ask(work: (topics: TopicOperations) => Promise<Reply>): Promise<Reply | undefined> {
    const { scheduler, nodes } = this.#world;
    const alive = [...nodes.values()].filter(({ process }) => process.alive);
    const node = this.#random.pick(alive) as Node | undefined;
    return new Promise((resolve) => {
      scheduler.after(3000, () => resolve(undefined));
      node?.process.run(() => {
        work(this.#operations(node)).then(
          (reply) => node.process.does("reply") && resolve(reply),
          () => node.process.does("reply") && resolve(undefined),
        );
      });
    });
  }

  #operations({ member, keyValues, store }: Node): TopicOperations {
    const deps = {
      coordinator: member.coordinator,
      store,
      keyValues,
      callers: { locate: () => ({ origin: "", target: "" }) },
      clock: member.clock,
      limits: inputLimits,
      newGid: () => "",
      timeoutToFailMs: 0,
      isSwamped: () => false,
    };
    return topicOperations(deps, () => {});
  }
}
