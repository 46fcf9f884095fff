// A server that speaks MongoDB's wire protocol (OP_MSG) to the real driver: sessions, transactions and the few commands
// of the barrier, over `documents.ts`. It stands in for a replica set where no MongoDB can be installed; what it cannot
// show is MongoDB's own behaviour where its manual is silent.

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { BSON, ObjectId } from "mongodb";
import { Documents, type Fields, Refusal, type Transaction, transient } from "./documents.js";

/** What befalls the next commit: lost before or after it took effect, or refused for another transaction's sake. */
export type CommitFault = "request lost" | "answer lost" | "conflict";

/** A running server. */
export interface MongoServer {
  readonly url: string;
  /** Faults of the next commits, first one first. */
  readonly commitFaults: CommitFault[];
  /** Commands answered so far, by name, in order. */
  readonly commands: string[];
  close(): Promise<void>;
}

/** `replicaSet: false` refuses transactions as a standalone server does. */
export async function startMongo({ replicaSet = true } = {}): Promise<MongoServer> {
  const commitFaults: CommitFault[] = [];
  const commands: string[] = [];
  const sockets = new Set<Socket>();
  const documents = new Documents();
  const transactions = new Map<string, Transaction>();
  const context: Context = { documents, transactions, commitFaults, replicaSet, address: "" };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => socket.destroy());
    readMessages(socket, async (id, command) => {
      commands.push(Object.keys(command)[0]!);
      socket.write(message(id, await answer(context, command)));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  context.address = `127.0.0.1:${port}`;
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  };
  return { url: `mongodb://127.0.0.1:${port}/?directConnection=true`, commitFaults, commands, close };
}

interface Context {
  readonly documents: Documents;
  /** By session and transaction number. */
  readonly transactions: Map<string, Transaction>;
  readonly commitFaults: CommitFault[];
  readonly replicaSet: boolean;
  address: string;
}

const opMsg = 2013;

/** Cuts the stream into commands; sections of kind 1 become arrays of their command. */
function readMessages(socket: Socket, handle: (id: number, command: Fields) => Promise<void>): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 4 && pending.length >= pending.readInt32LE(0)) {
      const whole = pending.subarray(0, pending.readInt32LE(0));
      pending = pending.subarray(whole.length);
      if (whole.readInt32LE(12) !== opMsg) throw new Error("this server speaks OP_MSG only: set serverApi");
      handle(whole.readInt32LE(4), sections(whole)).catch((error: Error) => socket.destroy(error));
    }
  });
}

function sections(whole: Buffer): Fields {
  let command: Record<string, unknown> = {};
  const sequences: Record<string, unknown[]> = {};
  for (let at = 20; at < whole.length; ) {
    const kind = whole.readUInt8(at++);
    const size = whole.readInt32LE(at);
    const section = whole.subarray(at, at + size);
    at += size;
    if (kind === 0) {
      command = BSON.deserialize(section);
      continue;
    }
    const end = section.indexOf(0, 4);
    const list: unknown[] = [];
    for (let from = end + 1; from < size; from += section.readInt32LE(from)) {
      list.push(BSON.deserialize(section.subarray(from, from + section.readInt32LE(from))));
    }
    sequences[section.toString("utf8", 4, end)] = list;
  }
  return { ...command, ...sequences };
}

function message(responseTo: number, body: Fields): Buffer {
  const document = BSON.serialize(body);
  const head = Buffer.alloc(21);
  head.writeInt32LE(21 + document.length, 0);
  head.writeInt32LE(responseTo, 8);
  head.writeInt32LE(opMsg, 12);
  return Buffer.concat([head, document]);
}

async function answer(context: Context, command: Fields): Promise<Fields> {
  const tx = transactionOf(context, command);
  try {
    if (tx instanceof Refusal) throw tx;
    return { ok: 1, ...(await run(context, command, tx)) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    // Any error ends a transaction at the server, but for a commit that has not arrived.
    const isOver = tx !== undefined && !(tx instanceof Refusal) && !("commitTransaction" in command);
    if (isOver) context.documents.abort(tx);
    if (error.code === 11_000) {
      return { ok: 1, n: 0, writeErrors: [{ index: 0, code: error.code, errmsg: error.message }] };
    }
    return { ok: 0, code: error.code, errmsg: error.message, errorLabels: [...error.labels] };
  }
}

/** The transaction that a command is part of; begun by the command that says so. */
function transactionOf(context: Context, command: Fields): Transaction | Refusal | undefined {
  if (command.autocommit !== false) return undefined;
  if (!context.replicaSet) return new Refusal(20, "Transaction numbers are only allowed on a replica set member");
  const { id } = command.lsid as { id: { toString(encoding: string): string } };
  const key = `${id.toString("hex")}/${String(command.txnNumber)}`;
  if (command.startTransaction === true) context.transactions.set(key, context.documents.begin());
  const tx = context.transactions.get(key);
  const goesOn = "commitTransaction" in command || "abortTransaction" in command || tx?.state === "open";
  return tx !== undefined && goesOn ? tx : new Refusal(251, "no such transaction", transient);
}

async function run(context: Context, command: Fields, tx: Transaction | undefined): Promise<Fields> {
  const { documents } = context;
  const [operation, target] = Object.entries(command)[0]!;
  const name = `${String(command.$db)}.${String(target)}`;
  switch (operation) {
    case "hello":
    case "ismaster":
      return hello(context);
    case "update":
      return update(documents, name, command, tx);
    case "insert":
      return insert(documents, name, command, tx);
    case "find":
      return found(documents, name, command, tx);
    case "delete":
      return { n: documents.delete(name, (command.deletes as { q: Fields }[])[0]!.q) };
    case "createIndexes":
      documents.index(name, Object.keys((command.indexes as { key: Fields }[])[0]!.key));
      return {};
    case "listIndexes":
      return indexes(documents, name);
    case "commitTransaction":
      return commit(context, tx!);
    case "abortTransaction":
      documents.abort(tx!);
      return {};
    case "endSessions":
    case "ping":
      return {};
    default:
      throw new Refusal(59, `no such command: ${operation}`);
  }
}

function hello({ replicaSet, address }: Context): Fields {
  const set = replicaSet ? { setName: "rs", setVersion: 1, hosts: [address], me: address, primary: address } : {};
  const limits = { maxBsonObjectSize: 16_777_216, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000 };
  const versions = { minWireVersion: 0, maxWireVersion: 21, logicalSessionTimeoutMinutes: 30 };
  return { isWritablePrimary: true, helloOk: true, ...set, ...limits, ...versions };
}

interface Update {
  readonly q: Fields;
  readonly u: { readonly $setOnInsert?: Fields; readonly $set?: Fields };
  readonly upsert?: boolean;
}

/** Inserts where nothing is, or changes own documents. Outside a transaction it waits for those that are open. */
async function update(
  documents: Documents,
  name: string,
  command: Fields,
  tx: Transaction | undefined,
): Promise<Fields> {
  const [{ q, u, upsert: mayInsert }] = command.updates as readonly [Update];
  if (u.$set !== undefined && mayInsert !== true) {
    const n = documents.set(name, q, u.$set, tx);
    return { n, nModified: n };
  }
  if (u.$setOnInsert === undefined || mayInsert !== true)
    throw new Refusal(9, "only $setOnInsert and $set are known here");
  const deadline = Date.now() + Number(command.maxTimeMS ?? Number.POSITIVE_INFINITY);
  for (;;) {
    if (documents.find(name, q, tx).length > 0) return { n: 1, nModified: 0 };
    const _id = new ObjectId();
    const holder = documents.insert(name, { _id, ...q, ...u.$setOnInsert }, tx);
    if (holder === undefined) return { n: 1, nModified: 0, upserted: [{ index: 0, _id }] };
    while (holder.state === "open" && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 1));
    if (holder.state === "open") throw new Refusal(50, "operation exceeded time limit");
  }
}

function insert(documents: Documents, name: string, command: Fields, tx: Transaction | undefined): Fields {
  const list = command.documents as readonly Fields[];
  for (const one of list) {
    if (documents.insert(name, one, tx) !== undefined) throw new Refusal(112, "a plain insert does not wait here");
  }
  return { n: list.length };
}

function found(documents: Documents, name: string, command: Fields, tx: Transaction | undefined): Fields {
  const all = documents.find(name, (command.filter ?? {}) as Fields, tx);
  const limit = Number(command.limit ?? 0);
  return { cursor: { id: BSON.Long.ZERO, ns: name, firstBatch: limit === 0 ? all : all.slice(0, limit) } };
}

function indexes(documents: Documents, name: string): Fields {
  const collection = documents.uniqueOf(name);
  if (collection === undefined) throw new Refusal(26, `ns does not exist: ${name}`);
  const unique = collection.fields && {
    ...{ v: 2, name: "unique", unique: true },
    key: Object.fromEntries(collection.fields.map((field) => [field, 1])),
  };
  const firstBatch = [{ v: 2, key: { _id: 1 }, name: "_id_" }, ...(unique === undefined ? [] : [unique])];
  return { cursor: { id: BSON.Long.ZERO, ns: name, firstBatch } };
}

/** Drivers give the label of an unknown outcome to these codes; the first is that of a primary stepping down. */
function commit({ documents, commitFaults }: Context, tx: Transaction): Fields {
  const fault = commitFaults.shift();
  const lost = new Refusal(64, "waiting for replication timed out", ["UnknownTransactionCommitResult"]);
  if (fault === "request lost") throw lost;
  if (fault === "conflict") {
    documents.abort(tx);
    throw new Refusal(251, "the transaction has been aborted", transient);
  }
  documents.commit(tx);
  if (fault === "answer lost") throw lost;
  return {};
}
