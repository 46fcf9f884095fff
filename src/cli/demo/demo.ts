/**
 * DTM's quick start, run for real: a server on an embedded store in a temporary folder, two banks as HTTP services with
 * barriers, a saga that succeeds and one that is rolled back. What is printed was seen: by the services as they were
 * called, and by the coordinator in the history of each transaction.
 */
import { setTimeout as pause } from "node:timers/promises";
import { type Api, connect } from "../api.js";
import { CliError } from "../exit.js";
import { cut, type Terminal } from "../terminal.js";
import { historyOf } from "../transactions/answers.js";
import { rowsOf } from "../transactions/history.js";
import { type Bank, type Move, openBank } from "./bank.js";
import { Page } from "./page.js";
import { type Seen, Story } from "./story.js";

/** What the demo is given. */
export interface DemoOptions {
  /** Time that each service takes, milliseconds. */
  readonly paceMs: number;
  /** Address of the server's HTTP API, and where its store is, for the head of the page. */
  readonly server: { readonly url: string; readonly store: string };
}

/** The demo, after its two runs. The banks go on until `close`. */
export interface Demo {
  readonly bank: Bank;
  close(): Promise<void>;
}

/** How long the history of a transaction is waited for, milliseconds. */
const patienceMs = 30_000;

/** Time between two looks at the history while a saga runs, milliseconds. */
const lookEveryMs = 10;

/**
 * Runs both sagas and prints them. @throws CliError when one does not end as it must, so that a broken build cannot
 * shine
 */
export async function runDemo(terminal: Terminal, options: DemoOptions): Promise<Demo> {
  const page = new Page(terminal);
  const api = connect(options.server.url);
  let story: Story | undefined;
  const bank = await openBank({ paceMs: options.paceMs, onMove: (move) => story?.see(seenOf(move)) });
  const stage: Stage = {
    api,
    bank,
    page,
    begin: () => {
      story = new Story();
      return story;
    },
  };
  try {
    introduce(page, bank, options);
    await success(stage);
    await rollback(stage);
    return { bank, close: () => bank.close() };
  } catch (error) {
    await bank.close();
    throw error;
  }
}

interface Stage {
  readonly api: Api;
  readonly bank: Bank;
  readonly page: Page;
  /** A new story, to which the banks tell what they see from now on. */
  begin(): Story;
}

function introduce(page: Page, bank: Bank, { server, paceMs }: DemoOptions): void {
  page.title("Tandem quick start: a transfer of 30 from Alice to Bob as a saga");
  page.fact("coordinator", server.url, server.store);
  page.fact("Alice's bank", bank.alice, "TransOut, TransOutCompensate");
  page.fact("Bob's bank", bank.bob, "TransIn, TransInCompensate");
  page.plain();
  page.note("Each line was seen by the service it names, or is a row of the journal.");
  if (paceMs > 0) page.note(`Each service takes ${paceMs} ms to answer, so that you can watch (--pace 0).`);
}

async function success({ page, bank, ...stage }: Stage): Promise<void> {
  page.heading("1  Both banks say yes");
  const before = bank.balances();
  page.balances("before", before);
  page.plain();
  await saga({ page, bank, ...stage }, "transfer-1");
  page.plain();
  const after = bank.balances();
  const right = after.alice === before.alice - 30 && after.bob === before.bob + 30;
  page.balances("after", after, right ? "✓ 30 moved" : "✗ expected 30 to move", right);
  if (!right) throw new CliError("failed", "the first saga did not move 30 from Alice to Bob");
}

async function rollback({ page, bank, ...stage }: Stage): Promise<void> {
  page.heading("2  Bob's bank says no: TransIn answers 409, what was done is undone");
  bank.freezeBob(true);
  const before = bank.balances();
  page.balances("before", before);
  page.plain();
  await saga({ page, bank, ...stage }, "transfer-2");
  page.plain();
  const after = bank.balances();
  const right = after.alice === before.alice && after.bob === before.bob;
  page.balances("after", after, right ? "✓ as before" : "✗ expected as before", right);
  if (!right) throw new CliError("failed", "the second saga was not rolled back");
  bank.freezeBob(false);
}

/** The body of a submit, as any DTM client sends it. */
export function transferBody(gid: string, bank: Pick<Bank, "alice" | "bob">): object {
  const payload = JSON.stringify({ amount: 30 });
  return {
    gid,
    trans_type: "saga",
    wait_result: true,
    steps: [
      { action: `${bank.alice}/TransOut`, compensate: `${bank.alice}/TransOutCompensate` },
      { action: `${bank.bob}/TransIn`, compensate: `${bank.bob}/TransInCompensate` },
    ],
    payloads: [payload, payload],
  };
}

/** Submits one transfer, prints it while it runs and resolves when it has ended and all of it was told. */
async function saga({ api, bank, page, begin }: Stage, gid: string): Promise<void> {
  const story = begin();
  const startMs = Date.now();
  story.see(clientLine("POST", `submit ${gid}: TransOut, TransIn`));
  const answered = submit(api, transferBody(gid, bank)).then((line) => {
    story.see(line);
    return true;
  });
  for (let ended = false; !ended; ) {
    ended = await Promise.race([answered, pause(lookEveryMs, false)]);
    const history = await historyOf(api, gid).catch(notYetThere);
    story.journal(rowsOf(history));
    ended &&= history.some((event) => event.kind === "finished");
    for (const line of story.tell(ended)) page.step(line, startMs);
    if (!ended && Date.now() > startMs + patienceMs) throw new CliError("failed", `${gid} did not end in 30 s`);
  }
}

/** The first look may come before the submit was recorded. */
function notYetThere(error: unknown): [] {
  if (error instanceof CliError && error.exit === "notFound") return [];
  throw error;
}

async function submit(api: Api, body: object): Promise<Seen> {
  const response = await fetch(`${api.url}/api/dtmsvr/submit`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const said: unknown = await response.json();
  const { dtm_result: result, message } = said as { readonly dtm_result?: unknown; readonly message?: unknown };
  const text = [result, message].filter((part) => typeof part === "string").join(": ");
  return {
    ...clientLine(String(response.status), cut(text, 44)),
    last: true,
    tone: response.status === 200 ? "good" : "bad",
  };
}

function clientLine(mark: string, text: string): Seen {
  const nothing = { needsIntent: undefined, answers: undefined, last: false } as const;
  return { side: "seen", atMs: Date.now(), who: "client", mark, text, tone: "plain", ...nothing };
}

function seenOf({ kind, atMs, service, branch, text, status }: Move): Seen {
  const op = `${branch.branchId} ${branch.op}`;
  const undo = branch.op === "compensate";
  return {
    side: "seen",
    atMs,
    needsIntent: kind === "called" ? op : undefined,
    answers: kind === "answered" ? op : undefined,
    last: false,
    who: service,
    mark: kind === "called" ? "call" : String(status),
    text,
    tone: status >= 400 ? "bad" : undo ? "undo" : "plain",
  };
}
