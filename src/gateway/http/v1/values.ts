/**
 * What `/api/v1` shows of the node itself, under the names of its schemas.
 */
import type { Store } from "../../../ports/store.js";
import type { EngineStats, TargetState } from "../../../ports/targets.js";
import type { KeyValue } from "../../../ports/topics.js";
import { type Json, timeOf } from "../../../wire/encode.js";
import type { Subscriber } from "../../topicoperations.js";
import type { NodeInfo } from "../gateway.js";

/** A participant's target; what is not so (no error, breaker closed) is left out. */
export function targetJson(state: TargetState): Json {
  return {
    origin: state.origin,
    target: state.target,
    in_flight: state.inFlight,
    waiting: state.waiting,
    breaker: state.breaker,
    open_until: state.openUntilMs === undefined ? undefined : timeOf(state.openUntilMs),
    unknowns_in_row: state.unknownsInRow,
    last_error: state.lastError === "" ? undefined : state.lastError,
  };
}

/** A topic with the subscribers that its value holds. */
export function topicJson(entry: KeyValue, subscribers: readonly Subscriber[]): Json {
  return {
    topic: entry.key,
    version: entry.version,
    create_time: timeOf(entry.createdAtMs),
    update_time: timeOf(entry.updatedAtMs),
    subscribers,
  };
}

/** `counts` may lag a little behind the rest; `undefined`: they cannot be read now. */
export function nodeStatusJson(
  node: NodeInfo,
  stats: EngineStats,
  counts: Awaited<ReturnType<Store["count"]>> | undefined,
  nowMs: number,
): Json {
  return {
    node: node.name,
    version: node.version,
    store: node.store,
    start_time: timeOf(node.startedAtMs),
    time: timeOf(nowMs),
    ready: stats.storeUnavailableMs === undefined,
    overloaded: stats.overloaded,
    recovering: stats.recovering,
    resident: stats.resident,
    commits_queued: stats.commitsQueued,
    calls_in_flight: stats.callsInFlight,
    calls_waiting: stats.callsWaiting,
    timers: stats.timers,
    transactions: counts?.map(({ type, status, transactions }) => ({ trans_type: type, status, transactions })),
  };
}
