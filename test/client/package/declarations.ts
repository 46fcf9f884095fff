// The declarations that a user's compiler reads, made from the sources and searched for types that check nothing.

import { dirname, join, relative } from "node:path";
import ts from "typescript";

/** A place in a declaration file. */
export interface Place {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

/** Declaration files of the entries and of all own files that they reach, by path from the repository's root. */
export function declarations(entries: readonly string[]): ReadonlyMap<string, string> {
  const root = process.cwd();
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: entries }, ts.sys, root);
  const settings = { ...options, noEmit: false, declaration: true, emitDeclarationOnly: true, stripInternal: true };
  const program = ts.createProgram(
    entries.map((one) => join(root, one)),
    { ...settings, outDir: join(root, "declared") },
  );
  const made = new Map<string, string>();
  program.emit(undefined, (path, text) => made.set(relative(join(root, "declared"), path), text));
  return made;
}

/** Every `any` in a declaration file. */
export function anyIn(path: string, text: string): readonly Place[] {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  const found: Place[] = [];
  const visit = (node: ts.Node): void => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) {
      const { line } = tree.getLineAndCharacterOfPosition(node.getStart(tree));
      found.push({ path, line: line + 1, text: text.split("\n")[line]?.trim() ?? "" });
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** Files that `path` refers to, of those that were made. */
export function reachable(made: ReadonlyMap<string, string>, starts: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  const visit = (path: string): void => {
    const text = made.get(path);
    if (text === undefined || seen.has(path)) return;
    seen.add(path);
    for (const { fileName } of ts.preProcessFile(text).importedFiles) {
      if (fileName.startsWith(".")) visit(join(dirname(path), fileName.replace(/\.js$/, ".d.ts")));
    }
  };
  for (const start of starts) visit(start);
  return [...seen];
}
