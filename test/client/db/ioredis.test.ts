// The Redis barrier on a real server: compared with the memory model over random deliveries, and the defects it
// corrects.
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import { type RedisBarrier, redisBarrier } from "../../../src/client/barrier/ioredis.js";
import { memoryBarrier } from "../../../src/client/barrier/memory.js";
import { BarrierError, Duplicated, Failure } from "../../../src/client/errors.js";
import { available, type Server, startRedis } from "../../servers.js";

let server: Server;
let redis: Redis;
let barrier: RedisBarrier;
const here = await available("redis");

beforeAll(async () => {
  if (!here) return;
  server = await startRedis();
  redis = new Redis(server.url);
  barrier = redisBarrier(redis);
});

afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});

const branch = (gid: string, op: string, branchId = "01") =>
  barrierFrom({ gid, trans_type: "saga", branch_id: branchId, op });
let count = 0;
const fresh = () => `g${process.pid}.${count++}`;

describe.runIf(here)("barrier on Redis", () => {
  it("does what the memory model does on any sequence of deliveries (P1–P6, P11)", async () => {
    const kinds = new Set<string>();
    const ops = fc.array(fc.constantFrom("action", "compensate", "try", "cancel", "rollback", "confirm", "msg"), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(ops, fc.integer({ min: 0, max: 40 }), async (sequence, start) => {
        const gid = fresh();
        const model = memoryBarrier();
        await redis.set(gid, start);
        await model.transaction((tx) => tx.update("balance", () => start));
        for (const op of sequence) {
          const amount = ["compensate", "cancel", "rollback"].includes(op) ? 30 : -30;
          const real = await barrier.adjust(branch(gid, op), gid, amount).then(kindOf, String);
          const expected = await model
            .run(branch(gid, op), (tx) =>
              tx.update("balance", (now) => {
                if (amount < 0 && Number(now) + amount < 0) throw new Failure("too little");
                return Number(now) + amount;
              }),
            )
            .then(kindOf, String);
          expect(real.split(":")[0]).toBe(expected.split(":")[0]);
          kinds.add(real.split(":")[0]!);
        }
        expect(Number(await redis.get(gid))).toBe(model.values.get("balance"));
      }),
      { numRuns: 400 },
    );
    const all = ["Duplicated", "Failure", "duplicate", "executed", "null-compensation", "suspended"];
    expect([...kinds].sort()).toEqual(all);
  });

  it("answers a repeated action as duplicate although its own effect has drained the account", async () => {
    const gid = fresh();
    await redis.set(gid, 30);
    expect((await barrier.adjust(branch(gid, "action"), gid, -30)).kind).toBe("executed");
    expect((await barrier.adjust(branch(gid, "action"), gid, -30)).kind).toBe("duplicate");
  });

  it("never refuses a compensation, not even one of a credit that was spent meanwhile", async () => {
    const gid = fresh();
    await redis.set(gid, 0);
    await barrier.adjust(branch(gid, "action"), gid, 30);
    await redis.set(gid, 0);
    expect(await barrier.adjust(branch(gid, "compensate"), gid, -30)).toEqual({ kind: "executed", value: -30 });
  });

  it("shares keys and values with DTM's clients", async () => {
    const gid = fresh();
    await redis.set(gid, 0);
    await barrier.adjust(branch(gid, "compensate"), gid, -30);
    expect(await redis.get(`${gid}-01-compensate-01`)).toBe("op");
    expect(await redis.get(`${gid}-01-action-01`)).toBe("rollback");
    await redis.set(`${gid}x-01-action-01`, "op");
    expect((await barrier.adjust(branch(`${gid}x`, "action"), gid, 1)).kind).toBe("duplicate");
    expect(await redis.ttl(`${gid}-01-action-01`)).toBeGreaterThan(6 * 86_400);
  });

  it("keeps branches apart whose names would make one key (P10)", async () => {
    const gid = fresh();
    await redis.set(gid, 0);
    expect((await barrier.adjust(branch(`${gid}-a`, "action", "b-c"), gid, 1)).kind).toBe("executed");
    expect((await barrier.adjust(branch(`${gid}-a-b`, "action", "c"), gid, 1)).kind).toBe("executed");
    expect((await barrier.adjust(branch(`${gid}-a`, "action", "b%2Dc"), gid, 1)).kind).toBe("executed");
  });

  it("keeps gids apart that differ in case or only far to the right (P10)", async () => {
    const gid = fresh();
    const long = `${gid}${"x".repeat(200)}`.slice(0, 127);
    await redis.set(gid, 0);
    for (const one of [`${gid}a`, `${gid}A`, `${long}1`, `${long}2`]) {
      expect((await barrier.adjust(branch(one, "action"), gid, 1)).kind).toBe("executed");
    }
    expect(await redis.get(gid)).toBe("4");
  });

  it("guards each call of a handler on its own, also when it died between two of them (P9)", async () => {
    const gid = fresh();
    await redis.mset(`${gid}1`, 0, `${gid}2`, 0);
    const handler = async (op: string, calls: readonly number[]) => {
      const delivery = branch(gid, op);
      const kinds: string[] = [];
      for (const call of calls) kinds.push((await barrier.adjust(delivery, `${gid}${call}`, 1)).kind);
      return kinds;
    };
    expect(await handler("action", [1])).toEqual(["executed"]);
    expect(await handler("action", [1, 2])).toEqual(["duplicate", "executed"]);
    expect(await handler("compensate", [1, 2])).toEqual(["executed", "executed"]);
    expect(await redis.mget(`${gid}1`, `${gid}2`)).toEqual(["2", "2"]);
  });

  it("leaves no guard behind when the effect fails, so that the next delivery tries again", async () => {
    const gid = fresh();
    await redis.set(gid, "not a number");
    const add = { keys: [gid], effect: "return redis.call('INCRBY', keys[1], 1)" };
    await expect(barrier.run(branch(gid, "action"), add)).rejects.toThrow(BarrierError);
    await redis.set(gid, 1);
    expect(await barrier.run(branch(gid, "action"), add)).toEqual({ kind: "executed", value: 2 });
  });

  it("gives a check-back one answer for ever (P7)", async () => {
    const [done, not] = [fresh(), fresh()];
    await redis.set(done, 30);
    await barrier.adjust(barrierFrom({ gid: done, trans_type: "msg", branch_id: "00", op: "msg" }), done, -30);
    expect(await barrier.queryPrepared(branch(done, "msg", "00"))).toBe("committed");
    expect(await barrier.queryPrepared(branch(not, "msg", "00"))).toBe("rolled-back");
    const late = barrier.adjust(branch(not, "msg", "00"), done, 0);
    await expect(late).rejects.toThrow(Duplicated);
    expect(await barrier.queryPrepared(branch(not, "msg", "00"))).toBe("rolled-back");
  });

  it("refuses guards that live less than a day, and amounts that are not whole", () => {
    expect(() => redisBarrier(redis, { expire: "1h" })).toThrow(/a day at least/);
    expect(() => barrier.adjust(branch("g", "action"), "g", 0.5)).toThrow(/whole number/);
  });

  it("is not content with a Redis that may evict guards, in either protocol, and with one that may not", async () => {
    const own = await startRedis({ own: true });
    const clients = [new Redis(own.url), new Redis(own.url, { protocol: 3 })];
    try {
      for (const policy of ["allkeys-lru", "volatile-ttl", "noeviction"])
        for (const client of clients) {
          await client.config("SET", "maxmemory-policy", policy);
          const checked = redisBarrier(client).selfCheck();
          if (policy === "noeviction") await expect(checked).resolves.toBeUndefined();
          else
            await expect(checked).rejects.toMatchObject({
              ...{ code: "DTX_BARRIER", hint: "set maxmemory-policy to noeviction" },
              message: expect.stringContaining(`maxmemory-policy ${policy}`),
            });
        }
    } finally {
      for (const client of clients) client.disconnect();
      await own.stop();
    }
  });

  it("answers a repeat with the first one's value where it remembers, and with none where it does not", async () => {
    const remembering = redisBarrier(redis, { remember: true, expire: "2d" });
    const values = ["42", "'ä \\0 text'", "{1, 'two', {3}}", "nil", "false", "redis.call('INCR', keys[1])"];
    const expected = [42, "ä \0 text", [1, "two", [3]], undefined, undefined, 1];
    for (const [n, lua] of values.entries()) {
      const [gid, counter] = [fresh(), fresh()];
      const effect = { keys: [counter], effect: `return ${lua}` };
      const [first, repeat] = [branch(gid, "action"), branch(gid, "action")];
      expect(await remembering.run(first, effect)).toEqual({ kind: "executed", value: expected[n] });
      expect(await remembering.run(repeat, effect)).toEqual({ kind: "duplicate", value: expected[n] });
      expect(await barrier.run(branch(gid, "action"), effect)).toEqual({ kind: "duplicate" });
      expect(await redis.ttl(`${gid}-01-action-01-result`)).toBe(expected[n] === undefined ? -2 : 2 * 86_400);
    }
  });

  it("keeps no value where it does not remember, and none of what was skipped", async () => {
    const [plain, undone] = [fresh(), fresh()];
    const effect = { keys: [], effect: "return 7" };
    const remembering = redisBarrier(redis, { remember: true });
    await barrier.run(branch(plain, "action"), effect);
    expect(await remembering.run(branch(plain, "action"), effect)).toEqual({ kind: "duplicate" });
    expect(await remembering.run(branch(undone, "compensate"), effect)).toEqual({ kind: "null-compensation" });
    expect(await remembering.run(branch(undone, "action"), effect)).toEqual({ kind: "suspended" });
    for (const gid of [plain, undone]) expect(await redis.keys(`${gid}-*-result`)).toEqual([]);
  });
});

const kindOf = (result: { kind: string }) => result.kind;
