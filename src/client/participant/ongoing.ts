// tandem/ongoing: work that takes longer than a coordinator waits for an answer (3 s by default). It is answered "not
// yet" (425) in time and goes on; a later delivery of the same branch joins it and gets its answer, instead of being
// refused, taken for lost, or started a second time. Within one process: in others, and after a restart, the barrier
// keeps the same peace.

import { type Duration, toMs } from "../duration.js";
import { invalidInput, Ongoing } from "../errors.js";
import { readIdentity } from "../identity.js";
import { errorAnswer, type HttpAnswer } from "../result.js";
import type { Incoming, Route } from "./route.js";

/**
 * What `promise` gives, if it settles within `limit`; else rejects with `Ongoing`, which a route answers with 425. The
 * promise goes on: keep it by the branch's ids, so that the next delivery waits for the same one. `longRunning` does
 * that for whole routes.
 */
export function ongoingUntil<T>(promise: Promise<T>, limit: Duration): Promise<T> {
  const limitMs = toMs(limit);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Ongoing(`still under way after ${limitMs} ms`)), limitMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Settings of `longRunning`. */
export interface LongRunningOptions {
  /** When "not yet" is answered; well below the coordinator's `requestTimeout`. Default 2 s. */
  readonly within?: Duration;
  /** How long an answer is kept for deliveries that come again after it. Default 10 min. */
  readonly keep?: Duration;
  /**
   * Deliveries under way and kept answers together, at most. The oldest answers go first; while there are none, further
   * deliveries are answered "not yet" and not begun. Default 1,000.
   */
  readonly max?: number;
}

/** A delivery that was begun. `answer` is there once it is over. */
interface Work {
  readonly promise: Promise<HttpAnswer>;
  answer: HttpAnswer | undefined;
}

/**
 * The same routes, which answer 425 while their handler is at work and give its answer to the delivery that waits for
 * it, or to the next one. A handler is begun once for all deliveries of its branch and op that meet it at work, and
 * what it said for good (200, 409) is repeated for `keep`; after an error it is begun anew. Give `lockTimeout` of the
 * barrier no more than `within`.
 */
export function longRunning(routes: readonly Route[], options: LongRunningOptions = {}): readonly Route[] {
  const { within = "2s", keep = "10m", max = 1_000 } = options;
  const [withinMs, keepMs] = [toMs(within), toMs(keep)];
  if (!Number.isSafeInteger(max) || max < 1) throw invalidInput(`max is a whole number from 1, not ${max}`);
  const works = new Map<string, Work>();

  const hasRoom = (): boolean => {
    if (works.size < max) return true;
    const oldest = [...works].find(([, { answer }]) => answer !== undefined);
    return oldest !== undefined && works.delete(oldest[0]);
  };
  const begin = (key: string, handle: () => Promise<HttpAnswer>): Work => {
    const work: Work = { promise: handle(), answer: undefined };
    works.set(key, work);
    void work.promise.then((answer) => {
      work.answer = answer;
      setTimeout(() => works.get(key) === work && works.delete(key), keepMs).unref();
    });
    return work;
  };
  const give = async (key: string, work: Work): Promise<HttpAnswer> => {
    const answer = work.answer ?? (await ongoingUntil(work.promise, withinMs));
    if (answer.status !== 200 && answer.status !== 409 && works.get(key) === work) works.delete(key);
    return answer;
  };
  return routes.map((one) => ({
    path: one.path,
    async handle(incoming) {
      const key = keyOf(one, incoming);
      if (key === undefined) return one.handle(incoming);
      const known = works.get(key);
      try {
        if (known === undefined && !hasRoom()) throw new Ongoing(`${max} long deliveries are under way already`);
        return await give(key, known ?? begin(key, () => one.handle(incoming)));
      } catch (error) {
        return errorAnswer(error);
      }
    },
  }));
}

/** Path and ids of a delivery; `undefined` for what is none, which the route itself refuses. */
function keyOf({ path }: Route, { url }: Incoming): string | undefined {
  try {
    const { gid, transType, branchId, op } = readIdentity({ url });
    return JSON.stringify([path, gid, transType, branchId, op]);
  } catch {
    return undefined;
  }
}
