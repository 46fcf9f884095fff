/**
 * The one door to transactions: engine, router and remote client all are one.
 */
import type { Reply, Request } from "../core/input.js";

export interface Coordinator {
  /**
   * Carries out a request on a gid. Resolves when what it decided is durable, or says why it was not carried out; never
   * rejects for reasons of state or load. `signal` ends only the caller's wait, nothing that was accepted.
   */
  handle(gid: string, request: Request, signal?: AbortSignal): Promise<Reply>;
}
