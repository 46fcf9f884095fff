/**
 * How the tools talk to a running server: plain HTTP, one request per question, errors turned into what to do.
 * They never open its store.
 */
import { CliError } from "./exit.js";

/** Longest wait for an answer, milliseconds; a backup gets as long as it takes. */
const patienceMs = 30_000;

/** The HTTP API of one server. */
export interface Api {
  readonly url: string;
  /** Parsed JSON of a 200. @throws CliError for everything else */
  get(path: string, query?: Readonly<Record<string, string | undefined>>): Promise<unknown>;
  /** The same, with a JSON body and optionally without deadline. */
  send(method: "POST" | "DELETE", path: string, body?: unknown, patience?: number): Promise<unknown>;
}

/** Api of the server at `url` (scheme, host, port). */
export function connect(url: string): Api {
  const base = url.replace(/\/+$/, "");
  return {
    url: base,
    get: (path, query = {}) => ask(base, "GET", `${path}${queryText(query)}`, undefined, patienceMs),
    send: (method, path, body, patience = patienceMs) => ask(base, method, path, body, patience),
  };
}

async function ask(base: string, method: string, path: string, body: unknown, patience: number): Promise<unknown> {
  const init: RequestInit = { method, redirect: "manual" };
  if (body !== undefined) init.body = JSON.stringify(body);
  if (body !== undefined) init.headers = { "content-type": "application/json" };
  if (patience < Number.POSITIVE_INFINITY) init.signal = AbortSignal.timeout(patience);
  const response = await fetch(base + path, init).catch((error: Error) => {
    throw unreachable(base, error);
  });
  const text = await response.text().catch((error: Error) => {
    throw unreachable(base, error);
  });
  if (response.status === 200) return parsed(text, base);
  throw refusal(response.status, text, `${method} ${path}`, base);
}

function parsed(text: string, base: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CliError("failed", `${base} does not answer as Tandem does`, ["check --url: is another service there?"]);
  }
}

function unreachable(base: string, error: Error): CliError {
  const why = error.name === "TimeoutError" ? "gave no answer in time" : reasonOf(error);
  const advice = ["start a server with: tandem serve", "or say where it is: --url http://HOST:PORT, or TANDEM_URL"];
  return new CliError("unreachable", `no server at ${base} (${why})`, advice, { cause: error });
}

function reasonOf(error: Error): string {
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? cause?.message ?? error.message;
}

function refusal(status: number, text: string, request: string, base: string): CliError {
  const message = messageIn(text) ?? `status ${status}`;
  if (status === 404) {
    const notThere = messageIn(text) ?? `${base} has no ${request}; is it a Tandem of this version?`;
    return new CliError("notFound", notThere);
  }
  if (status === 409) return new CliError("refused", message);
  if (status === 400) return new CliError("usage", message);
  return new CliError("failed", `${request}: ${message} (status ${status})`);
}

/** Text of the answer's `message`, when it has one. */
function messageIn(text: string): string | undefined {
  try {
    const body: unknown = JSON.parse(text);
    const message = body instanceof Object && "message" in body ? body.message : undefined;
    return typeof message === "string" ? message : undefined;
  } catch {
    return undefined;
  }
}

function queryText(query: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}
