/**
 * The shapes of answers and bodies as JSON Schema, for the OpenAPI document. They describe what `wire` writes; a test
 * compares them with real answers.
 */
import { Type } from "typebox";
import { statuses, transTypes } from "../../../core/transaction.js";

const words = (all: readonly string[]) => Type.Enum([...all]);

/** RFC 3339, UTC, milliseconds. */
export const time = Type.String({ format: "date-time" });
/** The five words of S-GEN-2. */
export const status = words(statuses);
/** The five words of S-GEN-1. */
export const transType = words(transTypes);
const protocol = words(["http", "grpc", "json-rpc"]);
const opStatus = words(["prepared", "succeed", "failed"]);
const seconds = Type.Integer({ minimum: 0, description: "Seconds; 0 or absent = the server's default." });

/** Answer to what was accepted. */
export const accepted = Type.Object({ dtm_result: Type.Literal("SUCCESS") });

/** Every refusal. */
export const refusal = Type.Object({
  dtm_result: Type.Optional(words(["FAILURE", "ONGOING"])),
  message: Type.String({ minLength: 1 }),
  progress: Type.Optional(Type.Object({ branch_id: Type.String(), op: Type.String(), status: opStatus })),
  transaction: Type.Optional(Type.String({ description: "Of prepareWorkflow: the message again." })),
});

const options = {
  wait_result: Type.Optional(Type.Boolean()),
  timeout_to_fail: Type.Optional(seconds),
  request_timeout: Type.Optional(seconds),
  retry_interval: Type.Optional(seconds),
  branch_headers: Type.Optional(Type.Record(Type.String(), Type.String())),
  concurrent: Type.Optional(Type.Boolean()),
  retry_limit: Type.Optional(Type.Integer({ minimum: 0 })),
};

const tries = {
  attempts: Type.Optional(Type.Integer()),
  contract_violations: Type.Optional(Type.Integer({ description: "FAILURE from an op that must not refuse." })),
  last_error: Type.Optional(Type.String()),
  next_time: Type.Optional(time),
};

/** One op of a branch. */
export const branch = Type.Object({
  id: Type.Integer(),
  create_time: time,
  update_time: time,
  gid: Type.String(),
  url: Type.Optional(Type.String()),
  bin_data: Type.Optional(Type.String({ contentEncoding: "base64" })),
  branch_id: Type.String(),
  op: Type.String(),
  status: opStatus,
  finish_time: Type.Optional(time),
  started_time: Type.Optional(time),
  ...tries,
  blocked: Type.Optional(Type.String({ description: "Target whose breaker or limit holds the call back." })),
});

const common = {
  id: Type.Integer(),
  gid: Type.String(),
  trans_type: transType,
  status,
  protocol,
  create_time: time,
  update_time: time,
  finish_time: Type.Optional(time),
  rollback_time: Type.Optional(time),
  rollback_reason: Type.Optional(Type.String()),
};

/** A transaction as lists show it. */
export const head = Type.Object({
  ...common,
  next_cron_time: Type.Optional(time),
  parked: Type.Boolean(),
  overdue: Type.Boolean(),
});

/** A transaction as a query shows it. */
export const transaction = Type.Object({
  ...common,
  query_prepared: Type.Optional(Type.String()),
  result: Type.Optional(Type.String()),
  options: Type.String({ description: "JSON text of the options." }),
  custom_data: Type.Optional(Type.String()),
  next_cron_interval: Type.Integer(),
  next_cron_time: Type.Optional(Type.Union([time, Type.Null()])),
  ...options,
  parked: Type.Optional(Type.Object({ since: time, by: Type.String(), reason: Type.String() })),
  overdue: Type.Optional(Type.Boolean()),
  blocked: Type.Optional(
    Type.Array(Type.Object({ branch_id: Type.String(), op: Type.String(), target: Type.String() })),
  ),
  executor: Type.Optional(Type.Object({ executor_id: Type.String(), lease_until: time })),
  check: Type.Optional(Type.Object(tries)),
});

/** One event of a history; further members depend on its kind. */
export const historyEvent = Type.Object(
  { version: Type.Integer(), time, event: Type.String() },
  { additionalProperties: true },
);

/** A participant's target. */
export const target = Type.Object({
  origin: Type.String(),
  target: Type.String(),
  in_flight: Type.Integer(),
  waiting: Type.Integer(),
  breaker: words(["closed", "open", "probing"]),
  open_until: Type.Optional(time),
  unknowns_in_row: Type.Integer(),
  last_error: Type.Optional(Type.String()),
});

/** A topic with its subscribers in order of subscription. */
export const topic = Type.Object({
  topic: Type.String(),
  version: Type.Integer(),
  create_time: time,
  update_time: time,
  subscribers: Type.Array(Type.Object({ url: Type.String(), remark: Type.String() })),
});

/** The node that answers, not the cluster; `transactions` are all that its store holds. */
export const nodeStatus = Type.Object({
  node: Type.String(),
  version: Type.String(),
  store: Type.String(),
  start_time: time,
  time,
  ready: Type.Boolean(),
  overloaded: Type.Boolean(),
  recovering: Type.Boolean(),
  resident: Type.Integer(),
  commits_queued: Type.Integer(),
  calls_in_flight: Type.Integer(),
  calls_waiting: Type.Integer(),
  timers: Type.Integer(),
  transactions: Type.Optional(
    Type.Array(Type.Object({ trans_type: transType, status, transactions: Type.Integer({ minimum: 0 }) }), {
      description: "Absent while the store cannot be read.",
    }),
  ),
});

/** Of a node alone only `node` and `clustered`. */
export const cluster = Type.Object({
  node: Type.String(),
  clustered: Type.Boolean(),
  incarnation: Type.Optional(Type.Integer()),
  lease_ms: Type.Optional(Type.Integer({ description: "Left of the own lease; not above 0: the node stands still." })),
  suspended: Type.Optional(Type.Boolean()),
  format: Type.Optional(Type.Integer({ description: "In which the nodes write, to the store and to one another." })),
  may_fence: Type.Optional(Type.Boolean()),
  handing_over: Type.Optional(Type.Array(Type.Integer())),
  nodes: Type.Optional(
    Type.Array(
      Type.Object({
        node: Type.String(),
        incarnation: Type.Integer(),
        state: Type.String(),
        address: Type.String(),
        lease_ms: Type.Integer(),
        shards: Type.Integer(),
      }),
    ),
  ),
  shards: Type.Optional(
    Type.Array(Type.Object({ shard: Type.Integer(), owner: Type.String(), epoch: Type.Integer() })),
  ),
  misplaced: Type.Optional(
    Type.Array(
      Type.Object({
        shard: Type.Integer(),
        epoch: Type.Integer(),
        owner: Type.String(),
        desired: Type.String(),
        why: Type.String(),
      }),
    ),
  ),
});

/** Who parks a transaction and why; both may be left out. */
export const parkBody = Type.Object({ by: Type.Optional(Type.String()), reason: Type.Optional(Type.String()) });

/** What a step or branch may have of its own. DTM's own server passes over what it does not know, if it is text. */
const ofBranch = {
  headers: Type.Optional(
    Type.Union([Type.Record(Type.String(), Type.String()), Type.String()], {
      description: "Go with every call of this branch, over `branch_headers`; an object of texts, or its JSON text.",
    }),
  ),
  request_timeout: Type.Optional(
    Type.Union([seconds, Type.String({ pattern: "^[0-9]*$" })], {
      description: "Of every call of this branch, over the transaction's; a number, or its digits.",
    }),
  ),
};

/** Body of prepare, submit, abort and prepareWorkflow. */
export const transactionBody = Type.Object({
  gid: Type.String({ minLength: 1 }),
  trans_type: transType,
  protocol: Type.Optional(words(["", "http", "grpc", "json-rpc"])),
  steps: Type.Optional(
    Type.Array(
      Type.Object({
        action: Type.Optional(Type.String()),
        compensate: Type.Optional(Type.String()),
        data: Type.Optional(Type.String()),
        ...ofBranch,
      }),
    ),
  ),
  payloads: Type.Optional(
    Type.Array(
      Type.Union([
        Type.String(),
        Type.Object(
          { base64: Type.String() },
          { description: "Bytes that are no text, for participants behind gRPC. DTM's own server has no such form." },
        ),
      ]),
    ),
  ),
  query_prepared: Type.Optional(Type.String()),
  custom_data: Type.Optional(Type.String({ description: "JSON text." })),
  rollback_reason: Type.Optional(Type.String()),
  req_extra: Type.Optional(Type.Record(Type.String(), Type.String())),
  ...options,
  lease_seconds: Type.Optional(seconds),
  executor_id: Type.Optional(Type.String()),
});

/** Body of calls that name a transaction and nothing else. */
export const gidBody = Type.Object({ gid: Type.String({ minLength: 1 }) });

/** Body of registerBranch: texts only, but for what DTM's own server does not know. */
export const branchBody = Type.Object({
  gid: Type.String(),
  trans_type: words(["tcc", "xa", "workflow"]),
  branch_id: Type.String(),
  data: Type.Optional(Type.String()),
  confirm: Type.Optional(Type.String()),
  cancel: Type.Optional(Type.String()),
  url: Type.Optional(Type.String()),
  op: Type.Optional(Type.String()),
  status: Type.Optional(words(["succeed", "failed"])),
  executor_id: Type.Optional(Type.String()),
  ...ofBranch,
});

/** DTM's form of a key-value (S-HTTP-74); `v` is JSON text. */
export const keyValue = Type.Object({
  id: Type.Integer(),
  create_time: time,
  update_time: time,
  cat: Type.String(),
  k: Type.String(),
  v: Type.String(),
  version: Type.Integer(),
});

/** Where a copy of the store is to be made. */
export const backupBody = Type.Object({
  dir: Type.String({ minLength: 1, description: "Absolute path of a folder that is empty or not there yet." }),
});

/** A copy that was made. */
export const backupMade = Type.Object({ dir: Type.String(), transactions: Type.Integer({ minimum: 0 }) });
