/**
 * `tandem serve`: one node from start to end. Says on stdout, in one line, when it takes requests; ends on SIGTERM or
 * SIGINT: no new requests, calls in flight get a few seconds, what is not finished is durable and goes on after the
 * next start.
 */

import { resolve } from "node:path";
import type { Config, Loaded, Shown } from "../config/config.js";
import { masked } from "../config/store.js";
import type { Context } from "./context.js";
import { CliError, type ExitCode } from "./exit.js";

/** A node that takes requests. */
export interface RunningNode {
  /** Base URL of HTTP, and `host:port` of gRPC where it is served. */
  readonly addresses: { readonly http: string; readonly grpc: string | undefined };
  /** Ends in good order within about `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Starts a node that logs `shown`; rejects when a port or the store cannot be had. */
export type StartNode = (config: Config, shown: Shown) => Promise<RunningNode>;

/** Time that calls in flight get, and after which the process ends whatever it does: an end takes 10 s at most. */
const graceMs = 6000;
const endMs = 9500;

/** Runs a node until it is told to stop. */
export async function serve(context: Context, loaded: Loaded, startNode: StartNode): Promise<void> {
  const { terminal } = context;
  const { config } = loaded;
  const stopped = context.untilStopped();
  for (const warning of loaded.warnings) terminal.err(`tandem: ${warning}`);
  const node = await startNode(config, loaded.shown).catch((error: unknown) => {
    throw startFailure(error, config);
  });
  terminal.out(readyLine(node, config));
  const signal = await stopped;
  terminal.err(`tandem: ${signal}, ending; what is unfinished goes on after the next start`);
  await withDeadline(node.close(graceMs), endMs);
}

/** The line that says "now": words and `key=value`, for people and for scripts. */
export function readyLine(node: RunningNode, config: Config): string {
  const { http, grpc } = node.addresses;
  const parts = [`http=${http}`, ...(grpc === undefined ? [] : [`grpc=${grpc}`]), `store=${storeName(config)}`];
  return `tandem ready ${parts.join(" ")} pid=${process.pid}`;
}

/** The store as the ready line and messages call it: folder as an absolute path, URL without password. */
export function storeName({ store }: Config): string {
  switch (store.kind) {
    case "memory":
      return "memory:";
    case "lmdb":
      return `lmdb:${resolve(store.dir)}`;
    case "mysql":
      return masked(store.url);
  }
}

async function withDeadline(closing: Promise<void>, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new CliError("failed", `the node did not end within ${deadlineMs / 1000} s and was cut off`, [
      "nothing acknowledged is lost: it is on disk and goes on after the next start",
    ]);
    timer = setTimeout(() => reject(error), deadlineMs);
  });
  await Promise.race([closing, late]).finally(() => clearTimeout(timer));
}

/** Why a node did not start, with what to do about it. Errors that are nobody's fault here pass unchanged. */
export function startFailure(error: unknown, config: Config): unknown {
  if (!(error instanceof Error) || error instanceof CliError) return error;
  const { code, port } = error as NodeJS.ErrnoException & { readonly port?: number };
  const options = { cause: error };
  const where = `${config.host}:${port ?? "?"}`;
  const flag = port === config.grpcPort ? "--grpc-port" : "--http-port";
  switch (code) {
    case "EADDRINUSE":
      return new CliError(
        "portTaken",
        `port ${port} on ${config.host} is taken by another process`,
        [`see who has it: ss -ltnp 'sport = :${port}'`, `or take another: tandem serve ${flag} N (0 = a free one)`],
        options,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new CliError(
        "usage",
        `cannot listen on ${where}: this machine has no address ${config.host}`,
        ["listen on one that it has: --host 127.0.0.1"],
        options,
      );
    default:
      return code === "EACCES" && port !== undefined
        ? new CliError("usage", `port ${port} is not for ordinary users`, [`take one above 1023: ${flag} N`], options)
        : storeFailure(error, config);
  }
}

/** Codes that a file system answers when a folder cannot be used. */
const folderTrouble: Readonly<Record<string, string>> = {
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  ENOTDIR: "it is a file, or lies below one",
  EEXIST: "it is a file",
  EIO: "the disk answers with errors",
  EMFILE: "the process has too many files open",
};

/** What the embedded store says of its folder (`reason`, `pid`), read without knowing the adapter. */
interface FolderTrouble extends NodeJS.ErrnoException {
  readonly reason?: unknown;
  readonly pid?: unknown;
}

/** What a database's errors are called; read without knowing the adapter. */
const databaseTrouble: Readonly<Record<string, readonly [exit: ExitCode, advice: string]>> = {
  OwnedElsewhere: ["inUse", "end that node, or let both join a cluster: --cluster nats://… --node NAME"],
  StoreUnavailable: ["store", "start the database, or correct --store mysql://USER:PASSWORD@HOST:PORT/DB"],
  SchemaError: ["store", "let one node migrate it, or correct the configuration"],
  JoinRefused: ["store", "use the program that the other nodes have"],
  UnknownFormat: ["store", "use the version of tandem that wrote it"],
};

function databaseFailure(error: Error): unknown {
  const [exit, advice] = databaseTrouble[error.name] ?? [];
  return exit === undefined ? error : new CliError(exit, error.message, [advice!], { cause: error });
}

function storeFailure(error: FolderTrouble, config: Config): unknown {
  if (config.store.kind === "mysql") return databaseFailure(error);
  if (config.store.kind !== "lmdb") return error;
  const dir = resolve(config.store.dir);
  const other = "or use another folder: --store lmdb:DIR";
  if (error.reason === "inUse") {
    const who = typeof error.pid === "number" ? `process ${error.pid}` : "another process";
    const stop = typeof error.pid === "number" ? `stop that process (kill ${error.pid})` : "stop that process";
    return new CliError("inUse", `folder ${dir} is in use by ${who}`, [`${stop}, ${other}`], { cause: error });
  }
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException;
  const why = folderTrouble[code ?? ""];
  if (why !== undefined) {
    const message = `folder ${dir} cannot be used: ${why} (${code})`;
    return new CliError("store", message, [`make it writable, ${other}`], { cause: error });
  }
  return error.reason === undefined && error.name !== "UnknownFormat"
    ? error
    : new CliError("store", error.message, [], { cause: error });
}
