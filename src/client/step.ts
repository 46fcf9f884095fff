// References to the steps of other services: URLs with the type of what they take and answer. A reference carries both
// sides of a step, so that an initiator cannot name an action without its compensation.

/** Carries a type and nothing else; never present at run time. */
declare const carried: unique symbol;

/**
 * A saga step: called with a payload of type `In`; undone at `compensate` with the same payload. "" means: nothing to
 * call.
 */
export interface SagaStep<In = unknown> {
  readonly action: string;
  readonly compensate: string;
  readonly [carried]?: (input: In) => void;
}

/** A TCC step: tried by the initiator, which gets a value of type `Out`; confirmed or cancelled by the coordinator. */
export interface TccStep<In = unknown, Out = unknown> {
  readonly try: string;
  readonly confirm: string;
  readonly cancel: string;
  readonly [carried]?: (input: In) => Out;
}

/** An XA branch: one URL for all phases. */
export interface XaStep<In = unknown, Out = unknown> {
  readonly url: string;
  readonly [carried]?: (input: In) => Out;
}
