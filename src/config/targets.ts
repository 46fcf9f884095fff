/**
 * Certificates of single participants: a YAML file of `HOST` or `HOST:PORT`, each with CaFile, CertFile and KeyFile.
 * What it says of a participant counts alone, the keys `Participants.*File` for all the others.
 */
import { isMap, isScalar, LineCounter, type Pair, parseDocument, type YAMLMap } from "yaml";
import { suggestion } from "./setting.js";

/** PEM texts; what is missing is not used. */
export interface TargetTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

const members: Readonly<Record<string, keyof TargetTls>> = { CaFile: "ca", CertFile: "cert", KeyFile: "key" };

/** Of a target's name: a host or an address in brackets, and a port or none. */
const target = /^(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?$/i;

/**
 * Targets of a file's content, names in lower case; what is wrong is added to `problems`, with file and line.
 * @param pem reads a PEM file; `place` is where it is named
 */
export function targetsOf(
  name: string,
  content: string,
  problems: string[],
  pem: (file: string, place: string) => string,
): Readonly<Record<string, TargetTls>> {
  const lines = new LineCounter();
  const { contents, errors } = parseDocument(content, { lineCounter: lines, prettyErrors: false, merge: false });
  const lineOf = (offset: number | undefined) => `${name}:${lines.linePos(offset ?? 0).line}`;
  for (const error of errors) problems.push(`${lineOf(error.pos[0])}: ${error.message}`);
  if (errors.length > 0 || contents === null) return {};
  if (!isMap(contents)) {
    problems.push(`${lineOf(contents.range?.[0])}: is no mapping; it needs lines such as 'bank.example:443:'`);
    return {};
  }
  return Object.fromEntries(
    contents.items.flatMap((pair) => {
      const place = `${lineOf(rangeOf(pair.key))}: ${keyOf(pair)}`;
      if (!target.test(keyOf(pair))) problems.push(`${place}: is no participant; needs HOST or HOST:PORT`);
      else if (isMap(pair.value)) return [[keyOf(pair).toLowerCase(), filesOf(pair.value, place, problems, pem)]];
      else problems.push(`${place}: needs ${Object.keys(members).join(", ")} below it`);
      return [];
    }),
  );
}

function filesOf(
  map: YAMLMap,
  place: string,
  problems: string[],
  pem: (file: string, place: string) => string,
): TargetTls {
  const found: Partial<Record<keyof TargetTls, string>> = {};
  for (const pair of map.items) {
    const where = `${place}: ${keyOf(pair)}`;
    const member = members[keyOf(pair)];
    const file = isScalar(pair.value) ? String(pair.value.value ?? "") : "";
    if (member === undefined) problems.push(`${where}: no such key${suggestion(keyOf(pair), Object.keys(members))}`);
    else if (file === "") problems.push(`${where}: needs the name of a PEM file`);
    else found[member] = pem(file, where);
  }
  return found;
}

function keyOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : "(no plain key)";
}

function rangeOf(key: unknown): number | undefined {
  return isScalar(key) ? key.range?.[0] : undefined;
}
