/**
 * The narrow door to an HTTP client: one request, one response, callbacks. Who judges answers and who counts time
 * (`http.ts`) does not know which client carries the bytes.
 */
import type { HttpRequest } from "./request.js";
import type { HttpResponse } from "./result.js";

/** Called once, with the response or why there is none; never after an abort, possibly before `send` has returned. */
export type Done = (result: HttpResponse | Error) => void;

/** Ends an exchange: nothing is reported any more, and a connection in use by it is closed. */
export type Abort = () => void;

/**
 * Carries requests over kept-alive connections, one at a time on each, at most a bounded number per origin (the rest
 * waits). A request is put on the wire at most once: a connection that ends before the response is an error, whatever
 * the method. Bodies are read up to a limit; what is longer is `cut`, and its connection closed.
 */
export interface Exchange {
  send(request: HttpRequest, done: Done): Abort;
  close(): Promise<void>;
}
