/**
 * From a route to its answer: errors of every kind become refusals in the route's own shape, what was served is
 * counted, the body's bytes are given back. The same for whoever has read the request, the library or the front.
 */
import type { Clock } from "../../ports/clock.js";
import type { ServedMeter } from "../../ports/meters.js";
import type { Log } from "../../ports/observer.js";
import type { Arriving } from "../arriving.js";
import { refusalOf } from "../failure.js";
import { type HttpAnswer, refusalAnswer } from "./answer.js";
import type { HttpRequest, Route } from "./route.js";

/** What serving relies on, besides the route. */
export interface ServeDeps {
  readonly arriving: Arriving;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Asks a route; never rejects. Takes the bytes of the body, which its reader counted, off those arriving. What `check`
 * throws counts as thrown by the route.
 */
export type Serve = (request: HttpRequest, check?: () => void) => Promise<HttpAnswer>;

/** The way to one route's answers. */
export function serving(route: Route, { served }: ServedMeter, { arriving, log, clock }: ServeDeps): Serve {
  return async (request, check) => {
    const startMs = clock.monotonicMs();
    let answer: HttpAnswer;
    try {
      check?.();
      answer = await route.handle(request);
    } catch (error) {
      answer = refusalAnswer(refusalOf(error, log), route.refusalBody);
    }
    arriving.change(-request.body.length);
    served(answer.status < 400, clock.monotonicMs() - startMs, answer.status);
    return answer;
  };
}
