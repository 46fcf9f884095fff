/**
 * The source tree as the architecture rules see it: parsed files, their folder and what they import. Rules take a list
 * of files, so each can be proven on planted ones that exist nowhere.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** One parsed file; `path` is relative to the root, with `/`. */
export interface Source {
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
}

/** A broken rule, as it is listed. */
export interface Finding {
  readonly path: string;
  /** 1-based; 1 where the whole file is meant. */
  readonly line: number;
  readonly problem: string;
}

/** What a file imports: a path of the tree without its extension, or a package. */
export interface Import {
  readonly specifier: string;
  /** Resolved path (`src/core/event.ts`), `undefined` for packages. */
  readonly path: string | undefined;
  readonly line: number;
  /** Gone after compilation. */
  readonly typeOnly: boolean;
}

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** Parses a text as if it stood at that path. */
export function source(path: string, text: string): Source {
  return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true, ts.ScriptKind.TS) };
}

/** All TypeScript files below these folders, in order of path; folders that do not exist are empty. */
export function sources(folders: readonly string[]): readonly Source[] {
  return folders
    .flatMap((folder) => filesBelow(folder))
    .filter((path) => /\.(ts|tsx)$/.test(path) && !path.endsWith(".d.ts"))
    .sort()
    .map((path) => source(path, readFileSync(join(root, path), "utf8")));
}

function filesBelow(folder: string): readonly string[] {
  try {
    const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && !entry.parentPath.includes("node_modules"))
      .map((entry) => posix.join(folder, join(entry.parentPath, entry.name).slice(join(root, folder).length + 1)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Static and dynamic imports and re-exports, in order. */
export function importsOf(file: Source): readonly Import[] {
  const found: Import[] = [];
  visit(file.tree, (node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined) return;
    const typeOnly =
      (ts.isImportDeclaration(node) && node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword) ||
      (ts.isExportDeclaration(node) && node.isTypeOnly);
    const path = specifier.startsWith(".")
      ? posix.join(posix.dirname(file.path), specifier).replace(/\.js$/, ".ts")
      : undefined;
    found.push({ specifier, path, line: lineOf(file, node), typeOnly });
  });
  return found;
}

function specifierOf(node: ts.Node): string | undefined {
  if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined)
    return ts.isStringLiteral(node.moduleSpecifier) ? node.moduleSpecifier.text : undefined;
  if (!ts.isCallExpression(node) || node.expression.kind !== ts.SyntaxKind.ImportKeyword) return undefined;
  const [argument] = node.arguments;
  return argument !== undefined && ts.isStringLiteralLike(argument) ? argument.text : undefined;
}

/** Package of a bare specifier: `@grpc/grpc-js/build` → `@grpc/grpc-js`. */
export function packageOf(specifier: string): string {
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0]!;
}

/** Calls `look` for every node of a tree, parents first. */
export function visit(node: ts.Node, look: (node: ts.Node) => void): void {
  look(node);
  ts.forEachChild(node, (child) => visit(child, look));
}

/** 1-based line on which a node begins, its comments not counted. */
export function lineOf(file: Source, node: ts.Node): number {
  return file.tree.getLineAndCharacterOfPosition(node.getStart(file.tree)).line + 1;
}

/** Findings as a list that a person can work off. */
export function listed(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ path, line, problem }) => `${path}:${line} ${problem}`);
}
