/**
 * Size and words: no long file, function or line, a purpose at the head of every file, a doc comment on every export.
 */
import { basename } from "node:path";
import ts from "typescript";
import { type Finding, lineOf, type Source, visit } from "./tree.js";

/** Most lines of a file, a function, and most characters of a line. */
export const sizes = { file: 400, function: 70, line: 120, purpose: 8 } as const;

/** Files and lines that are too long, but for lines that hold a long text: no formatter can break them. */
export function oversized(files: readonly Source[]): readonly Finding[] {
  return files.flatMap((file) => {
    const { path, text } = file;
    const lines = text.split("\n");
    const unbreakable = linesWithLongTexts(file);
    const long = lines.flatMap((line, i) =>
      line.length > sizes.line && !unbreakable.has(i + 1)
        ? [{ path, line: i + 1, problem: `line of ${line.length} characters` }]
        : [],
    );
    const count = text.endsWith("\n") ? lines.length - 1 : lines.length;
    return count > sizes.file ? [{ path, line: 1, problem: `file of ${count} lines` }, ...long] : long;
  });
}

function linesWithLongTexts(file: Source): ReadonlySet<number> {
  const lines = new Set<number>();
  visit(file.tree, (node) => {
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateExpression(node) || ts.isRegularExpressionLiteral(node);
    if (!isText || node.getWidth(file.tree) <= sizes.line / 2) return;
    const last = file.tree.getLineAndCharacterOfPosition(node.getEnd()).line + 1;
    for (let line = lineOf(file, node); line <= last; line++) lines.add(line);
  });
  return lines;
}

/** Functions, methods and accessors that are too long. */
export function longFunctions(files: readonly Source[]): readonly Finding[] {
  return files.flatMap((file) => {
    const findings: Finding[] = [];
    visit(file.tree, (node) => {
      if (!ts.isFunctionLike(node) || !("body" in node) || node.body === undefined) return;
      const { line: last } = file.tree.getLineAndCharacterOfPosition(node.getEnd());
      const lines = last + 2 - lineOf(file, node);
      const name = node.name?.getText(file.tree) ?? "without name";
      if (lines > sizes.function)
        findings.push({ path: file.path, line: lineOf(file, node), problem: `function ${name} of ${lines} lines` });
    });
    return findings;
  });
}

/** Files that do not open with a comment of 1 to 8 lines. */
export function withoutPurpose(files: readonly Source[]): readonly Finding[] {
  return files.flatMap(({ path, text }) => {
    const body = text.replace(/^#!.*\n/, "");
    const [comment] = ts.getLeadingCommentRanges(body, 0) ?? [];
    if (comment === undefined || comment.pos !== 0)
      return [{ path, line: 1, problem: "does not open with its purpose" }];
    const lines = purposeLines(body);
    if (lines <= sizes.purpose) return [];
    return [{ path, line: 1, problem: `opens with ${lines} lines of purpose, more than ${sizes.purpose}` }];
  });
}

function purposeLines(body: string): number {
  const [first] = ts.getLeadingCommentRanges(body, 0) ?? [];
  if (first === undefined) return 0;
  if (first.kind === ts.SyntaxKind.SingleLineCommentTrivia)
    return /^(\/\/.*\n?)*/.exec(body)![0].trimEnd().split("\n").length;
  const words = body.slice(first.pos, first.end).split("\n");
  return words.filter((line) => /[^\s/*]/.test(line)).length;
}

/**
 * Exports without a doc comment. Re-exports have theirs where they are declared, and what a file is named after
 * (`Actor` in `actor.ts`) has it at the head of the file.
 */
export function undocumented(files: readonly Source[]): readonly Finding[] {
  return files.flatMap((file) =>
    file.tree.statements
      .filter((node) => isExported(node) && ts.getJSDocCommentsAndTags(node).length === 0)
      .filter((node) => nameOf(node, file).toLowerCase() !== basename(file.path, ".ts").toLowerCase())
      .map((node) => ({
        path: file.path,
        line: lineOf(file, node),
        problem: `export ${nameOf(node, file)} says nothing`,
      })),
  );
}

function isExported(node: ts.Statement): boolean {
  return (
    ts.canHaveModifiers(node) &&
    ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true
  );
}

function nameOf(node: ts.Statement, file: Source): string {
  if (ts.isVariableStatement(node))
    return node.declarationList.declarations.map(({ name }) => name.getText(file.tree)).join(", ");
  return "name" in node ? ((node.name as ts.Identifier | undefined)?.getText(file.tree) ?? "default") : "default";
}
