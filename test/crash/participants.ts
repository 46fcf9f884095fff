/**
 * Participants that outlive the server: real HTTP endpoints behind the barrier on a memory database in this process.
 * They answer as the dice say while the server is being killed, and do what they are asked from then on. They know
 * which calls are on the wire and which answers cannot be durable yet.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type MemoryBarrier, memoryBarrier } from "../../src/client/barrier/memory.js";
import { fetchHandler } from "../../src/client/participant/fetch.js";
import type { Route } from "../../src/client/participant/route.js";
import type { Dice } from "./dice.js";

/** What a participant does with a delivery. */
type Mood = "do" | "hold" | "lose" | "break" | "ongoing" | "refuse";

/** Each with the roll below which it is chosen. */
const moods: readonly (readonly [Mood, number])[] = [
  ["do", 0.66],
  ["hold", 0.83],
  ["lose", 0.88],
  ["break", 0.93],
  ["ongoing", 0.96],
  ["refuse", 1],
];

/** Name of an effect in the database: how often an op of a branch has taken effect. */
export function effectKey(gid: string, branchId: string, op: string): string {
  return `${gid} ${branchId} ${op}`;
}

export class Participants {
  readonly bank: MemoryBarrier = memoryBarrier();
  /** Counts of deliveries by mood, and of answers of any kind. */
  readonly met = new Map<string, number>();
  readonly #dice: Dice;
  readonly #server: Server;
  readonly #wire = new Set<ServerResponse>();
  readonly #answeredNs: bigint[] = [];
  #healed = false;
  #routes: readonly Route[] = [];
  #onAnswer: (() => void) | undefined;

  constructor(dice: Dice) {
    this.#dice = dice;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Base URL; listens from then on. */
  async listen(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Routes of the client library, for callbacks of workflows. */
  mount(routes: readonly Route[]): void {
    this.#routes = routes;
  }

  /** Calls that the server made and that have no answer yet. */
  get onTheWire(): number {
    return [...this.#wire].filter(({ writableEnded, destroyed }) => !writableEnded && !destroyed).length;
  }

  /** Answers handed to the network after that moment. */
  answersSince(ns: bigint): number {
    return this.#answeredNs.filter((atNs) => atNs > ns).length;
  }

  /** Calls `then` as soon as the next answer has been handed to the network. */
  onNextAnswer(then: () => void): void {
    this.#onAnswer = then;
  }

  /** Everything is done as asked from now on. */
  heal(): void {
    this.#healed = true;
  }

  /** How often an op took effect. */
  effects(gid: string, branchId: string, op: string): number {
    return Number(this.bank.values.get(effectKey(gid, branchId, op)) ?? 0);
  }

  /** Carries out an op at most once, as the barrier has it; for local ops of initiators too. */
  async carryOut(url: string, gid: string, branchId: string, op: string): Promise<void> {
    await this.bank.run({ url }, (tx) => tx.update(effectKey(gid, branchId, op), (count) => Number(count ?? 0) + 1));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#wire.add(response);
    response.once("close", () => this.#wire.delete(response));
    response.once("finish", () => this.#finished());
    try {
      const { status, body } = await this.#answer(request);
      if (status === 0) response.destroy();
      else response.writeHead(status, { "content-type": "application/json" }).end(body);
    } catch (cause) {
      response.writeHead(500).end(JSON.stringify({ message: String(cause) }));
    }
  }

  #finished(): void {
    this.#answeredNs.push(process.hrtime.bigint());
    if (this.#answeredNs.length > 4096) this.#answeredNs.splice(0, 2048);
    const then = this.#onAnswer;
    this.#onAnswer = undefined;
    then?.();
  }

  async #answer(request: IncomingMessage): Promise<{ status: number; body: string }> {
    const url = new URL(request.url ?? "/", "http://localhost");
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const given = new Request(url, { method: "POST", body: Buffer.concat(chunks) });
    const routed = await fetchHandler(this.#routes)(given);
    if (routed !== undefined) return { status: routed.status, body: await routed.text() };
    const [gid, branchId, op] = ["gid", "branch_id", "op"].map((name) => url.searchParams.get(name) ?? "");
    return this.#deliver(`${url}`, gid!, branchId!, op!);
  }

  async #deliver(url: string, gid: string, branchId: string, op: string): Promise<{ status: number; body: string }> {
    const mood = this.#mood(op, url);
    this.met.set(mood, (this.met.get(mood) ?? 0) + 1);
    if (mood === "break") return { status: 500, body: "out of order" };
    if (mood === "ongoing") return { status: 425, body: "ONGOING" };
    if (mood === "refuse") return { status: 409, body: "FAILURE" };
    if (mood === "hold") await delay(20 + this.#dice() * 300);
    await this.carryOut(url, gid, branchId, op);
    return mood === "lose" ? { status: 0, body: "" } : { status: 200, body: '{"dtm_result":"SUCCESS"}' };
  }

  /** Only a saga's action may be refused. */
  #mood(op: string, url: string): Mood {
    if (this.#healed) return "do";
    const roll = this.#dice();
    const found = moods.find(([, below]) => roll < below)![0];
    return found === "refuse" && !(op === "action" && url.includes("/saga/")) ? "do" : found;
  }
}
