/**
 * The engines of a node on threads of their own, behind the face of one: each has a part of the shards for ever, by
 * their numbers. The main thread keeps what there is one of: gateways, lease and shards, the way to other nodes, log
 * and metrics.
 */
import { type Reply, type Request, refused } from "../../src/core/input.js";
import { shardCount, shardOf } from "../../src/core/shard.js";
import type { Clock } from "../../src/ports/clock.js";
import type { ShardRow } from "../../src/ports/leases.js";
import type { Log, Observer } from "../../src/ports/observer.js";
import type { EngineStats, TargetState, Targets } from "../../src/ports/targets.js";
import type { Workforce } from "../../src/ports/workforce.js";
import { SlotMap } from "../../src/slotmap.js";
import { type Channel, type Observed, type Order, type Report, Talk } from "./messages.js";
import type { Shared } from "./shared.js";
import { joinStats, joinTargets, noStats } from "./sums.js";

/** The node's keeper, as its engines see it. */
export interface Landlord {
  readonly incarnation: number;
  epochOf(shard: number): number | undefined;
  lost(shard: number, epoch: number): void;
  bumped(rows: readonly ShardRow[]): void;
  regressed(what: string): void;
}

/** What a crew gets of the world. */
export interface CrewPorts {
  /** One for each engine. */
  readonly channels: readonly Channel[];
  /** Runs a task after the events of this turn of the event loop. */
  readonly soon: (task: () => void) => void;
  readonly clock: Pick<Clock, "after">;
  readonly shared: Shared;
  readonly log: Log;
  readonly observer: Observer;
  readonly landlord: Landlord;
  /** See `MysqlOptions`. */
  enlist(connection: number): Promise<void>;
  dismiss(connection: number): void;
  /** In which the nodes have agreed to write. */
  format(): number;
  /** "host:port" of the node's own APIs; asked when the engines start. */
  ownAddresses(): readonly string[];
}

/** After its grace an engine may still wait for the store's answer to a flush; one that takes longer hangs. */
const hangsAfterMs = 15_000;

/** Which engine has a shard. */
export function engineOf(shard: number, engines: number): number {
  return shard % engines;
}

export class Crew implements Workforce {
  readonly targets: Targets = { list: () => this.#listTargets() };
  readonly #ports: CrewPorts;
  readonly #talks: readonly Talk<Order, Report>[];
  readonly #stats: EngineStats[];
  readonly #waiting = new SlotMap<number, (report: Report | undefined) => void>();
  #nextId = 0;
  #closed = false;

  constructor(ports: CrewPorts) {
    this.#ports = ports;
    this.#stats = ports.channels.map(() => noStats);
    this.#talks = ports.channels.map((channel) => new Talk<Order, Report>(channel, ports.soon, ports.clock));
    for (const [i, talk] of this.#talks.entries()) talk.hear((report) => this.#heard(i, report));
  }

  handle(gid: string, request: Request, signal?: AbortSignal): Promise<Reply> {
    const talk = this.#talkOf(gid);
    const cancellable = signal !== undefined;
    const { id, replied } = this.#ask(talk, (id) => ({ kind: "request", id, gid, request, cancellable }));
    if (signal === undefined) return replied.then(replyOf);
    const cancel = () => talk.say({ kind: "cancel", id });
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    return replied.then(replyOf).finally(() => signal.removeEventListener("abort", cancel));
  }

  stored(gid: string): Promise<Reply> {
    return this.#ask(this.#talkOf(gid), (id) => ({ kind: "stored", id, gid })).replied.then(replyOf);
  }

  stats(): EngineStats {
    return joinStats(this.#stats);
  }

  start(): void {
    const ownAddresses = [...this.#ports.ownAddresses()];
    for (const talk of this.#talks) talk.say({ kind: "start", ownAddresses });
  }

  gained(): void {
    this.#tellOwned();
  }

  raised(): void {
    this.#tellOwned();
  }

  lost(gone: ReadonlySet<number>): void {
    for (const { talk, shards } of this.#parts(gone)) talk.say({ kind: "lost", shards });
  }

  leased(untilMs: number): void {
    const { shared, format, landlord } = this.#ports;
    shared.format = format();
    if (shared.incarnation !== landlord.incarnation) {
      shared.incarnation = landlord.incarnation;
      this.#tellOwned(); // nothing yet
    }
    shared.leaseUntilMs = untilMs;
  }

  ahead(aheadMs: number): void {
    this.#ports.shared.aheadMs = aheadMs;
  }

  async drain(leaving: ReadonlySet<number>, graceMs: number): Promise<void> {
    await Promise.all(
      this.#parts(leaving).map(
        ({ talk, shards }) => this.#ask(talk, (id) => ({ kind: "drain", id, shards, graceMs })).replied,
      ),
    );
  }

  async close(graceMs: number): Promise<void> {
    const { clock, log } = this.#ports;
    const ends = this.#talks.map((talk) => this.#ask(talk, (id) => ({ kind: "close", id, graceMs })).replied);
    await new Promise<void>((resolve) => {
      const cancel = clock.after(graceMs + hangsAfterMs, () => {
        log.error("engines_hang", { graceMs });
        resolve();
      });
      void Promise.all(ends).then(() => {
        cancel();
        resolve();
      });
    });
    this.#closed = true;
    for (const resolve of this.#waiting.values()) resolve(undefined);
    this.#waiting.clear();
  }

  #talkOf(gid: string): Talk<Order, Report> {
    return this.#talks[engineOf(shardOf(gid), this.#talks.length)]!;
  }

  /** What is said of shards, engine by engine; those with nothing to hear are left out. */
  #parts(numbers: Iterable<number>): readonly { readonly talk: Talk<Order, Report>; readonly shards: number[] }[] {
    const parts = this.#talks.map((talk) => ({ talk, shards: [] as number[] }));
    for (const shard of numbers) parts[engineOf(shard, parts.length)]!.shards.push(shard);
    return parts.filter(({ shards }) => shards.length > 0);
  }

  #tellOwned(): void {
    const { landlord } = this.#ports;
    const { incarnation } = landlord;
    for (const { talk, shards: part } of this.#parts(Array.from({ length: shardCount }, (_, shard) => shard))) {
      const epochs = part.flatMap((shard) => {
        const epoch = landlord.epochOf(shard);
        return epoch === undefined ? [] : [[shard, epoch] as const];
      });
      talk.say({ kind: "owned", incarnation, epochs });
    }
  }

  #ask(
    talk: Talk<Order, Report>,
    order: (id: number) => Order,
  ): { readonly id: number; readonly replied: Promise<Report | undefined> } {
    const id = this.#nextId++;
    if (this.#closed) return { id, replied: Promise.resolve(undefined) };
    talk.say(order(id));
    return { id, replied: new Promise((resolve) => this.#waiting.set(id, resolve)) };
  }

  async #listTargets(): Promise<readonly TargetState[]> {
    const reports = await Promise.all(
      this.#talks.map((talk) => this.#ask(talk, (id) => ({ kind: "targets", id })).replied),
    );
    return joinTargets(reports.map((report) => (report?.kind === "targets" ? report.targets : [])));
  }

  #heard(engine: number, report: Report): void {
    const { landlord, log } = this.#ports;
    switch (report.kind) {
      case "reply":
      case "done":
      case "targets":
        return this.#waiting.take(report.id)?.(report);
      case "fenced":
        return landlord.lost(report.shard, report.epoch);
      case "bumped":
        return landlord.bumped(report.rows);
      case "regressed":
        return landlord.regressed(report.what);
      case "enlist":
        return this.#enlist(this.#talks[engine]!, report);
      case "dismiss":
        return this.#ports.dismiss(report.connection);
      case "stats":
        this.#stats[engine] = report.stats;
        return;
      case "log":
        return log[report.level]?.(report.event, report.fields ?? {});
      default:
        return tell(this.#ports.observer, report);
    }
  }

  #enlist(talk: Talk<Order, Report>, { id, connection }: Extract<Report, { kind: "enlist" }>): void {
    this.#ports.enlist(connection).then(
      () => talk.say({ kind: "enlisted", id }),
      (cause) => talk.say({ kind: "enlisted", id, why: cause instanceof Error ? cause.message : String(cause) }),
    );
  }
}

/** Without a report the engines have ended meanwhile. */
function replyOf(report: Report | undefined): Reply {
  if (report?.kind === "reply") return report.reply;
  return { ...refused("UNAVAILABLE", "this node is shutting down, ask again"), retryAfterS: 1 };
}

function tell(observer: Observer, report: Observed): void {
  switch (report.kind) {
    case "finished": {
      const [type, status, createdAtMs, updatedAtMs, endedAtMs] = report.of;
      return observer.finished({ type, status, createdAtMs, updatedAtMs, endedAtMs });
    }
    case "called": {
      const [gid, type, branchId, op, target, outcome, detail, timedOut, durationMs] = report.of;
      const answer = timedOut ? { outcome, detail, timedOut } : { outcome, detail };
      return observer.called({ gid, type, branchId, op }, target, answer, durationMs);
    }
    case "flushed":
      return observer.flushed(report.commits, report.durationMs);
    case "late":
      return observer.lateAnswer(report.call);
    case "breaker":
      return observer.breaker(report.target, report.open);
    case "stuck":
      return observer.stuck(report.alert);
  }
}
