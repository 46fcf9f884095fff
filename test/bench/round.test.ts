// The benchmark must be able to say "lost": it is run against small coordinators of known vices.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cpuSeconds } from "../../bench/cpu.js";
import { Participants } from "../../bench/participants.js";
import { median, summarise } from "../../bench/report.js";
import { type Round, runRound } from "../../bench/round.js";

type Vice = "none" | "loses" | "repeats" | "refuses";

interface Body {
  readonly gid: string;
  readonly steps: readonly { readonly action: string; readonly compensate: string }[];
}

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

/**
 * Acknowledges first and then calls the branches one after another; undoes them when one refuses. Nothing is stored.
 */
async function coordinate({ gid, steps }: Body, vice: Vice, nth: number): Promise<void> {
  const call = async (at: number, op: "action" | "compensate") => {
    const query = `branch_id=0${at + 1}&gid=${gid}&op=${op}&trans_type=saga`;
    const response = await fetch(`${steps[at]![op]}?${query}`, { method: "POST", body: "{}" });
    await response.arrayBuffer();
    return response.status;
  };
  if (vice === "loses" && nth % 10 === 9) return;
  for (let at = 0; at < steps.length; at++) {
    if ((await call(at, "action")) === 200) continue;
    for (let back = at; back >= 0; back--) await call(back, "compensate");
    return;
  }
  if (vice === "repeats") await call(0, "action");
}

async function withCoordinator(vice: Vice, pattern: "saga" | "rollback", clients: number): Promise<Round> {
  let nth = 0;
  const server = createServer((request, response) => {
    readBody(request)
      .then((body) => {
        const refused = vice === "refuses" && nth % 2 === 1;
        response.writeHead(refused ? 503 : 200).end('{"dtm_result":"SUCCESS"}');
        const mine = nth++;
        return refused ? undefined : coordinate(body, vice, mine);
      })
      .catch((cause: unknown) => response.destroy(cause instanceof Error ? cause : undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const target = { name: vice, addresses: [`http://127.0.0.1:${port}/api/dtmsvr`], pids: [process.pid] };
  const times = { warmupSeconds: 0.2, seconds: 0.5, drainSeconds: 1 };
  const round = await runRound({ target, pattern, clients, ...times, nextIndex: () => index++ }, participants);
  server.closeAllConnections();
  server.close();
  return round;
}

let participants: Participants;
let index = 0;
beforeAll(async () => {
  participants = await Participants.start();
});
afterAll(() => participants.close());

describe("a round of the benchmark", () => {
  it.each(["saga", "rollback"] as const)("finds nothing wrong with an honest coordinator (%s)", async (pattern) => {
    const round = await withCoordinator("none", pattern, 4);
    expect(round).toMatchObject({ lost: 0, errors: 0, completed: round.acknowledged });
    expect(participants.repeated(...round.indices)).toBe(0);
    expect(round.acknowledged).toBeGreaterThan(20);
    expect(round.perSecond).toBeGreaterThan(20);
    expect(round.p50Ms).toBeGreaterThan(0);
    expect(round.p99Ms).toBeGreaterThanOrEqual(round.p50Ms);
    expect(round.cpuMsEach).toBeGreaterThan(0);
  });

  it("counts acknowledged transactions whose branches were never called as lost", async () => {
    const round = await withCoordinator("loses", "saga", 4);
    expect(round.lost).toBeGreaterThan(0);
    expect(round.completed).toBe(round.acknowledged - round.lost);
  });

  it("counts calls that come a second time", async () => {
    const round = await withCoordinator("repeats", "saga", 2);
    expect(round).toMatchObject({ lost: 0, errors: 0 });
    expect(participants.repeated(...round.indices)).toBeGreaterThan(0);
    expect(participants.repeated(round.indices[1], Number.POSITIVE_INFINITY)).toBe(0);
  });

  it("counts a refused submit as an error with its text, not as lost", async () => {
    const round = await withCoordinator("refuses", "saga", 2);
    expect(round.lost).toBe(0);
    expect(round.errors).toBeGreaterThan(0);
    expect(round.firstError).toContain("503");
  });
});

describe("the report", () => {
  it("takes the median of the rounds and the sum of the counts", () => {
    const round = (perSecond: number, lost: number) => ({
      ...{
        target: "a",
        pattern: "saga" as const,
        clients: 1,
        perSecond,
        p50Ms: 1,
        p99Ms: 2,
        cpuMsEach: undefined,
        commitsEach: undefined,
      },
      ...{ acknowledged: 10, completed: 10 - lost, lost, errors: 0, indices: [0, 10] as const, firstError: undefined },
    });
    const [row] = summarise([round(5, 0), round(1, 1), round(3, 1)], () => 1);
    expect(row).toMatchObject({ perSecond: 3, perSecondRange: [1, 5], rounds: 3 });
    expect(row).toMatchObject({ acknowledged: 30, lost: 2, repeated: 3 });
    expect(median([4, 1])).toBe(2.5);
  });

  it("has no CPU figure for a process that is not there", () => {
    expect(cpuSeconds([process.pid])).toBeGreaterThan(0);
    expect(cpuSeconds([2 ** 30])).toBeUndefined();
  });
});
