// A participant for end-to-end tests: a bank in memory behind real HTTP, its steps defined with the public API.

import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type MemoryBarrier, type MemoryTx, memoryBarrier } from "../../../src/client/barrier/memory.js";
import {
  checkBack,
  defineReceiver,
  defineStep,
  defineTccStep,
  Failure,
  type Route,
  route,
} from "../../../src/client/index.js";
import { tandemRoutes } from "../../../src/client/participant/express.js";

/** Money moved to or from an account. */
export interface Transfer {
  readonly account: string;
  readonly amount: number;
}

/** A running service with its database and the deliveries it got, as `op branch` in order. */
export interface Bank {
  readonly url: string;
  readonly db: MemoryBarrier;
  readonly deliveries: string[];
  balance(account: string): number;
  readonly steps: {
    readonly credit: ReturnType<ReturnType<typeof creditStep>["at"]>;
    readonly debit: ReturnType<ReturnType<typeof creditStep>["at"]>;
    readonly hold: ReturnType<ReturnType<typeof holdStep>["at"]>;
    readonly receive: string;
  };
  stop(): Promise<void>;
}

const number = (value: unknown): number => (typeof value === "number" ? value : 0);

/** Adds to an account; refuses to go below zero. */
export async function add(tx: MemoryTx, account: string, amount: number): Promise<number> {
  await tx.update(account, (now) => {
    if (number(now) + amount < 0)
      throw new Failure(`${account} has only ${number(now)}`, { details: { left: number(now) } });
    return number(now) + amount;
  });
  return number(tx.get(account));
}

function creditStep(db: MemoryBarrier, path: string, sign: 1 | -1) {
  return defineStep<MemoryTx, Transfer>({
    path,
    guard: db,
    action: (tx, { account, amount }) => add(tx, account, sign * amount),
    compensate: async (tx, { account, amount }) => {
      await add(tx, account, -sign * amount);
    },
  });
}

function holdStep(db: MemoryBarrier) {
  return defineTccStep<MemoryTx, { readonly left: number }, Transfer>({
    path: "/hold",
    guard: db,
    try: async (tx, { account, amount }) => {
      const left = await add(tx, account, -amount);
      await add(tx, `${account} held`, amount);
      return { left };
    },
    confirm: async (tx, { account, amount }) => {
      await add(tx, `${account} held`, -amount);
    },
    cancel: async (tx, { account, amount }) => {
      await add(tx, `${account} held`, -amount);
      await add(tx, account, amount);
    },
  });
}

/** Starts the bank; `further` routes are mounted beside its own. */
export async function startBank(further: (db: MemoryBarrier) => readonly Route[] = () => []): Promise<Bank> {
  const db = memoryBarrier();
  const deliveries: string[] = [];
  const credit = creditStep(db, "/credit", 1);
  const debit = creditStep(db, "/debit", -1);
  const hold = holdStep(db);
  const receive = defineReceiver<MemoryTx, Transfer>({
    path: "/receive",
    guard: db,
    receive: async (tx, { account, amount }) => {
      await add(tx, account, amount);
    },
  });
  const routes = [
    ...[credit, debit, hold, receive].flatMap((step) => step.routes),
    checkBack("/check", db),
    route("/refuse", () => {
      throw new Failure("never");
    }),
    ...further(db),
  ];
  const answer = tandemRoutes(routes);
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? "", "http://bank");
    deliveries.push(`${searchParams.get("op")} ${searchParams.get("branch_id")}`);
    answer(request, response);
  });
  const url = await listen(server);
  return {
    url,
    db,
    deliveries,
    balance: (account) => number(db.values.get(account)),
    steps: { credit: credit.at(url), debit: debit.at(url), hold: hold.at(url), receive: receive.at(url) },
    stop: () => stop(server),
  };
}

/** Listens on a free loopback port; resolves to the base URL. */
export async function listen(server: HttpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Ends a server and its connections. */
export async function stop(server: HttpServer): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}
