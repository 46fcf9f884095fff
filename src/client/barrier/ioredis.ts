// The barrier on Redis: guard and effect in one script, so that both happen or neither. Key names and values are those
// of DTM's clients. The order inside is not theirs: a repeated delivery is recognised before any condition is looked
// at (theirs answers FAILURE to a repeat whose own effect has used up the balance), and a compensation never refuses.

import { createHash } from "node:crypto";
import { type Duration, toSeconds } from "../duration.js";
import { BarrierError, Duplicated, Failure, invalidInput } from "../errors.js";
import type { BranchIdentity, BranchSource } from "../identity.js";
import { type BarrierResult, type CheckBack, checkBackRow, checkBackVerdict, originOp } from "./core.js";
import { barrierFrom, type Delivery } from "./delivery.js";
import type { BarrierCallOptions, DeliverySource } from "./guard.js";

/** What is used of ioredis; a `Redis` and a `Cluster` are both that. */
export interface RedisScripts {
  eval(script: string, keyCount: number, ...values: string[]): Promise<unknown>;
  evalsha(sha: string, keyCount: number, ...values: string[]): Promise<unknown>;
  config?(subcommand: "GET", parameter: string): Promise<unknown>;
}

/** Settings of a Redis barrier. */
export interface RedisBarrierOptions {
  /** How long guards live: longer than any delivery can be late. Default 7 days, at least 1 day. */
  readonly expire?: Duration;
  /**
   * Keep what `effect` returns beside the guard, for as long, and answer repeated deliveries with it, not with nothing.
   * In a key of its own, the guard's with `-result` behind it; on a cluster it needs a `hashTag`. Default: no.
   */
  readonly remember?: boolean;
}

/**
 * What to do in Redis, as Lua in which `keys` and `args` are tables. `check` may return a text: then nothing is done
 * and `Failure` is thrown with it; it is not asked for compensations. `effect` should make one write, or check before
 * its first: Redis does not undo what a script wrote before it failed.
 */
export interface RedisEffect {
  readonly keys: readonly string[];
  readonly args?: readonly (string | number)[];
  readonly check?: string;
  readonly effect: string;
  /** On a cluster: the hash tag of `keys`, without braces, so that the guards live in their slot. */
  readonly hashTag?: string;
}

/** The barrier of one Redis. Guards that expire or are evicted no longer protect: use the policy `noeviction`. */
export interface RedisBarrier {
  /** Runs the effect at most once; its value is what `effect` returns. */
  run(delivery: DeliverySource, effect: RedisEffect, options?: BarrierCallOptions): Promise<BarrierResult<unknown>>;
  /** Adds `amount` to an integer key. Refuses to go below zero or to touch a missing key, unless it compensates. */
  adjust(delivery: DeliverySource, key: string, amount: number, hashTag?: string): Promise<BarrierResult<unknown>>;
  /**
   * For a service's start: rejects if this Redis may evict guards, whose deliveries would run again. On a cluster it
   * asks one node.
   */
  selfCheck(): Promise<void>;
  /** Whether a message's local work was done. If it is not yet, it never will be. */
  queryPrepared(source: BranchSource | Delivery, hashTag?: string): Promise<CheckBack>;
}

/** A barrier over an ioredis client. */
export function redisBarrier(redis: RedisScripts, options: RedisBarrierOptions = {}): RedisBarrier {
  const seconds = String(expireSeconds(options.expire ?? "7d"));
  const { remember = false } = options;
  const barrier: RedisBarrier = {
    async run(source, effect, callOptions = {}) {
      const delivery = barrierFrom(source);
      const barrierId = delivery.nextBarrierId(callOptions.id);
      const { branch } = delivery;
      const origin = originOp(branch.op);
      const own = guardKey(branch, branch.op, barrierId, effect.hashTag);
      const keys = [
        own,
        origin === undefined ? own : guardKey(branch, origin, barrierId, effect.hashTag),
        remember ? `${own}-result` : own,
        ...effect.keys,
      ];
      const args = [
        origin === undefined ? "" : "undo",
        seconds,
        remember ? "remember" : "",
        ...(effect.args ?? []).map(String),
      ];
      return resultOf(branch, await runScript(redis, scriptOf(effect), keys, args));
    },
    adjust: (delivery, key, amount, hashTag) => {
      if (!Number.isSafeInteger(amount)) {
        throw invalidInput(`an amount is a whole number, not ${amount}`);
      }
      return barrier.run(delivery, { ...adjustment, keys: [key], args: [amount], hashTag });
    },
    async selfCheck() {
      const policy = policyIn(await redis.config?.("GET", "maxmemory-policy"));
      if (policy === undefined || policy === "noeviction") return;
      throw new BarrierError(`this Redis evicts keys when it is full (maxmemory-policy ${policy}), guards among them`, {
        hint: "set maxmemory-policy to noeviction",
      });
    },
    async queryPrepared(source, hashTag) {
      const { branch } = barrierFrom(source);
      const { gid, branchId, op, barrierId } = checkBackRow(branch.gid, branch.transType);
      const key = guardKey({ gid, branchId }, op, barrierId, hashTag);
      const found = await runScript(redis, checkBackScript, [key], [seconds]);
      return checkBackVerdict(typeof found === "string" ? found : undefined, gid);
    },
  };
  return barrier;
}

/** A list of name and value, or an object of RESP 3. */
function policyIn(answer: unknown): string | undefined {
  const value: unknown = Array.isArray(answer) ? answer[1] : Object(answer)["maxmemory-policy"];
  return typeof value === "string" ? value : undefined;
}

const adjustment = {
  check: `local value = redis.call('GET', keys[1])
    if not value then return keys[1] .. ' does not exist' end
    if tonumber(value) + tonumber(args[1]) < 0 then return keys[1] .. ' has only ' .. value end`,
  effect: "return redis.call('INCRBY', keys[1], args[1])",
};

const checkBackScript = `
redis.call('SET', KEYS[1], 'rollback', 'NX', 'EX', ARGV[1])
return redis.call('GET', KEYS[1])`;

/** Guards are written after the effect: a script that fails leaves none, and the next delivery tries again. */
const scriptOf = ({ check = "", effect }: RedisEffect): string => `
local own, undo, ttl, remember = redis.call('GET', KEYS[1]), ARGV[1] ~= '', ARGV[2], ARGV[3] ~= ''
if own == 'rollback' then return {'suspended'} end
if own then
  local kept = remember and redis.call('GET', KEYS[3])
  return {'duplicate', kept and cmsgpack.unpack(kept)}
end
if undo and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[1], 'op', 'EX', ttl)
  redis.call('SET', KEYS[2], 'rollback', 'EX', ttl)
  return {'null-compensation'}
end
local keys, args = {unpack(KEYS, 4)}, {unpack(ARGV, 4)}
local function check() ${check} end
local function effect() ${effect} end
local refusal = not undo and check()
if refusal then return {'refused', tostring(refusal)} end
local value = effect()
redis.call('SET', KEYS[1], 'op', 'EX', ttl)
if remember and value then redis.call('SET', KEYS[3], cmsgpack.pack(value), 'EX', ttl) end
return {'executed', value}`;

/**
 * DTM's name of a guard, `gid-branch-op-barrier`. A hyphen inside a branch id is escaped: without that, branch `b-c`
 * of `a` and branch `c` of `a-b` would be one.
 */
function guardKey(
  { gid, branchId }: Pick<BranchIdentity, "gid" | "branchId">,
  op: string,
  barrierId: string,
  hashTag: string | undefined,
): string {
  const branch = branchId.replaceAll("%", "%25").replaceAll("-", "%2D");
  return `${hashTag === undefined ? "" : `{${hashTag}}`}${gid}-${branch}-${op}-${barrierId}`;
}

function resultOf(branch: BranchIdentity, answer: unknown): BarrierResult<unknown> {
  const { gid, branchId, op } = branch;
  const [kind, value] = Array.isArray(answer) ? (answer as unknown[]) : [];
  switch (kind) {
    case "executed":
      return { kind, value: value ?? undefined };
    case "refused":
      throw new Failure(String(value), { gid, branchId });
    case "null-compensation":
      return { kind };
    case "duplicate":
    case "suspended":
      if (op !== "msg")
        return kind === "suspended" || value === undefined || value === null ? { kind } : { kind, value };
      throw new Duplicated("the local work of this message was done or given up before", { gid, branchId });
    default:
      throw new BarrierError(`the barrier's script answered ${JSON.stringify(answer)}`, { gid, branchId });
  }
}

async function runScript(redis: RedisScripts, script: string, keys: readonly string[], args: readonly string[]) {
  const values = [...keys, ...args];
  try {
    const sha = createHash("sha1").update(script).digest("hex");
    return await redis.evalsha(sha, keys.length, ...values).catch((error: unknown) => {
      if (!String(error).includes("NOSCRIPT")) throw error;
      return redis.eval(script, keys.length, ...values);
    });
  } catch (cause) {
    throw new BarrierError("the barrier's script failed", { cause });
  }
}

function expireSeconds(expire: Duration): number {
  const seconds = toSeconds(expire);
  if (seconds >= toSeconds("1d")) return seconds;
  throw invalidInput("guards must live for a day at least", {
    hint: "a delivery that comes after its guard expired runs again",
  });
}
