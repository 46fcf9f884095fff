/**
 * Commands about a participant's own database: its barrier tables, XA branches that were left prepared in it, and what
 * is known of one gid at both ends. They need no coordinator's store, and change nothing but what they are asked to.
 */
import type { Command } from "commander";
import { createClient } from "../client/client.js";
import { openDatabase, type ParticipantDatabase } from "../client/database/open.js";
import { type Duration, toMs } from "../client/duration.js";
import { findBranded } from "../client/errors.js";
import { recoverXa } from "../client/xa/recover.js";
import { masked } from "../config/store.js";
import { connect } from "./api.js";
import type { Context } from "./context.js";
import { CliError } from "./exit.js";
import { type Options, serverUrl, textOption } from "./settings.js";
import { printable, type Terminal, tableLines } from "./terminal.js";
import { showTransaction } from "./transactions/tx.js";

/** Adds `barrier migrate`, `barrier clean`, `xa recover`, `gid`; `withServer` adds the options that name a server. */
export function addDatabases(program: Command, context: Context, withServer: (command: Command) => Command): void {
  const { terminal, environment } = context;
  const barrier = program.command("barrier").description("the barrier tables of a participant's database");
  withDatabase(barrier.command("migrate"))
    .description("make the tables where they are missing")
    .action((options: Options) =>
      onDatabase(options, context, async (database, name) => {
        await database.migrate();
        terminal.out(`barrier of ${name}: there`);
      }),
    );
  withDatabase(barrier.command("clean"))
    .description("delete rows that no delivery can need any more")
    .option("--older <age>", "of this age and more, at least 1d", "7d")
    .action((options: Options) =>
      onDatabase(options, context, async (database, name) => {
        const deleted = await database.clean(toMs(String(options.older) as Duration));
        terminal.out(`barrier of ${name}: ${deleted} rows older than ${String(options.older)} deleted`);
      }),
    );
  const xa = program.command("xa").description("XA branches of a participant's database");
  withServer(withDatabase(xa.command("recover")))
    .description("give branches that were left prepared the end of their transaction")
    .option("--prefix <text>", "only of gids that begin so")
    .option("--dry-run", "tell only, change nothing")
    .option("--json", "as JSON")
    .action((options: Options) =>
      onDatabase(options, context, (database) => recover(database, terminal, options, serverUrl(options, environment))),
    );
  withServer(withDatabase(program.command("gid <gid>")))
    .description("what the server knows of a gid, and with --database its barrier rows there")
    .action((gid: string, options: Options) => lookUp(gid, options, context));
}

function withDatabase(command: Command): Command {
  return command
    .option(
      "--database <url>",
      "mysql://…, postgres://… or sqlite:FILE of the participant; environment: TANDEM_DATABASE_URL",
    )
    .option("--table <name>", "barrier table, default dtm_barrier.barrier, in SQLite barrier")
    .option("--remember", "the barrier remembers results, in a second table");
}

function databaseUrl(options: Options, { environment }: Context): string | undefined {
  return textOption(options, "database") ?? (environment.TANDEM_DATABASE_URL || undefined);
}

/** Opens, works, closes. @throws CliError with what the database or the coordinator said */
async function onDatabase(
  options: Options,
  context: Context,
  work: (database: ParticipantDatabase, name: string) => Promise<void>,
): Promise<void> {
  const url = databaseUrl(options, context);
  if (url === undefined) throw new CliError("usage", "no database is named", ["add --database mysql://USER@HOST/DB"]);
  const table = textOption(options, "table");
  let database: ParticipantDatabase | undefined;
  try {
    database = await openDatabase(url, { ...(table && { table }), remember: options.remember === true });
    await work(database, masked(url));
  } catch (error) {
    throw error instanceof CliError ? error : explained(error, masked(url));
  } finally {
    await database?.end();
  }
}

function explained(error: unknown, name: string): CliError {
  const known = findBranded(error);
  const advice = known?.hint === undefined ? [] : [known.hint];
  if (known?.code === "DTX_INVALID_INPUT") return new CliError("usage", known.message, advice, { cause: error });
  if (known?.code === "DTX_UNREACHABLE") return new CliError("unreachable", known.message, advice, { cause: error });
  const { code, message } = (known?.cause ?? error) as { readonly code?: unknown; readonly message?: string };
  const why = message || String(code ?? error);
  return new CliError("store", `${known === undefined ? "" : `${known.message}; `}${name}: ${why}`, advice, {
    cause: error,
  });
}

async function recover({ xa }: ParticipantDatabase, terminal: Terminal, options: Options, url: string): Promise<void> {
  const prefix = textOption(options, "prefix");
  if (xa === undefined) throw new CliError("usage", "this database has no XA branches", []);
  await using client = createClient({ endpoints: [url] });
  const dryRun = options.dryRun === true;
  const found = await recoverXa(xa, client, { ...(prefix && { prefix }), dryRun });
  if (options.json === true) return terminal.out(JSON.stringify(found, undefined, 2));
  if (found.length === 0) return terminal.err("no branch is prepared");
  const done = (fate: string) => (dryRun && fate !== "waiting" && fate !== "unknown" ? `would be ${fate}` : fate);
  const rows = found.map(({ gid, branchId, fate }) => [printable(gid), branchId, done(fate)]);
  for (const line of tableLines(["gid", "branch", "fate"], rows, terminal)) terminal.out(line);
  if (found.some(({ fate }) => fate === "unknown"))
    terminal.err("unknown: the server has no such transaction; decide by hand, or ask another server with --url");
}

/** A gid may be known at one end only: the server forgets, and a database may be another's. */
async function lookUp(gid: string, options: Options, context: Context): Promise<void> {
  const { terminal, environment } = context;
  let missing: CliError | undefined;
  await showTransaction(connect(serverUrl(options, environment)), terminal, gid, false).catch((error: unknown) => {
    if (!(error instanceof CliError) || error.exit !== "notFound") throw error;
    missing = error;
  });
  const rows = databaseUrl(options, context) === undefined ? [] : await barrierRows(gid, options, context);
  if (missing !== undefined && rows.length === 0) throw missing;
  if (missing !== undefined) terminal.err(missing.message);
}

async function barrierRows(gid: string, options: Options, context: Context) {
  const { terminal } = context;
  let lines: readonly string[][] = [];
  await onDatabase(options, context, async (database, name) => {
    const rows = await database.rows(gid);
    lines = rows.map(({ branchId, op, barrierId, reason, createdAt }) =>
      [branchId, op, barrierId, reason, createdAt].map(printable),
    );
    if (lines.length === 0) return terminal.err(`no barrier row of it in ${name}`);
    terminal.out(`barrier rows in ${name}:`);
    for (const line of tableLines(["branch", "op", "barrier", "written by", "at"], lines, terminal)) terminal.out(line);
  });
  return lines;
}
