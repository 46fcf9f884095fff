/**
 * What may not happen where: the core is pure, and real time and chance come only from the places that are listed here,
 * so that everything else can run under a simulated clock.
 */
import ts from "typescript";
import { type Finding, importsOf, lineOf, type Source, visit } from "./tree.js";

/** Names of the world outside that the core must not touch. */
const impure = new Set([
  ...["Date", "process", "globalThis", "console", "fetch", "performance", "crypto", "Intl", "Atomics"],
  ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "structuredClone", "require"],
]);

/** Everything in core files that is not a function of its arguments. */
export function impurities(files: readonly Source[]): readonly Finding[] {
  return files.flatMap((file) => {
    const findings: Finding[] = [];
    const found = (node: ts.Node, problem: string) => {
      findings.push({ path: file.path, line: lineOf(file, node), problem });
    };
    for (const { specifier, path, line } of importsOf(file))
      if (path === undefined) findings.push({ path: file.path, line, problem: `imports ${specifier}` });
    visit(file.tree, (node) => {
      if (ts.isAwaitExpression(node) || isAsync(node)) found(node, "waits: no async and no await");
      if (isMember(node, "Math", ["random"])) found(node, "uses Math.random");
      if (ts.isIdentifier(node) && impure.has(node.text) && isFree(node)) found(node, `uses ${node.text}`);
      if (isMutableAtTop(node, file)) found(node, "keeps mutable state in the module");
    });
    return findings;
  });
}

function isAsync(node: ts.Node): boolean {
  return (
    ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword) === true
  );
}

function isMember(node: ts.Node, object: string, members: readonly string[]): boolean {
  return (
    ts.isPropertyAccessExpression(node) &&
    ts.isIdentifier(node.expression) &&
    node.expression.text === object &&
    members.includes(node.name.text)
  );
}

/** Not a member of something else, nor a name in a declaration or type literal. */
function isFree(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent)) return parent.name !== node;
  return !ts.isImportSpecifier(parent) && !ts.isPropertyDeclaration(parent);
}

function isMutableAtTop(node: ts.Node, file: Source): boolean {
  return (
    ts.isVariableStatement(node) &&
    node.parent === file.tree &&
    (node.declarationList.flags & ts.NodeFlags.Const) === 0 &&
    (node.declarationList.flags & ts.NodeFlags.AwaitUsing) === 0
  );
}

/** Names that are time or chance, alone or as members. */
const timers = new Set(["setTimeout", "setInterval", "setImmediate"]);
const chance = new Set(["randomBytes", "randomUUID", "randomInt", "randomFillSync", "randomFill", "getRandomValues"]);
const moments: readonly (readonly [object: string, members: readonly string[]])[] = [
  ["Date", ["now"]],
  ["Math", ["random"]],
  ["performance", ["now", "timeOrigin"]],
  ["process", ["hrtime", "uptime", "nextTick"]],
];

/** Where real time and chance may enter, and why. A path ending in `/` is a folder. */
export const realWorld: Readonly<Record<string, string>> = {
  "src/clock.ts": "the clock adapter itself",
  "src/node.ts": "composition root: makes the seed of the engine's chance",
  "src/node/": "composition root",
  "src/cli/": "a person's terminal: progress, deadlines of commands",
  "src/demo/": "runs a real server for a person to watch",
  "src/caller/": "deadlines of sockets and ids of requests; the simulation replaces callers as a whole",
  "src/gateway/": "deadlines of sockets, new gids, uptime; the simulation replaces gateways as a whole",
  "src/client/": "runs in the user's process, not in the coordinator",
  "src/testing/": "lets the user's own code run on between two moments of virtual time",
  "src/embedded/embedded.ts": "a composition root",
  "src/metrics.ts": "measures the real process",
  "src/metrics/": "measures the real process",
  "cluster/node.ts": "composition root",
  "cluster/thread.ts": "composition root",
  "cluster/threads.ts": "composition root",
  "cluster/bus/nats/": "deadlines of the NATS client; the simulation has a bus of its own",
  "src/store/mysql/": "deadlines of connections; the simulation uses the memory store",
  "src/store/lmdb/": "the folder's lock; the simulation uses the memory store",
};

/** Every use of real time or chance outside the list. */
export function strayTime(files: readonly Source[]): readonly Finding[] {
  return files
    .filter(({ path }) => !isListed(path))
    .flatMap((file) => {
      const findings: Finding[] = [];
      visit(file.tree, (node) => {
        const problem = timeUse(node);
        if (problem !== undefined) findings.push({ path: file.path, line: lineOf(file, node), problem });
      });
      return findings;
    });
}

function isListed(path: string): boolean {
  return Object.keys(realWorld).some((entry) => (entry.endsWith("/") ? path.startsWith(entry) : path === entry));
}

function timeUse(node: ts.Node): string | undefined {
  for (const [object, members] of moments)
    if (isMember(node, object, members)) return `uses ${object}.${(node as ts.PropertyAccessExpression).name.text}`;
  if (ts.isNewExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === "Date")
    return (node.arguments?.length ?? 0) === 0 ? "uses new Date()" : undefined;
  if (ts.isImportSpecifier(node) && chance.has((node.propertyName ?? node.name).text))
    return `imports ${node.name.text}`;
  if (ts.isPropertyAccessExpression(node) && chance.has(node.name.text)) return `uses ${node.name.text}`;
  if (ts.isStringLiteral(node) && /^node:timers/.test(node.text)) return `imports ${node.text}`;
  if (ts.isIdentifier(node) && timers.has(node.text) && ts.isCallExpression(node.parent)) return `uses ${node.text}`;
  return undefined;
}
