// What the documents tell operators exists: metrics, exit codes, commands and their options.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type ClusterGauges, registerClusterGauges } from "../../cluster/gauges.js";
import { exitCodes } from "../../src/cli/exit.js";
import type { RunningNode } from "../../src/cli/serve.js";
import { loadConfig } from "../../src/config/config.js";
import { startNode } from "../../src/node.js";
import { tandem } from "./recorder.js";

const page = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");

async function onNode<T>(work: (node: RunningNode) => Promise<T>): Promise<T> {
  const flags = { "Store.Url": "memory:", HttpPort: "0", GrpcPort: "0", LogLevel: "error" } as const;
  const node = await startNode(loadConfig({ environment: {}, flags, readFile: () => "" }).config);
  try {
    return await work(node);
  } finally {
    await node.close(500);
  }
}

/** Names of what a node of a cluster shows besides. */
function clusterMetrics(): readonly string[] {
  const names: string[] = [];
  const note = (name: string) => void names.push(name);
  const shown = { member: {}, log: {}, killsDenied: () => 0, natsConnected: () => true } as unknown as ClusterGauges;
  registerClusterGauges({ gauge: note, total: note }, shown);
  return names;
}

describe("docs/operating.md", () => {
  it("speaks only of metrics that a node has", async () => {
    const text = await onNode(async ({ addresses }) => (await fetch(`${addresses.http}/api/metrics`)).text());
    const own = [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name);
    const known = new Set([...own, ...clusterMetrics()]);
    const named = new Set(
      [...page("docs/operating.md").matchAll(/`((?:tandem|dtm|nodejs|process)_\w+)/g)].map(([, n]) => n),
    );
    expect(named.size).toBeGreaterThan(10);
    expect([...named].filter((name) => !known.has(name))).toEqual([]);
  });

  it("explains every exit code, and links only to headings that it has", () => {
    const text = page("docs/operating.md");
    const rows = [...text.matchAll(/^\| (\d) +\|/gm)].map(([, code]) => Number(code));
    expect(rows).toEqual(Object.values(exitCodes));
    const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\w -]/g, "")
        .replaceAll(" ", "-"),
    );
    const links = [...text.matchAll(/\]\(#([\w-]+)\)/g)].map(([, anchor]) => anchor);
    expect(links.filter((anchor) => !headings.includes(anchor!))).toEqual([]);
  });
});

describe("README.md", () => {
  it("names every exit code and every command, and no file that is not there", async () => {
    const text = page("README.md").replace(/\s+/g, " ");
    for (const code of Object.values(exitCodes)) expect(text).toMatch(new RegExp(`[ :]${code} [a-z]`));
    const help = (await tandem(["--help"])).out;
    const commands = [...help.matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name);
    expect(commands.length).toBeGreaterThan(6);
    expect(commands.filter((name) => name !== "help" && !text.includes(`tandem ${name}`))).toEqual([]);
    const links = [...text.matchAll(/\]\(((?!http)[^)#]+)\)/g)].map(([, file]) => file!);
    expect(links.length).toBeGreaterThan(2);
    for (const file of links) expect(page(file).length).toBeGreaterThan(0);
  });
});
