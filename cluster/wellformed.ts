/**
 * Whether what another node sent has the shape that its type claims. A message that crossed the network is not believed
 * before: a malformed one is refused as a whole and can't reach an actor. Says nothing about sense or rights.
 */
import { errors } from "../src/core/errors.js";
import { transTypes } from "../src/core/transaction.js";

type Fields = Readonly<Record<string, unknown>>;

/** Test of one value. */
type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === "string";
const flag: Check = (value) => typeof value === "boolean";
const whole: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const number: Check = (value) => typeof value === "number" && Number.isFinite(value);
const bytes: Check = (value) => value instanceof Uint8Array;
const anything: Check = () => true;

function optional(check: Check): Check {
  return (value) => value === undefined || value === null || check(value);
}

function oneOf(words: readonly string[]): Check {
  return (value) => typeof value === "string" && words.includes(value);
}

function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

function shape(checks: Readonly<Record<string, Check>>): Check {
  const entries = Object.entries(checks);
  return (value) =>
    typeof value === "object" && value !== null && entries.every(([name, check]) => check((value as Fields)[name]));
}

const texts: Check = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(text);
const type = oneOf(transTypes);
const status = oneOf(["prepared", "succeed", "failed"]);

/** What a step or branch may have of its own. */
const ofBranch = { headers: optional(texts), requestTimeoutS: optional(number) };

const submission = shape({
  type,
  protocol: oneOf(["http", "grpc", "json-rpc"]),
  options: shape({
    waitResult: flag,
    timeoutToFailS: optional(number),
    requestTimeoutS: optional(number),
    retryIntervalS: optional(number),
    retryLimit: optional(number),
    branchHeaders: optional(texts),
    concurrent: flag,
  }),
  steps: listOf(shape({ action: text, compensate: text, payload: bytes, ...ofBranch })),
  queryPrepared: text,
  customData: text,
  digest: text,
  lease: optional(shape({ executorId: text, seconds: number })),
});

const registration = shape({
  type,
  branchId: text,
  ops: listOf(shape({ op: text, url: text, status })),
  payload: bytes,
  ...ofBranch,
  executorId: optional(text),
});

/** By kind of request; `satisfies` below would be weaker than the test that sends one of each kind. */
const requests: Readonly<Record<string, Check>> = {
  prepare: shape({ submission }),
  submit: shape({ submission, hold: optional(flag) }),
  abort: shape({ type, reason: text, waitResult: flag, hold: optional(flag) }),
  forceStop: anything,
  registerBranch: shape({ registration }),
  prepareWorkflow: shape({ submission }),
  finishWorkflow: shape({ status: oneOf(["succeed", "failed"]), reason: text, result: text }),
  hasten: shape({ bulk: flag }),
  park: shape({ by: text, reason: text }),
  unpark: anything,
  query: anything,
  await: shape({ of: oneOf(["submit", "abort"]), sliceMs: optional(number) }),
};

const transaction = shape({ id: number, gid: text, type, status: text, version: number, ops: listOf(shape({})) });

const replies: Readonly<Record<string, Check>> = {
  refused: shape({ code: oneOf(Object.keys(errors)), message: text, retryAfterS: optional(number) }),
  accepted: shape({ await: optional(oneOf(["submit", "abort"])) }),
  transaction: shape({ transaction: optional(transaction) }),
};

function byKind(checks: Readonly<Record<string, Check>>): Check {
  return (value) => {
    const kind = (value as Fields | null | undefined)?.kind;
    return typeof kind === "string" && Object.hasOwn(checks, kind) && checks[kind]!(value);
  };
}

const asks = shape({ from: text, items: listOf(shape({ id: whole, gid: text, request: byKind(requests) })) });
const answers = shape({ from: text, items: listOf(shape({ id: whole, reply: byKind(replies) })) });
const changed = shape({
  from: text,
  shards: listOf(shape({ shard: whole, epoch: whole, owner: text, incarnation: whole })),
});

/** Whether a value is a message between nodes, of any kind. */
export const isMessage: Check = byKind({ asks, answers, changed });
