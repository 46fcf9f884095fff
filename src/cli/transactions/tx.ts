/**
 * `tandem tx …`: find transactions, look at one, and what an operator may do to it.
 */
import type { Api } from "../api.js";
import { CliError } from "../exit.js";
import { printable, type Terminal, tableLines } from "../terminal.js";
import { detailOf, type Fields, historyOf, pageOf, pathOf, text, timeMs } from "./answers.js";
import { showDetail, statusWord } from "./detail.js";
import { span } from "./span.js";

/** Conditions of `tx list`, all of which must hold. */
export interface ListOptions {
  readonly status?: string | undefined;
  readonly type?: string | undefined;
  readonly unfinished?: boolean | undefined;
  readonly parked?: boolean | undefined;
  readonly limit: number;
  readonly json: boolean;
}

/** Most transactions that one page of the server holds. */
const pageMax = 1000;

/** Transactions, newest first, at most `limit`. */
export async function listTransactions(api: Api, terminal: Terminal, options: ListOptions): Promise<void> {
  const found: Fields[] = [];
  let cursor: string | undefined;
  do {
    const page = await pageOf(api, {
      status: options.status,
      trans_type: options.type,
      unfinished: options.unfinished === true ? "true" : undefined,
      parked: options.parked === true ? "true" : undefined,
      limit: String(Math.min(pageMax, options.limit - found.length)),
      cursor,
    });
    found.push(...page.transactions);
    cursor = page.next;
  } while (cursor !== "" && found.length < options.limit);
  if (options.json) return terminal.out(JSON.stringify(found, undefined, 2));
  if (found.length === 0) return terminal.err("no such transactions");
  const nowMs = Date.now();
  const rows = found.map((tx) => [
    printable(text(tx.gid)),
    text(tx.trans_type),
    statusWord(tx, terminal),
    span(nowMs - timeMs(tx.create_time)),
    printable(text(tx.rollback_reason)),
  ]);
  for (const line of tableLines(["gid", "type", "status", "age", "reason"], rows, terminal)) terminal.out(line);
  if (cursor !== "") terminal.err(`more than ${options.limit}; see more with --limit N`);
}

/** One transaction with its branches and its history. */
export async function showTransaction(api: Api, terminal: Terminal, gid: string, json: boolean): Promise<void> {
  const detail = await detailOf(api, gid);
  const history = await historyOf(api, gid).catch(noHistory);
  if (json) return terminal.out(JSON.stringify({ ...detail, history }, undefined, 2));
  showDetail(terminal, detail, history, Date.now());
}

/** Retention removes the journal before the head. */
function noHistory(error: unknown): [] {
  if (error instanceof CliError && error.exit === "notFound") return [];
  throw error;
}

/** What an operator may do. */
export type Deed = "retry" | "park" | "unpark" | "stop";

const done: Readonly<Record<Deed, string>> = {
  retry: "is due now",
  park: "is parked: nothing is called and no timeout fires until unpark or retry",
  unpark: "goes on",
  stop: "was stopped: it is failed, and nothing was compensated",
};

/** Does it to each gid in turn; goes on after a refusal, and fails with the first one at the end. */
export async function act(
  api: Api,
  terminal: Terminal,
  deed: Deed,
  gids: readonly string[],
  options: { readonly reason?: string | undefined; readonly yes: boolean; readonly by: string },
): Promise<void> {
  if (deed === "stop" && !options.yes) await confirmStop(terminal, gids);
  let first: CliError | undefined;
  for (const gid of gids) {
    try {
      const body = deed === "park" ? { by: options.by, reason: options.reason ?? "" } : {};
      await api.send("POST", `${pathOf(gid)}/${deed}`, body);
      terminal.err(`${printable(gid)} ${done[deed]}`);
    } catch (error) {
      if (!(error instanceof CliError) || error.exit === "unreachable") throw error;
      first ??= error;
      if (gids.length > 1) terminal.err(terminal.paintErr.red(`${printable(gid)}: ${error.message}`));
    }
  }
  if (first !== undefined) throw first;
}

async function confirmStop(terminal: Terminal, gids: readonly string[]): Promise<void> {
  const what = gids.length === 1 ? `'${printable(gids[0]!)}'` : `${gids.length} transactions`;
  if (!terminal.interactive) {
    throw new CliError("usage", `stopping ${what} leaves done branches as they are`, ["say that you mean it: --yes"]);
  }
  const answer = await terminal.ask(`Stop ${what}? Branches that are done stay done, nothing is compensated. [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError("refused", "nothing was stopped");
}
