/**
 * Opening a folder: it is usable, of a known format, and nobody else's. `owner.json` names the process that has it. It
 * is read and replaced only inside a write transaction, whose lock lives in the kernel, so of two that start at once
 * one sees the other. An owner counts as dead when neither /proc shows its pid with its start time (a pid that was
 * given out again has another) nor LMDB's table of readers shows the pid (its locks die with their process, and hold
 * between containers that share the folder). Nothing is left to clean up after a crash.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Database, open, type RootDatabase } from "lmdb";
import { shardCount, shardHash } from "../../core/shard.js";
import { formatVersion, mustKnowFormat } from "../codec.js";

/** Why a folder cannot be opened; the message says what to do. */
export class FolderError extends Error {
  override readonly name = "FolderError";
  readonly reason: "inUse" | "unusable" | "notAStore";
  /** Of the process that has the folder, where that is the reason. */
  readonly pid: number | undefined;

  constructor(reason: FolderError["reason"], message: string, options?: ErrorOptions & { readonly pid?: number }) {
    super(message, options);
    this.reason = reason;
    this.pid = options?.pid;
  }
}

/** A named table of bytes. */
export type Table = Database<Buffer, Buffer>;

/** The tables of an open folder. */
export interface Tables {
  readonly root: RootDatabase<Buffer, Buffer>;
  /** Few rows about the store itself: `format`, `shards`, `tally`. */
  readonly meta: Table;
  readonly heads: Table;
  readonly gids: Table;
  readonly journal: Table;
  readonly due: Table;
  /** Ids of unfinished transactions. */
  readonly open: Table;
  readonly ended: Table;
  readonly keyValues: Table;
}

interface Owner {
  readonly pid: number;
  /** Tells it from a later process that was given the same pid. */
  readonly start: string;
}

/** How every table of bytes is opened. */
export const settings = {
  encoding: "binary",
  keyEncoding: "binary",
  maxDbs: 16,
  // Plain LMDB: data synced, then the page that makes it valid written and synced, and only then is a commit answered.
  overlappingSync: false,
  // A batch is what we hand over together. Batches by event turn reject a promise that nobody can catch.
  eventTurnBatching: false,
} as const;

/** Key of the format's version, as text, in `meta`. */
export const formatKey = Buffer.from("format");
const shardsKey = Buffer.from("shards");
const shards = Buffer.from(`${shardCount} ${shardHash}`);
const magic = Buffer.from([0xde, 0xc0, 0xef, 0xbe]);

/** Opens or makes the store in a folder. @throws FolderError, UnknownFormat; nothing was changed then */
export function openFolder(folder: string): Tables {
  makeUsable(folder);
  mustBeDatabase(folder);
  const rival = liveOwner(folder, []);
  if (rival !== undefined) throw inUse(folder, rival);
  const root = openRoot(folder);
  try {
    return claim(folder, root);
  } catch (cause) {
    void root.close();
    throw cause;
  }
}

/**
 * Why a folder could not be opened now, as far as its files tell without opening or changing anything: another living
 * process has it, or its file is no store. A process in another container is not seen.
 */
export function troubleOf(folder: string): FolderError | undefined {
  try {
    mustBeDatabase(folder);
  } catch (error) {
    if (error instanceof FolderError) return error;
    throw error;
  }
  const rival = liveOwner(folder, []);
  return rival === undefined ? undefined : inUse(folder, rival);
}

/** Closes the tables and gives up the folder. */
export async function closeFolder(folder: string, tables: Tables): Promise<void> {
  await tables.root.close();
  if (isOwn(readOwner(folder))) rmSync(ownerFile(folder), { force: true });
}

function claim(folder: string, root: RootDatabase<Buffer, Buffer>): Tables {
  const table = (name: string): Table => root.openDB(name, { ...settings });
  const meta = table("meta");
  enterReaders(folder, meta);
  mustFit(folder, meta);
  const tables: Tables = {
    root,
    meta,
    heads: table("heads"),
    gids: table("gids"),
    journal: table("journal"),
    due: table("due"),
    open: table("open"),
    ended: table("ended"),
    keyValues: table("keyValues"),
  };
  root.transactionSync(() => {
    root.readerCheck();
    const rival = liveOwner(folder, readerPids(root));
    if (rival !== undefined) throw inUse(folder, rival);
    mustFit(folder, meta);
    if (meta.getBinary(shardsKey) === undefined) void meta.put(shardsKey, shards);
    const format = Buffer.from(String(formatVersion)); // in which rows are written from now on
    if (meta.getBinary(formatKey)?.equals(format) !== true) void meta.put(formatKey, format);
    writeFileSync(`${ownerFile(folder)}.new`, `${JSON.stringify({ pid: process.pid, start: ownStart() })}\n`);
    renameSync(`${ownerFile(folder)}.new`, ownerFile(folder));
  });
  sync(folder);
  return tables;
}

/** The first read takes a place in the table of readers: by it others know this process. */
function enterReaders(folder: string, meta: Table): void {
  try {
    meta.getBinary(formatKey);
  } catch (cause) {
    const message = `folder ${folder} is in use, probably by a container in which the process has this one's pid`;
    throw new FolderError("inUse", message, { cause });
  }
}

/** Refuses another format, and shards that are counted or hashed in another way. */
function mustFit(folder: string, meta: Table): void {
  const format = meta.getBinary(formatKey);
  if (format === undefined) return;
  mustKnowFormat(Number(format.toString()), `store in ${folder}`);
  const kept = meta.getBinary(shardsKey)?.toString();
  if (kept === shards.toString()) return;
  throw new FolderError("notAStore", `store in ${folder} has shards '${kept}', this program needs '${shards}'`);
}

function makeUsable(folder: string): void {
  try {
    make(resolve(folder));
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new FolderError("unusable", `cannot write to folder ${folder}: give another, or the right to it`, { cause });
  }
}

/** Makes a folder and those above it. Node's own `recursive` never comes back below /proc and the like. */
function make(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  if (!existsSync(dirname(folder))) make(dirname(folder));
  mkdirSync(folder);
}

/** LMDB itself crashes on a file that is none of its own. */
function mustBeDatabase(folder: string): void {
  const file = join(folder, "data.mdb");
  if (!existsSync(file)) return;
  const start = Buffer.alloc(64);
  const descriptor = openSync(file, "r");
  const length = readSync(descriptor, start);
  closeSync(descriptor);
  if (length === 0 || start.includes(magic)) return;
  throw new FolderError("notAStore", `${file} is not a store of tandem: give another folder`);
}

function openRoot(folder: string): RootDatabase<Buffer, Buffer> {
  try {
    return open({ path: folder, ...settings, noSubdir: false } as Parameters<typeof open>[0]);
  } catch (cause) {
    throw new FolderError("unusable", `cannot open the store in ${folder}: ${String(cause)}`, { cause });
  }
}

function inUse(folder: string, pid: number): FolderError {
  return new FolderError("inUse", `folder ${folder} is in use by process ${pid}: stop it, or give another`, { pid });
}

/** Pid of the living owner other than nobody. `readers` are the pids in LMDB's table, where that could be asked. */
function liveOwner(folder: string, readers: readonly number[]): number | undefined {
  const owner = readOwner(folder);
  if (owner === undefined) return undefined;
  if (isOwn(owner)) return owner.pid;
  if (owner.pid === process.pid) return undefined;
  const start = startOf(owner.pid);
  const lives = (start !== undefined && start === owner.start) || readers.includes(owner.pid);
  return lives ? owner.pid : undefined;
}

function isOwn(owner: Owner | undefined): boolean {
  return owner !== undefined && owner.pid === process.pid && owner.start === ownStart();
}

function ownerFile(folder: string): string {
  return join(folder, "owner.json");
}

/** A file that cannot be read as an owner was cut off by a crash: nobody's. */
function readOwner(folder: string): Owner | undefined {
  if (!existsSync(ownerFile(folder))) return undefined;
  try {
    const owner: unknown = JSON.parse(readFileSync(ownerFile(folder), "utf8"));
    return typeof owner === "object" && owner !== null && "pid" in owner ? (owner as Owner) : undefined;
  } catch {
    return undefined;
  }
}

/** When a process started, in the kernel's ticks, and in which boot; `undefined` = no such process, or no /proc. */
function startOf(pid: number | "self"): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name may hold blanks and brackets
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

function ownStart(): string {
  return startOf("self") ?? String(performance.timeOrigin);
}

/** Rows are "pid thread txnid" under one line of heading. */
function readerPids(root: RootDatabase<Buffer, Buffer>): readonly number[] {
  return root
    .readerList()
    .split("\n")
    .flatMap((line) => /^\s*(\d+)\s/.exec(line)?.[1] ?? [])
    .map(Number);
}

/** Makes the folder's entries durable: the files would else be lost with the power although their content is synced. */
function sync(folder: string): void {
  const descriptor = openSync(folder, "r");
  fsyncSync(descriptor);
  closeSync(descriptor);
}
