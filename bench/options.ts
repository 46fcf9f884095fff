// The command-line options that all benchmark programs share.
import { isPattern } from "./calls.js";
import type { Comparison } from "./compare.js";
import type { Pattern } from "./patterns.js";

/** For `parseArgs` of node:util. */
export const loadOptions = {
  clients: { type: "string", default: "1,16,64,256" },
  seconds: { type: "string", default: "8" },
  warmup: { type: "string", default: "2" },
  drain: { type: "string", default: "30" },
  rounds: { type: "string", default: "3" },
  pattern: { type: "string", default: "saga" },
  json: { type: "string" },
} as const;

/** What `parseArgs` makes of {@link loadOptions}. */
export type LoadValues = { readonly [name in keyof typeof loadOptions]?: string | undefined };

/** Everything of a comparison but its targets. Throws a message for people on a value that is out of range. */
export function toLoad(values: LoadValues): Omit<Comparison, "targets"> {
  return {
    clients: list(values.clients).map((text) => positive("--clients", text)),
    patterns: list(values.pattern).map(toPattern),
    seconds: positive("--seconds", values.seconds),
    warmupSeconds: positive("--warmup", values.warmup),
    drainSeconds: positive("--drain", values.drain),
    rounds: positive("--rounds", values.rounds),
    json: values.json,
  };
}

/** Splits `NAME=VALUE`. */
export function pair(option: string, text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw new Error(`${option} wants NAME=VALUE, got '${text}'`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function list(text: string | undefined): readonly string[] {
  return (text ?? "").split(/[,|]/).filter((part) => part !== "");
}

function toPattern(text: string): Pattern {
  if (!isPattern(text)) throw new Error(`--pattern wants saga, rollback, tcc or msg, got '${text}'`);
  return text;
}

function positive(option: string, text: string | undefined): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${option} wants a number above 0, got '${text}'`);
  return value;
}
