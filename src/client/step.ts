// References to the steps of other services: URLs with the type of what they take and answer. A reference carries both
// sides of a step, so that an initiator cannot name an action without its compensation.

import type { Duration } from "./duration.js";

/** Carries a type and nothing else; never present at run time. */
declare const carried: unique symbol;

/** What a reference may say of all calls of its step. */
export interface CallSettings {
  /**
   * Go with every call of this step, undoing and phase two included, over the `headers` of the transaction: a service's
   * token, say. The coordinator keeps them with the transaction. DTM's own server does not know them.
   */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * How long each call of this step may take, undoing and phase two included, over the `requestTimeout` of the
   * transaction: 1 s to 1 h, rounded up to whole seconds. DTM's own server does not know it.
   */
  readonly timeout?: Duration;
}

/** What every reference may have. */
interface Encoded<In> extends CallSettings {
  /** How a payload becomes bytes where it is not sent as JSON: `grpcStep` and its like give references that have it. */
  readonly encode?: (input: In) => Uint8Array;
}

/** The same, and how the answer's bytes become a value. */
interface Coded<In, Out> extends Encoded<In> {
  readonly decode?: (answer: Uint8Array) => Out;
}

/**
 * A saga step: called with a payload of type `In`; undone at `compensate` with the same payload. "" means: nothing to
 * call.
 */
export interface SagaStep<In = unknown> extends Encoded<In> {
  readonly action: string;
  readonly compensate: string;
  readonly [carried]?: (input: In) => void;
}

/** A TCC step: tried by the initiator, which gets a value of type `Out`; confirmed or cancelled by the coordinator. */
export interface TccStep<In = unknown, Out = unknown> extends Coded<In, Out> {
  readonly try: string;
  readonly confirm: string;
  readonly cancel: string;
  readonly [carried]?: (input: In) => Out;
}

/** An address that is called: an XA branch (one URL for all phases), a message's target, a call of a workflow. */
export interface XaStep<In = unknown, Out = unknown> extends Coded<In, Out> {
  readonly url: string;
  readonly [carried]?: (input: In) => Out;
}
