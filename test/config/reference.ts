// The tables of docs/configuration.md, made from the table of keys: `npx tsx test/config/reference.ts` prints them.
import { pathToFileURL } from "node:url";
import { environmentName, keyOf, type Path, paths } from "../../src/config/keys.js";

const headings: readonly (readonly [string, (path: Path) => boolean])[] = [
  ["Listening", (p) => ["Host", "HttpPort", "GrpcPort", "Insecure", "AdminBasePath"].includes(p)],
  ["Store", (p) => p.startsWith("Store.")],
  ["Times and retries", (p) => !p.includes(".") && keyOf(p).ignored === undefined && !/Log|Threads/.test(p)],
  ["Limits", (p) => p === "Threads" || p.startsWith("Limits.")],
  ["Participants", (p) => p.startsWith("Participants.")],
  ["Cluster", (p) => p.startsWith("Cluster.")],
  ["Log", (p) => ["LogLevel", "Log.Outputs"].includes(p)],
  ["Read for DTM's sake", () => true],
];

/** Sections of the reference in order; every key stands in exactly one, those without effect in the last. */
export function sections(): readonly { readonly title: string; readonly rows: readonly string[] }[] {
  const left = new Set(paths);
  return headings.map(([title, belongs], i) => {
    const last = i === headings.length - 1;
    const own = [...left].filter((path) => last || (belongs(path) && !withoutEffect(path)));
    for (const path of own) left.delete(path);
    return { title, rows: own.map(row) };
  });
}

/** One row of Markdown; blanks as single ones, since a formatter aligns the columns. */
export function row(path: Path): string {
  const { fallback, needs, about, flag, dtm } = keyOf(path);
  const names = [`\`TANDEM_${environmentName(path)}\``];
  if (dtm) names.push(`\`${environmentName(path)}\``);
  if (flag !== undefined) names.push(`\`${flag}\``);
  const value = String(fallback);
  const shown = value === "" ? "empty" : `\`${value}\``;
  const meaning = needs.startsWith("text,") ? about : `${about} Needs ${needs.replace(/, at most 1024.*/, "")}.`;
  return `| \`${path}\` | ${shown} | ${meaning} | ${names.join(", ")} |`;
}

function withoutEffect(path: Path): boolean {
  const { ignored, needs } = keyOf(path);
  return ignored !== undefined || needs === "'default'";
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const { title, rows } of sections()) {
    process.stdout.write(`\n## ${title}\n\n| key | default | meaning | names elsewhere |\n| --- | --- | --- | --- |\n`);
    process.stdout.write(`${rows.join("\n")}\n`);
  }
}
