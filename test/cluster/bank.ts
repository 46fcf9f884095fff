/**
 * A bank whose branches are real HTTP participants behind the barrier: transfers are sagas of two steps, some are
 * refused. Outlives every node; knows which transfers are being called right now and judges what has come of them all.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type MemoryBarrier, memoryBarrier } from "../../src/client/barrier/memory.js";

/** Money of each account at first. */
const initial = 1000;
const accounts = 20;

export interface Bank {
  readonly url: string;
  /** Gids whose participants have been called and have not answered. */
  readonly onTheWire: ReadonlySet<string>;
  /** Calls so far. */
  readonly calls: number;
  /** Body of a submit. */
  transfer(gid: string, nth: number): Readonly<Record<string, unknown>>;
  /** What is wrong with the effects of a transfer that ended so; empty when nothing is. */
  judge(gid: string, status: string): string;
  /** Of all accounts together; never changes between transfers. */
  total(): number;
  readonly expectedTotal: number;
  close(): Promise<void>;
}

/** Opens it; answers take a few milliseconds, now and then a quarter of a second. */
export async function openBank(random: () => number): Promise<Bank> {
  const money: MemoryBarrier = memoryBarrier();
  const onTheWire = new Map<string, number>();
  let calls = 0;
  const balance = (account: number) => initial + Number(money.values.get(`account ${account}`) ?? 0);

  const carryOut = async (url: URL, op: string) => {
    const [gid, branch] = ["gid", "branch_id"].map((name) => url.searchParams.get(name) ?? "");
    const sign = url.pathname.startsWith("/out") === (op === "action") ? -1 : 1;
    const [, , account, amount] = url.pathname.split("/");
    await money.run({ url: `${url}` }, async (tx) => {
      await tx.update(`account ${account}`, (now) => Number(now ?? 0) + sign * Number(amount));
      await tx.update(`${gid} ${branch} ${op}`, (now) => Number(now ?? 0) + 1);
    });
  };
  const answer = async (request: IncomingMessage): Promise<number> => {
    const url = new URL(request.url ?? "/", "http://bank");
    const gid = url.searchParams.get("gid") ?? "";
    const op = url.searchParams.get("op") ?? "";
    calls++;
    onTheWire.set(gid, (onTheWire.get(gid) ?? 0) + 1);
    try {
      await delay(random() < 0.05 ? 250 : random() * 20);
      if (url.searchParams.get("refuse") === "1" && op === "action") return 409;
      await carryOut(url, op);
      return 200;
    } finally {
      const left = (onTheWire.get(gid) ?? 1) - 1;
      if (left === 0) onTheWire.delete(gid);
      else onTheWire.set(gid, left);
    }
  };
  const server = createServer((request, response) => {
    request.resume();
    answer(request).then(
      (status) => response.writeHead(status).end(status === 409 ? "FAILURE" : "{}"),
      (cause) => response.writeHead(500).end(String(cause)),
    );
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const effects = (gid: string, branch: string, op: string) => Number(money.values.get(`${gid} ${branch} ${op}`) ?? 0);
  return {
    url: base,
    get onTheWire() {
      return new Set(onTheWire.keys());
    },
    get calls() {
      return calls;
    },
    transfer(gid, nth) {
      const amount = 1 + (nth % 7);
      const out = `${base}/out/${nth % accounts}/${amount}`;
      const into = `${base}/in/${(nth * 7 + 1) % accounts}/${amount}`;
      const refuse = nth % 6 === 0 ? "?refuse=1" : "";
      return {
        gid,
        trans_type: "saga",
        retry_interval: 1,
        steps: [
          { action: out, compensate: out },
          { action: into + refuse, compensate: into },
        ],
        payloads: ["{}", "{}"],
      };
    },
    judge(gid, status) {
      const found = ["01", "02"].map((branch) => [effects(gid, branch, "action"), effects(gid, branch, "compensate")]);
      const good =
        status === "succeed"
          ? found.every(([action, compensate]) => action === 1 && compensate === 0)
          : found.every(([action, compensate]) => action === compensate && action! <= 1);
      return good ? "" : `${gid} is ${status}, effects (action, compensate) of its branches: ${JSON.stringify(found)}`;
    },
    total: () => Array.from({ length: accounts }, (_, i) => balance(i)).reduce((a, b) => a + b),
    expectedTotal: initial * accounts,
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
