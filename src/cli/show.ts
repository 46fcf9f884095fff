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
import type { StartNode } from "./serve.js";
import type { Terminal } from "./terminal.js";

/** Runs the demo. @throws CliError when a saga does not end as it must */
export async function showDemo(
  context: Context,
  startNode: StartNode,
  { keep, paceMs }: { readonly keep: boolean; readonly paceMs: number },
): Promise<void> {
  const { terminal } = context;
  const dir = mkdtempSync(join(tmpdir(), "tandem-demo-"));
  const flags = { "Store.Url": `lmdb:${dir}`, HttpPort: "0", GrpcPort: "0", LogLevel: "error" } as const;
  const { config } = loadConfig({ environment: {}, flags, readFile: () => "" });
  try {
    const node = await startNode(config);
    try {
      const server = { url: node.addresses.http, store: `its own, embedded: ${dir}` };
      const demo = await runDemo(terminal, { paceMs, server });
      try {
        if (keep) await keepRunning(context, demo, node.addresses.http);
        else inviteToMore(terminal);
      } finally {
        await demo.close();
      }
    } finally {
      await node.close(1000);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function inviteToMore(terminal: Terminal): void {
  terminal.out("");
  terminal.out(`  ${terminal.paint.bold("Try it yourself:")} add --keep, and the server and both banks stay up.`);
  terminal.out("");
}

async function keepRunning({ terminal, stopped }: Context, { bank }: Demo, url: string): Promise<void> {
  const { bold, dim } = terminal.paint;
  terminal.out("");
  terminal.out(bold("Everything is still running. Try, in another terminal:"));
  for (const [what, line] of linesToTry(url, bank)) {
    terminal.out("");
    terminal.out(dim(`  # ${what}`));
    for (const part of line.split("\n")) terminal.out(`  ${part}`);
  }
  terminal.out("");
  terminal.out(dim("  Ctrl-C ends it and removes its folder."));
  await stopped;
}

/** Commands for people, as they can be pasted into a shell. */
export function linesToTry(url: string, bank: Demo["bank"]): readonly (readonly [string, string])[] {
  const body = JSON.stringify(transferBody("transfer-3", bank));
  return [
    ["another transfer", `curl -s ${url}/api/dtmsvr/submit -d '${body}'`],
    ["what became of it", `curl -s '${url}/api/dtmsvr/query?gid=transfer-3'`],
    ["the same, for people", `npx tandem tx show transfer-3 --url ${url}`],
    ["all of them", `npx tandem tx list --url ${url}`],
    ["how the server is", `npx tandem status --url ${url}`],
  ];
}
