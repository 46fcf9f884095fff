// The client of Tandem and of DTM: what initiators and participants import. No runtime dependency.

export {
  type BarrierKey,
  type BarrierResult,
  type BarrierRow,
  type BarrierRows,
  type BarrierVerdict,
  type CheckBack,
  originOp,
  passBarrier,
} from "./barrier/core.js";
export { barrierFrom, Delivery } from "./barrier/delivery.js";
export {
  type BarrierCallOptions,
  type BarrierStore,
  createGuard,
  type DeliverySource,
  type Guard,
} from "./barrier/guard.js";
export { type Duration, toMs, toSeconds } from "./duration.js";
export {
  BarrierError,
  Duplicated,
  type ErrorCode,
  type ErrorContext,
  errorCode,
  Failure,
  InvalidBranch,
  isDuplicated,
  isFailure,
  isOngoing,
  LocksLost,
  Ongoing,
  TandemError,
} from "./errors.js";
export { type BranchIdentity, type BranchSource, type RequestLike, readIdentity } from "./identity.js";
export {
  classifyGrpc,
  classifyHttp,
  errorAnswer,
  type GrpcStatus,
  type HttpAnswer,
  type Outcome,
  successAnswer,
  toGrpc,
  toHttp,
} from "./result.js";
