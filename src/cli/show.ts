/**
 * `tandem demo`: starts a server of its own on an embedded store in a temporary folder and free ports, shows the two
 * sagas, and takes everything away again; with `--keep` only when it is told to stop.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../config/config.js";
import type { Context } from "./context.js";
import { type Demo, runDemo, transferBody } from "./demo/demo.js";
import { CliError } from "./exit.js";
import type { StartNode } from "./serve.js";

/** Runs the demo. @throws CliError when a saga does not end as it must */
export async function showDemo(
  context: Context,
  startNode: StartNode,
  { keep, paceMs }: { readonly keep: boolean; readonly paceMs: number },
): Promise<void> {
  const { terminal } = context;
  const stopped = context.untilStopped();
  const dir = mkdtempSync(join(tmpdir(), "tandem-demo-"));
  const flags = { "Store.Url": `lmdb:${dir}`, HttpPort: "0", GrpcPort: "0", LogLevel: "error" } as const;
  const { config } = loadConfig({ environment: {}, flags, readFile: () => "" });
  const ends: (() => Promise<void>)[] = [];
  try {
    const node = await startNode(config, []);
    ends.unshift(() => node.close(1000));
    const server = { url: node.addresses.http, store: `its own, embedded: ${dir}` };
    const demo = await Promise.race([runDemo(terminal, { paceMs, server }), interruption(stopped)]);
    ends.unshift(demo.close);
    if (!keep) return inviteToMore(context);
    showLinesToTry(context, demo, server.url);
    await stopped;
  } finally {
    for (const end of ends) await end();
    rmSync(dir, { recursive: true, force: true });
  }
}

function inviteToMore({ terminal, command }: Context): void {
  terminal.out("");
  terminal.out(`  Play with it yourself:  ${terminal.paint.bold(`${command} demo --keep`)}`);
  terminal.out("");
}

/** Ends a demo that is cut short, so that its folder goes away with it. */
async function interruption(stopped: Promise<string>): Promise<never> {
  throw new CliError("failed", `${await stopped}: the demo was not finished`);
}

function showLinesToTry({ terminal, command }: Context, { bank }: Demo, url: string): void {
  const { bold, dim } = terminal.paint;
  terminal.out("");
  terminal.out(bold("Everything is still running. Try, in another terminal:"));
  for (const [what, line] of linesToTry(url, bank, command)) {
    terminal.out("");
    terminal.out(dim(`  # ${what}`));
    for (const part of line.split("\n")) terminal.out(`  ${part}`);
  }
  terminal.out("");
  terminal.out(dim("  Ctrl-C ends it and removes its folder."));
}

/** Commands for people, as they can be pasted into a shell. */
export function linesToTry(url: string, bank: Demo["bank"], command: string): readonly (readonly [string, string])[] {
  const body = JSON.stringify(transferBody("transfer-3", bank));
  return [
    ["another transfer", `curl -s ${url}/api/dtmsvr/submit -d '${body}'`],
    ["what became of it", `curl -s '${url}/api/dtmsvr/query?gid=transfer-3'`],
    ["the same, for people", `${command} tx show transfer-3 --url ${url}`],
    ["all of them", `${command} tx list --url ${url}`],
    ["how the server is", `${command} status --url ${url}`],
  ];
}
