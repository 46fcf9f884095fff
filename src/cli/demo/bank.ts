/**
 * The two participants of the demo: services that know nothing of each other, each with its own account and its own
 * barrier. Real HTTP servers on loopback; what they see is told through `onMove` as it happens.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type MemoryBarrier, type MemoryTx, memoryBarrier } from "../../client/barrier/memory.js";
import { Failure } from "../../client/errors.js";
import { type BranchIdentity, readIdentity } from "../../client/identity.js";
import { toHttp } from "../../client/result.js";

/** Something a participant saw or said. `text` is for people. */
export interface Move {
  readonly kind: "called" | "answered";
  readonly atMs: number;
  readonly service: string;
  readonly branch: BranchIdentity;
  readonly text: string;
  /** Status of the answer; 0 while there is none. */
  readonly status: number;
}

/** How the bank behaves. */
export interface BankOptions {
  /** Time that each service takes before it answers, milliseconds. */
  readonly paceMs: number;
  readonly onMove: (move: Move) => void;
}

/** Both services, listening. */
export interface Bank {
  readonly alice: string;
  readonly bob: string;
  balances(): { readonly alice: number; readonly bob: number };
  /** From now on Bob's bank accepts no money (TransIn answers 409), or does again. */
  freezeBob(frozen: boolean): void;
  close(): Promise<void>;
}

interface Account {
  readonly owner: string;
  readonly barrier: MemoryBarrier;
  frozen: boolean;
}

/** What each URL does to the account that it belongs to: the sign of the amount. */
const operations: Readonly<Record<string, { readonly sign: 1 | -1; readonly mayRefuse: boolean }>> = {
  TransOut: { sign: -1, mayRefuse: true },
  TransOutCompensate: { sign: 1, mayRefuse: false },
  TransIn: { sign: 1, mayRefuse: true },
  TransInCompensate: { sign: -1, mayRefuse: false },
};

/** Starts both services: Alice with 100, Bob with 0. */
export async function openBank(options: BankOptions): Promise<Bank> {
  const alice = await openAccount("Alice", 100);
  const bob = await openAccount("Bob", 0);
  const servers = await Promise.all([serve(alice, options), serve(bob, options)]);
  return {
    alice: urlOf(servers[0]),
    bob: urlOf(servers[1]),
    balances: () => ({ alice: balance(alice), bob: balance(bob) }),
    freezeBob: (frozen) => {
      bob.frozen = frozen;
    },
    close: async () => {
      await Promise.all(servers.map(closed));
    },
  };
}

async function openAccount(owner: string, amount: number): Promise<Account> {
  const barrier = memoryBarrier();
  await barrier.transaction((tx) => tx.update("balance", () => amount));
  return { owner, barrier, frozen: false };
}

function balance(account: Account): number {
  return Number(account.barrier.values.get("balance"));
}

async function serve(account: Account, options: BankOptions): Promise<Server> {
  const server = createServer((request, response) => {
    void answer(account, options, request).then(({ status, body }) => {
      response.writeHead(status, { "content-type": "application/json" }).end(body);
    });
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return server;
}

/**
 * One call of the coordinator. The barrier and the change of the balance are one transaction, so a repeat does nothing.
 */
async function answer(account: Account, { paceMs, onMove }: BankOptions, request: IncomingMessage) {
  let told: Omit<Move, "kind" | "atMs" | "text" | "status"> | undefined;
  let text = "";
  const result = await toHttp(async () => {
    const service = new URL(request.url ?? "/", "http://demo").pathname.slice(1);
    const amount = amountIn(await bodyOf(request));
    told = { service, branch: readIdentity(request.url ?? "") };
    const { branchId, op } = told.branch;
    onMove({
      ...told,
      kind: "called",
      atMs: Date.now(),
      text: `branch ${branchId}, ${op}, amount ${amount}`,
      status: 0,
    });
    await pause(paceMs);
    const done = await account.barrier.run({ url: request.url ?? "" }, (tx) => move(account, service, amount, tx));
    text = done.kind === "executed" ? done.value : skipped[done.kind];
  });
  if (told !== undefined) {
    const said = result.status === 409 ? `${account.owner}'s account is frozen` : text;
    onMove({ ...told, kind: "answered", atMs: Date.now(), text: said, status: result.status });
  }
  return result;
}

/** What the barrier found instead of something to do. */
const skipped = {
  duplicate: "barrier: done before, not done twice",
  "null-compensation": "barrier: not done, nothing to undo",
  suspended: "barrier: undone before it began",
} as const;

async function move(account: Account, service: string, amount: number, tx: MemoryTx): Promise<string> {
  const operation = operations[service];
  if (operation === undefined) throw new Error(`no operation ${service}`);
  if (operation.mayRefuse && account.frozen) throw new Failure(`${account.owner}'s account is frozen`);
  const before = Number(tx.get("balance"));
  await tx.update("balance", (now) => Number(now) + operation.sign * amount);
  return `${account.owner} ${before} → ${before + operation.sign * amount}`;
}

function amountIn(body: string): number {
  const value: unknown = JSON.parse(body);
  const amount = value instanceof Object && "amount" in value ? value.amount : undefined;
  if (typeof amount !== "number") throw new Error("the payload holds no amount");
  return amount;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  return body;
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => void server.close(() => resolve()));
}
