// docs/client/api.md: everything that the client's entries export, as users' compilers see it, with its doc comments.

import { dirname, join } from "node:path";
import ts from "typescript";
import { declarations } from "./declarations.js";
import { clientEntries, type Entry } from "./entries.js";

/** Where the reference is kept. */
export const referencePath = "docs/client/api.md";

/** Declaration files by path from the repository's root. */
type Declared = ReadonlyMap<string, string>;

/** The whole page. */
export function reference(): string {
  const entries = clientEntries();
  const made = declarations(entries.map(({ source }) => source));
  const head =
    "# API reference\n\nMade from the doc comments by `npm run docs:api`; edit those. An entry is one import: " +
    "what is exported by several stands where it comes first.\n";
  const shown = new Set<string>();
  return [head, ...entries.map((entry) => section(entry, made, shown))].join("\n");
}

function section({ name, source }: Entry, made: Declared, shown: Set<string>): string {
  const start = source.replace(/\.ts$/, ".d.ts");
  const found = exportsOf(start, made).sort((a, b) => (a.name < b.name ? -1 : 1));
  const fresh = found.filter(({ key }) => !shown.has(key));
  for (const { key } of found) shown.add(key);
  const known = found.filter((one) => !fresh.includes(one)).map((one) => `\`${one.name}\``);
  const also = known.length === 0 ? "" : `\nAlso exports ${known.join(", ")}.\n`;
  return `## \`${name}\`\n${also}\n${fresh.map(shownExport).join("\n")}`;
}

interface Exported {
  readonly name: string;
  /** The same for one declaration, however many entries export it. */
  readonly key: string;
  readonly texts: readonly string[];
  readonly words: string;
}

function shownExport({ name, texts, words }: Exported): string {
  return `### ${name}\n\n${words === "" ? "" : `${words}\n\n`}\`\`\`ts\n${texts.join("\n")}\n\`\`\`\n`;
}

/** What a declaration file exports, its own and what it passes on. */
function exportsOf(path: string, made: Declared): Exported[] {
  const tree = ts.createSourceFile(path, made.get(path) ?? "", ts.ScriptTarget.ES2023, true);
  const own = new Map<string, ts.Statement[]>();
  const passed: Exported[] = [];
  for (const node of tree.statements) {
    if (ts.isExportDeclaration(node)) passed.push(...passedOn(node, path, made));
    else if (ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(isExport)) {
      for (const name of namesOf(node)) own.set(name, [...(own.get(name) ?? []), node]);
    }
  }
  const declared = [...own].map(([name, nodes]) => ({
    ...{ name, key: `${path} ${name}`, texts: nodes.map((node) => textOf(node)) },
    words: nodes.map(wordsOf).find((words) => words !== "") ?? "",
  }));
  return [...declared, ...passed];
}

const isExport = ({ kind }: ts.ModifierLike): boolean => kind === ts.SyntaxKind.ExportKeyword;

function passedOn(node: ts.ExportDeclaration, path: string, made: Declared): Exported[] {
  const { moduleSpecifier, exportClause } = node;
  if (moduleSpecifier === undefined || !ts.isStringLiteral(moduleSpecifier)) return [];
  if (exportClause === undefined || !ts.isNamedExports(exportClause)) throw new Error(`${path}: export * has no names`);
  const target = join(dirname(path), moduleSpecifier.text.replace(/\.js$/, ".d.ts"));
  const there = exportsOf(target, made);
  return exportClause.elements.map(({ name, propertyName }) => {
    const found = there.find((one) => one.name === (propertyName ?? name).text);
    if (found === undefined) throw new Error(`${path}: ${name.text} is not exported by ${target}`);
    return { ...found, name: name.text };
  });
}

function namesOf(node: ts.Statement): readonly string[] {
  if (ts.isVariableStatement(node)) return node.declarationList.declarations.map(({ name }) => name.getText());
  const { name } = node as ts.Statement & { readonly name?: ts.Identifier };
  return name === undefined ? [] : [name.text];
}

/** As declared, without the words above it and what every declaration begins with. */
function textOf(node: ts.Statement): string {
  return node
    .getText()
    .replace(/^export (declare )?/, "")
    .replace(/^ {4}#private;\n/gm, "")
    .replace(/ {4}/g, "  ");
}

function wordsOf(node: ts.Statement): string {
  const [comment] = ts.getJSDocCommentsAndTags(node);
  const text = comment === undefined ? "" : comment.getText();
  return text
    .replace(/^\/\*\*|\*\/$/g, "")
    .replace(/^\s*\* ?/gm, "")
    .trim();
}
