// The client of Tandem and of DTM: what initiators and participants import. No runtime dependency.

export {
  type Api,
  type ApiAnswer,
  type ApiBody,
  type ApiOptions,
  type Endpoint,
  type Operation,
  Rejected,
  type RetryPolicy,
} from "./api.js";
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
export type { ParticipantCall, ParticipantTransport } from "./call.js";
export { type Client, type ClientOptions, createClient } from "./client.js";
export { currentDelivery } from "./context.js";
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
  NonDeterminism,
  Ongoing,
  TandemError,
} from "./errors.js";
export { type GlobalOptions, type GlobalState, newGid } from "./global.js";
export { type Fetch, httpEndpoint } from "./http.js";
export { type BranchIdentity, type BranchSource, type RequestLike, readIdentity } from "./identity.js";
export type { Committed, Msg, MsgOptions, MsgOutcome } from "./msg.js";
export {
  type DefinedStep,
  defineReceiver,
  defineStep,
  defineTccStep,
  type Side,
  type StandardSchema,
} from "./participant/define.js";
export { fetchHandler } from "./participant/fetch.js";
export {
  checkBack,
  type Handler,
  type Incoming,
  type OnError,
  type Route,
  route,
  type ServeRoutesOptions,
} from "./participant/route.js";
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
export type { EarlierSteps, Saga, SagaOptions, SagaOrder } from "./saga.js";
export type { SagaStep, TccStep, XaStep } from "./step.js";
export type { Tcc } from "./tcc.js";
export type { Activity, Telemetry } from "./telemetry.js";
export type { Flow, RecalledTxStep, Step, StepScope, TxStep } from "./workflow/flow.js";
export { type Workflow, type Workflows, type WorkflowsOptions, workflow } from "./workflow/workflow.js";
export type { Xa } from "./xa/xa.js";
