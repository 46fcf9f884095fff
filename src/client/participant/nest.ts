// Participants in a Nest application, on Express or Fastify: a decorator for methods of controllers that makes them
// steps, and the filter that turns what they throw into the answers that coordinators understand. No constructor is
// injected, so it needs no metadata of types from the compiler.

import {
  All,
  type ArgumentsHost,
  applyDecorators,
  type CallHandler,
  Catch,
  createParamDecorator,
  type ExceptionFilter,
  type ExecutionContext,
  HttpCode,
  type NestInterceptor,
  UseFilters,
  UseInterceptors,
} from "@nestjs/common";
import { finalize, map, type Observable } from "rxjs";
import { barrierFrom, type Delivery } from "../barrier/delivery.js";
import { handling } from "../context.js";
import { answerOf } from "../result.js";
import { answered, mustSucceed, type ServeRoutesOptions, unwrapped } from "./route.js";

/** What Express and Fastify have in common. */
interface Reply {
  status(code: number): Reply;
  type(contentType: string): Reply;
  send(body: string): unknown;
}

/** As both have it: path and query. */
interface Asked {
  readonly url: string;
}

/**
 * Makes a method of a controller a step at `path` below the controller's, for POST and GET (the coordinator calls with
 * GET when there is no payload). What it returns is answered with 200 exactly (a result of `guard.run` by its value),
 * `Failure` with 409, `Ongoing` with 425, everything else that is thrown, Nest's own exceptions too, with 500, which is
 * asked again. Guards, pipes and interceptors of the application apply.
 */
export function DtxStep(path?: string, options: ServeRoutesOptions = {}): MethodDecorator {
  return applyDecorators(
    All(path),
    HttpCode(200),
    UseInterceptors(new StepInterceptor()),
    UseFilters(new DtxFilter(options)),
  );
}

/** The delivery that a step handles, as a parameter of its method: for `guard.run(delivery, …)`. */
export const DtxDelivery: () => ParameterDecorator = createParamDecorator(
  (_data: unknown, context: ExecutionContext): Delivery => barrierFrom(context.switchToHttp().getRequest<Asked>()),
);

/**
 * Answers what was thrown as coordinators understand it. `DtxStep` brings it along; with `@UseFilters(new DtxFilter())`
 * it serves methods that are routed otherwise. Not for a whole application: callers that are no coordinators would get
 * 500 for Nest's exceptions.
 */
export class DtxFilter implements ExceptionFilter {
  readonly #options: ServeRoutesOptions;

  constructor(options: ServeRoutesOptions = {}) {
    this.#options = options;
  }

  /** Nest calls it. Resolves when the answer is handed over. */
  async catch(error: unknown, host: ArgumentsHost): Promise<void> {
    const http = host.switchToHttp();
    const { url } = http.getRequest<Asked>();
    const { status, body } = await answered({ ...this.#options, url, body: "" }, () => {
      throw refusable(url, error);
    });
    http.getResponse<Reply>().status(status).type("application/json").send(body);
  }
}
Catch()(DtxFilter);

/** A refusal where none is possible is no refusal; of a request without a branch nothing is known. */
function refusable(url: string, error: unknown): unknown {
  const ids = new URLSearchParams(url.split("?")[1]);
  const [op, gid, branchId, transType] = ["op", "gid", "branch_id", "trans_type"].map((name) => ids.get(name) ?? "");
  return op === "" ? error : mustSucceed({ op: op!, gid: gid!, branchId: branchId!, transType: transType! }, error);
}

/** Runs the method as the handling of its delivery, and answers its value. */
class StepInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler<unknown>): Observable<string> {
    const http = context.switchToHttp();
    const delivery = barrierFrom(http.getRequest<Asked>());
    return handling(delivery, () => next.handle()).pipe(
      map((value) => {
        if (value instanceof Error) throw value;
        const { body } = answerOf(unwrapped(value));
        http.getResponse<Reply>().type("application/json");
        return body;
      }),
      finalize(() => delivery.end()),
    );
  }
}
