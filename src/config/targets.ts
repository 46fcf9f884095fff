/**
 * Certificates and headers of single participants: a YAML file of `HOST` or `HOST:PORT`, each with CaFile, CertFile,
 * KeyFile and Headers. The certificates that it names for a participant count alone there, the keys
 * `Participants.*File` for all the others; headers go with every call.
 */
import { isMap, isScalar, LineCounter, type Pair, parseDocument, type YAMLMap } from "yaml";
import { readHeaders } from "../wire/headers.js";
import { InvalidInput } from "../wire/invalid.js";
import { inputLimits } from "../wire/limits.js";
import { suggestion } from "./setting.js";

/** PEM texts; what is missing is not used. */
export interface TargetTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

const members: Readonly<Record<string, keyof TargetTls>> = { CaFile: "ca", CertFile: "cert", KeyFile: "key" };
const known = [...Object.keys(members), "Headers"];

/** What is said of one participant; `tls` is missing where there are headers only. */
export interface TargetSettings {
  readonly tls?: TargetTls;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Of a target's name: a host or an address in brackets, and a port or none; a NATS subject looks like a host. */
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
): Readonly<Record<string, TargetSettings>> {
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
      else if (isMap(pair.value)) return [[keyOf(pair).toLowerCase(), settingsOf(pair.value, place, problems, pem)]];
      else problems.push(`${place}: needs ${known.join(", ")} below it`);
      return [];
    }),
  );
}

function settingsOf(
  map: YAMLMap,
  place: string,
  problems: string[],
  pem: (file: string, place: string) => string,
): TargetSettings {
  const found: Partial<Record<keyof TargetTls, string>> = {};
  let headers: TargetSettings["headers"];
  for (const pair of map.items) {
    const where = `${place}: ${keyOf(pair)}`;
    if (keyOf(pair) === "Headers") {
      headers = headersOf(pair, where, problems);
      continue;
    }
    const member = members[keyOf(pair)];
    const file = isScalar(pair.value) ? String(pair.value.value ?? "") : "";
    if (member === undefined) problems.push(`${where}: no such key${suggestion(keyOf(pair), known)}`);
    else if (file === "") problems.push(`${where}: needs the name of a PEM file`);
    else found[member] = pem(file, where);
  }
  const headersOnly = headers !== undefined && Object.keys(found).length === 0;
  return { ...(headers && { headers }), ...(!headersOnly && { tls: found }) };
}

function headersOf({ value }: Pair, where: string, problems: string[]): TargetSettings["headers"] {
  const pairs = isMap(value) ? value.items : [];
  const texts = pairs.map((pair) => [keyOf(pair), isScalar(pair.value) ? pair.value.value : undefined] as const);
  const odd = texts.find(([, text]) => typeof text !== "string");
  if (texts.length === 0 || odd !== undefined) {
    problems.push(`${where}${odd === undefined ? "" : `: ${odd[0]}`}: needs a text; numbers and the like in quotes`);
    return undefined;
  }
  try {
    return readHeaders(Object.fromEntries(texts) as Record<string, string>, inputLimits, "headers");
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    problems.push(`${where}: ${error.message}`);
    return undefined;
  }
}

function keyOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : "(no plain key)";
}

function rangeOf(key: unknown): number | undefined {
  return isScalar(key) ? key.range?.[0] : undefined;
}
