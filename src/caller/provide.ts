/**
 * Headers that the operator adds to calls: fixed ones per participant, and what a provider says at each call. They are
 * held to the rules of a submitter's. A provider that fails, or gives what cannot be sent, makes the call wait for its
 * next try; the participant is not blamed for it.
 */
import { type Answer, type Call, type HeaderProvider, joinHeaders } from "../ports/caller.js";
import { readHeaders } from "../wire/headers.js";
import { inputLimits } from "../wire/limits.js";
import { urlHost } from "../wire/url.js";
import type { Ending } from "./ending.js";
import { Limit } from "./limit.js";
import { unknown } from "./result.js";

/** Makes a call as it is given. */
type Send = (call: Call) => Promise<Answer>;

/** Headers by "host:port", "host", or a NATS subject, in lower case; the more exact one counts, alone. */
export type TargetHeaders = Readonly<Record<string, Call["headers"]>>;

/** What `byTarget` says of a place, `undefined` for nothing. Of NATS `authority` is the subject. */
export function targetHeaders(
  byTarget: TargetHeaders,
  { host, port, authority }: { readonly host: string; readonly port: number; readonly authority: string },
): Call["headers"] | undefined {
  const names = host === "" ? [authority] : [urlHost(host)].flatMap((h) => [`${h}:${port}`, h]);
  const name = names.map((one) => one.toLowerCase()).find((one) => Object.hasOwn(byTarget, one));
  return name === undefined ? undefined : byTarget[name];
}

/** Asks the provider, then sends. One deadline, the call's own, covers both. Never rejects. */
export function sendProvided(provider: HeaderProvider, call: Call, ending: Ending, send: Send): Promise<Answer> {
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const limit = new Limit(call.timeoutMs, ending, resolve);
    const refuse = (error: unknown) => limit.settle({ ...unknown(reasonOf(error)), isWell: true });
    const go = (given: Call["headers"]) => {
      if (limit.isOver) return;
      const headers = joinHeaders(call.headers, readHeaders(given, inputLimits, "headers of the provider") ?? {});
      const timeoutMs = Math.max(1, Math.ceil(call.timeoutMs - (performance.now() - startedMs)));
      void send({ ...call, headers, timeoutMs }).then((answer) => limit.settle(answer));
    };
    if (limit.isOver) return;
    Promise.resolve()
      .then(() => provider(call))
      .then(go)
      .catch(refuse);
  });
}

function reasonOf(error: unknown): string {
  return `not called, its headers could not be had: ${error instanceof Error ? error.message : String(error)}`;
}
