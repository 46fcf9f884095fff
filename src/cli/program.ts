/**
 * The commands of `tandem` and their options. Each action reads its options, calls one function and returns; errors go
 * up to `run`, which turns them into a message and an exit code.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { statuses, transTypes } from "../core/transaction.js";
import { connect } from "./api.js";
import { backup } from "./backup.js";
import type { Context } from "./context.js";
import { addDatabases } from "./database.js";
import { doctor } from "./doctor.js";
import { CliError, type ExitCode, exitCodes } from "./exit.js";
import { migrate } from "./migrate.js";
import { type StartNode, serve } from "./serve.js";
import { type Options, readSettings, serverUrl, withConfigFlags } from "./settings.js";
import { showDemo } from "./show.js";
import { status } from "./status.js";
import { deleteTopic, listTopics, subscribe, unsubscribe } from "./topics.js";
import { act, type Deed, listTransactions, showTransaction } from "./transactions/tx.js";
import { packageVersion } from "./version.js";

/** Runs the tool with the arguments after its name; resolves to the exit code and never rejects. */
export async function run(args: readonly string[], context: Context, startNode: StartNode): Promise<number> {
  const { terminal } = context;
  try {
    const program = buildProgram(context, startNode);
    assertKnown(program, args[0]);
    await program.parseAsync([...args], { from: "user" });
    return exitCodes.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    const { red, dim } = terminal.paintErr;
    if (!(error instanceof CliError)) {
      terminal.err(red(`tandem: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`));
      return exitCodes.failed;
    }
    terminal.err(red(`tandem: ${error.message}`));
    for (const line of error.advice) terminal.err(dim(`  ${line}`));
    return exitCodes[error.exit];
  }
}

/** Without a command `serve` is meant; a word that is none must not start a server. */
function assertKnown(program: Command, word: string | undefined): void {
  if (word === undefined || word.startsWith("-") || word === "help") return;
  const names = program.commands.map((command) => command.name());
  if (names.includes(word)) return;
  throw new CliError("usage", `there is no command '${word}'`, [`commands: ${names.join(", ")}; see tandem --help`]);
}

function buildProgram(context: Context, startNode: StartNode): Command {
  const { terminal } = context;
  const program = new Command("tandem")
    .description("Coordinator of distributed transactions, wire-compatible with DTM.")
    .version(packageVersion(), "-v, --version")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
    })
    .showHelpAfterError("(see tandem --help)")
    .addHelpText("after", exitText);
  addServer(program, context, startNode);
  addTransactions(program, context);
  addTopics(program, context);
  addDatabases(program, context, withServer);
  for (const command of [...program.commands, ...program.commands.flatMap((command) => command.commands)]) {
    command.exitOverride().copyInheritedSettings(program);
  }
  return program;
}

const exitNames: Readonly<Record<ExitCode, string>> = {
  ok: "done",
  failed: "something unforeseen",
  usage: "wrong arguments or configuration",
  inUse: "store in use by another process",
  ownership: "another process runs under this node's name",
  store: "store cannot be used",
  unreachable: "no server answers",
  notFound: "no such transaction, topic, …",
  refused: "the transaction's state forbids it",
  portTaken: "port taken",
};

const exitText = `
Exit codes: ${Object.entries(exitCodes)
  .map(([name, code]) => `${code} ${exitNames[name as ExitCode]}`)
  .join(", ")}.
Every key of the configuration: docs/configuration.md.`;

function addServer(program: Command, context: Context, startNode: StartNode): void {
  const { terminal, environment } = context;
  withConfigFlags(program.command("serve", { isDefault: true }))
    .description("run a node (also without any command)")
    .option("-d", "debug log, as DTM's -d")
    .action((options: Options) => {
      const flags = options.d === true ? { logLevel: "debug", ...options } : options;
      return serve(context, readSettings(flags, environment), startNode);
    });
  program
    .command("demo")
    .description("run a saga to success and another to its roll-back, on a server of its own")
    .option("--keep", "leave the server running, with lines to try")
    .option("--pace <ms>", "time that each service takes to answer", wholeNumber, 150)
    .action(({ keep, pace }: { keep?: boolean; pace: number }) =>
      showDemo(context, startNode, { keep: keep === true, paceMs: pace }),
    );
  withServer(program.command("status"))
    .description("how the server is, transactions by type and status, troubled participants")
    .option("--json", "as JSON")
    .action((options: Options) => status(connect(serverUrl(options, environment)), terminal, options.json === true));
  withServer(program.command("backup <dir>"))
    .description("copy the running server's store into an empty folder of its machine")
    .option("--json", "as JSON")
    .action((dir: string, options: Options) =>
      backup(connect(serverUrl(options, environment)), terminal, dir, options.json === true),
    );
  withConfigFlags(program.command("migrate"))
    .description("make or complete the tables of the database")
    .action((options: Options) => migrate(terminal, readSettings(options, environment)));
  withConfigFlags(program.command("doctor"))
    .description("check Node, configuration, ports, store and server; say what to do")
    .option("--json", "as JSON")
    .action((options: Options) => doctor(terminal, () => readSettings(options, environment), options.json === true));
}

function addTransactions(program: Command, { terminal, environment }: Context): void {
  const tx = program.command("tx").description("find, look at and handle transactions");
  const api = (options: Options) => connect(serverUrl(options, environment));
  withServer(tx.command("list"))
    .description("transactions, newest first")
    .addOption(new Option("--status <status>", "only of this status").choices(statuses))
    .addOption(new Option("--type <type>", "only of this type").choices(transTypes))
    .option("--unfinished", "only those that go on")
    .option("--parked", "only parked ones")
    .option("--limit <n>", "at most so many", wholeNumber, 50)
    .option("--json", "as JSON")
    .action((options: Options & { status?: string; type?: string; unfinished?: boolean; parked?: boolean }) =>
      listTransactions(api(options), terminal, {
        ...options,
        limit: Math.max(1, Number(options.limit)),
        json: options.json === true,
      }),
    );
  withServer(tx.command("show <gid>"))
    .description("one transaction: state, branches, history")
    .option("--json", "as JSON")
    .action((gid: string, options: Options) => showTransaction(api(options), terminal, gid, options.json === true));
  const deeds: Readonly<Record<Deed, string>> = {
    retry: "call what waits for a later time now; also un-parks",
    park: "call nothing and let no timeout fire until unpark",
    unpark: "end parking",
    stop: "end as failed at once, WITHOUT compensating what is done",
  };
  for (const [deed, about] of Object.entries(deeds) as [Deed, string][]) {
    const command = withServer(tx.command(`${deed} <gid...>`)).description(about);
    if (deed === "stop") command.option("--yes", "do not ask");
    if (deed === "park") command.option("--reason <text>", "why, shown with the transaction");
    command.action((gids: readonly string[], options: Options & { reason?: string }) => {
      const by = environment.USER ?? environment.USERNAME ?? "operator";
      return act(api(options), terminal, deed, gids, { reason: options.reason, yes: options.yes === true, by });
    });
  }
}

function addTopics(program: Command, { terminal, environment }: Context): void {
  const topics = program.command("topics").description("who is told of messages to a topic");
  const api = (options: Options) => connect(serverUrl(options, environment));
  withServer(topics.command("list", { isDefault: true }))
    .description("all topics and their subscribers")
    .option("--json", "as JSON")
    .action((options: Options) => listTopics(api(options), terminal, options.json === true));
  withServer(topics.command("subscribe <topic> <url>"))
    .description("add a subscriber")
    .option("--remark <text>", "a note for people", "")
    .action((topic: string, url: string, options: Options & { remark: string }) =>
      subscribe(api(options), terminal, topic, url, options.remark),
    );
  withServer(topics.command("unsubscribe <topic> <url>"))
    .description("remove a subscriber")
    .action((topic: string, url: string, options: Options) => unsubscribe(api(options), terminal, topic, url));
  withServer(topics.command("delete <topic>"))
    .description("remove a topic with all its subscribers")
    .action((topic: string, options: Options) => deleteTopic(api(options), terminal, topic));
}

/** Options of every command that talks to a running server. */
function withServer(command: Command): Command {
  return command
    .option("--url <url>", "server to talk to; environment: TANDEM_URL; else where the configuration says")
    .option("-c, --config <file>", "configuration file that says where the server listens");
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("needs a whole number.");
}
