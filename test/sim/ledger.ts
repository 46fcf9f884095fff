/**
 * The judge of everything durable: an account of what the store took, kept from the journal rows alone and without any
 * code of the product, and held against the invariants at the moment it happens: S1 (an acknowledged request is there),
 * S2, S3, S4, S5 (intent), S6, S7, S8.
 */
import type { Event, NewOp } from "../../src/core/event.js";
import type { JournalRow } from "../../src/core/evolve.js";
import type { Reply, Request } from "../../src/core/input.js";
import type { OpStatus, Status, Transaction, TransType } from "../../src/core/transaction.js";
import type { Call } from "../../src/ports/caller.js";
import type { ShardRow } from "../../src/ports/leases.js";
import type { Commit } from "../../src/ports/store.js";
import { type Coverage, edges } from "./coverage.js";

/** An op as its journal says. */
export interface OpAccount {
  readonly branchId: string;
  readonly op: string;
  readonly url: string;
  readonly createdMs: number;
  status: OpStatus;
  started: boolean;
  /** When the intent of its first call was recorded. */
  startedMs: number | undefined;
}

/** A transaction as its journal says. */
export interface Account {
  readonly gid: string;
  readonly type: TransType;
  readonly id: number;
  readonly ops: OpAccount[];
  readonly events: Event[];
  status: Status;
  version: number;
  digest: string | undefined;
  concurrent: boolean;
  /** Step → steps before it, of a concurrent saga. */
  orders: Readonly<Record<string, readonly number[]>>;
  parked: boolean;
  checked: boolean;
  /** Why it was rolled back. */
  reason: string;
  /** When it was first stored. */
  readonly storedMs: number;
  /** When something was last recorded or called for it. */
  touchedMs: number;
  /** Kinds of events that it ever had. */
  readonly had: Set<Event["kind"]>;
  readonly retries: Map<number, JournalRow>;
}

const forward: ReadonlySet<string> = new Set(["action", "confirm", "commit"]);

export class Ledger {
  readonly accounts = new Map<string, Account>();
  readonly violations: string[] = [];
  /** Stored and not final. */
  readonly unfinished = new Set<string>();
  readonly #coverage: Coverage;
  /** Who wrote under an epoch of a shard. */
  readonly #owners = new Map<string, string>();
  readonly #ids = new Map<number, { readonly of: string; readonly foundMax: number; readonly max: number }>();

  readonly #nowMs: () => number;

  constructor(coverage: Coverage, nowMs: () => number) {
    this.#coverage = coverage;
    this.#nowMs = nowMs;
  }

  /** The store took a commit of a node, while the table of shards says whose the shard is. */
  took(node: string, { gid, id, row, epoch, head }: Commit, now: ShardRow): void {
    const account = this.accounts.get(gid);
    if (account !== undefined && this.#isRepeat(account, row)) return;
    const owner = `${now.owner}/${now.incarnation}`;
    if (epoch !== now.epoch) this.#accuse("S2", gid, `written under epoch ${epoch}, the shard's is ${now.epoch}`);
    if (node !== now.owner) this.#accuse("S2", gid, `written by ${node}, the shard's owner is ${now.owner}`);
    const known = this.#owners.get(`${now.shard}/${now.epoch}`);
    if (known !== undefined && known !== owner) this.#accuse("S2", gid, `epoch ${epoch} is of ${known} and ${owner}`);
    this.#owners.set(`${now.shard}/${now.epoch}`, owner);
    const expected = (account?.version ?? 0) + (row.retryOf === undefined ? 1 : 0);
    if (row.version !== expected) this.#accuse("S3", gid, `version ${row.version} after ${expected - 1}`);
    if (account === undefined) this.#judgeId(gid, now, id);
    for (const event of row.events) this.#apply(gid, event);
    const after = this.accounts.get(gid);
    if (after === undefined) return;
    after.version = row.version;
    after.touchedMs = this.#nowMs();
    if (row.retryOf !== undefined) after.retries.set(row.retryOf, row);
    if (head !== undefined && head.status !== after.status) this.#accuse("S4", gid, `head says '${head.status}'`);
    if (isFinal(after)) this.unfinished.delete(gid);
    else this.unfinished.add(gid);
  }

  /** A call goes on the wire, sent by a node that owns the shard (`owner`) or by one that only thinks so. */
  called(call: Call, owner: boolean): void {
    const { gid, branchId, op } = call;
    const account = this.accounts.get(gid);
    if (account === undefined) return this.#accuse("S5", gid, "called but not stored");
    account.touchedMs = this.#nowMs();
    if (isFinal(account) && owner) this.#accuse("S8", gid, `${op} ${branchId} called after '${account.status}'`);
    const turned = account.status === "aborting" && forward.has(op);
    if (turned && owner) this.#accuse("S8", gid, `${op} ${branchId} called after 'aborting'`);
    this.#coverage.count(`checked: call has an intent and no end`);
    if (branchId === "00") {
      if (!account.checked) this.#accuse("S5", gid, "asked back without a durable intent");
      return;
    }
    const found = account.ops.find((other) => other.branchId === branchId && other.op === op);
    if (found?.started !== true) this.#accuse("S5", gid, `${op} ${branchId} called without a durable intent`);
    this.#judgeTurn(account, account.ops.indexOf(found!));
  }

  /** S1: what is answered as done is durable at that moment. `own`: the request has the content that was first. */
  answered(gid: string, request: Request, reply: Reply, own: boolean): void {
    const account = this.accounts.get(gid);
    const lies = (what: string) => this.#accuse("S1", gid, `${request.kind} acknowledged, but ${what}`);
    if (reply.kind === "refused") {
      this.#coverage.count(`reply: ${request.kind} ${reply.code}`);
      if (reply.code === "NOT_OWNER") this.#accuse("ROUTE", gid, "a client was sent elsewhere");
      return this.#judgeRefusal(account, request, reply.code, own);
    }
    this.#coverage.count(`reply: ${request.kind} ${reply.kind}`);
    if (reply.kind === "transaction") this.#judgeSight(account, reply.transaction);
    if (request.kind === "query" || request.kind === "await") return;
    if (reply.kind === "transaction" && reply.transaction === undefined) return;
    this.#coverage.count("checked: acknowledged and durable");
    if (account === undefined) return lies("nothing is stored");
    switch (request.kind) {
      case "submit":
        if (!own) return this.#accuse("S9", gid, "other content accepted");
        if (account.status === "prepared") return lies("it is still prepared");
        if (account.status === "failed" && request.submission.options.waitResult)
          this.#accuse("wait", gid, "told 'succeed', is 'failed'");
        if (!isFinal(account) && request.submission.options.waitResult)
          this.#accuse("wait", gid, `told 'succeed', is '${account.status}'`);
        return;
      case "abort":
        if (request.waitResult && account.status !== "failed")
          this.#accuse("wait", gid, `told that it is rolled back, is '${account.status}'`);
        return account.had.has("aborting") || account.status === "failed" ? undefined : lies("it goes on");
      case "registerBranch": {
        const { branchId, ops } = request.registration;
        const there = ops.every(({ op }) => account.ops.some((o) => o.branchId === branchId && o.op === op));
        return there ? undefined : lies(`branch ${branchId} is not stored`);
      }
      case "forceStop":
        return account.status === "failed" ? undefined : lies(`it is '${account.status}'`);
      case "finishWorkflow":
        return account.status === request.status ? undefined : lies(`it is '${account.status}'`);
      case "park":
        return account.had.has("parked") ? undefined : lies("it was never parked");
      case "unpark":
      case "hasten":
      case "prepare":
      case "prepareWorkflow":
        return;
    }
  }

  /** Who submitted and is refused for good is told of a rollback: then there is one. */
  #judgeRefusal(account: Account | undefined, request: Request, code: string, own: boolean): void {
    if (request.kind !== "submit" || !own || code !== "REFUSED" || account === undefined) return;
    this.#coverage.count("checked: told of a rollback, and there is one");
    if (account.status === "succeed" || account.status === "submitted")
      this.#accuse("wait", account.gid, `told 'failed', is '${account.status}'`);
  }

  /** Who looks is shown nothing that is not durable, and no end that is not the end. */
  #judgeSight(account: Account | undefined, seen: Transaction | undefined): void {
    if (seen === undefined) return;
    this.#coverage.count("checked: what is shown is durable");
    if (account === undefined) return this.#accuse("S1", seen.gid, "shown, but nothing is stored");
    if (seen.version > account.version)
      this.#accuse("S1", seen.gid, `version ${seen.version} is shown, ${account.version} is stored`);
    if (isFinal(seen) && seen.status !== account.status)
      this.#accuse("S1", seen.gid, `shown as '${seen.status}', is '${account.status}'`);
  }

  /** Ids of a new owner are above all that it found in its shard. */
  #judgeId(gid: string, { shard, owner, incarnation }: ShardRow, id: number): void {
    const of = `${owner}/${incarnation}`;
    const known = this.#ids.get(shard) ?? { of, foundMax: 0, max: 0 };
    const ids = known.of === of ? known : { of, foundMax: known.max, max: known.max };
    if (id <= ids.foundMax) this.#accuse("S3", gid, `id ${id} below ${ids.foundMax}, which its owner found there`);
    this.#ids.set(shard, { ...ids, max: Math.max(ids.max, id) });
  }

  #isRepeat(account: Account, row: JournalRow): boolean {
    if (row.retryOf === undefined) return row.version <= account.version;
    return account.retries.get(row.retryOf) === row;
  }

  #accuse(rule: string, gid: string, text: string): void {
    const type = this.accounts.get(gid)?.type ?? "unknown";
    this.violations.push(`${rule}: ${gid} (${type}) ${text}`);
  }

  #apply(gid: string, event: Event): void {
    if (event.kind === "created") return this.#create(gid, event);
    const account = this.accounts.get(gid);
    if (account === undefined) return this.#accuse("S3", gid, `'${event.kind}' before 'created'`);
    account.events.push(event);
    account.had.add(event.kind);
    if (isFinal(account) && event.kind !== "digestRecorded")
      this.#accuse("S3", gid, `'${event.kind}' after '${account.status}'`);
    switch (event.kind) {
      case "submitted":
        account.digest = event.digest ?? account.digest;
        return this.#move(account, "submitted");
      case "aborting":
        account.reason = event.reason;
        return this.#move(account, "aborting");
      case "finished":
        if (event.reason !== "") account.reason = event.reason;
        this.#judgeEnd(account, event.status);
        return this.#move(account, event.status);
      case "digestRecorded":
        account.digest = event.digest;
        return;
      case "branchRegistered":
        if (account.status !== "prepared") this.#accuse("S4", gid, `branch registered while '${account.status}'`);
        for (const op of event.ops) account.ops.push({ ...opened(op, event.atMs), started: op.status !== "prepared" });
        return;
      case "started":
        for (const index of event.ops) this.#start(account, index, event.atMs);
        return;
      case "settled":
        return this.#settle(account, event.op, event.status);
      case "parked":
      case "unparked":
        account.parked = event.kind === "parked";
        return this.#coverage.count(`event: ${event.kind}`);
      case "retried":
        return this.#coverage.count(`op: ${account.ops[event.op]?.op ?? "check"} retried`);
      case "hastened":
      case "overdue":
      case "leased":
        return this.#coverage.count(`event: ${event.kind}`);
    }
  }

  #create(gid: string, event: Extract<Event, { kind: "created" }>): void {
    if (this.accounts.has(gid)) return this.#accuse("S3", gid, "created twice");
    this.#coverage.count(`transaction: ${event.type} born ${event.status}`);
    this.accounts.set(gid, {
      gid,
      type: event.type,
      id: event.id,
      ops: event.ops.map((op) => opened(op, event.atMs)),
      events: [event],
      status: event.status,
      version: 0,
      digest: event.digest,
      concurrent: event.options.concurrent || event.customData.includes('"concurrent":true'),
      orders: event.customData.includes('"orders"') ? JSON.parse(event.customData).orders : {},
      parked: false,
      checked: false,
      reason: "",
      storedMs: this.#nowMs(),
      touchedMs: this.#nowMs(),
      had: new Set(["created"]),
      retries: new Map(),
    });
  }

  #start(account: Account, index: number, atMs: number): void {
    if (account.parked) this.#accuse("S8", account.gid, "an op is started while parked");
    if (index < 0) {
      account.checked = true;
      return;
    }
    const op = account.ops[index]!;
    op.started = true;
    op.startedMs ??= atMs;
  }

  #move(account: Account, to: Status): void {
    const edge = `${account.type} ${account.status}>${to}`;
    if (!edges.has(edge)) this.#accuse("S4", account.gid, `${edge} is no edge`);
    this.#coverage.count(`transaction: ${edge}`);
    account.status = to;
  }

  #settle(account: Account, index: number, status: "succeed" | "failed"): void {
    const op = account.ops[index]!;
    if (op.status !== "prepared") this.#accuse("S4", account.gid, `${op.op} ${op.branchId} settled twice`);
    this.#coverage.count(`op: ${op.op} ${op.status}>${status}`);
    if (account.status === "aborting" && op.op === "action")
      this.#accuse("S4", account.gid, `action ${op.branchId} settled while aborting`);
    op.status = status;
  }

  /** S6, and S5 for the end that the coordinator itself reaches (`aborting` → `failed`, unless it was stopped). */
  #judgeEnd(account: Account, status: "succeed" | "failed"): void {
    if (account.type === "workflow" || status !== "succeed") return;
    const hole = account.ops.find(({ op, status: its }) => forward.has(op) && its !== "succeed");
    this.#coverage.count("checked: succeed without a hole");
    if (hole !== undefined) this.#accuse("S6", account.gid, `succeed, but ${hole.op} ${hole.branchId} has not`);
  }

  /** S7: a call goes on the wire when what it waits for is done: steps before an action, steps after a compensation. */
  #judgeTurn(account: Account, index: number): void {
    const op = account.ops[index];
    if (op === undefined || (account.type !== "saga" && account.type !== "msg")) return;
    const saga = account.type === "saga";
    const step = saga ? index >> 1 : index;
    const steps = saga ? account.ops.length / 2 : account.ops.length;
    const before = (one: number, other: number) =>
      account.concurrent ? (account.orders[other] ?? []).includes(one) : one < other;
    for (let other = 0; other < steps; other++) {
      const action = account.ops[saga ? 2 * other + 1 : other]!;
      const undone = op.op === "compensate" && account.ops[2 * other]!.status === "succeed";
      const early = op.op === "action" && before(other, step) && action.status !== "succeed";
      const overtakes = op.op === "compensate" && before(step, other) && action.started && !undone;
      if (early || overtakes) this.#accuse("S7", account.gid, `${op.op} ${step + 1} before that of ${other + 1}`);
    }
    this.#coverage.count(`checked: ${op.op === "action" ? "action" : "compensation"} in its turn`);
  }
}

function opened({ branchId, op, url, status }: NewOp, atMs: number): OpAccount {
  return { branchId, op, url, createdMs: atMs, status, started: false, startedMs: undefined };
}

/** The transaction has reached its end. */
export function isFinal({ status }: Pick<Account, "status">): boolean {
  return status === "succeed" || status === "failed";
}
